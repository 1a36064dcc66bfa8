"""`veridical data`: public data sets ↔ records, faults with file and line, a look at what is in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from veridical.feedback.kinds import CorrectionStatistics
    from veridical.records import Source

app = typer.Typer(
    help="Turn public data sets into records and back; check them.", no_args_is_help=True, rich_markup_mode=None
)

_FORMATS_HELP = "rlhf-v, rlhf-v-tsv, rlaif-v, chat or plain"

FormatOption = Annotated[
    str | None, typer.Option("--format", help=f"Format of PATH ({_FORMATS_HELP}, records); told by itself if left out.")
]
ImagesOption = Annotated[
    Path | None, typer.Option("--images", help="Folder that image paths start from, if not the data's own folder.")
]
SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", help="Leave bad rows out, keep them in a file NAME.bad.jsonl and count them.")
]


@app.command("import")
def import_(
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help=f"Format of SOURCE: {_FORMATS_HELP}.")],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A file, or a folder of Parquet files.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write corrections.jsonl and images/ into.")],
    *,
    judged_by: Annotated[
        str | None,
        typer.Option("--source", help="Who judged: human, model or simulated. Needed where the format does not tell."),
    ] = None,
    images: ImagesOption = None,
    skip_bad: SkipBadOption = False,
) -> None:
    """Turn a public data set of corrections or preference pairs into records with their images."""
    import time

    from veridical.files import hash_file, write_json_atomically
    from veridical.formats.corrections import import_corrections
    from veridical.manifests import build_manifest

    started = time.monotonic()
    result = import_corrections(
        source,
        out,
        format_name=format_name,
        judged_by=_source(judged_by),
        images_root=images,
        skip_bad=skip_bad,
    )
    files = [source] if source.is_file() else sorted(source.rglob("*.parquet"))
    manifest = build_manifest(
        verb="data import",
        seed=0,
        inputs={str(file): hash_file(file) for file in files},
        seconds={"import": time.monotonic() - started},
        notes={
            "format": format_name,
            "corrections": result.corrections,
            "images": result.images,
            "bad_rows": result.bad_rows,
        },
    )
    write_json_atomically(out / "manifest.json", manifest.model_dump(mode="json"))
    left_out = f", {result.bad_rows} bad rows left out" if result.bad_rows else ""
    typer.echo(f"{result.corrections} corrections about {result.images} images{left_out}: {result.path}")


@app.command("export")
def export(
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help="Format to write: rlhf-v.")],
    records: Annotated[Path, typer.Argument(metavar="RECORDS", help="A file of corrections, or an import's folder.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The Parquet file to write.")],
) -> None:
    """Write corrections with their images in a public format."""
    from veridical.errors import ConfigError
    from veridical.formats.corrections import export_corrections
    from veridical.formats.detect import records_path

    if format_name != "rlhf-v":
        raise ConfigError(f"Cannot export to the format {format_name!r}. Formats: rlhf-v.")
    typer.echo(f"Written: {export_corrections(records_path(records), out)}")


@app.command("check")
def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Records, an import's folder, or any known format.")],
    *,
    format_name: FormatOption = None,
    images: ImagesOption = None,
    outside: Annotated[
        bool, typer.Option("--allow-outside", help="Accept images of records outside of the records' folder.")
    ] = False,
    skip_bad: SkipBadOption = False,
) -> None:
    """Look for everything that is wrong with a data set; end with 1 if anything is."""
    from veridical.feedback.corrections import check_corrections, read_corrections
    from veridical.formats.corrections import check_source, put_bad_rows_aside
    from veridical.formats.detect import detect_format, records_path

    path = records_path(path)
    found = format_name or detect_format(path)
    if skip_bad:
        if found == "records":
            good = len(read_corrections(path, outside=outside, skip_bad=True))
        else:
            good = put_bad_rows_aside(path, format_name=found, images_root=images)
        typer.echo(f"{path}: {good} good {'row' if good == 1 else 'rows'} (format {found}).")
        return
    if found == "records":
        faults = check_corrections(path, outside=outside)
    else:
        faults = check_source(path, format_name=found, images_root=images)
    for fault in faults:
        typer.echo(str(fault))
    if faults:
        typer.echo(f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'} in {path} (format {found}).")
        raise typer.Exit(1)
    typer.echo(f"{path}: no fault (format {found}).")


@app.command("stats")
def stats(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Records, an import's folder, or any known format.")],
    *,
    format_name: FormatOption = None,
) -> None:
    """Show what is in a data set: segments, kinds of errors, lengths, who judged."""
    from veridical.feedback.kinds import correction_statistics
    from veridical.formats.corrections import read_corrections_of_source
    from veridical.formats.detect import detect_format, records_path
    from veridical.records import Correction, read_records

    path = records_path(path)
    found = format_name or detect_format(path)
    if found == "records":
        _show(path, correction_statistics(read_records(path, Correction)))
    else:
        _show(path, correction_statistics(read_corrections_of_source(path, format_name=found)))


def _source(text: str | None) -> "Source | None":
    from typing import get_args

    from veridical.errors import ConfigError
    from veridical.records import Source

    if text is not None and text not in get_args(Source):
        raise ConfigError(f"--source must be human, model or simulated, got {text!r}.")
    return text  # type: ignore[return-value]


def _show(path: Path, found: "CorrectionStatistics") -> None:
    from statistics import mean, median

    from rich.console import Console
    from rich.table import Table

    from veridical.errors import DataError, Fault

    if not found.corrections:
        raise DataError([Fault(path, None, "no usable row. Run `veridical data check` to see why.")])
    table = Table("", "count", "share", title=str(path), title_justify="left")

    def section(name: str, counts: dict[str, int]) -> None:
        table.add_section()
        total = sum(counts.values())
        for label, count in counts.items():
            table.add_row(f"{name}: {label}", f"{count:,}", f"{count / total:.1%}" if total else "–")

    for name, count in (("corrections", found.corrections), ("images", found.images), ("segments", found.segments)):
        table.add_row(name, f"{count:,}", "")
    table.add_row("segments a response", f"{found.segments / found.corrections:.2f}", "")
    for name, words in (("rejected", found.rejected_words), ("chosen", found.chosen_words)):
        spread = f"mean {mean(words):.1f}, median {median(words):g}, longest {max(words)}"
        table.add_row(f"words of the {name} response", spread, "")
    table.add_row("words changed", f"{found.changed_words:,}", f"{found.changed_ratio:.1%}")
    section("judged by", found.sources)
    section("responses with segments", {str(number): count for number, count in found.segments_per_response.items()})
    section("edit", found.edits)
    section("kind", {str(kind): count for kind, count in found.kinds.items()})
    if found.kinds["other"]:
        section("kind, guessed from words", {str(kind): count for kind, count in found.guessed_kinds.items()})
    Console().print(table)
