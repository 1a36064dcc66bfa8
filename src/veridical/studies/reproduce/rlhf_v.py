"""The grid of RLHF-V's study in the world: corrections, comparisons, arms by seed, habits.

Every seed draws its own judgements, validation scenes and unseen scenes, and trains its own
policies. Checkpoints are chosen by one rule for all arms: least hallucination among those that keep
coverage within two points of the base, on validation scenes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from veridical.benchmarks.world.evaluation import write_evaluation
from veridical.config import load_recipe, merge_settings
from veridical.evaluation.world import validation_rates
from veridical.files import JsonObject
from veridical.models.loading import load_model
from veridical.records import Comparison, Correction, read_records, write_records
from veridical.studies.comparisons import collect_comparisons
from veridical.studies.image_free import edit_without_looking
from veridical.studies.objectives import PREFERENCE_ALONE
from veridical.studies.reproduce.bench import Bench, Work, part
from veridical.studies.reproduce.derived import write_blanked, write_corrected
from veridical.studies.reproduce.grid import Cell, with_needs
from veridical.studies.reproduce.measured import load_evaluation, write_measures
from veridical.studies.reproduce.paths import last_measures
from veridical.studies.reproduce.plan import RlhfVPlan
from veridical.studies.world_prompts import QuestionMix
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.train import train_dpo
from veridical.training.run.choice import ChoiceRule, least_hallucination
from veridical.training.run.frame import RunResult
from veridical.training.run.loop import Evaluate
from veridical.training.sft.config import SftRecipe
from veridical.training.sft.train import train_sft
from veridical.world.base import WORLD_MODEL
from veridical.world.people.person import BY_RULE, PersonModel

COVERAGE_TOLERANCE = 0.02
"""How much coverage a chosen checkpoint may lose on validation scenes; the same for all arms."""

_TEMPERATURE = 0.7
_DPO: JsonObject = {"objective": {"name": "dpo", "beta": 0.1}}
_VARIANTS: dict[str, JsonObject] = {
    "dpo": _DPO,
    "weight-1": {"objective": {"segment_weight": 1.0}},
    "weight-2": {"objective": {"segment_weight": 2.0}},
    "original-diff": {"objective": {"diff": "original", "one_sided": "ignore"}},
    "four-epochs": {"train": {"epochs": 4}},
}
"""Arms by how their recipe differs from dense DPO with γ = 5 and one epoch."""
HABITS = {
    "habit-last-sentence": "last sentence cut",
    "habit-rule": "text-only rule: expected objects cut",
    "habit-vague": "numbers, colours and places left out",
    "habit-model": "text-only model",
    "habit-matched": "text-only model at the trained model's coverage",
}
"""Arms that never look, by what `edit_without_looking` calls them."""


def rlhf_v_cells(plan: RlhfVPlan, *, base: str = WORLD_MODEL, seed: int = 0) -> list[Cell]:
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
        cells += grid.judgements(number)
        cells += grid.policies(number)
        cells.append(grid.habits(number))
    return with_needs(cells, {"base", "habits", *plan.arms}) if plan.arms else cells


class _Choice(TypedDict):
    evaluate: Evaluate
    choose: ChoiceRule


class _Grid:
    """Builds the cells; what they do is bound to the plan."""

    def __init__(self, plan: RlhfVPlan, base: str, seed: int) -> None:
        self._plan = plan
        self._bench = Bench(base, seed, plan.test_scenes, plan.probe_scenes)
        self._shared: JsonObject = {
            **self._bench.settings(),
            "validation_scenes": plan.validation_scenes,
        }

    def measured_base(self, number: int) -> Cell:
        """The base on a seed's test scenes."""
        settings = {**self._shared, "number": number}
        return Cell(f"base/seed-{number}", settings, (), self._bench.measuring_base(number))

    def judgements(self, number: int) -> list[Cell]:
        """What people say, by chance wrong and by rule wrong."""
        plan = self._plan
        counts = {"": plan.corrections, "-by-rule": (plan.standard,)}
        people = {"": PersonModel(), "-by-rule": BY_RULE}
        cells = []
        for kind, sizes in counts.items():
            settings = {**self._shared, "sizes": list(sizes), "number": number}
            cells.append(
                Cell(
                    f"corrections{kind}/seed-{number}",
                    settings,
                    (),
                    self._bench.correcting(
                        sizes, person=people[kind], number=number, temperature=_TEMPERATURE
                    ),
                )
            )
            budgets = plan.comparisons() if not kind else plan.comparisons()[:1]
            settings = {**self._shared, "sizes": list(budgets), "number": number}
            cells.append(
                Cell(
                    f"comparisons{kind}/seed-{number}",
                    settings,
                    (),
                    self._comparing(budgets, people[kind], number),
                )
            )
        return cells

    def policies(self, number: int) -> list[Cell]:
        """Every arm that is trained, from this seed's judgements."""
        plan, standard = self._plan, self._plan.standard
        corrections, comparisons = f"corrections/seed-{number}", f"comparisons/seed-{number}"
        by_rule = [name.replace("/", "-by-rule/") for name in (corrections, comparisons)]
        cells = [
            self._policy(f"dense-{size}", {}, corrections, size, number)
            for size in plan.corrections
        ]
        cells += [
            self._policy(f"{name}-{standard}", changes, corrections, standard, number)
            for name, changes in _VARIANTS.items()
        ]
        cells.append(
            self._policy(f"blank-{standard}", {}, corrections, standard, number, blank=True)
        )
        cells += [
            self._policy(f"anchored-{size}", None, corrections, size, number)
            for size in plan.corrections
            if size == standard or f"anchored-{size}" in plan.arms
        ]
        cells.append(self._fine_tuned(f"sft-{standard}", corrections, standard, number))
        cells += [
            self._policy(f"{name}-by-rule", changes, by_rule[0], standard, number)
            for name, changes in (("dense", {}), ("dpo", _DPO))
        ]
        cells += [
            self._policy(f"compared-{size}", _DPO, comparisons, size, number)
            for size in dict.fromkeys(plan.comparisons())
        ]
        size = plan.comparisons()[0]
        cells.append(self._policy("compared-by-rule", _DPO, by_rule[1], size, number))
        return cells

    def habits(self, number: int) -> Cell:
        """What can be had without looking, from the same corrections."""
        policy = f"dense-{self._plan.standard}/seed-{number}"
        source, base = f"corrections/seed-{number}", f"base/seed-{number}"

        def work(folder: Path, needs: Mapping[str, Path]) -> None:
            trained = load_evaluation(needs[policy])
            found = edit_without_looking(
                load_evaluation(needs[base]),
                read_records(part(needs[source], self._plan.standard), Correction),
                coverage=trained.metrics["object_coverage"].value,
                seed=self._bench.seed,
            )
            for arm, name in HABITS.items():
                write_evaluation(folder / arm, found[name])

        settings = {**self._shared, "number": number}
        return Cell(f"habits/seed-{number}", settings, (base, source, policy), work)

    def _policy(
        self,
        arm: str,
        changes: JsonObject | None,
        judgements: str,
        size: int,
        number: int,
        *,
        blank: bool = False,
    ) -> Cell:
        """A policy by the paper's recipe with some changes; None: by the shipped recipe."""
        paper = {} if changes is None else merge_settings(PREFERENCE_ALONE, changes)

        def work(folder: Path, needs: Mapping[str, Path]) -> None:
            learnt = part(needs[judgements], size)
            if blank:
                learnt = write_blanked(learnt, folder / "blanked.jsonl")
            recipe = load_recipe(
                "dpo-world",
                PreferenceRecipe,
                settings=merge_settings(
                    {
                        "model": {"base": self._bench.base},
                        "data": {"corrections": str(learnt)},
                        "train": {"seed": number},
                    },
                    paper,
                ),
            )
            run = train_dpo(recipe, folder / "run", **self._chosen(number))
            self._measure(run, folder, number)

        settings = {
            **self._shared,
            "changes": changes,
            "blank": blank,
            "size": size,
            "number": number,
        }
        return Cell(f"{arm}/seed-{number}", settings, (judgements,), work)

    def _fine_tuned(self, arm: str, judgements: str, size: int, number: int) -> Cell:
        """A policy fine-tuned on the corrected texts, which sees no rejected one: the control."""

        def work(folder: Path, needs: Mapping[str, Path]) -> None:
            corrections = part(needs[judgements], size)
            shipped = load_recipe("dpo-world", PreferenceRecipe)
            shared = {"learning_rate", "batch_size", "micro_batch_size", "epochs", "warmup_ratio"}
            recipe = load_recipe(
                "sft-world",
                SftRecipe,
                settings={
                    "model": {"base": self._bench.base, "tuning": "full"},
                    "data": {
                        "conversations": str(write_corrected(corrections, folder / "texts.jsonl")),
                        "validation_fraction": shipped.data.validation_fraction,
                        "images_outside": True,
                    },
                    "train": {
                        "seed": number,
                        **shipped.train.model_dump(include={*shared, "evaluation_steps"}),
                    },
                },
            )
            run = train_sft(recipe, folder / "run", **self._chosen(number))
            self._measure(run, folder, number)

        settings = {**self._shared, "size": size, "number": number}
        return Cell(f"{arm}/seed-{number}", settings, (judgements,), work)

    def _measure(self, run: RunResult, folder: Path, number: int) -> None:
        """Measure the chosen checkpoint on the test scenes, and keep what the last one did."""
        write_measures(folder, last_measures(run.run_dir, scenes=self._plan.validation_scenes))
        self._bench.measure(load_model(str(run.weights)), folder, number=number)

    def _chosen(self, number: int) -> _Choice:
        """How the checkpoint of every arm is chosen, on a seed's validation scenes."""
        scenes_seed = self._bench.seed_of(number)
        return {
            "evaluate": validation_rates(scenes_seed, self._plan.validation_scenes),
            "choose": least_hallucination(coverage_tolerance=COVERAGE_TOLERANCE),
        }

    def _comparing(self, sizes: tuple[int, ...], person: PersonModel, number: int) -> Work:
        def work(folder: Path, _needs: Mapping[str, Path]) -> None:
            collected = collect_comparisons(
                load_model(self._bench.base_path),
                folder,
                count=max(sizes),
                split="train",
                seed=self._bench.seed_of(number),
                temperature=_TEMPERATURE,
                person=person,
                questions=QuestionMix(yes_no=0, other=0),
            )
            for size in sizes:
                some: list[Comparison] = collected.comparisons[:size]
                write_records(part(folder, size), some, kind="Comparison")

        return work
