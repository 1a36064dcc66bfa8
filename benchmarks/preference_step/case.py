"""One case on disk that all sides read: base model, perturbed policy and a batch of pairs.

The batch is what TRL's own collator for vision makes of the pairs: chosen rows, then rejected rows,
left-flushed.
"""

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from veridical.models.branches import BranchBatch
from veridical.models.loading import VisionLanguageModel, load_model
from veridical.models.lora import LoraRecipe, add_lora, freeze
from veridical.training.run.checkpoints import load_trainable, save_trainable, trainable_parameters

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "photographs"))
from make_miniature import make_miniature

BETA = 0.1
PROMPT_TOKENS = 601
RESPONSE_TOKENS = 100
CHANGED_WORDS = 12
LORA = LoraRecipe(rank=64, alpha=16)
SHAPES: dict[str, dict[str, int]] = {
    # LLaVA-1.5-7B with every width divided by 8 and every depth by 4; image size, patches and
    # vocabulary unchanged.
    "eighth": {
        "width": 512,
        "layers": 8,
        "vision_width": 128,
        "vision_layers": 6,
        "vocabulary": 32_064,
    },
    # Weights of the layers are then 1/256; with the vocabulary divided by 32 the head keeps its
    # share of them, 2 %.
    "eighth-small-head": {
        "width": 512,
        "layers": 8,
        "vision_width": 128,
        "vision_layers": 6,
        "vocabulary": 1_002,
    },
    "tiny": {"width": 64, "layers": 2, "vision_width": 32, "vision_layers": 2, "vocabulary": 0},
}


def write_case(
    folder: Path, *, shape: str, tuning: str, pairs: int, seed: int = 0
) -> dict[str, int]:
    """Write base, policy and batch into a folder; give the sizes that a reader wants to know."""
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

    make_miniature(folder / "base", **SHAPES[shape])
    vlm = load_policy(folder, tuning=tuning, perturbed=False)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in trainable_parameters(vlm.model).values():
            parameter.add_(
                0.02 * torch.randn_like(parameter)
            )  # else policy and reference would agree
    save_trainable(vlm.model, folder / "policy.safetensors")
    batch = DataCollatorForVisionPreference(processor=vlm.processor)(
        make_examples(vlm, pairs=pairs, seed=seed)
    )
    tensors = {key: value.contiguous() for key, value in batch.items()}
    save_file(tensors, folder / "batch.safetensors")
    completion = tensors["completion_mask"].sum(1)
    return {
        "pairs": pairs,
        "prompt_tokens": int((tensors["attention_mask"].sum(1) - completion).max()),
        "response_tokens": int(completion.max()),
        "language_model_weights": sum(
            p.numel() for n, p in vlm.model.named_parameters() if _is_language(n)
        ),
        "vision_weights": sum(
            p.numel() for n, p in vlm.model.named_parameters() if "vision_tower" in n
        ),
        "trained_weights": sum(p.numel() for p in trainable_parameters(vlm.model).values()),
        "vocabulary": vlm.model.config.get_text_config().vocab_size,
    }


def _is_language(name: str) -> bool:
    return (
        "vision_tower" not in name and "multi_modal_projector" not in name and "lora_" not in name
    )


def make_examples(vlm: VisionLanguageModel, *, pairs: int, seed: int) -> list[dict[str, Any]]:
    """Pairs as TRL wants them: noise as images, one-token words, a dozen of them changed."""
    words = sorted(w for w in _words(vlm) if len(vlm.tokenizer.tokenize(" " + w)) == 1)
    draw = random.Random(seed)
    examples = []
    for number in range(pairs):
        pixels = np.random.default_rng(seed + number).integers(
            0, 256, (336, 336, 3), dtype=np.uint8
        )
        right = draw.choices(
            words, k=RESPONSE_TOKENS - 1
        )  # the template puts a space behind, one token
        wrong = list(right)
        for place in draw.sample(range(len(wrong)), CHANGED_WORDS):
            wrong[place] = draw.choice([word for word in words if word != wrong[place]])
        examples.append(
            {
                "images": [Image.fromarray(pixels)],
                "prompt": [
                    {
                        "role": "user",
                        "content": _question(vlm, draw.choices(words, k=PROMPT_TOKENS)),
                    }
                ],
                "chosen": [{"role": "assistant", "content": " ".join(right)}],
                "rejected": [{"role": "assistant", "content": " ".join(wrong)}],
            }
        )
    return examples


def _question(vlm: VisionLanguageModel, words: list[str]) -> str:
    """As many words as make the prompt `PROMPT_TOKENS` long."""
    around = len(vlm.tokenizer.tokenize("USER: <image>\n" + words[0] + " ASSISTANT:")) + 24**2 - 1
    return " ".join(words[: PROMPT_TOKENS - around + 1])


def _words(vlm: VisionLanguageModel) -> set[str]:
    return {
        t[1:]
        for t in vlm.tokenizer.get_vocab()
        if t.startswith("Ġ") and t[1:].isascii() and t[1:].isalpha()
    }


def load_policy(folder: Path, *, tuning: str, perturbed: bool = True) -> VisionLanguageModel:
    """The base with an adapter on top (lora), or with language model and projector open (full)."""
    vlm = load_model(folder / "base", device="cpu")
    if tuning == "lora":
        vlm = add_lora(vlm, LORA)
    else:
        freeze(vlm.model)
    if perturbed:
        load_trainable(vlm.model, folder / "policy.safetensors")
    vlm.model.train()
    return vlm


def load_batch(folder: Path) -> dict[str, Tensor]:
    """The batch as TRL's collator made it."""
    return load_file(folder / "batch.safetensors")


def as_branches(batch: dict[str, Tensor]) -> BranchBatch:
    """The same tokens as prompts with two branches, chosen and rejected."""
    pairs = len(batch["input_ids"]) // 2
    ids, attention, completion = (
        batch[key] for key in ("input_ids", "attention_mask", "completion_mask")
    )
    response = completion.bool().reshape(2, pairs, -1).transpose(0, 1)  # (B 2 L)
    first = response.int().argmax(
        -1, keepdim=True
    )  # where the response begins; the prompt fills the row before
    if not (first == first[0, 0]).all():
        raise ValueError("the case must have prompts of one length")
    start = int(first[0, 0])
    prompt = {
        "input_ids": ids[:pairs, :start],
        "attention_mask": attention[:pairs, :start],
        "pixel_values": batch["pixel_values"][:pairs],
    }
    rows = ids.reshape(2, pairs, -1).transpose(0, 1)
    return BranchBatch(prompt, rows[..., start:].contiguous(), response[..., start:].contiguous())
