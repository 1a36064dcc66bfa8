"""What is suspicious in a single row: each check says what it found, or nothing."""

import re
from collections import Counter
from collections.abc import Callable

from veridical.feedback.doctor.examples import Example
from veridical.formats.benchmark_pictures import benchmarks_showing
from veridical.formats.text import has_template

_MOJIBAKE = re.compile("Ã[\x80-\xbf©¨¡¢¤¶¼]|â€[™œ\x9d“”]|ï¿½|\ufffd")
_MACHINE = re.compile(
    r"\b(?:as an AI (?:language )?model|I(?:'m| am) (?:just )?an AI|I cannot (?:see|view) (?:the )?"
    r"(?:image|picture)s?|unable to (?:see|view) (?:the )?(?:image|picture))",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"</?(?:p|br|div|span|html|body|b|i)\s*/?>|&(?:nbsp|amp|lt|gt|quot);", re.I)
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
"""Also without its end, so that a long text without any is not searched from each of its places."""
_LONG = 400
"""Characters from which a response should end with a sentence."""
_REPEATS = 3


def row_findings(row: Example) -> list[tuple[str, str]]:
    """Kind and details of everything that is suspicious in a row."""
    return [
        (name, details) for name, check in ROW_CHECKS.items() if (details := check(row)) is not None
    ]


def _benchmark_picture(row: Example) -> str | None:
    found = [name for image in row.images for name in benchmarks_showing(image)]
    return ", ".join(dict.fromkeys(found)) or None


def _each(row: Example, what: Callable[[str], str | None]) -> str | None:
    for name, text in (("chosen", row.chosen), ("rejected", row.rejected)):
        if text and (found := what(text)) is not None:
            return f"{name}: {found}" if row.rejected else found
    return None


def _template(row: Example) -> str | None:
    return _each(row, lambda text: repr(text[:40]) if has_template(text) else None)


def _encoding(row: Example) -> str | None:
    for text in (row.asked, row.chosen, row.rejected):
        found = _MOJIBAKE.search(text)
        if found is not None:
            return repr(text[max(0, found.start() - 10) : found.end() + 10])
    return None


def _machine(row: Example) -> str | None:
    found = _MACHINE.search(row.chosen)
    return repr(found[0]) if found is not None else None


def _markup(row: Example) -> str | None:
    def what(text: str) -> str | None:
        found = _MARKUP.search(text)
        return repr(found[0]) if found is not None else None

    return _each(row, what)


def _cut(row: Example) -> str | None:
    text = row.chosen.rstrip()
    if len(text) < _LONG or text[-1:] in ".!?…\"')]}。！？" or not text[-1:].isalnum():
        return None
    return repr("…" + text[-30:])


def _repeated(row: Example) -> str | None:
    said = Counter(
        sentence.strip().lower()
        for sentence in _SENTENCE.findall(row.chosen)
        if sentence[-1] in ".!?"
    )
    for sentence, count in said.most_common(1):
        if count >= _REPEATS and len(sentence) > 10:
            return f"{count} times {sentence[:40]!r}"
    return None


def _answer_in_facts(row: Example) -> str | None:
    answer = _plain(row.chosen)
    if len(answer.split()) >= 5:
        for fact in row.facts:
            if answer in _plain(fact) or (_plain(fact) and _plain(fact) == answer):
                return f"the fact {fact[:40]!r} holds the preferred response"
    return None


def _answer_in_question(row: Example) -> str | None:
    answer = _plain(row.chosen)
    if row.rejected and len(answer.split()) >= 5 and answer in _plain(row.asked):
        return repr(row.chosen[:40])
    return None


def _reference_rejected(row: Example) -> str | None:
    truth = _plain(row.reference)
    if truth and row.rejected and truth == _plain(row.rejected) != _plain(row.chosen):
        return f"the rejected response is the reference {row.reference[:40]!r}"
    return None


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


ROW_CHECKS: dict[str, Callable[[Example], str | None]] = {
    "benchmark picture": _benchmark_picture,
    "chat template in a response": _template,
    "broken encoding": _encoding,
    "answers as a machine": _machine,
    "markup in a response": _markup,
    "cut off": _cut,
    "repeats itself": _repeated,
    "fact gives the answer away": _answer_in_facts,
    "question gives the answer away": _answer_in_question,
    "the truth is rejected": _reference_rejected,
}
"""Kind of finding → what finds it."""

REMEDIES = {
    "benchmark picture": "Leave these rows out, or do not report that benchmark.",
    "chat template in a response": "Cut the response where the next turn begins.",
    "broken encoding": "Export the data again as UTF-8.",
    "answers as a machine": "Leave these rows out: they teach to refuse.",
    "markup in a response": "Take the markup out of the texts.",
    "cut off": "Leave these rows out, or cut them after the last whole sentence.",
    "repeats itself": "Leave these rows out: they teach to repeat.",
    "fact gives the answer away": "Leave these facts out: a reward model would compare words.",
    "question gives the answer away": "Leave these rows out: the answer can be copied.",
    "the truth is rejected": "Look at these rows: the label is probably swapped.",
    "too long for the model": "Raise the limit in the recipe, or shorten these responses.",
    "the same row again": "Leave all but one out.",
    "nearly the same row": "Leave all but one out, or keep them on one side of the split.",
    "contradicting judgements": "Let a third person decide, or leave both out.",
    "the longer response wins": "Balance lengths, or set a length penalty on the reward.",
    "the shorter response wins": "Balance lengths: the model learns to say little.",
    "the first response wins": "Shuffle the sides before people judge, and ask again.",
    "the second response wins": "Shuffle the sides before people judge, and ask again.",
    "yes outweighs no": "Balance the questions: the model learns to say yes.",
    "no outweighs yes": "Balance the questions: the model learns to say no.",
    "one letter outweighs": "Shuffle the options: the model learns the letter.",
    "many ties": "Explain in the guidelines what decides, or offer a finer scale.",
    "few questions": "Ask in more ways: the model learns the wording.",
    "one picture outweighs": "Limit the rows per picture.",
}
"""What to do about each kind of finding."""
