"""Score files of answers on a benchmark: check the request, read, score items, make totals."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from veridical.errors import ConfigError
from veridical.files import hash_file, hash_folder
from veridical.records import BenchmarkScore, InputFile, ItemScore
from veridical.records.manifests import installed_version
from veridical.scoring.protocol import ROLES, AnyBenchmark, Files, Role
from veridical.scoring.reading.own_runs import responses_file
from veridical.scoring.registry import find_benchmark


class Scored(NamedTuple):
    """A total with the scores of the items that it was made from."""

    total: BenchmarkScore
    """Metrics, counts, versions, inputs."""
    items: list[ItemScore]
    """One per item, in the benchmark's order."""


def score(
    name: str,
    files: Files,
    *,
    variant: str | None = None,
    options: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Scored:
    """Score files on a benchmark.

    Args:
        name: Which benchmark; see `registry.benchmark_names`.
        files: Its files.
        variant: Which way of counting; by default the benchmark's first.
        options: What else the benchmark lets one set; see its card.
        seed: Of the bootstrap.

    Raises:
        ConfigError: No such benchmark, variant or option, a file too few or too many.
        DataError: All faults of the files.
    """
    benchmark, chosen = check_request(name, files, variant=variant, options=options)
    files = _resolve(files)
    loaded = benchmark.read(files, variant=chosen)
    items = benchmark.score_items(loaded.items, variant=chosen)
    metrics = benchmark.aggregate(items, variant=chosen, seed=seed)
    total = BenchmarkScore(
        benchmark=benchmark.name,
        variant=chosen,
        metrics=metrics,
        counts=benchmark.count(items),
        versions={
            "veridical": installed_version("veridical") or "unknown",
            **benchmark.versions(variant=chosen),
            **loaded.versions,
        },
        inputs=_inputs(benchmark, files, loaded.rows),
        options=dict(benchmark.options),
        warnings=(*loaded.warnings, *benchmark.warnings(items, metrics, variant=chosen)),
    )
    return Scored(total, items)


class Request(NamedTuple):
    """What was asked for, checked."""

    benchmark: AnyBenchmark
    """The benchmark, with its options."""
    variant: str
    """The way of counting."""


def check_request(
    name: str,
    files: Files,
    *,
    variant: str | None = None,
    options: Mapping[str, str] | None = None,
    coming: Role | None = None,
) -> Request:
    """Check names before anything is read or paid for.

    Args:
        name: Which benchmark.
        files: Its files.
        variant: Which way of counting; None: the benchmark's first.
        options: Values of its options.
        coming: A file that is not there yet: the reviews that a judge will write.

    Raises:
        ConfigError: No such benchmark, variant or option, a file too few or too many.
    """
    benchmark = find_benchmark(name, options=options)
    chosen = _choose_variant(benchmark, variant)
    _check_files(benchmark, files, coming)
    return Request(benchmark, chosen)


def _choose_variant(benchmark: AnyBenchmark, variant: str | None) -> str:
    variants = benchmark.card.variants
    if variant is None:
        return next(iter(variants))
    if variant not in variants:
        raise ConfigError(
            f"The benchmark {benchmark.name!r} has no variant {variant!r}. It has:"
            f" {', '.join(variants)}."
        )
    return variant


def _check_files(benchmark: AnyBenchmark, files: Files, coming: Role | None) -> None:
    specs = benchmark.card.inputs
    given = {role for role in ROLES if getattr(files, role) is not None}
    there = given | {coming}
    missing = [f"--{role}" for role, spec in specs.items() if spec.required and role not in there]
    unknown = [f"--{role}" for role in given if role not in specs]
    if missing:
        raise ConfigError(
            f"The benchmark {benchmark.name!r} needs {', '.join(missing)}. "
            + " ".join(f"--{role}: {spec.meaning}" for role, spec in specs.items())
        )
    if unknown:
        raise ConfigError(
            f"The benchmark {benchmark.name!r} does not read {', '.join(unknown)}. Leave it out."
        )
    if files.answer_field and "responses" not in given:
        raise ConfigError(
            f"--answer-field names a field of --responses, which {benchmark.name!r} was not given."
            " Leave it out."
        )


def _resolve(files: Files) -> Files:
    """A folder of `veridical generate` stands for the responses in it."""
    if files.responses is None:
        return files
    return files._replace(responses=responses_file(files.responses))


def _inputs(benchmark: AnyBenchmark, files: Files, rows: Mapping[str, int]) -> dict[str, InputFile]:
    given: dict[str, Path] = {
        role: path for role in ROLES if (path := getattr(files, role)) is not None
    }
    return {
        name: InputFile(
            path=str(path),
            sha256=hash_folder(path) if path.is_dir() else hash_file(path),
            rows=rows.get(name),
        )
        for name, path in (given | benchmark.option_files()).items()
    }
