"""How long does a training take to start? Stages of loading a random checkpoint of 2 GB.

    python benchmarks/start/run.py [--gigabytes N] [--rounds N] [--out FILE]

The same stages with sha256 in place of the fingerprint, taken twice as `train dpo` once did, are
what it took before. Rounds take turns within one process; processor time is what counts.
"""

import argparse
import hashlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import model_zoo  # noqa: E402 (the tests' miniatures)
from veridical.models.feature_store.kinds import kind_of  # noqa: E402
from veridical.models.hashing import model_hash  # noqa: E402
from veridical.models.loading import load_model  # noqa: E402

WIDE = {
    "hidden_size": 2048,
    "intermediate_size": 5504,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
}
_LAYER = 4 * (4 * 2048**2 + 3 * 2048 * 5504)
"""Bytes of a layer of this width."""


def sha256(model: torch.nn.Module) -> str:
    """What the fingerprint was before."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        plain = tensor.detach().contiguous()
        digest.update(f"{name}\0{plain.dtype}\0{tuple(plain.shape)}\0".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class Watch:
    """Times calls by name."""

    def __init__(self) -> None:
        self.processor: dict[str, list[float]] = {}
        self.wall: dict[str, list[float]] = {}

    def take(self, name: str, call: Callable[[], Any]) -> Any:
        """Call, and note how long it took."""
        started, wall = time.process_time(), time.perf_counter()
        result = call()
        self.processor.setdefault(name, []).append(time.process_time() - started)
        self.wall.setdefault(name, []).append(time.perf_counter() - wall)
        return result


def measured(folder: Path, rounds: int) -> Watch:
    """Load, and name the weights both ways."""
    watch = Watch()
    for _ in range(rounds):
        vlm = watch.take("loading", lambda: load_model(folder, device="cpu"))
        watch.take("fingerprint", lambda vlm=vlm: model_hash(vlm.model))
        watch.take("features' fingerprint", lambda vlm=vlm: kind_of(vlm.model).fingerprint())
        watch.take("sha256", lambda vlm=vlm: sha256(vlm.model))
    return watch


def main() -> None:
    """Build a checkpoint, measure, print, and write a result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    layers = max(1, round(options.gigabytes * 1e9 / _LAYER))
    model_zoo.TEXT |= {**WIDE, "num_hidden_layers": layers}
    with tempfile.TemporaryDirectory() as place:
        folder = model_zoo.build("llava", Path(place) / "model")
        size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        watch = measured(folder, options.rounds)
    found = {name: statistics.median(times) for name, times in watch.processor.items()}
    now = found["loading"] + found["fingerprint"] + found["features' fingerprint"]
    before = found["loading"] + 2 * found["sha256"] + found["features' fingerprint"]
    for name, seconds in found.items():
        wall = statistics.median(watch.wall[name])
        print(f"{name:22s} {seconds:6.2f} s of a processor, {wall:6.2f} s by the clock")
    print(f"start: {now:.2f} s, before {before:.2f} s: {now / before:.2f}")
    if options.out:
        about = {
            "machine": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "load": os.getloadavg(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }
        result = {**about, "bytes": size, "processor": watch.processor, "wall": watch.wall}
        options.out.write_text(json.dumps({**result, "ratio": now / before}, indent=2) + "\n")


if __name__ == "__main__":
    main()
