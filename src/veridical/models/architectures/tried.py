"""Families without a row in `table` that were tried, each as a random miniature."""

from collections.abc import Mapping

_SPARSE = (
    "within the `index_topk` tokens that its attention picks: beyond, ties among them are broken"
    " by the width of a batch, in transformers too"
)
TRIED: Mapping[str, str] = {
    "blip-2": "needs a chat template in its tokenizer; one image, at the start",
    "chameleon": "",
    "cohere_compass": "",
    "cosmos3_edge": "by doctor's checks alone",
    "cosmos3_omni": "",
    "deepseek_ocr2": "takes no adapter, since PEFT would not read it back: train it whole"
    ' (`model.tuning = "full"`)',
    "deepseek_vl_hybrid": "",
    "dots3_note": _SPARSE,
    "ernie4_5_vl_moe": "a whole model is saved only with the font that its video part names",
    "exaone4_5": "",
    "fuyu": "needs a chat template in its tokenizer, without a place for the picture; one image, at"
    " the start; its projector is its tower, so train an adapter",
    "gemma3n": "needs timm; scores agree within 2e-5",
    "gemma4_unified": "needs torchvision; its projector is not found, so train an adapter",
    "glm5_next": _SPARSE,
    "glm_ocr": "",
    "glmga": "",
    "granite_docling": "its projector is not found, so train an adapter",
    "hyperclovax_vision_v2": "",
    "inkling2": "needs torchvision",
    "inkling_mm_model": "needs torchvision",
    "kimi_k25": "needs torchvision",
    "lfm3_vl": "",
    "llava_next_video": "",
    "minicpm_ocr": "needs torchvision",
    "minicpmv4_6": "",
    "minicpmv4_7": "",
    "minimax_m3_vl": "needs torchvision",
    "mistral_large4": f"{_SPARSE}; its experts take no adapter, since PEFT would not read it back:"
    " name attention layers in `lora.target_modules`",
    "molmo2": "needs torchvision",
    "muse_glimmer": "needs torchvision",
    "muse_spark": "needs torchvision",
    "nemotron_h_omni": "needs torchvision",
    "paddleocr_vl": "",
    "qianfan_ocr": "",
    "qwen2_5_omni_thinker": "",
    "qwen3_omni_moe_thinker": "",
    "qwen4_exp": "",
    "step3p7": "needs torchvision",
    "video_llama_3": "",
    "video_llava": "",
}
"""By `model_type`: what is special about it. Tried with transformers 5.23, torchvision 0.28 and
timm 1.0 on 2026-11-27 and 28, by all of doctor's checks and against plain transformers: token
scores of prompts with one image, two and none, padded on either side, and greedy responses."""
