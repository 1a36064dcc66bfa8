"""Policies of a study, trained by reinforcement learning, and what their curves say of hacking."""

from pathlib import Path
from typing import NamedTuple

from veridical.files import JsonObject
from veridical.records import Metric
from veridical.statistics import mean_metric
from veridical.studies.fact_rlhf.arms import load_policy, train_policy
from veridical.studies.fact_rlhf.curves import RunCurve, read_curve
from veridical.studies.reproduce.bench import Bench
from veridical.studies.reproduce.measured import write_measures
from veridical.studies.reproduce.plan import LlavaRlhfPlan
from veridical.studies.world_prompts import AskedScene, ExactJudge, QuestionMix, write_world_prompts


class PolicyWork(NamedTuple):
    """How a policy is trained and measured."""

    bench: Bench
    """What it is measured on."""
    plan: LlavaRlhfPlan
    """How large."""
    changes: JsonObject
    """Settings that override the recipe `ppo-world`."""
    number: int
    """The training seed."""

    def run(self, folder: Path, *, reward: Path, reads_facts: bool) -> None:
        """Train against a reward model, and leave answers, curve and figures.

        Args:
            folder: The cell's folder.
            reward: Folder of the reward model's cell.
            reads_facts: Whether the reward model reads facts.
        """
        prompts = folder / "prompts"
        held_out = _ask(prompts / "held_out", self.bench, self.plan, self.number)
        _ask(prompts / "train", self.bench, self.plan, self.number, count=self.plan.prompts)
        run = train_policy(
            self.changes,
            folder / "run",
            base=self.bench.base,
            prompts=prompts,
            judge=ExactJudge(held_out),
            seed=self.number,
            reward_model=reward / "run" / "reward_model",
            reads_facts=reads_facts,
        )
        curve = read_curve(run.run_dir, arm=folder.parent.name, seed=self.number, asked=held_out)
        write_measures(folder, measures_of(curve))
        self.bench.measure(load_policy(run), folder, number=self.number)


def load_curve(folder: Path, bench: Bench, plan: LlavaRlhfPlan, number: int) -> RunCurve:
    """Read the curve that a policy's cell left."""
    asked = _ask(folder / "prompts" / "held_out", bench, plan, number)
    return read_curve(folder / "run", arm=folder.parent.name, seed=number, asked=asked)


def measures_of(curve: RunCurve) -> dict[str, Metric]:
    """Figures of a run on held-out prompts.

    Returns:
        `judge`, `reward` and `kl` at the last measurement; `judge_fall`, how far the judge fell
        from where it was highest; `reward_rise` since then; `hacking_warning`, 1 where the run
        warned.
    """
    last = curve.points[-1]
    best = max(curve.points, key=lambda point: sum(point.scores()))
    both = list(zip(best.prompts, last.prompts, strict=True))
    judged = list(zip(best.scores(), last.scores(), strict=True))
    rewarded = [(before.proxy, after.proxy) for before, after in both]
    warned = any(one.kind == "reward hacking" for one in curve.warnings())
    return {
        "judge": mean_metric([after for _, after in judged], bounds=(0.0, 6.0)),
        "judge_fall": mean_metric([before - after for before, after in judged]),
        "reward": mean_metric([after for _, after in rewarded]),
        "reward_rise": mean_metric([after - before for before, after in rewarded]),
        "kl": mean_metric([last.kl]),
        "hacking_warning": mean_metric([float(warned)]),
    }


def _ask(
    folder: Path, bench: Bench, plan: LlavaRlhfPlan, number: int, *, count: int = 0
) -> list[AskedScene]:
    """Ask something of new scenes: the held-out prompts, or so many to learn on."""
    return write_world_prompts(
        folder,
        count=count or plan.curve_prompts,
        split="ppo" if count else "ppo-held-out",
        seed=bench.seed_of(number),
        mix=QuestionMix(),
        facts=plan.facts["complete"],
        pixels=plan.pixels,
    )
