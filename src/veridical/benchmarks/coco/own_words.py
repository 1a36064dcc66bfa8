"""Objects that a text mentions by a list of words of one's own, for pictures that do not show COCO's kinds."""

from pathlib import Path

from veridical.benchmarks.coco.mentions import Mentions, Reader
from veridical.benchmarks.coco.tokens import tokenize
from veridical.files import read_bytes
from veridical.scoring.rows import Faults


def read_own_words(path: Path, faults: Faults) -> dict[str, str]:
    """Word → kind of object, from a file in the form of CHAIR's synonyms: a line a kind, "knife, knives, dagger".

    Nothing is made singular: a plural counts where it is listed. Up to three words in a row may
        stand for a kind.

    Args:
        path: The file.
        faults: Where to note words that stand for two kinds.
    """
    words: dict[str, str] = {}
    for number, line in enumerate(read_bytes(path).decode("utf-8").splitlines(), start=1):
        names = [name.strip().lower() for name in line.split(",") if name.strip()]
        for name in names:
            if words.setdefault(name, names[0]) != names[0]:
                faults.add_file(
                    path,
                    f"line {number}: {name!r} stands for {words[name]!r} already. Keep one of"
                    " them.",
                )
    if not words:
        faults.add_file(
            path, "holds no words. Write a kind of object and its other names on each line."
        )
    return words


def own_words_reader(words: dict[str, str]) -> Reader:
    """A reader that finds the longest listed name at each place."""
    longest = max((len(name.split()) for name in words), default=1)

    def read(text: str) -> Mentions:
        tokens = tokenize(text.lower())
        found = []
        place = 0
        while place < len(tokens):
            sizes = range(min(longest, len(tokens) - place), 0, -1)
            name = next(
                (
                    name
                    for size in sizes
                    if (name := " ".join(tokens[place : place + size])) in words
                ),
                None,
            )
            if name is not None:
                found.append(name)
            place += len(name.split()) if name else 1
        return Mentions(found, [words[name] for name in found], len(tokens))

    return read
