"""Make a random model of LLaVA-1.5's shape, to try the way to an adapter without a download.

    python make_miniature.py out/miniature [--width 64 --layers 2 --vision-width 32 --vision-layers
    2]

What counts for the way is as in llava-hf/llava-1.5-7b-hf: a CLIP tower on 336 × 336 pixels with
patches of 14 (576 image tokens, from its last layer but one), two-layer projector, Llama, the same
conversation template. What it says is noise: the weights are random and the tokenizer has learnt
only the example's own texts.
"""

import argparse
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

HERE = Path(__file__).parent
SIDE, PATCH = 336, 14
TEMPLATE = """\
{%- for message in messages -%}
{{ message['role'].upper() + ': ' }}
{%- for part in message['content'] if part['type'] == 'image' %}{{ '<image>\\n' }}{% endfor -%}
{%- for part in message['content'] if part['type'] == 'text' %}{{ part['text'] + ' ' }}{% endfor -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif -%}"""
"""USER: <image>, new line, question, ASSISTANT: response."""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Train a byte-pair tokenizer on the example's texts; other text is spelt out in bytes."""
    rows = map(json.loads, (HERE / "corrections.jsonl").read_text(encoding="utf-8").splitlines())
    texts = [
        f"USER: ASSISTANT: {row['question']} {row['rejected']} {row['chosen']}" for row in rows
    ]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<pad>", "<image>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=2_000, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ),
    )
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", core.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=["<image>"],
        padding_side="left",
    )


def make_miniature(
    out: Path,
    *,
    width: int = 64,
    layers: int = 2,
    vision_width: int = 32,
    vision_layers: int = 2,
    vocabulary: int = 0,
) -> Path:
    """Write model and processor into a folder.

    Args:
        out: The folder.
        width: Width of the language model, a multiple of 64.
        layers: Its layers.
        vision_width: Width of the vision tower, a multiple of 16.
        vision_layers: Its layers; LLaVA reads the last but one.
        vocabulary: Rows of the embedding; at least the tokenizer's size, which 0 stands for.
    """
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=vision_width,
            intermediate_size=4 * vision_width,
            num_hidden_layers=vision_layers,
            num_attention_heads=max(1, vision_width // 16),
            image_size=SIDE,
            patch_size=PATCH,
            projection_dim=vision_width,
        ),
        text_config=LlamaConfig(
            vocab_size=max(vocabulary, len(tokenizer)),
            hidden_size=width,
            intermediate_size=width * 43 // 16,  # 11,008 for 4,096
            num_hidden_layers=layers,
            num_attention_heads=max(1, width // 64),
            max_position_embeddings=4096,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_seq_length=(SIDE // PATCH) ** 2,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    processor = LlavaProcessor(
        CLIPImageProcessorPil(
            size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
        ),
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    model.save_pretrained(out)
    processor.save_pretrained(out)
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    for name, default in (
        ("width", 64),
        ("layers", 2),
        ("vision-width", 32),
        ("vision-layers", 2),
        ("vocabulary", 0),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    print(make_miniature(**vars(parser.parse_args())))
