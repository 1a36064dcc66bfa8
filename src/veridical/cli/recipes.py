"""Recipes that come with the package, found by name."""

from pathlib import Path

from veridical.errors import ConfigError

FOLDER = Path(__file__).resolve().parent.parent / "recipes"


def shipped_recipes(prefix: str = "") -> list[str]:
    """Names of the shipped recipes that begin so."""
    return sorted(path.stem for path in FOLDER.rglob(f"{prefix}*.toml"))


def find_recipe(name: str, *, prefix: str = "") -> Path:
    """Give the path of a recipe file, or of a shipped recipe by its name.

    Args:
        name: A path, or a name such as "dpo-world".
        prefix: What the names of fitting shipped recipes begin with.

    Raises:
        ConfigError: There is neither.
    """
    if Path(name).is_file():
        return Path(name)
    found = next(
        (path for path in FOLDER.rglob("*.toml") if path.stem == name.removesuffix(".toml")), None
    )
    if found is None:
        raise ConfigError(
            f"There is no recipe `{name}`, neither as a file nor shipped. "
            f"Shipped: {', '.join(shipped_recipes(prefix)) or 'none'}."
        )
    return found
