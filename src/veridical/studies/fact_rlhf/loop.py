"""What the stages of the Fact-RLHF loop share, and what they collect from people and of prompts."""

from pathlib import Path
from typing import NamedTuple

from veridical.benchmarks.world.evaluation import WorldEvaluation
from veridical.benchmarks.world.items import WorldItem
from veridical.evaluation.world import evaluate_world
from veridical.models.loading import VisionLanguageModel
from veridical.studies.comparisons import collect_comparisons
from veridical.studies.fact_rlhf.recipe import FactRlhfRecipe
from veridical.studies.world_prompts import AskedScene, write_world_prompts


class Loop(NamedTuple):
    """What the stages share."""

    recipe: FactRlhfRecipe
    """How large the loop is."""
    out: Path
    """Its folder."""
    base: VisionLanguageModel
    """The model that is aligned."""
    items: list[WorldItem]
    """What every arm is asked in the end."""

    @property
    def held_out(self) -> Path:
        """Folder of the held-out comparisons."""
        return self.out / "comparisons" / "held_out"

    def evaluate(self, vlm: VisionLanguageModel, name: str) -> WorldEvaluation:
        """Measure a model on the test scenes."""
        label = f"{name} answers"
        return evaluate_world(
            vlm, self.items, seed=self.recipe.seed, label=label, out=self.out / "tests" / name
        )


def collect_all_comparisons(loop: Loop) -> None:
    """Collect comparisons to learn from, and held-out ones by people who never err."""
    recipe, out = loop.recipe, loop.out
    exact = recipe.person.model_copy(update={"name": "exact", "comparison_error": 0.0})
    parts = (
        ("train", recipe.comparisons, "compare", recipe.person),
        ("held_out", recipe.held_out_comparisons, "compare-held-out", exact),
    )
    for name, count, split, person in parts:
        collect_comparisons(
            loop.base,
            out / "comparisons" / name,
            count=count,
            split=split,
            seed=recipe.seed,
            temperature=recipe.temperature,
            person=person,
            facts=recipe.facts,
            questions=recipe.questions,
            pairs="any" if name == "train" else "differing_faults",
            pixels=recipe.pixels,
        )


def write_prompts(loop: Loop, folder: Path, *, split: str, count: int) -> list[AskedScene]:
    """Write prompts on scenes of a split, with what is known of them."""
    recipe = loop.recipe
    return write_world_prompts(
        folder,
        count=count,
        split=split,
        seed=recipe.seed,
        mix=recipe.questions,
        facts=recipe.facts,
        pixels=recipe.pixels,
    )
