"""Simulated people who correct, compare and rate responses, with stated error rates.

All that they say is marked `source="simulated"`. The same person, prompt, response and seed give
the same judgement; two people of different names err independently of each other.
"""

import random
from typing import Literal

from pydantic import Field

from veridical.config import Recipe
from veridical.feedback.segments import find_segments
from veridical.files import hash_bytes
from veridical.records import Comparison, Correction, Prompt, Rating, Response, Segment, SegmentKind
from veridical.seeding import child_random
from veridical.world.answers import Quality, answer_quality, description_quality, judge_answer
from veridical.world.claims import Claim
from veridical.world.corrections import (
    Corrected,
    Edit,
    apply_edits,
    as_stated,
    plan_edits,
    restate,
    state,
)
from veridical.world.descriptions import Mention
from veridical.world.inventory import COLOURS, PLACES
from veridical.world.judge import Verdict, judge_description
from veridical.world.scenes import Scene
from veridical.world.tasks import Question, QuestionType

_KIND_OF_ANSWER: dict[QuestionType, SegmentKind] = {
    "attribute": "attribute",
    "adversarial": "object",
    "comparison": "number",
    "counting": "number",
    "relation": "position",
    "environment": "other",
    "holistic": "other",
    "other": "object",
    "yes_no": "object",
}


class PersonModel(Recipe):
    """How a simulated person works and errs; all rates are probabilities."""

    name: str = "person"
    """Pseudonym; people of different names err independently."""
    miss: float = Field(default=0.05, ge=0, le=1)
    """Overlooking a fault (or a repeated sentence) while correcting; asked anew for each fault."""
    slip: float = Field(default=0.01, ge=0, le=1)
    """"Correcting" a statement that is right into one that is wrong; asked anew for each right
    statement."""
    replace_absent: float = Field(default=0.2, ge=0, le=1)
    """Replacing an absent object by one that the response left out, where there is one, instead of
    deleting it."""
    add_missed: float = Field(default=0.0, ge=0, le=1)
    """Adding a sentence on an object that the response left out, asked for each, in responses with
    a fault. RLHF-V's people correct what is wrong and add nothing."""
    comparison_error: float = Field(default=0.05, ge=0, le=1)
    """Preferring the wrong one of two responses, or either of two equal ones."""
    rating_error: float = Field(default=0.1, ge=0, le=1)
    """Rating one step too high or too low."""


EXACT = PersonModel(
    name="exact", miss=0, slip=0, replace_absent=0, add_missed=0, comparison_error=0, rating_error=0
)
"""A person who never errs."""


def correct(
    scene: Scene,
    prompt: Prompt,
    response_text: str,
    person: PersonModel,
    *,
    seed: int,
    question: Question | None = None,
    origin: str = "",
) -> Correction | None:
    """Correct a response minimally (RLHF-V, arXiv 2312.00849, section 2).

    Args:
        scene: The truth.
        prompt: What was asked.
        response_text: What was answered.
        person: Who corrects.
        seed: Root seed.
        question: The question where it is not a description's; a wrong answer is then replaced by
            the true one.
        origin: Written into the correction: which model answered.

    Returns:
        The correction with its segments, or None where the person finds nothing to correct.
    """
    rng = child_random(seed, "correct", person.name, prompt.id, response_text)
    if question is None or question.type == "holistic":
        corrected = _correct_description(scene, response_text, person, rng)
    else:
        corrected = _correct_answer(scene, question, response_text, person, rng)
    if corrected is None or corrected.text == response_text:
        return None
    return Correction(
        id=_judgement_id(prompt, person, response_text),
        prompt_id=prompt.id,
        source="simulated",
        annotator=person.name,
        image=prompt.image,
        question=prompt.question,
        rejected=response_text,
        chosen=corrected.text,
        segments=corrected.segments,
        origin=origin,
    )


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
    return Comparison(
        id=_judgement_id(prompt, person, first.id, second.id),
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
        id=_judgement_id(prompt, person, response.id),
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


def _judgement_id(prompt: Prompt, person: PersonModel, *parts: str) -> str:
    digest = hash_bytes(chr(31).join(parts).encode("utf-8", "surrogatepass"))
    return f"{prompt.id}/{person.name}-{digest[:8]}"


def _correct_description(
    scene: Scene, text: str, person: PersonModel, rng: random.Random
) -> Corrected | None:
    verdict = judge_description(scene, text)
    edits = plan_edits(
        scene,
        text,
        verdict,
        notices=lambda: rng.random() >= person.miss,
        replaces=lambda: rng.random() < person.replace_absent,
    )
    edits += _slips(text, verdict, edits, person, rng)
    if not edits:
        return None
    edits += _additions(scene, text, edits, person, rng)
    corrected = apply_edits(text, edits)
    if not corrected.text.strip():
        # Nothing true was said: a correction must say something, so the person says one thing that
        # is there.
        corrected = apply_edits(
            text, [Edit(0, len(text), state(rng.choice(scene.groups)), "object")]
        )
    return corrected


def _slips(
    text: str, verdict: Verdict, edits: list[Edit], person: PersonModel, rng: random.Random
) -> list[Edit]:
    """Edits that make a right statement wrong."""
    at_fault = {fault.claim for fault in verdict.faults}
    slips: list[Edit] = []
    for claim in verdict.claims.groups:
        start, end = claim.sentence
        if claim in at_fault or any(
            edit.start < end and start < edit.end for edit in [*edits, *slips]
        ):
            continue
        if rng.random() < person.slip:
            slips += _slip(text, claim, rng)
    return slips


def _slip(text: str, claim: Claim, rng: random.Random) -> list[Edit]:
    mention = as_stated(claim)
    stated = [name for name in ("number", "colour", "place") if getattr(claim, name) is not None]
    if not stated:
        return []
    field = rng.choice(stated)
    values: dict[str, tuple[int, ...] | tuple[str, ...]] = {
        "number": (1, 2, 3),
        "colour": COLOURS,
        "place": PLACES,
    }
    wrong = rng.choice([value for value in values[field] if value != getattr(mention, field)])
    return restate(text, claim, Mention(**mention._asdict() | {field: wrong}))


def _additions(
    scene: Scene, text: str, edits: list[Edit], person: PersonModel, rng: random.Random
) -> list[Edit]:
    said = apply_edits(text, edits).text
    missed = judge_description(scene, said).missed
    added = [
        state(group)
        for group in scene.groups
        if group.noun in missed and rng.random() < person.add_missed
    ]
    if not added:
        return []
    end = len(text.rstrip())
    glue = "" if not said.strip() else " " if said.rstrip()[-1] in ".!?;" else ". "
    return [Edit(end, end, glue + " ".join(added), "object")]


def _correct_answer(
    scene: Scene, question: Question, text: str, person: PersonModel, rng: random.Random
) -> Corrected | None:
    verdict = judge_answer(scene, question, text)
    if not verdict.hallucinates or rng.random() < person.miss:
        return None
    kind = _KIND_OF_ANSWER[question.type]
    segments = tuple(
        Segment(rejected_span=segment.rejected_span, chosen_span=segment.chosen_span, kind=kind)
        for segment in find_segments(text, question.answer)
    )
    return Corrected(question.answer, segments)
