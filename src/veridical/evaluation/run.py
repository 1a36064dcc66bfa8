"""`veridical evaluate`: every model answers every benchmark; answers, scores and cards are kept."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.benchmarks.judged import AnnotatedBenchmark
from veridical.benchmarks.world.items import WorldItem
from veridical.benchmarks.world.judge import WorldJudge
from veridical.config import write_recipe
from veridical.errors import ConfigError, ModelError
from veridical.evaluation.card import write_card
from veridical.evaluation.engines.make import make_engine
from veridical.evaluation.engines.protocol import Decoding, Engine
from veridical.evaluation.judging import judge_and_score, judge_at_endpoint
from veridical.evaluation.questions import (
    CheckedImages,
    Trial,
    build_prompts,
    find_images,
    plan_trials,
    read_questions,
    write_answers,
)
from veridical.evaluation.recipe import (
    BenchmarkSettings,
    EvaluateRecipe,
    choose_variants,
    needs_judge,
)
from veridical.evaluation.shards import Shards
from veridical.files import hash_bytes, remove_leftovers, write_json_atomically
from veridical.locks import locked
from veridical.progress import counted, log
from veridical.records import Prompt, Response, read_records, write_records
from veridical.records.manifests import build_manifest
from veridical.scoring.comparison import without_failed
from veridical.scoring.files import Scored, score
from veridical.scoring.protocol import AnyBenchmark, BenchmarkPrompt, Files
from veridical.scoring.registry import find_benchmark
from veridical.scoring.runs import (
    SCORES,
    RunComparison,
    ScoredRun,
    compare_runs,
    comparison_entry,
    read_runs,
    run_entry,
)
from veridical.seeding import child_seed

SHEET = "annotations.jsonl"
"""The answers that people mark, for benchmarks that need people."""


class Plan(NamedTuple):
    """A benchmark with all its trials, checked: only the answers can still be wrong."""

    settings: BenchmarkSettings
    """The recipe's settings."""
    benchmark: AnyBenchmark
    """The benchmark with its options."""
    questions: list[BenchmarkPrompt]
    """Its questions."""
    trials: list[tuple[Trial, list[Prompt]]]
    """How they are asked, with the prompts."""
    variants: tuple[str, ...]
    """How answers are counted."""


class Evaluation(NamedTuple):
    """The result of an evaluation."""

    runs: list[ScoredRun]
    """One for each model, benchmark, trial and variant."""
    comparisons: list[RunComparison]
    """Paired tests against the first model, or against the earlier evaluation."""
    earlier: list[ScoredRun]
    """The runs of `compare_with` that others are compared with; empty without it."""
    out: Path
    """The folder."""


def evaluate(recipe: EvaluateRecipe) -> Evaluation:
    """Let every model answer every benchmark, score the answers, and keep it all.

    Answers lie in `OUT/MODEL/BENCHMARK/HASH/`; the hash is of what they rest on: weights, prompts,
    images, decoding. What is there is not made again; what rests on something else lies elsewhere.

    Args:
        recipe: Models, benchmarks and settings.

    Raises:
        ConfigError: A benchmark, variant, preset or option is not there, a judge is missing, or
            another process works in the folder.
        DataError: All faults of a benchmark's files, or `compare_with` holds no evaluation.
        ModelError: A model does not load or cannot answer, or a judge gave no judgement at all.
    """
    with locked(recipe.out):
        remove_leftovers(recipe.out)
        return _evaluate(recipe)


def _evaluate(recipe: EvaluateRecipe) -> Evaluation:
    earlier = _earlier_runs(recipe.compare_with)
    checked = CheckedImages(recipe.out / "checked_images.json")
    plans = [_plan(settings, recipe, checked) for settings in recipe.benchmarks]
    checked.save()
    runs: list[ScoredRun] = []
    seconds: dict[str, float] = {}
    identities: dict[str, str] = {}
    used: dict[str, object] = {}
    for model in recipe.models:
        cache = recipe.out / "endpoint"
        engine = make_engine(model, batch_size=recipe.batch_size, cache=cache, name=model.label)
        identities[model.label] = engine.identity
        for plan in plans:
            started = time.monotonic()
            for trial, prompts in plan.trials:
                parent = recipe.out / model.label / plan.settings.label
                folder = _answer(engine, plan, trial, prompts, recipe, parent)
                runs += _score(plan, trial, model.label, engine.identity, folder, seed=recipe.seed)
            seconds[f"{model.label} · {plan.settings.label}"] = time.monotonic() - started
        used[model.label] = dict(engine.notes())
        engine.close()
    asked = {run.key for run in runs}
    baselines = [run for key, run in earlier.items() if key in asked]
    done = Evaluation(
        runs, compare_runs([*baselines, *runs], seed=recipe.seed), baselines, recipe.out
    )
    _write(done, recipe, identities, seconds, used)
    return done


def _earlier_runs(folder: Path | None) -> dict[tuple[str, str, str], ScoredRun]:
    """The first run of each benchmark, variant and trial of an earlier evaluation."""
    found: dict[tuple[str, str, str], ScoredRun] = {}
    for run in read_runs(folder, name=folder.name) if folder is not None else []:
        found.setdefault(run.key, run)
    return found


def _write(
    done: Evaluation,
    recipe: EvaluateRecipe,
    identities: dict[str, str],
    seconds: dict[str, float],
    used: dict[str, object],
) -> None:
    entries = [run_entry(run, done.out) for run in done.runs]
    write_json_atomically(done.out / SCORES, {"veridical": "evaluation", "scores": entries})
    if done.comparisons:
        tests = [comparison_entry(one) for one in done.comparisons]
        value = {"veridical": "comparison", "comparisons": tests}
        write_json_atomically(done.out / "comparison.json", value)
    write_recipe(recipe, done.out / "recipe.toml")
    manifest = build_manifest(
        verb="evaluate",
        seed=recipe.seed,
        recipe=recipe,
        inputs=identities,
        seconds=seconds,
        notes={"engines": {name: notes for name, notes in used.items() if notes}},
    )
    write_json_atomically(done.out / "manifest.json", manifest.model_dump(mode="json"))


def _plan(settings: BenchmarkSettings, recipe: EvaluateRecipe, checked: CheckedImages) -> Plan:
    benchmark = find_benchmark(settings.benchmark, options=settings.options)
    variants = choose_variants(settings, benchmark)
    trials = plan_trials(settings, benchmark, recipe.seeds)
    questions = read_questions(settings, benchmark)
    images = find_images(questions, settings, checked)
    asked = [
        (trial, build_prompts(questions, images, settings, trial.preset.template))
        for trial in trials
    ]
    return Plan(settings, benchmark, questions, asked, variants)


def _answer(
    engine: Engine,
    plan: Plan,
    trial: Trial,
    prompts: Sequence[Prompt],
    recipe: EvaluateRecipe,
    parent: Path,
) -> Path:
    """Answer the prompts where that is not done yet; gives the folder."""
    text = "".join(prompt.model_dump_json() for prompt in prompts)
    rests_on = {
        "model": engine.identity,
        "prompts": hash_bytes(text.encode()),
        "decoding": trial.preset._asdict() | {"meaning": "", "seed": trial.seed},
        "save_every": recipe.save_every,
    }
    folder = parent / hash_bytes(json.dumps(rests_on, sort_keys=True).encode())[:12]
    shards = Shards(folder, prompts, save_every=recipe.save_every)
    name = (
        f"{parent.parent.name} · {plan.settings.label}{f' · {trial.label}' if trial.label else ''}"
    )
    shards.reopen_failed()
    if shards.path.is_file():
        log(f"{name}: {counted(len(prompts), 'answer')} there already")
        return folder
    log(f"{name}: {counted(len(prompts), 'question')}")
    write_json_atomically(folder / "rests_on.json", rests_on)
    write_records(folder / "prompts.jsonl", prompts, kind="Prompt")
    preset = trial.preset
    decoding = Decoding(preset.max_new_tokens, preset.temperature, preset.top_p)
    shards.fill(
        lambda some, start: engine.answer(
            some, decoding, seed=child_seed(trial.seed, "generate", start)
        )
    )
    if (responses := shards.collect()) and all(one.finish == "failed" for one in responses):
        raise ModelError(
            f"{name}: the model answered none of {len(responses)} questions; see above why. Fix it"
            " and run the same command again."
        )
    write_answers(folder / "answers.jsonl", plan.benchmark, plan.questions, responses)
    shards.finish(responses)
    return folder


def _score(
    plan: Plan, trial: Trial, model: str, identity: str, folder: Path, *, seed: int
) -> list[ScoredRun]:
    runs: list[ScoredRun] = []
    if isinstance(plan.benchmark, AnnotatedBenchmark) and not _marked(plan.benchmark, plan, folder):
        return runs
    for variant in plan.variants:
        responses = read_records(folder / "responses.jsonl", Response)
        failed = {one.prompt_id for one in responses if one.finish == "failed"}
        scored = without_failed(_scored(plan, folder, variant, seed=seed), failed, seed=seed)
        run = ScoredRun(
            model, plan.settings.label, trial.label, scored, folder / f"score-{variant}.json"
        )
        write_json_atomically(run.path, scored.total.model_dump(mode="json"))
        write_records(run.items_path, scored.items, kind="ItemScore")
        write_card(
            folder / f"card-{variant}.md",
            plan.benchmark.card,
            scored.total,
            trial,
            identity,
            responses,
        )
        runs.append(run)
    return runs


def _marked(benchmark: AnnotatedBenchmark[object], plan: Plan, folder: Path) -> bool:
    """Whether people have marked all answers; if not, log where the sheet is."""
    texts = {one.prompt_id: one.text for one in read_records(folder / "responses.jsonl", Response)}
    answers = [texts[one.id] for one in plan.questions]
    sheet = benchmark.write_sheet(folder / SHEET, plan.questions, answers)
    waiting = benchmark.unmarked(sheet)
    if waiting:
        log(
            f"{plan.settings.label}: {waiting} of {counted(len(plan.questions), 'answer')}"
            " wait for people,"
            f" there is no score yet. {benchmark.how_to_mark}, in {sheet}; then run the same"
            " command again."
        )
    return not waiting


def _scored(plan: Plan, folder: Path, variant: str, *, seed: int) -> Scored:
    settings, inputs = plan.settings, plan.benchmark.card.inputs
    given = {"questions": settings.questions, "reference": settings.reference}
    roles = {role: path for role, path in given.items() if role in inputs}
    answers = SHEET if isinstance(plan.benchmark, AnnotatedBenchmark) else "answers.jsonl"
    files = Files(folder / answers, roles.get("questions"), roles.get("reference"))
    options = settings.options
    if not needs_judge(plan.benchmark, variant):
        return score(settings.benchmark, files, variant=variant, options=options, seed=seed)
    if settings.world_items is not None:
        judge = WorldJudge(read_records(settings.world_items, WorldItem))
        reviews = folder / "reviews.json"
        judged = judge_and_score(
            settings.benchmark,
            files,
            judge,
            reviews=reviews,
            variant=variant,
            options=options,
            seed=seed,
        )
        return judged.scored
    if settings.judge is None:
        raise ConfigError(f"{settings.label!r} needs a judge.")  # `_plan` has checked it
    return judge_at_endpoint(
        settings.benchmark, files, settings.judge, variant=variant, options=options, seed=seed
    ).scored
