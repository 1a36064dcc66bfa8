"""What pydantic found wrong, in our words: where · what is wrong · what we got."""

from typing import Any, NamedTuple

from pydantic import ValidationError

_SHOWN_CHARACTERS = 60


class Finding(NamedTuple):
    """One thing that validation found."""

    kind: str
    """Pydantic's name of it, for instance "extra_forbidden" or "missing"."""
    path: tuple[str | int, ...]
    """Keys and indices that lead to the value; empty when the whole is meant."""
    text: str
    """What is wrong and what we got, without the path."""

    @property
    def where(self) -> str:
        """The path with dots, empty for the whole."""
        return ".".join(str(step) for step in self.path)


def findings(error: ValidationError) -> list[Finding]:
    """List everything that a validation found."""
    found = []
    for item in error.errors(include_url=False):
        message = item["msg"].removeprefix("Value error, ")
        text = f"{message[:1].lower()}{message[1:]}, got {_shorten(item.get('input'))}"
        if item["type"] == "missing":
            text = "is missing"
        elif item["type"] == "extra_forbidden":
            text = "unknown key"
        found.append(Finding(item["type"], item["loc"], text))
    return [one for one in found if not _follows(one, found)]


def _follows(one: Finding, found: list[Finding]) -> bool:
    """Whether a list seems too short only because what is wrong in it was left out."""
    depth = len(one.path)
    return one.kind == "too_short" and any(
        other.path[:depth] == one.path and len(other.path) > depth for other in found
    )


def _shorten(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARACTERS else shown[: _SHOWN_CHARACTERS - 1] + "…"
