"""Tokens exactly as nltk 3.9.1's `word_tokenize` splits lower-case English, without nltk.

CHAIR's numbers depend on the tokeniser: nltk 3.10 splits an opening single quote and the long dash,
3.9.1 does not. What 3.9.1 does is therefore written out here: sentences are found as the Punkt
algorithm finds them (Kiss & Strunk 2006) with its English abbreviations, and words as the Penn
Treebank splits them. On lower-case text the rest of Punkt's English model, which is about capitals,
comes down to four words.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from typing import NamedTuple

VERSION = "nltk 3.9.1, rewritten"
"""Which tokens these are, for the card of a score."""

_WHITE = " \t\n\r\x0b\x0c"
_CLOSERS = re.compile(r"[\"')\]}]+?(?:\s+|(?=--)|$)", re.MULTILINE)
_POSSIBLE_END = re.compile(r"[.?!](?=(?P<after>[)\";}\]*:@'({\[?!]|\s+(?P<following>\S+)))")
_LETTERS = re.compile(r"[a-z]+(?:-[a-z]+)*")
_PLAIN_WORD = re.compile(r"[a-z]{2,}")
_PUNKT_WORD = re.compile(
    r"-{2,}|\.{2,}|(?:\.\s){2,}\."
    r"|(?=[^(\"`{\[:;&#*@)}\]\-,])\S+?"
    r"(?=\s|$|[)\";}\]*:@'({\[?!]|-{2,}|\.{2,}|(?:\.\s){2,}\."
    r"|,(?=$|\s|[)\";}\]*:@'({\[?!]|-{2,}|\.{2,}|(?:\.\s){2,}\.))"
    r"|\S"
)
_NUMBER = re.compile(r"-?[.,]?\d[\d,.\-]*\.?$")
_INITIAL = re.compile(r"[^\W\d]\.$")
_STARTS_LOWER = frozenset({"administrators", "b-week", "r-revised", "z-holiday"})
"""Words that Punkt's English model has seen at the start of a sentence in lower case, and never
with a capital."""

_NOT_BY_CHUNKS = re.compile(r"[^\S ]|''|\"\"")
"""Where the rules below reach from one chunk between blanks into the next; they do at the very end,
too."""
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_STEPS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # Quotes that open.
        (r"([«“‘„]|`+)", r" \1 "),
        (r"^\"", "``"),
        (r"(``)", r" \1 "),
        (r"([ (\[{<])(\"|'{2})", r"\1 `` "),
        (r"(?i)(')(?!re|ve|ll|m|t|s|d|n)(\w)\b", r"\1 \2"),
        # The last full stop, with what may close after it.
        (r"([^.])(\.)([\])}>\"'»”’ ]*)\s*$", r"\1 \2 \3 "),
        (r"([:,])(\D)", r" \1 \2"),
        (r"([:,])$", r" \1 "),
        (r"(\.{2,})", r" \1 "),
        (r"([;@#$%&])", r" \1 "),
        (r"([^.])(\.)([\])}>\"']*)\s*$", r"\1 \2\3 "),
        (r"([?!])", r" \1 "),
        (r"([^'])' ", r"\1 ' "),
        (r"(\*)", r" \1 "),
        (r"([\]\[(){}<>])", r" \1 "),
        (r"--", " -- "),
        (r"^|$", " "),
        # Quotes that close, and what follows an apostrophe.
        (r"([»”’])", r" \1 "),
        (r"''", " '' "),
        (r"\"", " '' "),
        (r"\s+", " "),
        (r"([^' ])('[sSmMdD]|') ", r"\1 \2 "),
        (r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", r"\1 \2 "),
    )
)
_RUN_TOGETHER = frozenset({"cannot", "gimme", "gonna", "gotta", "lemme", "wanna"})
_MAY_RUN_TOGETHER = re.compile(r"(?i)cannot|d'ye|gimme|gonna|gotta|lemme|more'n|wanna|'tis|'twas")
_PARTED = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?i)\b(can)(not)\b",
        r"(?i)\b(d)('ye)\b",
        r"(?i)\b(gim)(me)\b",
        r"(?i)\b(gon)(na)\b",
        r"(?i)\b(got)(ta)\b",
        r"(?i)\b(lem)(me)\b",
        r"(?i)\b(more)('n)\b",
        r"(?i)\b(wan)(na)(?=\s)",
        r"(?i) ('t)(is)\b",
        r"(?i) ('t)(was)\b",
    )
)


def tokenize(text: str) -> list[str]:
    """Split a text into words and signs.

    Args:
        text: In lower case, as CHAIR does it first: `caption.lower()`.

    >>> tokenize("a cat.the dog isn't near st. paul's 3.5 cats. ok?")
    ['a', 'cat.the', 'dog', 'is', "n't", 'near', 'st.', 'paul', "'s", '3.5', 'cats', '.', 'ok', '?']
    """
    tokens: list[str] = []
    for sentence in sentences(text):
        *chunks, last = sentence.split(" ")
        if _NOT_BY_CHUNKS.search(sentence) or not _LETTER_OR_DIGIT.search(last):
            tokens += _split_words(sentence)
            continue
        for chunk in chunks:
            tokens += _inner_chunk(chunk)
        tokens += _last_chunk(last)
    return tokens


def sentences(text: str) -> Iterator[str]:
    """Split a lower-case text into sentences as Punkt does with its English model."""
    slices = list(_raw_slices(text))
    moved = 0
    for place, (start, stop) in enumerate(slices):
        begin = start + moved
        if place + 1 == len(slices):
            sentence = text[begin:stop]
        else:
            # Quotes and brackets that close right after the break belong to the sentence that ends.
            after = slices[place + 1]
            closers = _CLOSERS.match(text[after[0] : after[1]])
            moved = closers.end() if closers else 0
            sentence = (
                text[begin : after[0] + len(closers[0].rstrip())] if closers else text[begin:stop]
            )
        if sentence:
            yield sentence


class _End(NamedTuple):
    """A place where a sentence may end."""

    stop: int
    """Just after the sign."""
    following: int | None
    """Start of the next word where blanks lie between."""
    context: str
    """The word with the sign, and what comes after it."""


def _raw_slices(text: str) -> Iterator[tuple[int, int]]:
    begin = 0
    for end in _possible_ends(text):
        if _is_break(end.context):
            yield begin, end.stop
            begin = end.stop if end.following is None else end.following
    yield begin, len(text.rstrip())


def _possible_ends(text: str) -> Iterator[_End]:
    """Where a sentence may end; of several signs in one word the last counts."""
    start = stop = 0  # of the word before the sign
    pending = None
    for match in _POSSIBLE_END.finditer(text):
        before = text[stop : match.start()]
        blank = max(map(before.rfind, _WHITE))
        start = stop + blank + 1 if blank > 0 else start
        if pending is not None and stop <= start:
            yield pending
        stop = match.start()
        following = None if match["following"] is None else match.start("following")
        pending = _End(match.end(), following, text[start:stop] + match[0] + match["after"])
    if pending is not None:
        yield pending


@lru_cache(maxsize=1 << 14)
def _is_break(context: str) -> bool:
    word, sign, rest = context.partition(".")
    if sign and rest[:1].isspace() and _PLAIN_WORD.fullmatch(word) and word not in _ABBREVIATIONS:
        return True
    tokens = [
        token for line in context.split("\n") if line.strip() for token in _PUNKT_WORD.findall(line)
    ]
    return any(_ends_sentence(token, following) for token, following in pairwise(tokens))


def _ends_sentence(token: str, following: str) -> bool:
    if token in ("?", "!"):
        return True
    if not _ends_in_stop(token):
        return False
    if _NUMBER.match(token) or _INITIAL.match(token):
        # Numbers and initials do not end a sentence that continues with a small letter or a sign.
        return not _goes_on(token, following)
    return True


def _ends_in_stop(token: str) -> bool:
    """Whether a full stop ends it that is neither an abbreviation's nor an ellipsis."""
    word = token.removesuffix(".")
    if not word or word == token or word.endswith("."):
        return word != token and not word
    return word not in _ABBREVIATIONS and word.rpartition("-")[2] not in _ABBREVIATIONS


def _goes_on(token: str, following: str) -> bool:
    if following in (";", ":", ",", ".", "!", "?"):
        return True
    if following[0].islower():
        return (following[:-1] if _ends_in_stop(following) else following) not in _STARTS_LOWER
    return bool(_INITIAL.match(token)) and following[0].isupper()


@lru_cache(maxsize=1 << 16)
def _inner_chunk(chunk: str) -> tuple[str, ...]:
    """Tokens of a chunk inside a sentence, where no rule for a sentence's end applies."""
    word = chunk.removesuffix(",")
    if not chunk:
        return ()
    if _LETTERS.fullmatch(word) and _RUN_TOGETHER.isdisjoint(word.split("-")):
        return (word,) if word is chunk else (word, ",")
    return tuple(_split_words(f"x {chunk} x")[1:-1])


@lru_cache(maxsize=1 << 16)
def _last_chunk(chunk: str) -> tuple[str, ...]:
    word = chunk.removesuffix(".")
    if _LETTERS.fullmatch(word) and _RUN_TOGETHER.isdisjoint(word.split("-")):
        return (word,) if word is chunk else (word, ".")
    return tuple(_split_words(f"x {chunk}")[1:])


def _split_words(sentence: str) -> list[str]:
    for pattern, replacement in _STEPS:
        sentence = pattern.sub(replacement, sentence)
    if _MAY_RUN_TOGETHER.search(sentence):
        for pattern in _PARTED:
            sentence = pattern.sub(r" \1 \2 ", sentence)
    return sentence.split()


_ABBREVIATIONS = frozenset(
    resources.files(__package__).joinpath("abbreviations.txt").read_text(encoding="utf-8").split()
)
"""Words after whose full stop Punkt's English model lets a sentence go on."""
