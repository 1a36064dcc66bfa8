"""`veridical evaluate`: measure how much a model hallucinates."""

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    recipe: Annotated[
        Path, typer.Argument(help="TOML file; every field stands in docs/reference/recipes.md.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings that win over the file."),
    ] = None,
) -> None:
    """Let models answer benchmarks, score the answers with intervals, and compare the models pair by pair.

    A recipe lists `[[models]]` and `[[benchmarks]]`; one without benchmarks measures one model in
    the embedded world.
    """
    if _lists_benchmarks(recipe):
        _benchmarks(recipe, settings or [])
    else:
        _world(recipe, settings or [])


def _lists_benchmarks(recipe: Path) -> bool:
    """Which of the two recipes it is; what cannot be read is told where recipes are read."""
    import tomllib

    try:
        return "benchmarks" in tomllib.loads(recipe.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def _benchmarks(recipe: Path, settings: list[str]) -> None:
    from veridical.config import load_recipe
    from veridical.evaluation.recipe import BenchmarksRecipe
    from veridical.evaluation.run import evaluate_benchmarks
    from veridical.evaluation.table import evaluation_table
    from veridical.progress import echo, log

    resolved = load_recipe(recipe, BenchmarksRecipe, overrides=settings)
    done = evaluate_benchmarks(resolved)
    if not done.runs:
        return
    echo(evaluation_table(done.runs, seed=resolved.seed))
    log(f"\nCompare further, in one page: veridical report {done.out}")


def _world(recipe: Path, settings: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    from veridical.config import load_recipe
    from veridical.evaluation.world_recipe import EvaluateRecipe
    from veridical.evaluation.world_recipe import evaluate as run

    resolved = load_recipe(recipe, EvaluateRecipe, overrides=settings)
    done = run(resolved)
    table = Table(
        "metric", "value", "95 % interval", "n", *(["change", "p"] if done.comparison else [])
    )
    for name, metric in done.evaluation.metrics.items():
        row = [name, f"{metric.value:.4f}", f"{metric.low:.4f} … {metric.high:.4f}", str(metric.n)]
        if done.comparison:
            change = done.comparison.get(name)
            row += ["", ""] if change is None else [f"{change.difference:+.4f}", f"{change.p:.2g}"]
        table.add_row(*row)
    Console().print(table)
