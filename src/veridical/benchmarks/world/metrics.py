"""Metrics of the embedded world: one row per response; rates, means and ratios over rows.

Every metric is a ratio of sums over rows (a `Measure`), so one table gives both the metric with its
interval and the paired test between two runs on the same items. Whatever a picture counts several
times for is resampled by scene.
"""

import re
from collections.abc import Callable, Sequence

from veridical.records import Record
from veridical.scoring.measures import Measure, means
from veridical.world.answers import answer_quality, description_quality, judge_answer
from veridical.world.judge import DETAILS, FAULT_KINDS, FaultKind, judge_description
from veridical.world.scenes import Scene
from veridical.world.tasks import MMHAL_TYPES, Probe, Question, QuestionType

_CATEGORIES: dict[str, tuple[QuestionType, ...]] = {
    "conversation": ("attribute", "adversarial", "counting", "environment"),
    "detail": ("holistic",),
    "complex": ("comparison", "relation", "other"),
}
"""LLaVA-Bench's categories, and the types of questions that stand for them."""
_REFERENCE_SCORE = 10.0
_SENTENCE_END = re.compile(r"[.!?;]+")


class DescriptionRow(Record):
    """One description, judged."""

    id: str
    """Id of the prompt."""
    scene_id: str
    """The scene described."""
    context: str
    """The scene's context."""
    faults: dict[FaultKind, int]
    """Faults by kind."""
    claims: int
    """Groups of objects mentioned."""
    wrong_claims: int
    """Those with at least one fault."""
    objects: int
    """Kinds of objects in the scene."""
    covered: int
    """Those that the description names."""
    details: int
    """Their numbers, colours and places that it states truly."""
    mentioned: tuple[str, ...]
    """Nouns mentioned, each once."""
    absent: tuple[str, ...]
    """Those of them that are not there."""
    repeated: int
    """Mentions of a noun mentioned before."""
    sentences_repeated: int
    """Sentences that repeat an earlier one."""
    words: int
    """Length in words."""
    tokens: int | None = None
    """Length in the model's tokens, where known."""
    cut: bool = False
    """Whether the length limit cut it off."""

    @property
    def hallucinates(self) -> bool:
        """Whether anything mentioned is not in the picture."""
        return any(self.faults.values())


class AnswerRow(Record):
    """One answer to a question, judged."""

    id: str
    """Id of the prompt."""
    scene_id: str
    """The scene asked about."""
    type: QuestionType
    """Type of the question."""
    probe: Probe | None
    """What a yes/no question probes."""
    expected: str
    """The word that a right answer holds."""
    said: str | None
    """The word that decided; None where none was found."""
    outcome: str
    """correct, refused, wrong or unparsed."""
    hallucinates: bool
    """Whether anything stated is not so."""
    rating: int
    """0–6 as in MMHal-Bench."""
    score: float
    """1–10 as in LLaVA-Bench; the true answer has 10."""


def judge_description_row(
    scene: Scene,
    text: str,
    *,
    id: str,  # noqa: A002 (the field's name)
    tokens: int | None = None,
    cut: bool = False,
) -> DescriptionRow:
    """Judge a description."""
    verdict = judge_description(scene, text)
    sentences = [part.strip().lower() for part in _SENTENCE_END.split(text) if part.strip()]
    mentioned = tuple(dict.fromkeys(claim.noun for claim in verdict.claims.groups))
    return DescriptionRow(
        id=id,
        scene_id=scene.id,
        context=scene.context,
        faults={kind: sum(fault.kind == kind for fault in verdict.faults) for kind in FAULT_KINDS},
        claims=len(verdict.claims.groups),
        wrong_claims=len({fault.claim for fault in verdict.faults if fault.claim is not None}),
        objects=len(scene.groups),
        covered=len(verdict.covered),
        details=verdict.details,
        mentioned=mentioned,
        absent=tuple(noun for noun in mentioned if scene.group_of(noun) is None),
        repeated=verdict.repeated,
        sentences_repeated=len(sentences) - len(set(sentences)),
        words=len(text.split()),
        tokens=tokens,
        cut=cut,
    )


def judge_answer_row(scene: Scene, question: Question, text: str, *, id: str) -> AnswerRow:  # noqa: A002 (as above)
    """Judge an answer."""
    verdict = judge_answer(scene, question, text)
    if question.type == "holistic":
        quality = description_quality(verdict.description, n_objects=len(scene.groups))
    else:
        quality = answer_quality(question, verdict)
    return AnswerRow(
        id=id,
        scene_id=scene.id,
        type=question.type,
        probe=question.probe,
        expected=question.expected[0],
        said=verdict.said,
        outcome=verdict.outcome,
        hallucinates=verdict.hallucinates,
        rating=quality.rating,
        score=quality.score,
    )


def description_measures(rows: Sequence[DescriptionRow]) -> dict[str, Measure]:
    """The metrics of descriptions, one description per scene.

    `hallucination_rate` (and by kind), `mention_hallucination_rate` (mentions of objects with a
    fault among mentions), `object_coverage`, `detail_coverage` (numbers, colours and places stated
    truly among those of all kinds there), `mean_length` in words (and `/tokens` where known),
    `repetition_rate` (descriptions that say a sentence or an object twice), `empty_rate`,
    `cut_rate` (the length limit was reached).
    """
    scenes = [row.scene_id for row in rows]

    def rate(of: Callable[[DescriptionRow], bool]) -> Measure:
        return means([float(of(row)) for row in rows], scenes)

    def ratio(
        above: Callable[[DescriptionRow], int], below: Callable[[DescriptionRow], int]
    ) -> Measure:
        return Measure(
            [float(above(row)) for row in rows],
            [float(below(row)) for row in rows],
            scenes,
            "ratio",
        )

    def length(of: Sequence[int]) -> Measure:
        return means([float(value) for value in of], scenes, bounds=None)

    measures = {"hallucination_rate": rate(lambda row: row.hallucinates)}
    for kind in FAULT_KINDS:
        measures[f"hallucination_rate/{kind}"] = rate(lambda row, kind=kind: row.faults[kind] > 0)  # type: ignore[misc]
    measures |= {
        "mention_hallucination_rate": ratio(lambda row: row.wrong_claims, lambda row: row.claims),
        "object_coverage": ratio(lambda row: row.covered, lambda row: row.objects),
        "detail_coverage": ratio(lambda row: row.details, lambda row: len(DETAILS) * row.objects),
        "mean_length": length([row.words for row in rows]),
        "repetition_rate": rate(lambda row: row.repeated > 0 or row.sentences_repeated > 0),
        "empty_rate": rate(lambda row: row.words == 0),
        "cut_rate": rate(lambda row: row.cut),
    }
    tokens = [row.tokens for row in rows if row.tokens is not None]
    if rows and len(tokens) == len(rows):
        measures["mean_length/tokens"] = length(tokens)
    return measures


def yes_no_measures(rows: Sequence[AnswerRow]) -> dict[str, Measure]:
    """The metrics of yes/no probes (POPE, arXiv 2305.10355); "yes" is the positive class.

    An answer that is neither yes nor no is wrong, is not a "yes", and is counted by
    `yes_no_unparsed_rate`. `/random` and `/typical` keep the absent objects of one sort with all
    present ones, as POPE's random and adversarial splits do.
    """
    measures = _yes_no(rows, "")
    probes: tuple[Probe, ...] = ("random", "typical")
    for probe in probes:
        part = [row for row in rows if row.probe in ("present", probe)]
        measures |= {
            name: measure
            for name, measure in _yes_no(part, f"/{probe}").items()
            if name.startswith(("yes_no_f", "yes_no_a"))
        }
    return measures


def _yes_no(rows: Sequence[AnswerRow], suffix: str) -> dict[str, Measure]:
    scenes = [row.scene_id for row in rows]
    yes = [float(row.said == "yes") for row in rows]
    true = [float(row.expected == "yes") for row in rows]
    hits = [said * truth for said, truth in zip(yes, true, strict=True)]
    ones = [1.0] * len(rows)

    def ratio(above: list[float], below: list[float]) -> Measure:
        return Measure(above, below, scenes, "ratio")

    both = [said + truth for said, truth in zip(yes, true, strict=True)]
    return {
        f"yes_no_accuracy{suffix}": ratio([float(row.outcome == "correct") for row in rows], ones),
        f"yes_no_f1{suffix}": ratio([2 * hit for hit in hits], both),
        f"yes_no_precision{suffix}": ratio(hits, yes),
        f"yes_no_recall{suffix}": ratio(hits, true),
        f"yes_ratio{suffix}": ratio(yes, ones),
        f"yes_no_unparsed_rate{suffix}": ratio([float(row.said is None) for row in rows], ones),
    }


def mmhal_measures(rows: Sequence[AnswerRow]) -> dict[str, Measure]:
    """Metrics of MMHal-style answers, one per scene: mean rating, also by type; hallucinations."""

    def score(part: Sequence[AnswerRow]) -> Measure:
        return means(
            [float(row.rating) for row in part], [row.scene_id for row in part], bounds=(0.0, 6.0)
        )

    wrong = [float(row.rating < 3) for row in rows]
    measures = {
        "mmhal_score": score(rows),
        "mmhal_hallucination_rate": means(wrong, [row.scene_id for row in rows]),
    }
    for question_type in MMHAL_TYPES:
        measures[f"mmhal_score/{question_type}"] = score(
            [row for row in rows if row.type == question_type]
        )
    return measures


def relative_measures(rows: Sequence[AnswerRow]) -> dict[str, Measure]:
    """LLaVA-Bench's relative score on MMHal-style answers: Σ score / Σ score of the true answers.

    By category as there: `/conversation`, `/detail`, `/complex`. The judge is exact, so the
        reference has 10 each time.
    """

    def relative(part: Sequence[AnswerRow]) -> Measure:
        scenes = [row.scene_id for row in part]
        return Measure(
            [row.score for row in part],
            [_REFERENCE_SCORE] * len(part),
            scenes,
            "ratio",
            bounds=(0.1, 1.0),
        )

    measures = {"relative_score": relative(rows)}
    for category, types in _CATEGORIES.items():
        measures[f"relative_score/{category}"] = relative(
            [row for row in rows if row.type in types]
        )
    return measures
