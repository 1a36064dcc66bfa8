"""`veridical demo`: the whole loop on the embedded world, in one command."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def demo(
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Settings to change, for instance corrections=700."
        ),
    ] = None,
    *,
    out: Annotated[
        Path, typer.Option(help="Folder for report.html, results.json and every stage's files.")
    ] = Path("demo"),
    system: Annotated[
        Literal["rlhf-v", "llava-rlhf"],
        typer.Option(
            help=(
                "Corrections and dense DPO (rlhf-v), or comparisons, reward model and PPO"
                " (llava-rlhf)."
            )
        ),
    ] = "rlhf-v",
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer scenes and corrections, wider intervals.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Root seed.")] = 0,
) -> None:
    """Measure a small VLM, collect feedback, train on it, measure again, write a report."""
    from veridical.config import resolve_recipe

    if system == "llava-rlhf":
        from veridical.studies.fact_rlhf.recipe import QUICK_FACT_RLHF, FactRlhfRecipe
        from veridical.studies.fact_rlhf.run import run_fact_rlhf

        small = QUICK_FACT_RLHF.model_dump() if quick else {}
        recipe = resolve_recipe(
            {**small, "seed": seed}, FactRlhfRecipe, overrides=settings or [], where="demo"
        )
        run_fact_rlhf(recipe, out)
        return
    from veridical.studies.demo.recipe import QUICK, DemoRecipe
    from veridical.studies.demo.run import run_demo

    start = QUICK.model_dump() if quick else {}
    run_demo(
        resolve_recipe({**start, "seed": seed}, DemoRecipe, overrides=settings or [], where="demo"),
        out,
    )
