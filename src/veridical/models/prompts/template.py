"""What a chat template is given beside the turns: a system message, and options of its own.

Both change what a model reads, and with it what it learned. They are therefore saved next to
trained weights, and used again wherever those are loaded, unless others are asked for by name; that
is then said.
"""

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from veridical.config import Recipe
from veridical.errors import ModelError
from veridical.files import write_json_atomically
from veridical.progress import log

TEMPLATE_FILE = "chat_template_options.json"
"""Where they are saved, next to an adapter or a whole model."""

_OURS = ("add_generation_prompt", "continue_final_message", "tokenize", "return_dict")


class TemplateRecipe(Recipe):
    """What the model's chat template is given beside the turns."""

    system: str = ""
    """System message of prompts that bring none of their own. Empty: what the template says by
    itself."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the chat template, by the names that it uses: `enable_thinking = false` for
    Qwen3's family."""

    @field_validator("options")
    @classmethod
    def _options_are_the_templates(cls, options: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(set(options) & set(_OURS))
        if taken:
            raise ValueError(f"`{taken[0]}` is set by Veridical itself; leave it out")
        return options

    @property
    def is_plain(self) -> bool:
        """Whether the template is given nothing beside the turns."""
        return not self.system and not self.options

    def __str__(self) -> str:
        """As messages show it."""
        said = [f"system = {self.system!r}"] if self.system else []
        said += [f"{name} = {value!r}" for name, value in self.options.items()]
        return ", ".join(said) or "no system message and no options"


def pick_template(
    given: TemplateRecipe | None, name: str, *, adapter: str | None = None
) -> TemplateRecipe:
    """Decide what a model's template is given, and say where training gave it something else.

    Args:
        given: What the recipe asks for; None takes what the model was trained with.
        name: Folder or hub id of the model.
        adapter: Folder or hub id of the adapter on it, whose training came later.

    Raises:
        ModelError: What was saved with the weights is not readable.
    """
    places = [place for place in (adapter, name) if place is not None]
    found = ((place, read_template(place)) for place in places)
    where, trained = next(((place, saved) for place, saved in found if saved), (name, None))
    if given is None:
        return trained or TemplateRecipe()
    if trained is not None and given != trained:
        log(
            f"Warning: the chat template of `{where}` was given {trained} in training, and is now"
            f" given {given}: the model reads other prompts than those that it learned from."
        )
    return given


def read_template(place: str) -> TemplateRecipe | None:
    """What the template was given in the training of a model or adapter; None if nothing is saved.

    Raises:
        ModelError: The file does not hold that.
    """
    from veridical.models.processors import read_repository_json  # recipes load no model code

    saved = read_repository_json(place, TEMPLATE_FILE)
    try:
        return TemplateRecipe.model_validate(saved) if saved else None
    except ValidationError as error:
        raise ModelError(
            f"`{TEMPLATE_FILE}` of `{place}` does not hold `system` and `options`, got"
            f" {str(saved)[:80]}. Remove the file, or restore it."
        ) from error


def save_template(template: TemplateRecipe, folder: Path) -> None:
    """Save what the template was given, next to weights that were trained with it."""
    write_json_atomically(folder / TEMPLATE_FILE, template.model_dump(mode="json"))
