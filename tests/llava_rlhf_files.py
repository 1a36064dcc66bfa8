"""Small files as LLaVA-RLHF published them, made on the spot."""

import json
from pathlib import Path

from foreign_data import image_bytes


def name_of(number: int) -> str:
    return f"{number:012d}.jpg"


def write_images(folder: Path, numbers) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / name_of(number)).write_bytes(image_bytes(number, kind="JPEG"))
    return folder


def turns(*texts: str) -> list[dict]:
    marked = [f"<image>\n{texts[0]}", *texts[1:]]
    return [
        {"from": ("human", "gpt")[number % 2], "value": text} for number, text in enumerate(marked)
    ]


def preference_row(number: int = 1, **changes) -> dict:
    row = {
        "id": number,
        "image": name_of(number),
        "conversations": turns("What is there?", "A bench.", "Which colour?", "Red."),
        "output_1": {"from": "llava", "value": "It is red."},
        "output_2": {"from": "llava", "value": "It is blue, with a cat on it."},
        "preference": 1,
        "hallucination": True,
    }
    return row | changes


def prompt_row(number: int = 1, **changes) -> dict:
    row = {
        "id": str(number),
        "image": name_of(number),
        "conversations": turns(
            "Describe the picture.", "A red bench.", "And the cat?", "There is none."
        ),
        "captions": captions(number),
        "caption_type": 1,
        "length_bonus": -0.5,
    }
    return row | changes


def conversation_row(number: int = 1, **changes) -> dict:
    row = {
        "id": str(number),
        "image": name_of(number),
        "conversations": turns("What is there?", "A bench."),
    }
    return row | changes


def captions(number: int) -> list[str]:
    return [
        f"A bench, number {number}, seen {way}."
        for way in ("near", "far", "from above", "by night", "in snow")
    ]


def rationales(number: int) -> list[str]:
    return [f"Bench {number} stands there, as {who} says." for who in ("one", "another", "a third")]


def write_json(path: Path, value) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path
