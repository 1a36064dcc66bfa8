"""Recipes whose sections are filled in from tables; what the recipe gives wins over a preset."""

from collections.abc import Mapping
from typing import Any

from veridical.config import Recipe

Sections = Mapping[str, Mapping[str, Any]]
"""Settings by section and name."""


def settings_of(table: Mapping[Any, Sections], name: Any) -> Sections:
    """What a table says under a name; nothing for a name that the recipe's checks will refuse."""
    return table.get(name, {}) if isinstance(name, str) else {}


def given_settings(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe sets, section by section; defaults are left out."""
    return {
        key: value.model_dump(exclude_unset=True) if isinstance(value, Recipe) else value
        for key, value in data.items()
    }


def fill_in(said: Mapping[str, Any], *defaults: Sections) -> dict[str, Any]:
    """Fill in what is not given; of several defaults the first that has a setting counts."""
    filled = dict(said)
    for table in defaults:
        for section, values in table.items():
            given = filled.get(section, {})
            if isinstance(given, dict):
                filled[section] = {**values, **given}
    return filled
