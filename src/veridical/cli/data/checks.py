"""`veridical data check | stats`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from veridical.cli.data.options import (
    DecodeOption,
    FactsOption,
    FormatOption,
    ImagesOption,
    PathArgument,
    SkipBadOption,
    app,
    rows_of,
)
from veridical.progress import echo

if TYPE_CHECKING:
    from veridical.feedback.statistics import DataStatistics


@app.command("check")
def check(
    path: PathArgument,
    *,
    format_name: FormatOption = None,
    facts: FactsOption = None,
    images: ImagesOption = None,
    outside: Annotated[
        bool,
        typer.Option("--allow-outside", help="Accept images outside of the records' folder."),
    ] = False,
    decode: DecodeOption = True,
    skip_bad: SkipBadOption = False,
) -> None:
    """Report everything that is wrong with a dataset; exit with 1 if anything is."""
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
        echo(f"{path}: {rows_of(good, 'good')} (format {source.format_name}).")
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
    """Count what is in a dataset: segments, preferences, kinds, lengths, who judged."""
    from veridical.feedback.datasets import dataset_statistics, find_dataset

    _show(path, dataset_statistics(find_dataset(path, format_name=format_name)))


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
