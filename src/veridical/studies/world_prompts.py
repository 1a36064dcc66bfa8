"""Prompts on new scenes of the world, facts about them, and the exact judge of responses."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from veridical.config import Recipe
from veridical.errors import ConfigError
from veridical.records import Prompt, write_records
from veridical.records.folders import FACTS_FILE, PROMPTS_FILE
from veridical.rewards.protocol import Candidate
from veridical.seeding import child_random
from veridical.world.answers import answer_quality, description_quality, judge_answer
from veridical.world.descriptions import DESCRIPTION_QUESTIONS
from veridical.world.export import save_image
from veridical.world.judge import judge_description
from veridical.world.known_facts import FactsModel, known_facts
from veridical.world.scenes import IMAGE_PIXELS, Scene, sample_scene
from veridical.world.tasks import Question, QuestionType, ask

_OTHER_QUESTIONS: tuple[QuestionType, ...] = (
    "attribute",
    "adversarial",
    "comparison",
    "counting",
    "relation",
    "environment",
    "other",
)


class QuestionMix(Recipe):
    """Shares of what is asked; the rest are descriptions."""

    yes_no: float = 0.1
    """Share of yes/no questions."""
    other: float = 0.1
    """Share of other questions: attributes, counts, places …"""

    def check(self) -> None:
        """Reject shares out of range.

        Raises:
            ConfigError: They do not lie within 0 and 1.
        """
        if min(self.yes_no, self.other) < 0 or self.yes_no + self.other > 1:
            raise ConfigError(
                f"Shares of questions must lie within 0 and 1, got {self.yes_no} and {self.other}."
            )


class AskedScene(NamedTuple):
    """A prompt on a scene."""

    scene: Scene
    """What the picture shows."""
    prompt: Prompt
    """What is asked."""
    question: Question | None
    """The question with its true answer; None for a description."""


def ask_scene(scene: Scene, mix: QuestionMix, *, seed: int, images: Path) -> AskedScene:
    """Ask something of a scene and save its picture; the same seed asks the same."""
    rng = child_random(seed, "question", scene.id)
    drawn = rng.random()
    question = None
    if drawn < mix.yes_no:
        question = ask(scene, "yes_no", rng)
    elif drawn < mix.yes_no + mix.other:
        question = ask(scene, rng.choice(_OTHER_QUESTIONS), rng)
    prompt = Prompt(
        id=scene.id,
        image=save_image(scene, images),
        image_id=scene.id,
        question=rng.choice(DESCRIPTION_QUESTIONS) if question is None else question.text,
        task="description" if question is None else question.type,
        reference=None if question is None else question.answer,
    )
    return AskedScene(scene, prompt, question)


def write_world_prompts(
    out: Path,
    *,
    count: int,
    split: str,
    seed: int,
    mix: QuestionMix,
    facts: FactsModel,
    pixels: int = IMAGE_PIXELS,
) -> list[AskedScene]:
    """Ask something of so many new scenes.

    Args:
        out: Folder for `prompts.jsonl`, `facts.jsonl` and `images/`.
        count: How many prompts, one a scene.
        split: Which scenes; must not be those of an evaluation.
        seed: Root seed.
        mix: Shares of questions.
        facts: What is known of the scenes.
        pixels: Resolution of the pictures.
    """
    mix.check()
    asked = [
        ask_scene(
            sample_scene(seed, split, number, pixels=pixels), mix, seed=seed, images=out / "images"
        )
        for number in range(count)
    ]
    write_records(out / PROMPTS_FILE, [one.prompt for one in asked], kind="Prompt")
    write_facts(out, (one.scene for one in asked), facts, seed=seed)
    return asked


def write_facts(out: Path, scenes: Iterable[Scene], facts: FactsModel, *, seed: int) -> Path:
    """Write facts about scenes to a folder of prompts or comparisons; earlier ones are replaced."""
    known = [
        found for scene in scenes if (found := known_facts(scene, facts, seed=seed)) is not None
    ]
    return write_records(out / FACTS_FILE, known, kind="Facts")


class ExactJudge:
    """A reward that rates responses 0–6 from the true scene; below 3 something is invented."""

    name = "exact judge"

    def __init__(self, asked: Iterable[AskedScene]) -> None:
        """Remember the scene of each prompt."""
        self._asked: Mapping[str, AskedScene] = {one.prompt.id: one for one in asked}

    def __call__(self, candidates: Sequence[Candidate]) -> Tensor:
        """Rate candidates (N,)."""
        return torch.tensor([float(self._rate(candidate)) for candidate in candidates])

    def _rate(self, candidate: Candidate) -> int:
        scene, _, question = self._asked[candidate.prompt.id]
        if question is None:
            return description_quality(
                judge_description(scene, candidate.text), n_objects=len(scene.groups)
            ).rating
        return answer_quality(question, judge_answer(scene, question, candidate.text)).rating
