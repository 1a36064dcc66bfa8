"""Rows that are held out by their images, so that no image is learnt from and measured on."""

from collections.abc import Sequence
from typing import TypeVar

from veridical.errors import ConfigError
from veridical.feedback.pairs import HasImage, split_by_image

Item = TypeVar("Item", bound=HasImage)


def hold_out(
    items: Sequence[Item], share: float, *, setting: str, seed: int
) -> tuple[list[Item], list[Item]]:
    """Split rows into those that are learnt from and those that are held out.

    Args:
        items: The rows.
        share: Share of the images that is held out; 0: none.
        setting: The setting that gives the share, for the error.
        seed: Root seed.

    Raises:
        ConfigError: There are too few images for the share.
    """
    if not share:
        return list(items), []
    try:
        parts = split_by_image(items, {"train": 1 - share, "held out": share}, seed=seed)
    except ConfigError as error:
        images = len({item.image.sha256 or item.image.path for item in items})
        raise ConfigError(
            f"`{setting}` = {share:g} splits {images} images so that one part gets none. Give more"
            " images or another share, or set it to 0."
        ) from error
    return parts["train"], parts["held out"]
