"""`veridical data check | stats`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from veridical.cli.data.options import (
    DecodeOption,
    FactsOption,
    FormatOption,
    ImagesOption,
    ModelOption,
    PathArgument,
    ResponseTokensOption,
    SkipBadOption,
    app,
    rows_of,
)
from veridical.progress import echo

if TYPE_CHECKING:
    from collections.abc import Callable

    from veridical.feedback.datasets import DataSource
    from veridical.feedback.doctor.examples import Example
    from veridical.feedback.doctor.whole import Finding
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
    findings: Annotated[
        bool,
        typer.Option(
            "--findings/--no-findings", help="Look for biases, duplicates and leaks as well."
        ),
    ] = True,
    model: ModelOption = None,
    max_response_tokens: ResponseTokensOption = 1024,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 where anything was found, too.")
    ] = False,
) -> None:
    """Report everything that is wrong with a dataset; exit with 1 if anything is.

    Faults stop an import. Findings say what the data would teach besides what is meant.
    """
    from veridical.errors import fault_lines
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
    for line in fault_lines(faults):
        echo(line)
    found = _findings(source, model, max_response_tokens) if findings else []
    for finding in found:
        echo(f"{path}: {finding.message}")
        for place in finding.places:
            echo(f"  {place}")
    if faults:
        count = f"{len(faults):,} {'fault' if len(faults) == 1 else 'faults'}"
        echo(
            f"{count} in {path} (format {source.format_name}). --skip-bad keeps the rows at fault,"
            " each with its faults, in a file of their own."
        )
        raise typer.Exit(1)
    also = f", {len(found)} {'finding' if len(found) == 1 else 'findings'}" if found else ""
    echo(f"{path}: no fault{also} (format {source.format_name}).")
    if found and strict:
        raise typer.Exit(1)


def _findings(source: "DataSource", model: str | None, most: int) -> "list[Finding]":
    from veridical.feedback.doctor.examples import examples_of
    from veridical.feedback.doctor.whole import examine

    return examine(examples_of(source), too_long=_too_long(model, most)).findings()


def _too_long(model: str | None, most: int) -> "Callable[[Example], str | None]":
    """What of a row a model would not read; nothing where no model is named."""
    if model is None:
        return lambda _: None
    from veridical.models.checks.window import window_of

    window = window_of(model)

    def what(row: "Example") -> str | None:
        longest = max(window.count(row.chosen), window.count(row.rejected))
        if longest > most:
            return f"a response of {longest:,} tokens, {most:,} are read"
        images = window.image_tokens * sum(bool(name) for name in row.images[:1])
        total = window.count(row.asked) + images + longest
        if window.tokens is not None and total > window.tokens:
            return f"{total:,} tokens in all, {model} reads {window.tokens:,}"
        return None

    return what


@app.command("report")
def report(
    path: PathArgument,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The page to write, one HTML file.")
    ] = Path("data.html"),
    *,
    format_name: FormatOption = None,
    facts: FactsOption = None,
    model: ModelOption = None,
    max_response_tokens: ResponseTokensOption = 1024,
) -> None:
    """Write a page of plots about a dataset: lengths, labels, kinds, findings with their rows."""
    from veridical.feedback.datasets import dataset_statistics, find_dataset
    from veridical.feedback.doctor.examples import examples_of
    from veridical.feedback.doctor.whole import examine
    from veridical.report.data import write_data_report

    source = find_dataset(path, format_name=format_name, facts=facts)
    found = examine(examples_of(source), too_long=_too_long(model, max_response_tokens))
    written = write_data_report(out, source, dataset_statistics(source), found)
    echo(f"Written: {written}")


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
