"""A small file of conversations with its images, for any test that fine-tunes."""

from miniatures import picture
from veridical.records import Conversation, ImageRef, Turn, write_records

TALKS = [
    ("What is in the picture?", "There is a red car on the left."),
    ("Is there a knife?", "No, there is no knife.", "What is on the table?", "Three green cups."),
    (
        "Describe the image in detail.",
        "A man rides a blue bicycle along the street; a cat sleeps on the sofa.",
    ),
    (
        "Is there a lamp?",
        "Yes.",
        "What colour?",
        "Yellow.",
        "And the cups, which colour are they?",
        "Green.",
    ),
]


def talk(number, **changes):
    """One conversation; `changes` are fields that differ."""
    texts = TALKS[number % len(TALKS)]
    turns = tuple(
        Turn(role=("user", "assistant")[n % 2], text=text) for n, text in enumerate(texts)
    )
    fields = {
        "id": f"t{number}",
        "image": ImageRef(path=f"images/{number // 2}.png"),
        "turns": turns,
    }
    return Conversation(**{**fields, "source": "model", **changes})


def write_conversations(folder, *, count=12, rows=()):
    """Write `count` conversations about `count // 2` images, one without an image; then `rows`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number in range((count + 1) // 2):
        picture(number).save(folder / f"images/{number}.png")
    talks = [talk(number) for number in range(count)]
    return write_records(folder / "conversations.jsonl", [*talks, *rows], kind="Conversation")
