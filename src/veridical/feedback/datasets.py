"""Any dataset, public format or folder of records: checked, counted, cleaned, written out.

`veridical data check|stats|export` are these functions; importing is `veridical.formats.importing`.
"""

from pathlib import Path
from typing import NamedTuple

from veridical.errors import ConfigError, DataError, Fault
from veridical.feedback.comparisons import ReadSettings
from veridical.feedback.record_files import check_records
from veridical.feedback.registry import JudgementKind, judgement_kinds, read_pairs
from veridical.feedback.statistics import DataStatistics, content_statistics
from veridical.files import quarantine_rows
from veridical.formats.exporting import export_records
from veridical.formats.importing import check_data, quarantine_data, read_data
from veridical.formats.registry import RECORDS, detect_format
from veridical.records import Record, read_records
from veridical.records.folders import (
    FACTS_FILE,
    PROMPTS_FILE,
    RECORD_OF_FILE,
    RESPONSES_FILE,
    read_contents,
    record_type_of,
)

_READ_WITH_JUDGEMENTS = (PROMPTS_FILE, RESPONSES_FILE, FACTS_FILE)


class DataSource(NamedTuple):
    """A dataset and how to look at it."""

    path: Path
    """A file or folder."""
    format_name: str
    """Name of its format, or "records"."""
    facts: Path | None = None
    """Captions and rationales by image, for formats that take them."""
    images_root: Path | None = None
    """Folder that image paths start from, where that is not the data's own folder."""
    outside: bool = False
    """Accept images of records outside of the records' folder."""
    decode: bool = True
    """Look at every image whole; otherwise at the texts and first bytes alone."""


def find_dataset(
    path: Path | str,
    *,
    format_name: str | None = None,
    facts: Path | None = None,
    images_root: Path | None = None,
    outside: bool = False,
    decode: bool = True,
) -> DataSource:
    """Name a dataset, its format recognised where it is not given; see `DataSource`.

    Raises:
        ConfigError: The format is not recognised, or takes no facts.
    """
    path = Path(path)
    found = format_name or detect_format(path)
    if found == RECORDS and facts is not None:
        raise ConfigError("Records take no facts: theirs stand in facts.jsonl. Leave --facts out.")
    return DataSource(path, found, facts, images_root, outside, decode)


def check_dataset(source: DataSource | Path | str) -> list[Fault]:
    """Find everything that is wrong with a dataset; empty where nothing is.

    Args:
        source: Its path, or what `find_dataset` gives where the format, facts or the images' folder
            are to be named.

    Raises:
        ConfigError: The format is not recognised.
    """
    source = _opened(source)
    if source.format_name != RECORDS:
        return check_data(
            source.path,
            format_name=source.format_name,
            facts=source.facts,
            images_root=source.images_root,
            decode=source.decode,
        )
    if source.path.is_file():
        return _check_file(source)
    return _check_folder(source)


def _opened(source: DataSource | Path | str) -> DataSource:
    return source if isinstance(source, DataSource) else find_dataset(source)


def quarantine_bad_rows(source: DataSource) -> int:
    """Write the bad rows of a dataset into `NAME.bad.jsonl`; return the number of good ones.

    Raises:
        DataError: A whole file cannot be read, or no row is good.
    """
    if source.format_name != RECORDS:
        return quarantine_data(
            source.path,
            format_name=source.format_name,
            facts=source.facts,
            images_root=source.images_root,
            decode=source.decode,
        )
    faults = check_dataset(source)
    whole = [fault for fault in faults if fault.line is None]
    if whole:
        raise DataError(whole)
    files = [source.path] if source.path.is_file() else _files(source.path)
    judged = {file for _, file in _judgements(source.path)} or set(files)
    good = 0
    for file in files:
        messages: dict[int, list[str]] = {}
        for fault in faults:
            if fault.file == file and fault.line is not None:
                messages.setdefault(fault.line, []).append(fault.message)
        left = _quarantine_lines(file, messages)
        good += left if file in judged else 0
    return good


def dataset_statistics(source: DataSource | Path | str) -> DataStatistics:
    """Count what is in a dataset, given as in `check_dataset`.

    Raises:
        DataError: There is no usable row.
    """
    source, kinds = _opened(source), judgement_kinds()
    if source.format_name == RECORDS:
        contents = read_contents(source.path)
        judged = {
            kind.name: read_records(file, kind.record) for kind, file in _judgements(source.path)
        }
    else:
        contents = read_data(source.path, format_name=source.format_name, facts=source.facts)
        records: list[Record] = [record for part in contents for record in part]
        judged = {
            kind.name: [row for row in records if isinstance(row, kind.record)] for kind in kinds
        }
    if not any(contents) and not any(judged.values()):
        message = "no usable row. Run `veridical data check` to see why."
        raise DataError([Fault(source.path, None, message)])
    found = content_statistics(contents)
    for kind in kinds:
        if judged.get(kind.name):
            found = found.joined(kind.statistics(judged[kind.name], contents))
    return found


def export_dataset(
    records: Path | str, out: Path | str, *, format_name: str, skip_bad: bool = False
) -> Path:
    """Write records with their images in a public format.

    Args:
        records: A folder of records, or one file of them.
        out: The file to write.
        format_name: Name of a format that can be written.
        skip_bad: Leave out what the format cannot say, and count it.

    Raises:
        ConfigError: No such format, it is only read, or `out` has another suffix.
        DataError: Records that the format cannot hold, or whose image cannot be read; all of them.
        StorageError: The disk refused.
    """
    return export_records(
        records,
        out,
        format_name=format_name,
        pairs_of=lambda path: read_pairs(path, ReadSettings(images=False, skip_bad=skip_bad)),
        skip_bad=skip_bad,
    )


def _judgements(path: Path) -> list[tuple[JudgementKind, Path]]:
    if path.is_dir():
        kinds = judgement_kinds()
        return [(kind, path / kind.file) for kind in kinds if (path / kind.file).is_file()]
    record = _record_type(path)
    return [(kind, path) for kind in judgement_kinds() if kind.record is record]


def _record_type(path: Path) -> type[Record]:
    named = {kind.file: kind.record for kind in judgement_kinds()}
    return named[path.name] if path.name in named else record_type_of(path)


def _files(folder: Path) -> list[Path]:
    names = [*RECORD_OF_FILE, *(kind.file for kind in judgement_kinds())]
    return [folder / name for name in dict.fromkeys(names) if (folder / name).is_file()]


def _check_file(source: DataSource) -> list[Fault]:
    path, outside, images = source.path, source.outside, source.decode
    try:
        for kind, file in _judgements(path):
            return kind.check(file, ReadSettings(outside=outside, images=images))
        return check_records(path, record_type_of(path), outside=outside, images=images)
    except DataError as error:  # the file does not say what it holds
        return list(error.faults)


def _check_folder(source: DataSource) -> list[Fault]:
    """Check judgements with all that they refer to, then the files that no judgement reads."""
    folder, outside, images = source.path, source.outside, source.decode
    judged = _judgements(folder)
    need_facts = (folder / FACTS_FILE).is_file()
    settings = ReadSettings(need_facts=need_facts, outside=outside, images=images)
    faults: list[Fault] = []
    read: set[str] = set()
    for kind, file in judged:
        faults += kind.check(file, settings)
        read |= {file.name, *(() if kind.stands_alone else _READ_WITH_JUDGEMENTS)}
    for file in _files(folder):
        if file.name not in read:
            kind_of_record = RECORD_OF_FILE[file.name]
            faults += check_records(file, kind_of_record, outside=outside, images=images)
    return list(dict.fromkeys(faults))


def _quarantine_lines(file: Path, messages: dict[int, list[str]]) -> int:
    """Write the lines at fault into a file of their own; the number of the other records."""
    lines = file.read_text(encoding="utf-8").splitlines()
    bad = [(line, lines[line - 1], " ".join(said)) for line, said in sorted(messages.items())]
    if bad:
        quarantine_rows(file, bad)
    records = [line for line in lines if line.strip() and not line.startswith('{"veridical"')]
    return len(records) - len(bad)
