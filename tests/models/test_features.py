import os

import pytest
import torch
from safetensors.torch import load_file

from miniatures import picture
from veridical.errors import ModelError
from veridical.models.architectures.images import encode_images
from veridical.models.architectures.parts import vision_tower
from veridical.models.architectures.table import ARCHITECTURES
from veridical.models.branches import BranchBatch, score_branches, stack_responses
from veridical.models.features import FeatureCache
from veridical.models.loading import load_model
from veridical.models.lora import LoraRecipe, add_lora, freeze
from veridical.models.prompts.encoding import encode_prompts
from veridical.models.prompts.responses import encode_responses


@pytest.fixture
def frozen(own_llava):
    freeze(own_llava.model, vision=True)
    return own_llava


def prompt_of(vlm, *seeds):
    return encode_prompts(
        vlm, ["What is in the picture?"] * len(seeds), [picture(seed) for seed in seeds]
    )


def features_of(outputs):
    return torch.stack(list(outputs["image"].pooler_output))


def test_kept_features_are_the_live_ones(frozen, tmp_path):
    cache, prompt = FeatureCache(tmp_path, frozen), prompt_of(frozen, 0, 1, 0)
    live = features_of(encode_images(frozen.model, prompt))
    for _ in range(2):
        torch.testing.assert_close(
            features_of(cache.image_outputs(prompt)), live, rtol=0, atol=1e-6
        )
    assert (cache.misses, cache.hits) == (2, 3)
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 2


def test_scores_with_kept_features_are_the_live_ones(frozen):
    prompt = prompt_of(frozen, 0, 1)
    responses = [r.ids for r in encode_responses(frozen, ["There is a red car.", "Two dogs."])]
    batch = BranchBatch(prompt, *stack_responses([responses, responses]))
    kept = FeatureCache(None, frozen).image_outputs(prompt)
    with torch.no_grad():
        torch.testing.assert_close(
            score_branches(frozen.model, batch, image_outputs=kept),
            score_branches(frozen.model, batch),
        )


def test_another_run_reads_them_from_disk(frozen, tmp_path):
    prompt = prompt_of(frozen, 0, 1)
    first = features_of(FeatureCache(tmp_path, frozen).image_outputs(prompt))
    later = FeatureCache(tmp_path, frozen)
    assert torch.equal(features_of(later.image_outputs(prompt)), first)
    assert later.misses == 0


def test_one_batch_or_many_give_the_same(frozen):
    cache = FeatureCache(None, frozen)
    apart = [features_of(cache.image_outputs(prompt_of(frozen, seed))) for seed in (0, 1)]
    torch.testing.assert_close(
        torch.cat(apart), features_of(encode_images(frozen.model, prompt_of(frozen, 0, 1)))
    )


def test_a_changed_vision_weight_is_noticed(frozen, tmp_path):
    cache, prompt = FeatureCache(tmp_path, frozen), prompt_of(frozen, 0)
    before = features_of(cache.image_outputs(prompt))
    with torch.no_grad():
        vision_tower(frozen.model).embeddings.patch_embedding.weight.mul_(-1)
    after = features_of(cache.image_outputs(prompt))
    assert cache.misses == 2
    assert not torch.allclose(before, after, atol=1e-4)
    torch.testing.assert_close(
        after, features_of(encode_images(frozen.model, prompt)), rtol=0, atol=1e-6
    )


def test_another_feature_layer_gives_another_key(frozen, tmp_path):
    prompt = prompt_of(frozen, 0)
    FeatureCache(tmp_path, frozen).image_outputs(prompt)
    frozen.model.config.vision_feature_layer = -1
    other = FeatureCache(tmp_path, frozen)
    features = features_of(other.image_outputs(prompt))
    assert other.misses == 1
    torch.testing.assert_close(
        features, features_of(encode_images(frozen.model, prompt)), rtol=0, atol=1e-6
    )


def test_a_trained_projector_is_run_live_and_learns(frozen):
    cache, prompt = FeatureCache(None, frozen), prompt_of(frozen, 0)
    cache.image_outputs(prompt)
    projector = frozen.model.model.multi_modal_projector
    with torch.no_grad():
        projector.linear_2.weight.mul_(2)
    outputs = cache.image_outputs(prompt)
    assert cache.misses == 1
    torch.testing.assert_close(
        features_of(outputs), features_of(encode_images(frozen.model, prompt))
    )
    features_of(outputs).sum().backward()
    assert projector.linear_1.weight.grad.abs().sum() > 0


def test_a_trained_tower_is_refused_with_the_reason(own_llava, capsys):
    cache, prompt = FeatureCache(None, own_llava), prompt_of(own_llava, 0)
    assert cache.image_outputs(prompt) is None
    assert "its vision tower is being trained" in capsys.readouterr().err
    with pytest.raises(ModelError, match="being trained"):
        cache.store([prompt])
    with torch.no_grad():
        assert cache.image_outputs(prompt) is not None


def test_a_family_that_is_not_listed_falls_back(qwen, monkeypatch):
    monkeypatch.delitem(ARCHITECTURES, "qwen2_5_vl")
    cache = FeatureCache(None, qwen)
    assert "`qwen2_5_vl` has not been checked" in cache.unavailable_reason()
    assert cache.image_outputs(prompt_of(qwen, 0)) is None


def test_projected_features_need_a_frozen_projector(tiny_qwen2_5_vl_path):
    vlm = load_model(tiny_qwen2_5_vl_path, device="cpu")
    freeze(vlm.model, vision=True)
    assert "projector is being trained" in FeatureCache(None, vlm).unavailable_reason()
    freeze(vlm.model, vision=True, projector=True)
    assert FeatureCache(None, vlm).unavailable_reason() is None


@torch.no_grad()
def test_a_changed_projector_is_noticed_where_its_features_are_kept(tiny_qwen2_5_vl_path, tmp_path):
    vlm = load_model(tiny_qwen2_5_vl_path, device="cpu")
    cache, prompt = FeatureCache(tmp_path, vlm), prompt_of(vlm, 0)
    keys = cache.store([prompt])
    assert cache.store([prompt]) == keys
    next(vlm.model.model.visual.merger.parameters()).mul_(2)
    with pytest.raises(ModelError, match="have changed"):
        cache.load(keys)
    assert cache.store([prompt]) != keys


def test_an_adapter_on_the_language_model_changes_no_key(frozen, tmp_path):
    prompt = prompt_of(frozen, 0)
    FeatureCache(tmp_path, frozen).image_outputs(prompt)
    worn = FeatureCache(tmp_path, add_lora(frozen, LoraRecipe(rank=2)))
    worn.image_outputs(prompt)
    assert worn.misses == 0


def test_memory_is_bounded_and_the_disk_remembers(frozen, tmp_path):
    one = features_of(FeatureCache(None, frozen).image_outputs(prompt_of(frozen, 0))).nbytes
    bounded = FeatureCache(None, frozen, memory_bytes=2 * one)
    for seed in (0, 1, 2, 0):
        bounded.image_outputs(prompt_of(frozen, seed))
    assert bounded.misses == 4
    on_disk = FeatureCache(tmp_path, frozen, memory_bytes=2 * one)
    for seed in (0, 1, 2, 0):
        on_disk.image_outputs(prompt_of(frozen, seed))
    assert on_disk.misses == 3


def test_more_images_in_a_batch_than_memory_holds(frozen):
    prompt = prompt_of(frozen, 0, 1, 2)
    tight = FeatureCache(None, frozen, memory_bytes=1)
    torch.testing.assert_close(
        features_of(tight.image_outputs(prompt)),
        features_of(encode_images(frozen.model, prompt)),
        rtol=0,
        atol=1e-6,
    )


def test_a_broken_file_is_encoded_anew(frozen, tmp_path):
    prompt = prompt_of(frozen, 0)
    FeatureCache(tmp_path, frozen).image_outputs(prompt)
    file = next(tmp_path.glob("*/*.safetensors"))
    file.write_bytes(file.read_bytes()[:40])
    again = FeatureCache(tmp_path, frozen)
    torch.testing.assert_close(
        features_of(again.image_outputs(prompt)),
        features_of(encode_images(frozen.model, prompt)),
        rtol=0,
        atol=1e-6,
    )
    assert again.misses == 1
    assert load_file(file)["feature"].shape == (1, 16, 32)


def test_keys_recall_without_pixels(frozen, tmp_path):
    prompts = [prompt_of(frozen, seed) for seed in (0, 1)]
    cache = FeatureCache(tmp_path, frozen)
    keys = cache.store(prompts)
    whole = features_of(cache.image_outputs(prompt_of(frozen, 0, 1)))
    assert torch.equal(features_of(cache.load(keys)), whole)
    assert torch.equal(
        features_of(FeatureCache(tmp_path, frozen).load(keys[::-1]))[0],
        features_of(cache.load(keys))[1],
    )
    other = FeatureCache(None, frozen)
    other.store([prompt_of(frozen, 3)])
    with pytest.raises(ModelError, match="cannot be read again"):
        other.load(keys)
    with torch.no_grad():
        next(vision_tower(frozen.model).parameters()).add_(0.5)
    with pytest.raises(ModelError, match="have changed"):
        cache.load(keys)


def test_what_does_not_fit_on_the_disk_is_read_again(frozen, tmp_path, capsys):
    """Whatever the bound, a batch sees the same features, and the folder stays below it."""
    prompts, reads = [prompt_of(frozen, seed) for seed in range(4)], []

    def reader(number):
        def read():
            reads.append(number)
            return prompts[number]

        return read

    one = 16 * 32 * 4
    cache = FeatureCache(tmp_path, frozen, memory_bytes=1, disk_bytes=2 * one)
    keys = cache.store(prompts, read=[reader(number) for number in range(4)])
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    assert "train.feature_cache_gib" in capsys.readouterr().err
    cache.read_ahead(keys)
    assert reads == [2]  # the last one is still in memory
    expected = features_of(encode_images(frozen.model, prompt_of(frozen, 0, 1, 2, 3)))
    for _ in range(2):
        torch.testing.assert_close(features_of(cache.load(keys)), expected, rtol=0, atol=1e-6)
    for file in tmp_path.rglob("*.safetensors"):  # somebody emptied the folder
        file.unlink()
    torch.testing.assert_close(features_of(cache.load(keys)), expected, rtol=0, atol=1e-6)
    prompts[1] = prompt_of(frozen, 9)
    with pytest.raises(ModelError, match="not the one that was read at the start"):
        cache.load(keys[1:2])


def test_other_models_files_make_room_once_they_are_old(frozen, tmp_path):
    old, new = tmp_path / ("0" * 32), tmp_path / ("1" * 32)
    for folder in (old, new):
        folder.mkdir()
        (folder / "x.safetensors").write_bytes(bytes(3000))
    os.utime(old, (0, 0))
    cache = FeatureCache(tmp_path, frozen, disk_bytes=6000)
    cache.store([prompt_of(frozen, 0)])
    assert not old.exists()
    assert new.exists()
    cache.store([prompt_of(frozen, 1)])
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
