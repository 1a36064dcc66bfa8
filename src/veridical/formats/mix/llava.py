"""LLaVA-Instruct without the prompts that later stages need → conversations, and those prompts.

Published: `llava_instruct_158k.json` (or 150k; `liuhaotian/LLaVA-Instruct-150K` on the hub, CC
BY-NC 4.0). LLaVA-RLHF holds 60k of its prompts out of SFT: 10k for comparisons and 50k for PPO.
Where its published files of both are given, their prompts are left out; otherwise as many are drawn
by the seed and written beside the mix.
"""

from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from veridical.errors import DataError, Fault, RowError
from veridical.formats.mix.parts import Part, Pictures, coco_names, read_json, rows_of
from veridical.formats.text import clean_question
from veridical.records import ImageRef, Prompt
from veridical.records.texts import clean_text

NAME = "llava-instruct"
"""The part's name."""
_FIELDS: dict[str, type | tuple[type, ...]] = {"image": str, "conversations": list}


class HeldOut(NamedTuple):
    """Prompts that SFT does not see."""

    prompts: list[Prompt]
    """Drawn here; empty where published files name them."""
    rows: int
    """How many rows of the dataset they are."""


def read_llava(
    file: Path,
    pictures: Pictures,
    *,
    random: Random,
    held_out: Iterable[Path] = (),
    hold_out: int = 0,
) -> tuple[Part, HeldOut]:
    """Read the conversations of a file.

    Args:
        file: The published file.
        pictures: Where COCO's pictures lie.
        random: Draws what is held out.
        held_out: Published files of comparisons and PPO prompts, which are left out.
        hold_out: How many rows to hold out where no such file is given.

    Raises:
        DataError: A file is not what it should be.
    """
    part = Part(NAME)
    files = [*held_out]
    named = {key for one in files for key in _questions(one)}
    seen: set[tuple[str, str]] = set()
    rows: list[tuple[str, list[tuple[str, str]]]] = []
    count = 0
    for picture, exchanges in _conversations(file, part):
        key = (_stem(picture), exchanges[0][0])
        if key in named:
            count += 1
        elif key in seen:
            part.left_out["the same first question about the same picture again"] += 1
        elif (path := pictures.take(part, *_names(picture))) is not None:
            seen.add(key)
            rows.append((path, exchanges))
    drawn: set[int] = set()
    if not files and hold_out:
        drawn = set(random.sample(range(len(rows)), min(hold_out, len(rows))))
        count = len(drawn)
    if count:
        part.left_out["held out for comparisons and PPO"] += count
    prompts = [
        Prompt(id=f"held-out/{n}", image=ImageRef(path=rows[n][0]), question=rows[n][1][0][0])
        for n in sorted(drawn)
    ]
    for number, (path, exchanges) in enumerate(rows):
        if number not in drawn:
            part.add(path, str(number), exchanges, source="model")
    return part, HeldOut(prompts, count)


def _conversations(file: Path, part: Part) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    faults = []
    for number, row in enumerate(rows_of(file, read_json(file), key=None, fields=_FIELDS), start=1):
        part.found["conversations"] += 1
        try:
            yield row["image"], _exchanges(row["conversations"])
        except RowError as error:
            faults += [Fault(file, number, message) for message in error.messages]
    if faults:
        raise DataError(faults, advice="Download the file again, or name the right one.")


def _exchanges(turns: list[Any]) -> list[tuple[str, str]]:
    said = []
    for number, turn in enumerate(turns):
        role = ("human", "gpt")[number % 2]
        text = turn.get("value") if isinstance(turn, dict) and turn.get("from") == role else None
        if not isinstance(text, str) or not text.strip():
            raise RowError(f"turn {number + 1} must be {{from: {role}, value: text}}.")
        said.append(clean_text(text if role == "gpt" else clean_question(text)))
    if not said or len(said) % 2:
        raise RowError("`conversations` must end with an answer.")
    return list(zip(said[::2], said[1::2], strict=True))


def _questions(file: Path) -> Iterable[tuple[str, str]]:
    """Picture and first question of every row of a published file of prompts or comparisons."""
    for row in rows_of(file, read_json(file), key=None, fields=_FIELDS):
        first = row["conversations"][0] if row["conversations"] else {}
        text = first.get("value") if isinstance(first, dict) else None
        if isinstance(text, str) and text.strip():
            yield _stem(row["image"]), clean_text(clean_question(text))


def _stem(picture: str) -> str:
    return Path(picture).stem.rpartition("_")[2]


def _names(picture: str) -> tuple[str, ...]:
    stem = _stem(picture)
    return (picture, *coco_names(int(stem))) if stem.isdecimal() else (picture,)
