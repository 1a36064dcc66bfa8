"""What a policy of PPO is worth on held-out prompts, and whether it has begun to hack its reward.

Every measurement leaves a file with one line per prompt, so that measurements are compared in
pairs, prompt by prompt.
"""

import json
from collections.abc import Sequence
from math import ceil, isfinite
from pathlib import Path
from typing import NamedTuple

import torch

from veridical.files import read_jsonl_rows, write_text_atomically
from veridical.rewards.protocol import AnyReward, call_reward
from veridical.training.ppo.hacking import Hacking, JudgedScenes, find_hacking
from veridical.training.ppo.prompts import PpoPrompt
from veridical.training.ppo.rollouts import RolloutCollector
from veridical.training.run.team.work import here, in_shares

HELD_OUT = "held_out"
"""Folder in the run directory: one file per measurement, one line per held-out prompt."""
CURVES_FILE = "curves.jsonl"
"""File in the run directory: one line per measurement."""


class HeldOutPrompt(NamedTuple):
    """What a held-out prompt's responses are worth: a line of `held_out/STEP.jsonl`."""

    id: str
    """Id of the prompt."""
    proxy: float
    """Mean reward of its responses."""
    judge: float | None
    """Mean of what the judge says of them; None without a judge."""
    response: str
    """The first of them."""


def measure_held_out(
    collector: RolloutCollector,
    prompts: Sequence[PpoPrompt],
    judge: AnyReward | None,
    *,
    keep: Path | None = None,
) -> dict[str, float]:
    """Sample responses to held-out prompts, always from the same streams, and rate them.

    Args:
        collector: Samples and rewards with the policy as it is.
        prompts: What is asked.
        judge: Rates responses in addition to the reward.
        keep: File for one line per prompt (`HeldOutPrompt`), so that measurements can be compared
            in pairs; prompts none of whose responses got a finite reward have none.

    Returns:
        `proxy` (mean reward), `kl` (nats per response, k1), `judge`, and what a rollout's log
        holds; empty without prompts.
    """
    if not prompts:
        return {}
    sampled = collector.sample(prompts, stream=("held out",))
    rewards = collector.reward(prompts, sampled)
    described = collector.describe(prompts, collector.score(prompts, sampled), rewards)
    metrics = {"kl": described["kl_k1"], "proxy": described["reward"]}
    candidates = collector.candidates(prompts, sampled)
    judged = None
    if judge is not None:
        rated = in_shares(candidates, lambda some: call_reward(judge, some).tolist())
        judged = torch.tensor(rated).reshape(rewards.total.shape)
        metrics["judge"] = float(judged.mean())
    if keep is not None and here().is_first:
        samples, rewarded = rewards.total.shape[1], rewards.total.isfinite()
        lines = [
            HeldOutPrompt(
                prompt.record.id,
                float(rewards.total[row][rewarded[row]].mean()),
                None if judged is None else float(judged[row].mean()),
                candidates[row * samples].text,
            )
            for row, prompt in enumerate(prompts)
            if rewarded[row].any()
        ]
        write_text_atomically(
            keep, "".join(json.dumps(line._asdict(), ensure_ascii=False) + "\n" for line in lines)
        )
    return {**metrics, **{name: value for name, value in described.items() if name != "reward"}}


def measurements_of(iterations: int, *, every: int) -> int:
    """How often a run measures after its start: its warnings share their error rate among these.

    Args:
        iterations: Rollouts in all.
        every: Rollouts between measurements; 0: at the end only.
    """
    return ceil(iterations / every) if every else 1


def hacking_at(run_dir: Path, step: int, *, kl: float, looks: int) -> Hacking | None:
    """Test whether the policy of a step hacks its reward, by all that was measured up to then.

    Args:
        run_dir: The run directory.
        step: The step, measured last.
        kl: Its divergence from the reference in nats per response.
        looks: How often this run asks, in all.

    Returns:
        What was found; None where nothing was, or where there is no judge. Prompts that have no
        number in some measurement are left out of all.
    """
    files = {
        int(file.stem): file
        for file in sorted((run_dir / HELD_OUT).glob("*.jsonl"))
        if int(file.stem) <= step
    }
    curve = run_dir / CURVES_FILE
    kl_of = (
        {row.value["step"]: row.value["kl"] for row in read_jsonl_rows(curve)}
        if curve.is_file()
        else {}
    )
    kl_of[step] = kl
    # Before the first step policy and reference are one.
    measured = [(one, kl_of.get(one) or 0.0, _numbers(file)) for one, file in files.items()]
    known = set.intersection(*(set(found) for _, _, found in measured)) if measured else set()
    scenes = sorted(known)
    points = [
        JudgedScenes(
            one, kl, [found[name][0] for name in scenes], [found[name][1] for name in scenes]
        )
        for one, kl, found in measured
    ]
    return find_hacking(points, looks=looks)


def _numbers(file: Path) -> dict[str, tuple[float, float]]:
    """Proxy and judge of every prompt that has both."""
    rows = [HeldOutPrompt(**row.value) for row in read_jsonl_rows(file) if row.value is not None]
    return {
        one.id: (one.proxy, one.judge)
        for one in rows
        if one.judge is not None and isfinite(one.proxy + one.judge)
    }
