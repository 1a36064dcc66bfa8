"""Training examples as conversations, and their batches with labels of wrong words.

An example is a list of turns; only answers are learned. Words of a description that disagree with
the facts next to it carry dense labels for auxiliary heads (yes/no verdicts alone never taught
reading).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from veridical.world.base import IMAGE_TOKENS
from veridical.world.claims import Span
from veridical.world.inventory import COLOURS, NUMBER_WORDS, PLACES
from veridical.world.judge import FaultKind
from veridical.world.reading import ReadingItem
from veridical.world.scenes import Scene
from veridical.world.tokenizer import END_TOKEN, IMAGE_TOKEN

LABELLED_KINDS: tuple[FaultKind, ...] = ("object", "number", "colour", "place")

WordLabel = tuple[int, FaultKind, bool]
"""Code point in the first prompt · kind · whether the description is wrong there."""

Attribute = Literal["number", "colour", "place"]
ATTRIBUTE_VALUES: dict[Attribute, tuple[str | int, ...]] = {
    "number": tuple(NUMBER_WORDS),
    "colour": COLOURS,
    "place": PLACES,
}
"""What facts can say of a noun, for each attribute."""
_ATTRIBUTES = tuple(ATTRIBUTE_VALUES)

FactLabel = tuple[int, Attribute, str | int]
"""Code point in the first prompt · attribute · what the facts say of the noun there."""


class Example(NamedTuple):
    """One conversation."""

    turns: tuple[tuple[str, str], ...]
    """Prompts and answers."""
    scene: Scene | None = None
    """The scene whose image is shown in the first turn, or None for text alone."""
    labels: tuple[WordLabel, ...] = ()
    """Dense labels on words of the first prompt."""
    looked_up: tuple[FactLabel, ...] = ()
    """What the facts say of the nouns of the first prompt's description."""
    learned: tuple[Span, ...] = ()
    """Parts of the first prompt (code points) that are learned as if they were answers."""


class ExampleBatch(NamedTuple):
    """Padded conversations: B examples, T tokens."""

    input_ids: Tensor
    """(B T), padded on the right."""
    answer_mask: Tensor
    """(B T) True on the tokens of answers, end token included."""
    fault_labels: Tensor
    """(B T 4) 1 where the description is wrong in that kind, 0 where it is right, -100 where
    nothing is asked."""
    fact_labels: Tensor
    """(B T 3) index of what the facts say of the noun (`ATTRIBUTE_VALUES`), -100 where nothing is
    asked."""
    scenes: tuple[Scene | None, ...]
    """The scenes shown."""


def fault_word_labels(item: ReadingItem, *, mirrored: bool = False) -> tuple[WordLabel, ...]:
    """Dense labels of an agreement question.

    Each kind is asked where it can first be known to a causal model: at the noun (object, number,
    colour), at the later one of noun and place word (place); and all four again at the full stop.
    What an absent object's number or colour would be is not asked.

    Args:
        item: The question.
        mirrored: The facts stand in the description's order, so that a number or colour can be
            known to be wrong at its own word, before the noun: ask there too.
    """
    wrong = {(id(fault.claim), fault.kind) for fault in item.verdict.faults}
    labels: list[WordLabel] = []
    for claim in item.verdict.claims.groups:
        noun_at = claim.noun_span[1] - 1
        place_at = max(noun_at, claim.place.span[1] - 1) if claim.place else noun_at
        stop_at = claim.sentence[1] - 1
        absent = (id(claim), "object") in wrong
        for kind, first_at in (
            ("object", noun_at),
            ("number", noun_at),
            ("colour", noun_at),
            ("place", place_at),
        ):
            if kind != "object" and absent:
                continue
            is_wrong = (id(claim), kind) in wrong
            labels += [(item.description_start + at, kind, is_wrong) for at in (first_at, stop_at)]  # type: ignore[misc]
        if mirrored and not absent:
            for kind, word in (("number", claim.number), ("colour", claim.colour)):
                if word is not None:
                    is_wrong = (id(claim), kind) in wrong
                    labels.append((item.description_start + word.span[1] - 1, kind, is_wrong))  # type: ignore[arg-type]
    return tuple(labels)


def fact_word_labels(item: ReadingItem) -> tuple[FactLabel, ...]:
    """What the facts say of each noun of the description, asked at noun and full stop.

    "Is this wrong?" is one bit and no hint where to look; "what do the facts say of it?" teaches to
    look a noun up.
    """
    labels: list[FactLabel] = []
    for claim in item.verdict.claims.groups:
        group = item.scene.group_of(claim.noun)
        if group is not None:
            for at in (claim.noun_span[1] - 1, claim.sentence[1] - 1):
                labels += [
                    (item.description_start + at, attribute, getattr(group, attribute))
                    for attribute in ATTRIBUTE_VALUES
                ]
    return tuple(labels)


def agreeing_parts(item: ReadingItem) -> tuple[Span, ...]:
    """The description without its wrong words, in code points of the prompt.

    Predicting them makes the model look up the facts, and a word that differs from what it looked
    up is a wrong word.
    """
    start, parts = item.description_start, []
    at = 0
    for fault in item.verdict.faults:
        parts.append((start + at, start + fault.span[0]))
        at = fault.span[1]
    return (*parts, (start + at, start + len(item.description)))


def collate_by_length(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerFast, *, parts: int = 4
) -> list[ExampleBatch]:
    """Split examples by length and collate each part: half the padding, the same loss."""
    ordered = sorted(
        examples,
        key=lambda example: sum(len(prompt) + len(answer) for prompt, answer in example.turns),
    )
    size = -(-len(ordered) // parts)
    return [
        collate(ordered[start : start + size], tokenizer) for start in range(0, len(ordered), size)
    ]


def collate(examples: Sequence[Example], tokenizer: PreTrainedTokenizerFast) -> ExampleBatch:
    """Tokenise and pad examples."""
    texts: list[str] = []
    for example in examples:
        for number, (prompt, answer) in enumerate(example.turns):
            image = (
                f"{IMAGE_TOKEN * IMAGE_TOKENS}\n"
                if number == 0 and example.scene is not None
                else ""
            )
            texts += [f"USER: {image}{prompt} ASSISTANT:", f" {answer}{END_TOKEN}"]
    encodings = iter(tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False))
    rows: list[tuple[list[int], list[bool]]] = []
    fault_marks: list[_Mark] = []
    fact_marks: list[_Mark] = []
    for row, example in enumerate(examples):
        ids: list[int] = []
        answered: list[bool] = []
        for number in range(len(example.turns)):
            asked, reply = next(encodings), next(encodings)
            learned = [False] * len(asked.ids)
            if number == 0:
                shift = len("USER: ") + (
                    len(IMAGE_TOKEN) * IMAGE_TOKENS + 1 if example.scene is not None else 0
                )
                for at, kind, is_wrong in example.labels:
                    mark = _Mark(
                        row,
                        asked.char_to_token(shift + at),
                        LABELLED_KINDS.index(kind),
                        int(is_wrong),
                    )
                    fault_marks.append(mark)
                for at, attribute, value in example.looked_up:
                    known = ATTRIBUTE_VALUES[attribute].index(value)
                    mark = _Mark(
                        row, asked.char_to_token(shift + at), _ATTRIBUTES.index(attribute), known
                    )
                    fact_marks.append(mark)
                for token, (start, end) in enumerate(asked.offsets):
                    learned[token] = any(
                        a <= start - shift and end - shift <= b for a, b in example.learned
                    )
            ids += [*asked.ids, *reply.ids]
            answered += [*learned, *[True] * len(reply.ids)]
        rows.append((ids, answered))
    longest = max(len(ids) for ids, _ in rows)
    input_ids = torch.full((len(rows), longest), int(tokenizer.pad_token_id))
    answer_mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for row, (ids, answered) in enumerate(rows):
        input_ids[row, : len(ids)] = torch.tensor(ids)
        answer_mask[row, : len(ids)] = torch.tensor(answered)
    shape = (len(rows), longest)
    return ExampleBatch(
        input_ids,
        answer_mask,
        _marked(fault_marks, (*shape, len(LABELLED_KINDS))),
        _marked(fact_marks, (*shape, len(_ATTRIBUTES))),
        tuple(example.scene for example in examples),
    )


class _Mark(NamedTuple):
    row: int
    token: int | None
    """None where the character belongs to no token."""
    kind: int
    value: int


def _marked(marks: Sequence[_Mark], shape: tuple[int, int, int]) -> Tensor:
    labels = torch.full(shape, -100)
    for row, token, kind, value in marks:
        if token is not None:
            labels[row, token, kind] = value
    return labels
