"""`veridical data sheet`: a spreadsheet out and back in."""

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.data.options import app, judged_by_option
from veridical.progress import counted, echo


@app.command("sheet")
def sheet(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="What `veridical generate` wrote, or any folder of records."
        ),
    ],
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="The sheet: a .csv or .xlsx file.")
    ],
    *,
    read: Annotated[
        Path | None,
        typer.Option(
            "--read", metavar="OUT", help="Read the filled-in TABLE, and write records into OUT."
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="correct, compare, rate or mark; by default what FOLDER has judgements of, else"
            " correct."
        ),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="The prompts, if FOLDER does not name them.")
    ] = None,
    annotator: Annotated[
        str, typer.Option(help="Who filled in the rows without a name; a pseudonym.")
    ] = "",
    judged_by: Annotated[
        str, typer.Option("--source", help="Who judged: human, model or simulated.")
    ] = "human",
) -> None:
    """Write a spreadsheet for people to fill in; with --read, turn it into records."""
    from veridical.errors import ConfigError
    from veridical.feedback.sheets.reading import read_sheet
    from veridical.feedback.sheets.rows import sheet_tasks
    from veridical.feedback.sheets.writing import write_sheet

    wanted = next((one for one in sheet_tasks() if one == task), None)
    if task is not None and wanted is None:
        raise ConfigError(f"--task must be one of {', '.join(sheet_tasks())}, got {task!r}.")
    if read is None:
        count = write_sheet(folder, table, task=wanted, prompts=prompts)
        echo(f"{count} {'row' if count == 1 else 'rows'}: {table}")
        return
    found = read_sheet(
        folder,
        table,
        read,
        task=wanted,
        prompts=prompts,
        annotator=annotator,
        source=judged_by_option(judged_by) or "human",
    )
    echo(f"{counted(found.judgements, 'judgement')}: {found.path}")
    for reason, rows in sorted(found.left_out.items()):
        echo(f"  {rows} left out: {reason}")
