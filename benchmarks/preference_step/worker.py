"""One side of the benchmark in a process of its own, so that its memory is its own.

    python worker.py SIDE FOLDER TUNING

Reads commands from standard input, one a line: `step` answers with seconds and loss, `finish FILE`
writes the last step's gradients and answers with memory. Answers are JSON, one a line, on standard
output.
"""

import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from case import BETA, as_branches, load_batch, load_policy
from safetensors.torch import save_file
from torch import Tensor

from veridical.models.branches import score_branches
from veridical.models.features import FeatureCache
from veridical.models.loading import load_model
from veridical.models.lora import adapter_disabled
from veridical.training.preference.losses import preference_losses
from veridical.training.preference.objectives.dpo import Dpo
from veridical.training.run.checkpoints import load_trainable, trainable_parameters

Loss = Callable[[], Tensor]

OUR_SIDES = ("plain", "branches", "cached_reference", "cached_features")
"""Each adds one saving to the one before it."""
TRL_SIDES = ("trl", "trl_responses_only")
"""TRL as it runs on this machine; TRL with its head at response positions only, as it does on a GPU
with Triton."""


def our_side(side: str, folder: Path, tuning: str) -> tuple[Loss, torch.nn.Module]:
    """Veridical's step, with the savings up to this side's."""
    vlm = load_policy(folder, tuning=tuning)
    batch = as_branches(load_batch(folder))
    objective = Dpo(beta=BETA, normalize="sum")
    nothing_changed = torch.zeros_like(batch.response_mask)
    plain = side == "plain"
    frozen = None if tuning == "lora" else load_model(folder / "base", device="cpu")

    def score_reference() -> Tensor:
        with torch.no_grad(), adapter_disabled(vlm.model) if frozen is None else nullcontext():
            return score_branches((frozen or vlm).model, batch, plain=plain)

    known = score_reference() if side in ("cached_reference", "cached_features") else None
    features = FeatureCache(None, vlm) if side == "cached_features" else None
    if known is not None:
        frozen = None  # nobody asks it again
    keys = None
    if features is not None:
        rows = range(len(batch.response_ids))
        keys = features.store(
            [{name: value[b : b + 1] for name, value in batch.prompt.items()} for b in rows]
        )

    def loss() -> Tensor:
        reference = score_reference() if known is None else known
        image_outputs = None if features is None or keys is None else features.load(keys)
        policy = score_branches(vlm.model, batch, image_outputs=image_outputs, plain=plain)
        losses, _ = preference_losses(
            policy, reference, batch.response_mask, nothing_changed, objective
        )
        return losses.mean()

    return loss, vlm.model


def trl_side(side: str, folder: Path, tuning: str) -> tuple[Loss, torch.nn.Module]:
    """TRL's step: its own `compute_loss` and collator, in its fastest setting here."""
    import trl.trainer.utils
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    if side == "trl_responses_only":
        trl.trainer.utils._use_triton = lambda _: (
            True
        )  # decides in this module only which positions reach the head
    vlm = load_policy(folder, tuning=tuning, perturbed=False)
    adapter = vlm.model.peft_config["default"] if tuning == "lora" else None
    if adapter is not None:
        vlm = load_model(folder / "base", device="cpu")  # the trainer puts the adapter on itself
    row = {"images": [[]], "prompt": [[{"role": "user", "content": "?"}]]}
    row |= {name: [[{"role": "assistant", "content": "."}]] for name in ("chosen", "rejected")}
    trainer = DPOTrainer(
        model=vlm.model,
        ref_model=None if tuning == "lora" else load_model(folder / "base", device="cpu").model,
        args=DPOConfig(
            output_dir=str(folder / "trl"),
            beta=BETA,
            max_length=None,
            bf16=False,
            gradient_checkpointing=False,  # it is on by default and costs time
            use_cpu=True,
            report_to="none",
        ),
        train_dataset=Dataset.from_dict(row),  # only asked whether it has images
        processing_class=vlm.processor,
        peft_config=adapter,
    )
    load_trainable(trainer.model, folder / "policy.safetensors")
    trainer.model.train()
    batch = load_batch(folder)
    return lambda: trainer.compute_loss(trainer.model, dict(batch)), trainer.model


def timed_step(loss: Loss, model: torch.nn.Module) -> dict[str, float]:
    """Forward and backward, from no gradients to all of them."""
    model.zero_grad(set_to_none=True)
    start = time.perf_counter()
    value = loss()
    value.backward()
    return {"seconds": time.perf_counter() - start, "loss": float(value.detach())}


def memory_kib(name: str) -> int:
    """A line of /proc/self/status: VmRSS (resident now) or VmHWM (most so far)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def give_back_memory() -> None:
    """Free what nobody holds, and let the allocator return it: what is resident then is in use."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def main(side: str, folder: Path, tuning: str) -> None:
    """Serve commands until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not stand between the answers

    def answer(values: dict[str, float]) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    loss, model = (trl_side if side in TRL_SIDES else our_side)(side, folder, tuning)
    give_back_memory()
    Path("/proc/self/clear_refs").write_text(
        "5", encoding="utf-8"
    )  # from here on counts the most memory
    loaded = memory_kib("VmRSS")
    answer({"loaded_kib": loaded})
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "step":
            answer(timed_step(loss, model))
            give_back_memory()
        elif command == "finish":
            parameters = trainable_parameters(model)
            save_file(
                {n: p.grad.contiguous() for n, p in parameters.items() if p.grad is not None},
                argument,
            )
            answer({"loaded_kib": loaded, "peak_kib": memory_kib("VmHWM")})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
