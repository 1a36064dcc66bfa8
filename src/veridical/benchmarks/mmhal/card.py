"""The facts about MMHal-Bench, from which its page in the docs is made."""

from veridical.scoring.protocol import (
    Card,
    InputSpec,
    KnownFault,
    MetricSpec,
    Preset,
    ReferenceResult,
    Variant,
)

TYPES = (
    "attribute",
    "adversarial",
    "comparison",
    "counting",
    "relation",
    "environment",
    "holistic",
    "other",
)
"""Question types in the fixed order of the items: item i has type i modulo 8."""

_PAPER = "LLaVA-RLHF (arXiv 2309.14525), judge gpt-4-0314; remembered"
_RLHF_V = "RLHF-V (arXiv 2312.00849), table 1; its hallucination rate is people's, not the judge's"


def _paper(model: str, score: float, rate: float) -> ReferenceResult:
    return ReferenceResult(model, {"score": score, "hallucination_rate": rate}, _PAPER)


def _told(model: str, value: float) -> ReferenceResult:
    return ReferenceResult(model, {"informativeness": value}, _RLHF_V)


CARD = Card(
    title="MMHal-Bench",
    paper=(
        "Sun et al. 2023, arXiv 2309.14525; Shengcao1006/MMHal-Bench (Hugging Face),"
        " llava-rlhf/LLaVA-RLHF"
    ),
    measures=(
        "Whether free answers to 96 questions of eight types hold a hallucination, and how much"
        " they tell, as a language model judges that sees no image but the names of its objects and"
        " a person's answer."
    ),
    leaves_out=(
        "96 items tell apart only large differences: at a rate of 0.5 the interval is 20 points"
        " wide. The judge does not see the image. Scores by two judges (gpt-4-0314,"
        " gpt-4-1106-preview, gpt-4o …) do not compare."
    ),
    data=(
        "https://huggingface.co/datasets/Shengcao1006/MMHal-Bench (Apache-2.0):"
        " response_template.json, images, and the judge's prompt in eval_gpt4.py, to be saved as a"
        " text file with four {} for --template."
    ),
    prompt="The question alone; greedy, up to 1,024 tokens.",
    judge=(
        "gpt-4-0314 in the paper, gpt-4-1106-preview in RLAIF-V; one user message, temperature 0,"
        " text only."
    ),
    variants={
        "official": Variant(
            "As summarize_gpt_mmhal.py reads: no rating, or two, is 0 and a hallucination.",
            official=True,
        ),
        "strict": Variant(
            "Only one clear whole number from 0 to 6 is a rating; all else is unparsed and left"
            " out."
        ),
    },
    inputs={
        "reviews": InputSpec(
            "JSON list of chat completions, one per item, in order (the official file); or name a"
            " judge: --judge-model"
        ),
        "responses": InputSpec(
            "JSON list or lines of `question_type`, `image_id`, `image_content`, `question`,"
            " `gt_answer`, `model_answer` (the official template, filled in); what a judge reads;"
            " types for items of your own; or a folder that veridical generate wrote",
            required=False,
        ),
        "questions": InputSpec(
            "The official template, `response_template.json`: needed where `--responses` is a"
            " folder that veridical generate wrote",
            required=False,
        ),
    },
    metrics={
        "score": MetricSpec("Mean rating", "higher", "score 0-6"),
        "hallucination_rate": MetricSpec("Items rated below 3 / items", "lower"),
        "informativeness": MetricSpec(
            "Mean of (s - 3 for s >= 3, else s) / 3, in percent (RLHF-V)", "higher", "percent of 3"
        ),
        "score/*": MetricSpec("Mean rating of the items of one type", "higher", "score 0-6"),
    },
    faults=(
        KnownFault(
            "Parts of numbers",
            '"Rating: 10" and "Rating: 16" are 1, "Rating: 3.5" is 3',
            "strict: unparsed",
        ),
        KnownFault(
            "Markup and blanks",
            '"**Rating**: 5", "Rating:2" and "Rating:  5" are 0, a hallucination',
            "strict: 5, 2, 5",
        ),
        KnownFault(
            "Unreadable is a hallucination",
            '"I cannot rate this." is 0 and raises the hallucination rate',
            "strict: unparsed, left out and counted",
        ),
    ),
    references=(
        ReferenceResult(
            "IDEFICS-80B (which model: remembered)",
            {"score": 2.05, "hallucination_rate": 0.61},
            "README of the dataset, example output",
        ),
        _paper("LLaVA-7B", 1.55, 0.76),
        _paper("LLaVA-SFT+-7B", 1.76, 0.67),
        _paper("LLaVA-RLHF-7B", 2.05, 0.68),
        _paper("LLaVA-RLHF-13B", 2.53, 0.57),
        _told("LLaVA-RLHF", 39.9),
        _told("LLaVA-1.5", 39.2),
        _told("RLHF-V", 40.0),
        _told("GPT-4V", 47.6),
        ReferenceResult(
            "RLAIF-V-7B",
            {"score": 3.06, "hallucination_rate": 0.292},
            "a summary of arXiv 2405.17220, judge gpt-4-1106-preview",
        ),
    ),
    presets={
        "llava-rlhf": Preset(
            "LLaVA-RLHF, Eval/eval_scripts/eval_mmhal.sh: the question alone; greedy, 1,024"
            " tokens.",
            max_new_tokens=1024,
        ),
        "rlaif-v": Preset(
            "RLAIF-V: the question alone, 1,024 tokens. (It searches with three beams; here"
            " greedy.)",
            max_new_tokens=1024,
        ),
    },
)
