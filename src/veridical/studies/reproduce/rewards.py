"""Reward models of a study: comparisons of one seed, trained on with facts of several kinds."""

import os
import shutil
from pathlib import Path

from veridical.config import Settings, load_recipe, merge_settings
from veridical.evaluation.reward_model import read_held_out, report_rewards
from veridical.models.loading import VisionLanguageModel
from veridical.records import read_records
from veridical.studies.comparisons import collect_comparisons
from veridical.studies.reproduce.measured import write_measures
from veridical.studies.world_prompts import QuestionMix, write_facts
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.held_out import HELD_OUT_FILE
from veridical.training.reward.train import train_reward_model
from veridical.training.run.choice import latest
from veridical.world.known_facts import FactsModel
from veridical.world.people.person import PersonModel
from veridical.world.scenes import Scene

_PARTS = ("train", "held_out")
_TEMPERATURE = 1.0


def collect_for_rewards(
    vlm: VisionLanguageModel,
    out: Path,
    *,
    counts: tuple[int, int],
    person: PersonModel,
    pixels: int,
    seed: int,
) -> None:
    """Collect comparisons to learn from, and held-out ones by people who never err.

    Args:
        vlm: The model whose responses are compared.
        out: Folder for `train/` and `held_out/`.
        counts: How many of either.
        person: Who compares.
        pixels: Resolution of the pictures.
        seed: Root seed of scenes and responses.
    """
    exact = PersonModel(name="exact", comparison_error=0.0)
    for name, count, who in zip(_PARTS, counts, (person, exact), strict=True):
        collect_comparisons(
            vlm,
            out / name,
            count=count,
            split=f"compare-{name}",
            seed=seed,
            temperature=_TEMPERATURE,
            person=who,
            questions=QuestionMix(),
            pairs="any" if name == "train" else "differing_faults",
            pixels=pixels,
        )


def train_and_measure(
    comparisons: Path,
    folder: Path,
    *,
    base: str,
    facts: FactsModel | None,
    changes: Settings,
    scenes_seed: int,
    seed: int,
) -> None:
    """Train a reward model on facts of one kind, and leave its accuracy.

    The facts are the same kind when it learns and when it is measured, as a team would have them.

    Args:
        comparisons: Folder that `collect_for_rewards` filled.
        folder: The cell's folder.
        base: The model that it starts from.
        facts: What is known of the pictures; None: it sees no facts.
        changes: Settings that override the recipe `reward-world`.
        scenes_seed: Seed of what the facts leave out or get wrong.
        seed: Seed of training.
    """
    known = facts or FactsModel()
    data = [
        _with_facts(comparisons / name, folder / "data" / name, known, seed=scenes_seed)
        for name in _PARTS
    ]
    settings = {
        "model": {"base": base},
        "data": {"comparisons": str(data[0]), "validation": str(data[1])},
        # Where all was left out, there is nothing to read: learn from those pictures without facts.
        "facts": {"missing": "without"},
        "train": {"seed": seed},
    }
    blind = {"template": {"facts_position": "none"}} if facts is None else {}
    recipe = load_recipe(
        "reward-world", RewardRecipe, settings=merge_settings(settings, blind, changes)
    )
    run = train_reward_model(recipe, folder / "run", choose=latest())
    report = report_rewards(read_held_out(run.run_dir / HELD_OUT_FILE))
    write_measures(folder, {"reward_accuracy": report.accuracy})


def _with_facts(source: Path, out: Path, facts: FactsModel, *, seed: int) -> Path:
    """The same comparisons with other facts; pictures are linked, not copied."""
    shutil.copytree(source, out, copy_function=os.link)
    # Linked files share their content: the new facts replace the link, not what it points to.
    write_facts(out, read_records(out / "scenes.jsonl", Scene), facts, seed=seed)
    return out
