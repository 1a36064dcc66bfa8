"""One side of the benchmark in a process of its own, so that its memory is its own.

    python worker.py SIDE FOLDER RECIPE ITERATIONS

Reads commands from standard input, one a line: `check FILE` writes what all roles say of the case's
responses, `iterate N [FILE]` runs iteration N (and writes its gradients) and answers with seconds
and memory. Answers are JSON, one a line, on standard output.
"""

import ctypes
import gc
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from case import encode, read_fixed, read_prompts
from safetensors.torch import save_file
from sides import make_side

from veridical.config import load_recipe
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.engines.protocol import Sampled
from veridical.training.ppo.prompts import PpoPrompt, rows_of_iteration
from veridical.training.ppo.rollout_tensors import Rewards, ScoredRollouts
from veridical.training.ppo.rollouts import RolloutCollector
from veridical.training.ppo.trainer import PpoTrainer
from veridical.training.run.choice import latest
from veridical.training.run.loop import Course


class TimedCollector(RolloutCollector):
    """The collector, with a clock."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seconds: dict[str, float] = {}
        self.said: list[Sampled] = []

    def sample(self, prompts: Sequence[PpoPrompt], *, stream: Sequence[str | int]) -> list[Sampled]:
        start = time.perf_counter()
        self.said = super().sample(prompts, stream=stream)
        self.seconds["sample"] = time.perf_counter() - start
        return self.said

    def score(self, prompts: Sequence[PpoPrompt], sampled: list[Sampled]) -> ScoredRollouts:
        start = time.perf_counter()
        scored = super().score(prompts, sampled)
        self.seconds["score"] = time.perf_counter() - start
        return scored

    def reward(self, prompts: Sequence[PpoPrompt], sampled: Sequence[Sampled]) -> Rewards:
        start = time.perf_counter()
        rewards = super().reward(prompts, sampled)
        self.seconds["reward"] = time.perf_counter() - start
        return rewards


class Worker:
    """A side, and the trainer that runs on it."""

    def __init__(self, name: str, folder: Path, recipe: PpoRecipe, iterations: int) -> None:
        self._folder = folder
        self._recipe = recipe
        self._side = make_side(name, folder, recipe)
        self._records = read_prompts(folder)
        self._collector = TimedCollector(
            self._side.roles, self._side.engine, self._side.reward, recipe
        )
        self._prompts: list[Any] = [None] * len(
            self._records
        )  # encoded in the iteration that needs them
        self._trainer = PpoTrainer(
            self._side.roles,
            self._collector,
            self._prompts,
            Course(
                recipe.train.for_the_loop(steps_per_iteration=recipe.steps_per_iteration),
                folder / f"run-{name}",
                latest(),
            ),
            recipe=recipe,
            iterations=iterations,
            measure=lambda _: {},
        )
        (folder / f"run-{name}").mkdir(exist_ok=True)
        self._optimiser = self._trainer.create_optimizer()
        self._tickets = iter(self._trainer.get_train_dataloader())

    def check(self, file: Path) -> None:
        """Write what all roles say of the same responses."""
        prompts = self._encode(range(self._recipe.rollout.prompts))
        scored = self._collector.score(prompts, read_fixed(self._folder))
        rewards = self._collector.reward(prompts, scored.sampled).total
        mask = scored.response_mask
        found = {name: getattr(scored, name) * mask for name in ("logprobs", "reference", "values")}
        save_file({**found, "rewards": rewards, "response_mask": mask}, file)

    def iterate(self, number: int, gradients: Path | None) -> dict[str, Any]:
        """Encode prompts, sample, score, reward, learn for one pass."""
        trainer, rollout = self._trainer, self._recipe.rollout
        start, processor = time.perf_counter(), time.process_time()
        rows = rows_of_iteration(
            number, prompts=len(self._records), size=rollout.prompts, seed=self._recipe.train.seed
        )
        for row, prompt in zip(rows, self._encode(rows), strict=True):
            self._prompts[row] = prompt
        encoded = time.perf_counter()
        micro_batches = rollout.prompts // self._recipe.train.micro_batch_size
        batches, items = trainer.get_batch_samples(
            self._tickets, micro_batches, torch.device("cpu")
        )
        collected = time.perf_counter()
        loss = sum(float(trainer.training_step(trainer.model, batch, items)) for batch in batches)
        learning = [p for group in self._optimiser.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(learning, self._recipe.train.max_grad_norm)
        self._optimiser.step()
        end, processed = time.perf_counter(), time.process_time() - processor
        if gradients is not None:
            named = {**trainer.roles.policy_parameters(), **trainer.roles.value_parameters()}
            save_file(
                {n: p.grad.contiguous() for n, p in named.items() if p.grad is not None}, gradients
            )
        self._optimiser.zero_grad(set_to_none=True)
        said = [one.responses for one in self._collector.said]
        return {
            "seconds": end - start,
            "processor_seconds": processed,
            "parts": {
                "encode": encoded - start,
                **self._collector.seconds,
                "learn": end - collected,
            },
            "loss": loss,
            "tokens": sum(len(ids) for row in said for ids in row),
            "said": [
                hashlib.sha256(json.dumps(ids).encode()).hexdigest()[:16]
                for row in said
                for ids in row
            ],
        }

    def weights(self) -> int:
        """Bytes of all weights that are held."""
        held = {id(v): v for v in gc.get_objects() if isinstance(v, torch.nn.Parameter)}
        return sum(v.numel() * v.element_size() for v in held.values())

    def _encode(self, rows: Sequence[int]) -> list[PpoPrompt]:
        records = [self._records[row] for row in rows]
        return encode(self._side.roles, records, keep_features=self._side.keeps_features)


def memory_kib(name: str) -> int:
    """A line of /proc/self/status: VmRSS (resident now) or VmHWM (most so far)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def give_back_memory() -> None:
    """Free what nobody holds, and let the allocator return it: what is resident then is in use."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def main(name: str, folder: Path, recipe: Path, iterations: int) -> None:
    """Serve commands until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not stand between the answers

    def answer(values: dict[str, Any]) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    libraries = memory_kib("VmRSS")
    worker = Worker(name, folder, load_recipe(recipe, PpoRecipe), iterations)
    answer({"libraries_kib": libraries, "weights_bytes": worker.weights()})
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "check":
            worker.check(Path(arguments[0]))
            give_back_memory()
            Path("/proc/self/clear_refs").write_text(
                "5", encoding="utf-8"
            )  # from here on counts the most memory
            answer({})
        elif command == "iterate":
            found = worker.iterate(int(arguments[0]), Path(arguments[1]) if arguments[1:] else None)
            give_back_memory()
            answer({**found, "peak_kib": memory_kib("VmHWM")})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
