"""Compare Veridical's tokens, tags and word forms with those of nltk 3.9.1 and pattern 3.6.

    sh benchmarks/chair/run.sh check.py FILE... [--seconds 60] [--golden FILE]

Every text in the JSON files named is compared, then texts of random signs for as long as is said.
--golden writes random texts with nltk's tokens, to which the tests of the package, that have no
nltk, hold ours.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nltk
from make_forms import POS, words
from nltk.stem import WordNetLemmatizer
from singular import singularize

from veridical.benchmarks.coco.tagging import load_tagger
from veridical.benchmarks.coco.tokens import tokenize
from veridical.benchmarks.coco.vocabulary import word_forms

SIGNS = [
    *"abcdrstmnxle ..,''\"\"-–—?!:;()[]{}<>*@#$%&`»«“”‘’0123 \n\t/\\é",
    *(
        " ",
        ". ",
        ". ",
        "cannot",
        "gonna",
        "'tis",
        " st.",
        " mr.",
        " e.g.",
        " 5.",
        " j. ",
        "...",
        "'s ",
        "n't ",
    ),
    *(
        " the ",
        " cat",
        "wanna ",
        "u.s. ",
        "--",
        "\n\n",
        "administrators ",
        "i.e. ",
        "''",
        "more'n ",
    ),
]


def main() -> None:
    """Compare, and leave with an error where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--golden", type=Path)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    texts = sorted({text.lower() for path in options.files for text in _texts(path)})
    wrong = sum(_differs(text) for text in texts)
    print(f"texts: {len(texts)} from files, {wrong} tokenized differently")
    end, drawn, bad = time.monotonic() + options.seconds, 0, 0
    while time.monotonic() < end:
        bad += _differs(_random_text(draw))
        drawn += 1
    print(f"random texts: {drawn}, {bad} tokenized differently")
    tagged = _check_tags(draw.sample(texts, min(1000, len(texts))), draw)
    print(f"tags: {tagged} texts tagged differently")
    forms = _check_forms({token for text in texts for token in tokenize(text)})
    print(f"word forms: {forms} made singular differently")
    if options.golden:
        rows = [
            [text, nltk.word_tokenize(text)] for text in (_random_text(draw) for _ in range(400))
        ]
        options.golden.write_text(
            json.dumps(rows, ensure_ascii=False, indent=0) + "\n", encoding="utf-8"
        )
    sys.exit(bool(wrong or bad or tagged or forms))


def _differs(text: str) -> bool:
    theirs, ours = nltk.word_tokenize(text), tokenize(text)
    if theirs != ours:
        print(f"  {text[:200]!r}\n    nltk {theirs}\n    ours {ours}")
    return theirs != ours


def _random_text(draw: random.Random) -> str:
    return "".join(draw.choice(SIGNS) for _ in range(draw.randint(1, 30))).lower()


def _check_tags(texts: Iterable[str], draw: random.Random) -> int:
    tagger, wrong = load_tagger(), 0
    for text in texts:
        tokens = tokenize(text)
        theirs = [tag for _, tag in nltk.pos_tag(tokens)]
        some = sorted(draw.sample(range(len(tokens)), min(4, len(tokens))))
        for wanted in (list(range(len(tokens))), some):
            wrong += any(tag != theirs[place] for place, tag in tagger.tags(tokens, wanted).items())
    return wrong


def _check_forms(tokens: set[str]) -> int:
    lemmatise, targets, wrong = WordNetLemmatizer().lemmatize, words(), 0
    normalisers = {"pattern": singularize}
    normalisers |= {name: lambda token, pos=pos: lemmatise(token, pos) for name, pos in POS.items()}
    for name, normalise in normalisers.items():
        table = word_forms(name)
        for token in tokens:
            word = normalise(token)
            wrong += table.get(token) != (word if word in targets else None)
    return wrong


def _texts(path: Path) -> Iterator[str]:
    raw = path.read_text(encoding="utf-8")
    try:
        values = [json.loads(raw)]
    except ValueError:
        values = [json.loads(line) for line in raw.splitlines() if line.strip()]
    for value in values:
        yield from _strings(value)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


if __name__ == "__main__":
    main()
