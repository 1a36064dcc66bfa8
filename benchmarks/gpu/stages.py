"""Whole commands on made-up data, stage by stage, with the shipped recipes for 80 GB."""

import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Results, free, peak_gib, reset_peak
from PIL import Image
from shapes import SIDE, make_model

from veridical import train_dpo, train_ppo, train_reward_model, train_sft
from veridical.config import load_recipe
from veridical.training.ppo.config import PpoRecipe
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.reward.config import RewardRecipe
from veridical.training.sft.config import SftRecipe

_TEXT = "the red car left of a small dog near two green trees on the road in a picture"
WORDS = _TEXT.split()


def run(results: Results, *, device: str, tiny: bool, part: str) -> None:  # noqa: ARG001
    """Train by DPO and PPO, then reward model and SFT."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        start = time.perf_counter()
        vlm = make_model("llava", device=device, tiny=tiny)
        base = folder / "base"
        vlm.model.save_pretrained(base)
        vlm.processor.save_pretrained(base)
        del vlm
        free(device)
        results.add("making the model", {"wall": round(time.perf_counter() - start, 1)})
        shared = {"model": {"base": str(base), "device": device}}
        count, words = (4, 4) if tiny else (96, 80)
        rows = made_up(count, words)
        small: dict[str, Any] = (
            {"batch_size": 2, "micro_batch_size": 2, "bf16": False} if tiny else {}
        )

        def keep(name: str, train: Callable[[Path], Any]) -> None:
            reset_peak(device)
            begun = time.perf_counter()
            try:
                found = train(folder / name)
            except (RuntimeError, ValueError, TypeError) as error:
                results.add(f"train {name}", {"error": repr(error)[:800]})
            else:
                stages = {k: round(v, 2) for k, v in found.manifest.seconds.items()}
                results.add(
                    f"train {name}",
                    {
                        "wall": round(time.perf_counter() - begun, 1),
                        "stages": stages,
                        "seconds_at_steps": seconds_at_steps(folder / name),
                        "peak_gib": round(peak_gib(device), 2),
                    },
                )
            free(device)

        def recipe(name: str, kind: Any, **sections: Any) -> Any:
            settings = {**shared, **sections}
            settings["train"] = {"epochs": 1, **small, **sections.get("train", {})}
            settings.setdefault("data", {"validation_fraction": 0.0 if tiny else 0.05})
            return load_recipe(f"{name}-llava-1.5-7b-80gb", kind, settings=settings)

        keep("dpo", lambda out: train_dpo(recipe("dpo", PreferenceRecipe), out, data=rows))
        rollout = {"prompts": 2, "samples": 2, "max_new_tokens": 4, "batch_size": 2}
        if not tiny:
            rollout = {"prompts": 16, "samples": 4, "max_new_tokens": 128, "batch_size": 16}
        ppo = recipe(
            "ppo",
            PpoRecipe,
            rollout=rollout,
            train={"batch_size": rollout["prompts"], "micro_batch_size": 2}
            if tiny
            else {"batch_size": 16, "micro_batch_size": 8},
            data={"held_out_fraction": 0.0},
        )
        asked = [{"prompt": row["prompt"], "image": row["image"]} for row in rows]
        keep(
            "ppo",
            lambda out: train_ppo(ppo, out, data=asked[: 2 * rollout["prompts"]]),
        )
        keep(
            "reward", lambda out: train_reward_model(recipe("reward", RewardRecipe), out, data=rows)
        )
        told = [
            {"prompt": row["prompt"], "completion": row["chosen"], "image": row["image"]}
            for row in rows
        ]
        keep("sft", lambda out: train_sft(recipe("sft", SftRecipe), out, data=told))


def seconds_at_steps(run: Path) -> list[float]:
    """When each optimiser step had ended, in seconds from the start of training."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [round(line["seconds"], 2) for line in lines if line.get("part") == "train"]


def made_up(count: int, words: int) -> list[dict[str, Any]]:
    """Pairs of responses about noise, some words changed, with facts."""
    draw, rows = random.Random(0), []
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        chosen = draw.choices(WORDS, k=words)
        rejected = [draw.choice(WORDS) if draw.random() < 0.1 else word for word in chosen]
        rejected[0] = "never"
        rows.append(
            {
                "prompt": "Describe the picture in detail.",
                "chosen": " ".join(chosen),
                "rejected": " ".join(rejected),
                "image": Image.fromarray(pixels),
                "facts": [" ".join(draw.choices(WORDS, k=8))] * 2,
            }
        )
    return rows
