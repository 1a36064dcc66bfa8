"""`veridical evaluate`: measure how much models hallucinate."""

from typing import Annotated

import typer


def evaluate(
    recipe: Annotated[
        str, typer.Argument(help="TOML file; docs/reference/recipes.md lists every field.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings that override the file's."),
    ] = None,
) -> None:
    """Run models on benchmarks, score their answers, and compare the models pair by pair.

    A recipe lists `[[models]]` and `[[benchmarks]]`; the embedded world is one of these. Run the
    same command again after an interruption: it resumes where it stopped.
    """
    from veridical.config import load_recipe
    from veridical.evaluation.recipe import EvaluateRecipe
    from veridical.evaluation.run import evaluate as run
    from veridical.evaluation.table import evaluation_table
    from veridical.progress import echo, log

    done = run(load_recipe(recipe, EvaluateRecipe, overrides=settings or []))
    if done.runs:
        echo(evaluation_table(done))
        log(f"\nCompare further, in one page: veridical report {done.out}")
