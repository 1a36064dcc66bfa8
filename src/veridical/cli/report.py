"""`veridical report RUN...`: compare runs, or scores of benchmarks, in one HTML file."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run directories, evaluations, or scores of benchmarks (JSON).", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
) -> None:
    """Compare runs: every metric with its interval, in one HTML file that needs nothing else."""
    from veridical.progress import log
    from veridical.report.runs import write_report

    write_report(runs, out)
    log(f"Compared {len(runs)} {'run' if len(runs) == 1 else 'runs'}: {out}")
