"""Multiple choice as in MMBench (Liu et al., arXiv 2307.06281), alone or in every rotation.

In circular evaluation a question is asked as often as it has options, each time with the options
moved by one, and is right only where every pass is right. That takes guessing and a love of "A" out
of the number.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from veridical.benchmarks.multiple_choice.choices import chosen_option
from veridical.records import ItemScore, Metric
from veridical.scoring.answers import Answers, read_responses
from veridical.scoring.matching import IDS, Pair, match_answers
from veridical.scoring.measures import Measure, means, rate_metric, rates_by_group
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
from veridical.scoring.rows import Faults, Row, field, read_rows, row_id

_LETTERS = "ABCDEFGHIJ"
_ROTATION = 1_000_000
"""MMBench numbers the passes of question i: i, i + 1,000,000, i + 2,000,000 …"""


class ChoiceItem(NamedTuple):
    """One pass of one question."""

    id: str
    """Id of the pass."""
    question: str
    """What its passes have in common."""
    category: str
    """Ability asked for; may be empty."""
    options: Mapping[str, str]
    """Text of each option by letter."""
    truth: str
    """Letter of the right option."""
    answer: str
    """What the model said."""


class MultipleChoice(Benchmark[list[ChoiceItem]]):
    """Multiple choice from answers and questions."""

    name = "multiple-choice"
    card = Card(
        title="Multiple choice (MMBench style)",
        paper="MMBench: Liu et al. 2023, arXiv 2307.06281; open-compass/VLMEvalKit",
        measures=(
            "Whether a model picks the right one of two to ten options; in the circular variant"
            " whether it does so wherever the right option stands."
        ),
        leaves_out=(
            "What a model says of its own accord: the options name what may be there. Without"
            " rotation a model that always says A gets the share of As."
        ),
        data=(
            "MMBench: https://github.com/open-compass/MMBench, tab-separated; answers are public"
            " for the dev split only. To JSON lines: pandas.read_csv(FILE,"
            " sep='\\t').drop(columns='image').to_json(OUT, orient='records', lines=True). Rotated"
            " files hold 1,000,000 · k + index in `index`."
        ),
        prompt=(
            'The question and its options, one per line, "A. …"; LLaVA adds "Answer with the'
            " option's letter from the given choices directly.\""
        ),
        judge=(
            "None here: an answer that names no single option is unparsed and wrong. VLMEvalKit"
            " asks ChatGPT which option is nearest, so that its numbers may lie higher for models"
            " that answer in sentences."
        ),
        variants={
            "plain": Variant("Every pass counts on its own."),
            "circular": Variant("A question is right where all its passes are."),
        },
        inputs={
            "responses": InputSpec(
                "JSON lines of `question_id` (or `index`) and `answer`, `text` or `prediction`"
            ),
            "questions": InputSpec(
                "JSON lines of `question_id` (or `index`), the options (`A`, `B` … or a list or"
                " object `options`), `answer` (the letter), and where there are `category` and"
                " `group` (what rotated passes share; by default `index` without its millions)"
            ),
        },
        metrics={
            "accuracy": MetricSpec(
                "Right passes / passes; circular: questions with all passes right", "higher"
            ),
            "accuracy/*": MetricSpec("The same over one category", "higher"),
            "unparsed_ratio": MetricSpec("Answers that name no single option / answers", "lower"),
        },
        faults=(
            KnownFault(
                "A random option where none is read",
                "VLMEvalKit draws one after three failed calls of its judge: a model that says"
                " nothing gets a quarter",
                "every variant here: unparsed, wrong, and counted",
            ),
            KnownFault(
                "The article A",
                '"A cat" is read as option A by codes that look for single capital letters',
                "every variant here: an A before a small word is an article; the text of the"
                " options decides",
            ),
        ),
        references=(
            ReferenceResult(
                "LLaVA-1.5-7B, MMBench dev",
                {"accuracy": 0.643},
                "LLaVA MODEL_ZOO.md, remembered",
                "circular",
            ),
        ),
    )

    def read(self, files: Files, *, variant: str) -> Loaded[list[ChoiceItem]]:
        """Read answers and questions and match them."""
        faults = Faults()
        said = read_responses(files, faults)
        questions = read_rows(files.path("questions"), faults)
        matched = match_answers(said, questions, faults)
        asked = [str(pair.question.values.get("question", "")) for pair in matched.pairs]
        rows = [pair.answer for pair in matched.pairs]
        answers = Answers(rows, files, faults, questions=asked)
        items = [_item(pair, answers, faults) for pair in matched.pairs]
        faults.stop()
        counts = {"responses": len(said), "questions": len(questions)}
        missing = _missing_passes(items, variant=variant)
        return Loaded(items, counts, (*faults.notes, *matched.warnings, *missing))

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """Question, hint and options as MMBench shows them, one per line."""
        faults = Faults()
        asked = [_asked(row, faults) for row in read_rows(files.path("questions"), faults)]
        faults.stop()
        return asked

    def score_items(self, items: list[ChoiceItem], *, variant: str) -> list[ItemScore]:
        """Read every answer and compare its option with the right one."""
        del variant
        return [_score(item) for item in items]

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """Accuracy over all and by category."""
        counted = _by_question(scores) if variant == "circular" else scores
        metrics = rates_by_group(counted, "accuracy", seed=seed)
        unparsed = [score.status in ("empty", "unparsed") for score in scores]
        metrics["unparsed_ratio"] = rate_metric(
            unparsed, [score.cluster for score in scores], seed=seed
        )
        return metrics

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """Accuracy over all passes, or over all questions."""
        counted = _by_question(scores) if variant == "circular" else scores
        return {
            "accuracy": means(
                [score.values["correct"] for score in counted], [one.cluster for one in counted]
            )
        }

    def warnings(
        self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str
    ) -> tuple[str, ...]:
        """Tell where one letter was chosen throughout, which only rotation shows."""
        del metrics
        chosen = {score.parsed for score in scores}
        if variant == "plain" and len(scores) > 1 and len(chosen) == 1 and chosen != {""}:
            return (
                (
                    f"The model chose {chosen.pop()} every time. The circular variant takes such"
                    " luck out."
                ),
            )
        return ()


def _by_question(scores: Sequence[ItemScore]) -> list[ItemScore]:
    """One score per question: right where all passes are."""
    passes: dict[str, list[ItemScore]] = {}
    for score in scores:
        passes.setdefault(score.cluster, []).append(score)
    return [
        some[0].model_copy(
            update={"values": {"correct": min(score.values["correct"] for score in some)}}
        )
        for some in passes.values()
    ]


def _missing_passes(items: list[ChoiceItem], *, variant: str) -> tuple[str, ...]:
    if variant != "circular":
        return ()
    passes: dict[str, int] = {}
    for item in items:
        passes[item.question] = passes.get(item.question, 0) + 1
    fewer = len({item.question for item in items if passes[item.question] < len(item.options)})
    if not fewer:
        return ()
    return (
        (
            f"{fewer} of {len(passes)} questions have fewer passes than options: they are easier"
            " than they should be."
        ),
    )


def _score(item: ChoiceItem) -> ItemScore:
    chosen = chosen_option(item.answer, item.options)
    return ItemScore(
        id=item.id,
        cluster=item.question,
        group=item.category,
        status="empty" if not item.answer.strip() else "unparsed" if chosen is None else "scored",
        parsed=chosen or "",
        values={"correct": float(chosen == item.truth)},
    )


def _item(pair: Pair, answers: Answers, faults: Faults) -> ChoiceItem:
    row = pair.question
    options = _options(row, faults)
    truth = field(row, "answer", str, faults, otherwise="A").strip().upper()
    if options and truth not in options:
        faults.add(
            row, f"`answer` must be one of {', '.join(options)}, got {truth[:60]!r}. Fix the row."
        )
    category = row.values.get("category")
    text = answers.of(pair.answer)
    return ChoiceItem(
        pair.id, _group(pair), str(category) if category is not None else "", options, truth, text
    )


def _asked(row: Row, faults: Faults) -> BenchmarkPrompt:
    name = next((name for name in IDS if name in row.values), IDS[0])
    hint = row.values.get("hint")
    lines = [hint] if isinstance(hint, str) and hint.strip() else []
    lines.append(field(row, "question", str, faults, otherwise=""))
    lines += [f"{letter}. {text}" for letter, text in _options(row, faults).items()]
    image = field(row, ("image", "image_path", "image_id"), str, faults, otherwise="")
    return BenchmarkPrompt(
        row_id(row, IDS, faults) or "", image, "\n".join(lines), {name: row.values.get(name)}
    )


def _group(pair: Pair) -> str:
    for name in ("group", "g_index"):
        if pair.question.values.get(name) is not None:
            return str(pair.question.values[name])
    return str(int(pair.id) % _ROTATION) if pair.id.isdecimal() else pair.id


def _options(row: Row, faults: Faults) -> dict[str, str]:
    found: object = row.values.get(
        "options", {letter: row.values.get(letter) for letter in _LETTERS}
    )
    if isinstance(found, list):
        found = dict(zip(_LETTERS, found, strict=False)) if len(found) <= len(_LETTERS) else None
    options = {}
    if isinstance(found, dict):
        options = {
            letter: str(text)
            for letter, text in found.items()
            if text not in (None, "") and letter in _LETTERS
        }
    if len(options) < 2 or not all(isinstance(text, str | int | float) for text in _texts(found)):
        faults.add(
            row, "options must be two to ten texts, under `A`, `B` … or in `options`. Fix the row."
        )
        return {}
    return options


def _texts(found: object) -> list[object]:
    return [text for text in found.values() if text is not None] if isinstance(found, dict) else []
