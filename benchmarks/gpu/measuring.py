"""Seconds and memory on a device, and where a part's results go."""

import gc
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

GIB = 2**30


def wait(device: str) -> None:
    """Wait until the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def free(device: str) -> None:
    """Give back what nobody holds."""
    if device == "cuda":
        gc.collect()
        torch.cuda.empty_cache()


def gib(device: str) -> float:
    """GiB of tensors on the device."""
    return torch.cuda.memory_allocated() / GIB if device == "cuda" else 0.0


def peak_gib(device: str) -> float:
    """The most GiB of tensors on the device since the last `measure` began."""
    return torch.cuda.max_memory_allocated() / GIB if device == "cuda" else 0.0


def reset_peak(device: str) -> None:
    """Begin to look for the peak anew."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def measure(
    step: Callable[[], Any], *, device: str, rounds: int = 5, warm_up: int = 3
) -> dict[str, Any]:
    """Seconds of a step and the peak of memory.

    `seconds` is a step's share of several in a row, as between two optimiser steps, where the host
    prepares one while the device is at another; `seconds_alone` is the median of steps that are
    each waited for.
    """
    if device == "cpu":  # only to try the script
        rounds = warm_up = 1
    free(device)
    wait(device)
    held = gib(device)
    start = time.perf_counter()
    step()
    wait(device)
    first = time.perf_counter() - start
    for _ in range(warm_up - 1):
        step()
    wait(device)
    reset_peak(device)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        step()
        wait(device)
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    for _ in range(rounds):
        step()
    wait(device)
    in_a_row = (time.perf_counter() - start) / rounds
    return {
        "seconds": round(in_a_row, 5),
        "seconds_alone": round(median(seconds), 5),
        "all_seconds": [round(s, 5) for s in seconds],
        "first_seconds": round(first, 3),
        "peak_gib": round(peak_gib(device), 3),
        "peak_beyond_held_gib": round(peak_gib(device) - held, 3),
    }


class Results:
    """What a part has found so far, on disk after every entry: a time limit loses little."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.found: dict[str, Any] = {}

    def add(self, name: str, values: Any) -> None:
        """Keep an entry."""
        self.found[name] = values
        self._path.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {json.dumps(values)[:300]}", flush=True)
