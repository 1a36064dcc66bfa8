"""The base model of the world: a small `LlavaForConditionalGeneration` with its own processor.

It is loaded by `AutoModelForImageTextToText` and `AutoProcessor` like any other; nothing about it
is special. The shipped checkpoint lies in the package; `veridical world pretrain` makes a new one.
"""

from pathlib import Path

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
WIDTH = 128
LANGUAGE_LAYERS = 4
VISION_LAYERS = 3
_WEIGHT_SCALE = 0.08
"""Standard deviation of the language model's first weights, about 1/√width. transformers' default,
0.02, is made for widths of thousands: here it leaves attention so flat that matching a word with
its like is never learned."""

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


def build_model(tokenizer: PreTrainedTokenizerFast, *, seed: int) -> LlavaForConditionalGeneration:
    """Make the untrained base model, weights drawn from the seed.

    Args:
        tokenizer: Its tokenizer; gives the vocabulary and the special tokens.
        seed: Seed of the weights.
    """
    import torch

    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=LANGUAGE_LAYERS,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        initializer_range=_WEIGHT_SCALE,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=VISION_LAYERS,
        num_attention_heads=4,
        image_size=IMAGE_PIXELS,
        patch_size=PATCH_PIXELS,
        projection_dim=WIDTH,
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
