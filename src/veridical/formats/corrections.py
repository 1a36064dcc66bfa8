"""Data sets of corrections in, records out, and back: which formats there are, and how a source becomes records.

An import writes `corrections.jsonl` and `images/` (files named by the sha256 of their bytes). Rows
are read one at a time; only texts stay in memory. All faults are gathered before anything is
raised, and then nothing is left behind.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from veridical.errors import ConfigError, DataError, Fault
from veridical.files import hash_bytes
from veridical.formats import chat, plain, rlaif_v, rlhf_v, rlhf_v_tsv
from veridical.formats.fields import Fields, clean_question, own_fields, text_faults
from veridical.formats.sources import SourceRow, put_rows_aside
from veridical.progress import track
from veridical.records import Correction, Source, read_records, write_records
from veridical.records.images import (
    ImageStore,
    RowFault,
    gather_row_errors,
    read_image,
    read_row_image,
)
from veridical.records.storage import describe_validation

RECORDS_FILE = "corrections.jsonl"
"""Name of the file of records that an import writes."""


class Format(NamedTuple):
    """A format of corrections or preference pairs."""

    describes: str
    """What it is, a few words."""
    rows: Callable[[Path], Iterator[SourceRow]]
    """Goes through the rows of a source."""
    fields: Callable[[Mapping[str, Any]], Fields]
    """Reads one row; raises RowFault."""
    judged_by: Source | None
    """Who judged; None where the format does not tell."""


FORMATS: dict[str, Format] = {
    "rlhf-v": Format("RLHF-V on the hub, Parquet", rlhf_v.rows, rlhf_v.fields, "human"),
    "rlhf-v-tsv": Format(
        "RLHF-V of 2023, tab-separated", rlhf_v_tsv.rows, rlhf_v_tsv.fields, "human"
    ),
    "rlaif-v": Format("RLAIF-V on the hub, Parquet", rlaif_v.rows, rlaif_v.fields, "model"),
    "chat": Format(
        "messages and images (TRL, LLaMA-Factory, ms-swift), Parquet or JSON",
        chat.rows,
        chat.fields,
        None,
    ),
    "plain": Format(
        "image, prompt, chosen, rejected; JSON, JSON lines or Parquet",
        plain.rows,
        plain.fields,
        None,
    ),
}
"""Every format that can be imported, by its name."""


class ImportResult(NamedTuple):
    """What an import did."""

    path: Path
    """The file of records."""
    corrections: int
    """How many corrections it holds."""
    images: int
    """How many different images they are about."""
    bad_rows: int
    """How many rows were left out (only with `skip_bad`)."""


class _Examined(NamedTuple):
    row: SourceRow
    correction: Correction | None
    messages: tuple[str, ...]


def get_format(name: str) -> Format:
    """Look a format up.

    Raises:
        ConfigError: There is no such format.
    """
    if name not in FORMATS:
        raise ConfigError(f"There is no format {name!r}. Formats: {', '.join(FORMATS)}.")
    return FORMATS[name]


def import_corrections(
    source: Path | str,
    out: Path | str,
    *,
    format_name: str,
    judged_by: Source | None = None,
    images_root: Path | None = None,
    skip_bad: bool = False,
) -> ImportResult:
    """Turn a data set into records with their images.

    Args:
        source: The file, or a folder of Parquet files.
        out: Folder to write into; an earlier import there is replaced.
        format_name: A key of `FORMATS`.
        judged_by: Who judged; needed where the format does not tell.
        images_root: Folder that holds the images, where they lie elsewhere than beside the source.
        skip_bad: Leave bad rows out, keep them in `SOURCE.bad.jsonl` in `out`, and count them
            aloud.

    Raises:
        ConfigError: No such format, or nobody says who judged.
        DataError: All faults of the source, each with file and row.
        StorageError: The disk refused.
    """
    source, out = Path(source), Path(out)
    made_by = judged_by or get_format(format_name).judged_by
    if made_by is None:
        raise ConfigError(
            f"The format {format_name!r} does not tell who judged. Say it: --source human, model or"
            " simulated."
        )
    store = ImageStore(out / "images")
    corrections: list[Correction] = []
    bad: list[_Examined] = []
    try:
        for examined in _examine(
            source, format_name, store, images_root, made_by, overrule=judged_by is not None
        ):
            if examined.correction is not None:
                corrections.append(examined.correction)
            else:
                bad.append(examined)
        if bad and not (skip_bad and all(item.row.line is not None for item in bad)):
            raise DataError(
                _faults(bad), advice="Mend these rows, or leave them out with --skip-bad."
            )
        if not corrections:
            raise DataError(
                [*_faults(bad), Fault(source, None, "no usable row. Give another file.")]
            )
        path = write_records(out / RECORDS_FILE, corrections, kind="Correction")
    except BaseException:  # an interrupted import leaves nothing behind, either
        store.remove_written()
        raise
    _put_aside(bad, out)
    return ImportResult(path, len(corrections), len(store), len(bad))


def check_source(
    source: Path | str, *, format_name: str, images_root: Path | None = None
) -> list[Fault]:
    """Say everything that an import of a data set would find wrong; writes nothing."""
    get_format(format_name)
    return _faults(
        _examine(Path(source), format_name, ImageStore(None), images_root, "human", overrule=False)
    )


def read_corrections_of_source(source: Path | str, *, format_name: str) -> Iterator[Correction]:
    """The usable corrections of a data set, without writing anything; their images are not kept."""
    made_by = get_format(format_name).judged_by or "human"
    for examined in _examine(
        Path(source), format_name, ImageStore(None), None, made_by, overrule=False
    ):
        if examined.correction is not None:
            yield examined.correction


def put_bad_rows_aside(
    source: Path | str, *, format_name: str, images_root: Path | None = None
) -> int:
    """Write the bad rows of a data set into `NAME.bad.jsonl` beside it, and say how many rows are good.

    Raises:
        DataError: A whole file cannot be read.
    """
    source = Path(source)
    get_format(format_name)
    good, bad = 0, []
    for examined in _examine(
        source, format_name, ImageStore(None), images_root, "human", overrule=False
    ):
        if examined.correction is not None:
            good += 1
        else:
            bad.append(examined)
    if any(item.row.line is None for item in bad):
        raise DataError(_faults(bad))
    _put_aside(bad, source.parent)
    return good


def _put_aside(bad: list[_Examined], folder: Path) -> None:
    put_rows_aside([(item.row, item.messages) for item in bad], folder)


def _faults(items: Any) -> list[Fault]:
    return [
        Fault(item.row.file, item.row.line, message) for item in items for message in item.messages
    ]


def _examine(
    source: Path,
    format_name: str,
    store: ImageStore,
    images_root: Path | None,
    made_by: Source,
    *,
    overrule: bool,
) -> Iterator[_Examined]:
    chosen_format = get_format(format_name)
    place_of_id: dict[str, str] = {}
    for row in track(chosen_format.rows(source), label=f"Reading {source.name}"):
        if row.values is None:
            yield _Examined(row, None, (row.fault or "no row",))
            continue
        try:
            fields = chosen_format.fields(row.values)
            correction, image = _correction(
                row, fields, store, images_root, made_by, overrule=overrule
            )
            place = f"{row.file.name}:{row.line}"
            if place_of_id.setdefault(correction.id, place) != place:
                raise RowFault(
                    f"the id {correction.id!r} stands in {place_of_id[correction.id]} already."
                )
        except RowFault as fault:
            yield _Examined(row, None, fault.messages)
            continue
        store.keep(correction.image, image)
        yield _Examined(row, correction, ())


def _correction(
    row: SourceRow,
    fields: Fields,
    store: ImageStore,
    images_root: Path | None,
    made_by: Source,
    *,
    overrule: bool,
) -> tuple[Correction, bytes]:
    """Check one row wholly, so that all its faults are told at once; give its record and the bytes of its image."""
    messages = text_faults(fields)
    row_id, question, data, image = "", "", b"", None
    with gather_row_errors(messages):
        row_id = _row_id(row, fields.id)
    if isinstance(fields.question, str):
        with gather_row_errors(messages):
            question = clean_question(fields.question)
    with gather_row_errors(messages):
        data = read_row_image(fields.image, root=images_root or row.file.parent)
        image = store.refer(data)
    if messages or image is None:
        raise RowFault(*messages)
    own = own_fields(fields.own)
    settings = {
        "id": row_id,
        "prompt_id": (
            f"prompt-{hash_bytes(f'{image.sha256} {question}'.encode('utf-8', 'surrogatepass'))[:16]}"
        ),
        "source": made_by,
        "image": image,
        "question": question,
        "chosen": fields.chosen,
        "rejected": fields.rejected,
        "origin": fields.origin,
    }
    try:
        correction = Correction.model_validate(
            settings | own | ({"source": made_by} if overrule else {})
        )
        correction.model_dump_json()  # what cannot be written must show here, with its row
    except ValidationError as error:
        raise RowFault(f"{describe_validation(error)}. Mend the row.") from error
    except PydanticSerializationError as error:
        raise RowFault(f"the row cannot be written as JSON: {error}. Mend the row.") from error
    return correction, data


def _row_id(row: SourceRow, value: Any) -> str:
    if value is None:
        return f"{row.file.stem}-{row.line}"
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise RowFault(f"the id must be a number or a text, got {value!r}. Mend the row.")
    return str(value)


def export_corrections(records: Path | str, out: Path | str) -> Path:
    """Write a file of corrections in the RLHF-V hub's format, images included; importing it gives equal records.

    Raises:
        DataError: Rows that are no corrections, or whose image cannot be read.
    """
    records, out = Path(records), Path(out)
    if out.suffix != ".parquet":
        raise ConfigError(
            f"The format rlhf-v is one Parquet file, got `{out}`. Give a name that ends in"
            " .parquet."
        )
    corrections = read_records(records, Correction)
    missing: list[Fault] = []

    def with_images() -> Iterator[tuple[Correction, bytes]]:
        for correction in track(corrections, label=f"Writing {out.name}"):
            try:
                yield correction, read_image(records.parent, correction.image.path)
            except RowFault as fault:
                missing.append(Fault(records, None, f"row {correction.id!r}: {fault}"))
        if missing:
            raise DataError(missing)

    return rlhf_v.write(out, with_images())
