"""Random models in the shapes of real ones, made where they are needed."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from veridical.models.branches import BranchBatch
from veridical.models.loading import VisionLanguageModel

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "photographs"))
from make_miniature import TEMPLATE, make_tokenizer

SIDE, PATCH = 336, 14
IMAGE_TOKENS = (SIDE // PATCH) ** 2
TEXT_TOKENS, RESPONSE_TOKENS = 26, 99


def _llava(*, tiny: bool) -> Any:
    tokenizer = make_tokenizer()
    vision = (
        {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
        | {"num_attention_heads": 2, "projection_dim": 32}
        if tiny
        else {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24}
        | {"num_attention_heads": 16, "projection_dim": 768}
    )
    text = (
        {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
        | {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": len(tokenizer)}
        if tiny
        else {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32}
        | {"num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32_064}
    )
    return LlavaConfig(
        vision_config=CLIPVisionConfig(image_size=SIDE, patch_size=PATCH, **vision),
        text_config=LlamaConfig(
            max_position_embeddings=4096,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            **text,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_seq_length=IMAGE_TOKENS,
    )


def _qwen(*, tiny: bool) -> Any:
    vision = (
        {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2}
        | {"out_hidden_size": 64, "fullatt_block_indexes": [1]}
        if tiny
        else {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16}
        | {"out_hidden_size": 3584, "fullatt_block_indexes": [7, 15, 23, 31]}
    )
    sections = [2, 3, 3] if tiny else [16, 24, 24]
    text = (
        {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
        | {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 2_000}
        if tiny
        else {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28}
        | {"num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152_064}
    )
    # The tokenizer of the miniature is used for both: ids below 2,000 mean text in both.
    return Qwen2_5_VLConfig(
        vision_config={
            "patch_size": PATCH,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            **vision,
        },
        text_config={
            "max_position_embeddings": 32_768,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": sections,
            },
            "use_sliding_window": False,
            "eos_token_id": 1,
            "pad_token_id": 2,
            "bos_token_id": None,
            **text,
        },
        image_token_id=3,
        video_token_id=len_of_vocabulary(tiny=tiny) - 1,
        vision_start_token_id=len_of_vocabulary(tiny=tiny) - 3,
        vision_end_token_id=len_of_vocabulary(tiny=tiny) - 2,
    )


def len_of_vocabulary(*, tiny: bool) -> int:
    """Rows of the Qwen shape's embedding."""
    return 2_000 if tiny else 152_064


def make_model(shape: str, *, device: str, tiny: bool) -> VisionLanguageModel:
    """A random model of a shape, its weights drawn on the device, in bfloat16 on a GPU."""
    config = {"llava": _llava, "qwen": _qwen}[shape](tiny=tiny)
    kind: Any = {
        "llava": LlavaForConditionalGeneration,
        "qwen": Qwen2_5_VLForConditionalGeneration,
    }[shape]
    torch.manual_seed(0)
    with torch.device(device):
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        model = kind._from_config(config, dtype=dtype)
    model.requires_grad_(requires_grad=False)
    model.generation_config.eos_token_id = config.get_text_config().eos_token_id
    model.generation_config.pad_token_id = config.get_text_config().pad_token_id
    return VisionLanguageModel(model.eval(), make_processor(), f"random {shape}")


def make_processor() -> LlavaProcessor:
    """LLaVA-1.5's processor with the miniature's tokenizer."""
    return LlavaProcessor(
        CLIPImageProcessorPil(
            size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
        ),
        make_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


def make_batch(vlm: VisionLanguageModel, *, pairs: int, device: str) -> BranchBatch:
    """Prompts of one image and 26 tokens of text, with two responses of 99 tokens."""
    config = vlm.model.config
    random = torch.Generator().manual_seed(0)
    placeholder = config.image_token_id

    def words(*size: int) -> Tensor:
        return torch.randint(10, 500, size, generator=random)

    text = words(pairs, TEXT_TOKENS)
    images = torch.full((pairs, IMAGE_TOKENS), placeholder)
    if config.model_type == "llava":
        pixels: dict[str, Tensor] = {
            "pixel_values": torch.randn(pairs, 3, SIDE, SIDE, generator=random)
        }
    else:
        side = 2 * SIDE // PATCH  # merged two by two, they make as many tokens as LLaVA's
        pixels = {
            "pixel_values": torch.randn(pairs * side**2, 3 * 2 * PATCH**2, generator=random),
            "image_grid_thw": torch.tensor([[1, side, side]] * pairs),
        }
    ids = torch.cat([text[:, :4], images, text[:, 4:]], dim=1)
    prompt = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **pixels}
    if config.model_type != "llava":
        prompt["mm_token_type_ids"] = (ids == placeholder).long()
    dtype = vlm.model.dtype
    prompt = {k: v.to(dtype) if v.is_floating_point() else v for k, v in prompt.items()}
    response = words(pairs, 2, RESPONSE_TOKENS)
    mask = torch.ones_like(response, dtype=torch.bool)
    return BranchBatch(prompt, response, mask).to(device)


def one_by_one(batch: BranchBatch) -> list[dict[str, Tensor]]:
    """The prompts of a batch of `make_batch`, as batches of one."""
    pairs = len(batch.response_ids)
    return [
        {
            name: value[number * len(value) // pairs : (number + 1) * len(value) // pairs]
            for name, value in batch.prompt.items()
        }
        for number in range(pairs)
    ]
