"""POPE (Li et al., arXiv 2305.10355): "Is there a … in the image?" of objects that are there and objects that are not.

Positive class: "yes". The official parser (RUCAIBox/POPE `evaluate.py`) takes the text before the first full stop,
drops commas, splits at blanks and says "no" where a word is exactly "No", "no" or "not"; all else is "yes".
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from veridical.evaluation.benchmarks.protocol import (
    Benchmark,
    Card,
    Files,
    InputSpec,
    KnownFault,
    Loaded,
    MetricSpec,
    ReferenceResult,
    Variant,
)
from veridical.evaluation.benchmarks.rows import Faults, Row, field, index_rows, read_rows
from veridical.evaluation.benchmarks.yes_no import yes_no_metrics
from veridical.evaluation.statistics import wilson
from veridical.records import ItemScore, Metric

Answer = Literal["yes", "no", "unknown"]
_WORD = re.compile(r"[a-z']+")


class PopeItem(NamedTuple):
    """One question with its answer."""

    id: str
    """Id of the question."""
    image: str
    """Image asked about; answers on one image are resampled together."""
    label: Literal["yes", "no"]
    """The truth."""
    answer: str
    """What the model said."""


def official_answer(text: str) -> Answer:
    """Read an answer as the official code does.

    >>> official_answer("NO"), official_answer("I am not sure"), official_answer("")
    ('yes', 'no', 'yes')
    """
    words = text.split(".", maxsplit=1)[0].replace(",", "").split(" ")
    return "no" if {"No", "no", "not"} & set(words) else "yes"


def strict_answer(text: str) -> Answer:
    """Read an answer that says one of yes and no, in any case and punctuation; all else is unknown.

    The first word decides where it is yes or no; otherwise the text must hold exactly one of the two.

    >>> strict_answer("NO!"), strict_answer("No, but yes"), strict_answer("I am not sure"), strict_answer("")
    ('no', 'no', 'unknown', 'unknown')
    """
    words = _WORD.findall(text.lower())
    if words and words[0] in ("yes", "no"):
        return "yes" if words[0] == "yes" else "no"
    said = {"yes", "no"} & set(words)
    if len(said) != 1:
        return "unknown"
    return "yes" if "yes" in said else "no"


class Pope(Benchmark[list[PopeItem]]):
    """POPE from answers and questions."""

    name = "pope"
    card = Card(
        title="POPE",
        paper="Li et al. 2023, arXiv 2305.10355; RUCAIBox/POPE",
        measures="Whether a model says yes or no rightly when asked for one object, on three choices of absent "
        "objects: "
        "random, popular, and adversarial (those that often stand beside the present ones).",
        leaves_out="Free descriptions: a model may answer every question rightly and still invent objects when it "
        "describes. Nothing but the presence of objects is asked. About 6 questions share an image.",
        data="Questions: https://github.com/RUCAIBox/POPE (MIT), folder output/coco; images: COCO val2014.",
        prompt='"Is there a snowboard in the image?"; LLaVA adds "Answer the question using a single word or phrase."',
        judge="",
        variants={
            "official": Variant("As RUCAIBox/POPE evaluate.py reads: what holds no no is a yes.", official=True),
            "strict": Variant("Answers that say neither yes nor no, or both, are unknown: wrong, and counted apart."),
        },
        inputs={
            "responses": InputSpec(
                "JSON lines of `question_id` (where there is one) and `answer` or `text`; matched by id where both "
                "sides have ids, by order otherwise"
            ),
            "questions": InputSpec("JSON lines of `question_id`, `image`, `text`, `label` (yes or no)"),
        },
        metrics={
            "accuracy": MetricSpec("Right answers / questions", "higher"),
            "precision": MetricSpec("Right yes / yes said", "higher"),
            "recall": MetricSpec("Right yes / questions whose truth is yes", "higher"),
            "f1": MetricSpec("Harmonic mean of precision and recall", "higher"),
            "yes_ratio": MetricSpec("Yes said / questions; about half of the truth is yes", "neither"),
            "unknown_ratio": MetricSpec("Answers that say neither yes nor no / questions (strict)", "lower"),
        },
        faults=(
            KnownFault('"not" is a no', '"I am not sure" counts as no', "strict: unknown"),
            KnownFault("Case and punctuation", '"NO", "No!" and "**No**" count as yes', "strict: no"),
            KnownFault(
                "Paired by order",
                "2,910 answers beside 3,000 questions are cut to 2,910 pairs, most of them wrong, without a word",
                "every variant here: ids where both sides have them; unequal lengths are an error",
            ),
            KnownFault("Division by zero", "A model that never says yes ends the script", "n = 0 is said instead"),
        ),
        references=(
            ReferenceResult("LLaVA-1.5-7B, random", {"accuracy": 0.8960, "f1": 0.8970}, "HA-DPO repository, README"),
            ReferenceResult("LLaVA-1.5-7B, adversarial", {"accuracy": 0.7976, "f1": 0.8175}, "HA-DPO, README"),
        ),
    )

    def read(self, files: Files, *, variant: str) -> Loaded[list[PopeItem]]:
        """Read answers and questions and match them."""
        del variant
        faults = Faults()
        answers = read_rows(files.path("responses"), faults)
        questions = read_rows(files.path("questions"), faults)
        by_id = all("question_id" in row.values for row in (*answers, *questions))
        pairs = _match_by_id(answers, questions, faults) if by_id else _match_by_order(answers, questions, faults)
        items = [_item(question, answer, faults) for question, answer in pairs]
        faults.stop()
        warnings = () if by_id else ("Answers and questions were matched by order: one of the files has no ids.",)
        return Loaded(items, {"responses": len(answers), "questions": len(questions)}, warnings)

    def score_items(self, items: list[PopeItem], *, variant: str) -> list[ItemScore]:
        """Read every answer and compare it with the truth."""
        return [_score(item, official_answer if variant == "official" else strict_answer) for item in items]

    def aggregate(self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0) -> dict[str, Metric]:
        """Rates of the two-way classification."""
        metrics = yes_no_metrics(scores, seed=seed)
        if variant == "strict":
            unknown = sum("predicted" not in score.values for score in scores)
            metrics["unknown_ratio"] = wilson(unknown, len(scores))
        return metrics

    def warnings(self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str) -> tuple[str, ...]:
        """Tell where the official parser made a yes of something else."""
        notes = []
        guessed = sum(score.status in ("empty", "unparsed") for score in scores)
        if variant == "official" and guessed:
            notes.append(f"{guessed} of {len(scores)} answers say neither yes nor no; the official parser guesses.")
        if scores and metrics["yes_ratio"].value in (0.0, 1.0):
            notes.append("The model gave one answer to every question: F1 says little here.")
        return tuple(notes)


def _match_by_id(answers: list[Row], questions: list[Row], faults: Faults) -> list[tuple[Row, Row]]:
    said = index_rows(answers, lambda row: str(row.values["question_id"]), faults)
    asked = index_rows(questions, lambda row: str(row.values["question_id"]), faults)
    for name, row in asked.items():
        if name not in said:
            faults.add(row, f"question {name} has no answer. Let the model answer it, or leave the question out.")
    for name, row in said.items():
        if name not in asked:
            faults.add(row, f"answer to question {name}, which is not asked. Give the questions it belongs to.")
    return [(row, said[name]) for name, row in asked.items() if name in said]


def _match_by_order(answers: list[Row], questions: list[Row], faults: Faults) -> list[tuple[Row, Row]]:
    if answers and questions and len(answers) != len(questions):
        faults.add_file(
            answers[0].file,
            f"{len(answers)} answers for {len(questions)} questions, and no ids to match them by. "
            "Give one answer a question, or `question_id` on both sides.",
        )
    return list(zip(questions, answers, strict=False))


def _item(question: Row, answer: Row, faults: Faults) -> PopeItem:
    label = field(question, "label", str, faults, otherwise="no").strip().lower()
    if label not in ("yes", "no"):
        faults.add(question, f"`label` must be yes or no, got {label[:60]!r}. Mend the row.")
    image = field(question, ("image", "image_source"), str, faults, otherwise="")
    text = field(answer, ("answer", "text", "response"), str, faults, otherwise="")
    name = str(question.values.get("question_id", question.line))
    return PopeItem(name, image, "yes" if label == "yes" else "no", text)


def _score(item: PopeItem, parse: Callable[[str], Answer]) -> ItemScore:
    parsed = parse(item.answer)
    clear = strict_answer(item.answer) != "unknown"
    values = {"label": float(item.label == "yes")}
    if parsed != "unknown":
        values["predicted"] = float(parsed == "yes")
    return ItemScore(
        id=item.id,
        cluster=item.image,
        status="scored" if clear else "unparsed" if item.answer.strip() else "empty",
        parsed=parsed,
        values=values,
    )
