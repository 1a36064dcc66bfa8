"""Baselines that never look: what can be had by editing descriptions without the picture.

A method that learns to look must beat them on hallucination *and* on what is said, objects and
details; otherwise what it learnt may be a habit of the text (faults that stand in the last
sentence, objects that are always invented).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from veridical.benchmarks.world.evaluation import (
    WorldEvaluation,
    compare_pooled,
    pool_evaluations,
    score_world,
)
from veridical.records import Correction
from veridical.records.results import ImageFreeRow
from veridical.statistics import holm
from veridical.world.claims import Span, parse_claims, sentence_spans
from veridical.world.inventory import CONTEXT_BY_NAME, OBJECT_BY_NOUN
from veridical.world.judge import judge_description
from veridical.world.scenes import Scene

_PENALTY = 1.0
"""Of the squared weights of the text-only model; a prior of deviation 1 per weight."""
_COMPARED = ("hallucination_rate", "object_coverage", "detail_coverage")
_SHOWN = (*_COMPARED, "mean_length")
_HALVINGS = 8


def edit_without_looking(
    base: WorldEvaluation,
    corrections: Sequence[Correction],
    *,
    coverage: float,
    seed: int,
) -> dict[str, WorldEvaluation]:
    """Edit the base's descriptions without their pictures, and judge what comes of it.

    Args:
        base: The base model's answers.
        corrections: What the text-only model learns from.
        coverage: What the last baseline must still cover: the trained model's coverage.
        seed: Seed of the resampling.
    """
    items = [item for item in base.items if item.question is None]
    texts = {response.prompt_id: response for response in base.responses}
    answered = [texts[item.prompt.id] for item in items]
    model = SentenceModel(corrections)
    described = [(item.scene, one.text) for item, one in zip(items, answered, strict=True)]
    edits: dict[str, Callable[[str], str]] = {
        "last sentence cut": cut_last_sentence,
        "text-only rule: expected objects cut": cut_expected,
        "numbers, colours and places left out": leave_out_attributes,
        "text-only model": model.edit,
        "text-only model at the trained model's coverage": _at_coverage(model, described, coverage),
    }
    return {
        name: score_world(
            items,
            [one.model_copy(update={"text": edit(one.text)}) for one in answered],
            seed=seed,
        )
        for name, edit in edits.items()
    }


def descriptions_of(evaluation: WorldEvaluation, *, seed: int) -> WorldEvaluation:
    """The part of an evaluation that is about descriptions."""
    items = [item for item in evaluation.items if item.question is None]
    answers = {response.prompt_id: response for response in evaluation.responses}
    return score_world(items, [answers[item.prompt.id] for item in items], seed=seed)


def compare_with_image_free(
    base: WorldEvaluation,
    methods: Sequence[WorldEvaluation],
    corrections: Sequence[Correction],
    *,
    seed: int,
) -> list[ImageFreeRow]:
    """Test a trained model against baselines that never look.

    Differences are the trained model's minus the baseline's, paired by scene, with p adjusted by
    Holm over all of them.

    Args:
        base: The base model's answers.
        methods: The trained model's answers to the same items, for each training seed; pooled.
        corrections: What the text-only model learns from: what the method learnt from, or what
            costs people as much.
        seed: Seed of the resampling.
    """
    trained = [descriptions_of(one, seed=seed) for one in methods]
    coverage = pool_evaluations(trained, seed=seed).metrics["object_coverage"].value
    found = edit_without_looking(base, corrections, coverage=coverage, seed=seed)
    rows = []
    for name, one in found.items():
        differences = compare_pooled([one] * len(trained), trained, seed=seed, metrics=_COMPARED)
        rows.append(
            ImageFreeRow(
                name=name,
                metrics={metric: one.metrics[metric] for metric in _SHOWN},
                trained={metric: differences[metric] for metric in _COMPARED},
            )
        )
    adjusted = iter(holm([test.p for row in rows for test in row.trained.values()]))
    return [
        row.model_copy(
            update={
                "trained": {
                    name: test.model_copy(update={"p": next(adjusted)})
                    for name, test in row.trained.items()
                }
            }
        )
        for row in rows
    ]


def _at_coverage(
    model: "SentenceModel", described: Sequence[tuple[Scene, str]], coverage: float
) -> Callable[[str], str]:
    """The model with the threshold that cuts most while it covers as much as the trained model.

    It is chosen on the test scenes themselves, in the baseline's favour.
    """
    rated = [(scene, text, model.rate(text)) for scene, text in described]

    def covers(threshold: float) -> float:
        covered = 0
        for scene, text, sentences in rated:
            kept = _without(text, {span for span, likely in sentences if likely > threshold})
            covered += len(judge_description(scene, kept).covered)
        return covered / sum(len(scene.groups) for scene, _ in described)

    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if covers(middle) >= coverage else (middle, high)
    return partial(model.edit, threshold=high)


def cut_last_sentence(text: str) -> str:
    """Leave out the last sentence, unless it is the only one."""
    spans = sentence_spans(text)
    return _without(text, {spans[-1]} if len(spans) > 1 else set())


def cut_expected(text: str) -> str:
    """Leave out sentences that state just what one expects where one is.

    Those of a typical object of the stated context that has its typical colour and place.
    """
    claims = parse_claims(text)
    typical = {
        item.noun for word in claims.contexts for item in CONTEXT_BY_NAME[str(word.value)].objects
    }
    expected = set()
    for claim in claims.groups:
        item = OBJECT_BY_NOUN[claim.noun]
        colour, place = (part and part.value for part in (claim.colour, claim.place))
        if claim.noun in typical and (colour, place) == (item.typical_colour, item.typical_place):
            expected.add(claim.sentence)
    return _without(text, expected)


def leave_out_attributes(text: str) -> str:
    """Say of every group only what it is: no number, no colour, no place.

    What is not said cannot be wrong, and every object is still named.

    >>> leave_out_attributes("This is a kitchen. On the left there are two red apples.")
    'This is a kitchen. Visible: apple.'
    """
    groups = parse_claims(text).groups
    said = []
    for span in sentence_spans(text):
        stated = [claim for claim in groups if claim.sentence == span]
        said += [f"Visible: {claim.noun}." for claim in stated] or [text[slice(*span)]]
    return " ".join(said)


class SentenceModel:
    """A logistic regression that knows which sentences people change, from the text alone.

    It sees each sentence's noun with the stated context, with its colour, number and place, and how
    far from the end it stands; it leaves out what is more likely changed than not.
    """

    def __init__(self, corrections: Sequence[Correction]) -> None:
        """Learn from corrections which sentences were changed."""
        seen: list[tuple[tuple[str, ...], bool]] = []
        for one in corrections:
            spans = [segment.rejected_span for segment in one.segments]
            for (start, end), features in _features(one.rejected):
                seen.append((features, any(a < end and b > start for a, b in spans)))
        names = sorted({name for features, _ in seen for name in features})
        self._columns = {name: number for number, name in enumerate(names)}
        changed = np.array([label for _, label in seen], dtype=float)
        self._weights = _fit(self._rows([features for features, _ in seen]), changed)

    def edit(self, text: str, *, threshold: float = 0.5) -> str:
        """Leave out sentences that are likelier to be changed than the threshold."""
        return _without(text, {span for span, likely in self.rate(text) if likely > threshold})

    def rate(self, text: str) -> list[tuple[Span, float]]:
        """How likely people are to change each sentence that states a group, and where it lies."""
        found = list(_features(text))
        likely = expit(self._rows([features for _, features in found]) @ self._weights)
        return [(span, float(one)) for (span, _), one in zip(found, likely, strict=True)]

    def _rows(self, sentences: Sequence[Sequence[str]]) -> np.ndarray:
        rows = np.zeros((len(sentences), len(self._columns) + 1))
        rows[:, -1] = 1
        for row, features in zip(rows, sentences, strict=True):
            row[[self._columns[name] for name in features if name in self._columns]] = 1
        return rows


def _fit(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights of a logistic regression with a penalty on their squares; the last one is free."""
    free = np.append(np.full(rows.shape[1] - 1, _PENALTY), 0.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        scores = rows @ weights
        value = np.logaddexp(0, scores) - labels * scores
        slope = rows.T @ (expit(scores) - labels)
        return float(value.sum() + (free * weights**2).sum() / 2), slope + free * weights

    found: np.ndarray = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B").x
    return found


def _features(text: str) -> Iterator[tuple[Span, tuple[str, ...]]]:
    """Sentences that state a group, with what can be said of them from the text alone."""
    claims, spans = parse_claims(text), sentence_spans(text)
    context = str(claims.contexts[0].value) if claims.contexts else "nowhere"
    for span in spans:
        stated = [claim for claim in claims.groups if claim.sentence == span]
        if not stated:
            continue
        features = [f"{len(spans) - spans.index(span)} from the end"]
        for claim in stated:
            features += [f"{claim.noun} in {context}", claim.noun]
            for name in ("number", "colour", "place"):
                if (part := getattr(claim, name)) is not None:
                    features += [f"{name} {part.value}", f"{claim.noun} {name} {part.value}"]
        yield span, tuple(dict.fromkeys(features))


def _without(text: str, cut: set[Span]) -> str:
    return " ".join(text[slice(*span)] for span in sentence_spans(text) if span not in cut)
