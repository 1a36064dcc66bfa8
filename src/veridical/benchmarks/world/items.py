"""The world's benchmark: scenes to describe, yes/no probes, and MMHal-style questions."""

from collections.abc import Sequence

from veridical.benchmarks.world.unfamiliar import ask_unfamiliar
from veridical.errors import ConfigError
from veridical.records import ImageRef, Prompt, Record
from veridical.seeding import child_random
from veridical.world.descriptions import DESCRIPTION_QUESTIONS
from veridical.world.scenes import IMAGE_PIXELS, Scene, sample_scene, sample_scenes
from veridical.world.tasks import MMHAL_TYPES, Probe, Question, ask, yes_no_question

_PROBES: tuple[Probe, ...] = ("present", "random", "present", "typical")


class WorldItem(Record):
    """One prompt with the scene it is about."""

    scene: Scene
    """The truth."""
    prompt: Prompt
    """What is asked; its task is description, yes_no or mmhal."""
    question: Question | None = None
    """The question with its true answer; None for descriptions."""


def build_world_benchmark(
    seed: int,
    split: str,
    *,
    n_scenes: int = 1000,
    n_probe_scenes: int = 250,
    n_per_type: int = 48,
    pixels: int = IMAGE_PIXELS,
) -> list[WorldItem]:
    """Make the benchmark: descriptions, yes/no probes and MMHal-style questions.

    Args:
        seed: Root seed of the world.
        split: Which scenes: "validation", "test" …
        n_scenes: Scenes to describe.
        n_probe_scenes: How many of them are probed too: two present objects and two absent ones,
            one of these drawn at random and one typical.
        n_per_type: MMHal-style questions of each of the eight types, one question per scene of the
            same split.
        pixels: Resolution of the pictures.

    Raises:
        ConfigError: More scenes to probe than there are.
    """
    if n_probe_scenes > n_scenes:
        raise ConfigError(
            f"Only scenes that are described are probed: got {n_probe_scenes} of {n_scenes}."
        )
    scenes = list(sample_scenes(seed, split, n_scenes, pixels=pixels))
    items = describe_items(scenes, seed=seed)
    for scene in scenes[:n_probe_scenes]:
        items += _probes(scene, seed)
    for number in range(n_per_type * len(MMHAL_TYPES)):
        items.append(_mmhal_item(seed, split, number, pixels=pixels))
    return items


def describe_items(scenes: Sequence[Scene], *, seed: int) -> list[WorldItem]:
    """Ask for a description of each scene."""
    return [
        WorldItem(
            scene=scene,
            prompt=_prompt(
                scene,
                child_random(seed, "question", scene.id).choice(DESCRIPTION_QUESTIONS),
                "description",
                scene.id,
            ),
        )
        for scene in scenes
    ]


def _prompt(
    scene: Scene, question: str, task: str, name: str, *, reference: str | None = None
) -> Prompt:
    image = ImageRef(path=f"images/{scene.id}.png")
    return Prompt(id=name, image=image, question=question, task=task, reference=reference)


def _question_item(scene: Scene, question: Question, task: str, name: str) -> WorldItem:
    prompt = _prompt(scene, question.text, task, f"{scene.id}/{name}", reference=question.answer)
    return WorldItem(scene=scene, prompt=prompt, question=question)


def _probes(scene: Scene, seed: int) -> list[WorldItem]:
    rng = child_random(seed, "probes", scene.id)
    items: list[WorldItem] = []
    asked: set[str] = set()
    for number, probe in enumerate(_PROBES):
        question = yes_no_question(scene, probe, rng)
        # Twice the same question would count one answer double.
        while question is not None and question.text in asked:
            question = yes_no_question(scene, probe, rng)
        if question is None:
            continue
        asked.add(question.text)
        items.append(_question_item(scene, question, "yes_no", f"yes_no-{number}"))
    return items


def _mmhal_item(seed: int, split: str, number: int, *, pixels: int) -> WorldItem:
    """The item of a number: types in MMHal-Bench's order, each on a scene that allows one.

    Every second of a type is in a form that the base has not been taught, where the type has one.
    """
    round_number, place = divmod(number, len(MMHAL_TYPES))
    question_type = MMHAL_TYPES[place]
    ask_one = ask_unfamiliar if round_number % 2 else ask
    attempt = 0
    while True:
        scene = sample_scene(seed, f"{split}-mmhal-{attempt}", number, pixels=pixels)
        question = ask_one(scene, question_type, child_random(seed, "mmhal", scene.id))
        if question is not None:
            return _question_item(scene, question, "mmhal", question_type)
        attempt += 1
