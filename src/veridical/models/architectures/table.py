"""One row per model family: what Veridical must know of it that its config does not say.

A family that is not listed takes the plain path (each response after its own copy of the prompt,
`transformers`' own masks, positions and `generate`), and the first batch that it trains on is
checked. A row therefore makes a family faster or says what is special about it. To add one: a row
here, a miniature in `tests/model_zoo.py`; the conformance tests and the table in the docs follow.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Attention = Literal["causal", "prefix", "image blocks", "recurrent"]
"""Who sees whom within a prompt: every token its past alone · every prompt token all others · image
tokens those of their own image too · a state that runs along the tokens."""


class Architecture(NamedTuple):
    """Facts about a family of vision-language models."""

    models: str
    """Well-known models of it."""
    attention: Attention = "causal"
    """Which mask its prompts need."""
    branches: bool = True
    """Whether positions, masks and logits may be computed outside of the model: attention is
    causal, the sense of place rotary, and logits are the vocabulary head's own. Shown for each by
    the conformance tests."""
    projector: tuple[str, ...] = ("multi_modal_projector",)
    """Where, below the backbone, features turn into the language model's width."""
    continuation: Mapping[str, int] = {}
    """What inputs that go token by token hold after the prompt; 0 for those not named."""
    features: bool = True
    """Whether its images may be encoded once and kept: its forward takes them as
    `mm_encoder_outputs` and gives the same. Shown by the conformance tests."""
    packages: tuple[str, ...] = ()
    """Packages that its processor needs beyond `veridical[train]`."""
    proven: bool = True
    """Whether the conformance tests run it; they go without torchvision."""


_QWEN_MERGER = ("visual.merger", "visual.deepstack_merger_list")
_CONNECTOR = ("connector",)

ARCHITECTURES: Mapping[str, Architecture] = {
    "aya_vision": Architecture("Aya Vision", branches=False),
    "cohere2_vision": Architecture("Command A Vision", branches=False, packages=("torchvision",)),
    "deepseek_vl": Architecture("DeepSeek-VL", projector=("aligner",)),
    "gemma3": Architecture("Gemma 3, MedGemma", attention="image blocks", branches=False),
    "gemma4": Architecture(
        "Gemma 4", attention="image blocks", branches=False, projector=("embed_vision",)
    ),
    "glm4v": Architecture("GLM-4.1V", projector=("visual.merger", "visual.downsample")),
    "idefics2": Architecture("Idefics2", projector=_CONNECTOR),
    "idefics3": Architecture("Idefics3", projector=_CONNECTOR),
    "internvl": Architecture("InternVL2.5, InternVL3"),
    "lfm2_vl": Architecture(
        "LFM2-VL",
        attention="recurrent",
        branches=False,
        features=False,
        packages=("torchvision",),
        proven=False,
    ),
    "llama4": Architecture(
        "Llama 4", branches=False, features=False, packages=("torchvision",), proven=False
    ),
    "llava": Architecture("LLaVA-1.5, Pixtral 12B"),
    "llava_next": Architecture("LLaVA-NeXT (1.6)"),
    "llava_onevision": Architecture("LLaVA-OneVision"),
    "mistral3": Architecture("Mistral Small 3.1", packages=("torchvision",)),
    "ovis2": Architecture("Ovis2", projector=("visual_embeddings_table",)),
    "paligemma": Architecture(
        "PaliGemma (with a chat template)",
        attention="prefix",
        branches=False,
        continuation={"token_type_ids": 1},
    ),
    "qwen2_5_vl": Architecture("Qwen2.5-VL", projector=_QWEN_MERGER),
    "qwen2_vl": Architecture("Qwen2-VL", projector=_QWEN_MERGER),
    "qwen3_5": Architecture(
        "Qwen3.5", attention="recurrent", branches=False, projector=_QWEN_MERGER
    ),
    "qwen3_vl": Architecture("Qwen3-VL", projector=_QWEN_MERGER),
    "qwen3_vl_moe": Architecture("Qwen3-VL-MoE", projector=_QWEN_MERGER),
    "smolvlm": Architecture("SmolVLM, SmolVLM2", projector=_CONNECTOR),
    "vipllava": Architecture("ViP-LLaVA"),
}
"""Rows by `model_type`."""

UNSUPPORTED: Mapping[str, str] = {
    "mllama": "its images enter by cross-attention, whose masks Veridical does not lay out",
    "idefics": "its images enter by cross-attention, whose masks Veridical does not lay out",
}
"""Why families that transformers loads are not supported, by `model_type`."""

_PLAIN = Architecture("", branches=False, projector=())


def architecture_of(config: Any) -> Architecture:
    """The row of a model's config; for a family that is not listed, one that claims nothing."""
    return ARCHITECTURES.get(config.model_type, _PLAIN)


def is_listed(config: Any) -> bool:
    """Whether there is a row for a model's family."""
    return config.model_type in ARCHITECTURES


def unsupported_reason(config: Any) -> str | None:
    """Why a model of this config cannot be used at all; None if it can."""
    if getattr(config, "is_encoder_decoder", False):
        return "it is an encoder-decoder, in which a response does not follow its prompt"
    return UNSUPPORTED.get(config.model_type)
