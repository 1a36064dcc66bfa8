"""What control arms learn from: the corrections of others, without rejected texts or pictures."""

from pathlib import Path

from PIL import Image

from veridical.records import Conversation, Correction, ImageRef, read_records, write_records
from veridical.records.prompts import Turn
from veridical.world.scenes import IMAGE_PIXELS

_GREY = (128, 128, 128)


def write_corrected(corrections: Path, out: Path) -> Path:
    """Write what people made of the responses, as answers to learn; return `out`."""
    rows = [
        Conversation(
            id=one.id,
            image=one.image,
            turns=(Turn(role="user", text=one.question), Turn(role="assistant", text=one.chosen)),
            source=one.source,
        ).with_absolute_images(corrections.parent.resolve())
        for one in read_records(corrections, Correction)
    ]
    return write_records(out, rows, kind="Conversation")


def write_blanked(corrections: Path, out: Path) -> Path:
    """Write the same corrections, each about a grey picture that shows nothing; return `out`.

    Every picture is a file of its own, as before: held-out rows are split off by picture.
    """
    rows = read_records(corrections, Correction)
    images = {one.image.path: f"blank/{number}.png" for number, one in enumerate(rows)}
    (out.parent / "blank").mkdir(parents=True, exist_ok=True)
    grey = Image.new("RGB", (IMAGE_PIXELS, IMAGE_PIXELS), _GREY)
    for path in images.values():
        grey.save(out.parent / path)
    blanked = [
        one.model_copy(update={"image": ImageRef(path=images[one.image.path])}) for one in rows
    ]
    return write_records(out, blanked, kind="Correction")
