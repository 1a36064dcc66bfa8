"""`veridical reproduce`: test a paper's claims by a plan that was fixed before the runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def reproduce(
    study: Annotated[
        Literal["rlhf-v", "llava-rlhf"],
        typer.Argument(help="The paper whose claims are tested."),
    ],
    *,
    out: Annotated[
        Path, typer.Option(help="Folder of the grid; what is finished there is not made again.")
    ] = Path("reproduce"),
    plan: Annotated[
        Path | None, typer.Option(help="A plan of your own, in place of the shipped one.")
    ] = None,
    base: Annotated[
        str, typer.Option(help='"world", or the folder of a base model made by `world pretrain`.')
    ] = "world",
    quick: Annotated[
        bool, typer.Option("--quick", help="Two seeds on little data: shows that everything runs.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Root seed of all scenes.")] = 0,
    workers: Annotated[
        int, typer.Option(min=1, help="Cells made at once, each in a process of its own.")
    ] = 1,
) -> None:
    """Test a paper's claims in the embedded world: arms by seeds, verdicts, a report."""
    from veridical.studies.reproduce.plan import load_plan, read_plan
    from veridical.studies.reproduce.run import Study
    from veridical.studies.reproduce.run import reproduce as run

    found, digest = read_plan(plan, study) if plan is not None else load_plan(study, quick=quick)
    run(Study(found, digest, base=base, seed=seed), out, workers=workers)
