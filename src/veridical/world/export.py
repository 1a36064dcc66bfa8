"""Scenes → a folder as any project has it (images, prompts, facts), and the exact truth."""

from pathlib import Path

from veridical.errors import ConfigError
from veridical.files import atomic_path, hash_file
from veridical.names import name_problem
from veridical.progress import track
from veridical.records import ImageRef, Prompt, write_records
from veridical.seeding import child_random
from veridical.world.descriptions import DESCRIPTION_QUESTIONS
from veridical.world.scenes import Scene, render, sample_scenes


def write_scenes(out: Path, *, count: int, split: str, seed: int) -> list[Scene]:
    """Draw scenes into a folder.

    Args:
        out: Gets `images/ID.png`, `prompts.jsonl` (a description asked of each), `facts.jsonl` and
            `scenes.jsonl`.
        count: How many.
        split: Name of the set; sets never share a scene.
        seed: Root seed.
    """
    scenes = list(sample_scenes(seed, split, count))
    prompts = []
    for scene in track(scenes, label="draw scenes"):
        image = save_image(scene, out / "images")
        question = child_random(seed, "question", scene.id).choice(DESCRIPTION_QUESTIONS)
        prompts.append(Prompt(id=scene.id, image=image, question=question))
    write_records(out / "prompts.jsonl", prompts, kind="Prompt")
    write_records(out / "facts.jsonl", [scene.facts() for scene in scenes], kind="Facts")
    write_records(out / "scenes.jsonl", scenes, kind="Scene")
    return scenes


def save_image(scene: Scene, folder: Path) -> ImageRef:
    """Draw one scene as `folder/ID.png` and refer to it from the folder above.

    Raises:
        ConfigError: The scene's id, which its split begins, cannot be a file's name.
    """
    problem = name_problem(f"{scene.id}.png")
    if problem:
        raise ConfigError(
            f"The picture of the scene {scene.id!r} cannot be a file: {problem}. Give its split"
            " another name."
        )
    path = folder / f"{scene.id}.png"
    with atomic_path(path) as temporary:
        render(scene).save(temporary, format="PNG")
    return ImageRef(path=f"{folder.name}/{path.name}", sha256=hash_file(path))
