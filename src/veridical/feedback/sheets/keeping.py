"""The judgements of a sheet with all they rest on, in a folder of records."""

from pathlib import Path
from typing import TypeVar

from veridical.feedback.sheets.items import Judged, SheetItem, SheetItems
from veridical.files import write_bytes_atomically
from veridical.records import Comparison, Correction, ImageRef, Marking, Prompt, Rating
from veridical.records.folders import Contents, write_contents
from veridical.records.image_store import ImageStore
from veridical.records.images import read_image

T = TypeVar("T", Prompt, Correction)


def write_judged(out: Path, found: SheetItems, made: list[tuple[SheetItem, Judged]]) -> None:
    """Write the judgements, their prompts, responses and pictures.

    Raises:
        RowError: A picture cannot be read.
        StorageError: The disk refused.
    """
    refs: dict[str, ImageRef] = {}
    used = {item.id: item for item, _ in made}.values()
    for item in used:
        for image in item.prompt.images:
            if image.path not in refs:
                refs[image.path] = _keep_image(out, found, image)
    prompts = {item.prompt.id: _with_images(item.prompt, refs) for item in used}
    rows = [row for _, row in made]
    write_contents(
        out,
        Contents(
            prompts=tuple(prompts.values()),
            responses=tuple({one.id: one for item in used for one in item.responses}.values()),
            corrections=tuple(
                _with_images(row, refs) for row in rows if isinstance(row, Correction)
            ),
            comparisons=tuple(row for row in rows if isinstance(row, Comparison)),
            ratings=tuple(row for row in rows if isinstance(row, Rating)),
            markings=tuple(row for row in rows if isinstance(row, Marking)),
        ),
    )


def _keep_image(out: Path, found: SheetItems, image: ImageRef) -> ImageRef:
    """Copy a picture: under its own path, or by its hash where that leads out of the folder."""
    data = read_image(found.root, image.path, outside=found.outside)
    if (out / image.path).resolve().is_relative_to(out.resolve()):
        write_bytes_atomically(out / image.path, data)
        return image
    store = ImageStore(out / "images")
    ref = store.refer(data)
    store.keep(ref, data)
    return ref


def _with_images(record: T, refs: dict[str, ImageRef]) -> T:
    return record.with_images([refs[image.path] for image in record.images])
