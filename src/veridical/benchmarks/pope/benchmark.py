"""POPE (Li et al., arXiv 2305.10355): "Is there a … in the image?" of present and absent objects.

Positive class: "yes". How splits are matched stands in `questions`. The official parser
(RUCAIBox/POPE `evaluate.py`) takes the text before the first full stop, drops commas, splits at
blanks and says "no" where a word is "No", "no" or "not"; all else is "yes".
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from veridical.benchmarks.pope.card import CARD
from veridical.benchmarks.pope.questions import match_splits, read_splits
from veridical.records import ItemScore, Metric
from veridical.scoring.answers import Answers, read_responses
from veridical.scoring.matching import Pair
from veridical.scoring.measures import Measure, rate_metric
from veridical.scoring.protocol import Benchmark, BenchmarkPrompt, Files, Loaded
from veridical.scoring.rows import Faults, Row, field, id_text, read_rows
from veridical.scoring.vqa_text import strip_punctuation
from veridical.scoring.yes_no import Answer, strict_answer, yes_no_measures, yes_no_metrics


def official_answer(text: str) -> Answer:
    """Read an answer as the official code does.

    >>> official_answer("NO"), official_answer("I am not sure"), official_answer("")
    ('yes', 'no', 'yes')
    """
    words = text.split(".", maxsplit=1)[0].replace(",", "").split(" ")
    return "no" if {"No", "no", "not"} & set(words) else "yes"


def vlmevalkit_answer(text: str) -> Answer:
    """Read an answer as VLMEvalKit does: one of yes and no after VQA's rules; else unknown.

    >>> vlmevalkit_answer("NO!"), vlmevalkit_answer("**No**"), vlmevalkit_answer("Yes. No cat")
    ('no', 'unknown', 'unknown')
    """
    said = {"yes", "no"} & set(strip_punctuation(text.lower()).split())
    if len(said) != 1:
        return "unknown"
    return "yes" if "yes" in said else "no"


def lmms_answer(text: str) -> Answer:
    """Read an answer as lmms-eval does: nothing but yes or no, not even a full stop.

    >>> lmms_answer(" NO"), lmms_answer("No.")
    ('no', 'unknown')
    """
    said = text.lower().strip()
    return "yes" if said == "yes" else "no" if said == "no" else "unknown"


PARSERS: dict[str, Callable[[str], Answer]] = {
    "official": official_answer,
    "strict": strict_answer,
    "vlmevalkit": vlmevalkit_answer,
    "lmms-eval": lmms_answer,
}
"""How each variant reads an answer."""


class PopeItem(NamedTuple):
    """One question with its answer."""

    id: str
    """Id of the question, after the split's name where there are several."""
    split: str
    """Its split; empty where there is one."""
    image: str
    """Image asked about; answers on one image are resampled together."""
    label: Literal["yes", "no"]
    """The truth."""
    answer: str
    """What the model said."""


class Pope(Benchmark[list[PopeItem]]):
    """POPE from answers and questions."""

    name = "pope"
    card = CARD

    def read(self, files: Files, *, variant: str) -> Loaded[list[PopeItem]]:
        """Read answers and questions and match them, split by split."""
        del variant
        faults = Faults()
        rows = read_responses(files, faults)
        matched = match_splits(rows, read_splits(files.path("questions"), faults), faults)
        pairs = [pair for _, pair in matched.pairs]
        texts = [_question(pair.question) for pair in pairs]
        answers = Answers([pair.answer for pair in pairs], files, faults, questions=texts)
        items = [_item(pair, split, answers, faults) for split, pair in matched.pairs]
        faults.stop()
        counts = {"responses": len(rows), "questions": matched.questions}
        return Loaded(items, counts, (*faults.notes, *matched.warnings))

    def score_items(self, items: list[PopeItem], *, variant: str) -> list[ItemScore]:
        """Read every answer and compare it with the truth."""
        return [_score(item, variant=variant) for item in items]

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """Rates of the two-way classification, over all questions and by split."""
        metrics = _rates(scores, variant=variant, seed=seed)
        for name, part in _by_split(scores).items():
            rates = _rates(part, variant=variant, seed=seed)
            metrics |= {f"{metric}/{name}": value for metric, value in rates.items()}
        return metrics

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """The questions as they stand in the file."""
        faults = Faults()
        rows = read_rows(files.path("questions"), faults)
        asked = [
            BenchmarkPrompt(
                id_text(row.values.get("question_id")) or str(row.line),
                field(row, ("image", "image_source"), str, faults, otherwise=""),
                field(row, "text", str, faults, otherwise=""),
                {"question_id": row.values["question_id"]} if "question_id" in row.values else {},
            )
            for row in rows
        ]
        faults.stop()
        return asked

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """The rates as sums over questions, except lmms-eval's, which leaves answers out."""
        if variant == "lmms-eval":
            return {}
        parts = _by_split(scores)
        measures = yes_no_measures(scores)
        for name, part in parts.items():
            measures |= yes_no_measures(part, suffix=f"/{name}")
        return measures

    def warnings(
        self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str
    ) -> tuple[str, ...]:
        """Say where the official parser made a yes of something else."""
        notes = []
        guessed = sum(score.status in ("empty", "unparsed") for score in scores)
        if variant == "official" and guessed:
            notes.append(
                f"{guessed} of {len(scores)} answers say neither yes nor no; the official parser"
                " guesses."
            )
        if scores and metrics["yes_ratio"].value in (0.0, 1.0):
            notes.append("The model gave one answer to every question: F1 says little here.")
        splits = _by_split(scores)
        if splits:
            notes.append(
                f"{len(splits)} splits: published numbers are those of one split"
                f" ({', '.join(splits)}); the rates without a name pool all questions."
            )
        return tuple(notes)


def _rates(scores: Sequence[ItemScore], *, variant: str, seed: int) -> dict[str, Metric]:
    metrics = yes_no_metrics(scores, seed=seed)
    clusters = [score.cluster for score in scores]
    if variant == "lmms-eval":
        read = [score for score in scores if "predicted" in score.values]
        truth = rate_metric([score.values["label"] for score in scores], clusters, seed=seed)
        accuracy = {"accuracy": metrics["accuracy"], "yes_ratio": truth}
        metrics = yes_no_metrics(read, seed=seed) | accuracy
    if variant != "official":
        unknown = ["predicted" not in score.values for score in scores]
        metrics["unknown_ratio"] = rate_metric(unknown, clusters, seed=seed)
    return metrics


def _by_split(scores: Sequence[ItemScore]) -> dict[str, list[ItemScore]]:
    parts: dict[str, list[ItemScore]] = {}
    for score in scores:
        if score.group:
            parts.setdefault(score.group, []).append(score)
    return parts


def _question(row: Row) -> str:
    return next((str(row.values[name]) for name in ("text", "question") if name in row.values), "")


def _item(pair: Pair, split: str, answers: Answers, faults: Faults) -> PopeItem:
    row = pair.question
    # VLMEvalKit and lmms-eval call the truth `answer`; in a file of questions nothing else is.
    label = field(
        row, "label" if "label" in row.values else _truth(row), str, faults, otherwise="no"
    )
    truth = label.strip().lower()
    if truth not in ("yes", "no"):
        faults.add(row, f"`label` must be yes or no, got {label[:60]!r}. Fix the row.")
    names = ("image", "image_source") if "image_path" not in row.values else "image_path"
    image = field(row, names, str, faults, otherwise="")
    return PopeItem(
        pair.id, split, image, "yes" if truth == "yes" else "no", answers.of(pair.answer)
    )


def _truth(row: Row) -> str:
    return "answer" if "answer" in row.values and "question" in row.values else "label"


def _score(item: PopeItem, *, variant: str) -> ItemScore:
    parsed = PARSERS[variant](item.answer)
    # The official parser makes a yes of all that it cannot read; the strict parser
    # shows where it guessed.
    clear = (strict_answer(item.answer) if variant == "official" else parsed) != "unknown"
    values = {"label": float(item.label == "yes")}
    if parsed != "unknown":
        values["predicted"] = float(parsed == "yes")
    return ItemScore(
        id=item.id,
        cluster=item.image,
        group=item.split,
        status="scored" if clear else "unparsed" if item.answer.strip() else "empty",
        parsed=parsed,
        values=values,
    )
