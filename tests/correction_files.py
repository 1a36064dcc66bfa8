"""A small file of corrections with its images, for any test that trains."""

from miniatures import picture
from veridical.records import Correction, ImageRef, write_records

ROWS = [
    ("There is a red car on the left.", "There is a blue car on the left."),
    (
        "Two dogs near the tree. A cat sleeps on the sofa. There is a lamp.",
        "Two dogs near the tree. There is a lamp.",
    ),
    ("A yellow lamp.", "A yellow lamp and three green cups."),
    (
        "The kitchen has a large table, three green cups.",
        "The kitchen has a small table, two green cups.",
    ),
    ("A man rides a blue bicycle.", "A man rides a red bicycle along the street."),
    ("Yes, there is a knife.", "No, there is no knife in the image."),
]


def write_corrections(folder, *, count=12):
    """Write `count` corrections about `count // 2` images."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        name = f"images/{number // 2}.png"
        if not (folder / name).exists():
            picture(number // 2).save(folder / name)
        rejected, chosen = ROWS[number % len(ROWS)]
        texts = {"question": "What is in the picture?", "rejected": rejected, "chosen": chosen}
        image = ImageRef(path=name)
        rows.append(
            Correction(
                id=f"c{number}",
                prompt_id=f"p{number // 2}",
                source="simulated",
                image=image,
                **texts,
            )
        )
    return write_records(folder / "corrections.jsonl", rows, kind="Correction")
