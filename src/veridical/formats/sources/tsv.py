"""Tab-separated files without a head, as RLHF-V released its data in 2023."""

from collections.abc import Callable, Iterator
from pathlib import Path

from veridical.formats.sources.rows import SourceRow


def tsv_rows(
    source: Path, *, columns: tuple[str, ...], check: Callable[[Path, int], str | None]
) -> Iterator[SourceRow]:
    """Rows of a tab-separated file without header.

    Args:
        source: The file.
        columns: Names of its columns, in order.
        check: Given file and number of rows at the end: what is wrong with the whole file, or None.
    """
    number = 0
    try:
        with source.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield _tsv_row(source, number, line, columns)
    except OSError as error:
        yield SourceRow(
            source, None, None, f"cannot be read: {error.strerror or error}. Check the path."
        )
        return
    whole = "the file is empty. Give another file." if number == 0 else check(source, number)
    if whole is not None:
        yield SourceRow(source, None, None, whole)


def _tsv_row(source: Path, number: int, line: bytes, columns: tuple[str, ...]) -> SourceRow:
    try:
        cells = line.rstrip(b"\r\n").decode("utf-8").split("\t")
    except UnicodeDecodeError:
        return SourceRow(
            source, number, None, "not UTF-8. Save the file as UTF-8.", repr(line[:200])
        )
    if len(cells) == len(columns):
        return SourceRow(source, number, dict(zip(columns, cells, strict=True)))
    fault = (
        f"{len(columns)} tab-separated columns expected, got {len(cells)}. Download the file again."
    )
    return SourceRow(source, number, None, fault, "\t".join(cell[:200] for cell in cells))
