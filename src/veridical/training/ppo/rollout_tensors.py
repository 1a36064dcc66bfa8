"""What a rollout is made of: responses as every role scores them, and what is learnt from them."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from veridical.models.prompts.encoding import EncodedPrompt, image_keys, stack_prompts
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.engines.protocol import Sampled
from veridical.training.ppo.losses import RolloutBatch, token_weights, value_slots


class Rollout(NamedTuple):
    """N prompts with K responses each, as PPO learns from them; all on the CPU."""

    rows: Tensor
    """Number of each prompt (N)."""
    response_ids: Tensor
    """Token ids (N K T)."""
    response_mask: Tensor
    """True at the tokens that count (N K T); nowhere in a response that was left out."""
    logprobs: Tensor
    """Log-probabilities under the policy that sampled (N K T), in nats."""
    reference: Tensor
    """Log-probabilities under the reference (N K T)."""
    values: Tensor
    """What was expected (N K T), in a window (N K T+2); 0 where no value is learnt."""
    advantages: Tensor
    """How much better than expected each token was (N K T), times its importance where another
    engine sampled it."""
    returns: Tensor
    """What the value should have predicted, as wide as `values`."""


class ScoredRollouts(NamedTuple):
    """Responses as every role scores them."""

    sampled: list[Sampled]
    """The responses, as lists."""
    response_ids: Tensor
    response_mask: Tensor
    logprobs: Tensor
    entropies: Tensor
    reference: Tensor
    values: Tensor
    """All (N K T), on the CPU; values in a window (N K T+2)."""


class Rewards(NamedTuple):
    """What responses got."""

    total: Tensor
    """(N K); NaN where there is no reward."""
    terms: dict[str, Tensor]
    """By name, each (N K), as they enter the total."""


def batch_of(
    rollout: Rollout,
    places: Tensor,
    encoded: Sequence[EncodedPrompt],
    recipe: PpoRecipe,
    *,
    pad_token_id: int,
) -> RolloutBatch:
    """Make a micro-batch of some prompts of a rollout, as wide as their longest response.

    Args:
        rollout: The rollout.
        places: Numbers of the prompts within it (B).
        encoded: These prompts.
        recipe: Says what tokens weigh, and which slots the value reads.
        pad_token_id: What a padding token is.
    """
    mask = rollout.response_mask[places]
    width = max(int(mask.sum(-1).max()), 1)
    mask = mask[..., :width]

    def part(values: Tensor) -> Tensor:
        return values[places][..., :width]

    ids = part(rollout.response_ids)
    slots = value_slots(ids, mask, recipe, pad_token_id=pad_token_id)
    return {
        "prompt": stack_prompts([one.prompt for one in encoded], pad_token_id=pad_token_id),
        "image_keys": image_keys(encoded),
        "response_ids": ids,
        "response_mask": mask,
        "weights": token_weights(mask, recipe),
        "logprobs": part(rollout.logprobs),
        "reference": part(rollout.reference),
        "advantages": part(rollout.advantages),
        "value_ids": slots.ids,
        "value_mask": slots.mask,
        "value_weights": slots.weights,
        "values": rollout.values[places][..., : slots.mask.shape[-1]],
        "returns": rollout.returns[places][..., : slots.mask.shape[-1]],
    }
