"""`veridical data`: public data sets ↔ records, faults with file and line, a look at what is in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from veridical.errors import Fault
    from veridical.feedback.contents import ContentStatistics
    from veridical.feedback.kinds import CorrectionStatistics
    from veridical.records import Source

app = typer.Typer(
    help="Turn public data sets into records and back; check them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_LLAVA_RLHF = "llava-rlhf-"
_LLAVA_RLHF_HELP = "llava-rlhf-preference, -prompts, -conversations or -facts"
_FORMATS_HELP = f"rlhf-v, rlhf-v-tsv, rlaif-v, chat, plain, {_LLAVA_RLHF_HELP}"

FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format", help=f"Format of PATH ({_FORMATS_HELP}, records); told by itself if left out."
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


@app.command("import")
def import_(
    format_name: Annotated[
        str, typer.Argument(metavar="FORMAT", help=f"Format of SOURCE: {_FORMATS_HELP}.")
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
            help="Who judged: human, model or simulated. Needed where the format does not tell.",
        ),
    ] = None,
    facts: FactsOption = None,
    images: ImagesOption = None,
    skip_bad: SkipBadOption = False,
) -> None:
    """Turn a public data set of corrections, preferences, prompts or conversations into records with their images."""
    import time

    from veridical.files import hash_file, write_json_atomically
    from veridical.formats.corrections import import_corrections
    from veridical.formats.llava_rlhf_import import import_llava_rlhf
    from veridical.records.manifests import build_manifest

    started = time.monotonic()
    made_by = _source(judged_by)
    if format_name.startswith(_LLAVA_RLHF):
        found = import_llava_rlhf(
            source,
            out,
            format_name=format_name,
            facts=facts,
            judged_by=made_by,
            images_root=images,
            skip_bad=skip_bad,
        )
        counts, bad_rows = found.counts, found.bad_rows
        told = f"{', '.join(f'{count} {name}' for name, count in counts.items())}"
        path = found.path
    else:
        _refuse_facts(facts, format_name)
        result = import_corrections(
            source,
            out,
            format_name=format_name,
            judged_by=made_by,
            images_root=images,
            skip_bad=skip_bad,
        )
        counts, bad_rows = (
            {"corrections": result.corrections, "images": result.images},
            result.bad_rows,
        )
        told = f"{result.corrections} corrections about {result.images} images"
        path = result.path
    files = [source] if source.is_file() else sorted(source.rglob("*.parquet"))
    files += [facts] if facts is not None else []
    manifest = build_manifest(
        verb="data import",
        seed=0,
        inputs={str(file): hash_file(file) for file in files},
        seconds={"import": time.monotonic() - started},
        notes={"format": format_name} | counts | {"bad_rows": bad_rows},
    )
    write_json_atomically(out / "manifest.json", manifest.model_dump(mode="json"))
    left_out = f", {bad_rows} bad {'row' if bad_rows == 1 else 'rows'} left out" if bad_rows else ""
    typer.echo(f"{told}{left_out}: {path}")


@app.command("export")
def export(
    format_name: Annotated[
        str, typer.Argument(metavar="FORMAT", help=f"Format to write: rlhf-v, {_LLAVA_RLHF_HELP}.")
    ],
    records: Annotated[
        Path,
        typer.Argument(metavar="RECORDS", help="A file of corrections, or a folder of records."),
    ],
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The file to write: .parquet, or .json for llava-rlhf."),
    ],
    *,
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad", help="Leave out what the format cannot say (llava-rlhf), and count it."
        ),
    ] = False,
) -> None:
    """Write records with their images in a public format."""
    from veridical.errors import ConfigError
    from veridical.formats.corrections import export_corrections
    from veridical.formats.detect import records_path

    if format_name.startswith(_LLAVA_RLHF):
        from veridical.formats.llava_rlhf_export import export_llava_rlhf

        typer.echo(
            "Written:"
            f" {export_llava_rlhf(records, out, format_name=format_name, skip_bad=skip_bad)}"
        )
        return
    if format_name != "rlhf-v":
        raise ConfigError(
            f"Cannot export to the format {format_name!r}. Formats: rlhf-v, {_LLAVA_RLHF_HELP}."
        )
    typer.echo(f"Written: {export_corrections(records_path(records), out)}")


@app.command("check")
def check(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="Records, an import's folder, or any known format."),
    ],
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
    skip_bad: SkipBadOption = False,
) -> None:
    """Look for everything that is wrong with a data set; end with 1 if anything is."""
    from veridical.formats.detect import detect_format, records_path

    path = records_path(path)
    found = format_name or detect_format(path)
    if not found.startswith(_LLAVA_RLHF):
        _refuse_facts(facts, found)
    if skip_bad:
        good = _leave_out_bad(path, found, facts=facts, images=images, outside=outside)
        typer.echo(f"{path}: {good} good {'row' if good == 1 else 'rows'} (format {found}).")
        return
    faults = _faults(path, found, facts=facts, images=images, outside=outside)
    for fault in faults:
        typer.echo(str(fault))
    if faults:
        typer.echo(
            f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'} in {path} (format {found})."
        )
        raise typer.Exit(1)
    typer.echo(f"{path}: no fault (format {found}).")


@app.command("stats")
def stats(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="Records, an import's folder, or any known format."),
    ],
    *,
    format_name: FormatOption = None,
) -> None:
    """Show what is in a data set: segments, preferences, kinds, lengths, who judged."""
    from veridical.feedback.contents import content_statistics, read_contents
    from veridical.feedback.kinds import correction_statistics
    from veridical.formats.corrections import read_corrections_of_source
    from veridical.formats.detect import detect_format, folder_files, records_path
    from veridical.formats.llava_rlhf_import import contents_of_source
    from veridical.records import Correction, read_records

    path = records_path(path)
    found = format_name or detect_format(path)
    if found.startswith(_LLAVA_RLHF):
        _show_contents(path, content_statistics(contents_of_source(path, format_name=found)))
    elif folder_files(path):
        _show_contents(path, content_statistics(read_contents(path)))
    elif found == "records":
        _show(path, correction_statistics(read_records(path, Correction)))
    else:
        _show(path, correction_statistics(read_corrections_of_source(path, format_name=found)))


def _faults(
    path: Path, found: str, *, facts: Path | None, images: Path | None, outside: bool
) -> "list[Fault]":
    from veridical.feedback.contents import check_folder
    from veridical.feedback.corrections import check_corrections
    from veridical.formats.corrections import check_source
    from veridical.formats.detect import folder_files
    from veridical.formats.llava_rlhf_import import check_llava_rlhf

    if found.startswith(_LLAVA_RLHF):
        return check_llava_rlhf(path, format_name=found, facts=facts, images_root=images)
    if folder_files(path):
        return check_folder(path, outside=outside)
    if found == "records":
        return check_corrections(path, outside=outside)
    return check_source(path, format_name=found, images_root=images)


def _leave_out_bad(
    path: Path, found: str, *, facts: Path | None, images: Path | None, outside: bool
) -> int:
    from veridical.feedback.comparisons import read_compared_pairs
    from veridical.feedback.corrections import read_corrections
    from veridical.formats import corrections, llava_rlhf_import
    from veridical.formats.detect import folder_files
    from veridical.records.folders import FACTS_FILE

    if found.startswith(_LLAVA_RLHF):
        return llava_rlhf_import.put_bad_rows_aside(
            path, format_name=found, facts=facts, images_root=images
        )
    if folder_files(path):
        need_facts = (path / FACTS_FILE).is_file()
        return len(read_compared_pairs(path, need_facts=need_facts, outside=outside, skip_bad=True))
    if found == "records":
        return len(read_corrections(path, outside=outside, skip_bad=True))
    return corrections.put_bad_rows_aside(path, format_name=found, images_root=images)


def _refuse_facts(facts: Path | None, format_name: str) -> None:
    from veridical.errors import ConfigError

    if facts is not None:
        raise ConfigError(f"The format {format_name!r} takes no facts. Leave --facts out.")


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
        raise DataError(
            [Fault(path, None, "no usable row. Run `veridical data check` to see why.")]
        )
    table = Table("", "count", "share", title=str(path), title_justify="left")

    def section(name: str, counts: dict[str, int]) -> None:
        table.add_section()
        total = sum(counts.values())
        for label, count in counts.items():
            table.add_row(
                f"{name}: {label}", f"{count:,}", f"{count / total:.1%}" if total else "–"
            )

    for name, count in (
        ("corrections", found.corrections),
        ("images", found.images),
        ("segments", found.segments),
    ):
        table.add_row(name, f"{count:,}", "")
    table.add_row("segments a response", f"{found.segments / found.corrections:.2f}", "")
    for name, words in (("rejected", found.rejected_words), ("chosen", found.chosen_words)):
        spread = f"mean {mean(words):.1f}, median {median(words):g}, longest {max(words)}"
        table.add_row(f"words of the {name} response", spread, "")
    table.add_row("words changed", f"{found.changed_words:,}", f"{found.changed_ratio:.1%}")
    section("judged by", found.sources)
    section(
        "responses with segments",
        {str(number): count for number, count in found.segments_per_response.items()},
    )
    section("edit", found.edits)
    section("kind", {str(kind): count for kind, count in found.kinds.items()})
    if found.kinds["other"]:
        section(
            "kind, guessed from words",
            {str(kind): count for kind, count in found.guessed_kinds.items()},
        )
    Console().print(table)


def _show_contents(path: Path, found: "ContentStatistics") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "count", "share", title=str(path), title_justify="left")
    for name, counts in found.sections.items():
        table.add_section()
        total = sum(counts.values())
        for label, count in counts.items():
            table.add_row(f"{name}: {label}", f"{count:,}", f"{count / total:.1%}")
    for name, (mean, median, longest) in found.words.items():
        table.add_row(
            f"words of the {name}", f"mean {mean:.1f}, median {median:g}, longest {longest}", ""
        )
    head = Table("", "count", title=str(path), title_justify="left")
    for name, count in found.counts.items():
        head.add_row(name, f"{count:,}")
    table.title = None
    Console().print(head, table)
