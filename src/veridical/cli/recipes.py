"""`veridical recipes`: the recipes that come with the package, each with a line, and their text."""

from typing import Annotated

import typer

from veridical.progress import echo
from veridical.recipes import find_recipe, recipe_summary, shipped_recipes

app = typer.Typer(invoke_without_command=True, help="List the shipped recipes, or show one.")


@app.callback()
def list_recipes(ctx: typer.Context) -> None:
    """List the shipped recipes with a line each; `veridical recipes show NAME` prints one.

    A recipe's name can be used wherever a recipe file can: `veridical train dpo dpo-world`. To
    change more than a few settings, copy it: `veridical recipes show dpo-world > mine.toml`.
    """
    if ctx.invoked_subcommand is None:
        names = shipped_recipes()
        width = max(map(len, names))
        for name in names:
            echo(f"{name:<{width}}  {recipe_summary(name)}")


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(help="Name of a shipped recipe.", autocompletion=shipped_recipes),
    ],
) -> None:
    """Print a shipped recipe, comments included."""
    echo(find_recipe(name).read_text(encoding="utf-8").rstrip("\n"))
