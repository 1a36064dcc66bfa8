"""One DPO step (forward and backward) on an image and two responses, saving by saving, and TRL's.

Each side adds one saving to the one before it; the last is what `veridical train dpo` does.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from copy import deepcopy
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import rate
import torch
from measuring import Results, free, gib, measure, wait
from shapes import make_batch, make_model, one_by_one
from torch import Tensor

from veridical.errors import ModelError
from veridical.models import branches as branches_module
from veridical.models.adapters import leave_casts_to_autocast
from veridical.models.architectures.parts import language_model
from veridical.models.branches import BranchBatch, score_branches
from veridical.models.features import FeatureCache
from veridical.models.hashing import model_hash
from veridical.models.kernels.compiled_layers import compile_layers, restore_layers
from veridical.models.loading import VisionLanguageModel
from veridical.models.lora import LoraRecipe, adapter_disabled, add_lora
from veridical.training.preference.losses import preference_losses
from veridical.training.preference.objectives.dpo import Dpo
from veridical.training.run.steps.trainer import no_checks_of_values

BETA = 0.1
SIDES = ("branches", "cached", "no_casts", "packed", "compiled")
"""branches: the prompt once for both responses, live reference; cached: reference and image
features known beforehand; no_casts: adapters' inputs stay in bfloat16; packed: no mask and no
padding, with the variable-length kernel, and nothing that waits for the device; compiled: decoder
layers compiled."""
_packing_reason = branches_module.no_packing_reason


PLANS: dict[str, tuple[str, tuple[tuple[str, int], ...]]] = {
    "step": (
        "llava",
        (
            ("packed", 4),
            ("cached", 4),
            ("no_casts", 4),
            ("compiled", 4),
            ("branches", 4),
            ("trl", 4),
            ("trl_reference_given", 4),
        ),
    ),
    "step_more": (
        "llava",
        (
            ("compiled", 8),
            ("compiled", 2),
            ("packed+checkpointing", 8),
            ("compiled+checkpointing", 8),
            ("trl", 2),
            ("trl", 8),
        ),
    ),
    "step_qwen": ("qwen", (("compiled", 4), ("packed", 4), ("cached", 4), ("trl", 4))),
}
"""By part: the shape, then sides and pairs in the order in which they are measured."""


def run(results: Results, *, device: str, tiny: bool, part: str = "step") -> None:
    """Measure the sides of a part.

    With `VERIDICAL_PROFILE` in the environment, profiles of the steps of four pairs are written
    into the folder that it names; `VERIDICAL_SIDES` names the only sides that are measured.
    """
    shape, plan = PLANS[part]
    if part == "step":
        rate.run(results, device=device, tiny=tiny)
    profiles, only = (os.environ.get(f"VERIDICAL_{name}") for name in ("PROFILE", "SIDES"))
    if only:
        plan = tuple(one for one in plan if one[0] in only.split(","))

    def keep(name: str, make: Callable[[], dict[str, Any]]) -> None:
        try:
            results.add(name, make())
        except (RuntimeError, ModelError) as error:  # out of memory is one of them
            results.add(name, {"error": str(error).strip().splitlines()[0]})
        free(device)

    for kind in (Ours, Trl):
        mine = [(side, pairs) for side, pairs in plan if side.startswith("trl") == (kind is Trl)]
        if not mine:
            continue
        if kind is Trl and not has_trl():
            results.add("trl", {"error": "TRL is not installed"})
            continue
        vlm = make_model(shape, device=device, tiny=tiny)
        if part == "step" and kind is Ours:
            keep("fingerprint", partial(time_fingerprint, vlm, device=device))
        model = kind(vlm, device=device)
        for side, pairs in mine:
            keep(f"{shape} {side} {pairs}", partial(model.measure, side, pairs=pairs))
            if profiles and isinstance(model, Ours) and pairs == 4:
                path = Path(profiles) / f"{shape}-{side}.txt"
                keep(f"profile {side}", partial(model.profile, side, path))
        del model, vlm
        free(device)


def time_fingerprint(vlm: VisionLanguageModel, *, device: str) -> dict[str, Any]:
    """Seconds of a fingerprint of all weights, and whether a layer's is the same on the CPU."""
    layer = language_model(vlm.model).layers[0].self_attn
    model_hash(layer)
    wait(device)
    start = time.perf_counter()
    model_hash(vlm.model)
    seconds = time.perf_counter() - start
    return {
        "seconds_of_fingerprint": round(seconds, 3),
        "equal_on_cpu": model_hash(layer) == model_hash(deepcopy(layer).cpu()),
    }


def has_trl() -> bool:
    """Whether TRL and what it needs are installed."""
    return find_spec("trl") is not None and find_spec("datasets") is not None


def perturb(model: torch.nn.Module) -> None:
    """Draw the adapter, the same for all sides, so that loss and gradients are not trivial."""
    torch.manual_seed(1)
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name in sorted(learning):
            learning[name].copy_(0.02 * torch.randn_like(learning[name]))


class Ours:
    """Veridical's step on one model."""

    def __init__(self, vlm: VisionLanguageModel, *, device: str) -> None:
        self.vlm = add_lora(vlm, LoraRecipe(rank=64, alpha=16))
        self.device = device
        perturb(self.vlm.model)
        self.vlm.model.train()
        self.weights_gib = gib(device)

    def measure(self, side: str, *, pairs: int) -> dict[str, Any]:
        """Seconds, memory and loss of a side."""
        with self._side(side, pairs) as step:
            found = measure(step, device=self.device)
            return found | self._facts(pairs) | {"loss": float(step())}

    def profile(self, side: str, path: Path) -> dict[str, float]:
        """Where a side's time goes, by kernel; written to a file."""
        from torch.profiler import ProfilerActivity, profile

        with self._side(side, 4) as step:
            for _ in range(2):
                step()
            wait(self.device)
            with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
                start = time.perf_counter()
                step()
                wait(self.device)
                seconds = time.perf_counter() - start
        events = profiler.key_averages()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            for key in ("self_cuda_time_total", "self_cpu_time_total"):
                print(events.table(sort_by=key, row_limit=40, max_name_column_width=90), file=file)
        busy = sum(event.self_device_time_total for event in events) / 1e6
        launched = sum(event.count for event in events if "LaunchKernel" in event.key)
        return {"seconds": seconds, "gpu_busy_seconds": busy, "kernels": launched}

    def _facts(self, pairs: int) -> dict[str, Any]:
        decoder = language_model(self.vlm.model)
        weights = sum(p.numel() for n, p in decoder.named_parameters() if "lora_" not in n)
        weights -= self.vlm.model.get_input_embeddings().weight.numel()
        tokens = pairs * self.tokens_per_pair
        # Forward, and the gradient of what goes in: weights themselves get none.
        return {
            "pairs": pairs,
            "weights_gib": round(self.weights_gib, 3),
            "tokens": tokens,
            "tera_operations": round(4 * weights * tokens / 1e12, 3),
        }

    @contextmanager
    def _side(self, side: str, pairs: int) -> Iterator[Callable[[], Tensor]]:
        level, _, more = side.partition("+")
        number = SIDES.index(level)
        model = self.vlm.model
        batch = make_batch(self.vlm, pairs=pairs, device=self.device)
        self.tokens_per_pair = batch.prompt["input_ids"].shape[1] + batch.response_ids[0].numel()
        with ExitStack() as stack:
            branches_module.no_packing_reason = (
                _packing_reason if number >= SIDES.index("packed") else lambda _: "switched off"
            )
            stack.callback(setattr, branches_module, "no_packing_reason", _packing_reason)
            stack.enter_context(
                leave_casts_to_autocast(model, active=number >= SIDES.index("no_casts"))
            )
            if number >= SIDES.index("packed"):
                stack.enter_context(no_checks_of_values())
            if number >= SIDES.index("compiled"):
                compile_layers(model, backend="inductor" if self.device == "cuda" else "eager")
                stack.callback(restore_layers, model)
            if more == "checkpointing":
                model.gradient_checkpointing_enable(
                    gradient_checkpointing_kwargs={"use_reentrant": False}
                )
                stack.callback(model.gradient_checkpointing_disable)
            yield self._step(batch, cached=number >= SIDES.index("cached"))

    def _step(self, batch: BranchBatch, *, cached: bool) -> Callable[[], Tensor]:
        model, objective = self.vlm.model, Dpo(beta=BETA, normalize="sum")
        nothing_changed = torch.zeros_like(batch.response_mask)
        features = FeatureCache(None, self.vlm)
        keep = cached and features.unavailable_reason() is None

        def autocast() -> Any:
            return torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.device == "cuda")

        def score_reference() -> Tensor:
            with torch.no_grad(), adapter_disabled(model), autocast():
                return score_branches(model, batch)

        with autocast():
            keys = features.store(one_by_one(batch)) if keep else None
        known = score_reference() if cached else None

        def step() -> Tensor:
            model.zero_grad(set_to_none=True)
            reference = score_reference() if known is None else known
            with autocast():
                outputs = features.load(keys) if keys is not None else None
                policy = score_branches(model, batch, image_outputs=outputs)
                losses, _ = preference_losses(
                    policy, reference, batch.response_mask, nothing_changed, objective
                )
            loss = losses.mean()
            loss.backward()
            return loss.detach()

        return step


class Trl:
    """TRL's step on one model: its own `compute_loss`, in its fastest setting."""

    def __init__(self, vlm: VisionLanguageModel, *, device: str) -> None:
        from datasets import Dataset
        from peft import LoraConfig
        from trl import DPOConfig, DPOTrainer

        self.vlm, self.device = vlm, device
        row = {"images": [[]], "prompt": [[{"role": "user", "content": "?"}]]}
        row |= {name: [[{"role": "assistant", "content": "."}]] for name in ("chosen", "rejected")}
        ours = add_lora(make_like(vlm), LoraRecipe(rank=64, alpha=16))
        adapter: LoraConfig = ours.model.peft_config["default"]
        self._folder = TemporaryDirectory()
        self.trainer = DPOTrainer(
            model=vlm.model,
            args=DPOConfig(
                output_dir=self._folder.name,
                beta=BETA,
                max_length=None,
                bf16=device == "cuda",
                use_cpu=device == "cpu",
                gradient_checkpointing=False,
                report_to="none",
            ),
            train_dataset=Dataset.from_dict(row),
            processing_class=vlm.processor,
            peft_config=adapter,
        )
        perturb(self.trainer.model)
        self.trainer.model.train()
        self.weights_gib = gib(device)

    def measure(self, side: str, *, pairs: int) -> dict[str, Any]:
        """Seconds, memory and loss."""
        batch = rows_of(make_batch(self.vlm, pairs=pairs, device=self.device))
        trainer = self.trainer
        trainer.precompute_ref_logps = side == "trl_reference_given"
        for name in ("ref_chosen_logps", "ref_rejected_logps"):
            batch[name] = torch.zeros(pairs, device=self.device)
        autocast = (
            torch.autocast("cuda", dtype=torch.bfloat16) if self.device == "cuda" else nullcontext()
        )

        def step() -> Tensor:
            trainer.model.zero_grad(set_to_none=True)
            with autocast:
                loss = trainer.compute_loss(trainer.model, dict(batch))
            loss.backward()
            return loss.detach()

        return measure(step, device=self.device) | {
            "pairs": pairs,
            "weights_gib": round(self.weights_gib, 3),
            "loss": float(step()),
        }


def make_like(vlm: VisionLanguageModel) -> VisionLanguageModel:
    """The same model without weights, to read an adapter's settings off."""
    with torch.device("meta"):
        model = type(vlm.model)(vlm.model.config)
    return VisionLanguageModel(model, vlm.processor, vlm.name)


def rows_of(batch: BranchBatch) -> dict[str, Tensor]:
    """A batch as TRL's collator makes it: chosen rows, then rejected rows."""
    B, K, T = batch.response_ids.shape
    prompt = batch.prompt["input_ids"]
    made = {}
    for key, value in batch.prompt.items():
        if value.shape != prompt.shape:
            made[key] = torch.cat([value, value])
    answers = batch.response_ids.transpose(0, 1).reshape(K * B, T)
    ids = torch.cat([prompt.repeat(K, 1), answers], dim=1)
    made |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    made["completion_mask"] = torch.zeros_like(ids)
    made["completion_mask"][:, prompt.shape[1] :] = 1
    if "mm_token_type_ids" in batch.prompt:
        kinds = batch.prompt["mm_token_type_ids"].repeat(K, 1)
        made["mm_token_type_ids"] = torch.cat([kinds, torch.zeros_like(answers)], dim=1)
    return made
