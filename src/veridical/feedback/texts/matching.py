"""Which words of two texts are the same: the edits between two sequences, in bounded time.

The comparison is Ratcliff's and Obershelp's: the longest run that both have, then the same on both
sides of it; exactly what `difflib.SequenceMatcher` finds without "autojunk". On texts that repeat
themselves hundreds of times its time grows with the cube of their length. After a fixed number of
steps, more than ordinary texts need, Myers' O(ND) algorithm (Algorithmica 1, 1986) takes over: it
finds a shortest script of edits, and is fast where the texts differ little. Where they also differ
much, the whole stretch counts as replaced.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

MAX_STEPS = 2_000_000
"""Comparisons before the faster algorithm takes over, about a second; 3,000 words need 0.5 M."""
MAX_EDITS = 600
"""Most words that Myers' algorithm inserts and deletes before it gives a stretch up."""


class Edit(NamedTuple):
    """Items `a_start:a_end` of one sequence become items `b_start:b_end` of the other."""

    a_start: int
    a_end: int
    b_start: int
    b_end: int


class _Block(NamedTuple):
    a: int
    b: int
    size: int


class _OutOfSteps(Exception):  # noqa: N818 (it says that another algorithm is needed)
    pass


def find_edits(a: Sequence[str], b: Sequence[str]) -> list[Edit]:
    """The edits that turn one sequence into another, in order, with something kept between them."""
    try:
        blocks = _Matcher(a, b).blocks()
    except _OutOfSteps:
        blocks = _shortest_script(a, b)
    edits = []
    i = j = 0
    for block in [*blocks, _Block(len(a), len(b), 0)]:
        if (i, j) != (block.a, block.b):
            edits.append(Edit(i, block.a, j, block.b))
        i, j = block.a + block.size, block.b + block.size
    return edits


class _Matcher:
    """Finds matching blocks by longest common runs."""

    def __init__(self, a: Sequence[str], b: Sequence[str]) -> None:
        self._a, self._b = a, b
        self._steps = 0
        self._places: dict[str, list[int]] = {}
        for place, item in enumerate(b):
            self._places.setdefault(item, []).append(place)

    def blocks(self) -> list[_Block]:
        """Matching blocks in order, neighbours joined."""
        if sum(len(self._places.get(item, ())) for item in self._a) > MAX_STEPS:
            raise _OutOfSteps  # the first pass alone
        found: list[_Block] = []
        open_ranges = [(0, len(self._a), 0, len(self._b))]
        while open_ranges:
            a_low, a_high, b_low, b_high = open_ranges.pop()
            block = self._longest(a_low, a_high, b_low, b_high)
            if block.size:
                found.append(block)
                open_ranges.append((a_low, block.a, b_low, block.b))
                open_ranges.append((block.a + block.size, a_high, block.b + block.size, b_high))
        return _joined(sorted(found))

    def _longest(self, a_low: int, a_high: int, b_low: int, b_high: int) -> _Block:
        """The longest common run in a range; of equally long ones the first in a, then in b."""
        best = _Block(a_low, b_low, 0)
        lengths: dict[int, int] = {}  # of the run that ends at the item before, by its place in b
        for i in range(a_low, a_high):
            places = self._places.get(self._a[i], [])
            ending: dict[int, int] = {}
            for j in places[bisect_left(places, b_low) : bisect_left(places, b_high)]:
                size = ending[j] = lengths.get(j - 1, 0) + 1
                if size > best.size:
                    best = _Block(i - size + 1, j - size + 1, size)
            self._steps += len(ending) + 1
            if self._steps > MAX_STEPS:
                raise _OutOfSteps
            lengths = ending
        return best


def _joined(blocks: list[_Block]) -> list[_Block]:
    joined: list[_Block] = []
    for block in blocks:
        last = joined[-1] if joined else None
        if last and (last.a + last.size, last.b + last.size) == (block.a, block.b):
            joined[-1] = last._replace(size=last.size + block.size)
        else:
            joined.append(block)
    return joined


def _shortest_script(a: Sequence[str], b: Sequence[str]) -> list[_Block]:
    """Matching blocks by Myers' algorithm, what both begin and end with apart."""
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    middle = _snakes(a[start : len(a) - end], b[start : len(b) - end])
    blocks = [_Block(0, 0, start)]
    blocks += [_Block(x + start, y + start, size) for x, y, size in middle]
    blocks.append(_Block(len(a) - end, len(b) - end, end))
    return _joined([block for block in blocks if block.size])


def _snakes(a: Sequence[str], b: Sequence[str]) -> list[_Block]:
    """Runs that a shortest script keeps; none where it has more than `MAX_EDITS` edits."""
    reach = {1: 0}  # farthest place in a on each diagonal
    history: list[dict[int, int]] = []
    for edits in range(min(len(a) + len(b), MAX_EDITS) + 1):
        history.append(dict(reach))
        for diagonal in range(-edits, edits + 1, 2):
            down = diagonal == -edits or (
                diagonal != edits and reach[diagonal - 1] < reach[diagonal + 1]
            )
            x = reach[diagonal + 1] if down else reach[diagonal - 1] + 1
            while x < len(a) and 0 <= x - diagonal < len(b) and a[x] == b[x - diagonal]:
                x += 1
            reach[diagonal] = x
            if x >= len(a) and x - diagonal >= len(b):
                return _walk_back(history, len(a), len(b))
    return []


def _walk_back(history: list[dict[int, int]], x: int, y: int) -> list[_Block]:
    blocks = []
    for edits in range(len(history) - 1, -1, -1):
        reach, diagonal = history[edits], x - y
        down = diagonal == -edits or (
            diagonal != edits and reach[diagonal - 1] < reach[diagonal + 1]
        )
        before = diagonal + 1 if down else diagonal - 1
        last_x = reach[before] if edits else 0
        last_y = last_x - before if edits else 0
        start_x = last_x + (0 if down or not edits else 1)
        if x > start_x:
            blocks.append(_Block(start_x, start_x - diagonal, x - start_x))
        x, y = last_x, last_y
    return blocks[::-1]
