"""What do branches cost against copies of the prompt? Processor time and memory of one step.

    python benchmarks/branches/run.py [FAMILY ...] [--tokens N ...] [--rounds N] [--out FILE]

Two prompts with K responses of 60 and 100 tokens in turn, forward and backward through a LoRA
adapter, on random models of width 256 (two layers) of several families. Both ways take turns
within one process, so that the ratio holds whatever else the machine does; memory is the peak of a
step in a process of its own.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import transformers

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import model_zoo  # noqa: E402 (the tests' miniatures)
from veridical.models.branches import BranchBatch, score_branches  # noqa: E402
from veridical.models.loading import VisionLanguageModel, load_model  # noqa: E402
from veridical.models.lora import LoraRecipe, add_lora  # noqa: E402

FAMILIES = ("llava", "qwen2_5_vl", "qwen3_vl", "idefics3", "llava_onevision")
IMAGE_TOKENS = (64, 600, 1600)
BRANCHES = (2, 4)
QUESTION = 30
WIDER = {
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 4096,
}


def load(family: str) -> VisionLanguageModel:
    """A random model of a family, its language model wider than the tests'."""
    model_zoo.TEXT |= WIDER
    model_zoo.EXPERTS["head_dim"] = 32
    model_zoo.MROPE["mrope_section"] = [4, 6, 6]
    original = model_zoo.text
    model_zoo.text = lambda tokenizer, **more: original(
        tokenizer, **{key: 32 if key == "head_dim" else value for key, value in more.items()}
    )
    with tempfile.TemporaryDirectory() as folder:
        vlm = load_model(model_zoo.build(family, Path(folder) / "model"), device="cpu")
    adapted = add_lora(vlm, LoraRecipe(rank=8))
    adapted.model.train()
    return adapted


def batch_of(tokens: int, branches: int, *, mrope: bool) -> BranchBatch:
    """Two prompts of random text; image tokens cost a language model what text does."""
    random = torch.Generator().manual_seed(0)
    length = tokens + QUESTION
    ids = torch.randint(100, 300, (2, length), generator=random)
    mask = torch.ones_like(ids)
    mask[1, :7] = 0
    prompt = {"input_ids": ids, "attention_mask": mask}
    if mrope:
        prompt["mm_token_type_ids"] = torch.zeros_like(ids)
    responses = torch.randint(100, 300, (2, branches, 100), generator=random)
    kept = torch.ones_like(responses, dtype=torch.bool)
    kept[:, ::2, 60:] = False
    return BranchBatch(prompt, responses, kept)


def step(vlm: VisionLanguageModel, batch: BranchBatch, *, plain: bool) -> float:
    """Processor seconds of one step."""
    vlm.model.zero_grad()
    started = time.process_time()
    torch.autograd.backward(score_branches(vlm.model, batch, plain=plain).sum())
    return time.process_time() - started


def memory(name: str) -> float:
    """A line of /proc/self/status in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1000
    raise ValueError(name)


def peaks(family: str, cases: list[tuple[int, int]], *, plain: bool) -> list[float]:
    """MB that a step takes beyond what the process held before, for each case."""
    torch.set_num_threads(1)
    vlm, mrope, found = load(family), "qwen" in family, []
    step(vlm, batch_of(8, 1, mrope=mrope), plain=plain)
    for tokens, branches in cases:
        batch = batch_of(tokens, branches, mrope=mrope)
        before = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        step(vlm, batch, plain=plain)
        found.append(memory("VmHWM") - before)
    return found


def times(family: str, cases: list[tuple[int, int]], rounds: int) -> list[list[list[float]]]:
    """Processor seconds of both ways, branches first, taking turns, for each case."""
    torch.set_num_threads(1)
    vlm, found = load(family), []
    for tokens, branches in cases:
        batch = batch_of(tokens, branches, mrope="qwen" in family)
        both: list[list[float]] = [[], []]
        for number in range(rounds + 1):
            for plain in (False, True):
                seconds = step(vlm, batch, plain=plain)
                if number:
                    both[plain].append(seconds)
        found.append(both)
    return found


def apart(function: Any, *arguments: Any, **options: Any) -> Any:
    """Call in a process of its own, whose freed memory goes back at once."""
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments, options)


def main() -> None:
    """Measure, print, and write a result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=FAMILIES)
    parser.add_argument("--tokens", nargs="*", type=int, default=IMAGE_TOKENS)
    parser.add_argument("--branches", nargs="*", type=int, default=BRANCHES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    cases = [(tokens, branches) for tokens in options.tokens for branches in options.branches]
    rows: list[dict[str, Any]] = []
    for family in options.families:
        seconds = apart(times, family, cases, options.rounds)
        sizes = [apart(peaks, family, cases, plain=plain) for plain in (False, True)]
        for case, (ours, copies), small, large in zip(cases, seconds, *sizes, strict=True):
            ratios = [a / b for a, b in zip(ours, copies, strict=True)]
            row = {
                "family": family,
                "image_tokens": case[0],
                "branches": case[1],
                "time_ratio": statistics.median(ratios),
                "time_range": [min(ratios), max(ratios)],
                "memory_ratio": small / large,
                "seconds": [statistics.median(ours), statistics.median(copies)],
                "memory_mb": [small, large],
            }
            rows.append(row)
            print(
                f"{family:16s} {case[0]:5d} image tokens, K = {case[1]}: time"
                f" {row['time_ratio']:.2f} [{min(ratios):.2f}, {max(ratios):.2f}], memory"
                f" {row['memory_ratio']:.2f} of copies ({small:.0f} and {large:.0f} MB)",
                flush=True,
            )
    if options.out:
        about = {
            "machine": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }
        options.out.write_text(
            json.dumps({**about, "rounds": options.rounds, "rows": rows}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
