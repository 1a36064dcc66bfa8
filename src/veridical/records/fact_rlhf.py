"""The `results.json` of the Fact-RLHF loop: metrics of every arm, reward models, curves.

`arms` (arm → metric → value, n, low, high), `tests` (first, second, metric, difference …),
`reward_model` (`without_facts` and `with_facts`, each with `accuracy`), `curves` (arm, seed, step,
kl, proxy, judge), `equal_distance` (kl, first, second, judge of either, difference …),
`image_free` (baselines that never look), `seconds`, `seed`, `versions`.
"""

import json
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from veridical.errors import DataError, Fault
from veridical.files import read_bytes, write_json_atomically
from veridical.records import Difference, Metric, Record
from veridical.records.results import REQUIRED_METRICS, ImageFreeRow
from veridical.records.storage import describe_validation

ARMS = ("sft", "rlhf", "fact_rlhf", "best_of_n", "dense_dpo")
"""The arms that a full comparison has, in the order in which they are shown."""

_METRIC_KEYS = {"value", "n", "low", "high"}


class ArmTest(Record):
    """Two arms compared on the same scenes."""

    first: str
    """Key of one arm."""
    second: str
    """Key of the other."""
    metric: str
    """What is compared."""
    result: Difference
    """Second minus first; p as the test gave it (the report adjusts with Holm)."""


class CurveMeasurement(Record):
    """A policy on held-out scenes: its distance, its reward, the judge's score."""

    arm: str
    """Key of the arm; "best_of_n" has one measurement for each n."""
    seed: int
    """Seed of the training run."""
    step: int = Field(ge=0)
    """Optimiser steps of the policy; for best-of-n the n."""
    kl: float
    """Divergence from the reference in nats per response; for best-of-n its upper bound."""
    proxy: Metric
    """Mean of the reward that is trained on."""
    judge: Metric
    """Mean of the judge's score."""


class EqualDistance(Record):
    """Two arms where their policies are equally far from the start, on the same prompts."""

    kl: float
    """The distance, nats per response."""
    first: str
    """Key of one arm."""
    second: str
    """Key of the other."""
    judge_first: Metric
    """Mean of the judge's score of the one."""
    judge_second: Metric
    """Mean of the judge's score of the other."""
    result: Difference
    """Second minus first, over all seeds; prompts are clusters."""
    by_seed: tuple[float, ...]
    """Second minus first for each seed of training."""


class FactRlhfResults(Record):
    """The numbers of one Fact-RLHF loop."""

    arms: dict[str, dict[str, Metric]]
    """Metrics on the test scenes by arm (see `ARMS`), pooled over seeds; all arms state the same
    ones."""
    tests: tuple[ArmTest, ...]
    """Paired tests between arms."""
    reward_model: dict[str, dict[str, Metric]]
    """"without_facts" and "with_facts", each with "accuracy" on held-out comparisons and what else
    was measured."""
    curves: tuple[CurveMeasurement, ...]
    """Measurements along training."""
    equal_distance: tuple[EqualDistance, ...] = ()
    """RLHF and Fact-RLHF at equal KL; empty where no curve was measured."""
    image_free: tuple[ImageFreeRow, ...] = ()
    """Baselines that never look at the picture, and Fact-RLHF against them."""
    seconds: dict[str, float]
    """Wall-clock seconds by stage, in order."""
    seed: int
    """The root seed."""
    versions: dict[str, str]
    """Versions of veridical, Python and the libraries that matter."""

    @model_validator(mode="after")
    def _parts_match(self) -> Self:
        for arm, table in self.arms.items():
            missing = [metric for metric in REQUIRED_METRICS if metric not in table]
            if missing:
                raise ValueError(f"arm {arm!r} lacks {', '.join(missing)}")
        named = {test.first for test in self.tests} | {test.second for test in self.tests}
        unknown = sorted((named | {point.arm for point in self.curves}) - self.arms.keys())
        if unknown:
            raise ValueError(f"tests or curves name arms without metrics: {', '.join(unknown)}")
        for name in ("without_facts", "with_facts"):
            if "accuracy" not in self.reward_model.get(name, {}):
                raise ValueError(f"reward_model lacks {name}.accuracy")
        return self


def write_fact_rlhf_results(path: Path | str, results: FactRlhfResults) -> Path:
    """Write `results.json`; `read_fact_rlhf_results` gives the numbers back."""

    def plain(metric: Metric) -> dict[str, float]:
        return metric.model_dump(include=_METRIC_KEYS)

    def table(of: dict[str, dict[str, Metric]]) -> dict[str, dict[str, dict[str, float]]]:
        return {
            name: {key: plain(metric) for key, metric in metrics.items()}
            for name, metrics in of.items()
        }

    value = {
        "arms": table(results.arms),
        "tests": [
            {
                "first": test.first,
                "second": test.second,
                "metric": test.metric,
                **test.result.model_dump(),
            }
            for test in results.tests
        ],
        "reward_model": table(results.reward_model),
        "curves": [
            {
                **point.model_dump(include={"arm", "seed", "step", "kl"}),
                "proxy": plain(point.proxy),
                "judge": plain(point.judge),
            }
            for point in results.curves
        ],
        "equal_distance": [
            {
                **row.model_dump(include={"kl", "first", "second", "by_seed"}),
                "judge_first": plain(row.judge_first),
                "judge_second": plain(row.judge_second),
                "result": row.result.model_dump(),
            }
            for row in results.equal_distance
        ],
        "image_free": [row.model_dump() for row in results.image_free],
        "seconds": results.seconds,
        "seed": results.seed,
        "versions": results.versions,
    }
    return write_json_atomically(path, value)


def read_fact_rlhf_results(path: Path | str) -> FactRlhfResults:
    """Read a `results.json` of this loop, or that of a run directory.

    Raises:
        DataError: There is no such file, or it is not one of this loop's results.
    """
    path = Path(path)
    path = path / "results.json" if path.is_dir() else path
    if not path.is_file():
        raise DataError(
            [Fault(path, None, "there is no such file. Give a run directory with a results.json.")]
        )
    try:
        value = json.loads(read_bytes(path))
        for test in value.get("tests", ()):
            names = {key: test.pop(key) for key in ("first", "second", "metric")}
            test.update(names, result={key: test.pop(key) for key in [*test]})
        return FactRlhfResults.model_validate(value)
    except ValidationError as error:
        message = (
            f"no results of a Fact-RLHF loop: {describe_validation(error)}. Run the command again"
            " that wrote it."
        )
        raise DataError([Fault(path, None, message)]) from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        message = f"no results of a Fact-RLHF loop ({error}). Run the command again that wrote it."
        raise DataError([Fault(path, None, message)]) from error
