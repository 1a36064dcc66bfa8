"""MMHal-Bench (Sun et al., arXiv 2309.14525): a judge rates 96 answers from 0 to 6.

How a rating is read stands in `ratings`. RLHF-V adds informativeness: (s − 3 for s ≥ 3, else s)/3,
in percent.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from veridical.benchmarks.judged import Cases, JudgedBenchmark
from veridical.benchmarks.mmhal.card import CARD, TYPES
from veridical.benchmarks.mmhal.ratings import (
    HALLUCINATES_BELOW,
    informativeness,
    official_rating,
    read_review,
    strict_rating,
)
from veridical.files import write_json_atomically
from veridical.judges.protocol import Case, Review
from veridical.judges.templates import slot_template
from veridical.progress import counted
from veridical.records import ItemScore, Metric
from veridical.scoring.answers import Answers, read_responses
from veridical.scoring.measures import Measure, means
from veridical.scoring.protocol import BenchmarkPrompt, Files, Loaded
from veridical.scoring.reading.own_runs import with_questions
from veridical.scoring.rows import Faults, Row, field, id_text, read_rows, read_values, shown
from veridical.statistics import mean_metric, wilson

ITEMS = 96
"""Items of MMHal-Bench; their order is fixed and gives their type."""
OFFICIAL_PROMPTS = {
    "2c73d8c50f1740d000fae62cfeed103c2f7a5bcfa904b27e6e09900e7ce600cc": "MMHal-Bench, eval_gpt4.py",
}
"""Hashes of the published judge prompt."""

_FIELDS = ("contents", "question", "reference", "response")
"""What the judge reads, in the order of the published prompt's places."""


class MMHalItem(NamedTuple):
    """One answer with its review."""

    id: str
    """The image's id where the responses are known, else the number of the item, from 0."""
    type: str
    """Question type."""
    review: str | None
    """What the judge said; None where the review failed."""
    problem: str
    """Why it failed."""
    answer: str | None
    """What was judged, where the responses are known."""


class MMHal(JudgedBenchmark[list[MMHalItem]]):
    """MMHal-Bench from reviews."""

    name = "mmhal"
    card = CARD
    answer_field = "model_answer"

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """The questions of the response template; images by the last part of their address."""
        faults = Faults()
        asked = []
        for name, row in _by_id(read_rows(files.path("questions"), faults)):
            image = row.values.get("image_src") or row.values.get("image_id")
            kept = {key: value for key, value in row.values.items() if key != "model_answer"}
            asked.append(
                BenchmarkPrompt(
                    name, str(image), field(row, "question", str, faults, otherwise=""), kept
                )
            )
        faults.stop()
        return asked

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """The means over items that both runs have a rating of."""
        del variant
        clusters = [score.cluster for score in scores]
        rated = [score.values.get("score") for score in scores]
        useful = [None if value is None else 100 * informativeness(value) / 3 for value in rated]
        wrong = [None if value is None else float(value < HALLUCINATES_BELOW) for value in rated]
        return {
            "score": means(rated, clusters, bounds=(0.0, 6.0)),
            "hallucination_rate": means(wrong, clusters),
            "informativeness": means(useful, clusters, bounds=(0.0, 100.0)),
        }

    def cases(self, files: Files, *, template: Path | None = None) -> Cases:
        """One case per response."""
        faults = Faults()
        rows = self._responses(files, faults)
        answers = Answers(rows, files, faults)
        cases = [Case(name, _fields(row, answers, faults)) for name, row in _by_id(rows)]
        faults.stop()
        asked = slot_template(template, own="mmhal.txt", official=OFFICIAL_PROMPTS, fields=_FIELDS)
        return Cases(cases, asked)

    def _responses(self, files: Files, faults: Faults) -> list[Row]:
        rows = read_responses(files, faults)
        return with_questions(rows, lambda: self.questions(files), files, faults)

    def write_reviews(self, path: Path, cases: Sequence[Case], reviews: Sequence[Review]) -> Path:
        """Write the official list of chat completions; a failed review has no choices."""
        del cases
        return write_json_atomically(path, [_completion(review) for review in reviews])

    def read(self, files: Files, *, variant: str) -> Loaded[list[MMHalItem]]:
        """Read reviews, and the responses that they are of where given."""
        del variant
        faults = Faults()
        reviews = read_values(files.path("reviews"), faults)
        rows = self._responses(files, faults) if files.responses is not None else None
        asked = _asked(rows, len(reviews), files, faults)
        items, judges = [], set()
        for (name, kind, answer), (number, value) in zip(asked, reviews, strict=False):
            read = read_review(value)
            if read.malformed:
                faults.add(
                    Row(files.path("reviews"), number, {}),
                    f"{read.problem}. Give the judge's answer as it came.",
                )
            if read.text is not None:
                judges.add(read.model)
            items.append(MMHalItem(name, kind, read.text, read.problem, answer))
        faults.stop()
        counts = {"reviews": len(reviews)} | ({} if rows is None else {"responses": len(rows)})
        named = ", ".join(sorted(judges - {""})) or "not named"
        notes = (*faults.notes, *_notes(items, judges - {""}))
        return Loaded(items, counts, notes, {"judge": named})

    def score_items(self, items: list[MMHalItem], *, variant: str) -> list[ItemScore]:
        """Read every review."""
        return [_score(item, official=variant == "official") for item in items]

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """Mean score, hallucination rate, informativeness, and the mean score of each type."""
        del variant, seed  # every item has its own image, so that the intervals are in closed form
        rated = [
            (score.group, score.values["score"]) for score in scores if "score" in score.values
        ]
        values = [value for _, value in rated]
        useful = [100 * informativeness(value) / 3 for value in values]
        types = dict.fromkeys((*TYPES, *(score.group for score in scores))) if scores else {}
        present = {score.group for score in scores}
        return {
            "score": mean_metric(values, bounds=(0.0, 6.0)),
            "hallucination_rate": wilson(
                sum(value < HALLUCINATES_BELOW for value in values), len(values)
            ),
            "informativeness": mean_metric(useful, bounds=(0.0, 100.0)),
            **{
                f"score/{kind}": mean_metric(
                    [value for group, value in rated if group == kind], bounds=(0.0, 6.0)
                )
                for kind in types
                if kind in present
            },
        }

    def warnings(
        self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str
    ) -> tuple[str, ...]:
        """Say which reviews the official parser misreads, in points, and what is missing."""
        notes = []
        failed = sum(score.status == "failed" for score in scores)
        if failed:
            notes.append(
                f"{failed} of {len(scores)} reviews failed; they have no score and are left out."
            )
        strict = [
            score.values["strict_score"] for score in scores if "strict_score" in score.values
        ]
        differ = sum(
            score.values.get("score") != score.values.get("strict_score") for score in scores
        )
        if variant == "official" and differ:
            other = (
                f"{sum(strict) / len(strict):.2f} over {len(strict)}"
                if strict
                else "no score at all"
            )
            notes.append(
                f"The official parser misreads {differ} of {len(scores)} reviews: score"
                f" {metrics['score'].value:.2f}; read strictly: {other}."
            )
        unread = sum(score.status == "unparsed" for score in scores)
        if variant == "strict" and unread:
            notes.append(
                f"{unread} of {len(scores)} reviews hold no clear rating; they are left out."
            )
        return tuple(notes)


def _score(item: MMHalItem, *, official: bool) -> ItemScore:
    shown = {"id": item.id, "cluster": item.id, "group": item.type}
    if item.review is None:
        return ItemScore(**shown, status="failed", parsed=item.problem)
    strict = strict_rating(item.review)
    rating = official_rating(item.review) if official else strict
    values = {} if strict is None else {"strict_score": float(strict)}
    if official or rating is not None:
        values["score"] = float(rating or 0)
    blank = item.answer is not None and not item.answer.strip()
    return ItemScore(
        **shown,
        status="unparsed" if rating is None else "empty" if blank else "scored",
        parsed="" if rating is None else str(rating),
        values=values,
    )


def _asked(
    rows: list[Row] | None, reviews: int, files: Files, faults: Faults
) -> list[tuple[str, str, str | None]]:
    """Id, type and answer of each item."""
    where = files.path("reviews")
    if rows is None:
        if reviews and reviews != ITEMS:
            faults.add_file(
                where,
                f"{counted(reviews, 'review')}, but MMHal-Bench has {ITEMS}, whose order"
                " gives their types."
                " Give --responses too for items of your own: their `question_type` counts then.",
            )
        return [(str(number), TYPES[number % len(TYPES)], None) for number in range(reviews)]
    if rows and reviews and len(rows) != reviews:
        faults.add_file(
            where,
            f"{counted(reviews, 'review')} of {counted(len(rows), 'response')}. Give one"
            " review per response, in order.",
        )
    answers = Answers(rows, files, faults)
    return [
        (name, field(row, "question_type", str, faults, otherwise=""), answers.of(row))
        for name, row in _by_id(rows)
    ]


def _by_id(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Rows with their ids, or with numbers from 0 where ids are missing or stand twice."""
    names = [id_text(row.values.get("id", row.values.get("image_id"))) or "" for row in rows]
    if "" in names or len(set(names)) != len(names):
        names = [str(number) for number in range(len(rows))]
    return list(zip(names, rows, strict=True))


def _fields(row: Row, answers: Answers, faults: Faults) -> dict[str, str]:
    contents = field(row, "image_content", list, faults, otherwise=[])
    if not all(isinstance(name, str) for name in contents):
        faults.add(
            row,
            f"`image_content` must be a list of texts, got {shown(contents)}. Fix the row.",
        )
        contents = []
    return {
        "contents": ", ".join(contents),
        "question": field(row, "question", str, faults, otherwise=""),
        "reference": field(row, "gt_answer", str, faults, otherwise=""),
        "response": answers.of(row),
    }


def _completion(review: Review) -> Mapping[str, Any]:
    if review.text is None:
        return {"choices": [], "error": {"message": review.problem}, "model": review.model}
    if review.completion is not None:
        return review.completion
    message = {"role": "assistant", "content": review.text}
    return {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "model": review.model,
    }


def _notes(items: Sequence[MMHalItem], judges: set[str]) -> tuple[str, ...]:
    notes = []
    if len(judges) > 1:
        notes.append(
            f"The reviews are of several judges ({', '.join(sorted(judges))}); their scores do not"
            " compare."
        )
    if len(items) != ITEMS:
        notes.append(
            f"{counted(len(items), 'item')}, MMHal-Bench has {ITEMS}: this is not a score"
            " of MMHal-Bench."
        )
    return tuple(notes)
