"""Scenes of the world as reports show them: enlarged, described, and with faults marked."""

import io

from PIL import Image

from veridical.report.inputs import (
    MarkedText,
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
