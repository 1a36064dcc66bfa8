"""One row per model family: what Veridical must know of it that its config does not say.

A family that is not listed takes the plain path (each response after its own copy of the prompt,
`transformers`' own masks, positions and `generate`), and the first batch that it trains on is
checked. A row therefore makes a family faster or says what is special about it. To add one: a row
here, a miniature in `tests/model_zoo.py`; the conformance tests and the table in the docs follow.
Other packages add rows by entry points (`GROUP`).
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NamedTuple

from veridical.errors import ConfigError
from veridical.plugins import load_plugin

GROUP = "veridical.architectures"
"""Entry points of other packages: `model_type` → an `Architecture`. The module that holds it is
imported before the model is loaded, so it may register the model with transformers."""

Attention = Literal["causal", "prefix", "image blocks", "local image blocks", "recurrent"]
"""Who sees whom within a prompt: every token its past alone · every prompt token all others · image
tokens those of their own image too · the same in layers with a sliding window alone, if the config
asks for it · a state that runs along the tokens."""

Logits = Literal["plain", "capped", "divided"]
"""What a forward gives: the vocabulary head's logits · these within ± `final_logit_softcapping` of
the text config, if that is set · these divided by its `logits_scaling`."""


class Architecture(NamedTuple):
    """Facts about a family of vision-language models."""

    models: str
    """Well-known models of it."""
    attention: Attention = "causal"
    """Which mask its prompts need."""
    branches: bool = True
    """Whether positions, masks and logits may be computed outside of the model: attention is
    causal, the sense of place rotary, and logits are what `logits` says. Shown for each by the
    conformance tests."""
    tree: bool = False
    """Whether, where `branches` does not hold, responses may still be scored as branches, under
    masks of their own for each kind of layer, in which a prompt's tokens see each other as
    `attention` says."""
    one_mask: bool = False
    """Whether its forward takes one mask for all layers, so that branches need layers with a
    sliding window to reach from the end of a response to the beginning of its prompt."""
    copies: str = ""
    """Why neither can be, so that each response has its own copy of the prompt."""
    logits: Logits = "plain"
    """What its forward makes of the vocabulary head's logits."""
    projector: tuple[str, ...] = ("multi_modal_projector",)
    """Where, below the backbone, features turn into the language model's width; nowhere where
    pictures become tokens of the vocabulary."""
    continuation: Mapping[str, int] = {}
    """What inputs that go token by token hold after the prompt; 0 for those not named."""
    features: bool = True
    """Whether its images may be encoded once and kept: its forward takes them as
    `mm_encoder_outputs` and gives the same. Shown by the conformance tests."""
    decoders: tuple[str, ...] = ()
    """Further text models (`model_type`) on which branches have been shown to hold."""
    packages: tuple[str, ...] = ()
    """Packages that its processor or its tower needs beyond `veridical[train]`."""
    apart: bool = False
    """Whether each picture is encoded by itself: pictures of a batch are padded to the largest, and
    its tower reads the padding."""
    loose_tiles: bool = False
    """Whether tiles reach the tower without their pictures: a batch holds each as a row of its own,
    so that pictures of several numbers of tiles go together."""
    proven: bool = True
    """Whether the conformance tests run it, without torchvision; if not, it was tried by hand."""


_QWEN_MERGER = ("visual.merger", "visual.deepstack_merger_list")
_GLM_MERGER = ("visual.merger", "visual.downsample")
_CONNECTOR = ("connector",)
_COHERE = ("cohere", "cohere2")
_STATE = "its linear attention carries a state along the row, from one response into the next"

ARCHITECTURES: Mapping[str, Architecture] = {
    "aria": Architecture("Aria", decoders=("aria_text",)),
    "aya_vision": Architecture("Aya Vision", branches=False, tree=True, decoders=_COHERE),
    "cohere2_vision": Architecture(
        "Command A Vision",
        branches=False,
        tree=True,
        decoders=_COHERE,
        packages=("torchvision",),
    ),
    "deepseek_vl": Architecture("DeepSeek-VL", projector=("aligner",)),
    "emu3": Architecture(
        "Emu3-Chat",
        projector=(),
        features=False,
        decoders=("emu3_text_model",),
        apart=True,
    ),
    "fast_vlm": Architecture("FastVLM", packages=("timm",)),
    "gemma3": Architecture(
        "Gemma 3, MedGemma",
        attention="image blocks",
        branches=False,
        tree=True,
        decoders=("gemma3_text",),
    ),
    "gemma4": Architecture(
        "Gemma 4",
        attention="local image blocks",
        branches=False,
        tree=True,
        logits="capped",
        projector=("embed_vision",),
        decoders=("gemma4_text",),
    ),
    "glm46v": Architecture("GLM-4.6V", projector=_GLM_MERGER),
    "glm4v": Architecture("GLM-4.1V", projector=_GLM_MERGER),
    "glm4v_moe": Architecture("GLM-4.5V", projector=_GLM_MERGER, decoders=("glm4v_moe_text",)),
    "granite4_vision": Architecture(
        "Granite 4 Vision",
        logits="divided",
        projector=("layerwise_projectors", "spatial_projectors"),
        features=False,
        decoders=("granite4_vision_text",),
    ),
    "idefics2": Architecture("Idefics2", projector=_CONNECTOR),
    "idefics3": Architecture("Idefics3", projector=_CONNECTOR),
    "internvl": Architecture("InternVL2.5, InternVL3"),
    "janus": Architecture("Janus, Janus-Pro", projector=("aligner",)),
    "lfm2_vl": Architecture(
        "LFM2-VL",
        attention="recurrent",
        branches=False,
        copies="its convolutions run along the row, from one response into the next",
        features=False,
        packages=("torchvision",),
        proven=False,
    ),
    "lighton_ocr": Architecture(
        "LightOnOCR", projector=("vision_projection",), packages=("torchvision",)
    ),
    "llama4": Architecture(
        "Llama 4",
        branches=False,
        copies="its layers scale attention by a token's column in the row, not by its position",
        features=False,
        packages=("torchvision",),
    ),
    "llava": Architecture("LLaVA-1.5, Pixtral 12B"),
    "llava_next": Architecture("LLaVA-NeXT (1.6)"),
    "llava_onevision": Architecture("LLaVA-OneVision"),
    "mistral3": Architecture("Mistral Small 3.1", packages=("torchvision",)),
    "ovis2": Architecture("Ovis2", projector=("visual_embeddings_table",)),
    "paligemma": Architecture(
        "PaliGemma, PaliGemma 2 (with a chat template)",
        attention="prefix",
        branches=False,
        tree=True,
        one_mask=True,
        logits="capped",
        decoders=("gemma", "gemma2"),
        continuation={"token_type_ids": 1},
    ),
    "perception_lm": Architecture(
        "Perception LM", packages=("timm", "torchvision"), loose_tiles=True, proven=False
    ),
    "qwen2_5_vl": Architecture("Qwen2.5-VL", projector=_QWEN_MERGER),
    "qwen2_vl": Architecture("Qwen2-VL", projector=_QWEN_MERGER),
    "qwen3_5": Architecture(
        "Qwen3.5",
        attention="recurrent",
        branches=False,
        copies=_STATE,
        projector=_QWEN_MERGER,
    ),
    "qwen3_5_moe": Architecture(
        "Qwen3.5-MoE",
        attention="recurrent",
        branches=False,
        copies=_STATE,
        projector=_QWEN_MERGER,
    ),
    "qwen3_vl": Architecture("Qwen3-VL", projector=_QWEN_MERGER),
    "qwen3_vl_moe": Architecture("Qwen3-VL-MoE", projector=_QWEN_MERGER),
    "smolvlm": Architecture("SmolVLM, SmolVLM2", projector=_CONNECTOR),
    "vipllava": Architecture("ViP-LLaVA"),
}
"""Rows by `model_type`."""

_CROSS = "its images enter by cross-attention, whose masks Veridical does not lay out"
UNSUPPORTED: Mapping[str, str] = {
    "blip": _CROSS,
    "diffusion_gemma": "it writes by diffusion, so a response has no log-probability per token",
    "evolla": "it reads proteins, not pictures",
    "git": "its images stand before the text without placeholder tokens",
    "got_ocr2": "its processor reads pages to transcribe, not prompts about pictures",
    "hunyuan_vl": "transformers numbers the images of a whole batch as if one prompt held them, so"
    " that scores would depend on the other prompts",
    "idefics": _CROSS,
    "instructblip": "its Q-Former reads the question a second time, in tokens of its own",
    "instructblipvideo": "its Q-Former reads the question a second time, in tokens of its own",
    "kosmos-2": "it marks the places of images by a mask of its own",
    "kosmos-2.5": "it marks the places of images by a mask of its own",
    "mistral4": "it reads no pictures",
    "mllama": _CROSS,
    "pi0": "it gives a robot's actions, not text",
    "pp_chart2table": "its processor reads charts to transcribe, not prompts about pictures",
    "shieldgemma2": "it says whether a picture breaks a policy, and writes no text",
    "unlimited_ocr": "while it writes it sees a window of its own response, which only its cache"
    " knows; a forward over prompt and response sees all of it, so that scores are not what it"
    " writes by",
}
"""Why families that transformers loads are not supported, by `model_type`."""

_PLAIN = Architecture("", branches=False, projector=())


def architecture_of(config: Any) -> Architecture:
    """The row of a model's config; for a family that is not listed, one that claims nothing."""
    return find_architecture(config.model_type) or _PLAIN


def is_listed(config: Any) -> bool:
    """Whether there is a row for a model's family."""
    return find_architecture(config.model_type) is not None


def find_architecture(model_type: str) -> Architecture | None:
    """The row of a family, ours or that of another package; None if there is none.

    Raises:
        ConfigError: An entry point does not give a row.
    """
    return ARCHITECTURES.get(model_type) or _of_other_packages(model_type)


@cache
def _of_other_packages(model_type: str) -> Architecture | None:
    plugin = load_plugin(GROUP, model_type)
    if plugin is not None and not isinstance(plugin.value, Architecture):
        raise ConfigError(
            f"{plugin.where} must give an `Architecture`, got {type(plugin.value).__name__}. Fix"
            " that package, or uninstall it."
        )
    return plugin.value if plugin is not None and isinstance(plugin.value, Architecture) else None


def unsupported_reason(config: Any) -> str | None:
    """Why a model of this config cannot be used at all; None if it can."""
    if getattr(config, "is_encoder_decoder", False):
        return "it is an encoder-decoder, in which a response does not follow its prompt"
    return UNSUPPORTED.get(config.model_type)
