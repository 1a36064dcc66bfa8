"""`veridical world`: scenes of the embedded world, and its base model."""

from pathlib import Path
from typing import Annotated

import typer

from veridical.progress import counted

app = typer.Typer(
    no_args_is_help=True, help="Make scenes of the embedded world; train its base model."
)


@app.command()
def make(
    out: Annotated[
        Path,
        typer.Argument(help="Folder for images/, prompts.jsonl, facts.jsonl and scenes.jsonl."),
    ],
    count: Annotated[int, typer.Option(help="How many scenes.", min=1)] = 100,
    split: Annotated[
        str, typer.Option(help="Name of the split; splits never share a scene.")
    ] = "user",
    seed: Annotated[int, typer.Option(help="Root seed.")] = 0,
    benchmarks: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Also write the scenes here as benchmarks (POPE, CHAIR, MMHal, AMBER), with a"
                " recipe for evaluate."
            )
        ),
    ] = None,
) -> None:
    """Draw scenes with prompts, facts and exact truth."""
    from veridical.progress import log
    from veridical.world.export import write_scenes

    if benchmarks is not None:
        from veridical.benchmarks.world.files import write_world_benchmarks

        written = write_world_benchmarks(benchmarks, split=split, scenes=count, seed=seed)
        log(f"benchmarks in {benchmarks}; run them with: veridical evaluate {written.recipe}")
    write_scenes(out, count=count, split=split, seed=seed)
    log(f"{counted(count, 'scene')} in {out}")


@app.command()
def pretrain(
    out: Annotated[
        Path,
        typer.Option(help="Run directory; a second call with it resumes where the first stopped."),
    ],
    overrides: Annotated[list[str] | None, typer.Argument(help="Settings as key=value.")] = None,
) -> None:
    """Train the base model from scratch (about 70 minutes on a CPU core, 7 on an H200)."""
    from veridical.config import resolve_recipe
    from veridical.progress import log
    from veridical.world.pretraining.recipe import PretrainRecipe
    from veridical.world.pretraining.run import pretrain

    recipe = resolve_recipe({}, PretrainRecipe, overrides=overrides or [], where="world pretrain")
    log(f"base model in {pretrain(recipe, out)}")
