"""`veridical demo`: the whole loop on the embedded world, in one command."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings, for instance corrections=700.")
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder for report.html, results.json and every stage's files.")] = Path(
        "demo"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer scenes and corrections, wider intervals.")] = False,
    seed: Annotated[int, typer.Option(help="Root seed.")] = 0,
) -> None:
    """Measure a small VLM, collect corrections, train on them by dense DPO, measure again, write a report."""
    from veridical.config import resolve_recipe
    from veridical.pipelines.demo import QUICK, DemoRecipe, run_demo

    start = QUICK.model_dump() if quick else {}
    run_demo(resolve_recipe({**start, "seed": seed}, DemoRecipe, overrides=settings or [], where="demo"), out)
