"""AMBER's items, scored one by one: nouns of descriptions, and answers to questions."""

from typing import Literal, NamedTuple

from veridical.benchmarks.amber.files import GENERATIVE, AmberItem
from veridical.benchmarks.amber.words import Lexicon, Similarity, judge_nouns
from veridical.records import ItemScore
from veridical.scoring.yes_no import strict_answer


class AmberItems(NamedTuple):
    """What was read."""

    items: list[AmberItem]
    """Responses of the task, in the order of the annotations."""
    lexicon: Lexicon
    """What AMBER knows of words."""
    similarity: Similarity
    """How alike two words are."""


def score_description(
    item: AmberItem, items: AmberItems, *, threshold: float, official: bool
) -> ItemScore:
    """Compare a description's nouns with the truth.

    Args:
        item: The description.
        items: What AMBER knows of words, and how they are compared.
        threshold: Words are the same from this similarity on.
        official: Whether a true word that stands twice counts twice.
    """
    truth = (
        item.truth if official else tuple(dict.fromkeys(item.truth))
    )  # a word that stands twice is met once
    judged = judge_nouns(
        item.nouns,
        truth,
        item.traps,
        items.lexicon,
        similarity=items.similarity,
        threshold=threshold,
    )
    return ItemScore(
        id=str(item.id),
        cluster=item.image,
        group=GENERATIVE,
        status="scored" if item.response.strip() else "empty",
        parsed=", ".join(judged.hallucinated),
        values={
            "mentions": judged.mentions,
            "hallucinated": len(judged.hallucinated),
            "covered": judged.covered,
            "truth": judged.truth,
            "imagined": judged.imagined,
            "traps": judged.traps,
        },
    )


def score_answer(item: AmberItem, *, official: bool) -> ItemScore:
    """Compare an answer with the true one; officially only an exact Yes or No is read."""
    clear = strict_answer(item.response)
    exactly = {"Yes": "yes", "No": "no"}.get(item.response)
    read = (exactly or "unknown") if official else clear
    values = {"label": float(item.label == "yes")}
    if read != "unknown":
        values["predicted"] = float(read == "yes")
    status: Literal["scored", "empty", "unparsed"] = "scored" if read != "unknown" else "unparsed"
    return ItemScore(
        id=str(item.id),
        cluster=item.image,
        group=item.dimension,
        status=status if item.response.strip() else "empty",
        parsed=read,
        values=values,
    )
