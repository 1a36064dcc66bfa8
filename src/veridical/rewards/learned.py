"""A reward model as a reward function: facts found by prompt, responses to one prompt behind one encoding of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from veridical.errors import ModelError
from veridical.feedback.facts import FactsIndex
from veridical.models.features import FeatureCache
from veridical.progress import say
from veridical.records import Prompt
from veridical.rewards.layout import RewardQuery
from veridical.rewards.model import RewardModel
from veridical.rewards.protocol import Candidate


class LearnedReward:
    """Rewards candidates by a reward model."""

    def __init__(
        self,
        model: RewardModel,
        facts: FactsIndex | None = None,
        *,
        name: str = "learned",
        missing: Literal["error", "without"] = "error",
        batch_size: int = 16,
        features: FeatureCache | None = None,
        image_of: Callable[[Prompt], Image.Image] | None = None,
    ) -> None:
        """Set it up.

        Args:
            model: The reward model, perhaps on the policy's base.
            facts: What is known of the prompts' images; None where the model reads no facts.
            name: Under which name the log shows it.
            missing: What to do about a prompt without facts: refuse it, or reward it without them, counted and said.
            batch_size: Prompts at a time.
            features: Where features of images lie that were seen before; may be the policy's.
            image_of: Gives a prompt's image; None: it is opened where the prompt says, at an absolute path.

        Raises:
            ModelError: The model reads facts and there are none to read.
        """
        if facts is None and model.template.reads_facts and missing == "error":
            raise ModelError(
                'The reward model reads facts, got none. Give them, or set missing = "without" to see how it fares.'
            )
        self.name = name
        self.model = model
        self.without_facts = 0
        """How many candidates were rewarded without facts by a model that reads them."""
        self._facts = facts if facts is not None else FactsIndex([])
        self._missing = missing
        self._batch_size = batch_size
        self._features = features
        self._image_of = image_of
        self._said: set[str] = set()

    def __call__(self, candidates: Sequence[Candidate]) -> Tensor:
        """Reward candidates: (N,) float32 on the CPU, in the candidates' order.

        Raises:
            ModelError: A prompt without facts (where that is refused), a candidate that cannot be laid out, or a reward
                that is no number.
        """
        groups: dict[str, list[int]] = {}
        for number, candidate in enumerate(candidates):
            groups.setdefault(candidate.prompt.content_hash(), []).append(number)
        queries = [self._query([candidates[number] for number in numbers]) for numbers in groups.values()]
        scored = self.model.score(queries, batch_size=self._batch_size, features=self._features)
        rewards = torch.zeros(len(candidates))
        for numbers, values in zip(groups.values(), scored, strict=True):
            rewards[numbers] = values
        return rewards

    def _query(self, candidates: Sequence[Candidate]) -> RewardQuery:
        prompt = candidates[0].prompt
        facts = self._facts.of(prompt) if self.model.template.reads_facts else ()
        if not facts and self.model.template.reads_facts:
            if self._missing == "error":
                raise ModelError(
                    f"No facts for prompt {prompt.id!r}, neither of its own nor of its image {prompt.known_image!r}, "
                    'and the reward model reads facts. Add them, or set missing = "without".'
                )
            self._count_missing(prompt, len(candidates))
        image = self._image_of(prompt) if self._image_of is not None else prompt.image
        if not isinstance(image, Image.Image) and not Path(image.path).is_absolute():
            raise ModelError(
                f"The image of prompt {prompt.id!r} has the relative path {image.path!r}, and it is not said from "
                "where. Read prompts by a function that makes paths absolute, or give image_of."
            )
        return RewardQuery(
            question=prompt.question,
            image=image,
            responses=tuple(candidate.text for candidate in candidates),
            facts=facts,
            finished=tuple(candidate.finished for candidate in candidates),
            history=prompt.history,
            name=prompt.id,
        )

    def _count_missing(self, prompt: Prompt, candidates: int) -> None:
        self.without_facts += candidates
        if not self._said:
            say(f"Rewarded without facts: prompt {prompt.id!r} has none. Others are counted, not named.")
        self._said.add(prompt.id)
