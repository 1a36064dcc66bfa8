"""What a reward model reads: question, response, facts and dimensions of quality, in one template.

The template is part of a reward model, saved with it and checked at loading: LLaVA-RLHF's (arXiv
2309.14525, section 2.3) was a separate file, and reward models scored without it gave noise.
Facts stand *before* the response (read once for all responses of a prompt, and known while the
response is read) or *after* it (the original).
"""

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Self, get_args

from pydantic import Field, model_validator

from veridical.config import Recipe
from veridical.records import Facts

FactKind = Literal["caption", "rationale", "answer", "objects"]
FACT_KINDS: tuple[FactKind, ...] = get_args(FactKind)

_SLOT = re.compile(r"\{(\w+)\}")


class Dimension(Recipe):
    """One dimension of quality."""

    name: str = Field(min_length=1)
    """Its name."""
    meaning: str = Field(min_length=1)
    """What it asks of a response."""


class FactsForm(Recipe):
    """How facts are written."""

    headings: dict[FactKind, str] = Field(
        default={
            "caption": "What people wrote about this image:",
            "rationale": "Reasons that hold for this image:",
            "answer": "The right answer:",
            "objects": "What this image shows:",
        }
    )
    """What opens the facts of a kind; kinds that are not named are left out."""
    stand_in: dict[FactKind, FactKind] = Field(default={})
    """Kinds that take another kind's place where they are known: `{rationale = "caption"}` writes
    rationales under the captions' heading and leaves the captions out. LLaVA-RLHF: so, for
    multiple-choice questions."""
    fact: str = "\n- {fact}"
    """One statement; `{fact}` is its text."""
    separator: str = ""
    """What stands between two statements."""
    end: str = "\n"
    """What ends the facts of a kind."""
    nothing: str = ""
    """What stands there when nothing is known."""

    @property
    def kinds(self) -> frozenset[FactKind]:
        """Kinds of facts that are written: those with a heading, and their stand-ins."""
        return frozenset(kind for kind in FACT_KINDS if self._kind_of(kind) in self.headings)

    def write(self, facts: Sequence[Facts]) -> str:
        """Write what is known.

        Args:
            facts: What is known, in the order in which it is to be shown.
        """
        replaced = {
            self.stand_in[item.kind] for item in facts if item.texts and item.kind in self.stand_in
        }
        texts: dict[FactKind, list[str]] = {kind: [] for kind in self.headings}
        for item in facts:
            kind = self._kind_of(item.kind)
            if kind in texts and item.kind not in replaced:
                texts[kind] += [_fill(self.fact, {"fact": text}) for text in item.texts]
        parts = [
            self.headings[kind] + self.separator.join(some) + self.end
            for kind, some in texts.items()
            if some
        ]
        return "".join(parts) or self.nothing

    def _kind_of(self, kind: FactKind) -> FactKind:
        return self.stand_in.get(kind, kind)


class RewardTemplate(Recipe):
    """How question, response and facts are laid out for a reward model; any text can change."""

    name: str = "veridical"
    """The shipped template that fills in what is not set here: "veridical", "llava-rlhf", "world",
    "world-quote"; or a new name. None of the shipped texts is the published one: to score as
    LLaVA-RLHF's release does, set `after`, `verdict` and `dimensions` from its prompt file."""
    layout: Literal["turns", "quote"] = "turns"
    """The response is the assistant's turn, and a further turn may ask about it; or it is quoted in
    the user's turn."""
    facts_position: Literal["before", "after", "none"] = "before"
    """Where facts stand relative to the response; "none" leaves them out. LLaVA-RLHF: after."""
    before: str = "{facts}{question}"
    """The user's turn up to the response; slots `{facts}`, `{question}` and `{dimensions}`."""
    after: str = ""
    """What is asked about the response, after it; slots `{facts}` and `{dimensions}`. Empty:
    nothing."""
    verdict: str = ""
    """How the assistant's answer to that begins; the reward is read from its last token. LLaVA-RLHF
    has one."""
    dimensions: tuple[Dimension, ...] = ()
    """The dimensions of quality, in order; a meaning may hold `{facts}`. LLaVA-RLHF: four."""
    dimension: str = "{number}. {name}: {meaning}\n"
    """How one is written."""
    facts: FactsForm = Field(default_factory=FactsForm)
    """How facts are written."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Take what is not set from the shipped template of that name."""
        if not isinstance(data, dict):
            return data
        name = data.get("name", "veridical")
        return {**(SHIPPED.get(name, {}) if isinstance(name, str) else {}), **data}

    @model_validator(mode="after")
    def _slots_fit(self) -> Self:
        slots = {"before": {"facts", "question", "dimensions"}, "after": {"facts", "dimensions"}}
        for field, known in slots.items():
            unknown = set(_SLOT.findall(getattr(self, field))) - known
            if unknown:
                raise ValueError(
                    f"`{field}` has no slot {{{min(unknown)}}}; there are"
                    f" {', '.join(sorted(known))}"
                )
        if "{question}" not in self.before:
            raise ValueError("`before` must hold {question}")
        for position in ("before", "after"):
            if self.facts_position == position and "{facts}" not in self._whole(position):
                raise ValueError(
                    f'`facts_position` is "{position}", so `{position}` must hold {{facts}}'
                )
        if self.verdict and not self.after:
            raise ValueError("`verdict` begins the answer to `after`, which is empty")
        return self

    def _whole(self, position: Literal["before", "after"]) -> str:
        text: str = getattr(self, position)
        return text.replace("{dimensions}", "".join(item.meaning for item in self.dimensions))

    @property
    def reads_facts(self) -> bool:
        """Whether facts are shown at all."""
        return self.facts_position != "none"

    def readable(self, facts: Sequence[Facts]) -> tuple[Facts, ...]:
        """The facts that are shown: not empty, of a kind that the template has a heading for."""
        kinds = self.facts.kinds if self.reads_facts else frozenset()
        return tuple(
            item
            for item in facts
            if item.kind in kinds and any(text.strip() for text in item.texts)
        )

    def show(self, question: str, facts: Sequence[Facts]) -> "FilledTemplate":
        """Fill the slots for one prompt.

        Args:
            question: What was asked.
            facts: What is known, in the order in which it is to be shown.
        """
        stated = self.facts.write(facts)
        before = self._fill(
            self.before, stated if self.facts_position == "before" else "", question=question
        )
        after = self._fill(self.after, stated if self.facts_position == "after" else "")
        return FilledTemplate(before.strip(), after.strip())

    def _fill(self, text: str, stated: str, *, question: str = "") -> str:
        dimensions = "".join(
            _fill(
                self.dimension,
                {
                    "number": str(number),
                    "name": item.name,
                    "meaning": _fill(item.meaning, {"facts": stated}).strip(),
                },
            )
            for number, item in enumerate(self.dimensions, start=1)
        )
        return _fill(text, {"facts": stated, "dimensions": dimensions, "question": question})


class FilledTemplate(NamedTuple):
    """A template's texts for one prompt."""

    before: str
    """The user's turn, up to the response."""
    after: str
    """What is asked about the response."""


def _fill(text: str, values: dict[str, str]) -> str:
    """Fill slots in one go, so that a value that holds `{facts}` is left as it is."""
    return _SLOT.sub(lambda match: values.get(match[1], match[0]), text)


_QUALITIES = (
    {
        "name": "Truth to the image",
        "meaning": (
            "all that is said can be seen in the image; nothing is made up and nothing contradicts"
            " it. {facts}"
        ),
    },
    {"name": "Use", "meaning": "the user gets what was asked for, from what the image shows."},
    {"name": "Language", "meaning": "it reads well, repeats nothing and has no odd wording."},
    {"name": "Brevity", "meaning": "what is needed is said, and no more."},
)
_WORLD_FACTS = {
    "headings": dict.fromkeys(FACT_KINDS, "Facts: "),
    "fact": "{fact}",
    "separator": "; ",
    "end": ". ",
}

SHIPPED: dict[str, dict[str, Any]] = {
    "veridical": {
        "before": "{facts}{question}",
        "after": "How good is your answer to the question, by these standards?\n{dimensions}",
        "verdict": "My answer deserves",
        "dimensions": _QUALITIES,
    },
    "llava-rlhf": {
        "facts_position": "after",
        "before": "{facts}{question}",
        "after": (
            "Judge how good your last answer is. Go by these four standards:\n{dimensions}"
            "Take accuracy, use, language and brevity together."
        ),
        "verdict": "Measured so, my answer earns",
        "dimensions": _QUALITIES,
        "facts": {
            "headings": {"caption": "What people wrote about this image:"},
            "stand_in": {"rationale": "caption"},
        },
    },
    "world": {"before": "{facts}{question}", "after": "{facts}", "facts": _WORLD_FACTS},
    "world-quote": {
        "layout": "quote",
        "before": "{facts}{question} Description:",
        "after": "{facts}Does the description agree with the facts?",
        "facts": _WORLD_FACTS,
    },
}
"""What the shipped templates say. "llava-rlhf" has the structure of the published one (four
dimensions, facts in the first of them, after the response, the reward at the end of an opened
verdict) in words of its own; "world" and "world-quote" are in the small vocabulary of the embedded
world, as its base learned to read."""
