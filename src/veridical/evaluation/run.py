"""`veridical evaluate`: every model answers every benchmark; answers, scores and cards are kept, models compared."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.benchmarks.annotated import AnnotatedBenchmark
from veridical.benchmarks.judged import JudgedBenchmark
from veridical.benchmarks.world.items import WorldItem
from veridical.benchmarks.world.judge import WorldJudge
from veridical.config import write_recipe
from veridical.errors import ConfigError
from veridical.evaluation.asking import Round, ask, make_prompts, rounds, write_answers
from veridical.evaluation.card import write_card
from veridical.evaluation.judging import judge_and_score, judge_at_endpoint
from veridical.evaluation.recipe import BenchmarkSettings, BenchmarksRecipe
from veridical.evaluation.shares import Shares
from veridical.evaluation.speakers import Speaker, make_speaker
from veridical.files import hash_bytes, write_json_atomically
from veridical.progress import log
from veridical.records import Prompt, Response, read_records, write_records
from veridical.records.manifests import build_manifest
from veridical.scoring.files import Scored, score
from veridical.scoring.protocol import AnyBenchmark, BenchmarkPrompt, Files
from veridical.scoring.registry import find_benchmark
from veridical.scoring.runs import ScoredRun, run_entry
from veridical.seeding import child_seed

SHEET = "annotations.jsonl"
"""The answers that people mark, for benchmarks that need people."""
SCORES = "scores.json"
"""The list of an evaluation's scores, by which `veridical report` finds them."""


class Plan(NamedTuple):
    """A benchmark in all its rounds, checked: nothing can be wrong with it any more but the answers."""

    settings: BenchmarkSettings
    """As the recipe says."""
    benchmark: AnyBenchmark
    """The benchmark with its options."""
    asked: list[BenchmarkPrompt]
    """Its questions."""
    rounds: list[tuple[Round, list[Prompt]]]
    """How they are asked, with the prompts."""
    variants: tuple[str, ...]
    """How answers are counted."""


class Evaluation(NamedTuple):
    """What an evaluation gave."""

    runs: list[ScoredRun]
    """One for each model, benchmark, round and variant."""
    out: Path
    """The folder."""


def evaluate_benchmarks(recipe: BenchmarksRecipe) -> Evaluation:
    """Let every model answer every benchmark, score the answers, and keep it all.

    Answers lie in `OUT/MODEL/BENCHMARK/HASH/`; the hash is of what they rest on: weights, prompts,
    images, decoding. What is there is not made again; what rests on something else lies elsewhere.

    Args:
        recipe: Models, benchmarks and settings.

    Raises:
        ConfigError: A benchmark, variant, preset or option is not there, or a judge is missing.
        DataError: All faults of a benchmark's files.
        ModelError: A model does not load or cannot answer.
    """
    plans = [_plan(settings, recipe) for settings in recipe.benchmarks]
    runs: list[ScoredRun] = []
    seconds: dict[str, float] = {}
    identities: dict[str, str] = {}
    for model in recipe.models:
        speaker = make_speaker(model, batch_size=recipe.batch_size, cache=recipe.out / "endpoint")
        identities[model.label] = speaker.identity
        for plan in plans:
            started = time.monotonic()
            for way, prompts in plan.rounds:
                folder = _answer(
                    speaker,
                    plan,
                    way,
                    prompts,
                    recipe,
                    recipe.out / model.label / plan.settings.label,
                )
                runs += _score(plan, way, model.label, speaker.identity, folder, seed=recipe.seed)
            seconds[f"{model.label} · {plan.settings.label}"] = time.monotonic() - started
        speaker.close()
    entries = [run_entry(run, recipe.out) for run in runs]
    write_json_atomically(recipe.out / SCORES, {"veridical": "evaluation", "scores": entries})
    write_recipe(recipe, recipe.out / "recipe.toml")
    manifest = build_manifest(
        verb="evaluate", seed=recipe.seed, recipe=recipe, inputs=identities, seconds=seconds
    )
    write_json_atomically(recipe.out / "manifest.json", manifest.model_dump(mode="json"))
    return Evaluation(runs, recipe.out)


def _plan(settings: BenchmarkSettings, recipe: BenchmarksRecipe) -> Plan:
    benchmark = find_benchmark(settings.benchmark, options=settings.options)
    known = benchmark.card.variants
    variants = settings.variants or (next(iter(known)),)
    unknown = [variant for variant in variants if variant not in known]
    if unknown:
        raise ConfigError(
            f"{settings.benchmark!r} has no variant {unknown[0]!r}. It has: {', '.join(known)}."
        )
    judged = [variant for variant in variants if _needs_judge(benchmark, variant)]
    if judged and settings.judge is None and settings.world_items is None:
        alone = (
            ", ".join(sorted(benchmark.without_judge))
            if isinstance(benchmark, JudgedBenchmark)
            else ""
        )
        raise ConfigError(
            f"{settings.label!r} needs a judge. Add a table `judge` with the endpoint's `url`,"
            " `model` and `cache`"
            + (f", or count without one: variants = {alone}." if alone else ".")
        )
    asked = ask(settings, benchmark)
    ways = rounds(settings, benchmark, recipe.seeds)
    return Plan(
        settings,
        benchmark,
        asked,
        [(way, make_prompts(asked, settings, way.preset.template)) for way in ways],
        variants,
    )


def _needs_judge(benchmark: AnyBenchmark, variant: str) -> bool:
    return isinstance(benchmark, JudgedBenchmark) and variant not in benchmark.without_judge


def _answer(
    speaker: Speaker,
    plan: Plan,
    way: Round,
    prompts: Sequence[Prompt],
    recipe: BenchmarksRecipe,
    parent: Path,
) -> Path:
    """Answer the prompts where that is not done yet; gives the folder."""
    said = "".join(prompt.model_dump_json() for prompt in prompts)
    rests_on = {
        "model": speaker.identity,
        "prompts": hash_bytes(said.encode()),
        "decoding": way.preset._asdict() | {"meaning": "", "seed": way.seed},
        "save_every": recipe.save_every,
    }
    folder = parent / hash_bytes(json.dumps(rests_on, sort_keys=True).encode())[:12]
    shares = Shares(folder, prompts, save_every=recipe.save_every)
    name = f"{parent.parent.name} · {plan.settings.label}{f' · {way.label}' if way.label else ''}"
    if shares.path.is_file():
        log(f"{name}: {len(prompts)} answers are there already")
        return folder
    log(f"{name}: {len(prompts)} questions")
    write_json_atomically(folder / "rests_on.json", rests_on)
    write_records(folder / "prompts.jsonl", prompts, kind="Prompt")
    shares.fill(
        lambda some, start: speaker.answer(
            some, way.preset, seed=child_seed(way.seed, "generate", start)
        )
    )
    responses = shares.collect()
    write_answers(folder / "answers.jsonl", plan.benchmark, plan.asked, responses)
    shares.finish(responses)
    return folder


def _score(
    plan: Plan, way: Round, model: str, identity: str, folder: Path, *, seed: int
) -> list[ScoredRun]:
    runs: list[ScoredRun] = []
    if isinstance(plan.benchmark, AnnotatedBenchmark) and not _marked(plan.benchmark, plan, folder):
        return runs
    for variant in plan.variants:
        scored = _scored(plan, folder, variant, seed=seed)
        run = ScoredRun(
            model, plan.settings.label, way.label, scored, folder / f"score-{variant}.json"
        )
        write_json_atomically(run.path, scored.total.model_dump(mode="json"))
        write_records(run.items_path, scored.items, kind="ItemScore")
        responses = read_records(folder / "responses.jsonl", Response)
        write_card(
            folder / f"card-{variant}.md",
            plan.benchmark.card,
            scored.total,
            way,
            identity,
            responses,
        )
        runs.append(run)
    return runs


def _marked(benchmark: AnnotatedBenchmark[object], plan: Plan, folder: Path) -> bool:
    """Whether people have marked all answers; where they have not, the sheet is there and the user is told."""
    said = {one.prompt_id: one.text for one in read_records(folder / "responses.jsonl", Response)}
    sheet = benchmark.write_sheet(folder / SHEET, plan.asked, [said[one.id] for one in plan.asked])
    waiting = benchmark.unmarked(sheet)
    if waiting:
        log(
            f"{plan.settings.label}: {waiting} of {len(plan.asked)} answers wait for people, there"
            f" is no score yet. {benchmark.how_to_mark}, in {sheet}; then run the same command"
            " again."
        )
    return not waiting


def _scored(plan: Plan, folder: Path, variant: str, *, seed: int) -> Scored:
    settings, inputs = plan.settings, plan.benchmark.card.inputs
    given = {"questions": settings.questions, "reference": settings.reference}
    roles = {role: path for role, path in given.items() if role in inputs}
    answers = SHEET if isinstance(plan.benchmark, AnnotatedBenchmark) else "answers.jsonl"
    files = Files(responses=folder / answers, **roles)
    options = settings.options
    if not _needs_judge(plan.benchmark, variant):
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
        raise ConfigError(f"{settings.label!r} needs a judge.")  # `_plan` has said so before
    return judge_at_endpoint(
        settings.benchmark, files, settings.judge, variant=variant, options=options, seed=seed
    ).scored
