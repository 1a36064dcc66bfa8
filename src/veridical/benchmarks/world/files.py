"""The embedded world in published formats: POPE, CHAIR, MMHal-Bench and AMBER on drawn scenes.

A model of the world then runs through the very code that scores a large model on photographs. What
differs from the originals is said where it is made: the words, the questions that the world has,
the ids.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from veridical.benchmarks.world.items import WorldItem, build_world_benchmark
from veridical.benchmarks.world.judge import write_mmhal_responses
from veridical.files import JsonObject, write_json_atomically, write_text_atomically
from veridical.progress import track
from veridical.records import Response, write_records
from veridical.seeding import child_random
from veridical.world.descriptions import DESCRIPTION_QUESTIONS
from veridical.world.export import save_image
from veridical.world.inventory import OBJECTS, with_article
from veridical.world.scenes import Scene, sample_scenes

POPE_SPLITS = ("random", "popular", "adversarial")
_COUNTED_SCENES = 4000
"""Scenes, of a split of their own, from which POPE's popular and adversarial objects are known."""
_PER_IMAGE = 3
"""POPE: up to three objects that are there and as many that are not, an image."""
_RECIPE = """# For `veridical evaluate`: the world's base model on the world in five formats.
# Add [[models]] to compare.
out = {out}

[[models]]
name = "base"
model = "world"

# [[models]]
# name = "aligned"
# model = "world"
# adapter = "RUN/adapter"

[[benchmarks]]
benchmark = "world"
reference = {items}
{pope}
[[benchmarks]]
benchmark = "chair"
questions = {chair_questions}
reference = {chair}
options = {{ words = {words} }}
max_new_tokens = 96

[[benchmarks]]
benchmark = "mmhal"
questions = {mmhal}
world_items = {items}
max_new_tokens = 96

[[benchmarks]]
benchmark = "amber"
reference = {amber}
images = {images}
variants = ["official", "corrected"]
options = {{ nouns = "lexicon", similarity = "exact" }}
max_new_tokens = 96
"""


class WorldFiles(NamedTuple):
    """What was written."""

    folder: Path
    """The folder."""
    items: int
    """Items of the world's own benchmark."""
    recipe: Path
    """A recipe that runs them all."""


def write_world_benchmarks(
    out: Path,
    *,
    split: str = "test",
    scenes: int = 500,
    probe_scenes: int = 250,
    questions_per_type: int = 24,
    seed: int = 0,
) -> WorldFiles:
    """Draw scenes and write them as benchmarks.

    Args:
        out: Gets `images/`, `items.jsonl` (the world's own benchmark), `pope-SPLIT.jsonl`,
            `chair-*`, `mmhal.json`, `amber/` and `evaluate.toml`.
        split: Which scenes; "train" and "validation" are those that the demo learns from and
            chooses on.
        scenes: Scenes to describe; POPE, CHAIR and AMBER ask about all of them.
        probe_scenes: How many of them the world's own yes/no probes ask about.
        questions_per_type: MMHal-style questions of each of the eight types; MMHal-Bench has 12.
        seed: Root seed.
    """
    items = build_world_benchmark(
        seed,
        split,
        n_scenes=scenes,
        n_probe_scenes=min(probe_scenes, scenes),
        n_per_type=questions_per_type,
    )
    drawn = {item.scene.id: item.scene for item in items}
    for scene in track(list(drawn.values()), label="draw scenes"):
        save_image(scene, out / "images")
    write_records(out / "items.jsonl", items, kind="WorldItem")
    described = [item.scene for item in items if item.prompt.task == "description"]
    counted = list(sample_scenes(seed, f"{split}-counted", _COUNTED_SCENES))
    for name in POPE_SPLITS:
        _write_rows(out / f"pope-{name}.jsonl", pope_rows(described, counted, name, seed=seed))
    _write_chair(out, items)
    silent = [
        Response(id=item.prompt.id, prompt_id=item.prompt.id, text="", model="")
        for item in items
        if item.question is not None
    ]
    write_mmhal_responses(out / "mmhal.json", items, silent)
    _write_amber(out / "amber", described)
    return WorldFiles(out, len(items), _write_recipe(out))


def pope_rows(
    scenes: Sequence[Scene], counted: Sequence[Scene], split: str, *, seed: int
) -> list[JsonObject]:
    """POPE's questions: up to three objects that are there, and as many that are not, an image.

    The absent ones are drawn as in POPE (arXiv 2305.10355, section 4): at random; the most frequent
    of all; those that most often occur with what is there. Objects whose turn has come equally
    often are ordered by name.

    Args:
        scenes: The images.
        counted: Scenes from which frequencies are known.
        split: "random", "popular" or "adversarial".
        seed: Root seed of the choices.
    """
    order = _absent_order(counted)[split]
    rows: list[JsonObject] = []
    for scene in scenes:
        rng = child_random(seed, "pope", split, scene.id)
        present = rng.sample(scene.nouns, min(_PER_IMAGE, len(scene.nouns)))
        absent = [noun for noun in order(scene) if noun not in scene.nouns]
        if split == "random":
            rng.shuffle(absent)
        for nouns, label in ((present, "yes"), (absent[: len(present)], "no")):
            for noun in nouns:
                text = f"Is there {with_article(noun)} in the picture?"
                rows.append(
                    {
                        "question_id": len(rows) + 1,
                        "image": f"{scene.id}.png",
                        "text": text,
                        "label": label,
                    }
                )
    return rows


def _absent_order(counted: Sequence[Scene]) -> Mapping[str, Callable[[Scene], list[str]]]:
    nouns = sorted(item.noun for item in OBJECTS)
    often = Counter(noun for scene in counted for noun in scene.nouns)
    together = Counter(
        (a, b) for scene in counted for a in scene.nouns for b in scene.nouns if a != b
    )

    def adversarial(scene: Scene) -> list[str]:
        return sorted(nouns, key=lambda noun: -sum(together[there, noun] for there in scene.nouns))

    by_frequency = sorted(nouns, key=lambda noun: -often[noun])
    return {
        "random": lambda _: list(nouns),
        "popular": lambda _: list(by_frequency),
        "adversarial": adversarial,
    }


def _write_chair(out: Path, items: Sequence[WorldItem]) -> None:
    described = [item for item in items if item.prompt.task == "description"]
    write_json_atomically(
        out / "chair-objects.json", {item.scene.id: list(item.scene.nouns) for item in described}
    )
    rows = [
        {"image_id": item.scene.id, "image": f"{item.scene.id}.png", "text": item.prompt.question}
        for item in described
    ]
    _write_rows(out / "chair-questions.jsonl", rows)
    lines = [", ".join(dict.fromkeys((item.noun, item.plural))) for item in OBJECTS]
    write_text_atomically(out / "chair-words.txt", "\n".join(lines) + "\n")


def _write_amber(folder: Path, scenes: Sequence[Scene]) -> None:
    """Write AMBER's files: the true nouns, absent typical objects as traps, and "is there" of each.

    The world's base model was taught no yes/no questions but "is there", so that there are no
    attributes or relations.
    """
    annotations: list[JsonObject] = []
    generative: list[JsonObject] = []
    existence: list[JsonObject] = []
    for scene in scenes:
        number = len(annotations) + 1
        truth, traps = list(scene.nouns), list(scene.typical_absent())
        annotations.append({"id": number, "type": "generative", "truth": truth, "hallu": traps})
        text = child_random(0, "amber", scene.id).choice(DESCRIPTION_QUESTIONS)
        generative.append({"id": number, "image": f"{scene.id}.png", "query": text})
    for scene in scenes:
        for noun in scene.typical_absent():
            number = len(annotations) + 1
            annotations.append(
                {"id": number, "type": "discriminative-hallucination", "truth": "no"}
            )
            query = f"Is there {with_article(noun)} in the picture?"
            existence.append({"id": number, "image": f"{scene.id}.png", "query": query})
    related = {item.noun: [item.plural] if item.plural != item.noun else [] for item in OBJECTS}
    write_json_atomically(folder / "annotations.json", annotations)
    write_json_atomically(folder / "relation.json", related)
    write_text_atomically(folder / "safe_words.txt", "")
    write_json_atomically(folder / "query" / "query_generative.json", generative)
    write_json_atomically(folder / "query" / "query_discriminative-existence.json", existence)


def _write_recipe(out: Path) -> Path:
    def quoted(name: str) -> str:
        return json.dumps(str(out.absolute() / name), ensure_ascii=False)

    pope = "".join(
        f'\n[[benchmarks]]\nbenchmark = "pope"\nname = "pope-{split}"\nquestions ='
        f' {quoted(f"pope-{split}.jsonl")}\nvariants = ["official", "strict"]\n'
        for split in POPE_SPLITS
    )
    text = _RECIPE.format(
        out=quoted("evaluation"),
        items=quoted("items.jsonl"),
        pope=pope,
        chair_questions=quoted("chair-questions.jsonl"),
        chair=quoted("chair-objects.json"),
        words=quoted("chair-words.txt"),
        mmhal=quoted("mmhal.json"),
        amber=quoted("amber"),
        images=quoted("images"),
    )
    return write_text_atomically(out / "evaluate.toml", text)


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    write_text_atomically(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
