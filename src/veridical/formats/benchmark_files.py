"""Files of benchmarks, by the names of their fields: they are asked and scored, not learnt from."""

from collections.abc import Set
from pathlib import Path
from typing import NamedTuple

from veridical.errors import ConfigError


class BenchmarkFile(NamedTuple):
    """How a published file of a benchmark shows."""

    fields: frozenset[str]
    """Fields that each of its rows has."""
    holds: str
    """What it holds."""
    use: str
    """What it is for; FILE stands for it."""
    others: frozenset[str] | None = None
    """Which other fields a row may have; None: any but those of training data."""


_LEARNT_FROM = frozenset(
    {"chosen", "rejected", "conversations", "messages", "preference", "completion", "completions"}
)
"""Fields that make a row training data, whatever else it has."""
_COMMON_ANSWERS = (
    "veridical score BENCHMARK --responses FILE, BENCHMARK being the one that was asked;"
    " `veridical score list` names them"
)
_NOTES_WORDS = "question prompt text label category answer_id model_id metadata image_id response"
_NOTES = frozenset(_NOTES_WORDS.split())


def _file(fields: str, holds: str, use: str, others: frozenset[str] | None = None) -> BenchmarkFile:
    return BenchmarkFile(frozenset(fields.split()), holds, use, others)


_NONE: frozenset[str] = frozenset()
FILES = (
    _file(
        "question_id image text label",
        "questions of POPE",
        "veridical score pope --questions FILE --responses ANSWERS",
    ),
    _file(
        "question_id image text category",
        "questions of LLaVA-Bench",
        "veridical score llava-bench --questions FILE --responses ANSWERS --judge-model MODEL",
    ),
    _file(
        "id image captions instances",
        "what LLaVA-Bench's judge knows of the pictures",
        "veridical score llava-bench --reference FILE",
    ),
    _file(
        "answer1_id answer2_id question_id",
        "reviews of LLaVA-Bench",
        "veridical score llava-bench --reviews FILE",
    ),
    _file("tuple content", "reviews of LLaVA-Bench", "veridical score llava-bench --reviews FILE"),
    _file(
        "question_type question_topic gt_answer",
        "MMHal-Bench, questions or answers",
        "veridical score mmhal --responses FILE --judge-model MODEL",
    ),
    _file(
        "set_id figure_id visual_input",
        "HallusionBench, questions or answers",
        "veridical score hallusionbench --questions FILE --responses ANSWERS",
    ),
    _file(
        "id image query",
        "questions of AMBER",
        "veridical score amber --responses ANSWERS --reference FOLDER, the folder of AMBER's data",
        _NONE,
    ),
    _file(
        "id type truth",
        "the truth of AMBER",
        "veridical score amber --responses ANSWERS --reference FOLDER, the folder of AMBER's data",
    ),
    _file(
        "id response",
        "answers to AMBER",
        "veridical score amber --responses FILE --reference FOLDER, the folder of AMBER's data",
        frozenset({"nouns"}),
    ),
    _file(
        "index question A B",
        "multiple-choice questions (MMBench)",
        "veridical score multiple-choice --questions FILE --responses ANSWERS",
    ),
    _file(
        "question_id image_id question_type answer_type answers",
        "annotations of VQAv2",
        "veridical score vqa --reference FILE --responses ANSWERS",
    ),
    _file(
        "annotations data_subtype",
        "annotations of VQAv2",
        "veridical score vqa --reference FILE --responses ANSWERS",
    ),
    _file(
        "questions data_subtype",
        "questions of VQAv2",
        "veridical score vqa --questions FILE --responses ANSWERS --reference ANNOTATIONS, or"
        " veridical data mix to learn from their training split",
    ),
    _file(
        "annotations images licenses",
        "annotations of COCO",
        "veridical score chair --reference FOLDER --responses CAPTIONS, the folder being theirs",
    ),
    _file(
        "overall imgToEval",
        "captions for CHAIR",
        "veridical score chair --responses FILE --reference TRUTH",
    ),
    _file(
        "sentences overall_metrics",
        "output of CHAIR",
        "veridical score chair --responses FILE --reference TRUTH",
    ),
    _file(
        "image_id caption",
        "captions, as CHAIR scores them",
        "veridical score chair --responses FILE --reference TRUTH",
        frozenset({"prompt", "question", "id"}),
    ),
    _file(
        "image_id question objs",
        "answers to Object HalBench",
        "veridical score object-halbench --responses FILE --reference TRUTH",
    ),
    _file(
        "image_id scene",
        "scenes of pictures, for over-generalisation",
        "veridical score over-generalisation --questions FILE --responses CAPTIONS",
    ),
    _file(
        "id image text segments",
        "marked answers of MHumanEval",
        "veridical score mhumaneval --responses FILE",
    ),
    _file("doc_id resps", "samples of lmms-eval", _COMMON_ANSWERS),
    _file("index prediction", "answers that VLMEvalKit wrote", _COMMON_ANSWERS),
    _file("choices model", "completions of a model, or of a judge", _COMMON_ANSWERS),
    _file("index model_output", "answers that evalscope wrote", _COMMON_ANSWERS),
    _file("question_id answer", "answers to a benchmark", _COMMON_ANSWERS, _NOTES),
    _file("question_id text", "answers to a benchmark", _COMMON_ANSWERS, _NOTES),
    _file("question_id response", "answers to a benchmark", _COMMON_ANSWERS, _NOTES),
)
"""The files that are known, the more particular ones first."""


def benchmark_file(fields: Set[str]) -> BenchmarkFile | None:
    """The benchmark's file that a row is of, by the names of the row's fields.

    >>> benchmark_file({"question_id", "image", "text", "label"}).holds
    'questions of POPE'
    >>> benchmark_file({"question_id", "image", "text", "chosen", "rejected"}) is None
    True
    """
    if fields & _LEARNT_FROM:
        return None
    return next(
        (
            one
            for one in FILES
            if one.fields <= fields and (one.others is None or fields <= one.fields | one.others)
        ),
        None,
    )


def refuse_benchmark_file(path: Path, fields: Set[str]) -> None:
    """Say what a benchmark's file is for.

    Raises:
        ConfigError: The fields of its first row are those of a benchmark's file.
    """
    found = benchmark_file(fields)
    if found is not None:
        raise ConfigError(
            f"`{path}` is not training data: it holds {found.holds}. To score:"
            f" {found.use.replace('FILE', str(path), 1)}. If you mean to learn from it, name its"
            " format with --format."
        )
