"""Answers to the world's benchmark: judged, measured, pooled over seeds, compared in pairs."""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.benchmarks.world.items import WorldItem
from veridical.benchmarks.world.metrics import (
    AnswerRow,
    DescriptionRow,
    judge_answer_row,
    judge_description_row,
)
from veridical.benchmarks.world.over_generalisation import (
    OverGeneralisation,
    compare_over_generalisation,
)
from veridical.benchmarks.world.totals import JudgedRows, world_measures, world_totals
from veridical.errors import ConfigError
from veridical.files import write_json_atomically
from veridical.records import Difference, Metric, Response, write_records
from veridical.seeding import child_seed


class WorldEvaluation(NamedTuple):
    """A model's answers in the world, judged."""

    items: tuple[WorldItem, ...]
    """What was asked."""
    responses: tuple[Response, ...]
    """What was answered, in the same order."""
    descriptions: tuple[DescriptionRow, ...]
    """Judged descriptions."""
    yes_no: tuple[AnswerRow, ...]
    """Judged yes/no probes."""
    mmhal: tuple[AnswerRow, ...]
    """Judged MMHal-style answers."""
    metrics: dict[str, Metric]
    """All metrics, by name; a part that was not asked has none."""
    over_generalisation: OverGeneralisation | None
    """By context; None without descriptions."""

    @property
    def rows(self) -> JudgedRows:
        """The judged rows, by the kind of question."""
        return JudgedRows(self.descriptions, self.yes_no, self.mmhal)


def score_world(
    items: Sequence[WorldItem],
    responses: Sequence[Response],
    *,
    seed: int,
    tokens: Sequence[int | None] | None = None,
) -> WorldEvaluation:
    """Judge answers and make the metrics.

    Args:
        items: The benchmark.
        responses: The answers; matched by prompt id.
        seed: Seed of the resampling.
        tokens: Length of each response in tokens, where known.

    Raises:
        ConfigError: An item has no answer or several, or a response belongs to no item.
    """
    lengths = tokens or [None] * len(responses)
    answered = {
        response.prompt_id: (response, length)
        for response, length in zip(responses, lengths, strict=True)
    }
    missing = [item.prompt.id for item in items if item.prompt.id not in answered]
    if missing or len(answered) != len(items) or len(responses) != len(items):
        example = f", for instance none to {missing[0]!r}" if missing else ""
        raise ConfigError(
            f"Each of the {len(items)} prompts needs one response, got {len(responses)}{example}."
            " Answer them all."
        )
    ordered = [answered[item.prompt.id] for item in items]
    descriptions: list[DescriptionRow] = []
    answers: dict[str, list[AnswerRow]] = {"yes_no": [], "mmhal": []}
    for item, (response, length) in zip(items, ordered, strict=True):
        name = item.prompt.id
        if item.question is None:
            cut = response.finish == "length"
            descriptions.append(
                judge_description_row(item.scene, response.text, id=name, tokens=length, cut=cut)
            )
        else:
            row = judge_answer_row(item.scene, item.question, response.text, id=name)
            answers[item.prompt.task].append(row)
    rows = JudgedRows(descriptions, answers["yes_no"], answers["mmhal"])
    return _evaluate(items, [response for response, _ in ordered], rows, seed=seed)


def pool_evaluations(evaluations: Sequence[WorldEvaluation], *, seed: int) -> WorldEvaluation:
    """Pool several models' answers (one method, several seeds) by scene.

    Raises:
        ConfigError: They share some prompts but not all, or none is given.
    """
    if len(evaluations) == 1:
        return evaluations[0]
    pooled = _pool(evaluations)
    return _evaluate(pooled.items, pooled.responses, pooled.rows, seed=seed)


def _pool(evaluations: Sequence[WorldEvaluation]) -> WorldEvaluation:
    """All answers as one evaluation that is not measured yet."""
    if not evaluations:
        raise ConfigError("There are no evaluations to pool. Give at least one.")
    asked = [[item.prompt.id for item in one.items] for one in evaluations]
    same = all(names == asked[0] for names in asked)
    if not same and len({name for names in asked for name in names}) < sum(map(len, asked)):
        raise ConfigError(
            "Models are pooled over the same prompts in the same order, or each over prompts of its"
            f" own; these {len(asked)} share some. Evaluate all on one set."
        )
    return WorldEvaluation(
        tuple(item for one in evaluations for item in one.items),
        tuple(response for one in evaluations for response in one.responses),
        tuple(row for one in evaluations for row in one.descriptions),
        tuple(row for one in evaluations for row in one.yes_no),
        tuple(row for one in evaluations for row in one.mmhal),
        metrics={},
        over_generalisation=None,
    )


def compare_world(
    base: WorldEvaluation,
    aligned: WorldEvaluation,
    *,
    seed: int = 0,
    metrics: Container[str] | None = None,
) -> dict[str, Difference]:
    """Test two runs on the same items against each other: aligned minus base.

    Args:
        base: One run.
        aligned: The other.
        seed: Seed of the resampling.
        metrics: What is tested; by default every metric that both have.

    Raises:
        ConfigError: The runs answered different items.
    """
    if [item.prompt.id for item in base.items] != [item.prompt.id for item in aligned.items]:
        raise ConfigError(
            "Two runs are compared on the same prompts in the same order. Evaluate both on one set."
        )
    first, second = world_measures(base.rows), world_measures(aligned.rows)
    differences = {
        name: first[name].difference(second[name], seed=child_seed(seed, "difference", name))
        for name in first
        if name in second and (metrics is None or name in metrics)
    }
    if base.descriptions and (metrics is None or "over_generalisation" in metrics):
        differences |= compare_over_generalisation(
            base.descriptions,
            aligned.descriptions,
            seed=child_seed(seed, "difference", "over_generalisation"),
        )
    return differences


def compare_pooled(
    base: Sequence[WorldEvaluation],
    aligned: Sequence[WorldEvaluation],
    *,
    seed: int = 0,
    metrics: Container[str] | None = None,
) -> dict[str, Difference]:
    """Test two methods against each other, each pooled over its seeds; see `compare_world`."""
    return compare_world(_pool(base), _pool(aligned), seed=seed, metrics=metrics)


def write_evaluation(out: Path, evaluation: WorldEvaluation) -> Path:
    """Write items, responses, judged rows and metrics; the first two suffice to score again."""
    write_records(out / "items.jsonl", evaluation.items, kind="WorldItem")
    write_records(out / "responses.jsonl", evaluation.responses, kind="Response")
    write_records(out / "descriptions.jsonl", evaluation.descriptions, kind="DescriptionRow")
    write_records(out / "answers.jsonl", [*evaluation.yes_no, *evaluation.mmhal], kind="AnswerRow")
    metrics = {name: metric.model_dump() for name, metric in evaluation.metrics.items()}
    return write_json_atomically(out / "metrics.json", metrics)


def _evaluate(
    items: Sequence[WorldItem], responses: Sequence[Response], rows: JudgedRows, *, seed: int
) -> WorldEvaluation:
    totals = world_totals(rows, seed=seed)
    return WorldEvaluation(
        tuple(items),
        tuple(responses),
        tuple(rows.descriptions),
        tuple(rows.yes_no),
        tuple(rows.mmhal),
        totals.metrics,
        totals.over_generalisation,
    )
