"""An estimate of what each role of PPO costs in memory, and of what four full copies would cost.

Parameters, gradients and AdamW's two moments are counted exactly. Activations are an estimate, from
Korthikanti et al. 2022 (arXiv 2205.05198, section 4): a layer keeps about 34 bytes per token and
unit of width in half precision where attention keeps no score matrix (SDPA), twice that in float32;
with checkpointing 2 bytes (4) and one layer opened up.
"""

from typing import NamedTuple

from torch import nn

from veridical.models.architectures.parts import language_model, vision_tower
from veridical.models.loading import unwrap
from veridical.models.lora import DEFAULT_ADAPTER
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.roles import Roles

_KEPT_A_LAYER, _KEPT_AT_A_CHECKPOINT = 34, 2
_GIB = 2**30


class RoleCost(NamedTuple):
    """What one role adds, in bytes."""

    role: str
    """base, policy, reference, value or reward."""
    weights: int
    """Weights that this role alone has."""
    gradients: int
    """Gradients of those that learn."""
    optimiser: int
    """AdamW's two moments of those that learn."""
    activations: int
    """Estimate of what a backward pass keeps; 0 for roles that only look. Roles run one after the
    other, so that the largest counts, not the sum."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimiser + self.activations


class MemoryReport(NamedTuple):
    """Costs of all roles."""

    roles: tuple[RoleCost, ...]
    """What is held."""
    bytes: int
    """All weights, gradients and moments, and the largest role's activations."""
    four_copies: tuple[RoleCost, ...]
    """What policy, reference, reward and value would take as full models, policy and value trained
    whole."""
    four_copies_bytes: int
    """Their sum, activations estimated in the same way."""

    @property
    def share(self) -> float:
        """This way's bytes over those of four copies."""
        return self.bytes / self.four_copies_bytes

    def lines(self) -> list[str]:
        """The report as a table in text."""
        rows = [f"{'':<12}{'weights':>11}{'gradients':>11}{'AdamW':>11}{'activations':>13}  (GiB)"]
        rows += [
            f"{one.role:<12}{one.weights / _GIB:>11.3f}{one.gradients / _GIB:>11.3f}"
            f"{one.optimiser / _GIB:>11.3f}{one.activations / _GIB:>13.3f}"
            for one in self.roles
        ]
        return [
            *rows,
            (
                f"In all {self.bytes / _GIB:.3f} GiB; four full copies"
                f" {self.four_copies_bytes / _GIB:.3f} GiB."
            ),
        ]


def memory_report(roles: Roles, recipe: PpoRecipe, *, prompt_tokens: int) -> MemoryReport:
    """Estimate what a run holds.

    Args:
        roles: The roles, with all adapters on.
        recipe: Gives batch sizes and precision.
        prompt_tokens: Tokens of a typical prompt, its image included.
    """
    inner = unwrap(roles.vlm.model)
    adapters = list(getattr(roles.vlm.model, "peft_config", {}))
    parts: dict[str, list[nn.Parameter]] = {"base": [], **{name: [] for name in adapters}}
    for name, parameter in inner.named_parameters():
        parts[next((one for one in adapters if f".{one}." in name), "base")].append(parameter)
    if roles.head is not None:
        parts.setdefault("value", []).extend(roles.head.parameters())
    base = parts["base"]
    if not roles.lora:
        learning = [p for p in base if p.requires_grad]
        parts = {
            **parts,
            "base": [p for p in base if not p.requires_grad],
            "policy": learning,
            "reference": learning,
        }
    one_pass = _activations(roles, recipe, prompt_tokens)
    costs = []
    for name, parameters in parts.items():
        learns = [p for p in parameters if p.requires_grad] if name != "reference" else []
        role = "policy" if name == DEFAULT_ADAPTER else name
        costs.append(_cost(role, parameters, learns, one_pass if learns else 0))
    tower = {id(p) for p in vision_tower(inner).parameters()}
    trained = [p for p in base if id(p) not in tower]
    copies = tuple(
        _cost(
            role,
            base,
            trained if role in ("policy", "value") else [],
            one_pass if role in ("policy", "value") else 0,
        )
        for role in ("policy", "reference", "value", "reward")
    )
    return MemoryReport(tuple(costs), _sum(costs), copies, _sum(copies))


def _cost(
    role: str, parameters: list[nn.Parameter], learns: list[nn.Parameter], activations: int
) -> RoleCost:
    gradients = sum(p.numel() * p.element_size() for p in learns)
    return RoleCost(
        role,
        sum(p.numel() * p.element_size() for p in parameters),
        gradients,
        2 * gradients,
        activations,
    )


def _sum(costs: tuple[RoleCost, ...] | list[RoleCost]) -> int:
    return sum(one.total - one.activations for one in costs) + max(one.activations for one in costs)


def _activations(roles: Roles, recipe: PpoRecipe, prompt_tokens: int) -> int:
    config = unwrap(roles.vlm.model).config.get_text_config()
    layers = sum(
        1
        for name, _ in language_model(roles.vlm.model).named_modules()
        if name.count(".") == 1 and "layers." in name
    )
    tokens = recipe.train.micro_batch_size * (
        prompt_tokens + recipe.rollout.samples * recipe.rollout.max_new_tokens
    )
    halves = 1 if recipe.train.bf16 or roles.vlm.dtype.itemsize == 2 else 2
    unit = tokens * int(config.hidden_size) * halves
    if recipe.train.gradient_checkpointing:
        return unit * (_KEPT_AT_A_CHECKPOINT * layers + _KEPT_A_LAYER)
    return unit * _KEPT_A_LAYER * layers
