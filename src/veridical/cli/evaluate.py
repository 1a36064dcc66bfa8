"""`veridical evaluate`: measure how much a model hallucinates."""

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    recipe: Annotated[Path, typer.Argument(help="TOML file; every field stands in docs/reference/recipes.md.")],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings that win over the file.")
    ] = None,
) -> None:
    """Measure a model on scenes of the embedded world, with intervals and a paired test against an earlier run."""
    from rich.console import Console
    from rich.table import Table

    from veridical.config import load_recipe
    from veridical.evaluation.world_recipe import EvaluateRecipe
    from veridical.evaluation.world_recipe import evaluate as run

    resolved = load_recipe(recipe, EvaluateRecipe, overrides=settings or [])
    done = run(resolved)
    table = Table("metric", "value", "95 % interval", "n", *(["change", "p"] if done.comparison else []))
    for name, metric in done.evaluation.metrics.items():
        row = [name, f"{metric.value:.4f}", f"{metric.low:.4f} … {metric.high:.4f}", str(metric.n)]
        if done.comparison:
            change = done.comparison.get(name)
            row += ["", ""] if change is None else [f"{change.difference:+.4f}", f"{change.p:.2g}"]
        table.add_row(*row)
    Console().print(table)
