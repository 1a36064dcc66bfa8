"""A small file of corrections with its images, and a recipe over it."""

import pytest

from veridical.config import resolve_recipe
from veridical.records import Correction, ImageRef, write_records
from veridical.training.preference_config import PreferenceRecipe

ROWS = [
    ("There is a red car on the left.", "There is a blue car on the left."),
    ("Two dogs near the tree. A cat sleeps on the sofa.", "Two dogs near the tree."),
    ("A yellow lamp.", "A yellow lamp and three green cups."),
    ("The kitchen has a large table, three green cups.", "The kitchen has a small table, two green cups."),
    ("A man rides a blue bicycle.", "A man rides a red bicycle along the street."),
    ("Yes, there is a knife.", "No, there is no knife in the image."),
]


def write_corrections(folder, *, count=12):
    """Write `count` corrections about `count // 2` images."""
    from miniatures import picture

    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        name = f"images/{number // 2}.png"
        if not (folder / name).exists():
            picture(number // 2).save(folder / name)
        rejected, chosen = ROWS[number % len(ROWS)]
        rows.append(
            Correction(
                id=f"c{number}", prompt_id=f"p{number // 2}", source="simulated", image=ImageRef(path=name),
                question="What is in the picture?", rejected=rejected, chosen=chosen,
            )  # fmt: skip
        )
    return write_records(folder / "corrections.jsonl", rows, kind="Correction")


@pytest.fixture(scope="session")
def corrections_path(tmp_path_factory):
    return write_corrections(tmp_path_factory.mktemp("corrections"))


@pytest.fixture
def make_recipe(tiny_llava_path, corrections_path):
    """Make a small recipe; keyword arguments are overrides by section."""

    def make(**sections):
        data = {
            "model": {"base": str(tiny_llava_path), "tuning": "full", "device": "cpu", "lora": {"rank": 4}},
            "data": {"corrections": str(corrections_path), "validation_fraction": 0.34},
            "objective": {"beta": 2.0},
            "train": {"learning_rate": 1e-3, "batch_size": 4, "micro_batch_size": 2, "epochs": 2},
        }
        for name, values in sections.items():
            data[name] = {**data.get(name, {}), **values} if isinstance(values, dict) else values
        return resolve_recipe(data, PreferenceRecipe)

    return make
