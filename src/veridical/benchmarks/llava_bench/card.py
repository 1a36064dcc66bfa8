"""The facts about LLaVA-Bench, from which its page in the docs is made."""

from veridical.scoring.protocol import (
    Card,
    InputSpec,
    KnownFault,
    MetricSpec,
    Preset,
    ReferenceResult,
    Variant,
)

_TABLE = "RLHF-V (arXiv 2312.00849), table 1, COCO"
_WILD = "LLaVA repository, docs/LLaVA_Bench.md, in the wild"


def _coco(model: str, conv: float, detail: float, complex_: float) -> ReferenceResult:
    values = {"relative/conv": conv, "relative/detail": detail, "relative/complex": complex_}
    return ReferenceResult(model, values, _TABLE, variant="rlhf-v")


CARD = Card(
    title="LLaVA-Bench (COCO, in the wild)",
    paper="Liu et al. 2023, arXiv 2304.08485; haotian-liu/LLaVA, llava/eval",
    measures=(
        "How good answers are compared with those of a text-only GPT-4 that was given captions and"
        " boxes: conversation, detailed description, complex reasoning; 90 questions on 30 COCO"
        " images, or"
        " 60 on 24 images in the wild."
    ),
    leaves_out=(
        "Helpfulness and truth are graded together, so that a longer answer may gain by it. The"
        " reference answer always stands first, and judges favour a place. 100 means as good as the"
        " reference, not perfect."
    ),
    data=(
        "COCO: https://github.com/haotian-liu/LLaVA (Apache-2.0), folder llava/eval/table; in the"
        " wild: https://huggingface.co/datasets/liuhaotian/llava-bench-in-the-wild; rules for"
        " --template: llava/eval/table/rule.json."
    ),
    prompt="The question alone.",
    judge=(
        "gpt-4-0314 in LLaVA and LLaVA-RLHF; temperature 0.2, 1,024 tokens, text only, with the"
        " system message of eval_gpt_review_visual.py (set it with --judge system=…; the score says"
        " whether it is that one)."
    ),
    variants={
        "llava": Variant(
            "As LLaVA and LLaVA-RLHF summarise: reviews that cannot be parsed count as -1 for"
            " both.",
            official=True,
        ),
        "rlhf-v": Variant(
            "As RLHF-V summarises: reviews whose first grade is -1 are left out.", official=True
        ),
        "strict": Variant(
            "Two grades from 1 to 10 in any usual spelling; all else is unparsed and left out."
        ),
    },
    inputs={
        "reviews": InputSpec(
            "JSON lines of `question_id`, `category`, `content`, `tuple` (old ones: `text`,"
            " `score`); or name a judge: --judge-model"
        ),
        "questions": InputSpec(
            "JSON lines of `question_id`, `image`, `text`, `category`; for intervals by image, and"
            " for a judge",
            required=False,
        ),
        "responses": InputSpec(
            "For a judge: JSON lines of `question_id` and `text`", required=False
        ),
        "reference": InputSpec(
            "For a judge: folder with the official files of reference answers and of captions",
            required=False,
        ),
    },
    metrics={
        "relative/*": MetricSpec(
            "100 · mean grade of the model / mean grade of the reference", "higher", "percent"
        ),
        "reference/*": MetricSpec("Mean grade of the reference answers", "neither", "grade 1-10"),
        "model/*": MetricSpec("Mean grade of the model's answers", "higher", "grade 1-10"),
    },
    faults=(
        KnownFault(
            "Failures are averaged in",
            "Five reviews of 90 that cannot be parsed take 0.5 off both means, and 0.05 off the"
            " ratio in the synthetic file; with a weak reference they move it by points",
            "rlhf-v and strict: left out",
        ),
        KnownFault(
            'A comma and a blank: "8, 9"',
            '"8, 9", "8  9", " 8 9", "8\\t9" and "8/10 9/10" fail, while "8,9" passes',
            "strict: 8 and 9",
        ),
        KnownFault("No bounds", '"100 1" is taken as grades', "strict: unparsed"),
        KnownFault(
            "Rounded in between",
            "Both means are rounded to three decimals before the ratio",
            "never rounded here",
        ),
    ),
    references=(
        _coco("LLaVA", 85.4, 74.3, 96.3),
        _coco("LLaVA-RLHF", 93.8, 74.3, 111.4),
        _coco("LLaVA-1.5", 81.6, 75.5, 95.2),
        _coco("RLHF-V", 93.1, 75.3, 91.6),
        _coco("GPT-4V", 96.0, 102.5, 106.7),
        ReferenceResult(
            "LLaVA-13B-336, beam 5",
            {
                "relative/conv": 68.4,
                "relative/detail": 59.9,
                "relative/complex": 84.3,
                "relative/all": 73.5,
            },
            _WILD,
            variant="llava",
        ),
    ),
    presets={
        "llava": Preset(
            "LLaVA and LLaVA-RLHF: the question alone, sampled at 0.2, 1,024 tokens.",
            temperature=0.2,
            max_new_tokens=1024,
        ),
        "greedy": Preset("The question alone; greedy, 1,024 tokens.", max_new_tokens=1024),
    },
)
