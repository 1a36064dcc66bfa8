"""MME (Fu et al., arXiv 2306.13394): two yes/no questions on each picture, in fourteen tasks.

Each picture has one question whose answer is yes and one whose answer is no, so that a model that
always says yes gets half of the answers right and no picture. A task's score is the mean over its
pictures of 0, 50 or 200 points, for none, one or both answers right.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from veridical.benchmarks.mme.card import CARD, GROUPS, TASKS
from veridical.encodings import decode_text
from veridical.records import ItemScore, Metric
from veridical.scoring.answers import Answers, read_responses
from veridical.scoring.measures import Measure, means, rate_metric
from veridical.scoring.protocol import Benchmark, BenchmarkPrompt, Files, Loaded
from veridical.scoring.reading.own_runs import with_questions
from veridical.scoring.reading.packed import read_plain_bytes
from veridical.scoring.rows import Faults, Row, field, read_rows, row_id
from veridical.scoring.yes_no import Answer, strict_answer
from veridical.statistics import mean_metric

_POINTS = {0: 0.0, 1: 50.0, 2: 200.0}
"""Points of a picture by its right answers: 100 · (right / 2 + whether both are)."""
_BEST = 200.0


class MmeItem(NamedTuple):
    """One question with its answer."""

    task: str
    """One of `TASKS`."""
    image: str
    """Its picture, unique in the task; two questions have it."""
    label: Literal["yes", "no"]
    """The truth."""
    answer: str
    """What the model said."""


def official_answer(text: str) -> Answer:
    """Read an answer as the official code does, from its first four letters.

    >>> official_answer("NO."), official_answer("Not sure"), official_answer("The answer is yes")
    ('no', 'no', 'unknown')
    """
    start = text.lower()[:4]
    return "yes" if "yes" in start else "no" if "no" in start else "unknown"


class Mme(Benchmark[list[MmeItem]]):
    """MME from the official folder of answers, or from rows."""

    name = "mme"
    card = CARD

    def read(self, files: Files, *, variant: str) -> Loaded[list[MmeItem]]:
        """Read the answers with their truth; each picture must have two."""
        del variant
        faults = Faults()
        path = files.path("responses")
        truth = None if files.questions is None else _truth(files.questions, faults)
        if path.is_dir():
            rows = [row for task in TASKS for row in _official_rows(path, task, faults)]
            if not rows and not faults.found:
                faults.add_file(path, f"no file of a task in it, such as {TASKS[0]}.txt. Add them.")
        else:
            rows = read_responses(files, faults)
            rows = with_questions(rows, lambda: self.questions(files), files, faults)
        answers = Answers(rows, files, faults)
        items = [_item(row, answers, truth, faults) for row in rows]
        if not faults.found:
            _check_pairs(rows, items, faults)
        faults.stop()
        counts = {"responses": len(rows), **({} if truth is None else {"questions": len(truth)})}
        return Loaded(items, counts, tuple(faults.notes))

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """Both questions of each picture; the picture is `image`, or lies at TASK/IMAGE."""
        faults = Faults()
        asked = []
        for number, row in enumerate(read_rows(files.path("questions"), faults)):
            name = row_id(row, ("question_id",), faults) or ""
            text = field(row, "question", str, faults, otherwise="")
            image = row.values.get("image")
            shown = image if isinstance(image, str) else name
            kept = {"question_id": name, "question": text, "label": _label(row, "answer", faults)}
            asked.append(BenchmarkPrompt(f"{name}/{number % 2 + 1}", shown, text, kept))
        faults.stop()
        return asked

    def score_items(self, items: list[MmeItem], *, variant: str) -> list[ItemScore]:
        """Read every answer and compare it with the truth."""
        read = official_answer if variant == "official" else strict_answer
        seen: Counter[str] = Counter()
        scores = []
        for item in items:
            cluster = f"{item.task}/{item.image}"
            seen[cluster] += 1
            said = read(item.answer)
            values = {"label": float(item.label == "yes"), "correct": float(said == item.label)}
            if said != "unknown":
                values["predicted"] = float(said == "yes")
            clear = "scored" if said != "unknown" else "unparsed"
            scores.append(
                ItemScore(
                    id=f"{cluster}/{seen[cluster]}",
                    cluster=cluster,
                    group=item.task,
                    status=clear if item.answer.strip() else "empty",
                    parsed=said,
                    values=values,
                )
            )
        return scores

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """Totals, the scores of the tasks, and rates over all answers and by task."""
        del variant
        points = _points(scores)
        tasks = {
            task: mean_metric(list(found.values()), bounds=(0.0, _BEST))
            for task, found in points.items()
        }
        metrics = {
            name: _sum([tasks[task] for task in members if task in tasks], _BEST * len(members))
            for name, members in GROUPS.items()
        }
        metrics |= {f"score/{task}": metric for task, metric in tasks.items()}
        return metrics | {
            name: rate_metric(*share, seed=seed) for name, share in _shares(scores).items()
        }

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """Totals picture by picture, each weighted for the size of its task; rates as they are."""
        del variant
        points = _points(scores)
        measures = {}
        for name, members in GROUPS.items():
            found = {task: points[task] for task in members if task in points}
            count = sum(map(len, found.values()))
            weighted = {
                image: value * count / len(images)
                for images in found.values()
                for image, value in images.items()
            }
            measures[name] = means(list(weighted.values()), list(weighted), bounds=None)
        for task, images in points.items():
            measures[f"score/{task}"] = means(
                list(images.values()), list(images), bounds=(0.0, _BEST)
            )
        return measures | {name: means(*share) for name, share in _shares(scores).items()}

    def warnings(
        self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str
    ) -> tuple[str, ...]:
        """Say which tasks a total lacks, and where the official reading guesses."""
        there = {score.group for score in scores}
        notes = [
            f"{name} lacks {len(missing)} of {len(members)} tasks ({', '.join(missing)}), so that"
            " it compares to no published total."
            for name, members in GROUPS.items()
            if (missing := [task for task in members if task not in there]) and scores
        ]
        if scores and metrics["yes_ratio"].value in (0.0, 1.0):
            notes.append("The model gave one answer to every question.")
        if variant == "official" and metrics["unknown_ratio"].value > 0:
            notes.append(
                f"{metrics['unknown_ratio'].value:.1%} of the answers do not begin with yes or no;"
                " they count as wrong. Compare with --variant strict."
            )
        return tuple(notes)


def _points(scores: Sequence[ItemScore]) -> dict[str, dict[str, float]]:
    """Points of each picture by task, in the order of the tasks."""
    right: dict[str, dict[str, int]] = {task: {} for task in TASKS}
    for score in scores:
        images = right[score.group]
        images[score.cluster] = images.get(score.cluster, 0) + int(score.values["correct"])
    return {
        task: {image: _POINTS[count] for image, count in images.items()}
        for task, images in right.items()
        if images
    }


def _shares(scores: Sequence[ItemScore]) -> dict[str, tuple[list[float], list[str]]]:
    """What rates are means of, with the picture of each value."""
    images = [score.cluster for score in scores]
    both = {
        image: float(value == _BEST)
        for found in _points(scores).values()
        for image, value in found.items()
    }
    return {
        "accuracy": ([score.values["correct"] for score in scores], images),
        "accuracy_plus": (list(both.values()), list(both)),
        "yes_ratio": ([float(score.parsed == "yes") for score in scores], images),
        "unknown_ratio": ([float(score.parsed == "unknown") for score in scores], images),
    }


def _sum(parts: Sequence[Metric], greatest: float) -> Metric:
    """Sum of independent means; the interval by MOVER (Zou & Donner 2008, Stat. in Medicine 27)."""
    if not parts:
        return Metric(value=0.0, n=0, low=0.0, high=greatest, method="mover")
    value = sum(part.value for part in parts)
    down = math.hypot(*(part.value - part.low for part in parts))
    up = math.hypot(*(part.high - part.value for part in parts))
    return Metric(
        value=value,
        n=sum(part.n for part in parts),
        low=max(0.0, value - down),
        high=min(_BEST * len(parts), value + up),
        method="mover",
    )


def _official_rows(folder: Path, task: str, faults: Faults) -> Iterator[Row]:
    """Rows of TASK.txt, image · question · truth · answer with tabs between them."""
    path = folder / f"{task}.txt"
    if not path.is_file():
        return
    text = faults.gather(lambda: decode_text(path, read_plain_bytes(path)), otherwise="")
    for number, line in enumerate(text.split("\n"), start=1):
        cells = line.rstrip("\r").split("\t")
        if len(cells) == 4:
            names = ("question_id", "question", "label", "answer")
            cells[0] = f"{task}/{cells[0]}"
            yield Row(path, number, dict(zip(names, cells, strict=True)))
        elif line.strip():
            message = (
                "a line must be image, question, truth and answer with tabs between them, got"
                f" {len(cells)} of these four. Fix the line."
            )
            faults.add_file(path, message, line=number)


def _item(
    row: Row, answers: Answers, truth: Mapping[str, Literal["yes", "no"]] | None, faults: Faults
) -> MmeItem:
    name = row_id(row, ("question_id",), faults) or ""
    task, _, image = name.partition("/")
    if name and (task not in TASKS or not image):
        faults.add(
            row, f"`question_id` must be TASK/IMAGE, TASK one of {', '.join(TASKS)}, got {name!r}."
        )
    label: Literal["yes", "no"] = "no"
    if truth is None or "label" in row.values:
        label = _label(row, "label", faults)
    else:
        key = _key(name, field(row, ("question", "prompt"), str, faults, otherwise=""))
        if key in truth:
            label = truth[key]
        else:
            faults.add(row, f"{key!r} is not among the questions. Give the ones that were asked.")
    return MmeItem(task, image, label, answers.of(row))


def _truth(path: Path, faults: Faults) -> dict[str, Literal["yes", "no"]]:
    return {
        _key(
            row_id(row, ("question_id",), faults) or "",
            field(row, "question", str, faults, otherwise=""),
        ): _label(row, "answer", faults)
        for row in read_rows(path, faults)
    }


def _key(name: str, question: str) -> str:
    """A picture's question: an instruction that was added on a line of its own does not count."""
    return f"{name}: {question.strip().partition(chr(10))[0].strip()}"


def _label(row: Row, name: str, faults: Faults) -> Literal["yes", "no"]:
    value = field(row, name, str, faults, otherwise="no").strip().lower()
    if value not in ("yes", "no"):
        faults.add(row, f"`{name}` must be yes or no, got {value[:60]!r}. Fix the row.")
    return "yes" if value == "yes" else "no"


def _check_pairs(rows: Sequence[Row], items: Sequence[MmeItem], faults: Faults) -> None:
    """Each picture must have exactly two questions."""
    answered: dict[str, list[Row]] = {}
    for row, item in zip(rows, items, strict=True):
        answered.setdefault(f"{item.task}/{item.image}", []).append(row)
    for name, found in answered.items():
        if len(found) != 2:
            faults.add(found[-1], f"{name} needs two answers, got {len(found)}. Give both, once.")
