"""What a response answers: yes or no, or the letter of an option; None, never a guess, if unclear.

The rule rewards stand on these. The released code of LLaVA-RLHF (arXiv 2309.14525) asks whether a
text begins with "No", which "North" does too, and whether it contains "correct option is B.", which
a text that names every option does. Here a response that gives two different answers gives none.
Only English is read; "B" alone is the same anywhere.
"""

import re
from typing import Literal

YesNo = Literal["yes", "no"]

_BLANKS = re.compile(r"\s{2,}")
_MOST_QUOTES = 40  # more signs before an answer are not read, so that time grows with length only
_QUOTES = rf"[\s\"'“”‘’*_`(\[{{>-]{{0,{_MOST_QUOTES}}}"
_END = r"(?![\w'’-])"
_ADVERB = (
    r"(?:\s+(?:most\s+likely|likely|probably|clearly|definitely"
    r"|therefore|thus|indeed|simply|then|hence))?"
)
_YES_NO = rf"(yes|no){_END}"
_STATED_YES_NO = re.compile(
    rf"\b(?:answer\b(?:\s+(?:is|was|would\s+be|must\s+be|should\s+be))?\s*:?|i\s+(?:would\s+)?say){_ADVERB}"
    rf"{_QUOTES}{_YES_NO}",
    re.IGNORECASE,
)
_FIRST_YES_NO = re.compile(rf"{_QUOTES}{_YES_NO}", re.IGNORECASE)
_OPENING_YES_NO = re.compile(
    rf"(?:[.!?…]|\n){_QUOTES}{_YES_NO}(?=\s*(?:[,.!;:…—–\"'”’)*]|$))", re.IGNORECASE
)
_NO_VERDICT = re.compile(
    r"no\s+(?:idea|clue|comment|answer|information|opinion|way\s+(?:of|to)\b)|no\.\s*\d|(?:yes|no)\s*(?:and|or|/)\s*(?:yes|no)\b",
    re.IGNORECASE,
)

_LETTERS = "A-H"
_BARE = rf"{_QUOTES}([{_LETTERS}{_LETTERS.lower()}])"
_CLOSED = r"(?=\s*(?:[.,;:!?)\]}\"'“”’*_`]|$))"
_REASON = r"(?=\s+(?:because|since|as|for|which|given|due)\b)"
_NAMES = r"(?:answer|option|choice|letter)"
_IS = r"(?:\s+(?:is|was|would\s+be|must\s+be|should\s+be))"
_STATED_LETTER = re.compile(
    rf"\b(final\s+)?{_NAMES}(?:{_IS}\s*:?|\s*:){_ADVERB}(?:\s+(?:option|choice|letter))?{_BARE}(?:{_CLOSED}|{_REASON}|(?=(\s+\w)))",
    re.IGNORECASE,
)
_CHOSEN_LETTER = re.compile(
    rf"\b(?:choose|pick|select|go\s+with)(?:\s+(?:option|choice|letter|answer))?{_BARE}(?:{_CLOSED}|{_REASON})",
    re.IGNORECASE,
)
_LINE_LETTER = re.compile(
    rf"^[\s\"'“‘*_`]{{0,{_MOST_QUOTES}}}(?:\(([{_LETTERS}])\)|\[([{_LETTERS}])\]|([{_LETTERS}])(?=[.):;,*\"'”’\]]|\s*$))",
    re.IGNORECASE | re.MULTILINE,
)
_LAST_LETTER = re.compile(
    rf"(?:[.!?:]\s+|\n|\b(?i:so|therefore|thus|hence),?\s+){_QUOTES}([{_LETTERS}])[\s\"'“”‘’*_`)\].!]{{0,{_MOST_QUOTES}}}$"
)
_BRACKETED_LETTER = re.compile(rf"(?<!\w)[(\[]([{_LETTERS}])[)\]]")
_SEVERAL_LETTERS = re.compile(
    rf"\W*[{_LETTERS}]\W{{0,3}}(?:,|/|&|and|or)\W{{0,3}}[{_LETTERS}](?!\w)", re.IGNORECASE
)


def extract_yes_no(text: str) -> YesNo | None:
    """Whether a response says yes or no.

    The first word counts, and so does a later sentence that opens with the bare word, and "the
    answer is …". A "no" inside a sentence does not: "Yes, there is no dog" says yes. Different
    answers in one response give None.

    >>> extract_yes_no("Yes, there is no dog in the picture.")
    'yes'
    >>> extract_yes_no("North of the river.") is None
    True
    """
    text = _with_single_blanks(text)
    if _NO_VERDICT.match(text.lstrip(" \t\n\"'*_`([{>-")):
        return None
    found = [match[1].lower() for match in _STATED_YES_NO.finditer(text)]
    found += [match[1].lower() for match in _OPENING_YES_NO.finditer(text)]
    if (first := _FIRST_YES_NO.match(text)) is not None:
        found.append(first[1].lower())
    if len(set(found)) != 1:
        return None
    return "yes" if found[0] == "yes" else "no"


def extract_choice(text: str) -> str | None:
    """The option that a response chooses: a letter from A to H, or None.

    Read are a letter that opens the response or a line ("B.", "(B) a dog"), one that closes it ("…
    So B."), and "the answer is B" in its usual wordings; failing these, one bracketed letter
    anywhere. "A" before a word is the article. "Final answer: B" overrides what came before;
    otherwise different letters give None.

    >>> extract_choice("There is a dog on the sofa, so the answer is B.")
    'B'
    >>> extract_choice("A dog is on the sofa.") is None
    True
    """
    text = _with_single_blanks(text)
    stated = [
        match for match in _STATED_LETTER.finditer(text) if not _is_article(match[2], match[3])
    ]
    final = [match[2].upper() for match in stated if match[1]]
    if final:
        return final[-1]
    if _SEVERAL_LETTERS.match(text):
        return None
    found = {
        match[2].upper() for match in stated if not _SEVERAL_LETTERS.match(text, match.start(2))
    }
    found |= {match[1].upper() for match in _CHOSEN_LETTER.finditer(text)}
    listed = {next(filter(None, match.groups())).upper() for match in _LINE_LETTER.finditer(text)}
    if len(listed) > 1 and found:
        listed = set()  # the options repeated, before the answer
    found |= listed | {match[1] for match in _LAST_LETTER.finditer(text)}
    if not found:
        found = set(_BRACKETED_LETTER.findall(text))
    return found.pop() if len(found) == 1 else None


def _with_single_blanks(text: str) -> str:
    """A text in which a run of blanks is one: a line break where it holds any, else a space."""
    return _BLANKS.sub(lambda run: "\n" if "\n" in run[0] else " ", text)


def _is_article(letter: str, following: str | None) -> bool:
    """Whether the letter before a word is "a dog", or a letter so small that it might be one."""
    return following is not None and (letter in "Aa" or letter.islower())
