"""Let a model answer the world's benchmark in this process: what the studies measure with.

`veridical evaluate` asks the same items through files, as it does for any benchmark.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL.Image import Image

from veridical.benchmarks.world.evaluation import WorldEvaluation, score_world, write_evaluation
from veridical.benchmarks.world.items import WorldItem, describe_items
from veridical.benchmarks.world.metrics import description_measures, judge_description_row
from veridical.records import Metric, Response
from veridical.world.scenes import Scene, render, sample_scenes

if TYPE_CHECKING:
    from veridical.models.features import FeatureCache
    from veridical.models.loading import VisionLanguageModel

MAX_NEW_TOKENS = 96
"""Longest answer; descriptions have 24–42 tokens, so that only a model that repeats itself is cut
off."""

Answer = tuple[str, int | None, bool]
"""Text, length in tokens where known, and whether the length limit cut it off."""
Generate = Callable[[Sequence[str], Sequence[Image]], Sequence[Answer]]
"""Answers questions about images."""


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
    """Let a model answer the benchmark greedily, and judge its answers.

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
    """Describe scenes greedily and measure what chooses a checkpoint."""
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


def validation_rates(
    seed: int, count: int
) -> "Callable[[VisionLanguageModel, int], dict[str, float]]":
    """What measures a model during training: hallucination and coverage, with intervals.

    Args:
        seed: Root seed of the world.
        count: How many validation scenes; no other set has them.
    """
    scenes = list(sample_scenes(seed, "validation", count))

    def evaluate(vlm: "VisionLanguageModel", _step: int) -> dict[str, float]:
        measured: dict[str, float] = {}
        rates = hallucination_and_coverage(vlm, scenes, seed=seed)
        for name, metric in rates._asdict().items():
            measured |= {
                name: metric.value,
                f"{name}/low": metric.low,
                f"{name}/high": metric.high,
            }
        return measured

    return evaluate


def _answers(
    generate: Generate, items: Sequence[WorldItem], *, model: str
) -> list[tuple[Response, int | None]]:
    drawn: dict[str, Image] = {}
    for item in items:
        if item.scene.id not in drawn:
            drawn[item.scene.id] = render(item.scene)
    questions = [item.prompt.question for item in items]
    generated = generate(questions, [drawn[item.scene.id] for item in items])
    answers = []
    for item, (text, length, cut) in zip(items, generated, strict=True):
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

    def generate(questions: Sequence[str], images: Sequence[Image]) -> list[Answer]:
        answers = generate_responses(
            vlm,
            questions,
            images,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
            feature_cache=feature_cache,
            label=label,
        )
        return [(one.text, len(one.token_ids), one.finish == "length") for (one,) in answers]

    return generate
