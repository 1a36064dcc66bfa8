"""The RLHF-V loop on the embedded world: measure → correct → dense DPO → measure → report.

The same stages carry a large model; here they stand in one function so that one command shows them.
"""

from collections.abc import Mapping
from pathlib import Path

from veridical.benchmarks.world.evaluation import compare_world
from veridical.benchmarks.world.items import build_world_benchmark
from veridical.config import load_recipe, merge_settings, write_recipe
from veridical.evaluation.world import evaluate_world, validation_rates
from veridical.files import write_json_atomically
from veridical.models.hashing import model_hash
from veridical.models.loading import load_model
from veridical.progress import log
from veridical.records import Metric
from veridical.records.manifests import build_manifest, library_versions
from veridical.records.results import Results, write_results
from veridical.report.demo import render_demo_report
from veridical.studies.collection import collect_corrections
from veridical.studies.demo.recipe import DemoRecipe
from veridical.studies.demo.report import DemoRun, describe_run
from veridical.studies.image_free import compare_with_image_free
from veridical.studies.stages import Stages, claim_folder
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.train import train_dpo
from veridical.training.run.choice import least_hallucination
from veridical.world.base import base_model_path


def run_demo(recipe: DemoRecipe, out: Path) -> Results:
    """Run the loop.

    Args:
        recipe: How large.
        out: Folder for every stage's records, `report.html` and `results.json`; an earlier demo
            there is replaced.

    Raises:
        ConfigError: `out` holds something other than an earlier demo.
    """
    claim_folder(out, holds=["recipe.toml", "1-base"], what="demo")
    write_recipe(recipe, out / "recipe.toml")
    stages = Stages()
    with stages.stage("measure", "1 of 5 · measure: the base model describes unseen scenes"):
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
    _log_rates("base", before.metrics)
    with stages.stage(
        "collect", "2 of 5 · collect: simulated people correct the model's own responses"
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
    with stages.stage("align", "3 of 5 · align: dense DPO on the corrections, and their texts"):
        training = _training_recipe(recipe, collected.path)
        rule = least_hallucination(coverage_tolerance=training.train.coverage_tolerance)
        run = train_dpo(
            training,
            out / "3-dpo",
            evaluate=validation_rates(recipe.seed, recipe.validation_scenes),
            choose=rule,
        )
    with stages.stage(
        "measure again", "4 of 5 · measure again: the aligned model on the same scenes"
    ):
        aligned = load_model(str(run.weights))
        after = evaluate_world(
            aligned, items, seed=recipe.seed, label="aligned model answers", out=out / "4-aligned"
        )
        comparison = compare_world(before, after, seed=recipe.seed)
        image_free = compare_with_image_free(
            before, [after], collected.corrections, seed=recipe.seed
        )
    _log_rates("aligned", after.metrics)
    with stages.stage("report", "5 of 5 · report"):
        results = Results(
            base=before.metrics,
            aligned=after.metrics,
            comparison={name: comparison[name] for name in before.metrics if name in comparison},
            image_free=tuple(image_free),
            seconds=stages.seconds,
            seed=recipe.seed,
            versions=library_versions(),
        )
        manifest = build_manifest(
            verb="demo",
            seed=recipe.seed,
            recipe=recipe,
            inputs={"base model": base_hash},
            seconds=stages.seconds,
            notes={
                "responses shown to people": collected.shown,
                "aligned model": model_hash(aligned.model),
            },
        )
        _write_report(
            DemoRun(
                out=out,
                recipe=recipe,
                before=before,
                after=after,
                collected=collected,
                training=training,
                run=run,
                results=results,
                manifest=manifest,
            )
        )
    results = results.model_copy(update={"seconds": stages.rounded()})
    write_results(out / "results.json", results)
    write_json_atomically(out / "manifest.json", manifest.model_dump(mode="json"))
    log(
        f"{sum(stages.seconds.values()):.0f} s in all. Numbers: {out / 'results.json'}. To look at:"
        f" {out / 'report.html'}"
    )
    return results


def _training_recipe(recipe: DemoRecipe, corrections: Path) -> PreferenceRecipe:
    settings = {"data": {"corrections": str(corrections)}, "train": {"seed": recipe.seed}}
    return load_recipe(
        "dpo-world", PreferenceRecipe, settings=merge_settings(settings, recipe.training)
    )


def _write_report(run: DemoRun) -> None:
    inputs = describe_run(run)
    write_json_atomically(run.out / "report.json", inputs.model_dump(mode="json"))
    render_demo_report(inputs, run.out / "report.html")


def _log_rates(name: str, metrics: Mapping[str, Metric]) -> None:
    rate, coverage = metrics["hallucination_rate"], metrics["object_coverage"]
    log(
        f"{name}: {rate.value:.1%} of {rate.n} descriptions hallucinate [{rate.low:.1%},"
        f" {rate.high:.1%}], {coverage.value:.1%} of the objects are named"
    )
