"""VQA accuracy (Antol et al. 2015, arXiv 1505.00468; VQAv2: Goyal et al. 2017, arXiv 1612.00837), official and fair.

Ten people answered each question. An answer's accuracy is the mean over the ten ways to leave one
person out of min(matches among the others / 3, 1): 0, 0.3, 0.6, 0.9, 1 for 0, 1, 2, 3, 4 and more
matches of ten.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from veridical.records import ItemScore, Metric
from veridical.scoring.matching import match_answers, row_id
from veridical.scoring.measures import Measure, means
from veridical.scoring.protocol import (
    Benchmark,
    BenchmarkPrompt,
    Card,
    Files,
    InputSpec,
    KnownFault,
    Loaded,
    MetricSpec,
    ReferenceResult,
    Variant,
)
from veridical.scoring.rates import rates_by_group
from veridical.scoring.rows import Faults, Row, field, read_document, read_rows
from veridical.scoring.vqa_text import normalise_answer

_BETWEEN = " | "
_ZOO = "test-dev, haotian-liu/LLaVA MODEL_ZOO.md"
_RLHF_V = "test-dev, RLHF-V Table 1"


class VqaItem(NamedTuple):
    """One question with people's answers and the model's."""

    id: str
    """Id of the question."""
    image: str
    """Image asked about."""
    question_type: str
    """How the question begins: "how many", "is there a" …"""
    answer_type: str
    """"yes/no", "number" or "other"."""
    people: tuple[Mapping[str, Any], ...]
    """What people answered, as in the annotations."""
    answer: str
    """What the model answered."""


def official_accuracy(answer: str, people: Sequence[Mapping[str, Any]]) -> float:
    """Accuracy as the official code counts: texts are normalised only where people disagree.

    The one left out is told by comparing whole entries, so that entries without `answer_id` that
    say the same are all left out together.

    >>> official_accuracy("Yes", [{"answer": "yes", "answer_id": number} for number in range(10)])
    0.0
    """
    said = _one_line(answer)
    texts = [_one_line(str(entry["answer"])) for entry in people]
    if len(set(texts)) > 1:
        said, texts = normalise_answer(said), [normalise_answer(text) for text in texts]
    entries = [{**entry, "answer": text} for entry, text in zip(people, texts, strict=True)]
    matching = [entry for entry in entries if entry["answer"] == said]
    shares = [
        min(1.0, len([other for other in matching if other != entry]) / 3) for entry in entries
    ]
    return sum(shares) / len(shares)


def normalised_accuracy(answer: str, people: Sequence[Mapping[str, Any]]) -> float:
    """Accuracy with both sides always normalised, and one person left out at a time.

    >>> normalised_accuracy("Yes", [{"answer": "yes"}] * 3 + [{"answer": "no"}] * 7)
    0.9
    """
    said = normalise_answer(_one_line(answer))
    matches = sum(normalise_answer(_one_line(str(entry["answer"]))) == said for entry in people)
    if not matches:
        return 0.0
    # With m matches, m people leave m - 1 of them to the others, and the rest leave m.
    thirds = matches * min(3, matches - 1) + (len(people) - matches) * min(3, matches)
    return thirds / (3 * len(people))


_ACCURACY = {"official": official_accuracy, "normalized": normalised_accuracy}


class Vqa(Benchmark[list[VqaItem]]):
    """VQA accuracy from results and annotations in the official format."""

    name = "vqa"
    card = Card(
        title="VQAv2",
        paper=(
            "Goyal et al. 2017, arXiv 1612.00837; accuracy: Antol et al. 2015, arXiv 1505.00468;"
            " GT-Vision-Lab/VQA"
        ),
        measures=(
            "Whether short answers agree with those of ten people. Alignment papers report it to"
            " show that a model did not get worse at what it could."
        ),
        leaves_out=(
            "Whole sentences: an answer counts only where it equals a person's, word for word. It"
            " says nothing of what a model invents when it describes. Annotations of test-dev are"
            " not public: only its server scores it."
        ),
        data=(
            "https://visualqa.org/download.html (annotations CC BY 4.0; images COCO). Use"
            " validation questions where you score yourself."
        ),
        prompt='The question; LLaVA adds "Answer the question using a single word or phrase."',
        judge="",
        variants={
            "official": Variant(
                "As GT-Vision-Lab/VQA vqaEval.py counts, faults included.", official=True
            ),
            "normalized": Variant(
                "Both sides always normalised, as LAVIS, mmf and lmms-eval do; one person left out"
                " by place."
            ),
        },
        inputs={
            "responses": InputSpec("JSON array, or JSON lines, of `question_id` and `answer`"),
            "reference": InputSpec(
                "The official annotations: `annotations` with `question_id`, `image_id`,"
                " `question_type`, `answer_type` and `answers` (each with `answer`, `answer_id`)"
            ),
            "questions": InputSpec(
                "The official questions, to check that nothing is left out, and to ask a model",
                required=False,
            ),
        },
        metrics={
            "accuracy": MetricSpec(
                "Mean over questions of agreement with people, in [0, 1]", "higher"
            ),
            "accuracy/*": MetricSpec(
                "The same over one answer type (yes/no, number, other) or question type", "higher"
            ),
        },
        faults=(
            KnownFault(
                "Normalised only where people disagree",
                'All ten said "yes" and the model "Yes": accuracy 0',
                "normalized: 1",
            ),
            KnownFault(
                "Equal entries left out together",
                "Annotations without `answer_id`: ten times the same right answer, accuracy 0",
                "normalized: one person is left out at a time",
            ),
            KnownFault(
                "A look-behind that never looks",
                'Full stops go unless a digit follows ("5." becomes "5"), whatever stands before;'
                " at most 32 go",
                "none: both variants keep it, since published numbers rest on it",
            ),
        ),
        references=(
            ReferenceResult("LLaVA-1.5-7B", {"accuracy": 0.785}, _ZOO),
            ReferenceResult("LLaVA-1.5-13B", {"accuracy": 0.800}, _ZOO),
            ReferenceResult("LLaVA-1.6-vicuna-7B", {"accuracy": 0.818}, _ZOO),
            ReferenceResult("LLaVA-1.6-vicuna-13B", {"accuracy": 0.828}, _ZOO),
            ReferenceResult("LLaVA-1.6-34B", {"accuracy": 0.837}, _ZOO),
            ReferenceResult("Qwen-VL-Chat", {"accuracy": 0.795}, _RLHF_V),
            ReferenceResult("RLHF-V", {"accuracy": 0.800}, _RLHF_V),
        ),
    )

    def read(self, files: Files, *, variant: str) -> Loaded[list[VqaItem]]:
        """Read results and annotations and match them by id."""
        del variant
        faults = Faults()
        answers = read_rows(files.path("responses"), faults)
        truth = _rows_under(files.path("reference"), "annotations", faults)
        matched = match_answers(answers, truth, faults)
        items = [
            VqaItem(
                pair.id,
                str(pair.question.values.get("image_id", pair.id)),
                field(pair.question, "question_type", str, faults, otherwise=""),
                field(pair.question, "answer_type", str, faults, otherwise=""),
                _people(pair.question, faults),
                field(pair.answer, ("answer", "text", "response"), str, faults, otherwise=""),
            )
            for pair in matched.pairs
        ]
        rows = {"responses": len(answers), "reference": len(truth)}
        if files.questions is not None:
            asked = _rows_under(files.questions, "questions", faults)
            match_answers(answers, asked, faults)
            rows["questions"] = len(asked)
        faults.stop()
        return Loaded(items, rows, matched.warnings)

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """The official questions; images by their id."""
        faults = Faults()
        asked = [
            BenchmarkPrompt(
                row_id(row, ("question_id",), faults) or "",
                str(row.values.get("image_id", "")),
                field(row, "question", str, faults, otherwise=""),
                {"question_id": row.values.get("question_id")},
            )
            for row in _rows_under(files.path("questions"), "questions", faults)
        ]
        faults.stop()
        return asked

    def score_items(self, items: list[VqaItem], *, variant: str) -> list[ItemScore]:
        """Compare every answer with people's."""
        return [
            ItemScore(
                id=item.id,
                cluster=item.image,
                group=f"{item.answer_type}{_BETWEEN}{item.question_type}",
                status="scored" if item.answer.strip() else "empty",
                parsed=(
                    _one_line(item.answer)
                    if variant == "official"
                    else normalise_answer(_one_line(item.answer))
                ),
                values={"accuracy": _ACCURACY[variant](item.answer, item.people)},
            )
            for item in items
        ]

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """Mean accuracy, over all questions and by answer type and question type."""
        del variant
        answer_types = {score.group.partition(_BETWEEN)[0] for score in scores}
        by_answer = [_grouped(score, score.group.partition(_BETWEEN)[0]) for score in scores]
        by_question = [_grouped(score, _question_type(score, answer_types)) for score in scores]
        metrics = rates_by_group(by_answer, "accuracy", value="accuracy", seed=seed)
        return metrics | rates_by_group(by_question, "accuracy", value="accuracy", seed=seed)

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """Mean accuracy over all questions."""
        del variant
        return {
            "accuracy": means(
                [score.values["accuracy"] for score in scores], [score.cluster for score in scores]
            )
        }


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _grouped(score: ItemScore, group: str) -> ItemScore:
    return score.model_copy(update={"group": group})


def _question_type(score: ItemScore, answer_types: set[str]) -> str:
    kind = score.group.partition(_BETWEEN)[2]
    return f"{kind} (question)" if kind in answer_types else kind


def _people(row: Row, faults: Faults) -> tuple[Mapping[str, Any], ...]:
    entries = field(row, "answers", list, faults, otherwise=[{"answer": ""}])
    good = [
        entry
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("answer"), str)
    ]
    if not good or len(good) < len(entries):
        faults.add(
            row,
            "`answers` must be objects with a text `answer`, one a person, got others or none."
            " Mend it.",
        )
    return tuple(good) or ({"answer": ""},)


def _rows_under(path: Path, key: str, faults: Faults) -> list[Row]:
    """Rows of the list under a key, as the official files have it; else of an array or of JSON lines."""
    whole = read_document(path, Faults())
    if not isinstance(whole, dict) or "question_id" in whole:
        return read_rows(path, faults)
    listed = whole.get(key)
    if not isinstance(listed, list):
        has = ", ".join(f"`{name}`" for name in list(whole)[:8])
        faults.add_file(
            path,
            f"`{key}` must be a list, got a file with {has or 'nothing'}. Give the official file.",
        )
        return []
    rows = []
    for number, value in enumerate(listed, start=1):
        if isinstance(value, dict):
            rows.append(Row(path, number, value))
        else:
            faults.add(
                Row(path, number, {}),
                f"each of `{key}` must be an object, got {str(value)[:60]!r}. Mend it.",
            )
    return rows
