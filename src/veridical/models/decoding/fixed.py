"""Rows over a cache at fixed addresses, advanced by captured CUDA graphs.

Everything that a step reads or writes lies in tensors that never move, for as many rows and columns
as a batch may need. A step works on the first `rows` and `columns` of them, in a few sizes: fewer
columns at the beginning, fewer rows when responses have ended, so that a step reads no more of the
cache than it must. The tokens stay on the device; every few steps one look tells who has finished.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from veridical.models.architectures.parts import project_to_vocabulary
from veridical.models.decoding.choice import TokenChoice, choose
from veridical.models.decoding.fixed_cache import FixedCache
from veridical.models.decoding.graphs import CapturedSteps, restore
from veridical.models.decoding.prompt_pass import PromptPass, next_state
from veridical.models.loading import VisionLanguageModel

_ROOM_BLOCK, _COLUMN_BLOCK = 64, 256
"""There is room for a multiple of so many columns; attention reads a multiple of so many."""
_FEWEST_ROWS = 8
"""Fewer rows than this take no less time: a step then reads the weights, and little else."""
_WORTH_A_CAPTURE = 24
"""Steps that must remain for a capture with fewer rows to pay."""


class FixedRows:
    """Responses under way in tensors that never move; `load` starts a batch of them."""

    check_every = 8

    def __init__(
        self, vlm: VisionLanguageModel, start: PromptPass, choice: TokenChoice, *, capture: bool
    ) -> None:
        """Make room for a batch; further ones that fit can be loaded later."""
        self._vlm = vlm
        self._ends = torch.tensor(vlm.end_token_ids, device=vlm.device)
        self._graphs = CapturedSteps(capture=capture)
        R, steps = len(start.state) * choice.num_samples, choice.max_new_tokens
        self._room = (R, _columns(start, choice), steps, start.axes, choice.noise is None)
        self._sizes = _sizes(R)

        def whole(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.long, device=vlm.device)

        self._column, self._number = whole(1), whole(1)
        self._token, self._place, self._chosen = whole(R, 1), whole(R), whole(R, steps)
        self._result, self._origin = whole(R, steps), whole(R)
        self._done = self._place.bool()
        self._mask = whole(R, 1, 1, self._room[1]).bool()
        self._noise = None if choice.noise is None else torch.zeros_like(choice.noise)
        self._suppressed = choice.suppressed.clone()
        self._cache = FixedCache(start.cache, rows=R, columns=self._room[1], column=self._column)
        self._states = start.state.new_zeros(R, start.state.shape[-1])
        self._changing = [
            self._token,
            self._place,
            self._column,
            self._number,
            self._done,
            self._chosen,
        ]

    @property
    def captured(self) -> bool:
        """Whether graphs run the steps."""
        return self._graphs.capture

    def fits(self, start: PromptPass, choice: TokenChoice) -> bool:
        """Whether a batch can be loaded."""
        R, columns, steps, axes, greedy = self._room
        needed = (choice.max_new_tokens, start.axes, choice.noise is None)
        return (
            len(start.state) * choice.num_samples <= R
            and _columns(start, choice) <= columns
            and needed == (steps, axes, greedy)
        )

    def load(self, start: PromptPass, choice: TokenChoice) -> None:
        """Begin a batch and choose its first tokens; the prompt's cache is taken apart."""
        K, length = choice.num_samples, start.cache.get_seq_length()
        self._choice = choice._replace(suppressed=self._suppressed, noise=self._noise)
        self._used = self._total = len(start.state) * K
        self._start, self._step = length, 0
        self._cache.load(start.cache, repeats=K)
        self._size = min(size for size in self._sizes if size >= self._used)
        self._mask.fill_(value=False)
        self._mask[:, :, :, 0] = True  # rows that hold no response see something too
        mask = start.place.new_ones(len(start.state), length) if start.mask is None else start.mask
        self._mask[: self._used, 0, 0, :length] = mask.bool().repeat_interleave(K, 0)
        self._place[: self._used] = start.place.repeat_interleave(K, 0)
        self._origin[: self._used] = torch.arange(self._used, device=self._origin.device)
        if self._noise is not None and choice.noise is not None:
            self._noise[: self._used] = choice.noise
        self._result.fill_(self._vlm.end_token_ids[0])
        self._chosen.fill_(self._vlm.end_token_ids[0])
        self._done.fill_(value=True)
        self._done[: self._used] = False
        self._column.fill_(length)
        self._number.zero_()
        self._states[: self._used] = start.state.repeat_interleave(K, 0)
        self._settle(self._states[: self._size], self._size)

    def live(self) -> int:
        """How many responses have not ended."""
        return int((~self._done[: self._used]).sum())

    def drop_finished(self, live: int) -> None:
        """Go on with fewer rows where a smaller size holds all that run."""
        size = min(size for size in self._sizes if size >= live)
        left = self._choice.max_new_tokens - self._step - 1
        known = self._graphs.has((size, self._shown))
        if size == self._size or (left < _WORTH_A_CAPTURE and not known):
            return
        self._keep_results()
        keep = (~self._done[: self._used]).nonzero().squeeze(-1)
        n = len(keep)
        self._cache.keep(keep, self._start + self._step)
        for one in (self._mask, self._token, self._place, self._chosen, self._origin, self._noise):
            if one is not None:
                one[:n] = one[keep]
        self._done[:n] = False
        self._done[n:] = True
        self._used, self._size = n, size

    def advance(self) -> None:
        """Choose the next token of each response."""
        rows, columns = self._size, self._shown
        self._graphs.run((rows, columns), lambda: self._run(rows, columns), self._changing)
        self._step += 1

    def try_step(self, row: int) -> tuple[Tensor, Tensor]:
        """A row's latest token (1 1), and the state (1 D) that a step makes of it, then undone."""
        token = self._token[row : row + 1].clone()
        before = [one.clone() for one in self._changing]
        self.advance()
        restore(self._changing, before)
        self._step -= 1
        return token, self._states[row : row + 1].clone()

    def tokens(self) -> Tensor:
        """All that was chosen."""
        self._keep_results()
        return self._result[: self._total]

    @property
    def _shown(self) -> int:
        """Columns that the next step reads: its own and all before, in whole blocks."""
        needed = self._start + self._step + 1
        return min(self._room[1], _round_up(needed, _COLUMN_BLOCK))

    def _keep_results(self) -> None:
        self._result[self._origin[: self._used]] = self._chosen[: self._used]

    def _run(self, rows: int, columns: int) -> Tensor:
        """One step of the first `rows`; nothing here may wait for the device."""
        self._cache.show(rows, columns)
        self._mask[:rows].index_fill_(3, self._column, value=True)
        with _uncached_autocast(self._vlm.device.type):
            state = next_state(
                self._vlm,
                self._token[:rows],
                self._place[:rows],
                self._mask[:rows, :, :, :columns],
                self._cache,
                axes=self._room[3],
            )
            self._states[:rows].copy_(state)
            self._place.add_(1)
            self._column.add_(1)
            self._number.add_(1)
            self._settle(state, rows)
        return state

    def _settle(self, state: Tensor, rows: int) -> None:
        """Choose the token that follows each state, and note which responses end with it."""
        noise = self._noise
        drawn = None if noise is None else noise[:rows].index_select(1, self._number).squeeze(1)
        logits = project_to_vocabulary(self._vlm.model, state)
        done = self._done[:rows]
        token = torch.where(done, self._ends[0], choose(logits, drawn, self._choice)).unsqueeze(-1)
        self._chosen[:rows].index_copy_(1, self._number, token)
        self._token[:rows].copy_(token)
        done.logical_or_((token == self._ends).any(-1))


def _columns(start: PromptPass, choice: TokenChoice) -> int:
    return _round_up(start.cache.get_seq_length() + choice.max_new_tokens, _ROOM_BLOCK)


def _round_up(count: int, block: int) -> int:
    return -(-count // block) * block


def _sizes(rows: int) -> tuple[int, ...]:
    """Numbers of rows that steps work on: all, then halves."""
    sizes = [rows]
    while sizes[-1] > _FEWEST_ROWS:
        sizes.append(-(-sizes[-1] // 2))
    return tuple(sizes)


def _uncached_autocast(device_type: str) -> AbstractContextManager[object]:
    """The autocast around, if any, without its cache: a graph must cast the weights anew."""
    if not torch.is_autocast_enabled(device_type):
        return nullcontext()
    dtype = torch.get_autocast_dtype(device_type)
    return torch.autocast(device_type, dtype=dtype, cache_enabled=False)
