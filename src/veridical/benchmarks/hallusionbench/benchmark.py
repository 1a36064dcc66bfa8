"""HallusionBench (Guan et al., arXiv 2310.14566): does an answer follow the changed figure?

Questions are asked with the original figure and with altered ones; questions of kind VS ("visual
supplement") also without any. A judge says of each answer whether it is right, wrong or unclear.
Right are answers judged right, and unclear ones where there is no figure: not knowing is right
there. What counts stands in `hallusionbench_rates`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from veridical.benchmarks.hallusionbench.card import CARD, QUESTIONS
from veridical.benchmarks.hallusionbench.rates import (
    Blame,
    accuracy_measures,
    blame,
    hallusionbench_rates,
    lmms_rates,
)
from veridical.benchmarks.hallusionbench.rows import (
    CHECK_FIELDS,
    HallusionItem,
    checked_by_words,
    official_check,
    read_answer,
    read_check,
    read_question,
    strict_check,
)
from veridical.benchmarks.judged import Cases, JudgedBenchmark
from veridical.files import write_json_atomically
from veridical.judges.protocol import Case, Review
from veridical.judges.templates import slot_template
from veridical.progress import counted
from veridical.records import ItemScore, Metric
from veridical.scoring.answers import Answers, read_responses
from veridical.scoring.measures import Measure
from veridical.scoring.protocol import BenchmarkPrompt, Files, Loaded
from veridical.scoring.reading.own_runs import with_questions
from veridical.scoring.rows import Faults, Row, field, id_text, index_rows, read_rows

OFFICIAL_PROMPTS = {
    "8de88cbb4ba741b76fccf42eccf729a237c28ce9cf11a043878eff1edecf1de4": "HallusionBench, utils.py",
}
"""Hash of the published judge prompt, with `{}` for question, reference answer and prediction."""

_FIELDS = ("question", "reference", "response")


class HallusionBench(JudgedBenchmark[list[HallusionItem]]):
    """HallusionBench from the official rows, with a judge's check or without."""

    name = "hallusionbench"
    card = CARD
    answer_field = "model_prediction"
    without_judge = frozenset({"yes-no", "lmms-eval"})

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """The questions of HallusionBench.json; those without a figure have no image."""
        faults = Faults()
        asked = []
        for row in read_rows(files.path("questions"), faults):
            item = read_question(row, faults)
            image = (
                None
                if item.visual_input == "0"
                else field(row, "filename", str, faults, otherwise="")
            )
            kept = {
                key: value
                for key, value in row.values.items()
                if key not in (self.answer_field, *CHECK_FIELDS)
            }
            asked.append(
                BenchmarkPrompt(
                    item.id, image, field(row, "question", str, faults, otherwise=""), kept
                )
            )
        faults.stop()
        return asked

    def cases(self, files: Files, *, template: Path | None = None) -> Cases:
        """One case per answer."""
        faults = Faults()
        cases = []
        rows = self._responses(files, faults)
        answers = Answers(rows, files, faults)
        for row in rows:
            item = read_answer(row, answers, faults)
            question, truth = (
                field(row, name, str, faults, otherwise="")
                for name in ("question", "gt_answer_details")
            )
            cases.append(
                Case(item.id, {"question": question, "reference": truth, "response": item.answer})
            )
        faults.stop()
        asked = slot_template(
            template, own="hallusionbench.txt", official=OFFICIAL_PROMPTS, fields=_FIELDS
        )
        return Cases(cases, asked)

    def _responses(self, files: Files, faults: Faults) -> list[Row]:
        rows = read_responses(files, faults)
        return with_questions(rows, lambda: self.questions(files), files, faults)

    def write_reviews(self, path: Path, cases: Sequence[Case], reviews: Sequence[Review]) -> Path:
        """Write rows of `id` and `review`, with a `problem` where there is no review."""
        del cases
        rows = [
            {"id": one.id, "review": one.text, "problem": one.problem, "model": one.model}
            for one in reviews
        ]
        return write_json_atomically(path, rows)

    def read(self, files: Files, *, variant: str) -> Loaded[list[HallusionItem]]:
        """Read the rows, and the reviews where a judge is needed."""
        faults = Faults()
        rows = self._responses(files, faults)
        answers = Answers(rows, files, faults)
        items = [read_answer(row, answers, faults) for row in rows]
        ids = {id(row): item.id for row, item in zip(rows, items, strict=True)}
        if not faults.found:  # ids of rows at fault are made up
            index_rows(rows, lambda row: ids[id(row)], faults)
        counts, versions = {"responses": len(rows)}, {}
        if variant not in self.without_judge:
            if files.reviews is None:
                items = _with_own_checks(items, rows, files, faults)
            else:
                reviews = {
                    id_text(row.values.get("id")) or "": row
                    for row in read_rows(files.reviews, faults)
                }
                items = [
                    _with_review(*pair, reviews, faults, variant)
                    for pair in zip(items, rows, strict=True)
                ]
                counts["reviews"] = len(reviews)
                judges = sorted(
                    {str(row.values.get("model", "")) for row in reviews.values()} - {""}
                )
                versions["judge"] = ", ".join(judges) or "not named"
        faults.stop()
        warnings = []
        if len(items) != QUESTIONS:
            warnings.append(
                f"{counted(len(items), 'question')} of {QUESTIONS:,}: not the whole benchmark."
            )
        return Loaded(items, counts, (*faults.notes, *warnings), versions)

    def score_items(self, items: list[HallusionItem], *, variant: str) -> list[ItemScore]:
        """Say of every answer whether it is right, and whose fault an error is."""
        if variant == "lmms-eval":
            return [
                _score(item, right=("yes" in item.answer.lower()) == (item.truth == "1"))
                for item in items
            ]
        if variant == "yes-no":
            said = {item.pair: item for item in items if item.figure_id == "0"}
            items = [checked_by_words(item, said.get(item.pair)) for item in items]
        originals = {item.pair: item for item in items if item.figure_id == "0"}
        return [
            _score(item, right=_is_right(item), kind=_blame(item, originals.get(item.pair)))
            for item in items
        ]

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """Accuracy by answer, question and figure, bias, and kinds of error."""
        return (lmms_rates if variant == "lmms-eval" else hallusionbench_rates)(scores, seed=seed)

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """The three accuracies, each answer, question or figure once."""
        return accuracy_measures(scores, with_empty_figures=variant == "lmms-eval")

    def warnings(
        self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str
    ) -> tuple[str, ...]:
        """Say what was not rated, where not knowing was right, and which errors are unclear."""
        notes = []
        lost = sum("correct" not in score.values for score in scores)
        if lost:
            notes.append(
                f"{lost} of {len(scores)} answers have no check that could be read; they, their"
                f" questions ({metrics['q_acc'].n} are left) and their figures"
                f" ({metrics['f_acc'].n} are left) are left out."
            )
        silent = sum(
            score.parsed == "unclear" and score.values.get("correct") == 1 for score in scores
        )
        if variant == "yes-no" and silent:
            notes.append(
                f"{silent} answers to questions without a figure say neither yes nor no, which"
                " counts as right."
            )
        unknown = sum(
            score.values.get("correct") == 0 and "language" not in score.values for score in scores
        )
        if variant != "lmms-eval" and unknown:
            notes.append(
                f"{unknown} wrong answers lack `same`, or the answer to the original figure: they"
                " are left out of the kinds of error."
            )
        return tuple(notes)


def _with_own_checks(
    items: Sequence[HallusionItem], rows: Sequence[Row], files: Files, faults: Faults
) -> list[HallusionItem]:
    """Items with the checks that their rows bring."""
    if rows and not any(name in row.values for row in rows for name in CHECK_FIELDS):
        faults.add_file(
            files.path("responses"),
            f"no row holds a judge's check, `{CHECK_FIELDS[0]}`. Let a judge check the answers"
            " (--judge-model), give --reviews, or take --variant yes-no, which needs none.",
        )
        return list(items)
    return [
        item._replace(check=read_check(row, faults)) for item, row in zip(items, rows, strict=True)
    ]


def _with_review(
    item: HallusionItem, row: Row, reviews: Mapping[str, Row], faults: Faults, variant: str
) -> HallusionItem:
    review = reviews.get(item.id)
    if review is None:
        faults.add(
            row,
            f"answer {item.id} has no review. Let the judge review it, or leave the answer out.",
        )
        return item
    if review.values.get("review", "") is None:
        return item._replace(problem=str(review.values.get("problem") or "no judgement"))
    words = field(review, "review", str, faults, otherwise="")
    check = official_check(words) if variant == "official" else strict_check(words)
    return item._replace(problem="unparsed") if check is None else item._replace(check=check)


def _is_right(item: HallusionItem) -> bool | None:
    """Whether an answer is right; None where nobody checked it."""
    if item.problem:
        return None
    without_figure = item.category == "VS" and item.figure_id == "0"
    return item.check == "1" or (item.check == "2" and without_figure)


def _blame(item: HallusionItem, original: HallusionItem | None) -> Blame | None:
    if item.problem:
        return None
    if item.figure_id == "0":
        return blame(item.category, item.check)
    if original is None or original.problem:
        return None
    return blame(
        item.category,
        item.check,
        original_check=original.check,
        altered=item.visual_input == "2",
        same=item.same,
    )


def _score(item: HallusionItem, *, right: bool | None, kind: Blame | None = None) -> ItemScore:
    values = {"label": float(item.truth), "altered": float(item.visual_input == "2")}
    if right is not None:
        values["correct"] = float(right)
    if kind is not None:
        values |= {"language": float(kind.language), "vision": float(kind.vision)}
    judged = {"": "scored", "unparsed": "unparsed"}.get(item.problem, "failed")
    return ItemScore(
        id=item.id,
        cluster="/".join((item.category, item.subcategory, item.set_id)),
        group=item.category,
        status="empty" if judged == "scored" and not item.answer.strip() else judged,
        parsed=item.problem or {"": "", "0": "wrong", "1": "right", "2": "unclear"}[item.check],
        values=values,
    )
