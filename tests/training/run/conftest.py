"""A recipe for each method, small enough to run in several processes."""

import pytest

from comparison_files import write_comparisons
from conversation_files import talk, write_conversations
from prompt_files import write_prompts
from veridical.config import resolve_recipe, write_recipe
from veridical.training.reward.config import RewardRecipe
from veridical.training.sft.config import SftRecipe


@pytest.fixture
def recipes(make_recipe, make_ppo_recipe, tiny_llava_path, tmp_path):
    """A recipe for each method; no number of rows is a multiple of what a step takes."""
    model = {"base": str(tiny_llava_path), "device": "cpu", "lora": {"rank": 4}}
    train = {"learning_rate": 3e-3, "batch_size": 4, "micro_batch_size": 1, "epochs": 1}
    talks = write_conversations(tmp_path / "talks", count=11)
    held = write_prompts(tmp_path / "held", count=3, name="held")

    def fine_tuning(data, **changes):
        sections = {
            "model": {**model, "tuning": "full"},
            "data": {"conversations": str(data), "validation_fraction": 0.34},
            "train": {**train, **changes},
        }
        return resolve_recipe(sections, SftRecipe)

    texts = [talk(number, image=None) for number in range(20, 25)]
    mixed = write_conversations(tmp_path / "mixed", count=6, rows=texts)
    made = {
        # 1 or 2 of 4 rows at once, so that a process goes without a row
        "sft": fine_tuning(talks, micro_batch_tokens=60),
        "texts": fine_tuning(mixed, micro_batch_tokens=60),
        "bf16": fine_tuning(mixed, bf16=True, max_steps=1),
        "dpo": make_recipe(
            model={"tuning": "lora"},
            sft={"conversations": str(talks), "batch_size": 3, "validation_fraction": 0.34},
            train={**train, "epochs": 2, "evaluation_steps": 2, "save_steps": 1},
        ),
        "reward": resolve_recipe(
            {
                "model": model,
                "data": {
                    "comparisons": str(write_comparisons(tmp_path / "comparisons", count=10)),
                    "validation_fraction": 0.34,
                },
                "template": {"name": "world"},
                "train": train,
            },
            RewardRecipe,
        ),
        "ppo": make_ppo_recipe(
            data={"held_out": str(held)},
            kl={"target": 0.5, "horizon": 8},
            train={"micro_batch_size": 1, "evaluation_iterations": 1, "cache": ""},
        ),
    }
    for name, recipe in made.items():
        write_recipe(recipe, tmp_path / f"{name}.toml")
    return made
