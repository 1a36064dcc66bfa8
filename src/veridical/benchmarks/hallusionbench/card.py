"""The facts about HallusionBench that a reader needs."""

from veridical.scoring.protocol import (
    Card,
    InputSpec,
    KnownFault,
    MetricSpec,
    Preset,
    ReferenceResult,
    Variant,
)

QUESTIONS = 1129
"""Rows of the published file."""

_README = "tianyi-lab/HallusionBench README, judged by GPT-4"
_TABLE = {
    "GPT-4V": (0.2879, 0.3988, 0.7560, 0.3767, 0.6528),
    "LLaVA-1.5": (0.1055, 0.2486, 0.4967, 0.2977, 0.4694),
    "Qwen-VL": (0.0593, 0.0665, 0.3143, 0.2488, 0.3915),
    "InstructBLIP": (0.0945, 0.1011, 0.3560, 0.4512, 0.4526),
    "mPLUG-Owl2": (0.1385, 0.1994, 0.4484, 0.3907, 0.4730),
    "MiniGPT-4": (0.0879, 0.1012, 0.3187, 0.2767, 0.3578),
}

CARD = Card(
    title="HallusionBench",
    paper="Guan et al. 2023, arXiv 2310.14566; tianyi-lab/HallusionBench",
    measures=(
        "Whether a model answers yes/no questions by what a figure shows rather than by what it"
        " expects, on figures in original and altered form, and whether it is consistent."
    ),
    leaves_out=(
        "Free descriptions; photographs (most figures are charts, maps, tables and illusions). Its"
        " three accuracies rest on the same 1,129 answers; figures of one set are alike, so that"
        " intervals resample sets."
    ),
    data=(
        "https://github.com/tianyi-lab/HallusionBench (BSD-3): figures and HallusionBench.json"
        " (`questions` of `veridical evaluate`). The judge's prompt stands in utils.py,"
        " evaluate_by_chatgpt: save it with `{}` for question, reference answer and prediction, and"
        " without a line end after its last word, as a text file for --template."
    ),
    prompt=(
        "The question, with its figure where there is one; 178 questions are asked without any"
        " image."
    ),
    judge=(
        "GPT-4 in the original: does the prediction conflict with the reference answer; its word"
        " stands in `gpt4v_output_gpt_check`. A judge named here is asked the same. The original's"
        " second call, whether two answers agree (`same`), is not made: without it some errors are"
        " left out of the kinds of error. yes-no and lmms-eval need no judge."
    ),
    variants={
        "official": Variant(
            "As tianyi-lab/HallusionBench counts from the judge's check.", official=True
        ),
        "strict": Variant(
            'The same from one clear word of the judge ("correct", "incorrect", "unclear"); reviews'
            " without one are left out. Rows that bring a check count as officially."
        ),
        "yes-no": Variant(
            "No judge: the first word where it is yes or no, else the only one of the two in the"
            " answer; neither or both is unclear, which is right only where there is no figure."
        ),
        "lmms-eval": Variant(
            'As lmms-eval counts: the answer is yes where it contains "yes", also within a word,'
            " else no; figures include questions without a figure.",
            official=True,
        ),
    },
    inputs={
        "responses": InputSpec(
            "JSON array of the official rows: `category`, `subcategory`, `set_id`, `figure_id`,"
            " `question_id`, `visual_input`, `gt_answer`, `model_prediction`,"
            " `gpt4v_output_gpt_check` (official and strict, without --reviews), and `same` where"
            " the kind of an error matters; a judge also reads `question` and `gt_answer_details`;"
            " or a folder that veridical generate wrote"
        ),
        "questions": InputSpec(
            "The official `HallusionBench.json`: needed where `--responses` is such a folder",
            required=False,
        ),
        "reviews": InputSpec(
            "Rows of `id` and `review`, as a judge's run writes them; they override the rows' own"
            " checks",
            required=False,
        ),
    },
    metrics={
        "a_acc": MetricSpec("Right answers / questions", "higher"),
        "q_acc": MetricSpec("Questions right with every figure / questions", "higher"),
        "f_acc": MetricSpec(
            "Figures with every question right / figures; VS without figure left out", "higher"
        ),
        "a_acc/*": MetricSpec("The three by category, VD and VS", "higher"),
        "easy_a_acc": MetricSpec("q_acc over original figures, and none", "higher"),
        "hard_a_acc": MetricSpec("q_acc over altered figures", "higher"),
        "figures_inconsistent": MetricSpec(
            "Figures with some questions right, some wrong", "lower"
        ),
        "figures_wrong": MetricSpec("Figures with no question right", "lower"),
        "figure_score": MetricSpec("Mean over figures of the share of questions right", "higher"),
        "yes_difference": MetricSpec(
            "Share of yes said minus share of yes true, in [-1, 1]", "neither", "rate"
        ),
        "fp_ratio": MetricSpec(
            "Wrong answers whose truth is 'no' / wrong answers; 0.5 is unbiased", "neither"
        ),
        "error/language": MetricSpec(
            "Errors that ignore the figure (LH) / errors of known kind", "neither"
        ),
        "error/vision": MetricSpec(
            "Errors that misread the figure (VI) / errors of known kind", "neither"
        ),
        "error/mixed": MetricSpec("Errors that may be either / errors of known kind", "neither"),
    },
    faults=(
        KnownFault(
            '"not correct" is correct',
            'A review counts as right where it holds "correct" and not "incorrect": so do "It is'
            ' not correct." and "Is it correct? Unclear."',
            'strict: one of the three words alone, without a "not"',
        ),
        KnownFault(
            "Division by zero",
            "A model without an error ends the script",
            "here the shares of errors are 0 with n = 0",
        ),
        KnownFault(
            "Unclear counted as the opposite",
            'The share of yes takes an unclear answer for "yes" where no is true, and for "no"'
            " where yes is",
            "none: kept, since published numbers rest on it",
        ),
        KnownFault(
            '"easy aAcc" is not an accuracy per answer',
            "The columns of easy and hard questions count questions right with every figure",
            "none: kept; said in the metric's meaning",
        ),
        KnownFault(
            'lmms-eval: "yes" within a word',
            '"eyes" and "yesterday" count as yes',
            "yes-no: whole words; official: the judge's check",
        ),
    ),
    references=tuple(
        ReferenceResult(
            model, dict(zip(("q_acc", "f_acc", "easy_a_acc", "hard_a_acc", "a_acc"), row)), _README
        )
        for model, row in _TABLE.items()
    ),
    presets={
        "plain": Preset("The question alone, as the original asks; greedy."),
        "yes-no": Preset(
            "Ours, for the variants without a judge: asks for yes or no.",
            template="{question}\nAnswer yes or no.",
            max_new_tokens=32,
        ),
    },
)
