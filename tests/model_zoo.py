"""Random miniatures of the model families that people use, in the layout of the hub.

Each has its own processor, tokenizer and chat template; images go through PIL. `build(name,
folder)` writes one; `NAMES` lists them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers as t
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from miniatures import CORPUS
from veridical.models.processors import VideoSettings, image_only_processor

END, PAD, BEGIN = "<|end|>", "<|pad|>", "<|begin|>"

TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.2,
}
TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
QWEN_TOWER: dict[str, Any] = {
    "depth": 2,
    "hidden_size": 32,
    "num_heads": 2,
    "patch_size": 4,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
MROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
EXPERTS = {
    "head_dim": 8,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "decoder_sparse_step": 1,
}


class Miniature(NamedTuple):
    """What a folder of the hub holds."""

    config: Any
    processor: Any


def build(name: str, folder: Path, *, seed: int = 0) -> Path:
    """Write a random miniature of a family, model and processor."""
    torch.manual_seed(seed)
    config, processor = ZOO[name]()
    tokenizer = processor.tokenizer
    model = t.AutoModelForImageTextToText.from_config(config).eval()
    with torch.no_grad():  # a tower whose output is tiny would hide what goes wrong with it
        for tensor_name, parameter in model.named_parameters():
            if parameter.ndim > 1 and not parameter.any():  # Gemma 3's projector starts as zero
                parameter.normal_(0, 0.2)
            if parameter.ndim > 1 and "embed" not in tensor_name:
                parameter.mul_(2 if parameter.std() < 0.05 else 1)
    model.generation_config = t.GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def tokenizer_with(*special: str, begin: bool = False, **named: str) -> Any:
    """A byte-level tokenizer with special tokens; named ones are attributes too (image_token …)."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(CORPUS * 4, trainer)
    tokenizer = t.PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        pad_token=PAD,
        bos_token=BEGIN if begin else None,
        padding_side="left",
        extra_special_tokens=named,
    )
    tokenizer.add_tokens(["<|user|>", "<|assistant|>", *special], special_tokens=True)
    if begin:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BEGIN} $A",
            pair=f"{BEGIN} $A {BEGIN} $B",
            special_tokens=[(BEGIN, tokenizer.bos_token_id)],
        )
    return tokenizer


def template(image: str) -> str:
    """A chat template in the manner of ChatML; `image` stands for a picture."""
    return (
        "{% for message in messages %}<|{{ message['role'] }}|>{% for part in message['content'] %}"
        f"{{% if part['type'] == 'image' %}}{image}"
        "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}<|end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )


def text(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """Settings of a text model for a tokenizer."""
    return {
        **TEXT,
        "vocab_size": len(tokenizer) + 5,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        **more,
    }


def video(family: str) -> VideoSettings:
    return VideoSettings({"video_processor_type": f"{family}VideoProcessor"})


def clip() -> Any:
    return t.CLIPVisionConfig(**TOWER, image_size=16, patch_size=4, projection_dim=32)


def siglip(size: int = 16) -> Any:
    return t.SiglipVisionConfig(**TOWER, image_size=size, patch_size=4)


def square(size: int) -> dict[str, int]:
    return {"height": size, "width": size}


def llava(family: str = "llava") -> Miniature:
    tokenizer = tokenizer_with("<image>", begin=True)
    kind = {"llava": t.LlavaConfig, "vipllava": t.VipLlavaConfig}[family]
    layers = {"vision_feature_layers": [-2, -1]} if family == "vipllava" else {}
    config = kind(
        vision_config=clip(),
        text_config=t.LlamaConfig(**text(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        **layers,
    )
    images = t.CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=square(16))
    processor = t.LlavaProcessor(
        images,
        tokenizer,
        patch_size=4,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=BEGIN + template("<image>\n"),
    )
    return Miniature(config, processor)


def pixtral(family: str) -> Miniature:
    tokenizer = tokenizer_with(
        image_token="[IMG]", image_break_token="[IMG_BREAK]", image_end_token="[IMG_END]"
    )
    tower = t.PixtralVisionConfig(**TOWER, image_size=32, patch_size=4)
    merge = 2 if family == "mistral3" else 1
    config: Any
    if family == "mistral3":
        config = t.Mistral3Config(
            vision_config=tower,
            text_config=t.MistralConfig(**text(tokenizer), head_dim=8, sliding_window=None),
            image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
            spatial_merge_size=merge,
        )
    else:
        config = t.LlavaConfig(
            vision_config=tower,
            text_config=t.MistralConfig(**text(tokenizer), head_dim=8, sliding_window=None),
            image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
        )
    images = t.PixtralImageProcessorPil(size={"longest_edge": 32}, patch_size=square(4 * merge))
    # Pixtral's own processor needs torchvision; without line breaks LLaVA's says the same.
    processor = t.LlavaProcessor(
        images,
        tokenizer,
        patch_size=4 * merge,
        vision_feature_select_strategy="full",
        chat_template=template("[IMG]"),
    )
    return Miniature(config, processor)


def llava_next() -> Miniature:
    tokenizer = tokenizer_with("<image>", begin=True)
    grid = [[16, 32], [32, 16], [32, 32]]
    config = t.LlavaNextConfig(
        vision_config=clip(),
        text_config=t.MistralConfig(**text(tokenizer), sliding_window=None),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grid,
    )
    images = t.LlavaNextImageProcessorPil(
        size={"shortest_edge": 16}, crop_size=square(16), image_grid_pinpoints=grid
    )
    processor = t.LlavaNextProcessor(
        images,
        tokenizer,
        patch_size=4,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=BEGIN + template("<image>\n"),
    )
    return Miniature(config, processor)


def llava_onevision() -> Miniature:
    tokenizer = tokenizer_with("<image>", "<video>")
    grid = [[16, 16], [16, 32], [32, 16], [32, 32]]
    config = t.LlavaOnevisionConfig(
        vision_config=siglip(),
        text_config=t.Qwen2Config(**text(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=grid,
    )
    images = t.LlavaOnevisionImageProcessorPil(size=square(16), image_grid_pinpoints=grid)
    processor = image_only_processor(t.LlavaOnevisionProcessor)(
        images,
        tokenizer,
        video("LlavaOnevision"),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=template("<image>\n"),
    )
    return Miniature(config, processor)


QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
QWEN_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


def qwen(family: str) -> Miniature:
    tokenizer = tokenizer_with(*QWEN_TOKENS)
    ids = dict(
        zip(
            ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id"),
            tokenizer.convert_tokens_to_ids(list(QWEN_TOKENS)),
            strict=True,
        )
    )
    spoken = text(tokenizer, rope_parameters=MROPE)
    newer = {
        **QWEN_TOWER,
        "intermediate_size": 48,
        "out_hidden_size": 32,
        "num_position_embeddings": 16,
    }
    deep = {**newer, "deepstack_visual_indexes": [0, 1]}
    kinds: dict[str, Callable[[], Any]] = {
        "qwen2_vl": lambda: t.Qwen2VLConfig(
            text_config=spoken,
            vision_config={**QWEN_TOWER, "embed_dim": 32, "mlp_ratio": 2},
            **ids,
        ),
        "qwen2_5_vl": lambda: t.Qwen2_5_VLConfig(
            text_config=spoken,
            vision_config={
                **QWEN_TOWER,
                "intermediate_size": 48,
                "out_hidden_size": 32,
                "window_size": 16,
                "fullatt_block_indexes": [1],
            },
            **ids,
        ),
        "qwen3_vl": lambda: t.Qwen3VLConfig(
            text_config={**spoken, "head_dim": 8}, vision_config=deep, **ids
        ),
        "qwen3_vl_moe": lambda: t.Qwen3VLMoeConfig(
            text_config={**spoken, **EXPERTS}, vision_config=deep, **ids
        ),
        "qwen3_5": lambda: t.Qwen3_5Config(
            text_config={
                **spoken,
                "head_dim": 8,
                "num_hidden_layers": 4,
                "rope_parameters": {**MROPE, "partial_rotary_factor": 1.0},
                "linear_key_head_dim": 8,
                "linear_value_head_dim": 8,
                "linear_num_key_heads": 2,
                "linear_num_value_heads": 4,
            },
            vision_config=newer,
            **ids,
        ),
    }
    kinds["qwen3_5_moe"] = lambda: t.Qwen3_5MoeConfig(
        text_config={
            **kinds["qwen3_5"]().text_config.to_dict(),
            "model_type": "qwen3_5_moe_text",
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 16,
            "shared_expert_intermediate_size": 16,
        },
        vision_config=newer,
        **ids,
    )
    owner = {"qwen2_vl": t.Qwen2VLProcessor, "qwen2_5_vl": t.Qwen2_5_VLProcessor}
    images = t.Qwen2VLImageProcessorPil(
        patch_size=4,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": 16 * 16, "longest_edge": 32 * 32},
    )
    processor = image_only_processor(owner.get(family, t.Qwen3VLProcessor))(
        images, tokenizer, video("Qwen2VL"), chat_template=template(QWEN_IMAGE)
    )
    return Miniature(kinds[family](), processor)


def glm(family: str) -> Miniature:
    tokens = ("<|image|>", "<|video|>", "<|begin_of_image|>", "<|end_of_image|>")
    tokenizer = tokenizer_with(*tokens)
    image, film, start, end = tokenizer.convert_tokens_to_ids(list(tokens))
    experts = {
        "head_dim": 8,
        "moe_intermediate_size": 16,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
    }
    experts = experts if family == "glm4v_moe" else {}
    inner = {
        "text_config": text(
            tokenizer, rope_parameters={**MROPE, "partial_rotary_factor": 1.0}, **experts
        ),
        "vision_config": {
            **QWEN_TOWER,
            "image_size": 16,
            "intermediate_size": 48,
            "out_hidden_size": 32,
        },
    }
    kind, owner, reader = {
        "glm4v": (t.Glm4vConfig, t.Glm4vProcessor, t.Glm4vImageProcessorPil),
        "glm4v_moe": (t.Glm4vMoeConfig, t.Glm4vProcessor, t.Glm4vImageProcessorPil),
        "glm46v": (t.Glm46VConfig, t.Glm46VProcessor, t.Glm46VImageProcessorPil),
    }[family]
    config: Any = kind(
        **inner,
        image_token_id=image,
        video_token_id=film,
        image_start_token_id=start,
        image_end_token_id=end,
    )
    images = reader(
        patch_size=4,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": 16 * 16, "longest_edge": 32 * 32},
    )
    processor = image_only_processor(owner)(
        images,
        tokenizer,
        video("Glm4v"),
        chat_template=template("<|begin_of_image|><|image|><|end_of_image|>"),
    )
    return Miniature(config, processor)


def idefics(family: str) -> Miniature:
    rows = [f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7)]
    tokenizer = tokenizer_with(
        "<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *rows
    )
    image = tokenizer.convert_tokens_to_ids("<image>")
    tower = {**TOWER, "image_size": 16, "patch_size": 4}
    options: dict[str, Any] = {"chat_template": template("<image>")}
    if family == "idefics2":
        config: Any = t.Idefics2Config(
            vision_config=tower,
            text_config=t.MistralConfig(**text(tokenizer), sliding_window=None),
            perceiver_config={
                "resampler_n_latents": 4,
                "resampler_depth": 1,
                "resampler_n_heads": 2,
                "resampler_head_dim": 8,
                "num_key_value_heads": 1,
                "hidden_size": 32,
                "intermediate_size": 48,
            },
            image_token_id=image,
        )
        images: Any = t.Idefics2ImageProcessorPil(
            size={"shortest_edge": 8, "longest_edge": 16}, do_image_splitting=False
        )
        return Miniature(config, t.Idefics2Processor(images, tokenizer, image_seq_len=4, **options))
    kind, owner, reader = {
        "idefics3": (t.Idefics3Config, t.Idefics3Processor, t.Idefics3ImageProcessorPil),
        "smolvlm": (
            t.SmolVLMConfig,
            image_only_processor(t.SmolVLMProcessor),
            t.SmolVLMImageProcessorPil,
        ),
    }[family]
    config = kind(
        vision_config=tower,
        text_config=t.LlamaConfig(**text(tokenizer)),
        image_token_id=image,
        scale_factor=2,
    )
    images = reader(size={"longest_edge": 32}, max_image_size={"longest_edge": 16})
    parts = [images, tokenizer, *([video("SmolVLM")] if family == "smolvlm" else [])]
    return Miniature(config, owner(*parts, image_seq_len=4, **options))


def gemma3() -> Miniature:
    tokenizer = tokenizer_with(
        boi_token="<start_of_image>", eoi_token="<end_of_image>", image_token="<image_soft_token>"
    )
    spoken = text(
        tokenizer,
        head_dim=8,
        query_pre_attn_scalar=8,
        sliding_window=32,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    )
    config = t.Gemma3Config(
        text_config=spoken,
        vision_config=siglip(),
        mm_tokens_per_image=4,
        image_token_index=tokenizer.image_token_id,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
    )
    images = t.Gemma3ImageProcessorPil(size=square(16))
    processor = t.Gemma3Processor(
        images, tokenizer, image_seq_length=4, chat_template=template("<start_of_image>")
    )
    return Miniature(config, processor)


def paligemma(family: str = "gemma") -> Miniature:
    tokenizer = tokenizer_with(begin=True, image_token="<image>")
    images = t.SiglipImageProcessorPil(size=square(16))
    images.image_seq_length = 16
    processor = t.PaliGemmaProcessor(images, tokenizer, chat_template=template("<image>"))
    spoken = text(processor.tokenizer, head_dim=8)
    spoken["vocab_size"] = len(processor.tokenizer)
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    newer = {"final_logit_softcapping": 1.5, "sliding_window": 256, "layer_types": kinds}
    config = t.PaliGemmaConfig(
        vision_config=siglip(),
        text_config=t.GemmaConfig(**spoken)
        if family == "gemma"
        else t.Gemma2Config(**spoken, query_pre_attn_scalar=8, **newer),
        image_token_index=tokenizer.image_token_id,
        projection_dim=32,
        hidden_size=32,
    )
    return Miniature(config, processor)


def gemma4(both_ways: str | None = None) -> Miniature:
    tokenizer = tokenizer_with(
        "<|video|>",
        image_token="<|image|>",
        boi_token="<|image>",
        eoi_token="<image|>",
        audio_token="<|audio|>",
        boa_token="<|audio>",
        eoa_token="<audio|>",
    )
    spoken = text(
        tokenizer,
        head_dim=8,
        global_head_dim=16,
        num_hidden_layers=4,
        num_kv_shared_layers=1,
        sliding_window=12 if both_ways else 32,
        layer_types=["sliding_attention", "full_attention"] * 2,
        vocab_size_per_layer_input=len(tokenizer) + 5,
        hidden_size_per_layer_input=8,
        final_logit_softcapping=1.5,
        use_bidirectional_attention=both_ways,
    )
    config = t.Gemma4Config(
        text_config=spoken,
        vision_config={
            **TOWER,
            "num_key_value_heads": 4,
            "head_dim": 8,
            "pooling_kernel_size": 2,
            "patch_size": 4,
            "position_embedding_size": 64,
        },
        audio_config=None,
        image_token_id=tokenizer.image_token_id,
        boi_token_id=tokenizer.boi_token_id,
        eoi_token_id=tokenizer.eoi_token_id,
        video_token_id=tokenizer.convert_tokens_to_ids("<|video|>"),
        audio_token_id=tokenizer.audio_token_id,
        boa_token_id=tokenizer.boa_token_id,
        eoa_token_index=tokenizer.eoa_token_id,
    )
    images = t.Gemma4ImageProcessorPil(patch_size=4, max_soft_tokens=70, pooling_kernel_size=2)
    processor = image_only_processor(t.Gemma4Processor)(
        t.Gemma4AudioFeatureExtractor(),
        images,
        tokenizer,
        video("Gemma4"),
        image_seq_length=16,
        chat_template=template("<|image|>"),
    )
    return Miniature(config, processor)


def internvl() -> Miniature:
    tokenizer = tokenizer_with(
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    config = t.InternVLConfig(
        vision_config={**TOWER, "image_size": [16, 16], "patch_size": [4, 4]},
        text_config=t.Qwen2Config(**text(tokenizer)),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=4,
        downsample_ratio=0.5,
    )
    images = t.GotOcr2ImageProcessorPil(size=square(16), crop_to_patches=True, max_patches=4)
    processor = image_only_processor(t.InternVLProcessor)(
        images,
        tokenizer,
        video("InternVL"),
        image_seq_length=4,
        chat_template=template("<IMG_CONTEXT>\n"),
    )
    return Miniature(config, processor)


def aya_vision(family: str = "cohere2") -> Miniature:
    tiles = ["TILE", "TILE_GLOBAL", *(f"TILE_{n}" for n in range(1, 13))]
    tokenizer = tokenizer_with(
        "<image>",
        "<|START_OF_IMG|>",
        "<|END_OF_IMG|>",
        "<|IMG_PATCH|>",
        "<|IMG_LINE_BREAK|>",
        *tiles,
    )
    config = t.AyaVisionConfig(
        vision_config=siglip(),
        text_config=t.CohereConfig(**text(tokenizer))
        if family == "cohere"
        else t.Cohere2Config(
            **text(tokenizer),
            head_dim=8,
            sliding_window=32,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        downsample_factor=2,
    )
    images = t.GotOcr2ImageProcessorPil(size=square(16), crop_to_patches=True, max_patches=4)
    processor = t.AyaVisionProcessor(
        images,
        tokenizer,
        patch_size=4,
        img_size=16,
        downsample_factor=2,
        chat_template=template("<image>"),
    )
    return Miniature(config, processor)


def cohere2_vision() -> Miniature:
    tokenizer = tokenizer_with(
        boi_token="<|START_OF_IMG|>",
        eoi_token="<|END_OF_IMG|>",
        image_token="<|IMG_PATCH|>",
        img_line_break_token="<|IMG_LINE_BREAK|>",
    )
    config = t.Cohere2VisionConfig(
        vision_config=siglip(),
        text_config=t.Cohere2Config(
            **text(tokenizer),
            head_dim=8,
            sliding_window=32,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
        image_token_id=tokenizer.image_token_id,
        alignment_intermediate_size=64,
    )
    # Its own image processor needs torchvision; this one cuts tiles of one size, too.
    images = t.GotOcr2ImageProcessorPil(
        size=square(16), crop_to_patches=True, max_patches=4, patch_size=2
    )
    processor = t.Cohere2VisionProcessor(images, tokenizer, chat_template=template("<|IMG_PATCH|>"))
    return Miniature(config, processor)


def ovis2() -> Miniature:
    tokenizer = tokenizer_with("<image>", "<IMG_ATOM>")
    config = t.Ovis2Config(
        vision_config={
            **TOWER,
            "image_size": 16,
            "patch_size": 4,
            "vocab_size": 40,
            "hidden_stride": 2,
            "num_visual_indicator_tokens": 5,
        },
        text_config=t.Qwen2Config(**text(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_ATOM>"),
        visual_indicator_token_ids=[len(tokenizer) + n for n in range(5)],
        hidden_size=32,
        vocab_size=len(tokenizer) + 5,
    )
    images = t.Ovis2ImageProcessorPil(size=square(16), crop_to_patches=True, max_patches=4)
    processor = t.Ovis2Processor(
        images, tokenizer, image_seq_length=4, chat_template=template("<image>\n")
    )
    return Miniature(config, processor)


def deepseek_vl() -> Miniature:
    tokenizer = tokenizer_with(image_token="<image_placeholder>")
    config = t.DeepseekVLConfig(
        vision_config=siglip(),
        text_config=t.LlamaConfig(**text(tokenizer)),
        image_token_id=tokenizer.image_token_id,
    )
    images = t.DeepseekVLImageProcessorPil(size=square(16), min_size=4)
    processor = t.DeepseekVLProcessor(
        images, tokenizer, num_image_tokens=16, chat_template=template("<image_placeholder>")
    )
    return Miniature(config, processor)


def lighton_ocr() -> Miniature:
    tokenizer = tokenizer_with("<|vision_pad|>", "<|vision_end|>", image_token="<|image_pad|>")
    config = t.LightOnOcrConfig(
        vision_config=t.PixtralVisionConfig(**TOWER, image_size=32, patch_size=4),
        text_config=t.Qwen3Config(**text(tokenizer), head_dim=8),
        image_token_id=tokenizer.image_token_id,
        spatial_merge_size=2,
    )
    images = t.PixtralImageProcessorPil(size={"longest_edge": 32}, patch_size=square(8))
    # LightOnOCR's own processor needs torchvision; without line breaks LLaVA's says the same.
    processor = t.LlavaProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="full",
        image_token="<|image_pad|>",
        chat_template=template("<|image_pad|>"),
    )
    return Miniature(config, processor)


def aria() -> Miniature:
    tokenizer = tokenizer_with(image_token="<|img|>")
    config = t.AriaConfig(
        text_config=text(
            tokenizer,
            head_dim=8,
            moe_num_experts=4,
            moe_topk=2,
            moe_num_shared_experts=1,
            intermediate_size=16,
        ),
        vision_config={
            **TOWER,
            "model_type": "idefics3_vision",
            "image_size": 980,
            "patch_size": 140,
        },
        projector_patch_to_query_dict={49: 4},
        image_token_index=tokenizer.image_token_id,
    )
    processor = t.AriaProcessor(
        t.AriaImageProcessorPil(),  # 490 or 980 pixels, nothing else
        tokenizer,
        size_conversion={980: 4},
        chat_template=template("<|img|>"),
    )
    return Miniature(config, processor)


def emu3() -> Miniature:
    names = {
        "image_token": "<image>",
        "boi_token": "<|image start|>",
        "eoi_token": "<|image end|>",
        "image_wrapper_token": "<|image token|>",
        "eof_token": "<|extra_201|>",
    }
    tokenizer = tokenizer_with(begin=True, **names)
    visual = [f"<|visual token {number:06d}|>" for number in range(16)]
    tokenizer.add_tokens([*visual, "<|extra_200|>"])
    vocabulary = tokenizer.get_vocab()
    config = t.Emu3Config(
        vq_config={
            "codebook_size": 16,
            "embed_dim": 4,
            "latent_channels": 4,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1],
            "num_res_blocks": 1,
            "attn_resolutions": [],
            "hidden_size": 32,
            "temporal_downsample_factor": 1,
        },
        text_config=text(tokenizer),
        vocabulary_map={name: vocabulary[name] for name in (*visual, "<image>", "<|extra_200|>")},
    )
    processor = t.Emu3Processor(
        t.Emu3ImageProcessor(min_pixels=16 * 16, max_pixels=32 * 32, spatial_factor=8),
        tokenizer,
        chat_template=template("<image>"),
    )
    return Miniature(config, processor)


def fast_vlm() -> Miniature:
    tokenizer = tokenizer_with("<image>")
    config = t.FastVlmConfig(
        # Its own tower needs timm; this one is convolutional, too.
        vision_config=t.ResNetConfig(
            embedding_size=8,
            hidden_sizes=[16, 32],
            depths=[1, 1],
            layer_type="basic",
            hidden_size=32,
        ),
        text_config=t.Qwen2Config(**text(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    processor = t.LlavaProcessor(
        t.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=square(32)),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="full",
        chat_template=template("<image>"),
    )
    return Miniature(config, processor)


def granite4_vision() -> Miniature:
    tokenizer = tokenizer_with("<image>", begin=True)
    grid = [[32, 64], [64, 32], [64, 64]]
    config = t.Granite4VisionConfig(
        text_config=text(tokenizer, logits_scaling=4.0, embedding_multiplier=2.0),
        vision_config=t.SiglipVisionConfig(
            **{**TOWER, "hidden_size": 64}, image_size=32, patch_size=4
        ),
        qformer_config={
            "model_type": "blip_2_qformer",
            "num_hidden_layers": 1,
            "intermediate_size": 48,
            "cross_attention_frequency": 1,
            "use_qformer_text_input": False,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grid,
        downsample_rate="4/8",
        deepstack_layer_map=[[-1, 0], [-2, 1]],
        spatial_target_layers=[1, 2, 2, 2],
        vision_feature_select_strategy="full",
    )
    images = t.LlavaNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_size=square(32), image_grid_pinpoints=grid
    )
    processor = t.Granite4VisionProcessor(
        images,
        tokenizer,
        patch_size=4,
        vision_feature_select_strategy="full",
        downsample_rate="4/8",
        chat_template=BEGIN + template("<image>"),
    )
    return Miniature(config, processor)


def janus() -> Miniature:
    tokenizer = tokenizer_with(
        image_token="<image_placeholder>", boi_token="<begin_of_image>", eoi_token="<end_of_image>"
    )
    config = t.JanusConfig(
        text_config=t.LlamaConfig(**text(tokenizer)),
        vision_config={
            **{key: value for key, value in TOWER.items() if key != "intermediate_size"},
            "image_size": 16,
            "patch_size": 4,
            "projection_dim": 32,
            "mlp_ratio": 2,
            "num_image_tokens": 16,
        },
        vq_config={
            "embed_dim": 8,
            "num_embeddings": 16,
            "latent_channels": 8,
            "base_channels": 32,
            "channel_multiplier": [1, 1],
            "num_res_blocks": 1,
            "projection_dim": 32,
            "image_token_embed_dim": 32,
            "num_patches": 4,
        },
        image_token_id=tokenizer.image_token_id,
    )
    processor = t.JanusProcessor(
        t.JanusImageProcessorPil(size=square(16), min_size=4),
        tokenizer,
        num_image_tokens=16,
        chat_template=template("<image_placeholder>"),
    )
    return Miniature(config, processor)


def llama4() -> Miniature:
    tokenizer = tokenizer_with(
        "<|image|>",
        "<|image_start|>",
        "<|image_end|>",
        "<|patch|>",
        "<|tile_x_separator|>",
        "<|tile_y_separator|>",
    )
    config = t.Llama4Config(
        vision_config={
            **TOWER,
            "image_size": 16,
            "patch_size": 4,
            "pixel_shuffle_ratio": 0.5,
            "intermediate_size": 128,
            "projector_input_dim": 32,
            "projector_output_dim": 32,
            "vision_output_dim": 32,
        },
        text_config={
            **text(tokenizer),
            "head_dim": 8,
            "intermediate_size_mlp": 64,
            "num_local_experts": 2,
            "attention_chunk_size": 64,
            "no_rope_layers": [1, 1, 0],
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<|patch|>"),
    )

    # Its own image processor needs torchvision; this one gives one tile of one size.
    images = t.SiglipImageProcessorPil(size=square(16))
    processor = t.LlavaProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="full",
        image_token="<|patch|>",
        chat_template=template("<|image_start|><|image|><|patch|><|image_end|>"),
    )
    return Miniature(config, processor)


def mllama() -> Miniature:
    tokenizer = tokenizer_with("<|python_tag|>", begin=True, image_token="<|image|>")
    config = t.MllamaConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 4,
            "image_size": 16,
            "patch_size": 4,
            "vision_output_dim": 64,
            "intermediate_layers_indices": [0],
            "max_num_tiles": 4,
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
        },
        text_config={**text(tokenizer), "cross_attention_layers": [1]},
        image_token_index=tokenizer.image_token_id,
    )
    images = t.MllamaImageProcessorPil(size=square(16), max_image_tiles=4)
    processor = t.MllamaProcessor(images, tokenizer, chat_template=template("<|image|>"))
    return Miniature(config, processor)


ZOO: dict[str, Callable[[], Miniature]] = {
    "llava": llava,
    "vipllava": lambda: llava("vipllava"),
    "llava, pixtral": lambda: pixtral("llava"),
    "llava_next": llava_next,
    "llava_onevision": llava_onevision,
    "qwen2_vl": lambda: qwen("qwen2_vl"),
    "qwen2_5_vl": lambda: qwen("qwen2_5_vl"),
    "qwen3_vl": lambda: qwen("qwen3_vl"),
    "qwen3_vl_moe": lambda: qwen("qwen3_vl_moe"),
    "qwen3_5": lambda: qwen("qwen3_5"),
    "qwen3_5_moe": lambda: qwen("qwen3_5_moe"),
    "glm4v": lambda: glm("glm4v"),
    "glm4v_moe": lambda: glm("glm4v_moe"),
    "glm46v": lambda: glm("glm46v"),
    "idefics2": lambda: idefics("idefics2"),
    "idefics3": lambda: idefics("idefics3"),
    "smolvlm": lambda: idefics("smolvlm"),
    "gemma3": gemma3,
    "gemma4": gemma4,
    "gemma4, both ways": lambda: gemma4("vision"),
    "paligemma": paligemma,
    "paligemma, gemma2": lambda: paligemma("gemma2"),
    "internvl": internvl,
    "aya_vision": aya_vision,
    "aya_vision, cohere": lambda: aya_vision("cohere"),
    "cohere2_vision": cohere2_vision,
    "mistral3": lambda: pixtral("mistral3"),
    "ovis2": ovis2,
    "deepseek_vl": deepseek_vl,
    "lighton_ocr": lighton_ocr,
    "aria": aria,
    "emu3": emu3,
    "fast_vlm": fast_vlm,
    "granite4_vision": granite4_vision,
    "janus": janus,
    "llama4": llama4,
    "mllama": mllama,
}
NAMES = tuple(ZOO)
