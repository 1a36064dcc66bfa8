"""ms-swift's preference data: JSON lines with `messages`, `rejected_response` and `images`.

The last message is the preferred answer. Image paths are relative to the folder of the file: give
it to ms-swift as ROOT_IMAGE_DIR.
"""

from collections.abc import Iterator

from veridical.files import JsonObject
from veridical.formats import chat
from veridical.formats.export import Export
from veridical.formats.format import Format
from veridical.formats.trainers.turns import said_of


def write(export: Export) -> None:
    """Write the pairs of an export."""
    export.write_rows(_rows(export), lines=True)


def _rows(export: Export) -> Iterator[JsonObject]:
    for pair in export.each(export.pairs):
        with export.row(pair.id):
            said = [*said_of(pair), ("assistant", pair.chosen)]
            yield {
                "messages": [{"role": role, "content": text} for role, text in said],
                "rejected_response": pair.rejected,
                "images": [f"images/{export.copy_image(image)}" for image in pair.images],
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
