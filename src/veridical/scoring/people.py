"""How far a benchmark's judge agrees with people who rated the same items."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.errors import ConfigError
from veridical.records import Metric
from veridical.scoring.files import Scored
from veridical.scoring.rows import Faults, Row, field, read_rows, row_id
from veridical.statistics import mean_metric, wilson
from veridical.statistics.agreement import cohen_kappa, kendall, spearman

RATINGS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
"""MMHal-Bench's scale."""
_HALLUCINATES_BELOW = 3


class PeopleRatings(NamedTuple):
    """What people gave."""

    by_item: dict[str, list[float]]
    """Ratings by item; several where several people rated it."""
    source: str
    """"human", "simulated" …, as the file says; "human" where it says nothing."""


def with_people(scored: Scored, path: Path) -> Scored:
    """Add the agreement with people to a score, as metrics `people/…`.

    Args:
        scored: A score of MMHal-Bench, whose items hold a rating from 0 to 6.
        path: JSON lines of `id` (or `prompt_id`) and `score`, such as `Rating` records; of several
            ratings of an item the (lower) median counts.

    Raises:
        ConfigError: The benchmark's items are not rated from 0 to 6.
        DataError: All faults of the file at once.
    """
    _check_rated(scored.total.benchmark)
    people = read_people(path, known={item.id for item in scored.items})
    pairs = [
        (item.values["score"], _lower_median(people.by_item[item.id]))
        for item in scored.items
        if "score" in item.values and item.id in people.by_item
    ]
    metrics = agreement_metrics([judge for judge, _ in pairs], [person for _, person in pairs])
    note = (
        f"Agreement with people ({people.source}) rests on {len(pairs)} items, rated by people and"
        f" by the judge, of {len(scored.items)};"
        f" {max(map(len, people.by_item.values()), default=0)} people at most rated one."
    )
    total = scored.total.model_copy(
        update={
            "metrics": (
                scored.total.metrics
                | {f"people/{name}": metric for name, metric in metrics.items()}
            ),
            "versions": scored.total.versions | {"people": people.source},
            "warnings": (*scored.total.warnings, note),
        }
    )
    return scored._replace(total=total)


def check_people(benchmark: str, path: Path) -> None:
    """Check what can be checked before a judge is paid: the benchmark and the file.

    Raises:
        ConfigError: The benchmark's items are not rated from 0 to 6.
        DataError: All faults of the file at once.
    """
    _check_rated(benchmark)
    read_people(path)


def _check_rated(benchmark: str) -> None:
    if benchmark != "mmhal":
        raise ConfigError(
            f"People's ratings are compared on mmhal, not on {benchmark!r}. Leave them out."
        )


def agreement_metrics(judge: Sequence[float], people: Sequence[float]) -> dict[str, Metric]:
    """Agreement of two lists of ratings from 0 to 6.

    Args:
        judge: One rating per item.
        people: The same items, in the same order.

    Returns:
        `same_verdict` (share of items on which both say hallucination, or both none), `kappa` (of
        that verdict), `weighted_kappa` (of the ratings, quadratic weights), `spearman`, `kendall`,
        and `bias` (mean of judge minus people, in points).
    """
    verdicts = [[float(value < _HALLUCINATES_BELOW) for value in side] for side in (judge, people)]
    same = sum(one == other for one, other in zip(*verdicts, strict=True))
    return {
        "same_verdict": wilson(same, len(judge)),
        "kappa": cohen_kappa(*verdicts, categories=(0.0, 1.0)),
        "weighted_kappa": cohen_kappa(judge, people, categories=RATINGS, weights="quadratic"),
        "spearman": spearman(judge, people),
        "kendall": kendall(judge, people),
        "bias": mean_metric([one - other for one, other in zip(judge, people, strict=True)]),
    }


def read_people(path: Path, *, known: set[str] | None = None) -> PeopleRatings:
    """Read people's ratings.

    Args:
        path: The file.
        known: Ids of the items that there are; None: any.

    Raises:
        DataError: All faults of the file at once.
    """
    faults = Faults()
    by_item: dict[str, list[float]] = {}
    sources: dict[str, Row] = {}
    for row in read_rows(path, faults):
        name = row_id(row, ("prompt_id", "id"), faults)
        rating = field(row, "score", float, faults, otherwise=0.0)
        sources.setdefault(str(row.values.get("source", "human")), row)
        if rating not in RATINGS:
            message = f"`score` must be a whole number from 0 to 6, got {rating!r}. Fix the row."
            faults.add(row, message)
        elif name is not None and known is not None and name not in known:
            faults.add(row, f"item {name!r} was not judged. Give the ratings of these items.")
        elif name is not None:
            by_item.setdefault(name, []).append(float(rating))
    if len(sources) > 1:
        row = list(sources.values())[1]
        faults.add(
            row,
            f"sources are mixed: {', '.join(sources)}. No number mixes them; give one file a"
            " source.",
        )
    faults.stop()
    return PeopleRatings(by_item, next(iter(sources), "human"))


def _lower_median(ratings: Sequence[float]) -> float:
    return sorted(ratings)[(len(ratings) - 1) // 2]
