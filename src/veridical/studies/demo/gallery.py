"""Scenes of the demo's report: the first ones as they came, and the one of the first screen."""

from veridical.benchmarks.world.evaluation import WorldEvaluation
from veridical.report.inputs import (
    ShownScene,
)
from veridical.studies.illustrations import alt_text, mark_faults, picture
from veridical.world.judge import judge_description

GALLERY_SCENES = 18


def show_scene(before: WorldEvaluation, after: WorldEvaluation, number: int) -> ShownScene:
    """Show a test scene with the responses before and after."""
    item = before.items[number]
    return ShownScene(
        scene_id=item.scene.id,
        context=item.scene.context,
        image=picture(item.scene),
        alt=alt_text(item.scene),
        question=item.prompt.question,
        before=mark_faults(item.scene, before.responses[number].text),
        after=mark_faults(item.scene, after.responses[number].text),
    )


def find_showcase(before: WorldEvaluation, after: WorldEvaluation) -> int:
    """Find the first test scene where the base invents an object and the aligned model is right."""
    for number, responses in enumerate(zip(before.responses, after.responses, strict=True)):
        item = before.items[number]
        if item.question is not None:
            break
        first, second = (judge_description(item.scene, one.text) for one in responses)
        if (
            any(fault.kind == "object" for fault in first.faults)
            and not second.faults
            and not second.missed
        ):
            return number
    return 0
