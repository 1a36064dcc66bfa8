"""Find an objective by name: those of this package, and entry points of other packages."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import SerializeAsAny

from veridical.config import SectionByName
from veridical.errors import ConfigError
from veridical.plugins import load_plugin, plugin_names
from veridical.training.preference.objectives.dense_dpo import DenseDpo
from veridical.training.preference.objectives.dpo import Dpo
from veridical.training.preference.objectives.ipo import Ipo
from veridical.training.preference.objectives.protocol import Objective
from veridical.training.preference.objectives.robust_dpo import RobustDpo

GROUP = "veridical.objectives"
"""Entry point group: name → a subclass of `Objective` of that name."""

OBJECTIVES: Mapping[str, type[Objective]] = {
    "dpo": Dpo,
    "dense_dpo": DenseDpo,
    "ipo": Ipo,
    "robust_dpo": RobustDpo,
}
"""Objectives of this package; one row each."""

DEFAULT = "dense_dpo"
"""The objective of a recipe that names none."""


def objective_names() -> list[str]:
    """Names of all objectives, those of this package first."""
    return [*OBJECTIVES, *sorted(plugin_names(GROUP) - OBJECTIVES.keys())]


def find_objective(name: str) -> type[Objective]:
    """Find an objective by its name.

    Raises:
        ConfigError: There is none of that name, or another package's cannot be loaded.
    """
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    plugin = load_plugin(GROUP, name)
    if plugin is None:
        raise ConfigError(
            f"There is no objective {name!r}. Choose one of: {', '.join(objective_names())}."
        )
    if not (isinstance(plugin.value, type) and issubclass(plugin.value, Objective)):
        raise ConfigError(
            f"{plugin.where} is not a subclass of Objective, got {plugin.value!r}. Fix that"
            " package, or uninstall it."
        )
    return plugin.value


AnyObjective = Annotated[
    SerializeAsAny[Objective],
    SectionByName(find=find_objective, names=objective_names, default=DEFAULT),
]
"""The `objective` section of a recipe: its `name` decides which settings there are."""
