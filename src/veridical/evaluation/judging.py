"""Judge responses and score the reviews: one way for files, for endpoints and for the world."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from veridical.benchmarks.judged import JudgedBenchmark
from veridical.errors import ConfigError, ModelError
from veridical.files import hash_bytes
from veridical.judges.batch import read_batch, write_batch
from veridical.judges.endpoint import EndpointJudge
from veridical.judges.protocol import Judge, Template
from veridical.judges.requests import build_requests
from veridical.judges.settings import JudgeSettings
from veridical.judges.templates import OFFICIAL_SYSTEM_MESSAGES
from veridical.progress import counted, log
from veridical.scoring.files import Scored, check_request, score
from veridical.scoring.protocol import Files
from veridical.scoring.registry import find_benchmark


class JudgedScore(NamedTuple):
    """A score with the file of reviews that it was made from."""

    scored: Scored
    """Total and items."""
    reviews: Path
    """The reviews, in the official format."""


def judge_and_score(
    name: str,
    files: Files,
    judge: Judge,
    *,
    reviews: Path,
    template: Path | None = None,
    system: str = "",
    variant: str | None = None,
    options: Mapping[str, str] | None = None,
    seed: int = 0,
) -> JudgedScore:
    """Let a judge read responses, write its reviews in the official format, and score them.

    Args:
        name: Which benchmark.
        files: Responses, and what else the judge is given.
        judge: Who judges.
        reviews: The file of reviews to write.
        template: File with the judge's prompt; None: our own.
        system: System message that the judge uses in place of the template's; empty: the
            template's.
        variant: The way of counting.
        options: What else the benchmark lets one set.
        seed: Of the bootstrap.

    Raises:
        ConfigError: The benchmark has no judge, a file or a setting is wrong, the budget is too
            small.
        DataError: All faults of the files.
        ModelError: Every judgement failed.
    """
    benchmark = _judged(name, files, variant, options)
    cases, chosen = benchmark.cases(files, template=template)
    found = judge.review(cases, chosen)
    benchmark.write_reviews(reviews, cases, found)
    if found and all(review.text is None for review in found):
        raise ModelError(
            f"The judge {judge.name!r} judged none of {counted(len(found), 'response')}, so"
            " there is no"
            f" score. The first: {found[0].problem}. Run the same command again when that is fixed;"
            " nothing is asked or paid twice."
        )
    scored = score(
        name, files._replace(reviews=reviews), variant=variant, options=options, seed=seed
    )
    sent = [
        message.content
        for case in cases[:1]
        for message in chosen.messages(case)
        if message.role == "system"
    ]
    return JudgedScore(_with_judge(scored, judge, chosen, system or "".join(sent)), reviews)


def judge_at_endpoint(
    name: str,
    files: Files,
    settings: JudgeSettings,
    *,
    batch_output: Path | None = None,
    variant: str | None = None,
    options: Mapping[str, str] | None = None,
    seed: int = 0,
) -> JudgedScore:
    """Judge at an endpoint and score; the reviews lie in the cache's folder.

    Args:
        name: Which benchmark.
        files: Responses, and what else the judge is given.
        settings: The judge.
        batch_output: Output of a batch made by `write_requests`: taken into the cache, and nothing
            else is asked.
        variant: The way of counting.
        options: What else the benchmark lets one set.
        seed: Of the bootstrap.
    """
    benchmark = _judged(name, files, variant, options)
    cases, template = benchmark.cases(files, template=settings.template)
    requests = build_requests(cases, template, settings)
    judge = EndpointJudge(settings, offline=batch_output is not None)
    if batch_output is not None:
        taken = read_batch(batch_output, requests, judge.cache)
        log(
            f"{counted(taken.taken, 'answer')} taken from {batch_output}, {taken.known}"
            " known already,"
            f" {len(taken.failed)} failed"
        )
        for line in taken.failed[:20]:
            log(f"  {line}")
    digest = hash_bytes("".join(request.key for request in requests).encode())[:16]
    return judge_and_score(
        name,
        files,
        judge,
        reviews=settings.cache / f"{name}-{digest}-reviews.json",
        template=settings.template,
        system=settings.system,
        variant=variant,
        options=options,
        seed=seed,
    )


def write_requests(
    name: str,
    files: Files,
    settings: JudgeSettings,
    path: Path,
    *,
    variant: str | None = None,
    options: Mapping[str, str] | None = None,
) -> str:
    """Write what would be asked as a batch file, and estimate the cost. Asks nothing.

    Args:
        name: Which benchmark.
        files: Responses, and what else the judge is given.
        settings: The judge.
        path: The batch file to write.
        variant: Which way of counting will be asked for.
        options: What else the benchmark lets one set.

    Returns:
        The estimate, in a line.
    """
    benchmark = _judged(name, files, variant, options)
    cases, template = benchmark.cases(files, template=settings.template)
    judge = EndpointJudge(settings, offline=True)
    plan = judge.plan(cases, template)
    write_batch(path, plan.missing)
    return judge.estimate(plan)


def _judged(
    name: str, files: Files, variant: str | None, options: Mapping[str, str] | None
) -> JudgedBenchmark[object]:
    """The benchmark, after everything was checked that can be checked before a judge is paid."""
    benchmark = find_benchmark(name, options=options)
    if not isinstance(benchmark, JudgedBenchmark):
        raise ConfigError(
            f"The benchmark {name!r} needs no judge: its answers are scored as they are. Leave it"
            " out."
        )
    chosen = check_request(name, files, variant=variant, options=options, coming="reviews").variant
    if chosen in benchmark.without_judge:
        raise ConfigError(
            f"The variant {chosen!r} of {name!r} does not read what a judge says. Leave the judge"
            " out, or choose another variant."
        )
    if files.reviews is not None:
        raise ConfigError(
            "--reviews are reviews that exist already, and the judge would write new ones. Give one"
            " of the two."
        )
    return benchmark


def _with_judge(scored: Scored, judge: Judge, template: Template, system: str) -> Scored:
    """Add who judged with which prompt."""
    official_system = OFFICIAL_SYSTEM_MESSAGES.get(hash_bytes(system.encode()))
    other = [template.name] if not template.name.startswith("official") else []
    other += ["another system message"] if system and official_system is None else []
    notes = scored.total.warnings
    if other:
        notes = (
            *notes,
            (
                f"The judge's prompt is not the published one ({', '.join(other)}): the score"
                " compares only with scores made with the same prompt and judge."
            ),
        )
    answered = scored.total.versions.get("judge", judge.name)
    named = (
        judge.name
        if answered in (judge.name, "not named")
        else f"{judge.name}, answering as {answered}"
    )
    versions = scored.total.versions | {
        "judge": named,
        "judge_prompt": f"{template.name} {template.sha256[:16]}",
    }
    if system:
        kind = f"official ({official_system})" if official_system else "custom"
        versions["judge_system_message"] = f"{kind} {hash_bytes(system.encode())[:16]}"
    return scored._replace(
        total=scored.total.model_copy(update={"versions": versions, "warnings": notes})
    )
