"""Object HalBench (RLHF-V, arXiv 2312.00849): objects in descriptions that are not there.

    response hallucination = responses with an object that is not there / responses with a COCO
    object
    mention hallucination  = objects that are not there / objects, each word once a response

Officially a language model (gpt-3.5-turbo-0613) lists the objects of a response, spaCy's
en_core_web_trf makes them singular, and RLHF-V's list of words says which are COCO's. Without the
judge it is CHAIR with that list.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from veridical.benchmarks.coco.captions import name_rows
from veridical.benchmarks.coco.extraction import (
    OFFICIAL_PROMPTS,
    Analyse,
    ExtractionTemplate,
    analysed_objects,
    checked_prompt,
    load_spacy,
)
from veridical.benchmarks.coco.readings import reader_of, reading_versions
from veridical.benchmarks.coco.reference import read_truth
from veridical.benchmarks.coco.totals import column, complement, metrics_of, object_measures
from veridical.benchmarks.judged import Cases, JudgedBenchmark
from veridical.benchmarks.object_halbench.card import CARD, IMAGES
from veridical.benchmarks.object_halbench.items import (
    SHORT,
    ObjectHalItem,
    read_item,
    read_response_rows,
    read_reviews,
    score_item,
)
from veridical.files import write_json_atomically
from veridical.judges.protocol import Case, Review
from veridical.judges.templates import read_prompt
from veridical.records import ItemScore, Metric
from veridical.scoring.measures import Measure
from veridical.scoring.protocol import BenchmarkPrompt, Files, Loaded
from veridical.scoring.rows import Faults, field, read_rows


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
                    {"question_id": one.id, "image_id": one.image, "question": text},
                )
            )
        faults.stop()
        return asked

    def cases(self, files: Files, *, template: Path | None = None) -> Cases:
        """One case per response of more than three words."""
        faults = Faults()
        cases = []
        read = read_response_rows(files, faults)
        for one in read.rows:
            answer = read.answer(one)
            question = field(one.row, ("question", "prompt"), str, faults, otherwise="")
            if len(answer.split()) > SHORT:
                cases.append(Case(one.id, {"question": question, "answer": answer}))
        faults.stop()
        prompt = read_prompt(template, own="object_halbench.txt", official=OFFICIAL_PROMPTS)
        return Cases(cases, ExtractionTemplate(checked_prompt(prompt)))

    def write_reviews(self, path: Path, cases: Sequence[Case], reviews: Sequence[Review]) -> Path:
        """Write rows of `id` and `extraction`, with a `problem` where there is none."""
        del cases
        rows = [
            {"id": one.id, "extraction": one.text, "problem": one.problem, "model": one.model}
            for one in reviews
        ]
        return write_json_atomically(path, rows)

    def read(self, files: Files, *, variant: str) -> Loaded[list[ObjectHalItem]]:
        """Read responses, what was extracted from them, and what is in their images."""
        faults = Faults()
        read = read_response_rows(files, faults)
        rows = read.rows
        reviews = read_reviews(files.reviews, faults)
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
            there = truth.get(one.image, frozenset())
            judged = variant not in self.without_judge
            answer = read.answer(one)
            items.append(read_item(one, answer, there, reviews, faults, judged=judged))
        faults.stop()
        if variant == "official":
            items = [self._with_objects(item) for item in items]
        judges = sorted({str(row.values.get("model", "")) for row in reviews.values()} - {""})
        counts = {"responses": len(rows), "reference": len(truth)}
        counts |= {"reviews": len(reviews)} if reviews else {}
        versions = {"judge": ", ".join(judges) or "not named"} if reviews else {}
        return Loaded(items, counts, (*faults.notes, *read.warnings), versions)

    def score_items(self, items: list[ObjectHalItem], *, variant: str) -> list[ItemScore]:
        """Find every response's objects and compare them with the truth."""
        return [score_item(item, variant=variant) for item in items]

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """Rates of responses and mentions, and their complements; unjudged ones are left out."""
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
        """Count as the official summary does: responses with an object, right and true kinds."""
        judged = [score for score in scores if score.values]
        return {
            **super().count(scores),
            "coco_sentences": sum(count > 0 for count in column(judged, "mentions")),
            "coco_words": int(sum(column(judged, "found"))),
            "gt_words": int(sum(column(judged, "truth"))),
            "mentions": int(sum(column(judged, "mentions"))),
            "hallucinated": int(sum(column(judged, "hallucinated"))),
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

    def _with_objects(self, item: ObjectHalItem) -> ObjectHalItem:
        """Make the judge's names singular as the official code does, where they are not yet."""
        if item.objects is not None or item.names is None:
            return item
        if not item.names:
            return item._replace(objects=())
        self._analyse = self._analyse or load_spacy()
        return item._replace(objects=analysed_objects(item.names, self._analyse))
