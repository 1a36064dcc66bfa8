"""Evaluation in the embedded world: a model's answers to the benchmark, metrics, paired comparison.

Answers are kept as records, so that scoring can be run again without the model.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL.Image import Image

from veridical.benchmarks.world.items import WorldItem, build_world_benchmark, describe_items
from veridical.benchmarks.world.metrics import (
    AnswerRow,
    DescriptionRow,
    description_measures,
    judge_answer_row,
    judge_description_row,
    mmhal_measures,
    relative_measures,
    yes_no_measures,
)
from veridical.benchmarks.world.over_generalisation import (
    OverGeneralisation,
    compare_over_generalisation,
    over_generalisation,
    over_generalisation_metrics,
)
from veridical.errors import ConfigError
from veridical.files import write_json_atomically
from veridical.records import Difference, Metric, Response, write_records
from veridical.scoring.measures import Measure
from veridical.seeding import child_seed
from veridical.world.scenes import Scene, render

if TYPE_CHECKING:
    from veridical.models.features import FeatureCache
    from veridical.models.loading import VisionLanguageModel

__all__ = [
    "CheckpointScores",
    "WorldEvaluation",
    "WorldItem",
    "answer_benchmark",
    "build_world_benchmark",
    "compare_world",
    "describe_items",
    "evaluate_world",
    "hallucination_and_coverage",
    "score_world",
    "write_evaluation",
]

MAX_NEW_TOKENS = 96
"""Longest answer; descriptions have 24–42 tokens, so that only a model that repeats itself is cut
off."""

Said = tuple[str, int | None, bool]
"""What a model said: text, length in tokens where known, whether the length limit cut it off."""
Generate = Callable[[Sequence[str], Sequence[Image]], Sequence[Said]]
"""Answers questions about images."""


class WorldEvaluation(NamedTuple):
    """What a model said in the world, judged."""

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


def answer_benchmark(
    generate: Generate, items: Sequence[WorldItem], *, model: str
) -> list[Response]:
    """Let a model answer.

    Args:
        generate: Answers questions about images.
        items: The benchmark.
        model: Name of the model, written into the responses.
    """
    return [response for response, _ in _answers(generate, items, model=model)]


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
    said = {
        response.prompt_id: (response, length)
        for response, length in zip(responses, lengths, strict=True)
    }
    missing = [item.prompt.id for item in items if item.prompt.id not in said]
    if missing or len(said) != len(items) or len(responses) != len(items):
        example = f", for instance none to {missing[0]!r}" if missing else ""
        raise ConfigError(
            f"Each of the {len(items)} prompts needs one response, got {len(responses)}{example}."
            " Answer them all."
        )
    ordered = [said[item.prompt.id] for item in items]
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
    return _evaluation(
        tuple(items),
        tuple(response for response, _ in ordered),
        descriptions,
        answers["yes_no"],
        answers["mmhal"],
        seed=seed,
    )


def evaluate_world(
    vlm: "VisionLanguageModel",
    items: Sequence[WorldItem],
    *,
    seed: int = 0,
    batch_size: int = 64,
    max_new_tokens: int = MAX_NEW_TOKENS,
    feature_cache: "FeatureCache | None" = None,
    label: str | None = None,
    out: Path | None = None,
) -> WorldEvaluation:
    """Let a model answer the benchmark greedily, and judge what it says.

    Args:
        vlm: The model.
        items: The benchmark.
        seed: Seed of the resampling.
        batch_size: Prompts at a time.
        max_new_tokens: Longest answer.
        feature_cache: Image features kept from an earlier evaluation on the same scenes.
        label: Show progress under this name.
        out: Folder for `items.jsonl`, `responses.jsonl`, the rows and `metrics.json`.
    """
    generate = _generator(
        vlm,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        feature_cache=feature_cache,
        label=label,
    )
    answers = _answers(generate, items, model=vlm.name)
    evaluation = score_world(
        items,
        [response for response, _ in answers],
        seed=seed,
        tokens=[length for _, length in answers],
    )
    if out is not None:
        write_evaluation(out, evaluation)
    return evaluation


class CheckpointScores(NamedTuple):
    """What chooses a checkpoint."""

    hallucination_rate: Metric
    """Descriptions with at least one fault."""
    object_coverage: Metric
    """True objects named."""


def hallucination_and_coverage(
    vlm: "VisionLanguageModel",
    scenes: Sequence[Scene],
    *,
    seed: int = 0,
    batch_size: int = 64,
    max_new_tokens: int = MAX_NEW_TOKENS,
    feature_cache: "FeatureCache | None" = None,
) -> CheckpointScores:
    """Describe scenes greedily: how often with a hallucination, and with how much of what is there."""
    items = describe_items(scenes, seed=seed)
    generate = _generator(
        vlm,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        feature_cache=feature_cache,
        label=None,
    )
    responses = answer_benchmark(generate, items, model=vlm.name)
    rows = [
        judge_description_row(item.scene, response.text, id=item.prompt.id)
        for item, response in zip(items, responses, strict=True)
    ]
    measures = description_measures(rows)
    return CheckpointScores(
        measures["hallucination_rate"].metric(seed=seed),
        measures["object_coverage"].metric(seed=seed),
    )


def pool_evaluations(evaluations: Sequence[WorldEvaluation], *, seed: int) -> WorldEvaluation:
    """Put several models' answers to the same items together (one method from several seeds); scenes stay clusters.

    Raises:
        ConfigError: They answered different items, or there are none.
    """
    asked = {tuple(item.prompt.id for item in one.items) for one in evaluations}
    if len(asked) != 1:
        raise ConfigError(
            f"Models are pooled over the same prompts, got {len(asked)} sets. Evaluate all on one"
            " set."
        )
    if len(evaluations) == 1:
        return evaluations[0]
    descriptions, yes_no, mmhal = (
        tuple(row for part in parts for row in part)
        for parts in zip(
            *((one.descriptions, one.yes_no, one.mmhal) for one in evaluations), strict=True
        )
    )
    return _evaluation(
        tuple(item for one in evaluations for item in one.items),
        tuple(response for one in evaluations for response in one.responses),
        descriptions,
        yes_no,
        mmhal,
        seed=seed,
    )


def compare_world(
    base: WorldEvaluation, aligned: WorldEvaluation, *, seed: int = 0
) -> dict[str, Difference]:
    """Test two runs on the same items against each other: aligned minus base for every metric.

    Raises:
        ConfigError: The runs answered different items.
    """
    if [item.prompt.id for item in base.items] != [item.prompt.id for item in aligned.items]:
        raise ConfigError(
            "Two runs are compared on the same prompts in the same order. Evaluate both on one set."
        )
    first = _measures(base.descriptions, base.yes_no, base.mmhal)
    second = _measures(aligned.descriptions, aligned.yes_no, aligned.mmhal)
    differences = {
        name: first[name].difference(second[name], seed=child_seed(seed, "difference", name))
        for name in first
        if name in second
    }
    if base.descriptions:
        differences |= compare_over_generalisation(
            base.descriptions,
            aligned.descriptions,
            seed=child_seed(seed, "difference", "over_generalisation"),
        )
    return differences


def write_evaluation(out: Path, evaluation: WorldEvaluation) -> Path:
    """Write items, responses, judged rows and metrics; `score_world` gives the same from the first two."""
    write_records(out / "items.jsonl", evaluation.items, kind="WorldItem")
    write_records(out / "responses.jsonl", evaluation.responses, kind="Response")
    write_records(out / "descriptions.jsonl", evaluation.descriptions, kind="DescriptionRow")
    write_records(out / "answers.jsonl", [*evaluation.yes_no, *evaluation.mmhal], kind="AnswerRow")
    metrics = {name: metric.model_dump() for name, metric in evaluation.metrics.items()}
    return write_json_atomically(out / "metrics.json", metrics)


def _evaluation(
    items: tuple[WorldItem, ...],
    responses: tuple[Response, ...],
    descriptions: Sequence[DescriptionRow],
    yes_no: Sequence[AnswerRow],
    mmhal: Sequence[AnswerRow],
    *,
    seed: int,
) -> WorldEvaluation:
    measures = _measures(descriptions, yes_no, mmhal)
    metrics = {
        name: m.metric(seed=child_seed(seed, "metric", name)) for name, m in measures.items()
    }
    table = (
        over_generalisation(descriptions, seed=child_seed(seed, "over_generalisation"))
        if descriptions
        else None
    )
    if table is not None:
        metrics |= over_generalisation_metrics(table)
    return WorldEvaluation(
        items, responses, tuple(descriptions), tuple(yes_no), tuple(mmhal), metrics, table
    )


def _measures(
    descriptions: Sequence[DescriptionRow], yes_no: Sequence[AnswerRow], mmhal: Sequence[AnswerRow]
) -> dict[str, Measure]:
    measures = description_measures(descriptions) if descriptions else {}
    if yes_no:
        measures |= yes_no_measures(yes_no)
    if mmhal:
        measures |= mmhal_measures(mmhal) | relative_measures(mmhal)
    return measures


def _answers(
    generate: Generate, items: Sequence[WorldItem], *, model: str
) -> list[tuple[Response, int | None]]:
    drawn: dict[str, Image] = {}
    for item in items:
        if item.scene.id not in drawn:
            drawn[item.scene.id] = render(item.scene)
    said = generate(
        [item.prompt.question for item in items], [drawn[item.scene.id] for item in items]
    )
    answers = []
    for item, (text, length, cut) in zip(items, said, strict=True):
        name = item.prompt.id
        response = Response(
            id=f"{name}#0",
            prompt_id=name,
            text=text,
            model=model,
            finish="length" if cut else "stop",
        )
        answers.append((response, length))
    return answers


def _generator(
    vlm: "VisionLanguageModel",
    *,
    batch_size: int,
    max_new_tokens: int,
    feature_cache: "FeatureCache | None",
    label: str | None,
) -> Generate:
    from veridical.models.generation import generate_responses

    def generate(questions: Sequence[str], images: Sequence[Image]) -> list[Said]:
        answers = generate_responses(
            vlm,
            questions,
            images,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
            feature_cache=feature_cache,
            label=label,
        )
        return [(said.text, len(said.token_ids), said.finish == "length") for (said,) in answers]

    return generate
