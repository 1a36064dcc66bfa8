"""Markings: hallucinated spans that people marked in responses, checked and counted.

They say where a response is wrong and not what would be right, so no pair is made of them.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Never

from veridical.errors import DataError, Fault
from veridical.feedback.comparisons import (
    Answers,
    BadRow,
    ReadSettings,
    good_rows,
    read_answers,
)
from veridical.feedback.statistics import DataStatistics
from veridical.records import Mark, Marking
from veridical.records.folders import PROMPTS_FILE, RESPONSES_FILE, Contents
from veridical.records.image_store import ImageChecks


def check_markings(path: Path, settings: ReadSettings) -> list[Fault]:
    """Find everything that is wrong with a file of markings and what it refers to."""
    bad: list[BadRow] = []
    rows = list(good_rows(path, Marking, bad))
    answers = read_answers(path.parent, bad, need_facts=False)
    images = ImageChecks(path.parent, outside=settings.outside) if settings.images else None
    for line, raw, marking in rows:
        messages = _faults(marking, answers, images)
        bad += [BadRow(path, line, raw, message) for message in messages]
    found = [Fault(row.file, row.line, row.message) for row in bad]
    return found or ([] if rows else [Fault(path, None, "the file holds no record.")])


def statistics_of_markings(markings: Iterable[Marking], contents: Contents) -> DataStatistics:
    """Count marked responses, segments and their kinds."""
    del contents
    rows = list(markings)
    marked = [
        sum(mark.response_id == name for mark in row.segments)
        for row in rows
        for name in row.response_ids
    ]
    wrong = sum(count > 0 for count in marked)
    marks = [mark for row in rows for mark in row.segments]
    sections: dict[str, Counter[str]] = {
        "judged by": Counter(row.source for row in rows),
        "responses with segments": Counter(map(str, marked)),
        "kind": Counter(str(mark.kind) for mark in marks),
    }
    return DataStatistics(
        counts={"segments": len(marks)},
        figures={
            "responses with a marked segment": (
                f"{wrong:,} of {len(marked):,} ({wrong / max(len(marked), 1):.1%})"
            )
        },
        sections={name: dict(sorted(found.items())) for name, found in sections.items() if found},
    )


def no_pairs(path: Path, settings: ReadSettings) -> Never:
    """Refuse to train on markings.

    Raises:
        DataError: Always.
    """
    del settings
    message = (
        "markings say where a response is wrong, not what would be right: nothing is learnt from"
        " them. Give corrections, comparisons or ratings."
    )
    raise DataError([Fault(path, None, message)])


def _faults(marking: Marking, answers: Answers, images: ImageChecks | None) -> list[str]:
    prompt = answers.prompts.get(marking.prompt_id)
    messages: list[str] = []
    if prompt is None:
        messages.append(
            f"there is no prompt {marking.prompt_id!r} in {PROMPTS_FILE}. Add it or leave the row"
            " out."
        )
    elif images is not None:
        messages += filter(None, map(images.fault, prompt.images))
    for name in marking.response_ids:
        response = answers.responses.get(name)
        if response is None:
            messages.append(
                f"there is no response {name!r} in {RESPONSES_FILE}. Add it or leave the row out."
            )
        elif response.prompt_id != marking.prompt_id:
            messages.append(
                f"response {name!r} answers prompt {response.prompt_id!r}, the marking is about"
                f" {marking.prompt_id!r}. Fix the ids."
            )
    return messages + [
        fault for mark in marking.segments for fault in _mark_faults(mark, marking, answers)
    ]


def _mark_faults(mark: Mark, marking: Marking, answers: Answers) -> list[str]:
    if mark.response_id not in marking.response_ids:
        return [
            f"a mark is in response {mark.response_id!r}, which `response_ids` does not list. Fix"
            " the ids."
        ]
    response = answers.responses.get(mark.response_id)
    there = response.text[slice(*mark.span)] if response is not None else mark.text
    if there == mark.text:
        return []
    start, end = mark.span
    return [
        f"{mark.text[:40]!r} is marked at [{start}, {end}] of response {mark.response_id!r}, where"
        f" {there[:40]!r} stands. Fix the span."
    ]
