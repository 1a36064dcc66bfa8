"""Prompts for judges, from a file or our own; a hash says which one a score rests on.

Published prompts are other people's text and are not shipped. Name a file with one to get its
scores; the hash shows whether the file is the published one, to the letter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from veridical.errors import ConfigError
from veridical.files import hash_bytes, read_bytes
from veridical.judges.protocol import Case, Message

OFFICIAL_SYSTEM_MESSAGES = {
    "8ec001fd8f1a623f9e444c9eca7be1cc3ee529003e931167a1b44958132baf33": (
        "LLaVA, eval_gpt_review_visual.py"
    ),
}
"""Hashes of published system messages, and who published them."""


class PromptFile(NamedTuple):
    """The text of a prompt and whose it is."""

    name: str
    """"official" where the hash is a published one's, "veridical" for our own, else "custom"."""
    sha256: str
    """Hash of the text with line ends as \\n."""
    text: str
    """The text."""


def read_prompt(path: Path | None, *, own: str, official: Mapping[str, str]) -> PromptFile:
    """Read a prompt.

    Args:
        path: The user's file; None: our own.
        own: Name of our own prompt's file next to this module.
        official: Hashes of published prompts, and who published them.

    Raises:
        ConfigError: There is no such file, or it is not UTF-8.
    """
    if path is None:
        text = resources.files(__package__).joinpath(own).read_text(encoding="utf-8")
        return PromptFile("veridical", hash_bytes(text.encode()), text)
    if not path.is_file():
        raise ConfigError(
            f"There is no template `{path}`. Check the path, or leave it out to take our own."
        )
    try:
        text = read_bytes(path).decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"The template `{path}` is not UTF-8. Save it as UTF-8.") from error
    digest = hash_bytes(text.encode())
    return PromptFile(
        f"official ({official[digest]})" if digest in official else "custom", digest, text
    )


def fill_slots(text: str, values: tuple[str, ...]) -> str:
    """Put values into the `{}` of a text, in order; braces inside the values stay as they are.

    Raises:
        ConfigError: The text has another number of `{}`.
    """
    parts = text.split("{}")
    if len(parts) != len(values) + 1:
        raise ConfigError(
            f"The judge's template has {len(parts) - 1} places `{{}}`, {len(values)} are needed."
            " Fix the template."
        )
    return parts[0] + "".join(value + part for value, part in zip(values, parts[1:], strict=True))


@dataclass(frozen=True)
class FileTemplate:
    """A judge's prompt that stands in a file; what it does with a case is left to subclasses."""

    prompt: PromptFile
    """Its text."""

    @property
    def name(self) -> str:
        """Which prompt it is."""
        return self.prompt.name

    @property
    def sha256(self) -> str:
        """Hash of the file."""
        return self.prompt.sha256

    @property
    def temperature(self) -> float:
        """0, so that asking again gives the same answer where the endpoint allows it."""
        return 0.0


@dataclass(frozen=True)
class SlotTemplate(FileTemplate):
    """One user message, a place `{}` for each field of a case, temperature 0."""

    fields: tuple[str, ...]
    """Which field of the case goes into which place, in order."""

    def messages(self, case: Case) -> tuple[Message, ...]:
        """Fill it in.

        Raises:
            ConfigError: The text has another number of places.
        """
        return (
            Message(
                "user",
                fill_slots(self.prompt.text, tuple(case.fields[name] for name in self.fields)),
            ),
        )


def slot_template(
    path: Path | None, *, own: str, official: Mapping[str, str], fields: tuple[str, ...]
) -> SlotTemplate:
    """Read a prompt with places, and refuse one that does not fit before anything is asked.

    Args:
        path: The user's file; None: our own.
        own: Name of our own prompt's file next to this module.
        official: Hashes of published prompts, and who published them.
        fields: What goes into its places.

    Raises:
        ConfigError: There is no such file, it is not UTF-8, or it has another number of places.
    """
    prompt = read_prompt(path, own=own, official=official)
    fill_slots(prompt.text, ("",) * len(fields))
    return SlotTemplate(prompt, fields)
