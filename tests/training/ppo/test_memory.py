"""The memory report counts a miniature as one would by hand, and what four copies take."""

import pytest
import torch

from veridical.config import resolve_recipe
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.memory import memory_report
from veridical.training.ppo.roles import build_roles

RANK, PROMPT_TOKENS = 2, 30


def report_of(base, cache, **train):
    recipe = resolve_recipe(
        {
            "model": {"base": str(base), "device": "cpu", "lora": {"rank": RANK}},
            "data": {"prompts": "prompts.jsonl"},
            "value": {"lora": {"rank": RANK}},
            "rollout": {"prompts": 8, "samples": 3, "max_new_tokens": 10},
            "train": {"batch_size": 8, "micro_batch_size": 4, **train},
        },
        PpoRecipe,
    )
    roles = build_roles(recipe, cache=cache)
    return roles, memory_report(roles, recipe, prompt_tokens=PROMPT_TOKENS)


def test_every_role_is_counted_as_by_hand(tiny_llava_path, tmp_path):
    roles, report = report_of(tiny_llava_path, tmp_path)
    config = roles.vlm.model.config.get_text_config()
    width, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    keys = width // config.num_attention_heads * config.num_key_value_heads
    # q and o, k and v, gate and up, down: (inputs + outputs) of each times the rank, four bytes a
    # weight
    adapter = 4 * RANK * layers * (2 * (width + width) + 2 * (width + keys) + 3 * (width + inner))
    costs = {role.role: role for role in report.roles}
    assert list(costs) == ["base", "policy", "value"]
    assert costs["policy"][1:4] == (adapter, adapter, 2 * adapter)
    learnt = adapter + 4 * (width + 1)  # the value has a head
    assert costs["value"][1:4] == (learnt, learnt, 2 * learnt)
    base = (
        sum(p.numel() for name, p in roles.vlm.model.named_parameters() if "lora_" not in name) * 4
    )
    assert costs["base"][1:] == (base, 0, 0, 0)
    # 34 bytes in half precision, 68 in float32, for each token, layer and unit of width
    kept = 4 * (PROMPT_TOKENS + 3 * 10) * width * layers * 68
    assert costs["policy"].activations == costs["value"].activations == kept
    assert (
        report.bytes == base + 4 * adapter + 4 * learnt + kept
    )  # one role's activations at a time

    tower = (
        sum(p.numel() for name, p in roles.vlm.model.named_parameters() if "vision_tower" in name)
        * 4
    )
    assert [role.role for role in report.four_copies] == ["policy", "reference", "value", "reward"]
    assert report.four_copies_bytes == 4 * base + 2 * 3 * (base - tower) + kept
    assert report.share == pytest.approx(report.bytes / report.four_copies_bytes)
    assert "four full copies" in report.lines()[-1]


def test_checkpointing_and_half_precision_are_reckoned(tiny_llava_path, tmp_path):
    _, plain = report_of(tiny_llava_path, tmp_path)
    roles, half = report_of(tiny_llava_path, tmp_path, bf16=True)
    _, checkpointed = report_of(tiny_llava_path, tmp_path, bf16=True, gradient_checkpointing=True)
    config = roles.vlm.model.config.get_text_config()
    assert half.roles[1].activations * 2 == plain.roles[1].activations
    unit = 4 * (PROMPT_TOKENS + 30) * config.hidden_size
    assert checkpointed.roles[1].activations == unit * (2 * config.num_hidden_layers + 34)
    assert roles.vlm.dtype == torch.float32
