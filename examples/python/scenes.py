"""A few drawn scenes, each with a true and a wrong description: data for the examples here.

Put your own pictures and texts in their place: rows with the same keys, from anywhere.
"""

import random

from veridical.world.descriptions import caption_with_noise, describe
from veridical.world.judge import judge_description
from veridical.world.scenes import render, sample_scenes

QUESTION = "Describe the picture in detail."


def make_rows(count: int) -> list[dict]:
    """Make rows with `prompt`, `image` (a PIL image), `chosen`, `rejected` and `facts`."""
    rng = random.Random(0)
    rows = []
    for scene in sample_scenes(0, "example", 10 * count):
        chosen, rejected = describe(scene, rng), caption_with_noise(scene, rng)
        if not judge_description(scene, rejected).hallucinates:
            continue
        texts = {"chosen": chosen, "rejected": rejected, "facts": list(scene.facts().texts)}
        rows.append({"prompt": QUESTION, "image": render(scene), **texts})
        if len(rows) == count:
            break
    return rows
