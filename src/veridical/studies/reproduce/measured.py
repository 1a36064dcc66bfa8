"""What the cells of a grid measured: evaluations by arm and seed, read back from disk."""

from collections.abc import Sequence
from pathlib import Path

from veridical.benchmarks.world.evaluation import WorldEvaluation, score_world
from veridical.benchmarks.world.items import WorldItem
from veridical.errors import ConfigError
from veridical.records import Response, read_records
from veridical.studies.image_free import descriptions_of


def load_evaluation(folder: Path, *, seed: int = 0) -> WorldEvaluation:
    """Read the evaluation that a cell left in its folder, and judge it again."""
    return score_world(
        read_records(folder / "items.jsonl", WorldItem),
        read_records(folder / "responses.jsonl", Response),
        seed=seed,
    )


def load_arm(out: Path, arm: str, *, seeds: int, seed: int = 0) -> list[WorldEvaluation]:
    """The evaluations of an arm by seed; the base, which is not trained, is the same for all.

    Raises:
        ConfigError: The grid has no such arm.
    """
    if (out / arm / "items.jsonl").is_file():
        return [load_evaluation(out / arm, seed=seed)] * seeds
    folders = [
        out / "habits" / f"seed-{number}" / arm
        if arm.startswith("habit-")
        else out / arm / f"seed-{number}"
        for number in range(seeds)
    ]
    missing = [folder for folder in folders if not (folder / "items.jsonl").is_file()]
    if missing:
        raise ConfigError(
            f"The grid has no arm {arm!r}: there is no `{missing[0]}`. Name one of the plan's arms."
        )
    return [load_evaluation(folder, seed=seed) for folder in folders]


def on_shared_items(
    first: Sequence[WorldEvaluation], second: Sequence[WorldEvaluation], *, seed: int = 0
) -> tuple[list[WorldEvaluation], list[WorldEvaluation]]:
    """Two arms on the items that both answered; those that edit texts have descriptions only."""
    if len(first[0].items) == len(second[0].items):
        return list(first), list(second)
    return (
        [descriptions_of(one, seed=seed) for one in first],
        [descriptions_of(one, seed=seed) for one in second],
    )
