"""Pictures shown whole, and larger: what RLHF-V names as causes of hallucination."""

import numpy as np
import pytest
import torch
from PIL import Image

import model_zoo
from training_runs import lines_of
from veridical.config import resolve_recipe
from veridical.errors import ConfigError, ModelError
from veridical.models.checks.training import saved
from veridical.models.loading import load_model
from veridical.models.prompts.encoding import encode_separately
from veridical.models.prompts.pictures import as_shown, warn_about_pictures
from veridical.models.prompts.rendering import render_turns
from veridical.models.prompts.settings import ProcessorRecipe


def shown_pixels(vlm, picture):
    text = render_turns(vlm, ["What is it?"], num_images=1)
    (prompt,) = encode_separately(vlm, [text], [[picture]])
    return prompt


def marked(width, height):
    """A grey picture whose left edge is white."""
    pixels = np.full((height, width, 3), 100, dtype=np.uint8)
    pixels[:, : width // 8] = 255
    return Image.fromarray(pixels)


def test_a_crop_cuts_the_edge_away_and_padding_keeps_it(tiny_llava_path):
    wide = marked(96, 32)
    cut = load_model(tiny_llava_path, device="cpu")
    whole = load_model(tiny_llava_path, device="cpu", settings=ProcessorRecipe(pad=True))
    assert shown_pixels(cut, wide)["pixel_values"][0, 0].std() < 1e-6
    assert shown_pixels(whole, wide)["pixel_values"][0, 0].std() > 0.1


def test_padding_is_the_mean_colour_and_a_square_stays_as_it_is(tiny_llava_path):
    vlm = load_model(tiny_llava_path, device="cpu", settings=ProcessorRecipe(pad=True))
    square = as_shown(marked(96, 32), vlm.processor, vlm.settings)
    mean = tuple(round(255 * value) for value in vlm.processor.image_processor.image_mean)
    assert square.size == (96, 96)
    assert square.getpixel((50, 0)) == mean
    assert square.getpixel((0, 48)) == (255, 255, 255)
    same = marked(32, 32)
    assert as_shown(same, vlm.processor, vlm.settings).tobytes() == same.tobytes()


def test_a_larger_resolution_is_more_tokens_and_the_same_places(tiny_llava_path):
    """Twice the side: four times the patches; of a picture of one colour all say the same."""
    small = load_model(tiny_llava_path, device="cpu")
    large = load_model(tiny_llava_path, device="cpu", settings=ProcessorRecipe(resolution=64))
    plain = Image.new("RGB", (64, 64), (10, 200, 30))
    few, many = (shown_pixels(vlm, plain) for vlm in (small, large))
    image = large.model.config.image_token_index
    assert (few["input_ids"] == image).sum() == 16
    assert (many["input_ids"] == image).sum() == 64
    places = [
        vlm.model.model.vision_tower.embeddings.position_embedding.weight for vlm in (small, large)
    ]
    assert torch.equal(places[0][0], places[1][0])  # the class token is no place
    torch.testing.assert_close(places[0][1:].mean(0), places[1][1:].mean(0), atol=0.02, rtol=0)
    with torch.no_grad():
        logits = large.model(**many).logits
    assert logits.isfinite().all()


def test_the_checkpoints_own_resolution_changes_nothing(tiny_llava_path):
    plain = load_model(tiny_llava_path, device="cpu")
    named = load_model(tiny_llava_path, device="cpu", settings=ProcessorRecipe(resolution=32))
    prompt = shown_pixels(plain, marked(48, 32))
    with torch.no_grad():
        assert torch.equal(plain.model(**prompt).logits, named.model(**prompt).logits)


def test_a_resolution_that_does_not_fit_is_refused(tiny_llava_path, tiny_qwen2_5_vl_path):
    with pytest.raises(ModelError, match="not a multiple of the 8"):
        load_model(tiny_llava_path, device="cpu", settings=ProcessorRecipe(resolution=63))
    with pytest.raises(ModelError, match=r"max_pixels"):
        load_model(tiny_qwen2_5_vl_path, device="cpu", settings=ProcessorRecipe(resolution=64))
    with pytest.raises(ConfigError, match="resolution"):
        resolve_recipe({"resolution": -1}, ProcessorRecipe)


@pytest.mark.parametrize("family", ["idefics3", "gemma3"])
def test_a_resolution_is_refused_where_pictures_are_cut_or_made_a_fixed_number_of_tokens(
    family, tmp_path
):
    """Idefics 3 would interpolate its places and go on reading tiles of the old size."""
    path = model_zoo.build(family, tmp_path)
    with pytest.raises(ModelError, match="does not read a picture as one square"):
        load_model(path, device="cpu", settings=ProcessorRecipe(resolution=32))


def test_training_says_what_it_sees_of_the_pictures(tiny_llava_path, capfd):
    vlm = load_model(tiny_llava_path, device="cpu")
    warn_about_pictures("m", vlm.processor, ProcessorRecipe())
    assert "cuts pictures to the square in their middle" in capfd.readouterr().err
    warn_about_pictures("m", vlm.processor, ProcessorRecipe(pad=True, resolution=64))
    said = capfd.readouterr().err
    assert "cuts pictures" not in said
    assert "read at 64 pixels" in said


def test_what_was_trained_at_another_resolution_is_loaded_at_it(tiny_llava_path, tmp_path):
    from correction_files import write_corrections
    from veridical.training.preference.config import PreferenceRecipe
    from veridical.training.preference.train import train_dpo

    for tuning in ("lora", "full"):
        recipe = resolve_recipe(
            {
                "model": {
                    "base": str(tiny_llava_path),
                    "tuning": tuning,
                    "device": "cpu",
                    "processor": {"resolution": 64, "pad": True},
                },
                "data": {
                    "corrections": str(write_corrections(tmp_path / tuning, count=4)),
                    "validation_fraction": 0,
                },
                "train": {"batch_size": 2, "micro_batch_size": 2, "max_steps": 1},
            },
            PreferenceRecipe,
        )
        run = train_dpo(recipe, tmp_path / tuning / "run")
        assert lines_of(run.run_dir, "train")
        base = run.weights if tuning == "full" else tiny_llava_path
        adapter = None if tuning == "full" else run.weights
        again = load_model(base, adapter=adapter, device="cpu")
        assert (again.settings.resolution, again.settings.pad) == (64, True)
        image = shown_pixels(again, marked(96, 32))
        assert image["pixel_values"].shape[-1] == 64


@pytest.mark.parametrize(
    ("family", "images"),
    [
        ("gemma3", {"do_pan_and_scan": True, "pan_and_scan_min_crop_size": 8}),
        ("internvl", {"crop_to_patches": False}),
        ("llava_next", {"image_grid_pinpoints": [[16, 48]]}),
    ],
)
@torch.no_grad()
def test_a_setting_that_processor_or_model_repeat_counts_for_them_too(family, images, tmp_path):
    """Processors of Gemma 3 and InternVL have defaults before those of their image processor, and
    LLaVA-NeXT puts its tiles in order by its own config: neither may keep the old value."""
    path = model_zoo.build(family, tmp_path)
    usual, other = (
        load_model(path, device="cpu", settings=settings)
        for settings in (None, ProcessorRecipe(images=images))
    )
    before, after = (shown_pixels(vlm, marked(96, 32)) for vlm in (usual, other))
    assert before["input_ids"].shape != after["input_ids"].shape
    assert other.model(**after).logits.isfinite().all()
    assert saved(other).passed
