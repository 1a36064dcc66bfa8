"""`veridical train`: one sub-command for each method."""

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.recipes import shipped_recipes

app = typer.Typer(no_args_is_help=True, help="Train on judgements: one method a sub-command.")


@app.callback()
def _methods() -> None:
    """Train on judgements: one method a sub-command."""


@app.command(epilog=f"Shipped recipes: {', '.join(shipped_recipes('dpo'))}.")
def dpo(
    recipe: Annotated[str, typer.Argument(help="A TOML file, or the name of a shipped recipe.")],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings that win over the recipe.")
    ] = None,
    *,
    out: Annotated[Path | None, typer.Option(help="Run directory; by default runs/RECIPE.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run was interrupted.")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Put bad corrections aside, into the run directory, and go on.")
    ] = False,
) -> None:
    """Train on corrections by DPO or dense DPO (RLHF-V).

    Leaves DIR/adapter (LoRA) or DIR/model (full), recipe.toml, metrics.jsonl and manifest.json.
    """
    from veridical.cli.recipes import find_recipe
    from veridical.config import load_recipe
    from veridical.training.preference import train_dpo
    from veridical.training.preference_config import PreferenceRecipe

    path = find_recipe(recipe, prefix="dpo")
    overrides = [*(settings or []), *(["data.skip_bad=true"] if skip_bad else [])]
    resolved = load_recipe(path, PreferenceRecipe, overrides=overrides)
    train_dpo(resolved, out or Path("runs") / path.stem, resume=resume)
