"""Put answers to their questions: by id where both files have ids, by order otherwise, and never by cutting."""

import json
from typing import NamedTuple

from veridical.scoring.rows import Faults, Row, index_rows

BY_ORDER = "Answers and questions were matched by order: one of the files has no ids."
"""What a reader must know then."""


class Pair(NamedTuple):
    """A question with its answer."""

    id: str
    """Id of the question; its line where there are no ids."""
    question: Row
    """The question."""
    answer: Row
    """The answer."""


class Matched(NamedTuple):
    """All pairs, in the order of the questions."""

    pairs: list[Pair]
    """Questions that have an answer; what has no partner is among the faults."""
    warnings: tuple[str, ...]
    """That the order was trusted, where it was."""


def row_id(row: Row, names: tuple[str, ...], faults: Faults) -> str | None:
    """Id of a row, a whole number or a text, as text; None, with a fault, where it is neither."""
    name = next((name for name in names if name in row.values), names[0])
    value = row.values.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or value == "":
        faults.add(
            row,
            f"`{name}` must be a number or a text, got {json.dumps(value)[:60]}. Give the row"
            " its id.",
        )
        return None
    return str(value).strip()


def match_answers(
    answers: list[Row],
    questions: list[Row],
    faults: Faults,
    *,
    ids: tuple[str, ...] = ("question_id",),
) -> Matched:
    """Match answers to questions; each question must have one answer, each answer its question.

    Args:
        answers: Rows of the answers.
        questions: Rows of the questions.
        faults: Where to note what has no partner.
        ids: Names that the id may have.
    """
    have = [
        [any(name in row.values for name in ids) for row in rows] for rows in (answers, questions)
    ]
    if not (any(have[0]) and any(have[1])):
        return _match_by_order(answers, questions, faults)
    said, asked = (_by_id(rows, ids, faults) for rows in (answers, questions))
    for name, row in asked.items():
        if name not in said:
            faults.add(
                row,
                f"question {name} has no answer. Let the model answer it, or leave the question"
                " out.",
            )
    for name, row in said.items():
        if name not in asked:
            faults.add(
                row,
                f"answer to question {name}, which is not asked. Give the questions it belongs to.",
            )
    return Matched([Pair(name, row, said[name]) for name, row in asked.items() if name in said], ())


def _by_id(rows: list[Row], names: tuple[str, ...], faults: Faults) -> dict[str, Row]:
    named = {id(row): name for row in rows if (name := row_id(row, names, faults)) is not None}
    return index_rows([row for row in rows if id(row) in named], lambda row: named[id(row)], faults)


def _match_by_order(answers: list[Row], questions: list[Row], faults: Faults) -> Matched:
    if answers and questions and len(answers) != len(questions):
        faults.add_file(
            answers[0].file,
            f"{len(answers)} answers for {len(questions)} questions, and no ids to match them by. "
            "Give one answer a question, or an id (`question_id`) on both sides.",
        )
    pairs = [
        Pair(str(question.line), question, answer)
        for question, answer in zip(questions, answers, strict=False)
    ]
    return Matched(pairs, (BY_ORDER,))
