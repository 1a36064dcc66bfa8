"""Every architecture with fast paths, as a random miniature: branches, positions, decoding."""

from types import SimpleNamespace

import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    CLIPVisionConfig,
    Gemma3Config,
    Idefics3Config,
    InternVLConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaNextConfig,
    LlavaOnevisionConfig,
    MistralConfig,
    Qwen2Config,
    Qwen2VLConfig,
    Qwen3Config,
    Qwen3VLConfig,
    SiglipVisionConfig,
    SmolVLMConfig,
)

import model_zoo
from miniatures import picture
from veridical.models import branches
from veridical.models.architectures.images import encode_images
from veridical.models.architectures.positions import no_fast_path_reason, prompt_positions
from veridical.models.branches import BranchBatch, score_branches, stack_responses
from veridical.models.decoding.choice import TokenChoice, uniform_noise
from veridical.models.decoding.decoder import decode_lean, fixed_rows
from veridical.models.decoding.general import decode_generally
from veridical.models.decoding.loop import run_loop
from veridical.models.decoding.prompt_pass import read_prompt
from veridical.models.loading import VisionLanguageModel, load_model
from veridical.models.path_choice import paths_taken
from veridical.models.prompts.encoding import encode_prompts

IMAGE, END = 50, 2
TEXT = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": END,
}
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
CLIP = CLIPVisionConfig(**TOWER, image_size=16, patch_size=8, projection_dim=32)
SIGLIP = SiglipVisionConfig(**TOWER, image_size=16, patch_size=8)
ROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
LLAVA = {"image_token_index": IMAGE, "vision_feature_layer": -1}
QWEN = {
    "image_token_id": IMAGE,
    "video_token_id": 51,
    "vision_start_token_id": 52,
    "vision_end_token_id": 53,
}
QWEN_TOWER = {
    "depth": 2,
    "hidden_size": 32,
    "num_heads": 2,
    "patch_size": 4,
    "spatial_merge_size": 2,
}
IDEFICS = {
    "vision_config": {**TOWER, "image_size": 16, "patch_size": 4},
    "image_token_id": IMAGE,
    "scale_factor": 2,
}


def one_image():
    return {"pixel_values": torch.randn(2, 3, 16, 16)}


def tiles(count, size):
    return {
        "pixel_values": torch.randn(2, count, 3, 16, 16),
        "image_sizes": torch.tensor([[size, size]] * 2),
    }


def patches():
    return {
        "pixel_values": torch.randn(48, 96),
        "image_grid_thw": torch.tensor([[1, 4, 6], [1, 6, 4]]),
    }


ARCHITECTURES = {
    "llava": lambda: (
        LlavaConfig(vision_config=CLIP, text_config=LlamaConfig(**TEXT), **LLAVA),
        4,
        one_image(),
    ),
    "llava, mistral": lambda: (
        LlavaConfig(
            vision_config=CLIP, text_config=MistralConfig(**TEXT, sliding_window=None), **LLAVA
        ),
        4,
        one_image(),
    ),
    "llava, qwen2": lambda: (
        LlavaConfig(vision_config=CLIP, text_config=Qwen2Config(**TEXT), **LLAVA),
        4,
        one_image(),
    ),
    "llava, siglip, qwen3": lambda: (
        LlavaConfig(
            vision_config=SIGLIP,
            text_config=Qwen3Config(**TEXT, head_dim=8),
            **LLAVA,
            vision_feature_select_strategy="full",
        ),
        4,
        one_image(),
    ),
    "llava_next": lambda: (
        LlavaNextConfig(
            vision_config=CLIP,
            text_config=LlamaConfig(**TEXT),
            **LLAVA,
            image_grid_pinpoints=[[16, 32], [32, 16], [32, 32]],
        ),
        4 + 16 + 4,
        tiles(5, 32),
    ),
    "llava_onevision": lambda: (
        LlavaOnevisionConfig(
            vision_config=SIGLIP,
            text_config=Qwen2Config(**TEXT),
            **LLAVA,
            video_token_index=51,
            image_grid_pinpoints=[[16, 16]],
        ),
        4 + 6,
        tiles(2, 16),
    ),
    "idefics3": lambda: (
        Idefics3Config(text_config=LlamaConfig(**TEXT), **IDEFICS),
        8,
        tiles(2, 16),
    ),
    "smolvlm": lambda: (SmolVLMConfig(text_config=LlamaConfig(**TEXT), **IDEFICS), 8, tiles(2, 16)),
    "internvl": lambda: (
        InternVLConfig(
            vision_config={**TOWER, "image_size": [16, 16], "patch_size": [4, 4]},
            text_config=Qwen2Config(**TEXT),
            image_token_id=IMAGE,
            downsample_ratio=0.5,
        ),
        4,
        one_image(),
    ),
    "qwen2_vl": lambda: (
        Qwen2VLConfig(
            text_config={**TEXT, "rope_parameters": ROPE, "use_sliding_window": False},
            vision_config={**QWEN_TOWER, "embed_dim": 32, "mlp_ratio": 2},
            **QWEN,
        ),
        6,
        patches(),
    ),
    "qwen3_vl": lambda: (
        Qwen3VLConfig(
            text_config={**TEXT, "head_dim": 8, "rope_parameters": ROPE},
            vision_config={
                **QWEN_TOWER,
                "intermediate_size": 48,
                "out_hidden_size": 32,
                "num_position_embeddings": 16,
                "deepstack_visual_indexes": [0, 1],
            },
            **QWEN,
        ),
        6,
        patches(),
    ),
}


def build(name):
    """A model and two padded prompts with images."""
    torch.manual_seed(0)
    config, count, extra = ARCHITECTURES[name]()
    if config.model_type in ("idefics3", "smolvlm"):
        extra = {
            "pixel_values": extra["pixel_values"],
            "pixel_attention_mask": torch.ones(2, 2, 16, 16).long(),
        }
    model = AutoModelForImageTextToText.from_config(config).eval()
    return model, prompt_of(count, extra, config)


def prompt_of(count, extra, config):
    rows = [[3, 4] + [IMAGE] * count + [5, 6, 7], [3, 4] + [IMAGE] * count + [8]]
    ids = torch.tensor([rows[0], [0, 0, *rows[1]]])
    mask = torch.ones_like(ids)
    mask[1, :2] = 0
    types = {"mm_token_type_ids": (ids == IMAGE).int()} if "qwen" in config.model_type else {}
    return {"input_ids": ids, "attention_mask": mask, **extra, **types}


def batch_of(prompt):
    return BranchBatch(prompt, *stack_responses([[[9, 10, 11], [12, 13]], [[14, 15, 16, 17], []]]))


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_branches_give_what_prompt_copies_give_and_see_the_image(name):
    model, prompt = build(name)
    assert branches.no_branches_reason(model) is None
    batch = batch_of(prompt)
    scores, plain = (score_branches(model, batch, plain=p) for p in (False, True))
    torch.testing.assert_close(scores, plain, rtol=0, atol=1e-5)
    # The second forward is the model's own, without padding, for one response.
    alone = {k: v[:1] for k, v in prompt.items() if k != "pixel_values"}
    alone["pixel_values"] = prompt["pixel_values"][: 24 if "image_grid_thw" in prompt else 1]
    more = torch.tensor([[9, 10, 11]])
    alone["input_ids"] = torch.cat([alone["input_ids"], more], -1)
    alone["attention_mask"] = torch.ones_like(alone["input_ids"])
    if "mm_token_type_ids" in alone:
        alone["mm_token_type_ids"] = torch.cat(
            [alone["mm_token_type_ids"], torch.zeros_like(more).int()], -1
        )
    logprobs = model(**alone).logits[0, -4:-1].log_softmax(-1)
    torch.testing.assert_close(
        scores[0, 0, :3], logprobs.gather(1, more.T).squeeze(1), rtol=0, atol=1e-5
    )
    other = batch_of({**prompt, "pixel_values": -3 * prompt["pixel_values"]})
    assert not torch.allclose(score_branches(model, other), scores, atol=1e-4)


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_images_encoded_before_give_the_same_on_both_paths(name):
    model, prompt = build(name)
    batch = batch_of(prompt)
    scores = score_branches(model, batch)
    for plain in (False, True):
        outputs = encode_images(model, prompt)
        again = score_branches(model, batch, image_outputs=outputs, plain=plain)
        torch.testing.assert_close(again, scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.inference_mode()
def test_our_loop_gives_what_generate_gives_over_a_growing_and_over_a_fixed_cache(name):
    model, prompt = build(name)
    names = SimpleNamespace(
        tokenizer=SimpleNamespace(eos_token_id=END), image_token_id=IMAGE, video_token_id=None
    )
    vlm = VisionLanguageModel(model, names, name)
    for temperature, count in ((0.0, 1), (1.0, 3)):
        noise = uniform_noise(range(2 * count), 8) if temperature else None
        choice = TokenChoice(temperature, 1.0, torch.tensor([IMAGE]), noise, count, 8)
        fixed = fixed_rows(vlm, read_prompt(vlm, prompt, None), choice, capture=False)
        runs = [
            decode_lean(vlm, prompt, None, choice),
            run_loop(fixed, max_new_tokens=8),
            decode_generally(vlm, prompt, None, choice),
        ]
        lean, fixed, general = (
            [row[: row.index(END) + 1] if END in row else row for row in ids.tolist()]
            for ids in runs
        )
        assert lean == general
        assert fixed == general


def test_positions_are_the_models_own(qwen):
    prompt = encode_prompts(qwen, ["Hm?", "What is it?"], [picture(0), picture(1, size=(40, 64))])
    seen = {}
    handle = qwen.model.model.language_model.register_forward_pre_hook(
        lambda _m, _a, kwargs: seen.update(kwargs), with_kwargs=True
    )
    qwen.model(**prompt)
    handle.remove()
    positions = prompt_positions(qwen.model, prompt)
    assert torch.equal(positions.ids, seen["position_ids"])
    assert torch.equal(positions.next, positions.ids.amax((0, 2)) + 1)


@torch.no_grad()
def test_images_that_see_ahead_are_kept_off_the_fast_path():
    """Gemma 3 attends both ways within an image: branches have a mask of their own for it."""
    torch.manual_seed(0)
    text = {
        **TEXT,
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "layer_types": ["full_attention"] * 3,
    }
    model = AutoModelForImageTextToText.from_config(
        Gemma3Config(
            text_config=text, vision_config=SIGLIP, image_token_index=IMAGE, mm_tokens_per_image=4
        )
    ).eval()
    prompt = prompt_of(4, one_image(), model.config)
    prompt["token_type_ids"] = (prompt["input_ids"] == IMAGE).long()
    assert "gemma3" in no_fast_path_reason(model)
    batch = batch_of(prompt)
    scores = score_branches(model, batch)
    logits = model(
        input_ids=torch.cat([prompt["input_ids"][:1], batch.response_ids[:1, 0, :3]], -1),
        attention_mask=torch.ones(1, 12, dtype=torch.long),
        token_type_ids=torch.cat(
            [prompt["token_type_ids"][:1], torch.zeros(1, 3, dtype=torch.long)], -1
        ),
        pixel_values=prompt["pixel_values"][:1],
    ).logits
    expected = (
        logits[0, -4:-1].log_softmax(-1).gather(1, batch.response_ids[0, 0, :3, None]).squeeze(1)
    )
    torch.testing.assert_close(scores[0, 0, :3], expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_branches_keep_to_a_window_that_is_shorter_than_an_image():
    torch.manual_seed(0)
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    text = {**TEXT, "head_dim": 8, "query_pre_attn_scalar": 8, "layer_types": kinds}
    config = Gemma3Config(
        text_config={**text, "sliding_window": 3},
        vision_config=SIGLIP,
        image_token_index=IMAGE,
        mm_tokens_per_image=4,
    )
    model = AutoModelForImageTextToText.from_config(config).eval()
    prompt = prompt_of(4, one_image(), config)
    prompt["token_type_ids"] = (prompt["input_ids"] == IMAGE).long()
    assert branches.no_branches_reason(model) is None
    scores, plain = (score_branches(model, batch_of(prompt), plain=p) for p in (False, True))
    torch.testing.assert_close(scores, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["paligemma, gemma2", "idefics2"])
@torch.no_grad()
def test_where_one_mask_serves_all_layers_a_short_window_takes_prompt_copies(family, tmp_path):
    """PaliGemma's forward makes the masks of Gemma 2's layers from one that it is given, and all
    layers of Mistral 7B (Idefics2) have a window."""
    vlm = load_model(model_zoo.build(family, tmp_path), device="cpu")
    prompt = encode_prompts(vlm, ["What is it?"], [picture(0)])
    batch = BranchBatch(prompt, *stack_responses([[[9, 10, 11], [12, 13]]]))
    for window, path in ((64, "branches"), (8, "copies of the prompt")):
        vlm.model.config.text_config.sliding_window = window
        before = paths_taken(vlm.model).get(path, 0)
        scores, plain = (score_branches(vlm.model, batch, plain=p) for p in (False, True))
        torch.testing.assert_close(scores, plain, rtol=0, atol=1e-5)
        assert paths_taken(vlm.model)[path] == before + 1
