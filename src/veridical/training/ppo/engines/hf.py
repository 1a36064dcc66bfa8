"""The trained model's own decoder, by which PPO samples where nothing else is asked for."""

from collections.abc import Collection, Sequence

import torch

from veridical.models.decoding.decoder import Decoder
from veridical.models.generation import generate_tokens
from veridical.models.prompts.encoding import EncodedPrompt, image_keys, stack_prompts
from veridical.training.ppo.engines.protocol import Sampled
from veridical.training.ppo.prompts import PpoPrompt
from veridical.training.ppo.roles import Roles
from veridical.training.ppo.sections import RolloutSection
from veridical.training.run.trained_model import mixed_precision


class HfEngine:
    """Decodes with the trained model; the samples of a prompt share its key-value cache."""

    def __init__(self, roles: Roles, settings: RolloutSection, *, bf16: bool = False) -> None:
        """Sample from the policy of `roles`, in bfloat16 where it is trained so."""
        self._roles = roles
        self._settings = settings
        self._autocast = mixed_precision(roles.vlm, bf16=bf16)
        self._cuts = cut_tokens(roles, settings.cut_after)

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
        cut = [[cut_after(ids, self._cuts) for ids in row] for row in answers]
        return [Sampled(row, [ids[-1] in ends for ids in row]) for row in cut]


def cut_after(ids: list[int], cuts: Collection[int]) -> list[int]:
    """A response up to the first token that cuts it, that token included."""
    end = next((place for place, token in enumerate(ids) if token in cuts), len(ids) - 1)
    return ids[: end + 1]


def cut_tokens(roles: Roles, texts: Sequence[str]) -> set[int]:
    """Ids of the tokens that say one of these texts, with or without a space before it."""
    if not texts:
        return set()
    tokenizer = roles.vlm.tokenizer
    return {
        number
        for number in tokenizer.get_vocab().values()
        if tokenizer.decode([number]).strip() in texts
    }
