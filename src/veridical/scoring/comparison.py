"""Two runs on one benchmark: paired tests on the same items, corrected for many metrics."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from veridical.errors import ConfigError
from veridical.records import BenchmarkScore, Difference, ItemScore
from veridical.scoring.files import Scored
from veridical.scoring.measures import Measure, Tested
from veridical.scoring.protocol import AnyBenchmark
from veridical.scoring.registry import find_benchmark
from veridical.seeding import child_seed
from veridical.statistics import holm, power_sentence

SHOWN_BELOW = 0.05
"""A difference is shown where its corrected p lies below this."""


class Compared(NamedTuple):
    """One metric of two runs."""

    first: float
    """The first run's value on the items that both have."""
    second: float
    """The second run's."""
    difference: Difference
    """Second minus first."""
    corrected_p: float
    """p by Holm's method, for all metrics that are compared together."""
    note: str
    """Where no difference is shown: what these items could have shown."""

    @property
    def is_shown(self) -> bool:
        """Whether the difference is more than chance would make."""
        return self.corrected_p < SHOWN_BELOW


def is_headline(name: str) -> bool:
    """Whether a metric is of all items: "accuracy" is, "accuracy/existence" is not."""
    return "/" not in name or name.endswith("/all")


def compare_scores(first: Scored, second: Scored, *, seed: int = 0) -> dict[str, Compared]:
    """Test the second run against the first, metric by metric, on the items that both have.

    Headline metrics are corrected for each other; those of groups are corrected too, as a family of
    their own.

    Args:
        first: The run to compare with.
        second: The run in question.
        seed: Of the resampling.

    Returns:
        By metric; those that the benchmark gives no sums for are missing, and those that one run
        leaves undefined (the precision of a run that never says yes).

    Raises:
        ConfigError: The runs are of different benchmarks or variants, or share no item.
    """
    benchmark = reopen(first.total)
    _check_same(first.total, second.total)
    one, two = _common(first.items, second.items, first.total.benchmark)
    variant = first.total.variant
    before, after = (benchmark.measures(scores, variant=variant) for scores in (one, two))
    tested = {
        name: Tested(
            _value(before[name]),
            _value(after[name]),
            before[name].difference(after[name], seed=child_seed(seed, "difference", name)),
            "items" if before[name].kind != "ratio" else "images",
        )
        for name in before
        if name in after and any(before[name].denominators) and any(after[name].denominators)
    }
    own = benchmark.differences(one, two, variant=variant, seed=child_seed(seed, "difference"))
    return correct(benchmark, tested | own)


def correct(benchmark: AnyBenchmark, tested: Mapping[str, Tested]) -> dict[str, Compared]:
    """Correct the p-values and say what could have been shown."""
    corrected: dict[str, float] = {}
    for family in (False, True):
        names = [name for name in tested if is_headline(name) == family]
        corrected |= dict(
            zip(names, holm([tested[name].difference.p for name in names]), strict=True)
        )
    found = {}
    for name, (first, second, difference, items) in tested.items():
        spec = benchmark.card.metrics.get(name) or benchmark.card.metrics.get(
            f"{name.partition('/')[0]}/*"
        )
        percent = spec is None or spec.unit == "rate"
        note = ""
        if corrected[name] >= SHOWN_BELOW:
            after_holm = difference.model_copy(update={"p": corrected[name]})
            note = power_sentence(first, second, after_holm, percent=percent, items=items)
        found[name] = Compared(first, second, difference, corrected[name], note)
    return found


def without_failed(scored: Scored, failed: Collection[str], *, seed: int = 0) -> Scored:
    """Leave out the items that a model failed to answer, and count them.

    Args:
        scored: A score in which they count as empty answers.
        failed: Ids of the items.
        seed: Of the bootstrap.
    """
    if not failed:
        return scored
    total, benchmark = scored.total, reopen(scored.total)
    items = [item for item in scored.items if item.id not in failed]
    count = len(failed)
    text = f"{count} {'question' if count == 1 else 'questions'} got no answer"
    if not items or len(items) + count != len(scored.items):  # some benchmarks name items otherwise
        note = f"{text}; counted as empty answers. Run the same command again to ask again."
        return scored._replace(total=total.model_copy(update={"warnings": (*total.warnings, note)}))
    metrics = benchmark.aggregate(items, variant=total.variant, seed=seed)
    before = benchmark.warnings(scored.items, total.metrics, variant=total.variant)
    warnings = [warning for warning in total.warnings if warning not in before]
    warnings += benchmark.warnings(items, metrics, variant=total.variant)
    note = f"{text}; left out of the score. Run the same command again to ask again."
    changes = {
        "metrics": metrics,
        "counts": benchmark.count(items) | {"failed": count},
        "warnings": (*warnings, note),
    }
    return Scored(total.model_copy(update=changes), items)


def reopen(total: BenchmarkScore) -> AnyBenchmark:
    """The benchmark of a score, set as it was; files that options named are not needed any more."""
    card = find_benchmark(total.benchmark).card
    options = {
        name: value for name, value in total.options.items() if card.options[name].kind != "file"
    }
    return find_benchmark(total.benchmark, options=options)


def _check_same(first: BenchmarkScore, second: BenchmarkScore) -> None:
    for what in ("benchmark", "variant"):
        one, two = getattr(first, what), getattr(second, what)
        if one != two:
            raise ConfigError(
                f"Two runs are compared on one {what}, got {one!r} and {two!r}. Score both alike."
            )


def _common(
    first: Sequence[ItemScore], second: Sequence[ItemScore], benchmark: str
) -> tuple[list[ItemScore], list[ItemScore]]:
    found = {(score.group, score.id): score for score in second}
    pairs = [(score, found[key]) for score in first if (key := (score.group, score.id)) in found]
    if not pairs and first and second:
        raise ConfigError(
            f"Two runs of {benchmark!r} share no item, so that nothing can be paired. Score one"
            " set."
        )
    return [one for one, _ in pairs], [two for _, two in pairs]


def _value(measure: Measure) -> float:
    below = sum(measure.denominators)
    return sum(measure.numerators) / below if below else 0.0
