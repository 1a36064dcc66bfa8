"""What is in a folder of comparisons, prompts, responses, facts or conversations: its faults, and its statistics."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

from veridical.errors import DataError, Fault
from veridical.feedback.comparisons import read_compared_pairs
from veridical.formats.llava_rlhf import Contents
from veridical.progress import track
from veridical.records import (
    NO_IMAGE,
    Comparison,
    Conversation,
    Facts,
    ImageRef,
    Prompt,
    Record,
    Response,
    folders,
    read_records,
    scan_records,
)
from veridical.records.images import judged_image_fault

_KINDS: dict[str, type[Record]] = {
    folders.PROMPTS_FILE: Prompt,
    folders.RESPONSES_FILE: Response,
    folders.COMPARISONS_FILE: Comparison,
    folders.CONVERSATIONS_FILE: Conversation,
    folders.FACTS_FILE: Facts,
}

_LONGEST_TRUTH = len("Yes")


class ContentStatistics(NamedTuple):
    """Counts over a data set; empty sections are left out."""

    counts: dict[str, int]
    """How many records of each kind, and how many images they are about."""
    sections: dict[str, dict[str, int]]
    """Counts by value under a heading, for instance "preferred" → first, second, tie."""
    words: dict[str, tuple[float, float, int]]
    """Mean, median and largest number of words of responses and facts."""


def check_folder(folder: Path | str, *, outside: bool = False) -> list[Fault]:
    """Say everything that is wrong with a folder of records; facts are needed where the folder has a file of them.

    Args:
        folder: The folder.
        outside: Accept images outside of it.
    """
    folder = Path(folder)
    faults: list[Fault] = []
    present = [name for name in _KINDS if (folder / name).is_file()]
    if folders.COMPARISONS_FILE in present:
        read_compared_pairs(
            folder, faults=faults, need_facts=folders.FACTS_FILE in present, outside=outside
        )
        present = [
            name for name in present if name == folders.CONVERSATIONS_FILE
        ]  # the others are read with them
    for name in present:
        faults += _file_faults(folder / name, _KINDS[name], outside=outside)
    return faults


def read_contents(folder: Path | str) -> Contents:
    """Read every file of records that a folder has.

    Raises:
        DataError: Lines that are no valid record.
    """
    folder = Path(folder)
    found = (
        read_records(folder / name, kind) if (folder / name).is_file() else ()
        for name, kind in _KINDS.items()
    )
    return Contents(*(tuple(records) for records in found))  # type: ignore[arg-type]


def content_statistics(contents: Contents) -> ContentStatistics:
    """Count what a data set holds."""
    images = {
        one.image.sha256 or one.image.path for one in contents.prompts if one.image != NO_IMAGE
    }
    images |= {
        row.image.sha256 or row.image.path
        for row in contents.conversations
        if row.image is not None
    }
    counts = {
        name: len(records)
        for name, records in zip(Contents._fields, contents, strict=True)
        if records
    }
    sections: dict[str, Counter[str]] = {
        "preferred": Counter(row.preferred for row in contents.comparisons),
        "decided by": Counter(_decided_by(row) for row in contents.comparisons),
        "the preferred response is": _lengths_of_preferred(contents),
        "judged by": Counter(row.source for row in contents.comparisons),
        "task": Counter(_task(row) for row in contents.prompts),
        "length bonus": Counter(
            f"{row.length_bonus:g}" for row in contents.prompts if row.length_bonus is not None
        ),
        "earlier turns": Counter(str(len(row.history)) for row in contents.prompts),
        "questions of a conversation": Counter(
            str(len(row.turns) // 2) for row in contents.conversations
        ),
        "conversation": Counter(
            "about an image" if row.image else "about no image" for row in contents.conversations
        ),
        "facts of kind": Counter(item.kind for item in contents.facts),
        "statements of facts": Counter(str(len(item.texts)) for item in contents.facts),
    }
    texts = {
        "responses": [row.text for row in contents.responses],
        "answers": [
            turn.text
            for row in contents.conversations
            for turn in row.turns
            if turn.role == "assistant"
        ],
        "facts": [text for item in contents.facts for text in item.texts],
    }
    return ContentStatistics(
        counts | ({"images": len(images)} if images else {}),
        {name: dict(sorted(found.items())) for name, found in sections.items() if found},
        {name: _spread(found) for name, found in texts.items() if found},
    )


def _file_faults(path: Path, kind: type[Record], *, outside: bool) -> list[Fault]:
    faults: list[Fault] = []
    known: dict[ImageRef, str | None] = {}
    try:
        for row in track(scan_records(path, kind), label=f"Checking {path.name}"):
            image = getattr(row.record, "image", None)
            if row.fault is not None:
                faults.append(Fault(path, row.line, row.fault))
            elif isinstance(image, ImageRef) and not (
                isinstance(row.record, Prompt) and image == NO_IMAGE
            ):
                if image not in known:
                    known[image] = judged_image_fault(image, root=path.parent, outside=outside)
                message = known[image]
                faults += [Fault(path, row.line, message)] if message is not None else []
    except DataError as error:  # the whole file cannot be read
        faults += error.faults
    return faults


def _decided_by(row: Comparison) -> str:
    if row.hallucination is None:
        return "not noted"
    return "hallucination" if row.hallucination else "helpfulness"


def _task(row: Prompt) -> str:
    short = row.reference is not None and len(row.reference) <= _LONGEST_TRUTH
    return (
        f"{row.task}, {row.reference}"
        if short and row.task in {"yes_no", "multiple_choice"}
        else row.task
    )


def _lengths_of_preferred(contents: Contents) -> Counter[str]:
    """Whether the longer response wins: what a reward model would learn that looks at nothing else."""
    words = {row.id: len(row.text.split()) for row in contents.responses}
    found: Counter[str] = Counter()
    for row in contents.comparisons:
        lengths = [words.get(name) for name in row.response_ids]
        if row.preferred == "tie" or lengths[0] is None or lengths[1] is None:
            continue
        difference = (
            lengths[0] - lengths[1] if row.preferred == "first" else lengths[1] - lengths[0]
        )
        found["longer" if difference > 0 else "shorter" if difference < 0 else "as long"] += 1
    return found


def _spread(texts: Sequence[str]) -> tuple[float, float, int]:
    lengths = [len(text.split()) for text in texts]
    return mean(lengths), median(lengths), max(lengths)
