"""Object HalBench's responses: their images, what was extracted, what is found in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from veridical.benchmarks.coco.captions import CaptionRow, has_image, name_rows
from veridical.benchmarks.coco.careful import careful_reader
from veridical.benchmarks.coco.extraction import parse_extraction
from veridical.benchmarks.coco.readings import reader_of
from veridical.benchmarks.coco.vocabulary import vocabulary
from veridical.records import ItemScore
from veridical.scoring.answers import Answers, read_responses
from veridical.scoring.matching import match_answers
from veridical.scoring.protocol import Files
from veridical.scoring.rows import Faults, Row, field, id_text, read_rows, shown

SHORT = 3
"""Answers of so few words have no objects, officially; no judge is asked."""


class ObjectHalItem(NamedTuple):
    """One response with what is in its image."""

    id: str
    """Id of the row; the image's where it has none."""
    image: str
    """Id of the image."""
    answer: str
    """What the model said."""
    truth: frozenset[str]
    """Kinds of object in the image."""
    objects: tuple[str, ...] | None
    """Objects that were extracted, singular, each once; None where there are none."""
    names: tuple[str, ...] | None
    """Names as the judge listed them; None where they are not known."""
    problem: str
    """Why there is neither; empty where the response has to be read by its words."""


class ResponseRows(NamedTuple):
    """Responses with their images."""

    rows: list[CaptionRow]
    """The rows."""
    answers: Answers
    """Finds the answer of each."""
    warnings: tuple[str, ...]
    """That they were matched to their questions by order, where they were."""

    def answer(self, one: CaptionRow) -> str:
        """What the model said, as the official code cleans it."""
        return self.answers.of(one.row).replace("Assistant:", "").strip()


def read_response_rows(files: Files, faults: Faults) -> ResponseRows:
    """Read responses; those without an image get that of their question."""
    rows = read_responses(files, faults)
    warnings: tuple[str, ...] = ()
    if files.questions is not None and not all(map(has_image, rows)):
        matched = match_answers(rows, read_rows(files.questions, faults), faults)
        rows = [_with_question(pair.answer, pair.question) for pair in matched.pairs]
        warnings = matched.warnings
    named = name_rows(rows, faults)
    return ResponseRows(named, Answers([one.row for one in named], files, faults), warnings)


def read_reviews(path: Path | None, faults: Faults) -> dict[str, Row]:
    """What a judge listed, by id of the response."""
    rows = [] if path is None else read_rows(path, faults)
    return {id_text(row.values.get("id")) or "": row for row in rows}


def _with_question(row: Row, asked: Row) -> Row:
    """A response with the image and the question that it answers."""
    known = {name: asked.values[name] for name in ("image_id", "question") if name in asked.values}
    return row._replace(values={**known, **row.values})


def read_item(
    one: CaptionRow,
    answer: str,
    truth: frozenset[str],
    reviews: Mapping[str, Row],
    faults: Faults,
    *,
    judged: bool,
) -> ObjectHalItem:
    """One response with what was extracted from it.

    Args:
        one: Its row.
        answer: What the model said.
        truth: Kinds of object in its image.
        reviews: What a judge listed, by id.
        faults: Where to note that nothing was extracted, or not as lists.
        judged: Whether the variant needs what a judge extracted.
    """
    item = ObjectHalItem(one.id, one.image, answer, truth, None, None, "")
    if not judged:
        return item
    review = reviews.get(one.id, one.row)
    for name in ("objs", "objects"):
        if name in one.row.values and review is one.row:
            return item._replace(objects=_texts(one.row, name, faults))
    if "extract_objs" in review.values:
        return item._replace(names=_texts(review, "extract_objs", faults))
    if "extraction" in review.values:
        if review.values["extraction"] is None:
            return item._replace(problem=str(review.values.get("problem") or "no judgement"))
        names = parse_extraction(field(review, "extraction", str, faults, otherwise="[]"))
        return item._replace(problem="unparsed") if names is None else item._replace(names=names)
    if len(answer.split()) > SHORT:
        faults.add(
            one.row,
            "no objects were extracted: `objs`, `extract_objs` and `extraction` are missing. Let a"
            " judge extract them (--judge-model), give them, or take --variant no-llm.",
        )
    return item._replace(names=())


def _texts(row: Row, name: str, faults: Faults) -> tuple[str, ...]:
    values = field(row, name, list, faults, otherwise=[])
    if not all(isinstance(value, str) for value in values):
        faults.add(row, f"`{name}` must be a list of texts, got {shown(values)}. Fix the row.")
        return ()
    return tuple(values)


def score_item(item: ObjectHalItem, *, variant: str) -> ItemScore:
    """Count a response's objects and those that are not there."""
    if item.problem:
        status = "unparsed" if item.problem == "unparsed" else "failed"
        return ItemScore(id=item.id, cluster=item.image, status=status, parsed=item.problem)
    words, kinds = _mentions(item, variant)
    absent = [word for word, kind in zip(words, kinds, strict=True) if kind not in item.truth]
    found = ", ".join(words)
    # The official code counts one word in an empty answer.
    length = len(item.answer.split()) if variant == "veridical" else len(item.answer.split(" "))
    return ItemScore(
        id=item.id,
        cluster=item.image,
        status="scored" if item.answer else "empty",
        parsed=f"{found} · not there: {', '.join(absent)}" if absent else found,
        values={
            "mentions": float(len(words)),
            "hallucinated": float(len(absent)),
            "found": float(len(item.truth & set(kinds))),
            "truth": float(len(item.truth)),
            "tokens": float(length),
        },
    )


def _mentions(item: ObjectHalItem, variant: str) -> tuple[list[str], list[str]]:
    """Words that stand for objects of COCO's, and their kinds."""
    if variant == "no-llm":
        read = reader_of("objhal")(item.answer)
        return read.words, read.objects
    if variant == "veridical":
        names = item.names if item.names is not None else item.objects or ()
        found = [mentions for name in names for mentions in [careful_reader()(f"an {name}")]]
        kinds = {
            word: kind for one in found for word, kind in zip(one.words, one.objects, strict=True)
        }
        return list(kinds), list(kinds.values())
    objects = vocabulary("rlhf_v").objects
    said = item.objects or ()
    words = [word for word in said if word in objects and not (word == "seat" and "toilet" in said)]
    return words, [objects[word] for word in words]
