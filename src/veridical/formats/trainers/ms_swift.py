"""ms-swift's preference data: JSON lines with `messages`, `rejected_response` and `images`.

The last message is the preferred answer. Image paths are relative to the folder of the file: give
it to ms-swift as ROOT_IMAGE_DIR.
"""

from collections.abc import Iterator

from veridical.files import JsonObject
from veridical.formats import chat
from veridical.formats.export import Export
from veridical.formats.format import Format

_MARKER = "<image>"


def write(export: Export) -> None:
    """Write the pairs of an export."""
    export.write_rows(_rows(export), lines=True)


def _rows(export: Export) -> Iterator[JsonObject]:
    for pair in export.each(export.pairs):
        with export.row(pair.id):
            turns = [text for exchange in pair.history for text in exchange]
            turns += [pair.question, pair.chosen]
            turns[0] = _MARKER + turns[0]
            yield {
                "messages": [
                    {"role": ("user", "assistant")[number % 2], "content": text}
                    for number, text in enumerate(turns)
                ],
                "rejected_response": pair.rejected,
                "images": [f"images/{export.copy_image(pair.image)}"],
                "id": pair.id,
            }


FORMAT = Format(
    describes="ms-swift's preference data, JSON lines",
    read=chat.read,
    write=write,
    suffix=".jsonl",
    writes_pairs=True,
    cannot_hold=("segments", "source", "origin"),
)
"""The format."""
