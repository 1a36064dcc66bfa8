"""Models that an installed package offers by name: entry points of the group "veridical.models"."""

from importlib.metadata import entry_points

from veridical.errors import ModelError

GROUP = "veridical.models"
"""Entry point group: name → a function without arguments that gives the folder of a checkpoint."""


def is_named_model(name: str) -> bool:
    """Whether an installed package offers a model of this name (the embedded world's: "world")."""
    return bool(entry_points(group=GROUP, name=name))


def resolve_model(name: str) -> str:
    """Turn the name of an offered model into its folder; folders and hub ids stay as they are.

    Raises:
        ModelError: The package that offers it does not give a folder.
    """
    for point in entry_points(group=GROUP, name=name):
        try:
            return str(point.load()())
        except (ImportError, AttributeError) as error:
            raise ModelError(
                f"The model {name!r} is offered by the entry point `{point.value}`, which cannot be"
                f" loaded: {error}. Install what it needs, or give a folder or a hub id."
            ) from error
    return name
