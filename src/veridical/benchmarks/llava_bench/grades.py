"""Reading two grades out of a judge's review: as the official code does, and strictly.

The official parser (LLaVA `eval_gpt_review_visual.py`) takes the first line, turns commas into
blanks, splits at each blank and wants two numbers exactly; all else is [-1, -1], which LLaVA's
summary averages in and RLHF-V's leaves out.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

_GRADE = r"(\d+(?:\.\d+)?)(?:\s*/\s*10)?"
_PAIR = re.compile(rf"(?:scores?\s*:?)?\s*{_GRADE}(?:\s*[,;|]\s*|\s+){_GRADE}\s*\.?", re.IGNORECASE)
_NAMED = re.compile(
    rf"assistant\s*1\s*[:=]\s*{_GRADE}[\s,;|]+assistant\s*2\s*[:=]\s*{_GRADE}\s*\.?", re.IGNORECASE
)
_LONGEST_LINE = 200
"""Characters; a longer line does not hold two grades alone."""
FAILED = (-1.0, -1.0)
"""What the official parser gives where it fails."""


class Grades(NamedTuple):
    """What the judge gave."""

    reference: float
    """The reference answer's grade."""
    model: float
    """The model's."""


def official_grades(text: str) -> Grades:
    """Read two grades as the official code does; (-1, -1) where it fails.

    >>> official_grades("8 9"), official_grades("8, 9")
    (Grades(reference=8.0, model=9.0), Grades(reference=-1.0, model=-1.0))
    """
    parts = text.split("\n", maxsplit=1)[0].replace(",", " ").split(" ")
    if len(parts) != 2:
        return Grades(*FAILED)
    try:
        grades = Grades(float(parts[0]), float(parts[1]))
    except ValueError:
        return Grades(*FAILED)
    # The official code would average "nan" in and print nan for everything.
    return grades if all(map(math.isfinite, grades)) else Grades(*FAILED)


def strict_grades(text: str) -> Grades | None:
    """Read two grades from 1 to 10 off the first line that is not blank; None for all else.

    >>> strict_grades("8, 9"), strict_grades("Assistant 1: 8/10, Assistant 2: 9/10")
    (Grades(reference=8.0, model=9.0), Grades(reference=8.0, model=9.0))
    """
    line = next((line.strip().replace("*", "") for line in text.splitlines() if line.strip()), "")
    match = (
        (_PAIR.fullmatch(line) or _NAMED.fullmatch(line)) if len(line) <= _LONGEST_LINE else None
    )
    if match is None:
        return None
    grades = Grades(float(match[1]), float(match[2]))
    return grades if all(1 <= grade <= 10 for grade in grades) else None


def printed_relative(grades: Sequence[Grades]) -> float:
    """What LLaVA's summary prints: the ratio of rounded means, to one decimal.

    >>> printed_relative([Grades(9, 8), Grades(8, 7)])
    88.2
    """
    if not grades:
        return 0.0
    reference, model = (round(sum(column) / len(grades), 3) for column in zip(*grades, strict=True))
    return round(100 * model / reference, 1) if reference else 0.0
