"""What a model's processor is given beside texts and pictures: system message, template, sizes.

All of it changes what a model reads, and with it what it learned. It is therefore saved next to
trained weights, and used again wherever those are loaded, unless other settings are asked for by
name; the difference is then reported.
"""

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from veridical.config import Recipe
from veridical.errors import ModelError
from veridical.files import write_json_atomically
from veridical.progress import log

SETTINGS_FILE = "processor_settings.json"
"""Where they are saved, next to an adapter or a whole model."""

_OURS = ("add_generation_prompt", "continue_final_message", "tokenize", "return_dict")


class ProcessorRecipe(Recipe):
    """What the model's processor is given beside texts and pictures."""

    system: str = ""
    """System message of prompts that bring none of their own. Empty: what the chat template says by
    itself."""
    template: dict[str, Any] = Field(default_factory=dict)
    """Options of the chat template, by the names that it uses: `enable_thinking = false` for
    models that may think before they answer."""
    images: dict[str, Any] = Field(default_factory=dict)
    """Settings of the image processor in place of the checkpoint's, by its own names: `max_pixels =
    1003520` for the Qwen-VL family, which else reads large pictures as many thousand tokens."""
    pad: bool = False
    """Lay pictures on a square of the processor's mean colour first, so that a crop to the middle
    (CLIP's, of LLaVA-1.5) cuts nothing away. LLaVA and LLaVA-RLHF: true; RLHF-V: no cropping."""
    resolution: int = Field(default=0, ge=0)
    """Side of the square that a vision tower of one size reads, in pixels; its places are
    interpolated. 0: the checkpoint's. RLHF-V: 448. For families that read a picture as one such
    square (LLaVA-1.5, ViP-LLaVA); others have `images` instead: `max_pixels`, tiles, crops."""

    @field_validator("template")
    @classmethod
    def _options_are_the_templates(cls, options: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(set(options) & set(_OURS))
        if taken:
            raise ValueError(f"`{taken[0]}` is set by Veridical itself; leave it out")
        return options

    def __str__(self) -> str:
        """As messages show it."""
        said = [f"system = {self.system!r}"] if self.system else []
        for section in ("template", "images"):
            options = getattr(self, section)
            said += [f"{section}.{name} = {value!r}" for name, value in options.items()]
        said += ["pad = true"] if self.pad else []
        said += [f"resolution = {self.resolution}"] if self.resolution else []
        return ", ".join(said) or "nothing"


def pick_settings(
    given: ProcessorRecipe | None, name: str, *, adapter: str | None = None
) -> ProcessorRecipe:
    """Decide what a model's processor is given, and report where training gave it something else.

    Args:
        given: What the recipe asks for; None takes what the model was trained with.
        name: Folder or hub id of the model.
        adapter: Folder or hub id of the adapter on it, whose training came later.

    Raises:
        ModelError: What was saved with the weights is not readable.
    """
    places = [place for place in (adapter, name) if place is not None]
    found = ((place, read_settings(place)) for place in places)
    where, trained = next(((place, saved) for place, saved in found if saved), (name, None))
    if given is None:
        return trained or ProcessorRecipe()
    if trained is not None and given != trained:
        log(
            f"Warning: the processor of `{where}` was given {trained} in training, and is now given"
            f" {given}: the model reads other prompts than those that it learned from."
        )
    return given


def read_settings(place: str) -> ProcessorRecipe | None:
    """What the processor was given in the training of a model or adapter; None if none are saved.

    Raises:
        ModelError: The file does not hold such settings.
    """
    from veridical.models.processors import read_json_of  # recipes load no model code

    saved = read_json_of(place, SETTINGS_FILE)
    try:
        return ProcessorRecipe.model_validate(saved) if saved else None
    except ValidationError as error:
        raise ModelError(
            f"`{SETTINGS_FILE}` of `{place}` does not hold a processor's settings, got"
            f" {str(saved)[:80]}. Remove the file, or restore it."
        ) from error


def save_settings(settings: ProcessorRecipe, folder: Path) -> None:
    """Save what the processor was given, next to weights that were trained with it."""
    write_json_atomically(folder / SETTINGS_FILE, settings.model_dump(mode="json"))


def apply_image_settings(name: str, processor: Any, images: dict[str, Any]) -> None:
    """Give the image processor of a model settings in place of its own.

    `min_pixels` and `max_pixels` are what its `size` says as shortest and longest edge, where that
    counts pixels.

    Raises:
        ModelError: It has no such setting.
    """
    reader = processor.image_processor
    named = getattr(getattr(reader, "valid_kwargs", None), "__annotations__", {})
    known = {*named, *reader.to_dict()}
    for setting, value in images.items():
        if setting not in known:
            raise ModelError(
                f"The image processor of `{name}` ({type(reader).__name__}) has no setting"
                f" {setting!r}. It has: {', '.join(sorted(known))}."
            )
        edge = {"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}.get(setting)
        if edge is not None:
            reader.size = {**dict(reader.size), edge: value}
        setattr(reader, setting, value)
        own = getattr(processor, "images_kwargs", None) or {}
        if setting in own:  # a processor's own defaults come before its image processor's
            processor.images_kwargs = {**own, setting: value}
