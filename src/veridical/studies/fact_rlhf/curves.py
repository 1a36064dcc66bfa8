"""What a PPO run logged along the way: proxy reward, exact judge, warnings and responses."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.files import read_bytes, read_jsonl_rows
from veridical.records.fact_rlhf import CurveMeasurement
from veridical.report.fact_rlhf_inputs import CurveWarning
from veridical.statistics import mean_metric
from veridical.studies.world_prompts import AskedScene
from veridical.training.ppo.diagnostics import find_warnings, hacking_warning
from veridical.training.ppo.hacking import JudgedScenes, find_hacking
from veridical.training.ppo.train import HELD_OUT, HeldOutPrompt


class CurvePoint(NamedTuple):
    """One measurement on the held-out prompts."""

    step: int
    """Optimiser steps of the policy."""
    kl: float
    """Divergence from the reference in nats per response."""
    prompts: tuple[HeldOutPrompt, ...]
    """Proxy, judge and a response for each prompt, always in the same order."""

    def scores(self) -> list[float]:
        """What the judge says of each prompt's response; 0 where it says nothing."""
        return [one.judge or 0.0 for one in self.prompts]

    def judged(self) -> JudgedScenes:
        """The measurement as the test of reward hacking reads it."""
        proxy = [one.proxy for one in self.prompts]
        return JudgedScenes(self.step, self.kl, proxy, self.scores())


class RunCurve(NamedTuple):
    """One PPO run."""

    arm: str
    """Key of its arm."""
    seed: int
    """Seed of training."""
    points: tuple[CurvePoint, ...]
    """In order of their steps."""
    log: tuple[dict[str, float | str], ...]
    """Rows of its log about rollouts and training."""
    asked: tuple[AskedScene, ...]
    """The prompts with their scenes."""

    def measurements(self) -> list[CurveMeasurement]:
        """Means over the prompts with their intervals."""
        return [
            CurveMeasurement(
                arm=self.arm,
                seed=self.seed,
                step=point.step,
                kl=point.kl,
                proxy=mean_metric([one.proxy for one in point.prompts]),
                judge=mean_metric(point.scores(), bounds=(0.0, 6.0)),
            )
            for point in self.points
        ]

    def warnings(self) -> list[CurveWarning]:
        """What the log and the held-out measurements warn of."""
        found = find_warnings(self.log)
        hacking = find_hacking([point.judged() for point in self.points])
        if hacking is not None:
            found.insert(0, hacking_warning(hacking))
        return [
            CurveWarning(
                arm=self.arm,
                seed=self.seed,
                kind=one.kind,
                since_step=one.since_step,
                text=one.text,
                advice=one.advice,
            )
            for one in found
        ]

    def series(self, measure: str) -> tuple[tuple[int, float], ...]:
        """Step and value of something that rollouts log."""
        return tuple(
            (int(row["step"]), float(row[measure]))
            for row in self.log
            if row.get("part") == "rollout" and isinstance(row.get(measure), int | float)
        )


def read_curve(run_dir: Path, *, arm: str, seed: int, asked: Sequence[AskedScene]) -> RunCurve:
    """Read what a run of PPO measured on held-out prompts, and its log."""
    kl_of = {
        row.value["step"]: row.value["kl"]
        for row in read_jsonl_rows(run_dir / "curves.jsonl")
        if row.value
    }
    points = []
    for file in sorted((run_dir / HELD_OUT).glob("*.jsonl")):
        step = int(file.stem)
        lines = read_bytes(file).decode("utf-8").splitlines()
        prompts = tuple(HeldOutPrompt(**json.loads(line)) for line in lines)
        points.append(CurvePoint(step, float(kl_of.get(step) or 0.0), prompts))
    log = tuple(
        row.value
        for row in read_jsonl_rows(run_dir / "metrics.jsonl")
        if isinstance(row.value, dict)
    )
    return RunCurve(arm, seed, tuple(points), log, tuple(asked))
