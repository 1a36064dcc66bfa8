"""A reward model as a reward function: finds each prompt's facts, encodes each prompt once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from veridical.errors import ModelError
from veridical.feedback.facts import FactsIndex
from veridical.models.features import FeatureCache
from veridical.progress import log
from veridical.records import Facts, Prompt
from veridical.rewards.model import RewardModel
from veridical.rewards.protocol import Candidate
from veridical.rewards.queries import EncodedQuery, RewardQuery
from veridical.seeding import child_random


class LearnedReward:
    """Rewards candidates by a reward model."""

    def __init__(
        self,
        model: RewardModel,
        facts: FactsIndex | None = None,
        *,
        name: str = "learned",
        missing: Literal["error", "without"] = "error",
        order: Literal["given", "shuffled"] = "given",
        batch_size: int = 16,
        features: FeatureCache | None = None,
        image_of: Callable[[Prompt], Image.Image] | None = None,
    ) -> None:
        """Set it up.

        Args:
            model: The reward model, perhaps on the policy's base.
            facts: What is known of the prompts' images; None where the model reads no facts.
            name: Under which name the log shows it.
            missing: What to do about a prompt without facts: reject it, or reward it without them,
                counted and logged.
            order: Of a prompt's statements: as the facts give them, or another one for each set of
                responses (the same for equal ones).
            batch_size: Prompts at a time.
            features: Holds features of images that were seen before; may be the policy's.
            image_of: Gives a prompt's image; None: it is opened where the prompt says, at an
                absolute path.

        Raises:
            ModelError: The model reads facts and there are none to read.
        """
        if facts is None and model.template.reads_facts and missing == "error":
            raise ModelError(
                'The reward model reads facts, got none. Give them, or set missing = "without" to'
                " see how it does."
            )
        self.name = name
        self.model = model
        self.without_facts = 0
        """How many candidates were rewarded without facts by a model that reads them."""
        self._facts = facts if facts is not None else FactsIndex([])
        self._missing = missing
        self._order = order
        self._batch_size = batch_size
        self._features = features
        self._image_of = image_of
        self._said: set[str] = set()

    def __call__(self, candidates: Sequence[Candidate]) -> Tensor:
        """Reward candidates: (N,) float32 on the CPU, in the candidates' order.

        Raises:
            ModelError: A prompt without facts (where that is rejected), a candidate that cannot be
                encoded, or a reward that is not a finite number.
        """
        groups: dict[str, list[int]] = {}
        for number, candidate in enumerate(candidates):
            groups.setdefault(candidate.prompt.content_hash(), []).append(number)
        queries = []
        for numbers in groups.values():
            prompt = candidates[numbers[0]].prompt
            queries.append(self._query(prompt, [candidates[number] for number in numbers]))
            if self.lacks_facts(prompt):
                self._count_missing(prompt, len(numbers))
        scored = self.model.score(queries, batch_size=self._batch_size, features=self._features)
        rewards = torch.zeros(len(candidates))
        for numbers, values in zip(groups.values(), scored, strict=True):
            rewards[numbers] = values
        return rewards

    def lacks_facts(self, prompt: Prompt) -> bool:
        """Whether the model reads facts and has none to read for this prompt."""
        return self.model.template.reads_facts and not self._known(prompt)

    def prompt_faults(self, prompts: Sequence[Prompt], *, room: int) -> list[str | None]:
        """Which prompts lack facts, have those of another image, or fill the model's window.

        Args:
            prompts: What will be asked.
            room: Tokens of the longest response.
        """
        faults: list[str | None] = []
        for start in range(0, len(prompts), self._batch_size):
            faults += self._faults(prompts[start : start + self._batch_size], room)
        return faults

    def _faults(self, prompts: Sequence[Prompt], room: int) -> list[str | None]:
        try:
            queries = [
                self._query(prompt, [Candidate(prompt, "", finished=True, tokens=1)])
                for prompt in prompts
            ]
            rows = self.model.encode(queries, features=self._features)
        except ModelError as error:
            if len(prompts) == 1:
                return [str(error)]
            return [fault for prompt in prompts for fault in self._faults([prompt], room)]
        strays = [
            self._facts.fault(prompt) if self.model.template.reads_facts else None
            for prompt in prompts
        ]
        return [stray or self._no_room(row, room) for stray, row in zip(strays, rows, strict=True)]

    def _no_room(self, row: EncodedQuery, room: int) -> str | None:
        window = self.model.vlm.window
        length = row.tokens - row.response_lengths[0]
        if window is None or length + room <= window:
            return None
        return (
            f"with facts and the question about the response the reward model reads {length}"
            f" tokens, which leaves no room for {room} more in its window of {window}. Shorten the"
            " facts, or lower the longest response."
        )

    def _known(self, prompt: Prompt) -> tuple[Facts, ...]:
        return self.model.template.readable(self._facts.of(prompt))

    def _ordered(self, prompt: Prompt, candidates: Sequence[Candidate]) -> tuple[Facts, ...]:
        known = self._known(prompt)
        if self._order == "given":
            return known
        rng = child_random(0, "facts", prompt.content_hash(), *(one.text for one in candidates))
        return tuple(
            item.model_copy(update={"texts": tuple(rng.sample(item.texts, len(item.texts)))})
            for item in known
        )

    def _query(self, prompt: Prompt, candidates: Sequence[Candidate]) -> RewardQuery:
        if self._missing == "error" and self.lacks_facts(prompt):
            raise ModelError(
                f"No facts for prompt {prompt.id!r}, neither of its own nor of its image"
                f" {prompt.known_image!r}, and the reward model reads facts. Add them, or let it do"
                ' without: data.missing_facts = "without".'
            )
        image = self._image_of(prompt) if self._image_of is not None else prompt.images
        relative = [ref.path for ref in prompt.images if not Path(ref.path).is_absolute()]
        if relative and self._image_of is None:
            raise ModelError(
                f"The image of prompt {prompt.id!r} has the relative path {relative[0]!r}, which"
                " depends on the working folder. Read prompts with a function that makes paths"
                " absolute, or give image_of."
            )
        return RewardQuery(
            question=prompt.question,
            image=image,
            responses=tuple(candidate.text for candidate in candidates),
            facts=self._ordered(prompt, candidates),
            finished=tuple(candidate.finished for candidate in candidates),
            history=prompt.history,
            name=prompt.id,
            system=prompt.system,
        )

    def _count_missing(self, prompt: Prompt, candidates: int) -> None:
        self.without_facts += candidates
        if not self._said:
            log(
                f"Rewarded without facts: prompt {prompt.id!r} has none. Others are counted, not"
                " named."
            )
        self._said.add(prompt.id)
