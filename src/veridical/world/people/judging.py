"""Simulated people who compare and rate responses: LLaVA-RLHF's order, MMHal-Bench's scale."""

from typing import Literal

from veridical.records import Comparison, Prompt, Rating, Response
from veridical.seeding import child_random
from veridical.world.answers import Quality, answer_quality, description_quality, judge_answer
from veridical.world.judge import judge_description
from veridical.world.people.person import PersonModel, judgement_id
from veridical.world.scenes import Scene
from veridical.world.tasks import Question


def compare(
    scene: Scene,
    prompt: Prompt,
    first: Response,
    second: Response,
    person: PersonModel,
    *,
    seed: int,
    question: Question | None = None,
) -> Comparison:
    """Choose the better of two responses: fewer hallucinations first, then more truth (LLaVA-RLHF).

    Args:
        scene: The truth.
        prompt: What was asked.
        first: The response shown first.
        second: The response shown second.
        person: Who compares.
        seed: Root seed.
        question: The question where it is not a description's.
    """
    rng = child_random(seed, "compare", person.name, prompt.id, first.text, second.text)
    one, two = (_quality(scene, text, question) for text in (first.text, second.text))
    preferred: Literal["first", "second", "tie"] = "tie"
    if one.order != two.order:
        preferred = "first" if one.order > two.order else "second"
    if rng.random() < person.comparison_error:
        others: dict[str, tuple[Literal["first", "second"], ...]] = {
            "first": ("second",),
            "second": ("first",),
        }
        preferred = rng.choice(others.get(preferred, ("first", "second")))
    lengths = len(first.text), len(second.text)
    if lengths[0] != lengths[1] and rng.random() < person.prefers_longer:
        preferred = "first" if lengths[0] > lengths[1] else "second"
    return Comparison(
        id=judgement_id(prompt, person, first.id, second.id),
        prompt_id=prompt.id,
        source="simulated",
        annotator=person.name,
        response_ids=(first.id, second.id),
        preferred=preferred,
        hallucination=None if preferred == "tie" else one.hallucinations != two.hallucinations,
    )


def rate(
    scene: Scene,
    prompt: Prompt,
    response: Response,
    person: PersonModel,
    *,
    seed: int,
    question: Question | None = None,
) -> Rating:
    """Rate a response 0–6 as MMHal-Bench does; see `Quality.rating` for what the scores mean.

    Args:
        scene: The truth.
        prompt: What was asked.
        response: What was answered.
        person: Who rates.
        seed: Root seed.
        question: The question where it is not a description's.
    """
    rng = child_random(seed, "rate", person.name, prompt.id, response.text)
    quality = _quality(scene, response.text, question)
    score = quality.rating
    if rng.random() < person.rating_error:
        score = {0: 1, 6: 5}.get(score) or score + rng.choice((-1, 1))
    return Rating(
        id=judgement_id(prompt, person, response.id),
        prompt_id=prompt.id,
        source="simulated",
        annotator=person.name,
        response_id=response.id,
        score=score,
        reason="hallucination" if score < 3 else "",
    )


def _quality(scene: Scene, text: str, question: Question | None) -> Quality:
    if question is None or question.type == "holistic":
        return description_quality(judge_description(scene, text), n_objects=len(scene.groups))
    return answer_quality(question, judge_answer(scene, question, text))
