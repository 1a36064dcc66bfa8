"""One case on disk that all sides read: base, adapters, prompts, and responses to score."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from veridical.files import write_text_atomically
from veridical.models.hashing import model_hash
from veridical.models.loading import VisionLanguageModel, load_model
from veridical.models.lora import LoraRecipe, add_lora
from veridical.records import ImageRef, Prompt, read_records
from veridical.rewards.head import new_head
from veridical.rewards.model import RewardModel
from veridical.rewards.template import RewardTemplate
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.engines.hf import HfEngine
from veridical.training.ppo.engines.protocol import Sampled
from veridical.training.ppo.prompts import PpoPrompt
from veridical.training.ppo.roles import POLICY, Roles, build_roles
from veridical.training.run.checkpoints import save_trainable, trainable_parameters
from veridical.training.run.encoded_prompts import encode_all_prompts

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "photographs"))
from make_miniature import SIDE, make_miniature

SHAPES: dict[str, dict[str, int]] = {
    # LLaVA-1.5-7B with every width divided by 16 and every depth by 8; image size and patches
    # unchanged. The vocabulary is the tokenizer's, so that the head weighs about as little as in
    # the real model.
    "sixteenth": {
        "width": 256,
        "layers": 4,
        "vision_width": 64,
        "vision_layers": 3,
        "vocabulary": 0,
    },
    "tiny": {"width": 64, "layers": 2, "vision_width": 32, "vision_layers": 2, "vocabulary": 0},
}
LORA = LoraRecipe(rank=4, alpha=1)
"""LLaVA-RLHF's rank of 64 and its scale, the rank divided as the widths are."""
QUESTION_WORDS = 16
NOISE = 0.05
"""Spread of what is added to the adapters, without which policy, reference and value would all say
the same."""
_ROLES, _FIXED = "roles", "fixed.json"


def make_recipe(folder: Path, *, prompts: int, samples: int, tokens: int, micro: int) -> PpoRecipe:
    """One optimiser step per rollout, too small to change the weights: all rounds start equal."""
    return PpoRecipe.model_validate(
        {
            "model": {"base": str(folder / "base"), "device": "cpu", "lora": LORA.model_dump()},
            "data": {"prompts": str(folder / "prompts.jsonl")},
            "rollout": {
                "prompts": prompts,
                "samples": samples,
                "max_new_tokens": tokens,
                "batch_size": prompts,
                "score_batch_size": micro,
            },
            "value": {"kind": "adapter", "lora": LORA.model_dump()},
            "train": {
                "learning_rate": 1e-12,
                "batch_size": prompts,
                "micro_batch_size": micro,
                "ppo_epochs": 1,
                "schedule": "constant",
                "warmup_ratio": 0.0,
            },
        }
    )


def write_case(folder: Path, *, shape: str, recipe: PpoRecipe, iterations: int) -> dict[str, int]:
    """Write everything into a folder; give the sizes that a reader wants to know."""
    make_miniature(folder / "base", **SHAPES[shape])
    bare = load_model(folder / "base", device="cpu")
    records = _make_prompts(bare, folder / "images", count=iterations * recipe.rollout.prompts)
    write_text_atomically(
        folder / "prompts.jsonl", "".join(record.model_dump_json() + "\n" for record in records)
    )
    base_hash = model_hash(bare.model)
    rewarding = add_lora(bare, LORA, name="reward")
    _disturb(rewarding.model, seed=1)
    template = RewardTemplate(facts_position="none")
    RewardModel(rewarding, new_head(rewarding), template, adapter="reward").save(
        folder / "reward", base=str(folder / "base"), base_hash=base_hash
    )
    roles = build_roles(recipe, cache=folder / "cache")
    roles.attach_head()
    _disturb(roles.vlm.model, seed=2)
    save_trainable(roles.vlm.model, folder / "learning.safetensors")
    trained = sum(p.numel() for p in trainable_parameters(roles.vlm.model).values())
    roles.detach_head()
    roles.save(folder / _ROLES)
    prompts = encode(roles, records[: recipe.rollout.prompts])
    streams = [[1000 * n + k for k in range(recipe.rollout.samples)] for n in range(len(prompts))]
    sampled = HfEngine(roles, recipe.rollout).sample(prompts, streams)
    (folder / _FIXED).write_text(json.dumps([list(one) for one in sampled]), encoding="utf-8")
    inner = roles.vlm.model
    return {
        "prompts": recipe.rollout.prompts,
        "responses_a_prompt": recipe.rollout.samples,
        "prompt_tokens": max(one.encoded.prompt["input_ids"].shape[1] for one in prompts),
        "response_tokens_at_most": recipe.rollout.max_new_tokens,
        "prompts_in_memory": recipe.train.micro_batch_size,
        "language_model_weights": sum(
            p.numel() for n, p in inner.named_parameters() if _is_language(n)
        ),
        "vision_weights": sum(
            p.numel() for n, p in inner.named_parameters() if "vision_tower" in n
        ),
        "adapter_weights_of_policy_and_value": trained,
        "vocabulary": roles.vlm.model.config.get_text_config().vocab_size,
    }


def _is_language(name: str) -> bool:
    return (
        "vision_tower" not in name and "multi_modal_projector" not in name and "lora_" not in name
    )


def _make_prompts(vlm: VisionLanguageModel, folder: Path, *, count: int) -> list[Prompt]:
    """As many questions of random words, each about an image of its own: noise."""
    folder.mkdir()
    tokens = vlm.tokenizer.get_vocab()
    words = sorted(token[1:] for token in tokens if token.startswith("Ġ") and token[1:].isascii())
    words = [word for word in words if len(word) > 2 and word.isalpha()]
    draw = random.Random(0)
    records = []
    for number in range(count):
        path = folder / f"{number}.png"
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        question = " ".join(draw.choices(words, k=QUESTION_WORDS))
        records.append(Prompt(id=f"p{number}", image=ImageRef(path=str(path)), question=question))
    return records


@torch.no_grad()
def _disturb(model: nn.Module, *, seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in trainable_parameters(model).values():
        parameter.add_(NOISE * torch.randn_like(parameter))


def encode(roles: Roles, records: list[Prompt], *, keep_features: bool = True) -> list[PpoPrompt]:
    """Prompts as tensors; with the features of their images, or with the pixels."""
    features: Any = roles.features if keep_features else None
    return list(map(PpoPrompt, records, encode_all_prompts(roles.vlm, records, features)))


def read_prompts(folder: Path) -> list[Prompt]:
    """All prompts of the case."""
    return list(read_records(folder / "prompts.jsonl", Prompt))


def read_fixed(folder: Path) -> list[Sampled]:
    """Responses to the first prompts, the same for all sides."""
    rows = json.loads((folder / _FIXED).read_text(encoding="utf-8"))
    return [Sampled(responses, finished) for responses, finished in rows]


def adapter_folder(folder: Path, role: str) -> Path:
    """Where the case keeps the adapter of a role, and the value's head."""
    return folder / _ROLES / ("adapter" if role == POLICY else role)
