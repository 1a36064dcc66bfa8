"""The reference's scores are kept under keys that change exactly when they must."""

import json

import pytest
import torch

from correction_files import write_corrections
from miniatures import picture, tiny_llava
from veridical.models.features import FeatureCache
from veridical.models.loading import load_model
from veridical.models.lora import freeze
from veridical.training.preference import references
from veridical.training.preference.config import DataSection
from veridical.training.preference.data import encode_pairs, read_pairs
from veridical.training.preference.objectives.dense_dpo import DenseDpo
from veridical.training.preference.references import pair_keys, reference_logprobs


@pytest.fixture
def vlm(tiny_llava_path):
    loaded = load_model(tiny_llava_path, device="cpu")
    freeze(loaded.model, vision=True)
    return loaded


@pytest.fixture
def features(vlm):
    return FeatureCache(None, vlm)


def prepare(vlm, path, features=None, *, max_response_tokens=64, **objective):
    features = features or FeatureCache(None, vlm)
    pairs = read_pairs(DataSection(corrections=str(path)), quarantine=path.with_name("bad.jsonl"))
    return encode_pairs(
        vlm,
        pairs,
        DenseDpo(**objective),
        max_response_tokens=max_response_tokens,
        features=features,
    )[0]


def score(vlm, prepared, folder, features):
    return reference_logprobs(vlm, prepared, folder, batch_size=4, features=features)


@pytest.fixture
def scored_pairs(monkeypatch):
    """Counts the pairs that are scored by a forward."""
    count = [0]
    inner = references._score

    def counting(vlm, pairs, *rest):
        count[0] += len(pairs)
        return inner(vlm, pairs, *rest)

    monkeypatch.setattr(references, "_score", counting)
    return count


def test_scores_are_the_models_and_a_second_call_reads_them(
    vlm, features, corrections_path, tmp_path, scored_pairs
):
    prepared = prepare(vlm, corrections_path, features)
    first = score(vlm, prepared, tmp_path, features)
    assert scored_pairs == [12]
    second = score(vlm, prepared, tmp_path, features)
    assert scored_pairs == [12]
    alone = reference_logprobs(
        vlm, prepared[3:4], tmp_path / "alone", batch_size=1, features=features
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[3].shape == alone[0].shape
    torch.testing.assert_close(first[3], alone[0], atol=1e-5, rtol=1e-5)
    assert bool((first[3] <= 0).all())


def test_order_ids_masks_and_file_names_do_not_matter(
    vlm, features, corrections_path, tmp_path, scored_pairs
):
    prepared = prepare(vlm, corrections_path, features)
    first = score(vlm, prepared, tmp_path, features)
    moved = write_corrections(tmp_path / "elsewhere")
    rows = [json.loads(line) for line in moved.read_text().splitlines()[1:]]
    (moved.parent / "images" / "0.png").rename(moved.parent / "images" / "renamed.png")
    for row in rows:
        row["id"] = "new" + row["id"]
        row["image"]["path"] = row["image"]["path"].replace("0.png", "renamed.png")
    moved.write_text("\n".join(json.dumps(row) for row in reversed(rows)) + "\n")
    again = score(vlm, prepare(vlm, moved, features, diff="original"), tmp_path, features)
    assert scored_pairs == [12]
    assert all(torch.equal(a, b) for a, b in zip(first, reversed(again), strict=True))


def change_image(rows, folder):
    picture(99).save(folder / "images" / "0.png")


def change_question(rows, folder):
    rows[0]["question"] = rows[1]["question"] = "What else is there?"


def change_chosen(rows, folder):
    rows[0]["chosen"] += " It is old."


def change_rejected(rows, folder):
    rows[0]["rejected"] += " It is old."


@pytest.mark.parametrize("change", [change_image, change_question, change_chosen, change_rejected])
def test_a_change_of_a_pair_changes_its_key_and_no_other(vlm, tmp_path, change):
    path = write_corrections(tmp_path)
    before = pair_keys(vlm, prepare(vlm, path))
    rows = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    change(rows, tmp_path)
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    after = pair_keys(vlm, prepare(vlm, path))
    assert before[0] != after[0]
    assert before[2:] == after[2:]


def test_a_change_of_weights_template_tokens_or_processing_changes_every_key(
    vlm, corrections_path, tmp_path
):
    prepared = prepare(vlm, corrections_path)
    keys = pair_keys(vlm, prepared)

    def all_differ(others):
        return not set(keys) & set(others)

    assert all_differ(pair_keys(vlm, prepared, autocast_name="bf16"))
    assert all_differ(pair_keys(vlm, prepare(vlm, corrections_path, max_response_tokens=3)))
    template = vlm.processor.chat_template
    vlm.processor.chat_template = template.replace("USER", "HUMAN").replace(
        "upper()", "upper() + '!'"
    )
    assert all_differ(pair_keys(vlm, prepare(vlm, corrections_path)))
    vlm.processor.chat_template = template
    vlm.processor.image_processor.image_mean = [0.1, 0.2, 0.3]
    assert all_differ(pair_keys(vlm, prepare(vlm, corrections_path)))
    other = load_model(tiny_llava(tmp_path / "other", seed=1), device="cpu")
    assert all_differ(pair_keys(other, prepare(other, corrections_path)))


def test_one_weight_in_the_vision_tower_counts(vlm, corrections_path):
    prepared = prepare(vlm, corrections_path)
    keys = pair_keys(vlm, prepared)
    with torch.no_grad():
        next(vlm.model.base_model.vision_tower.parameters()).flatten()[0] += 1e-3
    assert not set(keys) & set(pair_keys(vlm, prepared))


@pytest.mark.parametrize("keep", [0, 100])
def test_a_file_cut_short_is_made_again(
    vlm, features, corrections_path, tmp_path, scored_pairs, keep
):
    prepared = prepare(vlm, corrections_path, features)
    first = score(vlm, prepared, tmp_path, features)
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:keep])
    again = score(vlm, prepared, tmp_path, features)
    assert scored_pairs == [24]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_an_interrupted_pass_loses_only_the_piece_it_was_at(
    vlm, features, corrections_path, tmp_path, scored_pairs, monkeypatch
):
    monkeypatch.setattr(references, "_PAIRS_PER_FILE", 4)
    prepared = prepare(vlm, corrections_path, features)
    inner = references._score

    def failing(*arguments):
        if scored_pairs[0] == 8:
            raise KeyboardInterrupt
        return inner(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(references, "_score", failing)
        with pytest.raises(KeyboardInterrupt):
            score(vlm, prepared, tmp_path, features)
    assert len(list(tmp_path.iterdir())) == 2
    score(vlm, prepared, tmp_path, features)
    assert scored_pairs == [12]
