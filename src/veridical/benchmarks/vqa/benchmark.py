"""VQA accuracy (Antol et al. 2015, arXiv 1505.00468; VQAv2: arXiv 1612.00837).

Ten people answered each question. An answer's accuracy is the mean over the ten ways to leave one
person out of min(matches among the others / 3, 1): 0, 0.3, 0.6, 0.9, 1 for 0, 1, 2, 3, 4 and more
matches of ten.
"""

from collections.abc import Sequence
from typing import NamedTuple

from veridical.benchmarks.vqa.card import CARD
from veridical.records import ItemScore, Metric
from veridical.scoring.answers import Answers, read_responses
from veridical.scoring.matching import Pair, match_answers
from veridical.scoring.measures import Measure, means, rates_by_group
from veridical.scoring.protocol import Benchmark, BenchmarkPrompt, Files, Loaded
from veridical.scoring.rows import Faults, Row, Values, field, id_text, read_rows, row_id
from veridical.scoring.vqa_text import normalise_answer

_BETWEEN = " | "


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
    people: tuple[Values, ...]
    """What people answered, as in the annotations."""
    answer: str
    """What the model answered."""


def official_accuracy(answer: str, people: Sequence[Values]) -> float:
    """Accuracy as the official code counts: texts are normalised only where people disagree.

    The one left out is found by comparing whole entries, so that entries without `answer_id` that
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


def normalised_accuracy(answer: str, people: Sequence[Values]) -> float:
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
    card = CARD

    def read(self, files: Files, *, variant: str) -> Loaded[list[VqaItem]]:
        """Read results and annotations and match them by id."""
        del variant
        faults = Faults()
        rows = read_responses(files, faults)
        truth = read_rows(files.path("reference"), faults)
        matched = match_answers(rows, truth, faults)
        counts = {"responses": len(rows), "reference": len(truth)}
        asked = {}
        if files.questions is not None:
            questions = read_rows(files.questions, faults)
            asked = {
                pair.id: str(pair.question.values.get("question", ""))
                for pair in match_answers(rows, questions, faults).pairs
            }
            counts["questions"] = len(questions)
        texts = [asked.get(pair.id, "") for pair in matched.pairs]
        answers = Answers([pair.answer for pair in matched.pairs], files, faults, questions=texts)
        items = [_item(pair, answers, faults) for pair in matched.pairs]
        faults.stop()
        return Loaded(items, counts, (*faults.notes, *matched.warnings))

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
            for row in read_rows(files.path("questions"), faults)
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


def _item(pair: Pair, answers: Answers, faults: Faults) -> VqaItem:
    return VqaItem(
        pair.id,
        id_text(pair.question.values.get("image_id")) or pair.id,
        field(pair.question, "question_type", str, faults, otherwise=""),
        field(pair.question, "answer_type", str, faults, otherwise=""),
        _people(pair.question, faults),
        answers.of(pair.answer),
    )


def _people(row: Row, faults: Faults) -> tuple[Values, ...]:
    entries = field(row, "answers", list, faults, otherwise=[{"answer": ""}])
    good = [
        entry
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("answer"), str)
    ]
    if not good or len(good) < len(entries):
        faults.add(
            row,
            "`answers` must be objects with a text `answer`, one per person, got others or none."
            " Fix it.",
        )
    return tuple(good) or ({"answer": ""},)
