"""Corrections become tensors: masks where the text changed, prompts padded without loss."""

import json

import pytest
import torch
from PIL import ExifTags, Image

from correction_files import write_corrections
from miniatures import picture
from veridical.errors import DataError, ModelError
from veridical.feedback.segments import find_segments
from veridical.models.features import FeatureCache
from veridical.models.loading import load_model
from veridical.models.lora import freeze
from veridical.models.prompts.encoding import encode_prompts, encode_separately, stack_prompts
from veridical.models.prompts.rendering import render_turns
from veridical.models.prompts.responses import encode_responses
from veridical.records import ImageRef
from veridical.training.preference.batches import collate
from veridical.training.preference.config import DataSection
from veridical.training.preference.data import encode_pairs, read_pairs, reject_texts
from veridical.training.preference.objectives.dense_dpo import DenseDpo


@pytest.fixture(scope="module", params=["tiny_llava_path", "tiny_qwen2_5_vl_path"])
def vlm(request):
    loaded = load_model(request.getfixturevalue(request.param), device="cpu")
    freeze(loaded.model, vision=True)
    return loaded


@pytest.fixture
def pairs(corrections_path, tmp_path):
    return read_pairs(
        DataSection(corrections=str(corrections_path)), quarantine=tmp_path / "bad.jsonl"
    )


def encode(vlm, pairs, *, max_response_tokens=64, **objective):
    return encode_pairs(
        vlm,
        pairs,
        DenseDpo(**objective),
        max_response_tokens=max_response_tokens,
        features=FeatureCache(None, vlm),
    )


def marked_text(text, response, mask):
    return "".join(
        text[s:e] for (s, e), changed in zip(response.offsets, mask, strict=True) if changed
    )


def test_marked_tokens_cover_what_was_corrected_on_both_sides(vlm, pairs):
    prepared, _ = encode(vlm, pairs)
    for pair, row in zip(pairs, prepared, strict=True):
        chosen, rejected = encode_responses(vlm, [pair.chosen, pair.rejected])
        for segment in pair.segments:
            for span, text, response, mask in (
                (segment.chosen_span, pair.chosen, chosen, row.changed[0]),
                (segment.rejected_span, pair.rejected, rejected, row.changed[1]),
            ):
                assert text[slice(*span)].strip() in marked_text(text, response, mask)
                assert any(mask)  # a deletion marks the seam


def test_the_original_diff_passes_over_deletions(vlm, pairs):
    deletion = next(
        number for number, pair in enumerate(pairs) if len(pair.chosen) < len(pair.rejected) - 15
    )
    ours, statistics = encode(vlm, pairs)
    original, statistics_of_original = encode(vlm, pairs, diff="original")
    assert any(ours[deletion].changed[0])
    assert any(ours[deletion].changed[1])
    assert not any(original[deletion].changed[0])
    assert not any(original[deletion].changed[1])
    assert statistics.empty_masks == 0
    # No pair that only deletes is marked, wherever in the response it deletes.
    only_deletes = [
        number
        for number, pair in enumerate(pairs)
        if all(start == end for start, end in (one.chosen_span for one in pair.segments))
    ]
    assert len(only_deletes) >= 2
    assert not any(any(side) for number in only_deletes for side in original[number].changed)
    assert statistics_of_original.empty_masks >= len(only_deletes)


def test_a_photo_is_turned_upright_as_its_camera_says(vlm, pairs, tmp_path):
    with Image.open(pairs[0].image.path) as file:
        upright = file.convert("RGB")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = (
        6  # the camera was held so that a viewer must turn the pixels clockwise
    )
    path = tmp_path / "turned.png"
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    turned = pairs[0].model_copy(update={"image": ImageRef(path=str(path))})
    (first,), _ = encode(vlm, [pairs[0]])
    (second,), _ = encode(vlm, [turned])
    assert first.image_keys == second.image_keys
    assert first.prompt.keys() == second.prompt.keys()
    assert all(torch.equal(first.prompt[name], second.prompt[name]) for name in first.prompt)


def test_statistics_count(vlm, pairs):
    prepared, statistics = encode(vlm, pairs)
    assert statistics.pairs == len(pairs) == 12
    assert statistics.segments_per_response == sum(len(pair.segments) for pair in pairs) / 12
    marked = sum(sum(row.changed[1]) for row in prepared)
    assert statistics.changed_ratio_rejected == marked / sum(
        len(row.changed[1]) for row in prepared
    )
    assert statistics.truncated == 0
    cut, statistics = encode(vlm, pairs, max_response_tokens=12)
    assert statistics.pairs == len(cut) == 12 - statistics.left_out
    assert 0 < statistics.truncated <= len(cut)


def test_prompts_taken_apart_and_stacked_again_are_what_they_were(vlm):
    questions = [
        "What?",
        "Is there a knife in the picture, or a green cup on the table?",
        "Where is the dog?",
    ]
    images = [picture(seed) for seed in range(3)]
    together = encode_prompts(vlm, questions, images)
    apart = encode_separately(
        vlm, [render_turns(vlm, [question]) for question in questions], images
    )
    stacked = stack_prompts(apart, pad_token_id=vlm.tokenizer.pad_token_id)
    assert stacked.keys() == together.keys()
    for key, value in together.items():
        assert torch.equal(stacked[key], value), key


def test_equal_prompts_share_their_tensors(vlm, pairs):
    prepared, _ = encode(vlm, pairs)
    assert prepared[0].prompt is prepared[1].prompt
    assert prepared[0].prompt is not prepared[2].prompt


def test_a_batch_holds_chosen_then_rejected(vlm, pairs):
    prepared, _ = encode(vlm, pairs)
    rows = [
        (row, torch.full((2, max(map(len, row.response_ids))), -float(n)))
        for n, row in enumerate(prepared[:3])
    ]
    batch = collate(rows, pad_token_id=vlm.tokenizer.pad_token_id)
    shape = batch["response_ids"].shape
    assert shape[:2] == (3, 2)
    for name in ("response_mask", "changed_mask", "reference"):
        assert batch[name].shape == shape
    assert not bool((batch["changed_mask"] & ~batch["response_mask"]).any())
    for b, (row, _) in enumerate(rows):
        for k in (0, 1):
            length = len(row.response_ids[k])
            assert batch["response_ids"][b, k, :length].tolist() == row.response_ids[k]
            assert int(batch["response_mask"][b, k].sum()) == length
            assert batch["changed_mask"][b, k, :length].tolist() == row.changed[k]


def test_pixels_are_dropped_where_features_are_kept(vlm, pairs):
    prepared, _ = encode(vlm, pairs)
    batch = collate(
        [(row, torch.zeros(2, 1)) for row in prepared[:4]], pad_token_id=vlm.tokenizer.pad_token_id
    )
    if vlm.model.config.model_type == "llava":
        assert "pixel_values" not in batch["prompt"]
        assert len(set(batch["image_keys"])) == 2
    else:
        assert "pixel_values" in batch["prompt"]
        assert batch["image_keys"] is None


def test_texts_with_the_models_own_tokens_are_reported_with_their_lines(vlm, tmp_path):
    path = write_corrections(tmp_path, count=6)
    lines = path.read_text().splitlines()
    token = vlm.tokenizer.eos_token
    for line in (2, 5):
        row = json.loads(lines[line])
        lines[line] = json.dumps({**row, "chosen": row["chosen"] + token})
    path.write_text("\n".join(lines) + "\n")
    data = DataSection(corrections=str(path))
    pairs = read_pairs(data, quarantine=tmp_path / "bad.jsonl")
    with pytest.raises(DataError) as caught:
        reject_texts(vlm, pairs, data, quarantine=tmp_path / "bad.jsonl")
    assert [fault.line for fault in caught.value.faults] == [3, 6]
    assert token in str(caught.value)
    skipping = data.model_copy(update={"skip_bad": True})
    kept = reject_texts(vlm, pairs, skipping, quarantine=tmp_path / "bad.jsonl")
    assert [pair.id for pair in kept] == ["c0", "c2", "c3", "c5"]
    assert len((tmp_path / "bad.jsonl").read_text().splitlines()) == 2


def test_good_texts_pass_untouched(vlm, pairs, corrections_path, tmp_path):
    data = DataSection(corrections=str(corrections_path))
    assert reject_texts(vlm, pairs, data, quarantine=tmp_path / "bad.jsonl") == pairs


def test_pairs_that_are_equal_once_cut_are_left_out_and_counted(vlm, pairs, capsys):
    """A change behind the cut puts no weight on the last token that is left."""
    first = pairs[0]
    long = "A dog sits here, and here is a lot of text that both responses begin with."
    late = first.model_copy(
        update={
            "id": "late",
            "chosen": f"{long} A cat.",
            "rejected": f"{long} A cow.",
            "segments": find_segments(f"{long} A cow.", f"{long} A cat."),
        }
    )
    prepared, statistics = encode(vlm, [first, late], max_response_tokens=10**4)
    assert [row.id for row in prepared] == [first.id, "late"]
    assert statistics.left_out == 0
    limit = max(map(len, prepared[0].response_ids)) + 1
    if limit >= max(map(len, prepared[1].response_ids)) - 4:
        limit = max(map(len, prepared[1].response_ids)) // 2
    prepared, statistics = encode(vlm, [first, late], max_response_tokens=limit)
    assert [row.id for row in prepared] == [first.id]
    assert (statistics.pairs, statistics.left_out) == (1, 1)
    assert "1 of 2 pairs left out" in capsys.readouterr().err
    with pytest.raises(ModelError, match=r"Raise data\.max_response_tokens"):
        encode(vlm, [late], max_response_tokens=limit)


def test_responses_beyond_the_window_are_cut_where_it_ends(vlm, pairs):
    long = pairs[0].model_copy(
        update={"chosen": f"{pairs[0].chosen} " + "dog " * (vlm.window or 0)}
    )
    if vlm.window is None or vlm.window > 5000:
        pytest.skip("the window is larger than a test needs")
    (row,), statistics = encode(vlm, [long], max_response_tokens=10**6)
    assert row.prompt["input_ids"].shape[1] + len(row.response_ids[0]) == vlm.window
    assert statistics.truncated == 1
