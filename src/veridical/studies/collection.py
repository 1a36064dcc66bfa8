"""Collect corrections in the world: the model answers, and simulated people correct it."""

from pathlib import Path
from typing import NamedTuple

from veridical.models.generation import generate_responses
from veridical.models.loading import VisionLanguageModel
from veridical.progress import log
from veridical.records import Correction, Prompt, Response, write_records
from veridical.seeding import child_random, child_seed
from veridical.world.descriptions import DESCRIPTION_QUESTIONS
from veridical.world.export import save_image
from veridical.world.people.correcting import correct
from veridical.world.people.person import PersonModel
from veridical.world.scenes import IMAGE_PIXELS, Scene, render, sample_scene

_SCENES_AT_ONCE = 256
_MAX_NEW_TOKENS = 96


class Collected(NamedTuple):
    """What a collection left."""

    path: Path
    """`corrections.jsonl`."""
    corrections: list[Correction]
    """The corrections, in the order of the scenes."""
    scenes: dict[str, Scene]
    """Scenes by prompt id."""
    shown: int
    """Responses that people looked at; in the rest of them they found nothing."""


def collect_corrections(
    vlm: VisionLanguageModel,
    out: Path,
    *,
    count: int,
    split: str,
    seed: int,
    temperature: float,
    person: PersonModel,
    pixels: int = IMAGE_PIXELS,
) -> Collected:
    """Sample descriptions of new scenes until so many of them have been corrected.

    Args:
        vlm: The model whose responses are corrected.
        out: Folder for `images/`, `prompts.jsonl`, `responses.jsonl` and `corrections.jsonl`.
        count: How many corrections.
        split: Which scenes; must not be those of an evaluation.
        seed: Root seed.
        temperature: Sampling temperature of the responses.
        person: Who corrects.
        pixels: Resolution of the pictures.
    """
    prompts: list[Prompt] = []
    responses: list[Response] = []
    corrections: list[Correction] = []
    scenes: dict[str, Scene] = {}
    start = 0
    while len(corrections) < count:
        batch = [
            sample_scene(seed, split, n, pixels=pixels)
            for n in range(start, start + _SCENES_AT_ONCE)
        ]
        questions = [
            child_random(seed, "question", scene.id).choice(DESCRIPTION_QUESTIONS)
            for scene in batch
        ]
        answers = generate_responses(
            vlm,
            questions,
            [render(scene) for scene in batch],
            temperature=temperature,
            max_new_tokens=_MAX_NEW_TOKENS,
            seed=child_seed(seed, "collect", start),
            batch_size=64,
        )
        for scene, question, (answer,) in zip(batch, questions, answers, strict=True):
            if len(corrections) == count:
                break
            prompt = Prompt(id=scene.id, image=save_image(scene, out / "images"), question=question)
            prompts.append(prompt)
            responses.append(
                Response(
                    id=f"{scene.id}#0",
                    prompt_id=scene.id,
                    text=answer.text,
                    model=Path(vlm.name).name,
                    temperature=temperature,
                    finish=answer.finish,
                )
            )
            correction = correct(
                scene, prompt, answer.text, person, seed=seed, origin="embedded world"
            )
            if correction is not None:
                corrections.append(correction)
                scenes[scene.id] = scene
        start += _SCENES_AT_ONCE
        log(f"{len(corrections)} of {count} corrections, {len(responses)} responses shown")
    write_records(out / "prompts.jsonl", prompts, kind="Prompt")
    write_records(out / "responses.jsonl", responses, kind="Response")
    path = write_records(out / "corrections.jsonl", corrections, kind="Correction")
    return Collected(path, corrections, scenes, len(responses))
