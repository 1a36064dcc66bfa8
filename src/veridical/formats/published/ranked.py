"""Rows of several scored answers to one question → comparisons of those that differ."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from veridical.errors import RowError
from veridical.formats.format import RowReader
from veridical.formats.markers import place_markers
from veridical.formats.text import split_template
from veridical.records import Comparison, Prompt, Response
from veridical.records.folders import Contents
from veridical.records.texts import clean_text, same_text, text_fault


class Scored(NamedTuple):
    """An answer and its score."""

    text: object
    """The answer, unchecked."""
    model: str
    """Who answered."""
    score: float | None
    """Higher is better; None where nobody scored it."""


def read_ranked(
    record_id: str,
    image: object,
    question: object,
    answers: Sequence[Scored],
    reader: RowReader,
    *,
    origin: str,
) -> Contents:
    """The comparisons of a row: every two answers whose scores differ.

    Raises:
        RowError: All that is wrong with the row.
    """
    reader.check(text_fault(question, "prompt", response=False))
    for number, answer in enumerate(answers, start=1):
        reader.check(text_fault(answer.text, f"completions[{number}].response", response=True))
    ref = reader.image(image)
    reader.stop_on_faults()
    split = split_template(str(question))
    (asked,) = place_markers([split.question], 1)
    responses = [
        Response(
            id=f"{record_id}/{number}",
            prompt_id=record_id,
            text=clean_text(str(answer.text)),
            model=answer.model,
        )
        for number, answer in enumerate(answers, start=1)
    ]
    comparisons = []
    for one, other in combinations(range(len(answers)), 2):
        scores = answers[one].score, answers[other].score
        if scores[0] is None or scores[1] is None:
            reader.leave_out("pairs with an answer that has no score")
        elif scores[0] == scores[1] or same_text(responses[one].text, responses[other].text):
            reader.leave_out("pairs of equal scores or answers")
        else:
            better = scores[0] > scores[1]
            sign = ">" if better else "<"
            comparisons.append(
                Comparison(
                    id=f"{record_id}/{one + 1}{sign}{other + 1}",
                    prompt_id=record_id,
                    source=reader.judged_by,
                    response_ids=(responses[one].id, responses[other].id),
                    preferred="first" if better else "second",
                )
            )
    if not comparisons:
        raise RowError(
            f"no two of the {len(answers)} answers differ in score, so that there is nothing to"
            " compare. Leave the row out."
        )
    prompt = Prompt(
        id=record_id, image=ref, question=asked, task="general", system=split.system, origin=origin
    )
    return Contents(prompts=(prompt,), responses=tuple(responses), comparisons=tuple(comparisons))
