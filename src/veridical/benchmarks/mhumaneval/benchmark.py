"""MHumanEval (RLHF-V, arXiv 2312.00849, table 1): people mark hallucinations in 146 answers.

There is no scorer: the metric is the share of answers with at least one marked segment, of each
kind and of any.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from veridical.benchmarks.judged import AnnotatedBenchmark
from veridical.benchmarks.mhumaneval.card import CARD, ITEMS, PAPER_KINDS
from veridical.feedback.segment_kinds import guess_kinds
from veridical.feedback.segments import find_segments
from veridical.progress import counted
from veridical.records import KINDS, ItemScore, Metric
from veridical.scoring.measures import Measure, means, rate_metric
from veridical.scoring.protocol import BenchmarkPrompt, Files, Loaded
from veridical.scoring.reading.own_runs import are_responses, responses_file
from veridical.scoring.rows import Faults, Row, Values, field, index_rows, read_rows, row_id


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
    """MHumanEval from annotated answers, or from markings or corrections of the studio."""

    name = "mhumaneval"
    card = CARD
    how_to_mark = (
        f"Put the kinds of the hallucinated segments ({', '.join(KINDS)}) into `segments`, [] where"
        " there is none"
    )

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """The questions (`--questions`), `Prompt` records or rows of the same fields."""
        faults = Faults()
        asked = []
        for row in read_rows(files.path("questions"), faults):
            name = _id(row, faults) or ""
            question = field(row, ("question", "prompt"), str, faults, otherwise="")
            image = str(row.values["image_path"]) if "image_path" in row.values else _image(row, "")
            asked.append(
                BenchmarkPrompt(
                    name,
                    image,
                    question,
                    {"id": name, "question": question},
                )
            )
        faults.stop()
        return asked

    def sheet_row(self, asked: BenchmarkPrompt, answer: str) -> Values:
        """The answer with its question and image; `segments` is open."""
        return {**asked.row, "image": asked.image, "text": answer, "segments": None}

    def is_marked(self, row: Values) -> bool:
        """Whether `segments` is filled in."""
        return row.get("segments") is not None

    def read(self, files: Files, *, variant: str) -> Loaded[list[MHumanEvalItem]]:
        """Read annotated answers or corrections, and all prompts where given."""
        del variant
        faults = Faults()
        path = responses_file(files.path("responses"))
        rows = read_rows(path, faults)
        if are_responses(rows):
            faults.add_file(
                path,
                "answers that a model gave and nobody has marked yet. Let people mark them"
                f" (`veridical studio {path.parent} --task mark`), and score what they export.",
            )
            faults.stop()
        corrected = [row for row in rows if "rejected" in row.values]
        marked = index_rows(rows, lambda row: _id(row, faults), faults)
        prompts = None
        if files.questions is not None:
            prompts = index_rows(
                read_rows(files.questions, faults), lambda row: _id(row, faults), faults
            )
            for name, row in marked.items():
                if name not in prompts:
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
        notes = _notes(items, corrections=bool(corrected), complete=prompts is not None)
        return Loaded(items, counts, (*faults.notes, *notes))

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
                f"{counted(len(scores), 'answer')}, MHumanEval has {ITEMS}: the published"
                " rates are of other"
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
    read = row.values.get("response_ids")
    if isinstance(read, list) and len(read) != 1:
        faults.add(row, f"a row must be of one answer, got marks of {len(read)}. Split the row.")
    if not isinstance(segments, list):
        faults.add(row, "`segments` must be a list, empty where nothing is hallucinated. Add it.")
        return ()
    return tuple(_kind_names(segments, row, faults))


def _kind_names(segments: Iterable[object], row: Row, faults: Faults) -> Iterable[str]:
    for segment in segments:
        kind = segment.get("kind", segment.get("type")) if isinstance(segment, dict) else segment
        name = kind.strip().lower() if isinstance(kind, str) else ""
        name = name if name in KINDS else name.removesuffix("s")
        if name in KINDS:
            yield name
        else:
            faults.add(
                row,
                f"a segment's kind must be one of {', '.join(KINDS)}, got {kind!r:.60}. Fix the"
                " row.",
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


def _id(row: Row, faults: Faults) -> str | None:
    return row_id(row, ("prompt_id", "id", "question_id"), faults)


def _image(row: Row, otherwise: str) -> str:
    image = row.values.get("image", row.values.get("image_id", otherwise))
    return str(image.get("path", otherwise)) if isinstance(image, dict) else str(image)


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
