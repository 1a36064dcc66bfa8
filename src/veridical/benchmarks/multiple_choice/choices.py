"""Read which option a free answer to a multiple-choice question chooses; nothing is guessed."""

import re
from collections.abc import Mapping

_STATED = (
    r"(?:answer|option|choice|choose|select|选项?|答案)\s*(?:is|would"
    r" be|:|：|是|为)*\s*(?:option\s+)?[\s(\[\"'*{]*"
)
_NAMED = re.compile(r"\b[A-Z]\b|[\W_]|\b(?:and|or)\b")
_NEGATED = r" (?:not|no|never|t) (?:an? |the )?"
_WORD = re.compile(r"\w+")


def chosen_option(text: str, options: Mapping[str, str]) -> str | None:
    """Which option an answer names; None where it names none, or more than one.

    In this order: an explicit statement ("The answer is B"), a letter that the answer begins with
    or consists of, a single letter standing alone (not the article in "A dog"), the text of one
    option.

    Args:
        text: What the model said.
        options: Text of each option by its capital letter.

    >>> pets = {"A": "dog", "B": "cat"}
    >>> chosen_option("(B) cat", pets), chosen_option("A cat sits there.", pets)
    ('B', 'B')
    >>> print(chosen_option("A or B", {"A": "dog", "B": "cat"}))
    None
    """
    letters = "".join(options)
    said = text.strip()
    if said and len(_NAMED.sub("", said)) == 0 and len(set(_WORD.findall(said))) > 1:
        return None  # nothing but several letters
    for found in (
        _stated(said, letters),
        _leading(said, letters, options),
        _standing(said, letters),
    ):
        if len(found) > 1:
            return None
        if found:
            return found.pop()
    return _by_text(said, options)


def _stated(text: str, letters: str) -> set[str]:
    r"""Letters of "The answer is B", "Answer: (B)", "\boxed{B}", but not of "is a dog"."""
    one = rf"([{letters}])(?![A-Za-z])"
    pattern = (
        rf"(?:(?i:{_STATED})|\\boxed\{{){one}(?! (?!or |and )[a-z])(?:\s*(?:or|and|,|/)\s*{one})?"
    )
    return {letter for pair in re.findall(pattern, text) for letter in pair if letter}


def _leading(text: str, letters: str, options: Mapping[str, str]) -> set[str]:
    """The letter of "B", "(b)", "**B**", "B. cat", "B: cat", or "B cat" if B is "cat"."""
    alone = re.fullmatch(rf"[\W_]*([{letters}{letters.lower()}])[\W_]*", text)
    if alone:
        return {alone[1].upper()}
    marked = re.match(rf"[\s(\[\"'*]*([{letters}])(?:\s*[)\].:,;*\"'：、]|\s+[-–—]|\s*\n)", text)
    if marked and not re.match(r"\s*(?:,|and|or)\b", text[marked.end(1) :]):
        others = _standing(text[marked.end(1) :], letters)
        return {marked[1]} | (others if marked[0].endswith(",") else set())
    followed = re.match(rf"([{letters}])\s+(.+)", text, flags=re.DOTALL)
    if followed and _words(followed[2]) == _words(options[followed[1]]):
        return {followed[1]}
    return set()


def _standing(text: str, letters: str) -> set[str]:
    """Capital letters that stand alone; "A" and "I" before a small word are article and pronoun."""
    found = set()
    for match in re.finditer(rf"(?<![\w'’])(?<!not )(?<!n't )([{letters}])(?![\w'’])", text):
        is_word = match[1] in "AI" and re.match(r"\s+[a-z]", text[match.end() :])
        if not is_word or re.match(r"\s+(?:and|or)\s+[A-Z]\b", text[match.end() :]):
            found.add(match[1])
    return found


def _by_text(text: str, options: Mapping[str, str]) -> str | None:
    """The only option whose words occur in a row; of "apple" and "red apple" the longer one.

    "not a cat" does not name the cat.
    """
    said = f" {_words(text)} "
    written = {letter: _words(option) for letter, option in options.items()}
    there = [
        letter
        for letter, words in written.items()
        if words and f" {words} " in re.sub(f"{_NEGATED}{re.escape(words)}(?= )", "", said)
    ]
    longest = [
        letter
        for letter in there
        if not any(
            f" {written[letter]} " in f" {written[other]} " for other in there if other != letter
        )
    ]
    return longest[0] if len(longest) == 1 else None


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))
