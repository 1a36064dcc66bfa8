"""What do micro-batches by tokens save? Processor time of preference training on mixed lengths.

    python benchmarks/packing/run.py [--rounds N] [--out FILE]

Corrections of pictures in seven sizes (some 60 to 1,000 image tokens) with responses of 5 to 200
words, a random Qwen2.5-VL of width 256 with a LoRA adapter, steps of 16 pairs: four at a time
against as many as fit into the tokens of four of the longest. Both ways take turns on the same
rows, so that the ratio holds whatever else the machine does. Only the steps count.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "memory"))

import worker  # noqa: E402 (the models of the memory benchmark)

from veridical.records.manifests import build_manifest  # noqa: E402
from veridical.training.preference import train as preference  # noqa: E402
from veridical.training.preference.config import PreferenceRecipe  # noqa: E402

WIDER = {
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_hidden_layers": 2,
    "num_attention_heads": 32,
}
WORDS = ("There", "is", "a", "red", "car", "dog", "on", "the", "left", "of", "it", "and")
PAIRS, STEP, AT_ONCE = 48, 16, 4


def examples() -> list[dict[str, Any]]:
    """Pairs with pictures and responses of many lengths."""
    found = []
    for number in range(PAIRS):
        drawn = random.Random(number)
        noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        said = " ".join(drawn.choices(WORDS, k=drawn.choice((5, 20, 60, 120, 200))))
        found.append(
            {
                "prompt": "What is in the picture?",
                "image": Image.fromarray(noise).resize(worker.SIZES[number % len(worker.SIZES)]),
                "chosen": f"{said} dog.",
                "rejected": f"{said} car.",
            }
        )
    return found


def save_model(folder: Path) -> None:
    """Write a random Qwen2.5-VL with the hub model's patches."""
    worker.SMALL |= WIDER
    made = worker.qwen2_5_vl()
    torch.manual_seed(0)
    transformers.AutoModelForImageTextToText.from_config(made.config).save_pretrained(folder)
    made.processor.save_pretrained(folder)


class Timed(preference.PreferenceTrainer):  # type: ignore[misc]
    """Counts processor seconds inside the steps."""

    seconds = 0.0
    longest = 0

    def training_step(self, *arguments: Any, **more: Any) -> Any:
        """One call of the trainer's step."""
        Timed.longest = max(map(self._rows.length, self._rows.train))
        started = time.process_time()
        loss = super().training_step(*arguments, **more)
        Timed.seconds += time.process_time() - started
        return loss


def train(base: Path, out: Path, rows: list[dict[str, Any]], **more: Any) -> tuple[float, list]:
    """Processor seconds of the steps, and the losses."""
    recipe = PreferenceRecipe.model_validate(
        {
            "model": {"base": str(base), "device": "cpu", "lora": {"rank": 8}},
            "data": {"corrections": "", "validation_fraction": 0.0},
            "train": {
                "batch_size": STEP,
                "micro_batch_size": AT_ONCE,
                "epochs": 1,
                "cache": str(base.parent / "cache"),
                **more,
            },
        }
    )
    Timed.seconds = 0.0
    run = preference.train_dpo(recipe, out, data=rows, judged_by="simulated")
    lines = (run.run_dir / "metrics.jsonl").read_text().splitlines()
    return Timed.seconds, [line["loss"] for line in map(json.loads, lines) if "grad_norm" in line]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    preference.PreferenceTrainer = Timed
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "model"
        save_model(base)
        rows, ratios, found = examples(), [], []
        train(base, Path(folder) / "first", rows)  # fills the caches
        tokens = AT_ONCE * Timed.longest
        for number in range(options.rounds):
            sides = {"number": {}, "tokens": {"micro_batch_tokens": tokens}}
            order = list(sides) if number % 2 == 0 else list(sides)[::-1]
            took = {}
            for name in order:
                out = Path(folder) / f"{name}-{number}"
                took[name], losses = train(base, out, rows, **sides[name])
                print(f"{name}: {took[name]:.2f} s, losses {losses}", flush=True)
            found.append(took)
            ratios.append(took["tokens"] / took["number"])
    print(f"ratio: {statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]")
    if options.out:
        manifest = build_manifest(verb="benchmark", seed=0)
        stated = {
            "machine": manifest.machine,
            "versions": manifest.versions,
            "load": os.getloadavg(),
            "rounds": found,
            "ratios": ratios,
        }
        options.out.write_text(json.dumps(stated, indent=2) + "\n")


if __name__ == "__main__":
    main()
