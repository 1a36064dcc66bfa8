"""What a text says is *not* there: "no visible cars or dogs", "without a hat".

A rule of thumb, not a parser. "No" and its like deny the noun among the next four words of their
phrase; "not" does so from the next "any", or from an "a" close by. A list continues after "or", and
after "and" or a comma where the next object has no article ("no dog and a cat" denies the dog
alone).
"""

import re
from collections.abc import Callable, Sequence

from veridical.benchmarks.coco.vocabulary import word_table

_NOT = re.compile(r"not|never|cannot|.*n['’]t")
_REACH = 4
"""Words after "no" among which its noun stands."""
_OBJECT_OF_NOT = 5
"""Words after "not" within which "a" begins what is denied ("does not seem to show a dog")."""

_GRAMMAR = word_table()["ours"]["grammar"]
_NONE, _CLAUSE_ENDS, _PHRASE_ENDS, _DETERMINERS = (
    frozenset(_GRAMMAR[name]) for name in ("none", "clause_ends", "phrase_ends", "determiners")
)


class Denial:
    """Follows a text word by word and knows whether an object is denied."""

    def __init__(self, is_object: Callable[[str], bool]) -> None:
        """Start a text.

        Args:
            is_object: Whether a word names an object.
        """
        self._is_object = is_object
        self._left = 0
        self._since_not: int | None = None
        self._in_list = False

    def denies(self, word: str, after: Sequence[str], *, named: bool) -> bool:
        """Take the next word and say whether it is denied.

        Args:
            word: The word, or a sign.
            after: What follows.
            named: Whether the word names an object here.
        """
        if named and self._left:
            self._left, self._in_list = 0, True
            return True
        self._left = max(0, self._left - 1)
        self._since_not = None if self._since_not is None else self._since_not + 1
        in_list, self._in_list = self._in_list, False
        following = after[0] if after else ""
        if in_list and self._list_goes_on(word, following):
            self._left, self._in_list = _REACH, word == ","
        elif word in _NONE:
            self._left = 0 if following == "longer" else _REACH
        elif _NOT.fullmatch(word):
            self._since_not = None if following == "only" else 0
        elif word in _CLAUSE_ENDS:
            self._left, self._since_not = 0, None
        elif word == "," or word in _PHRASE_ENDS or (word == "and" and following in _DETERMINERS):
            self._left = 0
        elif self._since_not is not None and (
            word == "any" or (word in ("a", "an") and self._since_not <= _OBJECT_OF_NOT)
        ):
            self._left, self._since_not = _REACH, None
        return False

    def _list_goes_on(self, word: str, following: str) -> bool:
        if word in ("or", "nor"):
            return True
        if word not in ("and", ","):
            return False
        return following in ("or", "nor") or (
            following not in _DETERMINERS and self._is_object(following)
        )
