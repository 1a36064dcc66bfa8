"""Records out into a public format, images included: the engine that all formats are written by.

What a format cannot say of a record is a fault of that record; with `skip_bad` such records are
left out and counted. Whole fields that it cannot hold are listed.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from veridical.errors import ConfigError
from veridical.formats.export import Export
from veridical.formats.format import Format
from veridical.formats.registry import find_format, format_names
from veridical.progress import counted, log
from veridical.records import Pair
from veridical.records.folders import Contents, read_contents


def export_records(
    records: Path | str,
    out: Path | str,
    *,
    format_name: str,
    pairs_of: Callable[[Path], Sequence[Pair]] | None = None,
    skip_bad: bool = False,
) -> Path:
    """Write records in a public format.

    Args:
        records: A folder of records, or one file of them.
        out: The file to write.
        format_name: Name of a format that can be written.
        pairs_of: Makes pairs of the folder or file, for formats that are written from pairs.
        skip_bad: Leave out what the format cannot say, and count it.

    Raises:
        ConfigError: No such format, it is only read, or `out` has another suffix.
        DataError: Records that the format cannot hold, or whose image cannot be read; all of them.
        StorageError: The disk refused.
    """
    records = Path(records)
    contents = read_contents(records)
    pairs: Sequence[Pair] = ()
    if _written(format_name, Path(out)).writes_pairs and pairs_of is not None:
        pairs = pairs_of(records)
    root = records if records.is_dir() else records.parent
    export = Export(contents, Path(out), root=root, pairs=pairs, skip_bad=skip_bad)
    return write_export(export, format_name=format_name)


def export_pairs(
    pairs: Sequence[Pair],
    out: Path | str,
    *,
    format_name: str,
    root: Path,
    skip_bad: bool = False,
) -> Path:
    """Write preference pairs in a public format; see `export_records`.

    Args:
        pairs: The pairs.
        out: The file to write.
        format_name: Name of a format that is written from pairs.
        root: Folder that relative image paths start from.
        skip_bad: Leave out what the format cannot say, and count it.
    """
    if not _written(format_name, Path(out)).writes_pairs:
        raise ConfigError(f"The format {format_name!r} is written from records, not from pairs.")
    export = Export(Contents(), Path(out), root=root, pairs=pairs, skip_bad=skip_bad)
    return write_export(export, format_name=format_name)


def write_export(export: Export, *, format_name: str) -> Path:
    """Write an export; what it wrote is removed again if it fails."""
    form = _written(format_name, export.out)
    assert form.write is not None  # noqa: S101 - `_written` refuses others
    try:
        form.write(export)
    except BaseException:  # an interrupted export leaves nothing behind, either
        export.remove_written()
        raise
    lost = _lost(export, form)
    if lost:
        log(f"{format_name} cannot hold {', '.join(lost)}; not in {export.out}")
    return export.out


def _written(format_name: str, out: Path) -> Format:
    form = find_format(format_name)
    if form.write is None:
        raise ConfigError(
            f"Cannot export to the format {format_name!r}. Formats:"
            f" {', '.join(format_names(written=True))}."
        )
    if out.suffix != form.suffix:
        raise ConfigError(
            f"The format {format_name} is one {form.suffix} file, got `{out}`. Give a name that"
            f" ends in {form.suffix}."
        )
    return form


def _lost(export: Export, form: Format) -> list[str]:
    """Fields that the format cannot hold and that some record has, with their numbers."""
    counts: Counter[str] = Counter()
    records = [*export.pairs, *(record for records in export.contents for record in records)]
    seen: set[tuple[str, str]] = set()  # a pair has the id of the judgement that it was made of
    for record in records:
        for name in form.cannot_hold:
            value, place = getattr(record, name, None), (getattr(record, "id", ""), name)
            if value not in (None, "", (), []) and place not in seen:
                seen.add(place)
                counts[name] += 1
    return [f"`{name}` ({counted(count, 'record')})" for name, count in sorted(counts.items())]
