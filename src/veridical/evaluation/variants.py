"""Which ways of counting an evaluation takes, and whether they need a judge."""

from veridical.benchmarks.judged import JudgedBenchmark
from veridical.errors import ConfigError
from veridical.evaluation.recipe import BenchmarkSettings
from veridical.scoring.protocol import AnyBenchmark


def choose_variants(settings: BenchmarkSettings, benchmark: AnyBenchmark) -> tuple[str, ...]:
    """The variants that are asked for, else the benchmark's first.

    Raises:
        ConfigError: The benchmark has none of this name, or a judge is missing.
    """
    known = benchmark.card.variants
    variants = settings.variants or (next(iter(known)),)
    unknown = [variant for variant in variants if variant not in known]
    if unknown:
        raise ConfigError(
            f"{settings.benchmark!r} has no variant {unknown[0]!r}. It has: {', '.join(known)}."
        )
    judged = any(needs_judge(benchmark, variant) for variant in variants)
    if judged and settings.judge is None and settings.world_items is None:
        without = benchmark.without_judge if isinstance(benchmark, JudgedBenchmark) else ()
        way_out = f", or count without one: variants = {', '.join(sorted(without))}."
        raise ConfigError(
            f"{settings.label!r} needs a judge. Add a table `judge` with the endpoint's `url`,"
            f" `model` and `cache`{way_out if without else '.'}"
        )
    return variants


def needs_judge(benchmark: AnyBenchmark, variant: str) -> bool:
    """Whether a variant is counted by what a judge says."""
    return isinstance(benchmark, JudgedBenchmark) and variant not in benchmark.without_judge
