"""How pictures are shown to a model: whole or cut, and how large.

RLHF-V (arXiv 2312.00849, section 4) names two causes of hallucination in the pictures themselves:
what a crop cuts away is still named by the responses that are learnt, and small pictures hide
details that the responses name. Both have an option here; neither is on by default, since a
checkpoint was trained with its own processor.
"""

from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn

from veridical.errors import ModelError
from veridical.models.prompts.settings import ProcessorRecipe, apply_image_settings
from veridical.progress import log

_SHARED = frozenset({"image_grid_pinpoints"})
"""Settings of image processors that a model's config repeats, to put tiles in order again."""

_ONE_SQUARE = frozenset({"llava", "vipllava"})
"""Families that read a picture as one square, with a token for each patch; others cut tiles of it
or make a fixed number of tokens of it."""


def as_shown(image: Image.Image, processor: Any, settings: ProcessorRecipe) -> Image.Image:
    """A picture as a model's image processor gets it: RGB, laid on a square where that is asked."""
    rgb = image.convert("RGB")
    side = max(rgb.size)
    if not settings.pad or rgb.size == (side, side):
        return rgb
    mean = getattr(processor.image_processor, "image_mean", None) or [0.5] * 3
    red, green, blue = (round(255 * value) for value in mean)
    square = Image.new("RGB", (side, side), (red, green, blue))
    square.paste(rgb, ((side - rgb.width) // 2, (side - rgb.height) // 2))
    return square


def apply_picture_settings(
    name: str, model: Any, processor: Any, settings: ProcessorRecipe
) -> None:
    """Give a model and its processor the settings of pictures that the recipe names.

    Raises:
        ModelError: The model has no such setting.
    """
    apply_image_settings(name, processor, settings.images)
    for setting in _SHARED & set(settings.images):
        setattr(model.config, setting, settings.images[setting])
    if settings.resolution:
        _set_resolution(name, model, processor, settings.resolution)


def warn_about_pictures(name: str, processor: Any, settings: ProcessorRecipe) -> None:
    """Report what training will see of the pictures, where that is less or other than usual."""
    reader = processor.image_processor
    crops = "CLIPImageProcessor" in type(reader).__name__ and reader.do_center_crop
    if crops and not settings.pad:
        log(
            f"Warning: the image processor of `{name}` cuts pictures to the square in their middle,"
            " and responses may speak of what lies outside (RLHF-V trains without cropping)."
            " model.processor.pad = true shows them whole."
        )
    if settings.resolution:
        log(
            f"Warning: pictures are read at {settings.resolution} pixels instead of the"
            " checkpoint's own size: places in them are interpolated, and each picture is more"
            " tokens. Measure the model before and after."
        )


class _Grid(NamedTuple):
    """Where a tower of one size keeps the places of its patches."""

    embeddings: Any
    """The module with the embedding of places."""
    special: int
    """Places that belong to no patch (CLIP's class token)."""


def _set_resolution(name: str, model: nn.Module, processor: Any, side: int) -> None:
    """Let a tower of one size read larger or smaller squares: its places are interpolated.

    Raises:
        ModelError: The tower has no grid of places, or the side not a multiple of its patches.
    """
    config: Any = model.config
    found: list[Any] = [module for module in model.modules() if _is_grid(module)]
    if len(found) != 1 or config.model_type not in _ONE_SQUARE:
        raise ModelError(
            f"`{name}` is a `{config.model_type}`, which does not read a picture as one square with"
            " a token for each of its patches, so that `processor.resolution` does not apply. Set"
            " `processor.images`, for instance max_pixels."
        )
    (embeddings,) = found
    if embeddings.image_size == side:
        return
    if side % embeddings.patch_size:
        raise ModelError(
            f"`processor.resolution` = {side} is not a multiple of the {embeddings.patch_size}"
            f" pixels of a patch of `{name}`. Choose a multiple."
        )
    grid = _Grid(embeddings, embeddings.num_positions - embeddings.num_patches)
    count = side // embeddings.patch_size
    _interpolate(grid, count)
    embeddings.image_size, embeddings.num_patches = side, count**2
    embeddings.num_positions = count**2 + grid.special
    config.vision_config.image_size = side
    if hasattr(config, "image_seq_length"):
        config.image_seq_length = count**2
    reader = processor.image_processor
    square = {"height": side, "width": side}
    reader.size = {"shortest_edge": side} if "shortest_edge" in dict(reader.size) else square
    if getattr(reader, "crop_size", None):
        reader.crop_size = square


def _is_grid(module: Any) -> bool:
    names = ("position_embedding", "image_size", "patch_size", "num_patches", "num_positions")
    return all(hasattr(module, name) for name in names)


def _interpolate(grid: _Grid, count: int) -> None:
    """Replace the embedding of places by one of `count` × `count` patches."""
    old: Tensor = grid.embeddings.position_embedding.weight.detach()
    special, patches = old[: grid.special], old[grid.special :]
    before = round(len(patches) ** 0.5)
    square = patches.reshape(1, before, before, -1).permute(0, 3, 1, 2).float()
    larger = nn.functional.interpolate(
        square, size=(count, count), mode="bicubic", align_corners=False
    )
    rows = larger.permute(0, 2, 3, 1).reshape(count**2, -1).to(old.dtype)
    places = torch.cat([special, rows])
    embedding = nn.Embedding.from_pretrained(places, freeze=True)  # type: ignore[no-untyped-call]
    grid.embeddings.position_embedding = embedding
    ids = torch.arange(len(places), device=old.device).expand((1, -1))
    grid.embeddings.register_buffer("position_ids", ids, persistent=False)
