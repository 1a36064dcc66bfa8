"""`veridical evaluate`: a model in the embedded world, from a recipe, with a paired test against an earlier run."""

import time
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from veridical.config import Recipe, write_recipe
from veridical.errors import ConfigError
from veridical.evaluation.world import (
    WorldEvaluation,
    build_world_benchmark,
    compare_world,
    evaluate_world,
    score_world,
)
from veridical.files import write_json_atomically
from veridical.records import Difference, Response, read_records
from veridical.records.manifests import build_manifest


class EvaluateRecipe(Recipe):
    """Which model is measured in the world, and on how much."""

    model: str = Field(default="world", min_length=1)
    """Folder or hub id of the model; "world" is the embedded world's base model."""
    adapter: str = ""
    """Folder of a LoRA adapter to put on the model. Empty: none."""
    out: Path
    """Folder for responses, judged rows, `metrics.json`, `recipe.toml` and `manifest.json`."""
    compare_with: Path | None = None
    """Folder of an earlier evaluation of the same items; gives `comparison.json`, this run minus
    that one, paired."""
    benchmark: Literal["world"] = "world"
    """What is measured: descriptions, yes/no probes and MMHal-style questions on scenes of the
    embedded world."""
    split: str = "test"
    """Which scenes; "train" and "validation" are those that the demo learns from and chooses on."""
    scenes: int = Field(default=1000, ge=1)
    """Scenes to describe."""
    probe_scenes: int = Field(default=250, ge=0)
    """How many of them are probed with yes/no questions, four each."""
    questions_per_type: int = Field(default=48, ge=0)
    """MMHal-style questions of each of the eight types. MMHal-Bench: 12."""
    seed: int = Field(default=0, ge=0)
    """Root seed of scenes, questions and resampling."""
    batch_size: int = Field(default=64, ge=1)
    """Prompts at a time."""


class Evaluated(NamedTuple):
    """What an evaluation gave."""

    evaluation: WorldEvaluation
    """Answers, rows and metrics."""
    comparison: dict[str, Difference]
    """This run minus the earlier one; empty where none was named."""


def evaluate(recipe: EvaluateRecipe) -> Evaluated:
    """Measure a model in the world.

    Raises:
        ConfigError: The earlier evaluation is not there, or is of other items.
    """
    from veridical.models.loading import load_model

    started = time.monotonic()
    items = build_world_benchmark(
        recipe.seed,
        recipe.split,
        n_scenes=recipe.scenes,
        n_probe_scenes=recipe.probe_scenes,
        n_per_type=recipe.questions_per_type,
    )
    earlier: WorldEvaluation | None = None
    if recipe.compare_with is not None:
        responses = recipe.compare_with / "responses.jsonl"
        if not responses.is_file():
            raise ConfigError(
                f"`compare_with` names `{recipe.compare_with}`, which holds no evaluation. Give its"
                " `out`."
            )
        earlier = score_world(items, read_records(responses, Response), seed=recipe.seed)
    vlm = load_model(recipe.model, adapter=recipe.adapter or None)
    evaluation = evaluate_world(
        vlm, items, seed=recipe.seed, batch_size=recipe.batch_size, label="answer", out=recipe.out
    )
    comparison = compare_world(earlier, evaluation, seed=recipe.seed) if earlier is not None else {}
    write_recipe(recipe, recipe.out / "recipe.toml")
    if comparison:
        table = {name: difference.model_dump() for name, difference in comparison.items()}
        write_json_atomically(recipe.out / "comparison.json", table)
    manifest = build_manifest(
        verb="evaluate",
        seed=recipe.seed,
        recipe=recipe,
        seconds={"evaluate": time.monotonic() - started},
    )
    write_json_atomically(recipe.out / "manifest.json", manifest.model_dump(mode="json"))
    return Evaluated(evaluation, comparison)
