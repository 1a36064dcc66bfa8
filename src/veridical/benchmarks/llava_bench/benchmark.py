"""LLaVA-Bench: a judge grades a reference answer and the model's from 1 to 10.

relative = 100 · Σ model / Σ reference over the items of a category, and over all items together.
How grades are read stands in `grades`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.benchmarks.judged import Cases, JudgedBenchmark
from veridical.benchmarks.llava_bench.card import CARD
from veridical.benchmarks.llava_bench.cases import read_cases
from veridical.benchmarks.llava_bench.grades import (
    FAILED,
    Grades,
    official_grades,
    strict_grades,
)
from veridical.files import write_text_atomically
from veridical.judges.protocol import Case, Review
from veridical.records import ItemScore, Metric
from veridical.scoring.measures import Measure
from veridical.scoring.protocol import BenchmarkPrompt, Files, Loaded
from veridical.scoring.rows import Faults, Row, field, id_text, index_rows, read_rows, shown
from veridical.statistics import clustered_bootstrap

_LARGEST = 1e6
"""A grade above this is not one."""


class LlavaBenchItem(NamedTuple):
    """One review."""

    id: str
    """Id of the question."""
    image: str
    """Image asked about where the questions are given, else the question."""
    category: str
    """conv, detail, complex …; empty in old text-only reviews."""
    review: str | None
    """What the judge said; None where it is not in the file."""
    stored: Grades | None
    """The grades that the file carries, [-1, -1] where the official parser failed."""
    problem: str
    """Why there is no judgement, where there is none."""


class LlavaBench(JudgedBenchmark[list[LlavaBenchItem]]):
    """LLaVA-Bench (COCO and in-the-wild) from reviews."""

    name = "llava-bench"
    card = CARD
    answer_field = "text"

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """The questions as they stand in the file."""
        faults = Faults()
        asked = []
        for row in read_rows(files.path("questions"), faults):
            name = _name(row)
            image = field(row, "image", str, faults, otherwise="")
            text = field(row, "text", str, faults, otherwise="")
            asked.append(BenchmarkPrompt(name, image, text, {"question_id": name}))
        faults.stop()
        return asked

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """The model's mean and the ratio as sums over reviews; no ratio to a sum of 0."""
        del variant
        clusters = [score.cluster for score in scores]
        measures: dict[str, Measure] = {}
        for category in _by_category(scores):
            graded = [
                ("reference" in one.values) and category in (one.group, "all") for one in scores
            ]
            model, reference = (
                [
                    one.values[name] if there else 0.0
                    for one, there in zip(scores, graded, strict=True)
                ]
                for name in ("model", "reference")
            )
            if sum(reference) > 0:
                percent = [100 * value for value in model]
                measures[f"relative/{category}"] = Measure(
                    percent, reference, clusters, "ratio", None
                )
            counts = [float(there) for there in graded]
            measures[f"model/{category}"] = Measure(model, counts, clusters, "ratio", None)
        return measures

    def cases(self, files: Files, *, template: Path | None = None) -> Cases:
        """One case per question, reference answer first."""
        return read_cases(files, template)

    def write_reviews(self, path: Path, cases: Sequence[Case], reviews: Sequence[Review]) -> Path:
        """Write the official JSON lines; a line without grades where there was no judgement."""
        rows = [
            _review_row(*both, number)
            for number, both in enumerate(zip(cases, reviews, strict=True), start=1)
        ]
        return write_text_atomically(
            path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        )

    def read(self, files: Files, *, variant: str) -> Loaded[list[LlavaBenchItem]]:
        """Read reviews, and the questions' images where given."""
        del variant
        faults = Faults()
        rows = read_rows(files.path("reviews"), faults)
        images = _images(files.questions, faults) if files.questions is not None else None
        index_rows(rows, _name, faults)
        items = [_item(row, images, faults) for row in rows]
        faults.stop()
        had = [row.values for row in rows if "error" not in row.values]
        judges = sorted(
            {str(name) for row in had for key in ("model", "reviewer_id") if (name := row.get(key))}
        )
        notes = () if images is not None else (_NO_IMAGES,)
        counts = {"reviews": len(rows)} | ({} if images is None else {"questions": len(images)})
        judge = ", ".join(judges) or "not named"
        return Loaded(items, counts, (*faults.notes, *notes), {"judge": judge})

    def score_items(self, items: list[LlavaBenchItem], *, variant: str) -> list[ItemScore]:
        """Read both grades of every review."""
        return [_score(item, variant) for item in items]

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """Ratio of means by category and over all, and the two means."""
        metrics: dict[str, Metric] = {}
        for category, graded in _by_category(scores).items():
            reference = [score.values["reference"] for score in graded]
            model = [score.values["model"] for score in graded]
            clusters = [score.cluster for score in graded]
            bounds = (1.0, 10.0) if graded and variant == "strict" else None
            # Averaged failures can make the sum of the reference negative or 0, and the ratio
            # meaningless.
            sound = sum(reference) > 0
            ratio = clustered_bootstrap(
                [100 * value for value in model] if sound else [],
                clusters if sound else [],
                denominators=reference if sound else [],
                seed=seed,
            )
            metrics[f"relative/{category}"] = ratio.model_copy(
                update={"n": len(graded) if sound else 0}
            )
            for name, values in (("reference", reference), ("model", model)):
                mean = clustered_bootstrap(values, clusters, seed=seed, bounds=bounds)
                metrics[f"{name}/{category}"] = mean.model_copy(update={"n": len(graded)})
        return metrics

    def warnings(
        self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str
    ) -> tuple[str, ...]:
        """Say what failures do to the score, in points."""
        notes = []
        failed = sum(score.status == "failed" for score in scores)
        if failed:
            notes.append(
                f"{failed} of {len(scores)} reviews failed; they have no score and are left out."
            )
        unread = [score for score in scores if score.status == "unparsed"]
        if unread and variant == "llava":
            sound = [score for score in scores if score.status == "scored"]
            notes.append(
                f"{len(unread)} of {len(scores)} reviews could not be parsed and count as -1 for"
                f" both: relative/all {metrics['relative/all'].value:.1f}; without them"
                f" {_relative(sound):.1f}."
            )
        elif unread:
            notes.append(
                f"{len(unread)} of {len(scores)} reviews could not be parsed; they are left out."
            )
        return tuple(notes)


_NO_IMAGES = (
    "Questions on one image are not independent; give --questions so that intervals resample by"
    " image (they are too narrow otherwise)."
)


def _score(item: LlavaBenchItem, variant: str) -> ItemScore:
    about = {"id": item.id, "cluster": item.image, "group": item.category}
    if item.review is None and item.stored is None:
        return ItemScore(**about, status="failed", parsed=item.problem)
    grades: Grades | None
    if variant == "strict":
        stored = item.stored if item.stored != FAILED else None
        grades = strict_grades(item.review) if item.review is not None else stored
        parsed = grades is not None
    else:
        grades = item.stored if item.stored is not None else official_grades(item.review or "")
        parsed = grades.reference != -1
        grades = grades if parsed or variant == "llava" else None
    values = {} if grades is None else {"reference": grades.reference, "model": grades.model}
    read = "" if grades is None else f"{grades.reference:g} {grades.model:g}"
    status = "scored" if parsed else "unparsed"
    return ItemScore(**about, status=status, parsed=read, values=values)


def _by_category(scores: Sequence[ItemScore]) -> dict[str, list[ItemScore]]:
    graded = [score for score in scores if "reference" in score.values]
    names = dict.fromkeys(score.group for score in scores if score.group)
    return {name: [score for score in graded if score.group == name] for name in names} | {
        "all": graded
    }


def _relative(scores: Sequence[ItemScore]) -> float:
    reference = sum(score.values["reference"] for score in scores)
    return 100 * sum(score.values["model"] for score in scores) / reference if reference else 0.0


def _item(row: Row, images: Mapping[str, str] | None, faults: Faults) -> LlavaBenchItem:
    name = _name(row)
    if images is not None and name not in images:
        faults.add(
            row, f"question {name} is not among the questions. Give the questions that were judged."
        )
    text = _review(row, faults)
    if text is not None and not isinstance(text, str):
        faults.add(
            row,
            f"`content` must be text, got {shown(text)}. Fix the row.",
        )
        text = None
    stored = _stored(row, faults)
    if stored is None and text is None and "error" not in row.values:
        faults.add(
            row, "neither `content` nor `tuple` is there. Give the judge's words or its two grades."
        )
    category = field(row, "category", str, faults, otherwise="") if "category" in row.values else ""
    problem = str(row.values.get("error", ""))
    image = name if images is None else images.get(name, name)
    return LlavaBenchItem(name, image, category.removeprefix("llava_bench_"), text, stored, problem)


def _review(row: Row, faults: Faults) -> object:
    """What the judge said, under either name; a fault where both are there and differ."""
    found = {key: row.values[key] for key in ("content", "text") if row.values.get(key) is not None}
    if len(found) == 2 and found["content"] != found["text"]:
        faults.add(
            row,
            f"`content` and `text` differ: {shown(found['content'])} and"
            f" {shown(found['text'])}. Keep the judge's words.",
        )
    return next(iter(found.values()), None)


def _stored(row: Row, faults: Faults) -> Grades | None:
    value = next(
        (row.values[key] for key in ("tuple", "score") if row.values.get(key) is not None), None
    )
    if value is None:
        return None
    whole = isinstance(value, list) and len(value) == 2
    if not whole or not all(map(_is_grade, value)):
        faults.add(
            row,
            f"`tuple` must be two numbers, got {shown(value)}. Fix the row.",
        )
        return None
    return Grades(float(value[0]), float(value[1]))


def _is_grade(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _LARGEST


def _name(row: Row) -> str:
    return id_text(row.values.get("question_id")) or str(row.line)


def _images(path: Path, faults: Faults) -> dict[str, str]:
    rows = read_rows(path, faults)
    return {_name(row): field(row, "image", str, faults, otherwise="") for row in rows}


def _review_row(case: Case, review: Review, number: int) -> dict[str, object]:
    row: dict[str, object] = {
        "id": number,
        "question_id": case.id,
        "category": case.fields["category"],
    }
    if review.text is None:
        return row | {"content": None, "error": review.problem, "model": review.model}
    return row | {
        "content": review.text,
        "tuple": list(official_grades(review.text)),
        "model": review.model,
    }
