"""`veridical data formats | import | export`."""

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.data.options import (
    DecodeOption,
    FactsOption,
    ImagesOption,
    SkipBadOption,
    app,
    judged_by_option,
    rows_of,
)
from veridical.progress import echo


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
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A file, a folder of Parquet or Arrow files, or a dataset of the hub: ORG/NAME,"
            " ORG/NAME:FILE.",
        ),
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
    """Import a public dataset as records, with its images."""
    import time

    from veridical.files import hash_file, write_json_atomically
    from veridical.formats.importing import import_dataset
    from veridical.formats.sources import table_files
    from veridical.formats.sources.hub import fetch_dataset, is_hub_id
    from veridical.records.manifests import build_manifest

    started = time.monotonic()
    path = fetch_dataset(source) if is_hub_id(source) else Path(source)
    found = import_dataset(
        path,
        out,
        format_name=format_name,
        facts=facts,
        judged_by=judged_by_option(judged_by),
        images_root=images,
        skip_bad=skip_bad,
        decode=decode,
    )
    files = [path] if path.is_file() else table_files(path)
    files += [facts] if facts is not None else []
    fetched = {"hub": source} if str(path) != source else {}
    notes = {"format": format_name, **fetched, **found.counts, "bad_rows": found.bad_rows}
    manifest = build_manifest(
        verb="data import",
        seed=0,
        inputs={str(file): hash_file(file) for file in files},
        seconds={"import": time.monotonic() - started},
        notes=notes | ({"not_kept": found.not_kept} if found.not_kept else {}),
    )
    write_json_atomically(out / "manifest.json", manifest.model_dump(mode="json"))
    counts = ", ".join(f"{count} {name}" for name, count in found.counts.items())
    left_out = f", {rows_of(found.bad_rows, 'bad')} left out" if found.bad_rows else ""
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
        typer.Option("--skip-bad", help="Leave out what the format cannot hold, and count it."),
    ] = False,
) -> None:
    """Export records, with their images, in a public format."""
    from veridical.feedback.datasets import export_dataset

    written = export_dataset(records, out, format_name=format_name, skip_bad=skip_bad)
    echo(f"Written: {written}")
