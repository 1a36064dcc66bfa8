"""HallusionBench (Guan et al. 2023, arXiv 2310.14566): does an answer follow the figure when the figure is changed?

Questions are asked with the original figure and with altered ones; questions of kind VS ("visual supplement") also
without any. A judge says of each answer whether it is right, wrong or unclear. Right are answers judged right, and
unclear ones where there is no figure: not knowing is right there. What counts stands in `hallusionbench_rates`.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from veridical.evaluation.benchmarks.hallusionbench_rates import (
    Blame,
    accuracy_measures,
    blame,
    hallusionbench_rates,
    lmms_rates,
)
from veridical.evaluation.benchmarks.matching import row_id
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
from veridical.evaluation.measures import Measure
from veridical.records import ItemScore, Metric

_QUESTIONS = 1129
_CHECK = ("gpt4v_output_gpt_check", "check")
_README = "tianyi-lab/HallusionBench README, judged by GPT-4"
_TABLE = {
    "GPT-4V": (0.2879, 0.3988, 0.7560, 0.3767, 0.6528),
    "LLaVA-1.5": (0.1055, 0.2486, 0.4967, 0.2977, 0.4694),
    "Qwen-VL": (0.0593, 0.0665, 0.3143, 0.2488, 0.3915),
    "InstructBLIP": (0.0945, 0.1011, 0.3560, 0.4512, 0.4526),
    "mPLUG-Owl2": (0.1385, 0.1994, 0.4484, 0.3907, 0.4730),
    "MiniGPT-4": (0.0879, 0.1012, 0.3187, 0.2767, 0.3578),
}


class HallusionItem(NamedTuple):
    """One question about one figure, or about none."""

    category: Literal["VD", "VS"]
    """VD: cannot be answered without the figure; VS: can."""
    subcategory: str
    """What sort of figure: "chart", "illusion" …"""
    set_id: str
    """Set of figures."""
    figure_id: str
    """Figure within its set; "0" is the original, or none for VS."""
    question_id: str
    """Question within its set."""
    visual_input: Literal["0", "1", "2"]
    """0 no figure, 1 the original, 2 an altered one."""
    truth: Literal["0", "1"]
    """Whether "yes" is right."""
    check: Literal["", "0", "1", "2"]
    """The judge's: 0 wrong, 1 right, 2 unclear; empty in the variant that needs none."""
    same: Literal["", "0", "1"]
    """Whether the answer agrees with that to the original figure; empty where nobody said."""
    answer: str
    """What the model said."""

    @property
    def pair(self) -> str:
        """The question, whatever the figure."""
        return "/".join((self.category, self.subcategory, self.set_id, self.question_id))

    @property
    def id(self) -> str:
        """The question with its figure."""
        return "/".join((self.category, self.subcategory, self.set_id, self.figure_id, self.question_id))


class HallusionBench(Benchmark[list[HallusionItem]]):
    """HallusionBench from the official rows with the judge's check."""

    name = "hallusionbench"
    card = Card(
        title="HallusionBench",
        paper="Guan et al. 2023, arXiv 2310.14566; tianyi-lab/HallusionBench",
        measures="Whether a model answers yes/no questions by what a figure shows rather than by what it expects, on "
        "figures in original and altered form, and whether it is consistent.",
        leaves_out="Free descriptions; photographs (most figures are charts, maps, tables and illusions). Its three "
        "accuracies rest on the same 1,129 answers; figures of one set are alike, so that intervals resample sets.",
        data="https://github.com/tianyi-lab/HallusionBench (BSD-3): HallusionBench.json and figures.",
        prompt="The question, with its figure where there is one.",
        judge="GPT-4 in the original: does the prediction conflict with the reference answer; its word stands in "
        "`gpt4v_output_gpt_check`. lmms-eval: none.",
        variants={
            "official": Variant("As tianyi-lab/HallusionBench counts from the judge's check.", official=True),
            "lmms-eval": Variant(
                'As lmms-eval counts: the answer is yes where it contains "yes", also within a word, else no; figures '
                "include questions without a figure.",
                official=True,
            ),
        },
        inputs={
            "responses": InputSpec(
                "JSON array of the official rows: `category`, `subcategory`, `set_id`, `figure_id`, `question_id`, "
                "`visual_input`, `gt_answer`, `model_prediction`, `gpt4v_output_gpt_check` (official), and `same` "
                "where errors shall be told apart"
            )
        },
        metrics={
            "a_acc": MetricSpec("Right answers / questions", "higher"),
            "q_acc": MetricSpec("Questions right with every figure / questions", "higher"),
            "f_acc": MetricSpec("Figures with every question right / figures; VS without figure left out", "higher"),
            "a_acc/*": MetricSpec("The three by category, VD and VS", "higher"),
            "easy_a_acc": MetricSpec("q_acc over original figures, and none", "higher"),
            "hard_a_acc": MetricSpec("q_acc over altered figures", "higher"),
            "figures_inconsistent": MetricSpec("Figures with some questions right, some wrong", "lower"),
            "figures_wrong": MetricSpec("Figures with no question right", "lower"),
            "figure_score": MetricSpec("Mean over figures of the share of questions right", "higher"),
            "yes_difference": MetricSpec("Share of yes said minus share of yes true, in [-1, 1]", "neither", "rate"),
            "fp_ratio": MetricSpec("Wrong answers whose truth is no / wrong answers; 0.5 is unbiased", "neither"),
            "error/language": MetricSpec("Errors that ignore the figure (LH) / errors told apart", "neither"),
            "error/vision": MetricSpec("Errors that misread the figure (VI) / errors told apart", "neither"),
            "error/mixed": MetricSpec("Errors that may be either / errors told apart", "neither"),
        },
        faults=(
            KnownFault(
                "Division by zero",
                "A model without an error ends the script",
                "here the shares of errors are 0 with n = 0",
            ),
            KnownFault(
                "Unclear counted as the opposite",
                'The share of yes takes an unclear answer for "yes" where no is true, and for "no" where yes is',
                "none: kept, since published numbers rest on it",
            ),
            KnownFault(
                '"easy aAcc" is no accuracy per answer',
                "The columns of easy and hard questions count questions right with every figure",
                "none: kept; said in the metric's meaning",
            ),
            KnownFault(
                'lmms-eval: "yes" within a word',
                '"eyes" and "yesterday" count as yes',
                "official: the judge's check",
            ),
        ),
        references=tuple(
            ReferenceResult(model, dict(zip(("q_acc", "f_acc", "easy_a_acc", "hard_a_acc", "a_acc"), row)), _README)
            for model, row in _TABLE.items()
        ),
    )

    def read(self, files: Files, *, variant: str) -> Loaded[list[HallusionItem]]:
        """Read the rows."""
        faults = Faults()
        rows = read_rows(files.path("responses"), faults)
        items = [_item(row, faults, judged=variant == "official") for row in rows]
        ids = {id(row): item.id for row, item in zip(rows, items, strict=True)}
        if not faults.found:  # ids of rows at fault are made up
            index_rows(rows, lambda row: ids[id(row)], faults)
        faults.stop()
        warnings = []
        if len(items) != _QUESTIONS:
            warnings.append(f"{len(items)} questions of {_QUESTIONS:,}: not the whole benchmark.")
        return Loaded(items, {"responses": len(rows)}, tuple(warnings))

    def score_items(self, items: list[HallusionItem], *, variant: str) -> list[ItemScore]:
        """Say of every answer whether it is right, and whose fault an error is."""
        if variant == "lmms-eval":
            return [_score(item, right=("yes" in item.answer.lower()) == (item.truth == "1")) for item in items]
        originals = {item.pair: item for item in items if item.figure_id == "0"}
        return [_score(item, right=_is_right(item), kind=_blame(item, originals.get(item.pair))) for item in items]

    def aggregate(self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0) -> dict[str, Metric]:
        """Accuracy by answer, question and figure, bias, and kinds of error."""
        return (lmms_rates if variant == "lmms-eval" else hallusionbench_rates)(scores, seed=seed)

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """The three accuracies, each answer, question or figure once."""
        return accuracy_measures(scores, with_empty_figures=variant == "lmms-eval")

    def warnings(self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str) -> tuple[str, ...]:
        """Tell where errors could not be told apart."""
        del metrics
        unknown = sum(score.values["correct"] == 0 and "language" not in score.values for score in scores)
        if variant != "official" or not unknown:
            return ()
        return (
            f"{unknown} wrong answers lack `same`, or the answer to the original figure: they are left out of the "
            "kinds of error.",
        )


def _is_right(item: HallusionItem) -> bool:
    without_figure = item.category == "VS" and item.figure_id == "0"
    return item.check == "1" or (item.check == "2" and without_figure)


def _blame(item: HallusionItem, original: HallusionItem | None) -> Blame | None:
    if item.figure_id == "0":
        return blame(item.category, item.check)
    if original is None:
        return None
    return blame(
        item.category, item.check, original_check=original.check, altered=item.visual_input == "2", same=item.same
    )


def _score(item: HallusionItem, *, right: bool, kind: Blame | None = None) -> ItemScore:
    values = {"correct": float(right), "label": float(item.truth), "altered": float(item.visual_input == "2")}
    if kind is not None:
        values |= {"language": float(kind.language), "vision": float(kind.vision)}
    return ItemScore(
        id=item.id,
        cluster="/".join((item.category, item.subcategory, item.set_id)),
        group=item.category,
        status="scored" if item.answer.strip() else "empty",
        parsed={"": "", "0": "wrong", "1": "right", "2": "unclear"}[item.check],
        values=values,
    )


def _item(row: Row, faults: Faults, *, judged: bool) -> HallusionItem:
    category, visual, truth = (
        _code(row, name, options, faults)
        for name, options in (("category", ("VD", "VS")), ("visual_input", ("0", "1", "2")), ("gt_answer", ("0", "1")))
    )
    set_id, figure, question = (row_id(row, (name,), faults) or "0" for name in ("set_id", "figure_id", "question_id"))
    name = next((name for name in _CHECK if name in row.values), _CHECK[0])
    check = _code(row, name, ("0", "1", "2"), faults) if judged else ""
    same = _code(row, "same", ("0", "1"), faults) if row.values.get("same") not in (None, "") else ""
    return HallusionItem(
        category=category,  # type: ignore[arg-type]
        subcategory=field(row, "subcategory", str, faults, otherwise=""),
        set_id=set_id,
        figure_id=figure,
        question_id=question,
        visual_input=visual,  # type: ignore[arg-type]
        truth=truth,  # type: ignore[arg-type]
        check=check,  # type: ignore[arg-type]
        same=same,  # type: ignore[arg-type]
        answer=field(row, "model_prediction", str, faults, otherwise=""),
    )


def _code(row: Row, name: str, options: tuple[str, ...], faults: Faults) -> str:
    """A field that is one of a few codes, as text or number."""
    value = row.values.get(name)
    code = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if code not in options:
        faults.add(row, f"`{name}` must be {' or '.join(options)}, got {str(value)[:60]!r}. Mend the row.")
        return options[0]
    return code
