"""Do several processes learn what one does? DDP, ZeRO-2 and ZeRO-3 against one, by real launchers.

    python benchmarks/processes/run.py [--methods sft dpo] [--ways ddp zero2] [--bf16] [--out FILE]

Trains the embedded world's base for a few steps in one process and in two, and compares all that
was logged and all weights. What a process holds of the optimiser is read off its resume point.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from comparison_files import write_comparisons  # noqa: E402 (the tests' small data)
from conversation_files import write_conversations  # noqa: E402
from correction_files import write_corrections  # noqa: E402
from prompt_files import write_prompts  # noqa: E402

ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2"]
WAYS = {
    "one": [sys.executable],
    "ddp": [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"],
    "zero2": [*ACCELERATE, "--use_deepspeed", "--zero_stage", "2"],
    "zero3": [*ACCELERATE, "--use_deepspeed", "--zero_stage", "3"],
}
"""How a training is started, by name."""
TRAIN = {"learning_rate": 1e-3, "batch_size": 8, "micro_batch_size": 2, "max_steps": 4}


def recipes(folder: Path, *, bf16: bool) -> dict[str, dict[str, Any]]:
    """A recipe for each method, with its data written to a folder."""
    model = {"base": "world", "device": "cpu", "lora": {"rank": 8}}
    train = {**TRAIN, "bf16": bf16}
    talks = str(write_conversations(folder / "talks", count=20))
    corrections = str(write_corrections(folder / "corrections"))
    comparisons = str(write_comparisons(folder / "comparisons", count=20))
    prompts = str(write_prompts(folder / "prompts", count=8))
    held = {"validation_fraction": 0.3}
    return {
        "sft": {
            "model": {**model, "tuning": "full"},
            "data": {"conversations": talks, **held},
            "train": train,
        },
        "dpo": {
            "model": {**model, "tuning": "lora"},
            "data": {"corrections": corrections, **held},
            "sft": {"conversations": talks, **held},
            "train": {**train, "epochs": 4},
        },
        "reward": {
            "model": model,
            "data": {"comparisons": comparisons, **held},
            "template": {"name": "world"},
            "train": train,
        },
        "ppo": {
            "model": model,
            "data": {"prompts": prompts},
            "rollout": {"prompts": 4, "samples": 2, "max_new_tokens": 16},
            "reward": {"length_weight": 1.0},
            "train": {"iterations": 2, "micro_batch_size": 1, "batch_size": 4, "bf16": bf16},
        },
    }


def toml(recipe: dict[str, Any]) -> Iterator[str]:
    """Lines of a recipe."""
    for section, values in recipe.items():
        tables = {name: value for name, value in values.items() if isinstance(value, dict)}
        yield f"[{section}]"
        yield from (f"{n} = {json.dumps(v)}" for n, v in values.items() if n not in tables)
        yield from toml({f"{section}.{name}": value for name, value in tables.items()})


def train(way: str, method: str, folder: Path) -> float:
    """Train, and give the seconds of the whole command."""
    out = folder / f"{method}-{way}"
    command = [*WAYS[way], "-m", "veridical", "train", method]
    if way == "one":
        command = [sys.executable, "-m", "veridical", "train", method]
    started = time.monotonic()
    done = subprocess.run(
        [*command, str(folder / f"{method}.toml"), "--out", str(out)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"},
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return time.monotonic() - started


def logged(run: Path) -> list[dict[str, Any]]:
    """All numbers that a run logged."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{n: v for n, v in line.items() if n not in {"seconds", "part"}} for line in lines]


def weights(run: Path) -> dict[str, Any]:
    """All weights that a run saved."""
    files = [f for f in run.rglob("*.safetensors") if "resume" not in f.parts and "best" in f.parts]
    return {name: value for file in files for name, value in load_file(file).items()}


def compare(one: Path, other: Path) -> dict[str, float]:
    """Greatest differences: of a number, relative, at the first step and over all; of a weight."""
    apart = {}
    for first, second in zip(logged(one), logged(other), strict=True):
        found = max(abs(first[name] - second[name]) / max(1.0, abs(first[name])) for name in first)
        apart[first["step"], "grad_norm" in first] = found
    saved = weights(other)
    moved = [float((value - saved[name]).abs().max()) for name, value in weights(one).items()]
    return {"first": apart[1, True], "numbers": max(apart.values()), "weights": max(moved)}


def optimizer_bytes(run: Path) -> list[int]:
    """What each process wrote of the optimiser's state."""
    (point,) = (run / "resume").glob("checkpoint-*")
    parts = sorted(point.glob("global_step*/*_optim_states.pt")) or [point / "optimizer.pt"]
    return [part.stat().st_size for part in parts]


def main() -> None:
    """Run what was asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=["sft", "dpo", "reward", "ppo"])
    parser.add_argument("--ways", nargs="+", default=["ddp", "zero2", "zero3"])
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16")
    parser.add_argument("--out", type=Path, help="write the results there, too")
    chosen = parser.parse_args()
    packages = ("torch", "transformers", "accelerate", "deepspeed")
    results: dict[str, Any] = {"bf16": chosen.bf16, **{name: version(name) for name in packages}}
    print("| training | by | first step | numbers | weights | optimiser, bytes each | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for method, recipe in recipes(folder, bf16=chosen.bf16).items():
            if method not in chosen.methods:
                continue
            (folder / f"{method}.toml").write_text("\n".join(toml(recipe)) + "\n")
            ways = [way for way in chosen.ways if (method, way) != ("ppo", "zero3")]
            for way in ("one", *ways):
                seconds = train(way, method, folder)
                one, other = folder / f"{method}-one", folder / f"{method}-{way}"
                row = {**compare(one, other), "optimizer": optimizer_bytes(other)}
                results[f"{method}, {way}"] = {**row, "seconds": round(seconds, 1)}
                each = ", ".join(f"{size:,}" for size in row["optimizer"])
                print(
                    f"| {method} | {way} | {row['first']:.0e} | {row['numbers']:.0e} |"
                    f" {row['weights']:.0e} | {each} | {seconds:.0f} |",
                    flush=True,
                )
    if chosen.out:
        chosen.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
