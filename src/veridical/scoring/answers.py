"""Which field of a row is the model's answer, in the many forms that answers are kept in.

The answer is never guessed. Where two fields that may hold it differ, that is a fault naming both,
and `--answer-field NAME` decides; the question's own text is never taken for the answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from veridical.files import JsonObject
from veridical.scoring.protocol import Files
from veridical.scoring.reading.names import may_hold_answer, with_usual_names
from veridical.scoring.reading.own_runs import responses_file, with_prompts
from veridical.scoring.reading.tools import from_tools
from veridical.scoring.reading.wrappers import CHATS, last_turn, said
from veridical.scoring.rows import Faults, Row, names_of, read_rows, shown

ANSWER_NAMES = (
    "answer",
    "text",
    "response",
    "caption",
    "prediction",
    "model_answer",
    "model_prediction",
    "output",
    "pred",
    "generated_text",
    "model_output",
    "model_response",
)
"""Names under which published code keeps answers; others are known by their words."""
QUESTION_NAMES = ("question", "prompt", "query", "instruction")
"""Names under which a row may hold what was asked."""


def read_responses(files: Files, faults: Faults) -> list[Row]:
    """Rows of the responses, out of what other tools and our own runs wrap them in."""
    rows = read_rows(responses_file(files.path("responses")), faults)
    return _with_usual_names(from_tools(with_prompts(rows, faults), faults), faults)


def _with_usual_names(rows: Sequence[Row], faults: Faults) -> list[Row]:
    """Rows with id and image under their usual names; a note says which others were read."""
    made, others = [], dict[str, None]()
    for row in rows:
        values, found = with_usual_names(row.values)
        made.append(row if values is row.values else row._replace(values=values))
        others.update(dict.fromkeys(found))
    if others:
        names = ", ".join(f"`{name[:60]}`" for name in others)
        faults.notes.append(f"{rows[0].file.name}: {names} read as the rows' id or image.")
    return made


class Answers:
    """Finds the answer in each row of a file.

    Args:
        rows: All rows of the file.
        files: The files of the score; their `answer_field` decides where it is set.
        faults: Where to note what is missing or ambiguous.
        questions: What each row was asked, where another file says so.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        files: Files,
        faults: Faults,
        *,
        questions: Sequence[str] | None = None,
    ) -> None:
        self._faults = faults
        self._chosen = files.answer_field
        self._asked = {
            id(row): _asked(row.values, questions[number] if questions else "")
            for number, row in enumerate(rows)
        }
        # `text` is what some call the question and others the answer; if it mostly equals the
        # question it is the question, and otherwise a model that echoes.
        with_text = [row for row in rows if isinstance(row.values.get("text"), str)]
        echoes = sum(self._is_question(row, row.values["text"]) for row in with_text)
        self._text_is_question = bool(with_text) and 2 * echoes > len(with_text)

    def of(self, row: Row) -> str:
        """The answer of a row; empty, with a fault, where it is missing or ambiguous."""
        found = self._candidates(row)
        texts = {name: text for name, value in found.items() if (text := said(value)) is not None}
        if not texts and not self._chosen:
            turns = {name: last_turn(row.values.get(name)) for name in CHATS}
            texts = {name: text for name, text in turns.items() if text is not None}
        if not texts:
            self._report_missing(row, found)
            return ""
        (first, answer), *others = texts.items()
        differs = next((pair for pair in others if pair[1].strip() != answer.strip()), None)
        if differs is None:
            return answer
        self._faults.add(
            row,
            f"`{first}` and `{differs[0]}` differ, {shown(answer)} and {shown(differs[1])}, and"
            " either may be the answer. Name the one that is: --answer-field NAME.",
        )
        return ""

    def _candidates(self, row: Row) -> JsonObject:
        if self._chosen:
            return {name: row.values[name] for name in (self._chosen,) if name in row.values}
        found = {name: row.values[name] for name in ANSWER_NAMES if name in row.values}
        found |= {
            name: value
            for name, value in row.values.items()
            if name not in found and may_hold_answer(name) and said(value) is not None
        }
        if self._text_is_question:
            found.pop("text", None)
        others = {name: text for name, text in found.items() if not self._is_question(row, text)}
        return others or found

    def _is_question(self, row: Row, text: object) -> bool:
        return isinstance(text, str) and text.strip() in self._asked.get(id(row), ())

    def _report_missing(self, row: Row, found: Mapping[str, Any]) -> None:
        if found:
            name, value = next(iter(found.items()))
            self._faults.add(row, f"`{name}` must be text, got {shown(value)}. Fix the row.")
        elif self._chosen:
            self._faults.add(row, f"`{self._chosen}` is missing, got {names_of(row)}. Add it.")
        elif self._text_is_question:
            self._faults.add(
                row,
                f"the answer is missing: `text` is the question, got {names_of(row)}. Name the"
                " field that holds the answer: --answer-field NAME.",
            )
        else:
            names = ", ".join(f"`{name}`" for name in ANSWER_NAMES[:5])
            self._faults.add(
                row,
                f"the answer is missing ({names} …), got {names_of(row)}. Name the field that holds"
                " it: --answer-field NAME.",
            )


def _asked(values: Mapping[str, Any], question: str) -> frozenset[str]:
    """Texts that are the question, whole and without an instruction on a line of its own."""
    texts = [question, *(values.get(name) for name in QUESTION_NAMES)]
    whole = [text.strip() for text in texts if isinstance(text, str) and text.strip()]
    return frozenset([*whole, *(text.partition("\n")[0].strip() for text in whole)])
