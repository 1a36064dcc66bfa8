"""The facts about MME, from which its page in the docs is made."""

from veridical.scoring.protocol import (
    SHORT_ANSWER,
    Card,
    InputSpec,
    KnownFault,
    MetricSpec,
    Preset,
    ReferenceResult,
    Variant,
)

PERCEPTION = (
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
)
COGNITION = (
    "commonsense_reasoning",
    "numerical_calculation",
    "text_translation",
    "code_reasoning",
)
GROUPS = {"perception": PERCEPTION, "cognition": COGNITION}
"""Tasks by the total that their scores are added up to."""
TASKS = (*PERCEPTION, *COGNITION)

_ZOO = "haotian-liu/LLaVA MODEL_ZOO.md"

CARD = Card(
    title="MME",
    paper="Fu et al. 2023, arXiv 2306.13394; BradyFU/Awesome-Multimodal-Large-Language-Models",
    measures=(
        "Whether a model answers two yes/no questions on each picture, one whose answer is yes and"
        " one whose answer is no. A task's score is 100 · (share of right answers + share of"
        " pictures with both answers right). Existence, count, position and colour are the tasks"
        " on hallucination. Alignment papers report it to show that short answers did not suffer."
    ),
    leaves_out=(
        "Free text. Totals add up tasks of 20 to 200 pictures with equal weight, so that a task of"
        " 20 pictures moves a total as much as one of 200: look at the intervals."
    ),
    data=(
        "On request from the authors (see their repository), for research only: 1,187 pictures,"
        " 2,374 questions. Its export lmms-lab/MME, as JSON lines or a table without pictures, can"
        " be given as `questions`."
    ),
    prompt='The question, which ends with "Please answer yes or no."',
    judge="",
    variants={
        "official": Variant(
            "As the published eval_tool/calculation.py counts: the answer is what its first four"
            " letters hold, yes before no; all else is neither, which is wrong.",
            official=True,
        ),
        "strict": Variant(
            "The first word where it is yes or no, otherwise the only one of the two in the answer."
        ),
    },
    inputs={
        "responses": InputSpec(
            "A folder in the form of eval_tool, a file TASK.txt for each task with lines `image TAB"
            " question TAB truth TAB answer`; or rows with `question_id` (TASK/IMAGE), the"
            " question, the answer, and its `label` unless --questions has it"
        ),
        "questions": InputSpec(
            "Rows with `question_id` (TASK/IMAGE), `question` and `answer` (yes or no); to ask a"
            " model, and for responses that do not bring the truth",
            required=False,
        ),
    },
    metrics={
        "perception": MetricSpec("Sum of the scores of ten tasks", "higher", "points 0-2000"),
        "cognition": MetricSpec("Sum of the scores of four tasks", "higher", "points 0-800"),
        "score/*": MetricSpec(
            "100 · (accuracy + accuracy_plus) of a task; n: pictures", "higher", "points 0-200"
        ),
        "accuracy": MetricSpec("Right answers of all; neither yes nor no is wrong", "higher"),
        "accuracy_plus": MetricSpec("Pictures with both answers right", "higher"),
        "yes_ratio": MetricSpec("Answers read as yes; half are true", "neither"),
        "unknown_ratio": MetricSpec("Answers read as neither yes nor no", "lower"),
    },
    faults=(
        KnownFault(
            "Four letters decide",
            '"Not sure" and "Know that …" are read as no, "The answer is yes." as neither',
            "strict: neither, neither, yes",
        ),
        KnownFault(
            "A line of other than four fields is printed and left out",
            "An answer with a tab or a line end in it: its picture still counts in accuracy_plus,"
            " the answer in nothing",
            "both variants: such lines are reported, and nothing is scored",
        ),
        KnownFault(
            "Pairs are made by place",
            "Any two lines in a row are one picture, whatever their image",
            "both variants: pairs are made by image, and a picture without its two answers is"
            " reported",
        ),
    ),
    references=(
        ReferenceResult("LLaVA-1.5-7B", {"perception": 1510.7}, _ZOO),
        ReferenceResult("LLaVA-1.5-13B", {"perception": 1531.3}, _ZOO),
        ReferenceResult(
            "InternLM-XComposer-VL-7B",
            {
                "perception": 1528.4488795518207,
                "cognition": 391.07142857142856,
                "score/existence": 190.0,
                "score/count": 158.33333333333331,
                "score/position": 126.66666666666666,
                "score/color": 165.0,
            },
            "InternLM/InternLM-XComposer, eval_mm/mme/MME_Bench.md",
        ),
    ),
    presets={
        "llava": Preset(
            "haotian-liu/LLaVA docs/Evaluation.md: greedy", SHORT_ANSWER, 0.0, 1.0, 128
        ),
        "plain": Preset("The question as it stands, greedy", max_new_tokens=128),
    },
)
