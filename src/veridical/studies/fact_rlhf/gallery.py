"""Scenes of the Fact-RLHF report: the responses of each policy along its way up the KL axis."""

from collections.abc import Sequence

from veridical.report.fact_rlhf_inputs import (
    Climb,
    ClimbScene,
    ClimbStep,
)
from veridical.studies.fact_rlhf.curves import RunCurve
from veridical.studies.illustrations import alt_text, mark_faults, picture
from veridical.world.scenes import Scene

_GALLERY_SCENES = 6


_CLIMB_STEPS = 4


LABELS = {"rlhf": "RLHF, without facts", "fact_rlhf": "Fact-RLHF"}
"""What reports call the policies, by arm."""


def describe_gallery(curves: Sequence[RunCurve]) -> tuple[ClimbScene, ...]:
    """Describe the first held-out scenes with responses of each policy of the first seed."""
    shown = [curve for curve in curves if curve.seed == 0 and curve.points]
    if not shown:
        return ()
    asked = {one.prompt.id: one for one in shown[0].asked if one.question is None}
    scenes: list[ClimbScene] = []
    for number, prompt in enumerate(shown[0].points[0].prompts):
        if prompt.id not in asked or len(scenes) == _GALLERY_SCENES:
            continue
        scene = asked[prompt.id].scene
        scenes.append(
            ClimbScene(
                scene_id=scene.id,
                context=scene.context,
                image=picture(scene),
                alt=alt_text(scene),
                question=asked[prompt.id].prompt.question,
                climbs=tuple(
                    Climb(label=LABELS[curve.arm], steps=tuple(_climb(curve, number, scene)))
                    for curve in shown
                ),
            )
        )
    return tuple(scenes)


def _climb(curve: RunCurve, number: int, scene: Scene) -> list[ClimbStep]:
    count = len(curve.points)
    picked = sorted(
        {round(place * (count - 1) / max(1, _CLIMB_STEPS - 1)) for place in range(_CLIMB_STEPS)}
    )
    return [
        ClimbStep(
            step=curve.points[place].step,
            kl=curve.points[place].kl,
            response=mark_faults(scene, curve.points[place].prompts[number].response),
            proxy=curve.points[place].prompts[number].proxy,
            judge=curve.points[place].prompts[number].judge,
        )
        for place in picked
        if place < count
    ]
