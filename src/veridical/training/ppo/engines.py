"""Who samples the responses that PPO learns from: by default the trained model's own decoder.

An engine that holds weights of its own (a server for fast decoding) takes the policy's over in
`follow`; everything else about a rollout (scores, rewards, advantages) does not depend on who
sampled.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch

from veridical.models.decoding.decoder import Decoder
from veridical.models.generation import generate_tokens
from veridical.models.prompts.encoding import EncodedPrompt, image_keys, stack_prompts
from veridical.training.ppo.prompts import PpoPrompt
from veridical.training.ppo.roles import Roles
from veridical.training.ppo.sections import RolloutSection
from veridical.training.run.trained_model import mixed_precision


class Sampled(NamedTuple):
    """What was sampled for one prompt."""

    responses: list[list[int]]
    """Token ids of K responses, the end token included where it came."""
    finished: list[bool]
    """Whether the end token came."""


class RolloutEngine(Protocol):
    """Samples responses from the policy."""

    def follow(self, roles: Roles) -> None:
        """Take over the policy's weights; called before every rollout."""
        ...

    def sample(
        self, prompts: Sequence[PpoPrompt], streams: Sequence[Sequence[int]]
    ) -> list[Sampled]:
        """Sample responses.

        Args:
            prompts: What is asked.
            streams: For each prompt the seeds of its K responses; equal seeds and weights give
                equal responses.
        """
        ...


class HfEngine:
    """Decodes with the trained model; the samples of a prompt share its key-value cache."""

    def __init__(self, roles: Roles, settings: RolloutSection, *, bf16: bool = False) -> None:
        """Sample from the policy of `roles`, in bfloat16 where it is trained so."""
        self._roles = roles
        self._settings = settings
        self._autocast = mixed_precision(roles.vlm, bf16=bf16)
        self._cuts = _tokens_of(roles, settings.cut_after)

    def follow(self, roles: Roles) -> None:
        """Nothing to do: the weights are the policy's own."""

    def sample(
        self, prompts: Sequence[PpoPrompt], streams: Sequence[Sequence[int]]
    ) -> list[Sampled]:
        """Sample `batch_size` prompts at a time."""
        size = self._settings.batch_size
        found: list[Sampled] = []
        decoder = Decoder(self._roles.vlm)
        for start in range(0, len(prompts), size):
            part = slice(start, start + size)
            encoded = [prompt.encoded for prompt in prompts[part]]
            found += self._sample(encoded, streams[part], decoder)
        return found

    def _sample(
        self,
        prompts: Sequence[EncodedPrompt],
        streams: Sequence[Sequence[int]],
        decoder: Decoder,
    ) -> list[Sampled]:
        roles, settings = self._roles, self._settings
        stacked = stack_prompts(
            [one.prompt for one in prompts], pad_token_id=roles.vlm.tokenizer.pad_token_id
        )
        stacked = {key: value.to(roles.vlm.device) for key, value in stacked.items()}
        with torch.no_grad(), roles.use_policy(), self._autocast():
            answers = generate_tokens(
                roles.vlm,
                stacked,
                image_outputs=roles.images(stacked, image_keys(prompts)),
                streams=streams,
                temperature=settings.temperature,
                top_p=settings.top_p,
                max_new_tokens=settings.max_new_tokens,
                forbidden=roles.sampling.forbidden,
                decoder=decoder,
            )
        ends = set(roles.vlm.end_token_ids)
        cut = [[self._cut(ids) for ids in row] for row in answers]
        return [Sampled(row, [ids[-1] in ends for ids in row]) for row in cut]

    def _cut(self, ids: list[int]) -> list[int]:
        if not self._cuts:
            return ids
        end = next((place for place, token in enumerate(ids) if token in self._cuts), len(ids) - 1)
        return ids[: end + 1]


def _tokens_of(roles: Roles, texts: Sequence[str]) -> set[int]:
    """Ids of the tokens that say one of these texts, with or without a space before it."""
    if not texts:
        return set()
    tokenizer = roles.vlm.tokenizer
    return {
        number
        for number in tokenizer.get_vocab().values()
        if tokenizer.decode([number]).strip() in texts
    }
