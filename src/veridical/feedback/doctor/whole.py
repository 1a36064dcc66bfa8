"""What is wrong with a dataset as a whole: biases, duplicates, contradictions; in one pass.

Nothing but numbers and short fingerprints is kept of a row, so that any number of rows fits.
"""

import re
import zlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from veridical.errors import Fault
from veridical.feedback.doctor.examples import Example
from veridical.feedback.doctor.rows import REMEDIES, row_findings
from veridical.files import hash_bytes
from veridical.statistics.intervals import wilson_interval

LEAST = 20
"""Rows below which no bias is reported."""
_TOLERATED = 0.6
"""A share is a bias where its whole interval lies beyond this, or below one minus it."""
_TELLING = 0.2
"""Least share of pairs that must differ in length for length to be a bias."""
_SHOWN = 5
_SKETCH = 24
_ALIKE = 0.7
"""Share of common three-word runs from which two rows are nearly the same."""
_KEYS = 6
"""Smallest hashes whose neighbours, two at a time, bring rows together to be compared."""
_LARGEST_BUCKET = 40
_LETTER = re.compile(r"^\(?([A-H])[).:]?(?:\s|$)|correct option is ([A-H])\b")


class Finding(NamedTuple):
    """Something that training on the data would teach, and should not."""

    kind: str
    """What it is, a few words."""
    text: str
    """How it shows, with numbers."""
    remedy: str
    """What to do."""
    places: tuple[Fault, ...] = ()
    """Rows that show it, the first ones where there are many."""

    @property
    def message(self) -> str:
        """The finding in one line."""
        return f"{self.kind}: {self.text}. {self.remedy}"


class Lengths(NamedTuple):
    """Words of the two responses of a pair."""

    chosen: int
    """The preferred one."""
    rejected: int
    """The other one."""


class Examination:
    """Takes rows one at a time, and says at the end what it found."""

    def __init__(self) -> None:
        self.rows = 0
        """Rows seen."""
        self.lengths: list[Lengths] = []
        """Words of every pair."""
        self.preferred: Counter[str] = Counter()
        """Comparisons by the side that was preferred."""
        self.yes_no: Counter[str] = Counter()
        """Short answers that begin with yes or no."""
        self.letters: Counter[str] = Counter()
        """Answers that are a letter."""
        self.questions: Counter[str] = Counter()
        """Rows by question, as a hash."""
        self.pictures: Counter[str] = Counter()
        """Rows by their first picture."""
        self._single: dict[str, list[Fault]] = defaultdict(list)
        self._single_counts: Counter[str] = Counter()
        self._details: Counter[tuple[str, str]] = Counter()
        self._exact: dict[bytes, Fault] = {}
        self._sides: dict[bytes, tuple[bytes, Fault]] = {}
        self._sketches: list[array[int]] = []
        self._places: list[Fault] = []
        self._buckets: dict[int, list[int]] = defaultdict(list)

    def add(self, row: Example) -> None:
        """Look at one row."""
        self.rows += 1
        place = Fault(row.file, row.line, row.id)
        for kind, details in row_findings(row):
            self._note(kind, place, details)
        if row.images and row.images[0]:
            self.pictures[row.images[0]] += 1
        self.questions[_digest(row.asked).hex()] += 1
        if row.chosen:
            self._answers(row)
            self._repeats(row, place)
        if row.rejected and row.preferred != "tie":
            self.lengths.append(Lengths(len(row.chosen.split()), len(row.rejected.split())))
        if row.preferred:
            self.preferred[row.preferred] += 1

    def note_too_long(self, row: Example, details: str) -> None:
        """Note a row that a model would not read whole."""
        self._note("too long for the model", Fault(row.file, row.line, row.id), details)

    def _note(self, kind: str, place: Fault, details: str) -> None:
        self._single_counts[kind] += 1
        if kind == "benchmark picture":
            self._details[kind, details] += 1
        if len(self._single[kind]) < _SHOWN:
            self._single[kind].append(place._replace(message=f"{place.message}: {details}"))

    def _answers(self, row: Example) -> None:
        for answer in row.chosen.split("\n"):
            words = answer.lower().split()
            first = words[0].strip(",.!") if words else ""
            if first in ("yes", "no") and len(words) <= 12:
                self.yes_no[first] += 1
            letter = _LETTER.search(answer)
            if letter is not None and (len(words) == 1 or letter[2]):
                self.letters[letter[1] or letter[2]] += 1

    def _repeats(self, row: Example, place: Fault) -> None:
        asked = "\x00".join([*row.images, row.asked])
        one, other = _digest(row.chosen), _digest(row.rejected)
        whole = _digest(asked) + one + other
        if whole in self._exact:
            self._note("the same row again", place, f"as {_place_text(self._exact[whole])}")
            return
        self._exact[whole] = place
        if row.rejected and row.preferred != "tie":
            key = _digest(asked) + b"".join(sorted((one, other)))
            winner, first = self._sides.setdefault(key, (one, place))
            if winner != one:
                self._note("contradicting judgements", place, f"against {_place_text(first)}")
        self._look_alike(row, place)

    def _look_alike(self, row: Example, place: Fault) -> None:
        sketch = _sketch(f"{row.chosen} {row.rejected}")
        if len(sketch) < _SKETCH // 2:
            return  # too short to say
        here = len(self._sketches)
        self._sketches.append(array("I", sketch))
        self._places.append(place)
        seen: set[int] = set()
        for one, next_one in pairwise(sketch[:_KEYS]):  # too many rows share a single run
            bucket = self._buckets[one << 32 | next_one]
            for there in bucket:
                if there not in seen and _alike(sketch, self._sketches[there]) >= _ALIKE:
                    first = _place_text(self._places[there])
                    self._note("nearly the same row", place, f"as {first}")
                    return
                seen.add(there)
            if len(bucket) < _LARGEST_BUCKET:
                bucket.append(here)

    def findings(self) -> list[Finding]:
        """Everything that was found, biases first."""
        return [*self._biases(), *self._of_rows()]

    def _of_rows(self) -> Iterator[Finding]:
        for kind, count in self._single_counts.items():
            details = [
                f"{number} of {name}"
                for (what, name), number in self._details.items()
                if what == kind
            ]
            said = f" ({', '.join(details)})" if details else ""
            text = f"{count:,} of {self.rows:,} rows{said}"
            yield Finding(kind, text, REMEDIES[kind], tuple(self._single[kind]))

    def _biases(self) -> Iterator[Finding]:
        differ = [pair for pair in self.lengths if pair.chosen != pair.rejected]
        longer = sum(pair.chosen > pair.rejected for pair in differ)
        words = [sum(side) / max(len(self.lengths), 1) for side in zip(*self.lengths, strict=True)]
        means = f"; {words[0]:.0f} words against {words[1]:.0f}" if words else ""
        telling = len(differ) if len(differ) >= _TELLING * len(self.lengths) else 0
        yield from _lopsided(
            longer, telling, "the longer response wins", "the shorter response wins", means
        )
        sides = self.preferred["first"] + self.preferred["second"]
        yield from _lopsided(
            self.preferred["first"], sides, "the first response wins", "the second response wins"
        )
        yes = self.yes_no["yes"]
        total = sum(self.yes_no.values())
        yield from _lopsided(yes, total, "yes outweighs no", "no outweighs yes")
        letters = sum(self.letters.values())
        if letters >= LEAST:
            letter, count = self.letters.most_common(1)[0]
            low, _ = wilson_interval(count / letters, letters)
            if low > 1 / max(len(self.letters), 2) + 0.1:
                yield _finding("one letter outweighs", f"{letter} is {_share(count, letters)}")
        judged = sum(self.preferred.values())
        ties = self.preferred["tie"]
        if judged >= LEAST and wilson_interval(ties / judged, judged)[0] > 0.3:
            yield _finding("many ties", _share(ties, judged))
        yield from self._concentrated()

    def _concentrated(self) -> Iterator[Finding]:
        for counts, kind, what, limit in (
            (self.questions, "few questions", "question", 0.9),
            (self.pictures, "one picture outweighs", "picture", 0.25),
        ):
            total = sum(counts.values())
            if total >= 2 * LEAST and len(counts) > 1:
                name, count = counts.most_common(1)[0]
                if count / total > limit:
                    shown = f" {name!r}" if what == "picture" else ""
                    yield _finding(kind, f"one {what}{shown} has {_share(count, total)}")


def examine(
    rows: Iterable[Example], *, too_long: Callable[[Example], str | None] = lambda _: None
) -> Examination:
    """Look at every row of a dataset.

    Args:
        rows: The rows.
        too_long: Says what of a row a model would not read, or None.
    """
    found = Examination()
    for row in rows:
        found.add(row)
        details = too_long(row)
        if details is not None:
            found.note_too_long(row, details)
    return found


def _lopsided(count: int, total: int, above: str, below: str, also: str = "") -> Iterator[Finding]:
    if total < LEAST:
        return
    low, high = wilson_interval(count / total, total)
    if low > _TOLERATED:
        yield _finding(above, _share(count, total) + also)
    elif high < 1 - _TOLERATED:
        yield _finding(below, _share(total - count, total) + also)


def _share(count: int, total: int) -> str:
    low, high = wilson_interval(count / total, total)
    return f"{count:,} of {total:,} ({count / total:.0%}, 95 % interval {low:.0%} to {high:.0%})"


def _finding(kind: str, text: str) -> Finding:
    return Finding(kind, text, REMEDIES[kind])


def _digest(text: str) -> bytes:
    plain = " ".join(text.lower().split()).encode("utf-8", "surrogatepass")
    return bytes.fromhex(hash_bytes(plain)[:16])


def _sketch(text: str) -> tuple[int, ...]:
    """The smallest hashes of a text's three-word runs: alike texts share many of them."""
    words = re.findall(r"\w+", text.lower())
    runs = {" ".join(words[n : n + 3]) for n in range(len(words) - 2)}
    return tuple(sorted(zlib.crc32(run.encode("utf-8", "surrogatepass")) for run in runs)[:_SKETCH])


def _alike(one: Sequence[int], other: Sequence[int]) -> float:
    """The estimated share of common runs (Broder 1997)."""
    smallest = set(sorted({*one, *other})[: max(len(one), len(other))])
    return len(smallest.intersection(one).intersection(other)) / max(len(smallest), 1)


def _place_text(place: Fault) -> str:
    return f"{place.file.name}:{place.line}"
