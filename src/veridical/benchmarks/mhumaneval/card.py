"""The facts about MHumanEval, from which its page in the docs is made."""

from veridical.scoring.protocol import (
    Card,
    InputSpec,
    MetricSpec,
    Preset,
    ReferenceResult,
    Variant,
)

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


CARD = Card(
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
            " `image` and `text`; or `Marking` or `Correction` records"
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
