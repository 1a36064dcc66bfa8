"""What other installed packages offer: entry points by group and name (`importlib.metadata`)."""

from importlib.metadata import entry_points
from typing import NamedTuple

from veridical.errors import ConfigError


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
