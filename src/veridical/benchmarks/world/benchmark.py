"""The world's own benchmark: descriptions, yes/no probes and questions, judged exactly."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from veridical.benchmarks.world.items import WorldItem
from veridical.benchmarks.world.metrics import (
    AnswerRow,
    DescriptionRow,
    judge_answer_row,
    judge_description_row,
)
from veridical.benchmarks.world.totals import JudgedRows, world_measures, world_totals
from veridical.records import ItemScore, Metric, read_records
from veridical.scoring.answers import Answers, read_responses
from veridical.scoring.measures import Measure
from veridical.scoring.protocol import (
    Benchmark,
    BenchmarkPrompt,
    Card,
    Files,
    InputSpec,
    Loaded,
    MetricSpec,
    Preset,
    Variant,
)
from veridical.scoring.rows import Faults, Row, index_rows, row_id

_DESCRIPTION = "description"


class Answered(NamedTuple):
    """One item with its answer."""

    item: WorldItem
    """The truth and the question."""
    text: str
    """The answer."""
    cut: bool
    """Whether the length limit cut it off."""


class World(Benchmark[list[Answered]]):
    """The embedded world from answers and items."""

    name = "world"
    answer_field = "text"
    card = Card(
        title="The embedded world",
        paper=(
            "Veridical; after POPE (arXiv 2305.10355), MMHal-Bench (arXiv 2309.14525), RLHF-V"
            " (arXiv 2312.00849)"
        ),
        measures=(
            "How often descriptions of drawn scenes hold something that is not there, by kind of"
            " fault; whether yes/no probes and MMHal-style questions are answered rightly. The"
            " judge knows the scene."
        ),
        leaves_out=(
            "Photographs. A model that was never saw such scenes is measured far outside of what it"
            " knows."
        ),
        data="Comes with the package: veridical world make DIR --benchmarks.",
        prompt="Several ways to ask for a description; the questions of items.jsonl.",
        judge="Exact: the scene itself.",
        variants={"exact": Variant("Every claim against the scene.")},
        inputs={
            "responses": InputSpec(
                "JSON lines of `prompt_id`, `text` (records of responses will do)"
            ),
            "reference": InputSpec("items.jsonl, as veridical world make --benchmarks writes it"),
        },
        metrics={
            "hallucination_rate": MetricSpec(
                "Descriptions with at least one fault / descriptions", "lower"
            ),
            "hallucination_rate/*": MetricSpec("The same for one kind of fault", "lower"),
            "mention_hallucination_rate": MetricSpec(
                "Mentions of objects with a fault / mentions", "lower"
            ),
            "object_coverage": MetricSpec("Kinds of objects named / kinds there", "higher"),
            "detail_coverage": MetricSpec(
                "Numbers, colours and places stated truly / those of all kinds there", "higher"
            ),
            "mean_length": MetricSpec("Words of a description", "neither", "words"),
            "repetition_rate": MetricSpec(
                "Descriptions that say something twice / descriptions", "lower"
            ),
            "empty_rate": MetricSpec("Empty descriptions / descriptions", "lower"),
            "cut_rate": MetricSpec(
                "Descriptions that reached the length limit / descriptions", "lower"
            ),
            "yes_no_accuracy": MetricSpec(
                "Right answers / probes; also /random and /typical", "higher"
            ),
            "yes_no_f1": MetricSpec('F1 of "yes"; also /random and /typical', "higher"),
            "yes_no_precision": MetricSpec('Right "yes" / "yes" answered', "higher"),
            "yes_no_recall": MetricSpec('Right "yes" / truth "yes"', "higher"),
            "yes_ratio": MetricSpec("Yes answered / probes", "neither"),
            "yes_no_unparsed_rate": MetricSpec("Answers that say neither / probes", "lower"),
            "mmhal_score": MetricSpec("Mean rating; also by type", "higher", "score 0-6"),
            "mmhal_hallucination_rate": MetricSpec("Ratings below 3 / questions", "lower"),
            "relative_score": MetricSpec(
                "Score of 1-10 / that of the true answers; also by category", "higher"
            ),
            "over_generalisation": MetricSpec(
                "How much more the typical objects of a context are imagined in it than elsewhere",
                "lower",
            ),
        },
        presets={"greedy": Preset("The demo's: greedy, 96 tokens.", max_new_tokens=96)},
    )

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """The prompts of the items."""
        return [
            BenchmarkPrompt(
                item.prompt.id,
                item.prompt.image.path,
                item.prompt.question,
                {"prompt_id": item.prompt.id},
            )
            for item in read_records(files.path("reference"), WorldItem)
        ]

    def read(self, files: Files, *, variant: str) -> Loaded[list[Answered]]:
        """Read answers and items and match them by prompt id."""
        del variant
        faults = Faults()
        items = read_records(files.path("reference"), WorldItem)
        rows = read_responses(files, faults)
        by_prompt = index_rows(rows, lambda row: row_id(row, ("prompt_id",), faults), faults)
        answers = Answers(rows, files, faults)
        known = {item.prompt.id for item in items}
        for name, row in by_prompt.items():
            if name not in known:
                faults.add(
                    row,
                    f"there is no prompt {name!r} among the items. Give the items it belongs to.",
                )
        answered = []
        for number, item in enumerate(items, start=1):
            answer = by_prompt.get(item.prompt.id)
            if answer is None:
                lacking = f"prompt {item.prompt.id!r} has no answer. Let the model answer it."
                faults.add(Row(files.path("reference"), number, {}), lacking)
                continue
            cut = answer.values.get("finish") == "length"
            answered.append(Answered(item, answers.of(answer), cut))
        faults.stop()
        counts = {"responses": len(rows), "reference": len(items)}
        return Loaded(answered, counts, tuple(faults.notes))

    def score_items(self, items: list[Answered], *, variant: str) -> list[ItemScore]:
        """Judge every answer; `parsed` holds the whole verdict."""
        del variant
        return [_score(one) for one in items]

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """All metrics of the parts that were asked."""
        del variant
        return world_totals(_judged_rows(scores), seed=seed).metrics

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """The metrics as sums over items."""
        del variant
        return world_measures(_judged_rows(scores))


def _score(one: Answered) -> ItemScore:
    name, task = one.item.prompt.id, one.item.prompt.task
    row: DescriptionRow | AnswerRow
    values: Mapping[str, float]
    if one.item.question is None:
        row = judge_description_row(one.item.scene, one.text, id=name, cut=one.cut)
        values = {"hallucinates": row.hallucinates, "covered": row.covered, "objects": row.objects}
    else:
        row = judge_answer_row(one.item.scene, one.item.question, one.text, id=name)
        values = {"hallucinates": row.hallucinates, "rating": row.rating}
    unparsed = isinstance(row, AnswerRow) and row.outcome == "unparsed"
    return ItemScore(
        id=name,
        cluster=one.item.scene.id,
        group=task,
        status="empty" if not one.text.strip() else "unparsed" if unparsed else "scored",
        parsed=row.model_dump_json(),
        values={key: float(value) for key, value in values.items()},
    )


def _judged_rows(scores: Sequence[ItemScore]) -> JudgedRows:
    by_task = {
        task: [one.parsed for one in scores if one.group == task]
        for task in (_DESCRIPTION, "yes_no", "mmhal")
    }
    return JudgedRows(
        [DescriptionRow.model_validate_json(row) for row in by_task[_DESCRIPTION]],
        [AnswerRow.model_validate_json(row) for row in by_task["yes_no"]],
        [AnswerRow.model_validate_json(row) for row in by_task["mmhal"]],
    )
