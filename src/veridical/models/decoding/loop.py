"""The loop that all of our own decoding runs in, and rows over a cache that grows."""

from typing import Protocol

import torch
from torch import Tensor

from veridical.models.architectures.parts import project_to_vocabulary
from veridical.models.decoding.choice import TokenChoice, choose
from veridical.models.decoding.prompt_pass import PromptPass, next_state
from veridical.models.loading import VisionLanguageModel

_DROP_BELOW = 0.75
"""Share of rows still running below which the finished ones are dropped from a growing cache."""


class Rows(Protocol):
    """Responses under way, the first token of each chosen."""

    check_every: int
    """Steps between two looks at who has finished; on an accelerator each look waits for it."""

    def live(self) -> int:
        """How many responses have not ended."""
        ...

    def drop_finished(self, live: int) -> None:
        """Make room where that pays; `live` responses have not ended."""
        ...

    def advance(self) -> None:
        """Choose the next token of each response."""
        ...

    def tokens(self) -> Tensor:
        """All that was chosen (R, max_new_tokens); after an end token only end tokens."""
        ...


def run_loop(rows: Rows, *, max_new_tokens: int) -> Tensor:
    """Decode until all responses have ended or reached the limit: token ids."""
    for step in range(max_new_tokens - 1):
        if step % rows.check_every == 0:
            live = rows.live()
            if not live:
                break
            rows.drop_finished(live)
        rows.advance()
    return rows.tokens()


class GrowingRows:
    """Rows over a cache that grows: on every device, for every dtype.

    Three things move together, row by row: the cache, the mask of its columns, and `place`, the
    position of a row's next token. Finished rows stay until they are a quarter of all, because
    dropping rows copies the cache; `running` maps the rows that are left to those of the result.
    """

    check_every = 1

    def __init__(self, vlm: VisionLanguageModel, start: PromptPass, choice: TokenChoice) -> None:
        """Choose the first token of K responses per prompt."""
        self._vlm, self._choice, self._axes = vlm, choice, start.axes
        self._ends = torch.tensor(vlm.end_token_ids, device=vlm.device)
        K = choice.num_samples
        self._cache, state = start.cache, start.state
        self._place, self._mask = start.place, start.mask
        if K > 1:
            self._cache.batch_repeat_interleave(K)
            state, self._place = (x.repeat_interleave(K, 0) for x in (state, self._place))
            self._mask = None if self._mask is None else self._mask.repeat_interleave(K, 0)
        shape = (len(state), choice.max_new_tokens)
        self._chosen = torch.full(shape, vlm.end_token_ids[0], device=vlm.device)
        self._running = torch.arange(len(state), device=vlm.device)
        self._done = torch.zeros_like(self._running, dtype=torch.bool)
        self._step = 0
        self._token = self._choose(state)

    def live(self) -> int:
        """How many responses have not ended."""
        return int((~self._done).sum())

    def drop_finished(self, live: int) -> None:
        """Drop finished rows once they are a quarter of all."""
        if live >= _DROP_BELOW * len(self._done):
            return
        keep = (~self._done).nonzero().squeeze(-1)
        self._cache.batch_select_indices(keep)
        self._running, self._token = self._running[keep], self._token[keep]
        self._place, self._done = self._place[keep], self._done[keep]
        self._mask = None if self._mask is None else self._mask[keep]

    def advance(self) -> None:
        """Choose the next token of each response."""
        if self._mask is not None:
            one = self._mask.new_ones(len(self._mask), 1)
            self._mask = torch.cat([self._mask, one], dim=-1)
        token, place = self._token.unsqueeze(-1), self._place + self._step
        state = next_state(self._vlm, token, place, self._mask, self._cache, axes=self._axes)
        self._step += 1
        self._token = self._choose(state)

    def tokens(self) -> Tensor:
        """All that was chosen."""
        return self._chosen

    def _choose(self, state: Tensor) -> Tensor:
        noise = self._choice.noise
        drawn = None if noise is None else noise[self._running, self._step]
        token = choose(project_to_vocabulary(self._vlm.model, state), drawn, self._choice)
        self._chosen[self._running[~self._done], self._step] = token[~self._done]
        self._done = self._done | torch.isin(token, self._ends)
        return token
