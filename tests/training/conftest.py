"""A small file of corrections, and a recipe over it."""

import pytest
import torch

from correction_files import write_corrections
from prompt_files import write_prompts
from veridical.config import resolve_recipe
from veridical.training.ppo.config import PpoRecipe
from veridical.training.preference.config import PreferenceRecipe


@pytest.fixture(scope="session")
def corrections_path(tmp_path_factory):
    return write_corrections(tmp_path_factory.mktemp("corrections"))


@pytest.fixture
def make_recipe(tiny_llava_path, corrections_path):
    """Make a small recipe; keyword arguments are overrides by section."""

    def make(**sections):
        data = {
            "model": {
                "base": str(tiny_llava_path),
                "tuning": "full",
                "device": "cpu",
                "lora": {"rank": 4},
            },
            "data": {"corrections": str(corrections_path), "validation_fraction": 0.34},
            "objective": {"beta": 2.0},
            "train": {"learning_rate": 1e-3, "batch_size": 4, "micro_batch_size": 2, "epochs": 2},
        }
        for name, values in sections.items():
            data[name] = {**data.get(name, {}), **values} if isinstance(values, dict) else values
        return resolve_recipe(data, PreferenceRecipe)

    return make


@pytest.fixture(scope="session")
def prompts_path(tmp_path_factory):
    return write_prompts(tmp_path_factory.mktemp("prompts"))


@pytest.fixture
def make_ppo_recipe(tiny_llava_path, prompts_path, tmp_path):
    """Make a small recipe of PPO; keyword arguments are overrides by section."""

    def make(**sections):
        data = {
            "model": {"base": str(tiny_llava_path), "device": "cpu", "lora": {"rank": 4}},
            "data": {"prompts": str(prompts_path)},
            "rollout": {
                "prompts": 4,
                "samples": 2,
                "max_new_tokens": 6,
                "batch_size": 2,
                "score_batch_size": 2,
            },
            "value": {"lora": {"rank": 2}, "coefficient": 0.5},
            "train": {
                "learning_rate": 1e-2,
                "batch_size": 2,
                "micro_batch_size": 2,
                "iterations": 2,
                "warmup_ratio": 0.0,
                "schedule": "constant",
                "cache": str(tmp_path / "cache"),
            },
        }
        for name, values in sections.items():
            data[name] = {**data.get(name, {}), **values} if isinstance(values, dict) else values
        return resolve_recipe(data, PpoRecipe)

    return make


@pytest.fixture
def one_thread():
    """Sums are added up in the same order in every process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
