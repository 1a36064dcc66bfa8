"""Decode with a random miniature (or a folder), ours against `transformers.generate`, in one run.

python benchmarks/decoding/run.py [--model FOLDER] [--lora] [--layers 32] [--width 64]
                                  [--rows 1 4 16 64] [--tokens 64] [--repeat 3] [--json FILE]
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from measure import Case, measure

from veridical.models.loading import load_model
from veridical.models.lora import LoraRecipe, add_lora


def miniature(folder: Path, *, layers: int, width: int) -> Path:
    """A LLaVA with a decoder of this shape."""
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    from miniatures import tiny_llava

    tiny_llava(folder)
    config = LlavaConfig.from_pretrained(folder)
    text = config.text_config
    text.num_hidden_layers, text.hidden_size, text.intermediate_size = layers, width, 2 * width
    text.head_dim = width // text.num_attention_heads
    text.initializer_range = 0.02
    model = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = text.eos_token_id
    model.generation_config.pad_token_id = text.pad_token_id
    model.save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--lora", action="store_true")
    parser.add_argument("--autocast", action="store_true")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--samples", type=int, nargs="+", default=[])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.model or miniature(
            Path(folder), layers=arguments.layers, width=arguments.width
        )
        vlm = load_model(path, dtype=arguments.dtype)
    if arguments.lora:
        vlm = add_lora(vlm, LoraRecipe())
    cases = [Case(rows, 1, arguments.tokens) for rows in arguments.rows]
    cases += [Case(16, K, arguments.tokens, 1.0) for K in arguments.samples]
    runs = [
        measure(vlm, cases=cases, autocast=arguments.autocast, their_tokens=arguments.tokens)
        for _ in range(arguments.repeat)
    ]
    ratios = {}
    for number, case in enumerate(cases):
        for what in ("step_processor_seconds", "step_seconds"):
            ours, theirs = ([run[number][name] for run in runs] for name in (what, f"their_{what}"))
            # The least of the repeats is the one that other work on the machine disturbed least.
            ratios[f"{case.name} {what}"] = {
                "of_least": min(ours) / min(theirs),
                "of_medians": statistics.median(ours) / statistics.median(theirs),
            }
    for name, ratio in ratios.items():
        print(f"{name:45} ours / theirs {ratio['of_least']:.3f}")
    if arguments.json:
        versions = {"torch": torch.__version__, "transformers": transformers.__version__}
        machine = {"device": str(vlm.device), "processor": platform.processor(), **versions}
        settings = {k: str(v) for k, v in vars(arguments).items()}
        result = {"machine": machine, "settings": settings, "ratios": ratios, "runs": runs}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
