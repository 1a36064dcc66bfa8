"""What a judge is: it reads cases and returns a review of each, or says why there is none.

A review is not a score yet: the benchmark reads the score out of it, so that every judge's words go
through the same parser.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from veridical.judges.completions import JsonObject


class Message(NamedTuple):
    """One message to a judge that is a language model."""

    role: str
    """"system" or "user"."""
    content: str
    """Its text."""


class Case(NamedTuple):
    """One response to be judged."""

    id: str
    """Id of the item in its benchmark."""
    fields: Mapping[str, str]
    """What a template may use: question, response, and what else the benchmark gives the judge."""


class Review(NamedTuple):
    """A judge's words on a case."""

    id: str
    """The case."""
    text: str | None
    """Its words; None where the judgement failed."""
    problem: str = ""
    """Why it failed."""
    model: str = ""
    """Who judged."""
    completion: JsonObject | None = None
    """The endpoint's answer as it came, where the judge is an endpoint."""


class Template(Protocol):
    """Makes the messages of a case."""

    @property
    def name(self) -> str:
        """Which one it is, for people to read: "official", "veridical" or "custom"."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of its text."""
        ...

    @property
    def temperature(self) -> float:
        """The temperature that the benchmark asks its judge with."""
        ...

    def messages(self, case: Case) -> tuple[Message, ...]:
        """Fill it in."""
        ...


class Judge(Protocol):
    """Anything that judges."""

    @property
    def name(self) -> str:
        """Who it is, as every score states."""
        ...

    def review(self, cases: Sequence[Case], template: Template) -> list[Review]:
        """Judge cases: one review each, in their order; failed judgements have `text` None."""
        ...
