"""Shipped recipes, one TOML file each, found by name; the first sentence says what each is for."""

from pathlib import Path

from veridical.errors import ConfigError

FOLDER = Path(__file__).resolve().parent


def shipped_recipes(prefix: str = "") -> list[str]:
    """Names of the shipped recipes that start with `prefix`."""
    return sorted(path.stem for path in FOLDER.glob(f"{prefix}*.toml"))


def find_recipe(name: str | Path, *, prefix: str = "") -> Path:
    """Return the path of a recipe file, or of a shipped recipe by its name.

    Args:
        name: A path, or a name such as "dpo-world".
        prefix: Only shipped recipes that start so are offered when nothing is found.

    Raises:
        ConfigError: There is no such file and no such shipped recipe.
    """
    if Path(name).is_file():
        return Path(name)
    shipped = FOLDER / f"{str(name).removesuffix('.toml')}.toml"
    if shipped.parent != FOLDER or not shipped.is_file():
        raise ConfigError(
            f"There is no recipe `{name}`, neither as a file nor shipped. Check the path, or use a "
            f"shipped recipe: {', '.join(shipped_recipes(prefix)) or 'none'}."
        )
    return shipped


def recipe_summary(name: str) -> str:
    """What a shipped recipe is for: the first sentence of its header comment."""
    lines = find_recipe(name).read_text(encoding="utf-8").splitlines()
    end = next((i for i, line in enumerate(lines) if not line.startswith("# ")), len(lines))
    header = " ".join(line.removeprefix("# ") for line in lines[:end])
    return header.partition(". ")[0].rstrip(".") + "."
