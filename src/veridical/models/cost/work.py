"""Operations and bytes of a forward, a training step and a decoding step, from a model's shape.

A product of one token with N weights takes 2N operations, its gradient by the token another 2N, its
gradient by the weights another 2N where they learn (Kaplan et al. 2020, arXiv 2001.08361). Beside
the products a layer reads and writes its activations many times: norms, activation functions,
adapters, residuals. Those passes move bytes, and hardly compute.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

_HALF = 2
"""Bytes of a number in bfloat16."""


class LanguageShape(NamedTuple):
    """The part of a vision-language model that reads tokens."""

    layers: int
    """How many decoder layers."""
    width: int
    """Width of the residual stream, D."""
    mlp: int
    """Width within the MLP."""
    key_values: int
    """Width of keys, and of values: heads of keys times their width."""
    vocabulary: int
    """Size of the vocabulary, V."""

    @property
    def weights(self) -> int:
        """Weights that each token is multiplied with, without those of the vocabulary."""
        attention = 2 * self.width * (self.width + self.key_values)
        return self.layers * (attention + 3 * self.width * self.mlp)

    def adapter(self, rank: int) -> int:
        """Weights of a LoRA adapter of this rank on all linear layers."""
        attention = 2 * (2 * self.width) + 2 * (self.width + self.key_values)
        return self.layers * rank * (attention + 3 * (self.width + self.mlp))

    @property
    def cache_bytes(self) -> int:
        """Bytes of keys and values per token, in bfloat16."""
        return 2 * self.layers * self.key_values * _HALF

    @property
    def pass_bytes(self) -> int:
        """Bytes of a pass over the residual stream per token: once in each layer, in bfloat16."""
        return self.layers * self.width * _HALF


def shape_of(config: Mapping[str, Any]) -> LanguageShape:
    """The shape that the `text_config` of a model's `config.json` describes (Llama, Qwen, …)."""
    heads = config["num_attention_heads"]
    head = config.get("head_dim") or config["hidden_size"] // heads
    return LanguageShape(
        layers=config["num_hidden_layers"],
        width=config["hidden_size"],
        mlp=config["intermediate_size"],
        key_values=head * config.get("num_key_value_heads", heads),
        vocabulary=config["vocab_size"],
    )


LLAVA_7B = LanguageShape(layers=32, width=4096, mlp=11008, key_values=4096, vocabulary=32064)
"""LLaVA-1.5-7B's language model (Vicuna)."""
IMAGE_OPERATIONS = 2 * 303e6 * 577
"""Operations of CLIP ViT-L/14 at 336 pixels for one image: 303 M weights, 577 places."""

# Passes over activations beside the products, per token and layer, in widths of the residual
# stream. Calibrated on the steps of 2026-11-27 (`measured.py` says on which), not counted.
LEARNING_PASSES = {"casts": 525.0, "eager": 400.0, "compiled": 60.0}
"""A forward and its backward through an adapter: "casts" as PEFT casts its inputs to float32,
"eager" without, "compiled" with the decoder's layers compiled."""
READING_PASSES = 65.0
"""A forward without gradients or adapter."""


class Work(NamedTuple):
    """What is to be done on a card."""

    operations: float
    """Operations of products of matrices."""
    bytes: float
    """Bytes read and written beside them."""

    def times(self, factor: float) -> "Work":
        """So many times as much."""
        return Work(self.operations * factor, self.bytes * factor)

    def plus(self, other: "Work") -> "Work":
        """Both, one after the other."""
        return Work(self.operations + other.operations, self.bytes + other.bytes)


def reading(shape: LanguageShape, tokens: float, *, scored: float = 0) -> Work:
    """Work of a forward without gradients.

    Args:
        shape: The model.
        tokens: Tokens that are read.
        scored: Tokens among them whose probabilities are computed, over the vocabulary.
    """
    operations = 2 * (tokens * shape.weights + scored * shape.width * shape.vocabulary)
    return Work(operations, tokens * shape.pass_bytes * READING_PASSES)


def learning(
    shape: LanguageShape,
    tokens: float,
    *,
    scored: float,
    rank: int,
    how: str = "eager",
    checkpointing: bool = False,
) -> Work:
    """Work of a forward and backward of a LoRA adapter over a frozen base.

    Args:
        shape: The model.
        tokens: Tokens that are read.
        scored: Tokens among them whose probabilities are computed, over the vocabulary.
        rank: The adapter's rank.
        how: "casts", "eager" or "compiled" (`LEARNING_PASSES`).
        checkpointing: Activations are computed a second time in the backward pass.
    """
    frozen = tokens * shape.weights + scored * shape.width * shape.vocabulary
    operations = 4 * frozen + 6 * tokens * shape.adapter(rank)
    work = Work(operations, tokens * shape.pass_bytes * LEARNING_PASSES[how])
    # A third of what a step moves is moved in its forward.
    again = Work(2 * frozen, work.bytes / 3)
    return work.plus(again) if checkpointing else work


def encoding_images(count: float) -> Work:
    """Work of CLIP ViT-L/14 at 336 pixels on so many images."""
    return Work(IMAGE_OPERATIONS * count, count * 577 * 24 * 1024 * _HALF * READING_PASSES)


def decoding_bytes(shape: LanguageShape, *, rows: float, context: float) -> float:
    """Bytes that one decoding step reads: all weights, and the keys and values of all rows.

    Args:
        shape: The model.
        rows: Responses that are written at once.
        context: Tokens before each of them: prompt and what has been written.
    """
    weights = shape.weights + shape.width * shape.vocabulary
    return weights * _HALF + rows * context * shape.cache_bytes
