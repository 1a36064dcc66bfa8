"""The exact judge of answers, and MMHal-Bench's scale of 0–6 for answers and descriptions.

MMHal-Bench (arXiv 2309.14525, appendix) rates informativeness and hallucination together: 3–6 for a
response without hallucination, 0–2 for one with, more where it informs more. Here both are exact,
see `Quality`.
"""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from veridical.world.inventory import COLOURS, NOUN_BY_WORD, PLACES
from veridical.world.judge import SceneFault, Verdict, judge_description
from veridical.world.scenes import Scene
from veridical.world.tasks import Question

Outcome = Literal["correct", "refused", "wrong", "unparsed"]
"""What an answer comes to. "refused": rightly says that what the question takes for granted is not
there."""

_WORD = re.compile(r"[a-z]+")
_SIDE = re.compile(r"\bto the (left|right)( of)?\b", re.IGNORECASE)
_LETTER = re.compile(r"\(([A-Za-z])\)|^\s*([A-Z])(?=[.,:)]|\s*$)")
_OPTION = re.compile(r"\(([A-Z])\) (\w+)")
_DENIALS = frozenset({"no", "not", "none", "without", "nothing"})
_COMPARED = ("more", "fewer")
_VALUES = frozenset({*COLOURS, *PLACES})


class AnswerVerdict(NamedTuple):
    """What the judge finds in an answer."""

    outcome: Outcome
    """Whether the question is answered, and rightly."""
    said: str | None
    """The word that decided: a colour, a number, a letter, "yes" …; None where none was found."""
    faults: tuple[SceneFault, ...]
    """What is wrong in whatever else the answer claims."""
    description: Verdict
    """The answer judged as a description."""
    names_subjects: bool
    """Whether the answer says what it speaks of (and for multiple choice gives a reason)."""

    @property
    def hallucinates(self) -> bool:
        """Whether anything said is not so."""
        return self.outcome == "wrong" or bool(self.faults)


class Quality(NamedTuple):
    """How good a response is: hallucinations first, then coverage."""

    hallucinations: int
    """How many of its statements are wrong."""
    level: int
    """How much of the truth it states: 0 nothing of use, 1 something, 2 most, 3 all."""
    coverage: float
    """Share of what there is to say that it states."""

    @property
    def rating(self) -> int:
        """MMHal-Bench's scale: 3 + level without a hallucination, 0–2 by level with one."""
        return min(self.level, 2) if self.hallucinations else 3 + self.level

    @property
    def score(self) -> float:
        """LLaVA-Bench's scale of 1–10, milder than `rating`: coverage over 1 + inventions."""
        return 1 + 9 * self.coverage / (1 + self.hallucinations)

    @property
    def order(self) -> tuple[int, float]:
        """Sorts better responses after worse ones."""
        return -self.hallucinations, self.coverage


def judge_answer(scene: Scene, question: Question, text: str) -> AnswerVerdict:
    """Judge an answer to a question against the scene.

    Args:
        scene: The truth.
        question: What was asked.
        text: The answer, any text.
    """
    # Left and right *of something* are not places in the picture.
    verdict = judge_description(scene, _SIDE.sub(lambda match: " " * len(match.group()), text))
    words = _WORD.findall(text.lower())
    outcome: Outcome
    said: str | None
    faults = verdict.faults
    if question.type == "holistic":
        named = bool(verdict.claims.groups)
        outcome, said = ("wrong" if faults else "correct") if named or faults else "unparsed", None
    elif question.type == "adversarial":
        said = next((word for word in words if word in _DENIALS), None)
        outcome = "refused" if said else "wrong" if _asserts(verdict, words) else "unparsed"
        if outcome == "wrong":
            # The object asked about is the fault already counted by the outcome.
            faults = tuple(fault for fault in faults if fault.said not in question.subjects)
    else:
        said = _decide(question, text, words)
        outcome = (
            "unparsed" if said is None else "correct" if said == question.expected[0] else "wrong"
        )
        faults = tuple(fault for fault in faults if not _is_the_answer(question, fault))
    return AnswerVerdict(outcome, said, faults, verdict, _names_subjects(question, verdict, words))


def answer_quality(question: Question, verdict: AnswerVerdict) -> Quality:
    """How good an answer is.

    Without hallucination: level 3 where it is right and says of what, 1 for the bare right word, 0
    where it does not answer. With one: level 2 where two true groups are described in addition, 1
    for one, else 0.
    """
    if question.type == "holistic":
        there = len(verdict.description.covered) + len(verdict.description.missed)
        return description_quality(verdict.description, n_objects=there)
    wrong = len(verdict.faults) + (verdict.outcome == "wrong")
    if wrong:
        true = _true_groups(verdict.description) - _premise(question, verdict.description)
        return Quality(wrong, max(0, min(2, true)), true / 3)
    if verdict.outcome == "unparsed":
        return Quality(0, 0, 0.0)
    return Quality(0, 3, 1.0) if verdict.names_subjects else Quality(0, 1, 0.5)


def description_quality(verdict: Verdict, *, n_objects: int) -> Quality:
    """How good a description is.

    Level 3 where every object is named with number, colour and place, without repetition; 2 from
    three quarters of the objects on, 1 from one third on.

    Args:
        verdict: What the judge finds.
        n_objects: How many kinds of objects the scene has.
    """
    share = len(verdict.covered) / n_objects if n_objects else 1.0
    stated = [
        (claim.number is not None) + (claim.colour is not None) + (claim.place is not None)
        for claim in verdict.claims.groups
        if claim.noun in verdict.covered
    ]
    detail = sum(stated) / (3 * len(stated)) if stated else 0.0
    level = 0 if share < 1 / 3 else 1 if share < 0.75 else 2
    if share == 1 and detail == 1 and not verdict.repeated:
        level = 3
    return Quality(len(verdict.faults), level, share * (0.75 + 0.25 * detail))


def _decide(question: Question, text: str, words: list[str]) -> str | None:
    """The word of the answer that decides, out of those that could stand there."""
    candidates = (question.expected[0], *question.alternatives)
    if question.type == "yes_no":
        return _yes_or_no(question, words)
    if question.type == "other":
        return _choice(question, text, words)
    if question.type == "comparison":
        return _compared(question, words)
    found = [word for word in words if word in candidates]
    if question.type == "counting" and not found:
        found = [word for word in ("one",) if any(article in words for article in ("a", "an"))]
    return next(
        (word for word in found if word != question.expected[0]), found[0] if found else None
    )


def _compared(question: Question, words: list[str]) -> str | None:
    """What an answer says there is more of, or fewer where that was asked."""
    candidates = (question.expected[0], *question.alternatives)
    nouns = {NOUN_BY_WORD[candidate]: candidate for candidate in candidates}
    word = next((word for word in words if word in _COMPARED), None)
    after = words[words.index(word) + 1 :] if word else words
    said = next((nouns[NOUN_BY_WORD[one]] for one in after if NOUN_BY_WORD.get(one) in nouns), None)
    if said is None or word is None or f" {word} " in question.text:
        return said
    # "More apples" answers "fewer apples or fewer cups?" with the cups.
    return next((one for one in candidates if one != said), None)


def _yes_or_no(question: Question, words: list[str]) -> str | None:
    for word in words:
        if word == "yes":
            return "yes"
        if word in _DENIALS:
            return "no"
    said = {NOUN_BY_WORD[word] for word in words if word in NOUN_BY_WORD}
    return "yes" if said & set(question.subjects) else None


def _choice(question: Question, text: str, words: list[str]) -> str | None:
    options = {noun: letter.lower() for letter, noun in _OPTION.findall(question.text)}
    match = _LETTER.search(text)
    if match:
        letter = (match.group(1) or match.group(2)).lower()
        return letter if letter in options.values() else None
    named = {options[NOUN_BY_WORD[word]] for word in words if NOUN_BY_WORD.get(word) in options}
    return named.pop() if len(named) == 1 else None


def _asserts(verdict: Verdict, words: Iterable[str]) -> bool:
    """Whether an answer takes up a false premise: names a thing, a colour, a number or a place."""
    return bool(verdict.claims.groups) or any(word in _VALUES for word in words)


def _is_the_answer(question: Question, fault: SceneFault) -> bool:
    """Whether a fault is the wrong answer itself, counted by the outcome already."""
    asked = {
        "attribute": "colour",
        "counting": "number",
        "relation": "place",
        "environment": "context",
    }
    kind = asked.get(question.type, "object")
    if question.type in ("yes_no", "other", "comparison"):
        options = {
            NOUN_BY_WORD[word]
            for word in _WORD.findall(question.text.lower())
            if word in NOUN_BY_WORD
        }
        return fault.kind == kind and fault.said in options
    subject = fault.claim is None or fault.claim.noun in question.subjects
    return fault.kind == kind and subject


def _names_subjects(question: Question, verdict: Verdict, words: list[str]) -> bool:
    said = {NOUN_BY_WORD[word] for word in words if word in NOUN_BY_WORD}
    if question.type == "environment":
        return len(words) > 1
    if question.type == "yes_no":
        return True
    if question.type == "comparison":
        return any(word in _COMPARED for word in words) and bool(said)
    if question.type == "other":
        return any(claim.noun in question.subjects for claim in verdict.claims.groups)
    return set(question.subjects) <= said


def _true_groups(verdict: Verdict) -> int:
    wrong = {fault.claim for fault in verdict.faults}
    return len({claim.noun for claim in verdict.claims.groups if claim not in wrong})


def _premise(question: Question, verdict: Verdict) -> int:
    """True groups that the question itself named: repeating them adds nothing."""
    wrong = {fault.claim for fault in verdict.faults}
    return len(
        {claim.noun for claim in verdict.claims.groups if claim not in wrong}
        & set(question.subjects)
    )
