"""Open a recipe of any verb: what it is for shows in its settings, so that no class need be named.

The recipes of training know their data (`data.corrections`, `data.comparisons` …), an evaluation
its `benchmarks`, a generation its `prompts`.
"""

import tomllib
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, overload

from veridical import config
from veridical.errors import ConfigError
from veridical.files import read_bytes
from veridical.recipes import find_recipe

if TYPE_CHECKING:
    from pathlib import Path

R = TypeVar("R", bound=config.Recipe)
_BY_DATA = {
    "corrections": ("veridical.training.preference.config", "PreferenceRecipe"),
    "comparisons": ("veridical.training.reward.config", "RewardRecipe"),
    "conversations": ("veridical.training.sft.config", "SftRecipe"),
    "prompts": ("veridical.training.ppo.config", "PpoRecipe"),
}
_BY_KEY = {
    "benchmarks": ("veridical.evaluation.recipe", "EvaluateRecipe"),
    "prompts": ("veridical.evaluation.generate", "GenerateRecipe"),
    "rollout": ("veridical.training.ppo.config", "PpoRecipe"),
    "facts": ("veridical.training.reward.config", "RewardRecipe"),
}


@overload
def load_recipe(
    path: "Path | str",
    recipe_type: type[R],
    *,
    settings: config.Settings | None = None,
    overrides: Sequence[str] = (),
) -> R: ...


@overload
def load_recipe(
    path: "Path | str",
    recipe_type: None = None,
    *,
    settings: config.Settings | None = None,
    overrides: Sequence[str] = (),
) -> Any: ...


def load_recipe(
    path: "Path | str",
    recipe_type: type[config.Recipe] | None = None,
    *,
    settings: config.Settings | None = None,
    overrides: Sequence[str] = (),
) -> Any:
    """Read a recipe and apply settings and `key.path=value` overrides.

    Args:
        path: A TOML file, or the name of a shipped recipe (`veridical recipes` lists them).
        recipe_type: The recipe's class; None: the one whose settings the file holds.
        settings: Settings that win over the file, sections as inner mappings.
        overrides: Settings that win over both, as people type them (`train.learning_rate=1e-5`).

    Raises:
        ConfigError: The file is missing or not TOML, a key or value is wrong, or the file does not
            say which verb it is for.
        StorageError: The disk refused.
    """
    kind = recipe_type or _type_of(path)
    return config.load_recipe(path, kind, settings=settings, overrides=overrides)


def _type_of(path: "Path | str") -> type[config.Recipe]:
    file = find_recipe(path)
    try:
        table = tomllib.loads(read_bytes(file).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{file}` is not valid TOML: {error}. Fix the file.") from error
    data = table.get("data")
    homes = [_BY_DATA[key] for key in _BY_DATA if isinstance(data, Mapping) and key in data]
    homes += [home for key, home in _BY_KEY.items() if key in table]
    if not homes:
        raise ConfigError(
            f"`{file}` does not say which verb it is for, got the keys"
            f" {', '.join(f'`{key}`' for key in table) or 'none'}. Name its class too:"
            " load_recipe(path, veridical.PreferenceRecipe)."
        )
    module, name = homes[0]
    found: type[config.Recipe] = getattr(import_module(module), name)
    return found
