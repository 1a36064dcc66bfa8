"""Object HalBench (RLHF-V, arXiv 2312.00849): objects in detailed descriptions of 300 COCO images that are not there.

    response hallucination = responses with an object that is not there / responses with a COCO
    object
    mention hallucination  = objects that are not there / objects, each word once a response

Officially a language model (gpt-3.5-turbo-0613) lists the objects of a response, spaCy's
en_core_web_trf makes them singular, and RLHF-V's list of words says which are COCO's. Without the
judge it is CHAIR with that list.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.benchmarks.coco.captions import CaptionRow, expand_rows, name_rows
from veridical.benchmarks.coco.careful import careful_reader
from veridical.benchmarks.coco.extraction import (
    OFFICIAL_PROMPTS,
    Analyse,
    ExtractionTemplate,
    analysed_objects,
    checked_prompt,
    load_spacy,
    parse_extraction,
)
from veridical.benchmarks.coco.readings import reader_of, reading_versions
from veridical.benchmarks.coco.reference import read_truth
from veridical.benchmarks.coco.totals import column, complement, metrics_of, object_measures
from veridical.benchmarks.coco.vocabulary import vocabulary
from veridical.benchmarks.judged import Cases, JudgedBenchmark
from veridical.benchmarks.object_halbench.card import CARD, IMAGES
from veridical.files import write_json_atomically
from veridical.judges.protocol import Case, Review
from veridical.judges.templates import read_prompt
from veridical.records import ItemScore, Metric
from veridical.scoring.matching import BY_ORDER
from veridical.scoring.measures import Measure
from veridical.scoring.protocol import BenchmarkPrompt, Files, Loaded
from veridical.scoring.rows import Faults, Row, field, read_rows

_SHORT = 3
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
    """Objects that were extracted, singular, each once; None where there are none to be had."""
    names: tuple[str, ...] | None
    """Names as the judge listed them; None where they are not known."""
    problem: str
    """Why there is neither; empty where the response has to be read by its words."""


class ObjectHalBench(JudgedBenchmark[list[ObjectHalItem]]):
    """Object HalBench from responses with extracted objects, or by their words."""

    name = "object-halbench"
    card = CARD
    without_judge = frozenset({"no-llm"})

    def __init__(
        self, options: Mapping[str, str] | None = None, *, analyse: Analyse | None = None
    ) -> None:
        """Make the benchmark.

        Args:
            options: It has none.
            analyse: What stands in for spaCy's en_core_web_trf; None: that model, where it is
                installed.
        """
        super().__init__(options)
        self._analyse = analyse

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """The 300 questions, from the official file."""
        faults = Faults()
        asked = []
        for one in name_rows(read_rows(files.path("questions"), faults), faults):
            text = field(one.row, ("question", "prompt"), str, faults, otherwise="")
            asked.append(
                BenchmarkPrompt(
                    one.id,
                    str(one.row.values.get("image_path", one.image)),
                    text,
                    _asked_row(one, text),
                )
            )
        faults.stop()
        return asked

    def cases(self, files: Files, *, template: Path | None = None) -> Cases:
        """One case a response of more than three words."""
        faults = Faults()
        cases = []
        for one in self._rows(files, faults).rows:
            answer = _answer(one.row, faults)
            question = field(one.row, ("question", "prompt"), str, faults, otherwise="")
            if len(answer.split()) > _SHORT:
                cases.append(Case(one.id, {"question": question, "answer": answer}))
        faults.stop()
        prompt = read_prompt(template, own="object_halbench.txt", official=OFFICIAL_PROMPTS)
        return Cases(cases, ExtractionTemplate(checked_prompt(prompt)))

    def write_reviews(self, path: Path, cases: Sequence[Case], reviews: Sequence[Review]) -> Path:
        """Write what the judge listed: rows of `id` and `extraction`, with a `problem` where there is none."""
        del cases
        rows = [
            {"id": one.id, "extraction": one.text, "problem": one.problem, "model": one.model}
            for one in reviews
        ]
        return write_json_atomically(path, rows)

    def read(self, files: Files, *, variant: str) -> Loaded[list[ObjectHalItem]]:
        """Read responses, what was extracted from them, and what is in their images."""
        faults = Faults()
        rows, warnings = self._rows(files, faults)
        reviews = _reviews(files.reviews, faults)
        known = len(faults.found)
        reader = reader_of("veridical" if variant == "veridical" else "objhal")
        truth = read_truth(files.path("reference"), (row.image for row in rows), reader, faults)
        readable = len(faults.found) == known
        items = []
        for one in rows:
            if readable and one.image not in truth:
                faults.add(
                    one.row,
                    f"image {one.image} is not in the reference. Give the reference of these"
                    " images.",
                )
            item = _item(
                one,
                truth.get(one.image, frozenset()),
                reviews,
                faults,
                judged=variant not in self.without_judge,
            )
            items.append(item)
        faults.stop()
        if variant == "official":
            items = [self._with_objects(item) for item in items]
        judges = sorted({str(row.values.get("model", "")) for row in reviews.values()} - {""})
        counts = {"responses": len(rows), "reference": len(truth)} | (
            {"reviews": len(reviews)} if reviews else {}
        )
        return Loaded(
            items, counts, warnings, {"judge": ", ".join(judges) or "not named"} if reviews else {}
        )

    def score_items(self, items: list[ObjectHalItem], *, variant: str) -> list[ItemScore]:
        """Find every response's objects and hold them against the truth."""
        return [_score(item, variant=variant) for item in items]

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """Rates of responses and mentions, and their complements; responses without a judgement are left out."""
        metrics = metrics_of(self.measures(scores, variant=variant), seed=seed)
        return {
            **metrics,
            "response_correct": complement(metrics["response_hallucination"]),
            "mention_correct": complement(metrics["mention_hallucination"]),
        }

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """All metrics as sums over responses."""
        del variant
        measures = object_measures([score for score in scores if score.values])
        return {
            "response_hallucination": measures["response_hallucination"],
            "mention_hallucination": measures["chair_i"],
            "object_recall": measures["recall"],
            "chair_s": measures["chair_s"],
            "length": measures["length"],
        }

    def count(self, scores: Sequence[ItemScore]) -> dict[str, int]:
        """Count as the official summary does: responses with a COCO object, right kinds, kinds that are there."""
        had = [score for score in scores if score.values]
        return {
            **super().count(scores),
            "coco_sentences": sum(count > 0 for count in column(had, "mentions")),
            "coco_words": int(sum(column(had, "found"))),
            "gt_words": int(sum(column(had, "truth"))),
            "mentions": int(sum(column(had, "mentions"))),
            "hallucinated": int(sum(column(had, "hallucinated"))),
        }

    def versions(self, *, variant: str) -> dict[str, str]:
        """The list of words, and what makes words singular."""
        return reading_versions("veridical" if variant == "veridical" else "objhal")

    def warnings(
        self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str
    ) -> tuple[str, ...]:
        """Say what is missing, and where the rates are of few responses."""
        del variant
        notes = []
        images = len({score.cluster for score in scores})
        if images != IMAGES:
            notes.append(
                f"Object HalBench has {IMAGES} images, these are {images}: compare with no"
                " published number."
            )
        lost = sum(not score.values for score in scores)
        if lost:
            notes.append(
                f"{lost} of {len(scores)} responses have no objects that could be read; they are"
                " left out."
            )
        naming = metrics["response_hallucination"].n
        if naming < 0.7 * len(scores):
            notes.append(
                f"Only {naming} of {len(scores)} responses name an object of COCO's, and the rate"
                " is of those alone: a model that says little is rated on its few daring answers."
                " Look at chair_s too."
            )
        return tuple(notes)

    def _rows(self, files: Files, faults: Faults) -> "_Rows":
        rows = expand_rows(files.path("responses"), faults)
        if files.questions is None or all("image_id" in row.values for row in rows):
            return _Rows(name_rows(rows, faults), ())
        questions = read_rows(files.questions, faults)
        if rows and questions and len(rows) != len(questions):
            faults.add_file(
                files.path("responses"),
                f"{len(rows)} responses for {len(questions)} questions, and no `image_id` to match"
                " them by. Give one response a question, or `image_id`.",
            )
        told = [_with_question(row, asked) for row, asked in zip(rows, questions, strict=False)]
        return _Rows(name_rows(told, faults), (BY_ORDER,))

    def _with_objects(self, item: ObjectHalItem) -> ObjectHalItem:
        """Make the judge's names singular as the official code does, where they are not yet."""
        if item.objects is not None or item.names is None:
            return item
        if not item.names:
            return item._replace(objects=())
        self._analyse = self._analyse or load_spacy()
        return item._replace(objects=analysed_objects(item.names, self._analyse))


class _Rows(NamedTuple):
    rows: list[CaptionRow]
    warnings: tuple[str, ...]


def _with_question(row: Row, asked: Row) -> Row:
    """A response with the image and the question that it answers."""
    known = {name: asked.values[name] for name in ("image_id", "question") if name in asked.values}
    return row._replace(values={**known, **row.values})


def _asked_row(one: CaptionRow, text: str) -> dict[str, object]:
    return {"question_id": one.id, "image_id": one.image, "question": text}


def _answer(row: Row, faults: Faults) -> str:
    text = field(row, ("text", "answer", "caption", "response"), str, faults, otherwise="")
    return text.replace("Assistant:", "").strip()


def _reviews(path: Path | None, faults: Faults) -> dict[str, Row]:
    return (
        {} if path is None else {str(row.values.get("id")): row for row in read_rows(path, faults)}
    )


def _item(
    one: CaptionRow,
    truth: frozenset[str],
    reviews: Mapping[str, Row],
    faults: Faults,
    *,
    judged: bool,
) -> ObjectHalItem:
    answer = _answer(one.row, faults)
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
    if len(answer.split()) > _SHORT:
        faults.add(
            one.row,
            "no objects were extracted: `objs`, `extract_objs` and `extraction` are missing. Let a"
            " judge extract them (--judge-model), give them, or take --variant no-llm.",
        )
    return item._replace(names=())


def _texts(row: Row, name: str, faults: Faults) -> tuple[str, ...]:
    values = field(row, name, list, faults, otherwise=[])
    if not all(isinstance(value, str) for value in values):
        faults.add(row, f"`{name}` must be a list of texts, got {str(values)[:60]}. Mend the row.")
        return ()
    return tuple(values)


def _score(item: ObjectHalItem, *, variant: str) -> ItemScore:
    if item.problem:
        status = "unparsed" if item.problem == "unparsed" else "failed"
        return ItemScore(id=item.id, cluster=item.image, status=status, parsed=item.problem)
    words, kinds = _mentions(item, variant)
    absent = [word for word, kind in zip(words, kinds, strict=True) if kind not in item.truth]
    told = ", ".join(words)
    # The official code counts one word in an empty answer.
    length = len(item.answer.split()) if variant == "veridical" else len(item.answer.split(" "))
    return ItemScore(
        id=item.id,
        cluster=item.image,
        status="scored" if item.answer else "empty",
        parsed=f"{told} · not there: {', '.join(absent)}" if absent else told,
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
