"""`veridical generate`: let a model answer a file of prompts."""

from typing import Annotated

import typer


def generate(
    recipe: Annotated[
        str, typer.Argument(help="TOML file; docs/reference/recipes.md lists every field.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings that override the file's."),
    ] = None,
    *,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave bad prompts out, and list them.")
    ] = False,
) -> None:
    """Generate responses to a file of prompts: PROMPTS.jsonl to OUT/responses.jsonl.

    Run the same command again after an interruption: it resumes where it stopped.
    """
    from veridical.config import load_recipe
    from veridical.evaluation.generate import GenerateRecipe
    from veridical.evaluation.generate import generate as run
    from veridical.progress import log

    done = run(load_recipe(recipe, GenerateRecipe, overrides=settings or []), skip_bad=skip_bad)
    count = len(done.responses)
    log(f"{count} {'response' if count == 1 else 'responses'} in {done.path}")
