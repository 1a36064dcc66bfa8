"""The whole RLHF-V loop on the embedded world: measure → collect corrections → dense DPO → measure again → report.

The same stages carry a large model; here they stand in one function so that one command shows them.
"""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field

from veridical.benchmarks.world.evaluation import compare_world
from veridical.benchmarks.world.items import build_world_benchmark
from veridical.config import Recipe, load_recipe, merge_settings, write_recipe
from veridical.errors import ConfigError
from veridical.evaluation.world import evaluate_world, hallucination_and_coverage
from veridical.files import write_json_atomically
from veridical.models.hashing import model_hash
from veridical.models.loading import VisionLanguageModel, load_model
from veridical.progress import log
from veridical.records import Metric
from veridical.records.manifests import build_manifest, library_versions
from veridical.records.results import Results, write_results
from veridical.report.demo import render_demo_report
from veridical.studies.collection import collect_corrections
from veridical.studies.demo.report import DemoRun, describe_run
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.train import train_dpo
from veridical.training.run.choice import least_hallucination
from veridical.world.base import base_model_path
from veridical.world.people import PersonModel
from veridical.world.scenes import sample_scenes


class DemoRecipe(Recipe):
    """How large the demo is. Scenes of test, validation and training are never the same."""

    seed: int = Field(default=0, ge=0)
    """Root seed of scenes, samples, people and training."""
    corrections: int = Field(default=1400, ge=32)
    """Corrections to learn from. RLHF-V: 1,401."""
    test_scenes: int = Field(default=1000, ge=20)
    """Unseen scenes that both models describe."""
    probe_scenes: int = Field(default=250, ge=5)
    """How many of them are probed with yes/no questions, four each."""
    questions_per_type: int = Field(default=48, ge=1)
    """MMHal-style questions of each of the eight types. MMHal-Bench: 12."""
    validation_scenes: int = Field(default=200, ge=20)
    """Scenes on which the checkpoint is chosen."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature of the responses that people correct."""
    person: PersonModel = Field(default_factory=PersonModel)
    """The simulated people: their rates of misses and slips."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Settings that win over the recipe `dpo-world`, by section: `training.train.epochs=2`."""


QUICK = DemoRecipe(
    corrections=640, test_scenes=240, probe_scenes=60, questions_per_type=12, validation_scenes=60
)
"""The same loop in a fraction of the time, with wider intervals."""


def run_demo(recipe: DemoRecipe, out: Path) -> Results:
    """Run the loop.

    Args:
        recipe: How large.
        out: Folder for every stage's records, `report.html` and `results.json`; an earlier demo
            there is replaced.

    Raises:
        ConfigError: `out` holds something that is no demo.
    """
    _clear(out)
    write_recipe(recipe, out / "recipe.toml")
    seconds: dict[str, float] = {}
    with _timed(seconds, "measure", "1 of 5 · measure: the base model describes unseen scenes"):
        base = load_model(str(base_model_path()))
        base_hash = model_hash(base.model)
        items = build_world_benchmark(
            recipe.seed,
            "test",
            n_scenes=recipe.test_scenes,
            n_probe_scenes=recipe.probe_scenes,
            n_per_type=recipe.questions_per_type,
        )
        before = evaluate_world(
            base, items, seed=recipe.seed, label="base model answers", out=out / "1-base"
        )
    _tell("base", before.metrics)
    with _timed(
        seconds, "collect", "2 of 5 · collect: simulated people correct the model's own responses"
    ):
        collected = collect_corrections(
            base,
            out / "2-corrections",
            count=recipe.corrections,
            split="train",
            seed=recipe.seed,
            temperature=recipe.temperature,
            person=recipe.person,
        )
    with _timed(seconds, "align", "3 of 5 · align: dense DPO on the corrections"):
        training = load_recipe(
            "dpo-world",
            PreferenceRecipe,
            settings=merge_settings(
                {"data": {"corrections": str(collected.path)}, "train": {"seed": recipe.seed}},
                recipe.training,
            ),
        )
        validation = list(sample_scenes(recipe.seed, "validation", recipe.validation_scenes))

        def evaluate(vlm: VisionLanguageModel, step: int) -> Mapping[str, float]:  # noqa: ARG001 (training passes it)
            rates = hallucination_and_coverage(vlm, validation, seed=recipe.seed)
            return {
                f"{name}{suffix}": value
                for name, metric in rates._asdict().items()
                for suffix, value in (
                    ("", metric.value),
                    ("/low", metric.low),
                    ("/high", metric.high),
                )
            }

        rule = least_hallucination(coverage_tolerance=training.train.coverage_tolerance)
        run = train_dpo(training, out / "3-dpo", evaluate=evaluate, choose=rule)
    with _timed(
        seconds, "measure again", "4 of 5 · measure again: the aligned model on the same scenes"
    ):
        aligned = load_model(str(run.weights))
        after = evaluate_world(
            aligned, items, seed=recipe.seed, label="aligned model answers", out=out / "4-aligned"
        )
        comparison = compare_world(before, after, seed=recipe.seed)
    _tell("aligned", after.metrics)
    with _timed(seconds, "report", "5 of 5 · report"):
        results = Results(
            base=before.metrics,
            aligned=after.metrics,
            comparison={name: comparison[name] for name in before.metrics if name in comparison},
            seconds=seconds,
            seed=recipe.seed,
            versions=library_versions(),
        )
        manifest = build_manifest(
            verb="demo",
            seed=recipe.seed,
            recipe=recipe,
            inputs={"base model": base_hash},
            seconds=seconds,
            notes={
                "responses shown to people": collected.shown,
                "aligned model": model_hash(aligned.model),
            },
        )
        demo_run = DemoRun(
            out,
            recipe.person,
            recipe.validation_scenes,
            before,
            after,
            collected,
            training,
            run,
            results,
            manifest,
        )
        inputs = describe_run(demo_run)
        write_json_atomically(out / "report.json", inputs.model_dump(mode="json"))
        render_demo_report(inputs, out / "report.html")
    results = results.model_copy(
        update={"seconds": {name: round(value, 2) for name, value in seconds.items()}}
    )
    write_results(out / "results.json", results)
    write_json_atomically(out / "manifest.json", manifest.model_dump(mode="json"))
    log(
        f"{sum(seconds.values()):.0f} s in all. Numbers: {out / 'results.json'}. To look at:"
        f" {out / 'report.html'}"
    )
    return results


@contextmanager
def _timed(seconds: dict[str, float], name: str, title: str) -> Iterator[None]:
    log(title)
    started = time.monotonic()
    yield
    seconds[name] = time.monotonic() - started


def _tell(name: str, metrics: Mapping[str, Metric]) -> None:
    rate, coverage = metrics["hallucination_rate"], metrics["object_coverage"]
    log(
        f"{name}: {rate.value:.1%} of {rate.n} descriptions hallucinate [{rate.low:.1%},"
        f" {rate.high:.1%}], {coverage.value:.1%} of the objects are named"
    )


def _clear(out: Path) -> None:
    """Make room for a demo; nothing but an earlier demo is ever removed."""
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / "recipe.toml").is_file() or not (out / "1-base").is_dir():
        raise ConfigError(
            f"`{out}` is not empty and holds no earlier demo. Give another folder with --out."
        )
    shutil.rmtree(out)
