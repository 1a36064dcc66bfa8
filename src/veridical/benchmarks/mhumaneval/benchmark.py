"""MHumanEval (RLHF-V, arXiv 2312.00849, table 1): people mark what is hallucinated in 146 answers, and of which kind.

There is no scorer: the metric is the share of answers with at least one marked segment, of each
kind and of any.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from veridical.benchmarks.annotated import AnnotatedBenchmark
from veridical.feedback.kinds import guess_kinds
from veridical.feedback.segments import find_segments
from veridical.records import KINDS, ItemScore, Metric
from veridical.scoring.measures import Measure, means
from veridical.scoring.protocol import (
    BenchmarkPrompt,
    Card,
    Files,
    InputSpec,
    Loaded,
    MetricSpec,
    Preset,
    ReferenceResult,
    Variant,
)
from veridical.scoring.rates import rate_metric
from veridical.scoring.rows import Faults, Row, field, index_rows, read_rows

ITEMS = 146
"""Answers in MHumanEval: 50 of Object HalBench and 96 of MMHal-Bench."""
PAPER_KINDS = ("object", "position", "number", "other")
"""RLHF-V's kinds; attributes and actions are among the others."""

_TABLE = "RLHF-V (arXiv 2312.00849), table 1; every value is k/146"


def _paper(model: str, *rates: float) -> ReferenceResult:
    names = (
        *(f"hallucination/{kind}" for kind in ("object", "position", "number")),
        "hallucination/all",
    )
    return ReferenceResult(model, dict(zip(names, rates, strict=True)), _TABLE, variant="rlhf-v")


class MHumanEvalItem(NamedTuple):
    """One answer with what people marked in it."""

    id: str
    """Id of the prompt."""
    image: str
    """Image asked about, where the file says it; else the prompt."""
    kinds: tuple[str, ...]
    """Kind of each marked segment."""
    empty: bool
    """Whether the answer is known to be empty."""
    guessed: bool
    """Whether kinds were guessed from words, since nobody set them."""


class MHumanEval(AnnotatedBenchmark[list[MHumanEvalItem]]):
    """MHumanEval from annotated answers, or from the corrections of the studio."""

    name = "mhumaneval"
    card = Card(
        title="MHumanEval",
        paper="Yu et al. 2023, arXiv 2312.00849; RLHF-V/RLHF-V",
        measures=(
            "How many answers people find a hallucination in: of an object, a position, a number,"
            " of any kind."
        ),
        leaves_out=(
            "How many hallucinations an answer has, and how much it tells: an empty answer is free"
            " of them. 146 answers cannot tell 55.5 % from 57.5 % (p = 0.81); annotators who differ"
            " are not modelled."
        ),
        data=(
            "Questions and images: RLHF-V repository (data CC BY-NC 4.0), file"
            " obj_halbench_mhumaneval_data_with_image.jsonl; the marks are yours to collect, for"
            " instance in the studio."
        ),
        prompt="A detailed description (50), or the question of MMHal-Bench (96).",
        judge=(
            "People. `veridical evaluate` writes the answers as a sheet to mark, annotations.jsonl,"
            " and scores it when it is run again after every row has its `segments`."
        ),
        variants={
            "rlhf-v": Variant("RLHF-V's four kinds: attributes and actions count as other."),
            "six-kinds": Variant("The six kinds of corrected segments, each apart."),
        },
        inputs={
            "responses": InputSpec(
                "JSON lines of `id`, `segments` (list of kinds, or of objects with `kind`), perhaps"
                " `image` and `text`; or `Correction` records"
            ),
            "questions": InputSpec(
                "JSON lines of `id` (`Prompt` records): all that were annotated; those without a"
                " correction count as free of hallucination. For `veridical evaluate` with"
                " `question` and `image` (or `image_path`, `image_id`)",
                required=False,
            ),
        },
        metrics={
            "hallucination/all": MetricSpec("Answers with a marked segment / answers", "lower"),
            "hallucination/*": MetricSpec(
                "Answers with a marked segment of this kind / answers", "lower"
            ),
        },
        references=(
            _paper("LLaVA", 0.466, 0.212, 0.199, 0.808),
            _paper("LLaVA-RLHF", 0.377, 0.178, 0.185, 0.726),
            _paper("InstructBLIP", 0.308, 0.151, 0.171, 0.637),
            _paper("Qwen-VL-Chat", 0.349, 0.164, 0.158, 0.610),
            _paper("LLaVA-1.5", 0.308, 0.178, 0.171, 0.610),
            _paper("RLHF-V", 0.219, 0.075, 0.144, 0.555),
            _paper("GPT-4V", 0.226, 0.123, 0.110, 0.459),
        ),
        presets={
            "plain": Preset("The question alone, as MMHal-Bench and Object HalBench ask; greedy.")
        },
    )
    how_to_mark = (
        f"Put the kinds of the hallucinated segments ({', '.join(KINDS)}) into `segments`, [] where"
        " there is none"
    )

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """The questions (`--questions`), `Prompt` records or rows of the same fields."""
        faults = Faults()
        asked = []
        for row in _without_header(read_rows(files.path("questions"), faults)):
            question = field(row, ("question", "prompt"), str, faults, otherwise="")
            image = str(row.values["image_path"]) if "image_path" in row.values else _image(row, "")
            asked.append(
                BenchmarkPrompt(
                    _id(row, faults),
                    image,
                    question,
                    {"id": _id(row, faults), "question": question},
                )
            )
        faults.stop()
        return asked

    def sheet_row(self, asked: BenchmarkPrompt, answer: str) -> Mapping[str, Any]:
        """The answer with its question and image; `segments` is open."""
        return {**asked.row, "image": asked.image, "text": answer, "segments": None}

    def is_marked(self, row: Mapping[str, Any]) -> bool:
        """Whether `segments` is filled in."""
        return row.get("segments") is not None

    def read(self, files: Files, *, variant: str) -> Loaded[list[MHumanEvalItem]]:
        """Read annotated answers or corrections, and all prompts where given."""
        del variant
        faults = Faults()
        rows = _without_header(read_rows(files.path("responses"), faults))
        corrected = [row for row in rows if "rejected" in row.values]
        marked = index_rows(rows, lambda row: _id(row, faults), faults)
        prompts = None
        if files.questions is not None:
            prompts = index_rows(
                _without_header(read_rows(files.questions, faults)),
                lambda row: _id(row, faults),
                faults,
            )
            for name, row in marked.items():
                if name and name not in prompts:
                    faults.add(
                        row,
                        f"prompt {name!r} is not among the questions. Give the questions that were"
                        " asked.",
                    )
        items = []
        for name, asked in (marked if prompts is None else prompts).items():
            if name in marked:
                items.append(_item(name, marked[name], faults))
            elif corrected:
                items.append(
                    MHumanEvalItem(name, _image(asked, name), (), empty=False, guessed=False)
                )
            else:
                faults.add(
                    asked, f"prompt {name!r} has no annotated answer. Annotate it, or leave it out."
                )
        faults.stop()
        counts = {"responses": len(rows)} | ({} if prompts is None else {"questions": len(prompts)})
        return Loaded(
            items, counts, _notes(items, corrections=bool(corrected), complete=prompts is not None)
        )

    def score_items(self, items: list[MHumanEvalItem], *, variant: str) -> list[ItemScore]:
        """Say of each answer which kinds were marked in it."""
        return [_score(item, variant) for item in items]

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """Share of answers with a marked segment, by kind and of any kind."""
        clusters = [score.cluster for score in scores]
        return {
            f"hallucination/{kind}": rate_metric(
                [score.values[kind] for score in scores], clusters, seed=seed
            )
            for kind in (*_kinds(variant), "all")
        }

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """The same shares as sums over answers."""
        clusters = [score.cluster for score in scores]
        return {
            f"hallucination/{kind}": means([score.values[kind] for score in scores], clusters)
            for kind in (*_kinds(variant), "all")
        }

    def warnings(
        self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str
    ) -> tuple[str, ...]:
        """Say where silence looks like truth, and where this is not the published set."""
        del metrics, variant
        notes = []
        empty = sum(score.status == "empty" for score in scores)
        if empty:
            notes.append(
                f"{empty} of {len(scores)} answers are empty; they count as free of hallucination."
            )
        if len(scores) != ITEMS:
            notes.append(
                f"{len(scores)} answers, MHumanEval has {ITEMS}: the published rates are of other"
                " answers."
            )
        return tuple(notes)


def _kinds(variant: str) -> tuple[str, ...]:
    return PAPER_KINDS if variant == "rlhf-v" else KINDS


def _score(item: MHumanEvalItem, variant: str) -> ItemScore:
    known = _kinds(variant)
    found = {kind if kind in known else "other" for kind in item.kinds}
    return ItemScore(
        id=item.id,
        cluster=item.image,
        status="empty" if item.empty else "scored",
        parsed=", ".join(item.kinds),
        values={kind: float(kind in found) for kind in known} | {"all": float(bool(found))},
    )


def _item(name: str, row: Row, faults: Faults) -> MHumanEvalItem:
    text = next(
        (row.values[key] for key in ("rejected", "text", "answer") if key in row.values), None
    )
    empty = isinstance(text, str) and not text.strip()
    if "rejected" in row.values:
        kinds, guessed = _corrected(row, faults)
    else:
        kinds, guessed = _marked(row, faults), False
    return MHumanEvalItem(name, _image(row, name), kinds, empty, guessed)


def _marked(row: Row, faults: Faults) -> tuple[str, ...]:
    segments = next((row.values[key] for key in ("segments", "kinds") if key in row.values), None)
    if not isinstance(segments, list):
        faults.add(row, "`segments` must be a list, empty where nothing is hallucinated. Add it.")
        return ()
    return tuple(_kind_names(segments, row, faults))


def _kind_names(segments: Iterable[Any], row: Row, faults: Faults) -> Iterable[str]:
    for segment in segments:
        kind = segment.get("kind", segment.get("type")) if isinstance(segment, dict) else segment
        name = kind.strip().lower() if isinstance(kind, str) else ""
        name = name if name in KINDS else name.removesuffix("s")
        if name in KINDS:
            yield name
        else:
            faults.add(
                row,
                f"a segment's kind must be one of {', '.join(KINDS)}, got {kind!r}. Mend the row.",
            )


def _corrected(row: Row, faults: Faults) -> tuple[tuple[str, ...], bool]:
    """Kinds of a correction's segments; guessed from its texts where it carries no segments."""
    rejected, chosen = row.values.get("rejected"), row.values.get("chosen")
    if not isinstance(rejected, str) or not isinstance(chosen, str):
        faults.add(row, "`rejected` and `chosen` must be texts. Give `Correction` records.")
        return (), False
    if row.values.get("segments"):
        return _marked(row, faults), False
    segments = find_segments(rejected, chosen)
    return tuple(segment.kind for segment in guess_kinds(rejected, chosen, segments)), bool(
        segments
    )


def _id(row: Row, faults: Faults) -> str:
    name = next(
        (row.values[key] for key in ("prompt_id", "id", "question_id") if key in row.values), None
    )
    if not isinstance(name, str | int) or isinstance(name, bool):
        faults.add(
            row, "`id` (or `prompt_id`, `question_id`) is missing or no text or number. Add it."
        )
        return f"line {row.line}"
    return str(name)


def _image(row: Row, otherwise: str) -> str:
    image = row.values.get("image", row.values.get("image_id", otherwise))
    return str(image.get("path", otherwise)) if isinstance(image, dict) else str(image)


def _without_header(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if "veridical" not in row.values]


def _notes(
    items: Sequence[MHumanEvalItem], *, corrections: bool, complete: bool
) -> tuple[str, ...]:
    notes = []
    guessed = sum(item.guessed for item in items)
    if guessed:
        notes.append(
            f"The kinds of {guessed} corrections were guessed from their words; `all` does not"
            " depend on it."
        )
    if corrections and not complete:
        notes.append(
            "A file of corrections holds no answers that nobody corrected; give --questions with"
            " all prompts that were annotated, or the rates are of the corrected answers alone."
        )
    return tuple(notes)
