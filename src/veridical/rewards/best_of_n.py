"""Best-of-n and rejection sampling: what a reward is worth without reinforcement learning.

Sample n responses, keep the one of highest reward: no optimisation, n times the cost of generation,
a known bound on the distance from the policy (`objectives.best_of_n.kl_bound`). As data for
fine-tuning the same responses make rejection sampling. Both are the cheap baselines that
reinforcement learning must beat; LLaVA-RLHF compares with data filtered to the best 30, 50 or 70 %
by its reward model (arXiv 2309.14525), which is `threshold_of_share` here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from veridical.errors import ConfigError
from veridical.models.features import FeatureCache
from veridical.models.generation import generate_responses
from veridical.models.loading import VisionLanguageModel
from veridical.progress import track
from veridical.records import Conversation, Prompt, Response, Turn
from veridical.records.images import open_image
from veridical.rewards.composition import reward_values
from veridical.rewards.protocol import AnyReward, Candidate
from veridical.seeding import child_seed

_PROMPTS_AT_ONCE = 64
"""Prompts whose images are open at a time. Sampling streams depend on it: another number gives
other samples."""


class RewardedSamples(NamedTuple):
    """N responses to one prompt, each with its reward."""

    prompt: Prompt
    """What was asked."""
    responses: tuple[Response, ...]
    """The samples in the order in which they were drawn."""
    rewards: Tensor
    """The reward of each (N), float32, finite."""

    def best(self, n: int | None = None) -> Response:
        """The response of highest reward among the first n samples (all by default).

        Of equals it is the earliest.

        Raises:
            ConfigError: There are fewer than n.
        """
        return self.responses[_best(self, n)]


def sample_and_reward(
    vlm: VisionLanguageModel,
    prompts: Sequence[Prompt],
    reward: AnyReward,
    *,
    num_samples: int,
    root: Path,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_new_tokens: int = 256,
    seed: int = 0,
    batch_size: int = 16,
    feature_cache: FeatureCache | None = None,
    outside: bool = False,
) -> list[RewardedSamples]:
    """Let a model answer each prompt several times, and reward every answer.

    Args:
        vlm: The policy.
        prompts: What to ask.
        reward: Any function from candidates to one number each; higher is better.
        num_samples: N responses per prompt.
        root: Folder that the prompts' image paths start from.
        temperature: Sampling temperature; the bound on the distance is from the policy at this
            temperature.
        top_p: Sample from the smallest set of tokens that holds this much probability.
        max_new_tokens: Longest response, in tokens.
        seed: Root of the sampling streams.
        batch_size: Prompts at a time; changes only rounding.
        feature_cache: Holds features of images that were seen before.
        outside: Accept images outside of `root`.

    Raises:
        ModelError: Settings that contradict each other, or a reward that is not a finite number.
    """
    found: list[RewardedSamples] = []
    for start in track(
        range(0, len(prompts), _PROMPTS_AT_ONCE),
        label=f"Sampling {num_samples} responses per prompt",
    ):
        some = prompts[start : start + _PROMPTS_AT_ONCE]
        sampled = generate_responses(
            vlm,
            [prompt.question for prompt in some],
            [
                [open_image(ref, root=root, outside=outside) for ref in prompt.images]
                for prompt in some
            ],
            histories=[prompt.history for prompt in some],
            systems=[prompt.system for prompt in some],
            num_samples=num_samples,
            temperature=temperature,
            top_p=top_p,
            max_new_tokens=max_new_tokens,
            seed=child_seed(seed, "best of n", start),
            batch_size=batch_size,
            feature_cache=feature_cache,
        )
        candidates = [
            Candidate(prompt, answer.text, answer.finish == "stop", len(answer.token_ids))
            for prompt, answers in zip(some, sampled, strict=True)
            for answer in answers
        ]
        rewards = reward_values(reward, candidates).reshape(len(some), num_samples)
        for prompt, answers, row in zip(some, sampled, rewards, strict=True):
            responses = tuple(
                Response(
                    id=f"{prompt.id}/{sample}",
                    prompt_id=prompt.id,
                    text=answer.text,
                    model=vlm.name,
                    sample=sample,
                    temperature=temperature,
                    finish=answer.finish,
                )
                for sample, answer in enumerate(answers)
            )
            found.append(RewardedSamples(prompt, responses, row))
    return found


class RejectionSample(NamedTuple):
    """What rejection sampling kept, and what became of the rest."""

    conversations: list[Conversation]
    """One question and one answer each; image paths are those of the prompts."""
    prompts: int
    """Prompts that were sampled."""
    responses: int
    """Responses that were sampled."""
    unfinished: int
    """Responses left out because they did not end."""
    empty: int
    """Responses left out because they are empty."""
    below: int
    """Responses left out for their reward: below the threshold, or not the best."""
    repeated: int
    """Responses left out because the same text was kept for the same prompt."""


def rejection_sample(
    samples: Sequence[RewardedSamples], *, best_only: bool = True, threshold: float | None = None
) -> RejectionSample:
    """Keep good responses as conversations to fine-tune on.

    Unfinished and empty responses never count: fine-tuning on them would teach the model not to
    end.

    Args:
        samples: Rewarded responses.
        best_only: Keep the best of each prompt's; otherwise all that reach the threshold, each text
            once.
        threshold: Least reward that is kept; None keeps any.

    Raises:
        ConfigError: Neither rule is given, or nothing is left.
    """
    if not best_only and threshold is None:
        raise ConfigError(
            "Without a threshold and not the best alone, every response would be kept. Give a"
            " threshold."
        )
    conversations: list[Conversation] = []
    unfinished = empty = below = repeated = 0
    for prompt, responses, rewards in samples:
        usable: list[tuple[float, Response]] = []
        for response, value in zip(responses, rewards.tolist(), strict=True):
            unfinished += response.finish != "stop"
            empty += response.finish == "stop" and not response.text.strip()
            if response.finish == "stop" and response.text.strip():
                usable.append((value, response))
        # Python's sort is stable: the earliest of equals stays first.
        ranked = sorted(usable, key=lambda item: -item[0])
        good = [response for value, response in ranked if threshold is None or value >= threshold]
        below += len(usable) - len(good)
        kept = list({response.text: response for response in reversed(good)}.values())[::-1]
        if best_only:
            below += len(good) - len(good[:1])
            kept = good[:1]
        else:
            repeated += len(good) - len(kept)
        conversations += [_conversation(prompt, response) for response in kept]
    if not conversations:
        raise ConfigError(
            f"Nothing is left of {sum(len(row.responses) for row in samples)} responses:"
            f" {unfinished} unfinished, {empty} empty, {below} below the threshold. Lower the"
            " threshold, or allow longer responses."
        )
    return RejectionSample(
        conversations,
        len(samples),
        sum(len(row.responses) for row in samples),
        unfinished,
        empty,
        below,
        repeated,
    )


def threshold_of_share(samples: Sequence[RewardedSamples], share: float) -> float:
    """The reward that the best `share` of all responses reach: 0.3 keeps the best 30 %.

    Raises:
        ConfigError: The share is not in (0, 1], or there are no responses.
    """
    if not 0 < share <= 1 or not samples:
        raise ConfigError(
            f"A share in (0, 1] of some responses is needed, got {share} of {len(samples)}"
            " prompts'."
        )
    rewards = torch.cat([row.rewards for row in samples]).sort(descending=True).values
    return float(rewards[max(round(share * len(rewards)), 1) - 1])


def _conversation(prompt: Prompt, response: Response) -> Conversation:
    return Conversation(
        id=response.id,
        image=prompt.images[0] if prompt.images else None,
        more_images=prompt.more_images,
        system=prompt.system,
        turns=tuple(
            Turn(role="assistant" if number % 2 else "user", text=text)
            for number, text in enumerate((*prompt.turns, response.text))
        ),
        source="model",
        origin=f"rejection sampling: {response.model}",
    )


def _best(samples: RewardedSamples, n: int | None) -> int:
    count = len(samples.responses)
    n = count if n is None else n
    if not 1 <= n <= count:
        raise ConfigError(
            f"Best of {n} cannot be taken of {count} samples to prompt {samples.prompt.id!r}."
        )
    return int(samples.rewards[:n].argmax())
