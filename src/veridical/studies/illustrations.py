"""Scenes of the world as reports show them: enlarged, described, and with faults marked."""

import io

from PIL import Image

from veridical.benchmarks.world.evaluation import WorldEvaluation
from veridical.report.inputs import (
    MarkedText,
    ShownScene,
    Span,
)
from veridical.world import scenes as world_scenes
from veridical.world.judge import judge_description

_ENLARGED = 3


def mark_faults(scene: world_scenes.Scene, text: str) -> MarkedText:
    """Mark the words of a description that the picture does not show."""
    spans: list[Span] = []
    for fault in judge_description(scene, text).faults:
        start, end = fault.span
        if not spans or start >= spans[-1].end:
            truth = "" if fault.truth is None else str(fault.truth)
            spans.append(Span(start=start, end=end, kind=fault.kind, truth=truth))
    return MarkedText(text=text, spans=tuple(spans))


def picture(scene: world_scenes.Scene) -> bytes:
    """Draw a scene three times as large, pixels kept sharp, as PNG."""
    drawn = world_scenes.render(scene)
    side = world_scenes.IMAGE_PIXELS * _ENLARGED
    file = io.BytesIO()
    drawn.resize((side, side), Image.Resampling.NEAREST).quantize(128).save(
        file, format="PNG", optimize=True
    )
    return file.getvalue()


def alt_text(scene: world_scenes.Scene) -> str:
    """Describe what a scene shows."""
    return f"Drawn scene: {'; '.join(scene.facts().texts)}."


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
