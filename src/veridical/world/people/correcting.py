"""Simulated people who correct responses minimally (RLHF-V, arXiv 2312.00849, section 2)."""

import random

from veridical.feedback.segments import find_segments
from veridical.records import Correction, Prompt, Segment, SegmentKind
from veridical.seeding import child_random
from veridical.world.answers import judge_answer
from veridical.world.claims import Claim
from veridical.world.descriptions import Mention
from veridical.world.inventory import COLOURS, NUMBER_WORDS, PLACES
from veridical.world.judge import Verdict, judge_description
from veridical.world.people.edits import Corrected, Edit, apply_edits, as_stated, restate, state
from veridical.world.people.person import PersonModel, judgement_id
from veridical.world.people.planning import plan_edits
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
        id=judgement_id(prompt, person, response_text),
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


def _correct_description(
    scene: Scene, text: str, person: PersonModel, rng: random.Random
) -> Corrected | None:
    verdict = judge_description(scene, text)
    edits = plan_edits(
        scene,
        text,
        verdict,
        notices=lambda place: rng.random() >= person.miss + person.late_miss * place / len(text),
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
        "number": tuple(NUMBER_WORDS),
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
