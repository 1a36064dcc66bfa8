"""Recipes of sections that are filled in from tables: what is said in the recipe wins over what a preset says."""

from collections.abc import Mapping
from typing import Any

from veridical.config import Recipe

Sections = Mapping[str, Mapping[str, Any]]
"""Settings by section and name."""


def settings_of(table: Mapping[Any, Sections], name: Any) -> Sections:
    """What a table says under a name; nothing for a name that the fields' own checks will refuse."""
    return table.get(name, {}) if isinstance(name, str) else {}


def as_said(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe says, section by section; a section that is a model already gives what was set in it."""
    return {
        key: value.model_dump(exclude_unset=True) if isinstance(value, Recipe) else value
        for key, value in data.items()
    }


def fill_in(said: Mapping[str, Any], *defaults: Sections) -> dict[str, Any]:
    """Fill in what is not said; of several defaults the first that has a setting gives it."""
    filled = dict(said)
    for table in defaults:
        for section, values in table.items():
            given = filled.get(section, {})
            if isinstance(given, dict):
                filled[section] = {**values, **given}
    return filled
