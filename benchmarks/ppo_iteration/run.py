"""Time one PPO iteration the naive way (four full models) and Veridical's way, saving by saving.

    python run.py [--shape sixteenth] [--rounds 5] [--prompts 8] [--samples 4] [--tokens 48] [--out
    results/DATE.json]

All sides read the same weights, prompts and seeds and take turns, each in a process of its own; the
first round warms up and does not count. Ends with an error if log-probabilities, values or rewards
of the same responses differ.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from case import SHAPES, make_recipe, write_case
from safetensors.torch import load_file
from sides import SIDES

from veridical.config import write_recipe
from veridical.files import write_json_atomically
from veridical.records.manifests import describe_machine, git_commit, library_versions
from veridical.training.ppo.config import PpoRecipe

TOLERANCE = 1e-4
"""Nats, and units of the reward: float32 sums in another order."""
NAIVE, ADAPTERS = SIDES[:2]
PARTS = ("encode", "sample", "score", "reward", "learn")


class Side:
    """A worker process."""

    def __init__(self, name: str, folder: Path, iterations: int) -> None:
        self.name = name
        self.rounds: list[dict[str, Any]] = []
        self._folder = folder
        command = [
            sys.executable,
            str(Path(__file__).with_name("worker.py")),
            name,
            str(folder),
            str(folder / "recipe.toml"),
            str(iterations),
        ]
        self._log_path = folder / f"{name}.log"
        self._log = self._log_path.open("w")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self.start = self._receive()

    def _receive(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SystemExit(f"A worker ended:\n{self._log_path.read_text()[-3000:]}")
        return json.loads(line)

    def _ask(self, command: str) -> dict[str, Any]:
        if self._process.stdin:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        return self._receive()

    def check(self) -> dict[str, Any]:
        file = self._folder / f"{self.name}.scores.safetensors"
        self._ask(f"check {file}")
        return load_file(file)

    def iterate(self, number: int, *, gradients: bool) -> None:
        file = self._folder / f"{self.name}.gradients.safetensors"
        self.rounds.append(
            self._ask(f"iterate {number} {file}" if gradients else f"iterate {number}")
        )

    def gradients(self) -> dict[str, Any]:
        return load_file(self._folder / f"{self.name}.gradients.safetensors")

    def finish(self) -> dict[str, Any]:
        self._process.communicate()
        self._log.close()
        counted = self.rounds[1:]
        return {
            "seconds": [round(one["seconds"], 3) for one in counted],
            "processor_seconds": [round(one["processor_seconds"], 3) for one in counted],
            "median_processor_seconds": round(
                median(one["processor_seconds"] for one in counted), 3
            ),
            "median_seconds": round(median(one["seconds"] for one in counted), 3),
            "median_seconds_by_part": {
                part: round(median(one["parts"][part] for one in counted), 3) for part in PARTS
            },
            "losses": [one["loss"] for one in counted],
            "peak_mib": round(self.rounds[-1]["peak_kib"] / 1024),
            "libraries_mib": round(self.start["libraries_kib"] / 1024),
            "weights_mib": round(self.start["weights_bytes"] / 2**20, 1),
        }


def compare_scores(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, float]:
    """Largest absolute differences over all responses' tokens."""
    if not bool((found["response_mask"] == wanted["response_mask"]).all()):
        raise SystemExit("The sides scored other tokens.")
    return {
        name: float((found[name] - wanted[name]).abs().max())
        for name in wanted
        if name != "response_mask"
    }


def relative_difference(found: dict[str, Any], wanted: dict[str, Any]) -> float:
    """Norm of the difference of all gradients over the norm of the wanted ones."""
    if set(found) != set(wanted):
        raise SystemExit(f"Gradients of other weights: {sorted(set(found) ^ set(wanted))[:4]}")
    square = sum(
        float((found[name].double() - wanted[name].double()).square().sum()) for name in wanted
    )
    return (square / sum(float(value.double().square().sum()) for value in wanted.values())) ** 0.5


def ratios(base: list[float], seconds: list[float]) -> dict[str, float]:
    """How many times as fast, round by round."""
    each = [a / b for a, b in zip(base, seconds, strict=True)]
    return {
        "median": round(median(each), 3),
        "low": round(min(each), 3),
        "high": round(max(each), 3),
    }


def run_case(shape: str, recipe: PpoRecipe, folder: Path, *, rounds: int) -> dict[str, Any]:
    """Measure all sides."""
    sizes = write_case(folder, shape=shape, recipe=recipe, iterations=rounds + 1)
    write_recipe(recipe, folder / "recipe.toml")
    sides = {name: Side(name, folder, rounds + 1) for name in SIDES}
    scores = {name: side.check() for name, side in sides.items()}
    differences = {name: compare_scores(scores[name], scores[NAIVE]) for name in SIDES}
    for name, found in differences.items():
        if not max(found.values()) <= TOLERANCE:
            raise SystemExit(f"{name} differs from {NAIVE} by more than {TOLERANCE}: {found}")
    apart = (scores[NAIVE]["logprobs"] - scores[NAIVE]["reference"]).abs().max()
    loads = []
    for number in range(rounds + 1):
        loads.append(round(os.getloadavg()[0], 2))
        turn = number % len(SIDES)
        for name in (*SIDES[turn:], *SIDES[:turn]):
            sides[name].iterate(number, gradients=number == rounds and name != NAIVE)
        print(f"round {number}/{rounds}", file=sys.stderr)
    wanted = [ids for one in sides[NAIVE].rounds for ids in one["said"]]
    results = {}
    for place, name in enumerate(SIDES):
        side = sides[name]
        found = side.finish()
        said = [ids for one in side.rounds for ids in one["said"]]
        found["score_differences"] = differences[name]
        found["responses_like_naive"] = (
            f"{sum(a == b for a, b in zip(said, wanted, strict=True))} of {len(said)}"
        )
        if name != NAIVE:
            found["relative_gradient_difference"] = relative_difference(
                side.gradients(), sides[ADAPTERS].gradients()
            )
            found["times_side_before"] = ratios(
                results[SIDES[place - 1]]["processor_seconds"], found["processor_seconds"]
            )
        results[name] = found
    for found in results.values():
        found["times_four_models"] = ratios(results[NAIVE]["seconds"], found["seconds"])
        found["times_adapters"] = ratios(results[ADAPTERS]["seconds"], found["seconds"])
        found["times_four_models_processor"] = ratios(
            results[NAIVE]["processor_seconds"], found["processor_seconds"]
        )
        for label, taken in (("memory_share", 0), ("memory_share_beyond_libraries", 1)):
            mine, naive = (
                one["peak_mib"] - taken * one["libraries_mib"] for one in (found, results[NAIVE])
            )
            found[label] = round(mine / naive, 3)
    tokens = [one["tokens"] for one in sides[NAIVE].rounds[1:]]
    return {
        "shape": shape,
        "n": rounds,
        **sizes,
        "response_tokens_sampled": tokens,
        "load_average": loads,
        "largest_difference_of_policy_and_reference": round(float(apart), 3),
        "tolerance": TOLERANCE,
        "sides": results,
    }


def show(case: dict[str, Any]) -> str:
    """A case as tables in Markdown."""
    first: list[tuple[str, ...]] = [
        (
            "side",
            "median s",
            "times four_models",
            "times adapters",
            "processor s",
            "times four_models, processor",
            "this saving, processor",
            "peak MiB",
            "beyond libraries",
            "share",
            "share beyond libraries",
            "Δ scores",
            "Δ gradients",
        ),
        ("---",) * 13,
    ]
    second: list[tuple[str, ...]] = [("side", "weights MiB", *PARTS), ("---",) * (2 + len(PARTS))]
    for name, side in case["sides"].items():
        said = [
            "{median:.2f} ({low:.2f}–{high:.2f})".format(**side[key]) if key in side else ""
            for key in (
                "times_four_models",
                "times_adapters",
                "times_four_models_processor",
                "times_side_before",
            )
        ]
        beyond = side["peak_mib"] - side["libraries_mib"]
        gradient = side.get("relative_gradient_difference")
        first.append(
            (
                f"`{name}`",
                f"{side['median_seconds']:.2f}",
                *said[:2],
                f"{side['median_processor_seconds']:.2f}",
                *said[2:],
                f"{side['peak_mib']:,}",
                f"{beyond:,}",
                f"{side['memory_share']:.2f}",
                f"{side['memory_share_beyond_libraries']:.2f}",
                f"{max(side['score_differences'].values()):.1e}",
                "" if gradient is None else f"{gradient:.1e}",
            )
        )
        parts = side["median_seconds_by_part"]
        second.append(
            (f"`{name}`", f"{side['weights_mib']:.1f}", *(f"{parts[part]:.2f}" for part in PARTS))
        )
    title = (
        f"{case['shape']}: n = {case['n']} iterations a side; {case['prompts']} prompts of"
        f" {case['prompt_tokens']} tokens, {case['responses_a_prompt']} responses of at most"
        f" {case['response_tokens_at_most']} tokens each. Log-probabilities, values and rewards of"
        f" the same responses agree within {case['tolerance']}; policy and reference differ by up"
        f" to {case['largest_difference_of_policy_and_reference']} nats a token."
    )
    tables = ("\n".join(f"| {' | '.join(row)} |" for row in rows) for rows in (first, second))
    return "\n\n".join(["", title, *tables])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="sixteenth")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=48, help="longest response")
    parser.add_argument(
        "--micro", type=int, default=2, help="prompts with all their responses in memory at once"
    )
    parser.add_argument("--note", default="", help="what a reader must know of the conditions")
    parser.add_argument("--show", type=Path, help="only print the tables of this JSON file")
    parser.add_argument("--out", type=Path, help="JSON file to write; an existing one is refused")
    options = parser.parse_args()
    if options.out and options.out.exists():
        raise SystemExit(
            f"`{options.out}` is there already; results are added, never edited. Give another name."
        )
    if options.show:
        print(show(json.loads(options.show.read_text(encoding="utf-8"))["case"]))
        return
    started, load = time.time(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="ppo-iteration-") as name:
        folder = Path(name)
        recipe = make_recipe(
            folder,
            prompts=options.prompts,
            samples=options.samples,
            tokens=options.tokens,
            micro=options.micro,
        )
        case = run_case(options.shape, recipe, folder, rounds=options.rounds)
    result = {
        "date": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "load_average_at_start": round(load, 2),
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        "versions": library_versions(),
        "git_commit": git_commit(),
        "note": options.note,
        "case": case,
    }
    print(show(case), flush=True)
    if options.out:
        write_json_atomically(options.out, result)


if __name__ == "__main__":
    main()
