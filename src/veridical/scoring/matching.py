"""Match answers to questions: by id where both files have ids, else by order; never cut."""

from collections.abc import Sequence
from typing import NamedTuple

from veridical.progress import counted
from veridical.scoring.reading.names import ID_NAMES
from veridical.scoring.rows import Faults, Row, index_rows, row_id

BY_ORDER = "Answers and questions were matched by order: one of the files has no ids."
"""What a reader must know then."""
IDS = ID_NAMES
"""Names that the id of a question has in published files."""


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


def match_answers(
    answers: list[Row], questions: list[Row], faults: Faults, *, ids: tuple[str, ...] = IDS
) -> Matched:
    """Match answers to questions; each question must have one answer, each answer its question.

    Args:
        answers: Rows of the answers.
        questions: Rows of the questions.
        faults: Where to note what has no partner.
        ids: Names that the id may have; one that both files use is preferred.
    """
    if bool(answers) != bool(questions) and not faults.found:
        what, rows = ("questions", answers) if answers else ("answers", questions)
        faults.add_file(
            rows[0].file, f"{counted(len(rows), 'row')}, but the file of {what} holds none."
        )
        return Matched([], ())
    names = _shared_names(answers, questions, ids)
    if names is None:
        return _match_by_order(answers, questions, faults)
    before = len(faults.found)
    answered, asked = (
        index_rows(rows, lambda row, name=name: row_id(row, (name,), faults), faults)  # type: ignore[misc]
        for rows, name in zip((answers, questions), names, strict=True)
    )
    if answered and asked and not answered.keys() & asked.keys():
        if len(faults.found) == before:
            faults.add_file(answers[0].file, _strangers(list(answered), list(asked), questions[0]))
        return Matched([], ())
    for name, row in asked.items():
        if name not in answered:
            message = f"question {name} has no answer. Answer it, or leave the question out."
            faults.add(row, message)
    for name, row in answered.items():
        if name not in asked:
            message = (
                f"answer to question {name}, which is not asked. Give the questions it belongs to."
            )
            faults.add(row, message)
    found = [Pair(name, row, answered[name]) for name, row in asked.items() if name in answered]
    return Matched(found, ())


def _shared_names(
    answers: Sequence[Row], questions: Sequence[Row], ids: tuple[str, ...]
) -> tuple[str, str] | None:
    """Names of the id in both files, the same one if there is one; None where a file has no ids."""
    here, there = (
        [name for name in ids if any(name in row.values for row in rows)]
        for rows in (answers, questions)
    )
    if not here or not there:
        return None
    shared = next((name for name in here if name in there), None)
    return (shared, shared) if shared else (here[0], there[0])


def _strangers(answered: list[str], asked: list[str], question: Row) -> str:
    some, others = (", ".join(ids[:3]) for ids in (answered, asked))
    return (
        f"none of the {len(answered)} answers belongs to one of the {len(asked)} questions of"
        f" {question.file.name}: their ids are {some} …, those of the questions {others} …. Give"
        " the questions that were asked."
    )


def _match_by_order(answers: list[Row], questions: list[Row], faults: Faults) -> Matched:
    if answers and questions and len(answers) != len(questions):
        faults.add_file(
            answers[0].file,
            f"{counted(len(answers), 'answer')} for {counted(len(questions), 'question')},"
            " and no ids to match them by. "
            "Give one answer per question, or an id (`question_id`) on both sides.",
        )
    pairs = [
        Pair(str(question.line), question, answer)
        for question, answer in zip(questions, answers, strict=False)
    ]
    return Matched(pairs, (BY_ORDER,))
