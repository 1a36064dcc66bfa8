"""All checks of a model: what `veridical doctor --model` runs.

Each check compares two ways to the same number on pictures drawn for it: a batch with its prompts
one by one, branches with copies of the prompt, scores with what `generate` computed when it chose
the tokens. A model that passes is scored, generated from and trained as transformers would.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from veridical.models.architectures.positions import no_fast_path_reason
from veridical.models.architectures.table import is_listed
from veridical.models.branches import no_branches_reason
from veridical.models.checks import training, use
from veridical.models.checks.subjects import PICTURES, Found
from veridical.models.decoding.decoder import no_graphs_reason
from veridical.models.loading import VisionLanguageModel, load_model, unwrap
from veridical.models.processors import first_line
from veridical.models.prompts.settings import ProcessorRecipe


class Check(NamedTuple):
    """One check of a model."""

    name: str
    """What was checked."""
    passed: bool | None
    """Whether it holds; None if the model has no such ability, which is not a fault."""
    detail: str
    """What was found."""


class ModelCheck(NamedTuple):
    """All that was found about a model."""

    facts: list[tuple[str, str]]
    """What it is and which paths it takes, by name."""
    checks: list[Check]
    """What was checked."""

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.passed is not False for check in self.checks)


def check_model(
    name_or_path: str,
    *,
    adapter: str | None = None,
    dtype: str = "auto",
    trust_remote_code: bool = False,
    settings: ProcessorRecipe | None = None,
) -> ModelCheck:
    """Load a model and prove, check by check, that it is used as transformers would use it.

    Args:
        name_or_path: A folder or hub id.
        adapter: A PEFT adapter to put on top.
        dtype: See `load_model`.
        trust_remote_code: See `load_model`.
        settings: See `load_model`.

    Raises:
        ModelError: It does not load, or lacks what Veridical needs.
    """
    started = time.perf_counter()
    vlm = load_model(
        name_or_path,
        adapter=adapter,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        settings=settings,
    )
    facts = _facts(vlm, time.perf_counter() - started)
    checks = [_run(vlm, name, check) for name, check in CHECKS.items()]
    return ModelCheck(facts, checks)


def _run(
    vlm: VisionLanguageModel, name: str, check: Callable[[VisionLanguageModel], Found]
) -> Check:
    try:
        return Check(name, *check(vlm))
    except use.FAULTS as error:
        return Check(name, False, f"{type(error).__name__}: {first_line(error)}")


def _facts(vlm: VisionLanguageModel, seconds: float) -> list[tuple[str, str]]:
    base = unwrap(vlm.model)
    size = sum(parameter.numel() for parameter in base.parameters()) / 1e6
    family = base.config.model_type
    if not is_listed(base.config):
        family += " (not listed: plain path, checked on its first training batch)"
    branches, lean = no_branches_reason(vlm.model), no_fast_path_reason(vlm.model)
    return [
        ("model", f"{vlm.name} ({type(base).__name__}, loaded in {seconds:.1f} s)"),
        ("weights", f"{size:.1f} M, {vlm.dtype}, on {vlm.device}"),
        ("architecture", family),
        ("processor", f"given {vlm.settings}"),
        ("scoring", "branches" if branches is None else f"a prompt copy each: {branches}"),
        ("decoding", _decoding(vlm) if lean is None else f"transformers' generate: {lean}"),
    ]


def _decoding(vlm: VisionLanguageModel) -> str:
    reason = no_graphs_reason(vlm)
    return "captured graphs" if reason is None else f"lean loop ({reason})"


CHECKS: dict[str, Callable[[VisionLanguageModel], Found]] = {
    "chat template": use.template,
    "parts": use.parts,
    "two sizes in a batch": use.sizes,
    "padding left and right": use.padding,
    "sight": use.sight,
    "causality": use.causality,
    "branches": use.branches,
    "hidden states": use.hidden_states,
    "scores of generate": use.scores_of_generate,
    "greedy generation": use.greedy,
    "two images": use.ability(PICTURES, "a prompt with two images"),
    "no image": use.ability(None, "a prompt without an image"),
    "earlier turns": use.earlier_turns,
    "system message": use.system_message,
    "saved processor": training.saved,
    "adapter": training.adapter,
    "training step": training.training_step,
}
"""The checks by name, in their order."""
