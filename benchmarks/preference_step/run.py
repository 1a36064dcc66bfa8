"""Time one preference step (forward, backward) of TRL and of Veridical, saving by saving.

    python run.py [--shape eighth eighth-small-head] [--tuning lora full] [--rounds 7] [--out
    results/DATE.json]

All sides read the same weights and tokens and take turns, each in a process of its own; the first
round warms up and does not count. Ends with an error if losses or gradients differ by more than
rounding.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from case import SHAPES, write_case
from safetensors.torch import load_file
from worker import OUR_SIDES, TRL_SIDES

from veridical.files import write_json_atomically
from veridical.records.manifests import describe_machine, git_commit, library_versions

SIDES = (*TRL_SIDES, *OUR_SIDES)
LOSS_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-4
"""Relative: float32 sums in another order."""


class Side:
    """A worker process."""

    def __init__(self, name: str, folder: Path, tuning: str) -> None:
        self.seconds: list[float] = []
        self.loss = float("nan")
        self._gradients = folder / f"{name}.gradients.safetensors"
        command = [
            sys.executable,
            str(Path(__file__).with_name("worker.py")),
            name,
            str(folder),
            tuning,
        ]
        self._log = (folder / f"{name}.log").open("w")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self._log_path = folder / f"{name}.log"
        self._receive()

    def _receive(self) -> dict[str, float]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SystemExit(f"A worker ended:\n{self._log_path.read_text()[-3000:]}")
        return json.loads(line)

    def _ask(self, command: str) -> dict[str, float]:
        if self._process.stdin:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        return self._receive()

    def step(self, *, counts: bool) -> None:
        answer = self._ask("step")
        self.loss = answer["loss"]
        if counts:
            self.seconds.append(answer["seconds"])

    def finish(self) -> dict[str, Any]:
        memory = self._ask(f"finish {self._gradients}")
        self._process.communicate()
        self._log.close()
        return {
            "seconds": [round(value, 4) for value in self.seconds],
            "median_seconds": round(median(self.seconds), 4),
            "loss": self.loss,
            "peak_mib": round(memory["peak_kib"] / 1024),
            "step_mib": round((memory["peak_kib"] - memory["loaded_kib"]) / 1024),
        }

    def gradients(self) -> dict[str, Any]:
        return load_file(self._gradients)


def relative_difference(found: dict[str, Any], wanted: dict[str, Any]) -> float:
    """Norm of the difference of all gradients over the norm of the wanted ones."""
    if set(found) != set(wanted):
        raise SystemExit(f"Gradients of other weights: {sorted(set(found) ^ set(wanted))[:4]}")
    square = sum(
        float((found[name].double() - wanted[name].double()).square().sum()) for name in wanted
    )
    return (square / sum(float(value.double().square().sum()) for value in wanted.values())) ** 0.5


def run_case(shape: str, tuning: str, *, rounds: int, pairs: int) -> dict[str, Any]:
    """Measure all sides on one case."""
    with tempfile.TemporaryDirectory(prefix="preference-step-") as name:
        folder = Path(name)
        sizes = write_case(folder, shape=shape, tuning=tuning, pairs=pairs)
        sides = {side: Side(side, folder, tuning) for side in SIDES}
        loads = []
        for number in range(rounds + 1):
            loads.append(round(os.getloadavg()[0], 2))
            turn = number % len(SIDES)
            for side in (*SIDES[turn:], *SIDES[:turn]):
                sides[side].step(counts=number > 0)
            print(f"{shape} {tuning} round {number}/{rounds}", file=sys.stderr)
        results = {side: process.finish() for side, process in sides.items()}
        wanted = sides["trl"].gradients()
        for side in SIDES:
            results[side]["relative_gradient_difference"] = relative_difference(
                sides[side].gradients(), wanted
            )
            results[side]["relative_loss_difference"] = abs(
                results[side]["loss"] / results["trl"]["loss"] - 1
            )
    for base in TRL_SIDES:
        for side in SIDES:
            ratios = [
                a / b
                for a, b in zip(results[base]["seconds"], results[side]["seconds"], strict=True)
            ]
            results[side][f"times_faster_than_{base}"] = {
                "median": round(median(ratios), 3),
                "low": round(min(ratios), 3),
                "high": round(max(ratios), 3),
            }
    return {
        "shape": shape,
        "tuning": tuning,
        "n": rounds,
        **sizes,
        "load_average": loads,
        "sides": results,
    }


def show(case: dict[str, Any]) -> str:
    """A case as a table in Markdown."""
    columns = (
        "side",
        "median s",
        "times TRL",
        "times TRL, responses only",
        "peak MiB",
        "of it the step",
        "loss",
    )
    columns += ("Δ loss", "Δ gradients")
    rows = [columns, ("---",) * len(columns)]
    for name, side in case["sides"].items():
        ratios = [
            "{median:.2f} ({low:.2f}–{high:.2f})".format(**side[f"times_faster_than_{b}"])
            for b in TRL_SIDES
        ]
        memory = (f"{side['peak_mib']:,}", f"{side['step_mib']:,}")
        differences = (
            f"{side[f'relative_{what}_difference']:.1e}" for what in ("loss", "gradient")
        )
        rows.append(
            (
                name,
                f"{side['median_seconds']:.2f}",
                *ratios,
                *memory,
                f"{side['loss']:.6f}",
                *differences,
            )
        )
    title = (
        f"{case['shape']}, {case['tuning']}: n = {case['n']} steps a side, {case['pairs']} pairs, "
        f"prompt {case['prompt_tokens']} tokens, responses {case['response_tokens']}"
    )
    return "\n".join(["", title, "", *(f"| {' | '.join(row)} |" for row in rows)])


def refuse_differences(case: dict[str, Any]) -> None:
    """End with an error where a side computes something else than TRL."""
    for name, side in case["sides"].items():
        loss, gradient = side["relative_loss_difference"], side["relative_gradient_difference"]
        if not (loss <= LOSS_TOLERANCE and gradient <= GRADIENT_TOLERANCE):
            raise SystemExit(
                f"{name} differs from TRL on {case['shape']}, {case['tuning']}: loss by {loss:.1e},"
                f" gradients by {gradient:.1e} (relative)."
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--shape", nargs="+", choices=SHAPES, default=["eighth", "eighth-small-head"]
    )
    parser.add_argument("--tuning", nargs="+", choices=["lora", "full"], default=["lora", "full"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--note", default="", help="what a reader must know of the conditions")
    parser.add_argument("--show", type=Path, help="only print the tables of this JSON file")
    parser.add_argument("--out", type=Path, help="JSON file to write; an existing one is refused")
    options = parser.parse_args()
    if options.out and options.out.exists():
        raise SystemExit(
            f"`{options.out}` is there already; results are added, never edited. Give another name."
        )
    if options.show:
        print(*map(show, json.loads(options.show.read_text(encoding="utf-8"))["cases"]), sep="\n")
        return
    started, load = time.time(), os.getloadavg()[0]
    result: dict[str, Any] = {
        "date": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "load_average_at_start": round(load, 2),
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        "versions": library_versions() | {"trl": version("trl")},
        "git_commit": git_commit(),
        "note": options.note,
        "cases": [],
    }
    for shape, tuning in product(options.shape, options.tuning):
        case = run_case(shape, tuning, rounds=options.rounds, pairs=options.pairs)
        result["cases"].append(case)
        print(show(case), flush=True)
        if options.out:
            write_json_atomically(options.out, result)
    for case in result["cases"]:
        refuse_differences(case)


if __name__ == "__main__":
    main()
