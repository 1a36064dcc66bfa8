"""How good a reward model is: agreement with people, calibration, and whether it reads its input.

Reads the held-out comparisons that `veridical train reward` writes (`held_out.jsonl`); needs no
torch. Comparisons that people called a tie have no right side and are counted apart. A reward that
ties is not right.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from veridical.errors import DataError, Fault
from veridical.files import JsonObject, read_jsonl_rows
from veridical.progress import counted
from veridical.records import Metric, Source
from veridical.records.storage import describe_validation
from veridical.statistics import mcnemar, wilson

_BINS = 10
_TIE = 1e-5


JsonTree = JsonObject
"""Nested plain values, as JSON has them."""


class HeldOutRow(BaseModel):
    """One held-out comparison with the rewards of its two responses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Id of the comparison."""
    task: str
    """What kind of question it was."""
    source: Source
    """Who judged."""
    preference: float
    """Probability that the first response is the better one, according to people."""
    hallucination: bool | None
    """Whether hallucinations decided it; None if nobody noted it."""
    lengths: tuple[int, int]
    """Characters of the two responses."""
    rewards: dict[str, tuple[float, float]]
    """Rewards of the two responses by condition: "intact", and with facts or image taken away
    (`rewards.leak`)."""


class RewardReport(NamedTuple):
    """A report on a reward model."""

    accuracy: Metric
    """Share of the comparisons in which the reward prefers what people prefer."""
    text: JsonTree
    """Everything, as plain values for JSON."""


def read_held_out(path: Path | str) -> list[HeldOutRow]:
    """Read the file of held-out comparisons.

    Raises:
        DataError: The file is missing, or a row is not a held-out comparison.
    """
    path = Path(path)
    rows, faults = [], []
    for row in read_jsonl_rows(path):
        try:
            rows.append(HeldOutRow.model_validate(row.value))
        except ValidationError as error:
            faults.append(
                Fault(
                    path,
                    row.line,
                    f"not a held-out comparison: {describe_validation(error)}.",
                )
            )
    if faults:
        raise DataError(faults, advice="Run the training again with --resume to rewrite the file.")
    return rows


def report_rewards(
    rows: Sequence[HeldOutRow], *, kinds: Mapping[str, Sequence[str]] | None = None
) -> RewardReport:
    """Report on a reward model.

    Args:
        rows: Held-out comparisons with their rewards.
        kinds: The kinds of hallucination that a comparison's responses differ in, by its id, where
            known.

    Returns:
        Accuracy with Wilson's interval, overall and by margin (quarters of the comparisons, by how
        sure the reward is), by length (whether the longer response is preferred), by what decided,
        by kind and by task; calibration; the leak check; and what preferring the longer (or
        shorter) response would give.
    """
    judged = [row for row in rows if row.preference != 0.5]
    intact = _margins(judged, "intact")
    correct = intact > _TIE
    accuracy = _rate(correct)

    def by(name_of: Callable[[HeldOutRow], Sequence[str]]) -> dict[str, Metric]:
        found: dict[str, list[bool]] = {}
        for row, hit in zip(judged, correct, strict=True):
            for name in name_of(row):
                found.setdefault(name, []).append(bool(hit))
        return {name: _rate(np.array(hits)) for name, hits in sorted(found.items())}

    longer = _rate(np.array([_longer_preferred(row) == "longer" for row in judged], dtype=bool))
    shorter = _rate(np.array([_longer_preferred(row) == "shorter" for row in judged], dtype=bool))
    report: dict[str, object] = {
        "comparisons": len(rows),
        "ties_of_people": len(rows) - len(judged),
        "ties_of_the_reward": int((np.abs(intact) <= _TIE).sum()),
        "sources": sorted({row.source for row in rows}),
        "accuracy": accuracy,
        "by_margin": _by_margin(intact, correct),
        "by_length": by(lambda row: [_longer_preferred(row)]),
        "by_decision": by(lambda row: [_decision(row)]),
        "by_kind": by(lambda row: (kinds or {}).get(row.id, ())),
        "by_task": by(lambda row: [row.task]),
        "length_alone": {"longer": longer, "shorter": shorter},
        "calibration": _calibration(intact, correct),
        "leak_check": _leak_check(judged),
    }
    return RewardReport(accuracy, _plain(report))


def summary_line(report: RewardReport) -> str:
    """Say in one line how good the reward model is and whether it reads its input."""
    metric, leak = report.accuracy, report.text["leak_check"]
    text = (
        f"Accuracy on {counted(metric.n, 'held-out comparison')} {metric.value:.1%}"
        f" ({metric.low:.1%}–{metric.high:.1%})"
    )
    for name, words in (
        ("swapped_facts", "another image's facts"),
        ("swapped_image", "another image"),
    ):
        if name in leak:
            text += f"; with {words} {leak[name]['accuracy']['value']:.1%}"
    return text + "."


def _margins(rows: Sequence[HeldOutRow], condition: str) -> NDArray[np.float64]:
    """Reward of the preferred response minus that of the other."""
    signed = [
        (row.rewards[condition][0] - row.rewards[condition][1])
        * (1 if row.preference > 0.5 else -1)
        for row in rows
    ]
    return np.array(signed, dtype=np.float64)


def _rate(hits: NDArray[np.bool_]) -> Metric:
    return wilson(int(hits.sum()), len(hits))


def _longer_preferred(row: HeldOutRow) -> str:
    better, worse = row.lengths if row.preference > 0.5 else row.lengths[::-1]
    return "same" if better == worse else "longer" if better > worse else "shorter"


def _decision(row: HeldOutRow) -> str:
    return {True: "hallucination", False: "helpfulness", None: "not noted"}[row.hallucination]


def _by_margin(margins: NDArray[np.float64], correct: NDArray[np.bool_]) -> list[dict[str, object]]:
    order = np.argsort(np.abs(margins), kind="stable")
    return [
        {
            "least": float(np.abs(margins[part]).min()),
            "most": float(np.abs(margins[part]).max()),
            "accuracy": _rate(correct[part]),
        }
        for part in np.array_split(order, 4)
        if len(part)
    ]


def _calibration(margins: NDArray[np.float64], correct: NDArray[np.bool_]) -> dict[str, object]:
    """Compare how sure the reward is of its choice, σ(|margin|), with how often it is right."""
    sure = 1 / (1 + np.exp(-np.abs(margins)))
    places = np.clip(((sure - 0.5) * 2 * _BINS).astype(int), 0, _BINS - 1)
    bins, error = [], 0.0
    for place in range(_BINS):
        inside = places == place
        count = int(inside.sum())
        if not count:
            continue
        predicted, observed = float(sure[inside].mean()), _rate(correct[inside])
        error += count / len(sure) * abs(predicted - observed.value)
        low = 0.5 + place / (2 * _BINS)
        bins.append(
            {"from": low, "to": low + 1 / (2 * _BINS), "predicted": predicted, "observed": observed}
        )
    chosen = np.where(correct, sure, 1 - sure)
    brier = float(np.mean((1 - chosen) ** 2)) if len(sure) else 0.0
    return {"expected_calibration_error": error, "brier_score": brier, "n": len(sure), "bins": bins}


def _leak_check(rows: Sequence[HeldOutRow]) -> dict[str, dict[str, object]]:
    """How accuracy changes, in pairs, without facts or image, and how far margins move."""
    found = {}
    for name in dict.fromkeys(name for row in rows for name in row.rewards):
        some = [row for row in rows if name in row.rewards]
        intact, changed = _margins(some, "intact"), _margins(some, name)
        found[name] = {
            "accuracy": _rate(changed > _TIE),
            "change": mcnemar(intact > _TIE, changed > _TIE),
            "mean_margin_shift": float(np.abs(changed - intact).mean()),
            "mean_margin": float(np.abs(changed).mean()),
        }
    return found


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
