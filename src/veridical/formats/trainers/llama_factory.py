"""LLaMA-Factory's ranking data: sharegpt JSON (`conversations`, `chosen`, `rejected`, `images`).

Next to the file stand its images and `dataset_info.json`, through which LLaMA-Factory finds it:
`dataset_dir` is that folder, `dataset` the file's name without suffix, `media_dir` the same folder.
"""

from collections.abc import Iterator

from veridical.errors import ConfigError
from veridical.files import JsonObject, parse_json, read_text, write_json_atomically
from veridical.formats import chat
from veridical.formats.export import Export
from veridical.formats.format import Format
from veridical.formats.trainers.turns import marked_turns

_INFO = "dataset_info.json"
_COLUMNS = {
    "messages": "conversations",
    "chosen": "chosen",
    "rejected": "rejected",
    "images": "images",
}


def write(export: Export) -> None:
    """Write the pairs of an export, and the entry that makes them known.

    Raises:
        ConfigError: There is a `dataset_info.json` that is not a JSON object.
    """
    info_file = export.out.with_name(_INFO)
    info = _known(export)
    export.write_rows(_rows(export))
    info[export.out.stem] = {
        "file_name": export.out.name,
        "ranking": True,
        "formatting": "sharegpt",
        "columns": _COLUMNS | ({"system": "system"} if _has_system(export) else {}),
    }
    write_json_atomically(info_file, info)


def _known(export: Export) -> JsonObject:
    """Entries of other datasets in the folder, which stay."""
    file = export.out.with_name(_INFO)
    if not file.is_file():
        return {}
    try:
        found = parse_json(read_text(file))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"`{file}` is not valid JSON: {error}. Fix or move it.") from error
    if not isinstance(found, dict):
        raise ConfigError(f"`{file}` must be a JSON object. Fix or move it.")
    return found


def _has_system(export: Export) -> bool:
    """Whether the file has a column for system messages: all of its rows have it, or none."""
    return any(pair.system for pair in export.pairs)


def _rows(export: Export) -> Iterator[JsonObject]:
    system = _has_system(export)
    for pair in export.each(export.pairs):
        with export.row(pair.id):
            row: JsonObject = {
                "conversations": [
                    {"from": ("human", "gpt")[number % 2], "value": text}
                    for number, text in enumerate(marked_turns(pair))
                ],
                "chosen": {"from": "gpt", "value": pair.chosen},
                "rejected": {"from": "gpt", "value": pair.rejected},
                "images": [f"images/{export.copy_image(image)}" for image in pair.images],
                "id": pair.id,
            }
            yield row | ({"system": pair.system} if system else {})


FORMAT = Format(
    describes="LLaMA-Factory's ranking data (sharegpt), JSON",
    read=chat.read,
    write=write,
    suffix=".json",
    writes_pairs=True,
    cannot_hold=("segments", "source", "origin"),
)
"""The format."""
