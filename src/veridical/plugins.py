"""What other installed packages offer: entry points by group and name (`importlib.metadata`)."""

from importlib.metadata import entry_points
from typing import NamedTuple

from veridical.errors import ConfigError, ModelError


class Plugin(NamedTuple):
    """Something that another package registers."""

    where: str
    """Its entry point, for messages."""
    value: object
    """What the entry point names; whether it is of the right type is for the caller to check."""


def plugin_names(group: str) -> set[str]:
    """Names that installed packages register in a group."""
    return {point.name for point in entry_points(group=group)}


def load_plugin(group: str, name: str) -> Plugin | None:
    """Load what a package registers under a name; None if there is no such entry point.

    Raises:
        ConfigError: Its code cannot be imported, or does not define what the entry point names.
    """
    for point in entry_points(group=group, name=name):
        where = f"The entry point {point.name!r} ({point.value})"
        try:
            return Plugin(where, point.load())
        except (ImportError, AttributeError, SyntaxError) as error:
            raise ConfigError(
                f"{where} cannot be loaded: {error}. Fix that package, or uninstall it."
            ) from error
    return None


MODELS = "veridical.models"
"""Entry point group: name → a function without arguments that gives the folder of a checkpoint."""


def is_named_model(name: str) -> bool:
    """Whether an installed package offers a model of this name (the embedded world's: "world")."""
    return bool(entry_points(group=MODELS, name=name))


def resolve_model(name: str) -> str:
    """Turn the name of an offered model into its folder; folders and hub ids stay as they are.

    Raises:
        ModelError: The package that offers it does not give a folder.
    """
    for point in entry_points(group=MODELS, name=name):
        try:
            return str(point.load()())
        except (ImportError, AttributeError) as error:
            raise ModelError(
                f"The model {name!r} is offered by the entry point `{point.value}`, which cannot be"
                f" loaded: {error}. Install what it needs, or give a folder or a hub id."
            ) from error
    return name
