"""What control arms learn from: another arm's corrections, without rejected texts or pictures."""

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

    Pictures are files of their own whose names sort as the originals do: rows are held out by
    picture, and the same rows must be held out.
    """
    rows = read_records(corrections, Correction)
    (out.parent / "blank").mkdir(parents=True, exist_ok=True)
    grey = Image.new("RGB", (IMAGE_PIXELS, IMAGE_PIXELS), _GREY)
    blanked = []
    for one in rows:
        path = f"blank/{one.image.identity.replace('/', '_')}.png"
        grey.save(out.parent / path)
        blanked.append(one.model_copy(update={"image": ImageRef(path=path)}))
    return write_records(out, blanked, kind="Correction")
