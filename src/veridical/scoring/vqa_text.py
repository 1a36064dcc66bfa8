"""How VQA makes answers comparable: punctuation, number words, articles and contractions.

Behaviour of `processPunctuation` and `processDigitArticle` of the VQA evaluation code (Antol et al.
2015, arXiv 1505.00468; GT-Vision-Lab/VQA), faults included. Other toolkits took them over; POPE in
VLMEvalKit reads with the first.
"""

import re

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
# The look-behind of the original, `(?!<=\d)`, was meant to spare decimal points; as written it is
# always true.
_PERIOD = re.compile(r"\.(?!\d)")
_PERIODS_AT_MOST = 32  # the original passes re.UNICODE, which is 32, where `sub` takes its count

_NUMBERS = {
    "none": "0",
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
_ARTICLES = {"a", "an", "the"}
_CONTRACTED = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've
might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's
won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _without_one_apostrophe(word: str) -> list[str]:
    return [word[:place] + word[place + 1 :] for place, letter in enumerate(word) if letter == "'"]


_CONTRACTIONS = {
    bare: word for word in _CONTRACTED.split() for bare in _without_one_apostrophe(word)
}
# The original writes this entry the wrong way round: it takes the apostrophe out.
_CONTRACTIONS["somebody'd"] = "somebodyd"


def strip_punctuation(text: str) -> str:
    """Take out punctuation or put blanks in its place; drop full stops before no digit.

    A mark becomes nothing where it stands next to a blank anywhere in the text, or where the text
    holds a comma between digits; otherwise it becomes a blank.

    >>> strip_punctuation("St. Louis, MO"), strip_punctuation("t-shirt"), strip_punctuation("a - b")
    ('St Louis MO', 't shirt', 'a  b')
    """
    number = _COMMA_IN_NUMBER.search(text) is not None
    stripped = text
    for mark in _MARKS:
        if mark in text:
            beside_blank = f"{mark} " in text or f" {mark}" in text
            stripped = stripped.replace(mark, "" if beside_blank or number else " ")
    return _PERIOD.sub("", stripped, count=_PERIODS_AT_MOST)


def normalise_words(text: str) -> str:
    """Lower-case, write number words as digits, drop articles, put apostrophes into contractions.

    >>> normalise_words("The two dogs dont bark")
    "2 dogs don't bark"
    """
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def normalise_answer(text: str) -> str:
    """Both steps.

    >>> normalise_answer("A dog."), normalise_answer("None")
    ('dog', '0')
    """
    return normalise_words(strip_punctuation(text))
