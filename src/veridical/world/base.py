"""The base model of the world: a small `LlavaForConditionalGeneration` with its own processor.

It is loaded by `AutoModelForImageTextToText` and `AutoProcessor` like any other; nothing about it
is special. The shipped checkpoint lies in the package; `veridical world pretrain` makes a new one.
"""

import math
from pathlib import Path
from typing import NamedTuple

from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from veridical.errors import ModelError
from veridical.world.scenes import IMAGE_PIXELS
from veridical.world.tokenizer import CHAT_TEMPLATE, IMAGE_TOKEN

PATCH_PIXELS = 20
PATCHES_PER_SIDE = IMAGE_PIXELS // PATCH_PIXELS
IMAGE_TOKENS = PATCHES_PER_SIDE**2


class ModelSize(NamedTuple):
    """How large a base model is made."""

    width: int
    """Width of the tower and of the language model."""
    language_layers: int
    vision_layers: int
    heads: int
    """Attention heads of a layer."""

    @property
    def weight_scale(self) -> float:
        """Standard deviation of the language model's first weights, about 1/√width.

        transformers' default, 0.02, is made for widths of thousands: here it leaves attention so
        flat that matching a word with its like is never learned.
        """
        return round(0.905 / math.sqrt(self.width), 3)


SMALL = ModelSize(width=128, language_layers=4, vision_layers=3, heads=4)
"""1.6 million weights: what a CPU trains; the shipped one."""
LARGE = ModelSize(width=384, language_layers=6, vision_layers=4, heads=6)
"""18.5 million weights: for a GPU."""

WORLD_MODEL = "world"
"""The name by which recipes ask for the shipped base model."""


def base_model_path() -> Path:
    """Folder of the shipped checkpoint.

    Raises:
        ModelError: The package was built without it.
    """
    folder = Path(__file__).parent / "checkpoint"
    if not (folder / "model.safetensors").is_file():
        raise ModelError(
            f"The base model of the world is not in `{folder}`. "
            "Install a complete package, or make one with: veridical world pretrain --out DIR"
        )
    return folder


def build_model(
    tokenizer: PreTrainedTokenizerFast, *, seed: int, size: ModelSize = SMALL
) -> LlavaForConditionalGeneration:
    """Make the untrained base model, weights drawn from the seed.

    Args:
        tokenizer: Its tokenizer; gives the vocabulary and the special tokens.
        seed: Seed of the weights.
        size: How large it is.
    """
    import torch

    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        intermediate_size=3 * size.width,
        num_hidden_layers=size.language_layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=1024,
        initializer_range=size.weight_scale,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(
        hidden_size=size.width,
        intermediate_size=3 * size.width,
        num_hidden_layers=size.vision_layers,
        num_attention_heads=size.heads,
        image_size=IMAGE_PIXELS,
        patch_size=PATCH_PIXELS,
        projection_dim=size.width,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=image_token_id(tokenizer),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=IMAGE_TOKENS,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.bos_token_id = None
    return model


def image_token_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """Id of the image placeholder."""
    found: int = tokenizer.get_vocab()[IMAGE_TOKEN]
    return found


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Make the processor: the whole picture at 120×120 pixels, never cropped or flipped."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    side = {"height": IMAGE_PIXELS, "width": IMAGE_PIXELS}
    image_processor = CLIPImageProcessorPil(
        do_resize=True, size=side, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    return LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=PATCH_PIXELS,
        vision_feature_select_strategy="default",
        image_token=IMAGE_TOKEN,
        chat_template=CHAT_TEMPLATE,
        num_additional_image_tokens=1,
    )
