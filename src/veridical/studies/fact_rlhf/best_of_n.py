"""Best-of-n in the Fact-RLHF loop: measured on the test scenes, and as a curve like PPO's.

Papers: the distance bound and the estimate at every n are those of
`veridical.objectives.best_of_n`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from veridical.benchmarks.world.evaluation import WorldEvaluation, score_world, write_evaluation
from veridical.benchmarks.world.items import WorldItem
from veridical.models.generation import GeneratedText, generate_responses
from veridical.models.loading import VisionLanguageModel
from veridical.objectives.best_of_n import best_of_n_values, kl_bound
from veridical.records import Prompt, Response
from veridical.records.fact_rlhf import CurveMeasurement
from veridical.rewards.learned import LearnedReward
from veridical.rewards.model import RewardModel
from veridical.rewards.protocol import Candidate, RewardFunction
from veridical.statistics import mean_metric
from veridical.studies.world_prompts import AskedScene
from veridical.world.scenes import Scene, render

_MAX_NEW_TOKENS = 96
_SCENES_AT_ONCE = 256


class Sampling(NamedTuple):
    """Who answers how often, and which reward model picks."""

    vlm: VisionLanguageModel
    """Who answers."""
    reward_model: Path
    """A reward model that reads no facts: of new pictures there are none."""
    n: int
    """How often each prompt is answered."""
    temperature: float
    """Sampling temperature."""
    seed: int
    """Seed of sampling and resampling."""


class _Sampled(NamedTuple):
    prompt: Prompt
    answers: list[GeneratedText]
    candidates: list[Candidate]
    rewards: list[float]
    """What the reward model says of each answer."""


def best_of_n(sampling: Sampling, items: Sequence[WorldItem], *, out: Path) -> WorldEvaluation:
    """Answer every item n times and keep the answer of highest reward.

    Args:
        sampling: Who answers, and who picks.
        items: What is asked.
        out: Folder for what was kept, judged.
    """
    shown = [(item.prompt, item.scene) for item in items]
    kept: list[Response] = []
    for row in _sample(sampling, shown):
        best = row.rewards.index(max(row.rewards))
        kept.append(
            Response(
                id=f"{row.prompt.id}/{best}",
                prompt_id=row.prompt.id,
                text=row.answers[best].text,
                model=sampling.vlm.name,
                sample=best,
                temperature=sampling.temperature,
                finish=row.answers[best].finish,
            )
        )
    evaluation = score_world(items, kept, seed=sampling.seed)
    write_evaluation(out, evaluation)
    return evaluation


def best_of_n_curve(
    sampling: Sampling, asked: Sequence[AskedScene], judge: RewardFunction
) -> tuple[CurveMeasurement, ...]:
    """What the best of 1, 2, 4 … n answers is worth to reward model and judge, all from n answers.

    Args:
        sampling: Who answers, and who picks.
        asked: The held-out prompts.
        judge: Rates answers 0–6.

    Returns:
        A measurement for each n; its divergence is the upper bound.
    """
    sampled = _sample(sampling, [(one.prompt, one.scene) for one in asked])
    rewards = torch.tensor([row.rewards for row in sampled])
    judged = judge([candidate for row in sampled for candidate in row.candidates]).reshape(
        rewards.shape
    )
    proxy, truth = best_of_n_values(rewards), best_of_n_values(rewards, judged)
    taken = [1 << power for power in range(sampling.n.bit_length()) if 1 << power <= sampling.n]
    return tuple(
        CurveMeasurement(
            arm="best_of_n",
            seed=0,
            step=best,
            kl=kl_bound(best),
            proxy=mean_metric(proxy[:, best - 1].tolist()),
            judge=mean_metric(truth[:, best - 1].tolist(), bounds=(0.0, 6.0)),
        )
        for best in taken
    )


def _sample(sampling: Sampling, shown: Sequence[tuple[Prompt, Scene]]) -> list[_Sampled]:
    scenes = {prompt.id: scene for prompt, scene in shown}
    reward = LearnedReward(
        RewardModel.load(sampling.reward_model),
        image_of=lambda prompt: render(scenes[prompt.id]),
        batch_size=64,
    )
    sampled: list[_Sampled] = []
    for start in range(0, len(shown), _SCENES_AT_ONCE):
        some = shown[start : start + _SCENES_AT_ONCE]
        said = generate_responses(
            sampling.vlm,
            [prompt.question for prompt, _ in some],
            [render(scene) for _, scene in some],
            num_samples=sampling.n,
            temperature=sampling.temperature,
            max_new_tokens=_MAX_NEW_TOKENS,
            seed=sampling.seed + start,
            batch_size=64,
        )
        candidates = [
            [
                Candidate(prompt, answer.text, answer.finish == "stop", len(answer.token_ids))
                for answer in answers
            ]
            for (prompt, _), answers in zip(some, said, strict=True)
        ]
        rewards = (
            reward([one for row in candidates for one in row])
            .reshape(len(some), sampling.n)
            .tolist()
        )
        sampled += [
            _Sampled(prompt, list(answers), row, values)
            for (prompt, _), answers, row, values in zip(
                some, said, candidates, rewards, strict=True
            )
        ]
    return sampled
