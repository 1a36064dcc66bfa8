"""`veridical data`: public data sets ↔ records, faults with file and line, statistics."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from veridical.progress import echo

if TYPE_CHECKING:
    from veridical.feedback.statistics import DataStatistics
    from veridical.records import Source

app = typer.Typer(
    help="Turn public data sets into records and back; check them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Format of PATH (`veridical data formats` lists them; records); recognised if left"
        " out.",
    ),
]
ImagesOption = Annotated[
    Path | None,
    typer.Option(
        "--images", help="Folder that image paths start from, if not the data's own folder."
    ),
]
FactsOption = Annotated[
    Path | None,
    typer.Option(
        "--facts", help="Captions and rationales by image (LLaVA-RLHF's image_to_caption.json)."
    ),
]
SkipBadOption = Annotated[
    bool,
    typer.Option(
        "--skip-bad", help="Leave bad rows out, keep them in a file NAME.bad.jsonl and count them."
    ),
]
DecodeOption = Annotated[
    bool,
    typer.Option(
        "--decode/--no-decode",
        help="Look at every picture whole. Without it a broken one shows only when it is used.",
    ),
]
PathArgument = Annotated[
    Path, typer.Argument(metavar="PATH", help="Records, an import's folder, or any known format.")
]


@app.command("formats")
def formats() -> None:
    """List the formats that can be imported and exported."""
    from rich.table import Table

    from veridical.formats.registry import find_format, format_names
    from veridical.progress import echo_table

    table = Table("format", "read", "written", "what it is")
    for name in format_names():
        form = find_format(name)
        written = form.suffix if form.write is not None else ""
        table.add_row(name, "yes" if form.read is not None else "", written, form.describes)
    echo_table(table)


@app.command("import")
def import_(
    format_name: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT", help="Format of SOURCE; `veridical data formats` lists them."
        ),
    ],
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A file, or a folder of Parquet files.")
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder to write records and images/ into.")
    ],
    *,
    judged_by: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="Who judged: human, model or simulated. Needed where the format does not say.",
        ),
    ] = None,
    facts: FactsOption = None,
    images: ImagesOption = None,
    decode: DecodeOption = True,
    skip_bad: SkipBadOption = False,
) -> None:
    """Turn a public data set into records with their images."""
    import time

    from veridical.files import hash_file, write_json_atomically
    from veridical.formats.importing import import_dataset
    from veridical.records.manifests import build_manifest

    started = time.monotonic()
    found = import_dataset(
        source,
        out,
        format_name=format_name,
        facts=facts,
        judged_by=_source(judged_by),
        images_root=images,
        skip_bad=skip_bad,
        decode=decode,
    )
    files = [source] if source.is_file() else sorted(source.rglob("*.parquet"))
    files += [facts] if facts is not None else []
    notes = {"format": format_name, **found.counts, "bad_rows": found.bad_rows}
    manifest = build_manifest(
        verb="data import",
        seed=0,
        inputs={str(file): hash_file(file) for file in files},
        seconds={"import": time.monotonic() - started},
        notes=notes | ({"not_kept": found.not_kept} if found.not_kept else {}),
    )
    write_json_atomically(out / "manifest.json", manifest.model_dump(mode="json"))
    counts = ", ".join(f"{count} {name}" for name, count in found.counts.items())
    left_out = f", {_rows(found.bad_rows, 'bad')} left out" if found.bad_rows else ""
    echo(f"{counts}{left_out}: {found.path}")


@app.command("export")
def export(
    format_name: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT", help="Format to write; `veridical data formats` lists them."
        ),
    ],
    records: Annotated[
        Path, typer.Argument(metavar="RECORDS", help="A folder of records, or one file of them.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    *,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Leave out what the format cannot say, and count it."),
    ] = False,
) -> None:
    """Write records with their images in a public format."""
    from veridical.feedback.datasets import export_dataset

    written = export_dataset(records, out, format_name=format_name, skip_bad=skip_bad)
    echo(f"Written: {written}")


@app.command("check")
def check(
    path: PathArgument,
    *,
    format_name: FormatOption = None,
    facts: FactsOption = None,
    images: ImagesOption = None,
    outside: Annotated[
        bool,
        typer.Option(
            "--allow-outside", help="Accept images of records outside of the records' folder."
        ),
    ] = False,
    decode: DecodeOption = True,
    skip_bad: SkipBadOption = False,
) -> None:
    """Look for everything that is wrong with a data set; end with 1 if anything is."""
    from veridical.feedback.datasets import check_dataset, find_dataset, quarantine_bad_rows

    source = find_dataset(
        path,
        format_name=format_name,
        facts=facts,
        images_root=images,
        outside=outside,
        decode=decode,
    )
    if skip_bad:
        good = quarantine_bad_rows(source)
        echo(f"{path}: {_rows(good, 'good')} (format {source.format_name}).")
        return
    faults = check_dataset(source)
    for fault in faults:
        echo(str(fault))
    if faults:
        count = f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'}"
        echo(f"{count} in {path} (format {source.format_name}).")
        raise typer.Exit(1)
    echo(f"{path}: no fault (format {source.format_name}).")


@app.command("stats")
def stats(path: PathArgument, *, format_name: FormatOption = None) -> None:
    """Show what is in a data set: segments, preferences, kinds, lengths, who judged."""
    from veridical.feedback.datasets import dataset_statistics, find_dataset

    _show(path, dataset_statistics(find_dataset(path, format_name=format_name)))


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
            "--read", metavar="OUT", help="Read the filled TABLE, and write records into OUT."
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="correct, compare or rate; by default what FOLDER has judgements of, else correct."
        ),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="The prompts, where FOLDER does not say.")
    ] = None,
    annotator: Annotated[
        str, typer.Option(help="Who filled the rows that name nobody; a pseudonym.")
    ] = "",
    judged_by: Annotated[
        str, typer.Option("--source", help="Who judged: human, model or simulated.")
    ] = "human",
) -> None:
    """Write a spreadsheet that people fill without a server; with --read, take it back."""
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
        source=_source(judged_by) or "human",
    )
    echo(f"{found.judgements} judgements: {found.path}")
    for reason, rows in sorted(found.left_out.items()):
        echo(f"  {rows} left out: {reason}")


def _rows(count: int, kind: str) -> str:
    return f"{count} {kind} {'row' if count == 1 else 'rows'}"


def _source(text: str | None) -> "Source | None":
    from typing import get_args

    from veridical.errors import ConfigError
    from veridical.records import Source

    if text is not None and text not in get_args(Source):
        raise ConfigError(f"--source must be human, model or simulated, got {text!r}.")
    return text  # type: ignore[return-value]


def _show(path: Path, found: "DataStatistics") -> None:
    from rich.table import Table

    from veridical.progress import echo_table

    head = Table("", "count", title=str(path), title_justify="left")
    for name, count in found.counts.items():
        head.add_row(name, f"{count:,}")
    for name, figure in found.figures.items():
        head.add_row(name, figure)
    for name, (mean, median, longest) in found.words.items():
        spread = f"mean {mean:.1f}, median {median:g}, longest {longest}"
        head.add_row(f"words per {name.removesuffix('s')}", spread)
    table = Table("", "count", "share")
    for name, counts in found.sections.items():
        table.add_section()
        total = sum(counts.values())
        for label, count in counts.items():
            share = f"{count / total:.1%}" if total else "–"
            table.add_row(f"{name}: {label}", f"{count:,}", share)
    echo_table(head, table)
