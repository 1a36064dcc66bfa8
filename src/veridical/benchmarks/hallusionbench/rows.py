"""HallusionBench's rows: a question about a figure or none, with answer and judge's check."""

import re
from typing import Literal, NamedTuple

from veridical.scoring.answers import Answers
from veridical.scoring.rows import Faults, Row, field, id_text, names_of, row_id, shown
from veridical.scoring.yes_no import strict_answer

Check = Literal["", "0", "1", "2"]
"""0 wrong, 1 right, 2 unclear; empty where nobody checked."""

CHECK_FIELDS = ("gpt4v_output_gpt_check", "check")
"""Names of the field that holds the judge's check."""

_VERDICT = re.compile(r"\b(correct|incorrect|unclear)\b")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]?")
_PLAIN = re.compile(
    r"(?:^|[:=\-–—>]|\b(?:is|are|was|as|be)) [\s*_\"'`(\[]{0,9}"
    r"(?: (?:clearly|completely|entirely|fully|totally|indeed|definitely|certainly|perfectly"
    r"|absolutely|therefore|thus|factually|also|indeed) [\s*_\"'`]{1,9} ){0,3} $",
    re.VERBOSE,
)
"""What may stand before a verdict that is given plainly."""
_HEDGED = re.compile(
    r"\b(?:not|no|never|neither|nor|none|nobody|nothing|hardly|barely|scarcely|without|cannot|fails?"
    r"|if|unless|whether|would|could|might|may|should|seems?|appears?|possibly|probably|perhaps|almost"
    r"|nearly|partial\w*|partly|mostly|largely|half|somewhat|rather|quite|generally|broadly|far|less"
    r"|anything|doubt\w*|in part|only|except|apart|but|although|though|however|extent|or)\b"
    r"|n['’]t\b|\?"
)
"""What makes a verdict less than plain, or denies it, anywhere in its sentence."""
_CODES: dict[str, Check] = {"incorrect": "0", "correct": "1", "unclear": "2"}


class HallusionItem(NamedTuple):
    """One question about one figure, or about none."""

    category: Literal["VD", "VS"]
    """VD: cannot be answered without the figure; VS: can."""
    subcategory: str
    """What sort of figure: "chart", "illusion" …"""
    set_id: str
    """Set of figures."""
    figure_id: str
    """Figure within its set; "0" is the original, or none for VS."""
    question_id: str
    """Question within its set."""
    visual_input: Literal["0", "1", "2"]
    """0 no figure, 1 the original, 2 an altered one."""
    truth: Literal["0", "1"]
    """Whether "yes" is right."""
    check: Check
    """What the judge said, as a code; empty where no judge was needed or none could be read."""
    same: Literal["", "0", "1"]
    """Whether the answer agrees with that to the original figure; empty where nobody said."""
    answer: str
    """What the model said."""
    problem: str = ""
    """Why there is no check: "unparsed", or why the review failed."""

    @property
    def pair(self) -> str:
        """The question, whatever the figure."""
        return "/".join((self.category, self.subcategory, self.set_id, self.question_id))

    @property
    def id(self) -> str:
        """The question with its figure."""
        return "/".join(
            (self.category, self.subcategory, self.set_id, self.figure_id, self.question_id)
        )


def official_check(text: str) -> Check:
    """Read a judge's words as the official code does.

    >>> official_check("Correct."), official_check("incorrect"), official_check("Not correct.")
    ('1', '0', '1')
    """
    lower = text.lower()
    return "0" if "incorrect" in lower else "1" if "correct" in lower else "2"


def strict_check(text: str) -> Check | None:
    """Read the one verdict that a judge gives plainly; None for all else.

    A verdict that is denied, hedged ("partially correct", "far from correct") or used of something
    else ("the correct answer") is not one, and makes the review unreadable.

    >>> strict_check("**Correct**"), strict_check("Partially correct."), strict_check("No idea")
    ('1', None, None)
    """
    found: set[Check | None] = set()
    for sentence in _SENTENCE.findall(text.lower()):
        hedged = None
        for match in _VERDICT.finditer(sentence):
            hedged = hedged if hedged is not None else bool(_HEDGED.search(sentence))
            plain = _PLAIN.search(sentence[max(0, match.start() - 80) : match.start()])
            found.add(_CODES[match[1]] if plain and not hedged else None)
    return found.pop() if len(found) == 1 else None


def read_question(row: Row, faults: Faults) -> HallusionItem:
    """Read what a row says of the question, and the answer if there is one; not the check."""
    category, visual, truth = (
        _code(row, name, options, faults)
        for name, options in (
            ("category", ("VD", "VS")),
            ("visual_input", ("0", "1", "2")),
            ("gt_answer", ("0", "1")),
        )
    )
    set_id, figure, question = (
        row_id(row, (name,), faults) or "0" for name in ("set_id", "figure_id", "question_id")
    )
    same = (
        _code(row, "same", ("0", "1"), faults) if row.values.get("same") not in (None, "") else ""
    )
    return HallusionItem(
        category=category,  # type: ignore[arg-type]
        subcategory=field(row, "subcategory", str, faults, otherwise=""),
        set_id=set_id,
        figure_id=figure,
        question_id=question,
        visual_input=visual,  # type: ignore[arg-type]
        truth=truth,  # type: ignore[arg-type]
        check="",
        same=same,  # type: ignore[arg-type]
        answer="",
    )


def read_answer(row: Row, answers: Answers, faults: Faults) -> HallusionItem:
    """Read a question with what the model said to it."""
    return read_question(row, faults)._replace(answer=answers.of(row))


def read_check(row: Row, faults: Faults) -> Check:
    """The judge's check that a row brings, under either name."""
    found = {name: row.values[name] for name in CHECK_FIELDS if name in row.values}
    if len({id_text(value) for value in found.values()}) > 1:
        named = " and ".join(f"`{name}`" for name in found)
        faults.add(row, f"{named} differ: {', '.join(map(shown, found.values()))}. Keep one.")
    name = next(iter(found), CHECK_FIELDS[0])
    return _code(row, name, ("0", "1", "2"), faults)  # type: ignore[return-value]


def checked_by_words(item: HallusionItem, original: HallusionItem | None) -> HallusionItem:
    """Check an answer by its yes or no alone: neither or both is unclear.

    Args:
        item: The question with its answer.
        original: The same question about the original figure; None where that was not asked.
    """
    said = strict_answer(item.answer)
    right = said == ("yes" if item.truth == "1" else "no")
    agrees = original is not None and said == strict_answer(original.answer)
    return item._replace(
        check="2" if said == "unknown" else "1" if right else "0", same="1" if agrees else "0"
    )


def _code(row: Row, name: str, options: tuple[str, ...], faults: Faults) -> str:
    """A field that is one of a few codes, as text or number."""
    if name not in row.values:
        faults.add(row, f"`{name}` is missing, got {names_of(row)}. Add it.")
        return options[0]
    code = id_text(row.values[name]) or ""
    if code not in options:
        got = shown(row.values[name])
        faults.add(row, f"`{name}` must be {' or '.join(options)}, got {got}. Fix the row.")
        return options[0]
    return code
