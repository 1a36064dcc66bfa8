"""A small file of corrections, and a recipe over it."""

import pytest

from correction_files import write_corrections
from veridical.config import resolve_recipe
from veridical.training.preference_config import PreferenceRecipe


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
