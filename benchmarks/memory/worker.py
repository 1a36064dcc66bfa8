"""One run of the benchmark: `python worker.py FAMILY ROWS FOLDER`; prints memory as JSON."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as t
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import model_zoo  # noqa: E402 (the tests' miniatures)
from veridical.training.preference.config import PreferenceRecipe  # noqa: E402
from veridical.training.preference.train import train_dpo  # noqa: E402

SIZES = ((640, 480), (224, 224), (480, 640), (320, 240), (800, 600), (500, 160), (200, 420))
"""Widths and heights of the pictures, in turn."""
SMALL = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def spoken(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """A text model of one narrow layer with a hub model's window."""
    few = {**SMALL, "num_key_value_heads": 1, "max_position_embeddings": 32768}
    return {**model_zoo.text(tokenizer), **few, **more}


def qwen2_5_vl() -> model_zoo.Miniature:
    """Qwen2.5-VL-7B's patches, at most 1,280 tokens (the README's upper setting)."""
    config, processor = model_zoo.qwen("qwen2_5_vl")
    processor.image_processor = t.Qwen2VLImageProcessorPil(
        patch_size=14,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": 256 * 28 * 28, "longest_edge": 1280 * 28 * 28},
    )
    tower = {
        "depth": 1,
        "hidden_size": 16,
        "num_heads": 2,
        "intermediate_size": 16,
        "out_hidden_size": SMALL["hidden_size"],
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [],
    }
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
    made = t.Qwen2_5_VLConfig(
        text_config=spoken(processor.tokenizer, rope_parameters=rope),
        vision_config=tower,
        **{name: getattr(config, name) for name in names},
    )
    return model_zoo.Miniature(made, processor)


def idefics3() -> model_zoo.Miniature:
    """Idefics3-8B's tiles: the longest edge 1,456, tiles of 364, 169 tokens each."""
    config, processor = model_zoo.idefics("idefics3")
    processor.image_processor = t.Idefics3ImageProcessorPil(
        size={"longest_edge": 4 * 364}, max_image_size={"longest_edge": 364}
    )
    processor.image_seq_len = 169
    made = t.Idefics3Config(
        vision_config={**SMALL, "image_size": 364, "patch_size": 14},
        text_config=t.LlamaConfig(**spoken(processor.tokenizer)),
        image_token_id=config.image_token_id,
        scale_factor=2,
    )
    return model_zoo.Miniature(made, processor)


def llava_onevision() -> model_zoo.Miniature:
    """LLaVA-OneVision's tiles: 384 pixels, 729 tokens each, up to 36 of them and the whole."""
    config, processor = model_zoo.llava_onevision()
    grid = [[384 * rows, 384 * columns] for rows in range(1, 7) for columns in range(1, 7)]
    processor.image_processor = t.LlavaOnevisionImageProcessorPil(
        size=model_zoo.square(384), image_grid_pinpoints=grid
    )
    processor.num_image_tokens = 729
    made = t.LlavaOnevisionConfig(
        vision_config=t.SiglipVisionConfig(**SMALL, image_size=384, patch_size=14),
        text_config=t.Qwen2Config(**spoken(processor.tokenizer)),
        image_token_index=config.image_token_index,
        video_token_index=config.video_token_index,
        image_grid_pinpoints=grid,
    )
    return model_zoo.Miniature(made, processor)


FAMILIES = {"qwen2_5_vl": qwen2_5_vl, "idefics3": idefics3, "llava_onevision": llava_onevision}


def make_corrections(folder: Path, rows: int) -> Path:
    """Write corrections, each about a picture of its own."""
    (folder / "images").mkdir(parents=True)
    lines = []
    for number in range(rows):
        random = np.random.default_rng(number)
        small = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        size = SIZES[number % len(SIZES)]
        small.resize(size).save(folder / "images" / f"{number}.jpg", quality=80)
        lines.append(
            {
                "id": f"c{number}",
                "prompt_id": f"p{number}",
                "image": {"path": f"images/{number}.jpg"},
                "question": "What is in the picture?",
                "rejected": "There is a red car on the left.",
                "chosen": "There is a red dog on the left.",
                "source": "simulated",
            }
        )
    path = folder / "corrections.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def memory(name: str) -> float:
    """A line of /proc/self/status in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1000
    raise ValueError(name)


def main() -> None:
    """Build, train, print."""
    family, rows, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    made = FAMILIES[family]()
    torch.manual_seed(0)
    model = t.AutoModelForImageTextToText.from_config(made.config)
    model.save_pretrained(folder / "model")
    made.processor.save_pretrained(folder / "model")
    corrections = make_corrections(folder / "data", rows)
    recipe = PreferenceRecipe.model_validate(
        {
            "model": {"base": str(folder / "model"), "device": "cpu", "lora": {"rank": 2}},
            "data": {"corrections": str(corrections)},
            "train": {"micro_batch_size": 2, "batch_size": 4, "max_steps": 8},
        }
    )
    started = time.monotonic()
    result = train_dpo(recipe, folder / "run")
    print(
        json.dumps(
            {
                "peak_mb": memory("VmHWM"),
                "end_mb": memory("VmRSS"),
                "end_anonymous_mb": memory("RssAnon"),
                "seconds": time.monotonic() - started,
                "stages": result.manifest.seconds,
            }
        )
    )


if __name__ == "__main__":
    main()
