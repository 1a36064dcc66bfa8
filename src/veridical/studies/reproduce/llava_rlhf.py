"""The grid of LLaVA-RLHF's study in the world: comparisons, reward models, policies by seed.

Every seed draws its own comparisons and unseen scenes, and trains its own reward models and
policies. Nothing is chosen: the last checkpoint of every run counts.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from veridical.config import merge_settings
from veridical.files import JsonObject
from veridical.models.loading import load_model
from veridical.statistics import mean_metric
from veridical.studies.fact_rlhf.arms import train_dense_dpo
from veridical.studies.fact_rlhf.best_of_n import Sampling, best_of_n
from veridical.studies.fact_rlhf.distance import judged_at, reach_of
from veridical.studies.reproduce.bench import Bench, Work, part
from veridical.studies.reproduce.grid import Cell, with_needs
from veridical.studies.reproduce.measured import write_measures
from veridical.studies.reproduce.plan import LlavaRlhfPlan
from veridical.studies.reproduce.policies import PolicyWork, load_curve
from veridical.studies.reproduce.rewards import collect_for_rewards, train_and_measure
from veridical.world.base import WORLD_MODEL
from veridical.world.people.person import BY_RULE, PersonModel

_TEMPERATURE = 1.0
EQUAL_KL = {"rlhf": "rlhf-equal-kl", "fact-rlhf": "fact-rlhf-equal-kl"}
"""Policies by KL price, and what they are called where they are equally far from the start."""


class _RewardArm(NamedTuple):
    """A reward model: what it is trained on."""

    name: str
    comparisons: str
    """Arm of the comparisons."""
    facts: str | None
    """Name of the facts, None for none."""


class _PolicyArm(NamedTuple):
    """A policy: what rewards it, and whether a KL price holds it back."""

    name: str
    reward: str
    """Arm of the reward model."""
    reads_facts: bool
    priced: bool


_POLICIES = (
    _PolicyArm("rlhf", "reward-blind", reads_facts=False, priced=True),
    _PolicyArm("fact-rlhf", "reward-complete", reads_facts=True, priced=True),
    _PolicyArm("rlhf-unpriced", "reward-blind", reads_facts=False, priced=False),
    _PolicyArm("fact-rlhf-unpriced", "reward-complete", reads_facts=True, priced=False),
)

TRAINED_POLICIES = tuple(one.name for one in _POLICIES)
"""Arms that reinforcement learning trains."""


def llava_rlhf_cells(plan: LlavaRlhfPlan, *, base: str = WORLD_MODEL, seed: int = 0) -> list[Cell]:
    """All cells of the study, in order.

    Args:
        plan: How large.
        base: The model that is aligned.
        seed: Root seed of all scenes.
    """
    grid = _Grid(plan, base, seed)
    cells: list[Cell] = []
    for number in range(plan.seeds):
        cells.append(grid.measured_base(number))
        cells += grid.comparisons(number)
        cells += [grid.reward(one, number) for one in grid.reward_arms()]
        cells += [grid.policy(one, number) for one in _POLICIES]
        cells.append(grid.equal_kl(number))
        cells += grid.without_reinforcement(number)
    if not plan.arms:
        return cells
    together = {"equal-kl"} if set(plan.arms) & set(EQUAL_KL.values()) else set()
    return with_needs(cells, {"base", *plan.arms, *together})


class _Grid:
    """Builds the cells; what they do is bound to the plan."""

    def __init__(self, plan: LlavaRlhfPlan, base: str, seed: int) -> None:
        self._plan = plan
        self._bench = Bench(
            base, seed, plan.test_scenes, plan.probe_scenes, plan.questions_per_type, plan.pixels
        )
        self._shared: JsonObject = {**self._bench.settings(), "sizes": self._sizes()}

    def measured_base(self, number: int) -> Cell:
        """The base, as fine-tuned, on a seed's test scenes."""
        settings = {**self._shared, "number": number}
        return Cell(f"base/seed-{number}", settings, (), self._bench.measuring_base(number))

    def comparisons(self, number: int) -> list[Cell]:
        """What people say: of the study's pictures, of sharp ones, and erring by rule."""
        plan = self._plan
        kinds: dict[str, tuple[int, PersonModel]] = {
            "comparisons": (plan.pixels, PersonModel()),
            "comparisons-sharp": (plan.sharp_pixels, PersonModel()),
            "comparisons-by-rule": (plan.pixels, BY_RULE),
        }
        return [
            Cell(
                f"{name}/seed-{number}",
                {**self._shared, "pixels": pixels, "number": number},
                (),
                self._comparing(pixels, person, number),
            )
            for name, (pixels, person) in kinds.items()
        ]

    def reward_arms(self) -> list[_RewardArm]:
        """Reward models without facts, and with facts of every kind in the plan."""
        given = [_RewardArm(f"reward-{name}", "comparisons", name) for name in self._plan.facts]
        again = [
            _RewardArm(f"reward-{name}{kind}", f"comparisons{kind}", facts)
            for kind in ("-sharp", "-by-rule")
            for name, facts in (("blind", None), ("complete", "complete"))
        ]
        return [_RewardArm("reward-blind", "comparisons", None), *given, *again]

    def reward(self, arm: _RewardArm, number: int) -> Cell:
        """A reward model, and how often it prefers what is better."""
        plan, source = self._plan, f"{arm.comparisons}/seed-{number}"
        facts = None if arm.facts is None else plan.facts[arm.facts]

        def work(folder: Path, needs: Mapping[str, Path]) -> None:
            train_and_measure(
                needs[source],
                folder,
                base=self._bench.base,
                facts=facts,
                changes=plan.reward,
                scenes_seed=self._bench.seed_of(number),
                seed=number,
            )

        stated = None if facts is None else facts.model_dump(mode="json")
        settings = {**self._shared, "facts": stated, "reward": plan.reward, "number": number}
        return Cell(f"{arm.name}/seed-{number}", settings, (source,), work)

    def policy(self, arm: _PolicyArm, number: int) -> Cell:
        """A policy, its curve on held-out prompts and its answers to the test scenes."""
        plan, source = self._plan, f"{arm.reward}/seed-{number}"
        changes = plan.ppo if arm.priced else merge_settings(plan.ppo, plan.unpriced)
        train = PolicyWork(self._bench, plan, changes, number)

        def work(folder: Path, needs: Mapping[str, Path]) -> None:
            train.run(folder, reward=needs[source], reads_facts=arm.reads_facts)

        settings = {**self._shared, "ppo": changes, "number": number}
        return Cell(f"{arm.name}/seed-{number}", settings, (source,), work)

    def equal_kl(self, number: int) -> Cell:
        """Both policies where they are equally far from the start: as far as the nearer one got."""
        needs = tuple(f"{arm}/seed-{number}" for arm in EQUAL_KL)

        def work(folder: Path, found: Mapping[str, Path]) -> None:
            curves = [load_curve(found[name], self._bench, self._plan, number) for name in needs]
            kl = reach_of(curves)
            for name, curve in zip(EQUAL_KL.values(), curves, strict=True):
                judged = mean_metric(judged_at(curve, kl) or [], bounds=(0.0, 6.0))
                write_measures(folder / name, {"judge": judged, "kl": mean_metric([kl])})

        return Cell(f"equal-kl/seed-{number}", self._shared, needs, work)

    def without_reinforcement(self, number: int) -> list[Cell]:
        """What needs no PPO: best-of-n by the blind reward model, and dense DPO."""
        plan, bench = self._plan, self._bench
        reward, corrections = f"reward-blind/seed-{number}", f"corrections/seed-{number}"
        settings: JsonObject = {**self._shared, "number": number}

        def choose(folder: Path, needs: Mapping[str, Path]) -> None:
            vlm = load_model(bench.base_path)
            model = needs[reward] / "run" / "reward_model"
            best_of_n(
                Sampling(vlm, model, plan.best_of, _TEMPERATURE, bench.seed_of(number)),
                bench.items(number),
                out=folder,
            )

        def correct(folder: Path, needs: Mapping[str, Path]) -> None:
            run = train_dense_dpo(
                plan.dpo,
                folder / "run",
                base=bench.base,
                corrections=part(needs[corrections], plan.corrections),
                seed=number,
            )
            bench.measure(load_model(str(run.weights)), folder, number=number)

        collect = bench.correcting(
            (plan.corrections,), person=PersonModel(), number=number, temperature=_TEMPERATURE
        )
        return [
            Cell(f"best-of-n/seed-{number}", {**settings, "n": plan.best_of}, (reward,), choose),
            Cell(corrections, {**settings, "count": plan.corrections}, (), collect),
            Cell(
                f"dense-dpo/seed-{number}", {**settings, "dpo": plan.dpo}, (corrections,), correct
            ),
        ]

    def _comparing(self, pixels: int, person: PersonModel, number: int) -> Work:
        def work(folder: Path, _needs: Mapping[str, Path]) -> None:
            collect_for_rewards(
                load_model(self._bench.base_path),
                folder,
                counts=(self._plan.comparisons, self._plan.held_out_comparisons),
                person=person,
                pixels=pixels,
                seed=self._bench.seed_of(number),
            )

        return work

    def _sizes(self) -> list[int]:
        plan = self._plan
        return [plan.comparisons, plan.held_out_comparisons, plan.prompts, plan.curve_prompts]
