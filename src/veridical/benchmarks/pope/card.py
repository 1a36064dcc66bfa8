"""The facts about POPE, from which its page in the docs is made."""

from typing import Literal

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

_BETTER: dict[str, Literal["higher", "lower", "neither"]] = {
    "accuracy": "higher",
    "precision": "higher",
    "recall": "higher",
    "f1": "higher",
    "yes_ratio": "neither",
    "unknown_ratio": "lower",
}
_HA_DPO = "HA-DPO repository, llava-v1_5/README.md"

CARD = Card(
    title="POPE",
    paper="Li et al. 2023, arXiv 2305.10355; RUCAIBox/POPE",
    measures=(
        "Whether a model says yes or no rightly when asked for one object, on three choices of"
        " absent objects: random, popular, and adversarial (those that often occur with the"
        " present ones)."
    ),
    leaves_out=(
        "Free descriptions: a model may answer every question rightly and still invent objects"
        " when it describes. Nothing but the presence of objects is asked. About 6 questions"
        " share an image."
    ),
    data=(
        "Questions: https://github.com/RUCAIBox/POPE (MIT), folder output/coco; the nine files"
        " of COCO, A-OKVQA and GQA: https://github.com/DAMO-NLP-SG/VCD (Apache-2.0),"
        " experiments/data/POPE. Give one file, or a folder with one file per split. Images: COCO"
        " val2014 and GQA."
    ),
    prompt=(
        '"Is there a snowboard in the image?"; LLaVA adds "Answer the question using a single'
        ' word or phrase."'
    ),
    judge="",
    variants={
        "official": Variant(
            "As RUCAIBox/POPE evaluate.py reads: what holds no no is a yes.", official=True
        ),
        "strict": Variant(
            "The first word, or else the only one of yes and no in the answer, in any case and"
            " punctuation. All else is unknown: wrong, no yes, and counted apart."
        ),
        "vlmevalkit": Variant(
            "As VLMEvalKit's YOrN_Extraction reads: exactly one of the words yes and no; else"
            " unknown and wrong.",
            official=True,
        ),
        "lmms-eval": Variant(
            "As lmms-eval reads: exactly yes or no. All else is wrong for accuracy and left out"
            " of precision, recall and F1; its yes ratio is that of the truth, not of the"
            " answers.",
            official=True,
        ),
    },
    inputs={
        "responses": InputSpec(
            "Rows of `question_id` (where there is one) and `answer` or `text`; matched by id where"
            " both files have ids, by order otherwise. LLaVA's one file for three splits (ids from"
            " 1, 10,000,001 and 20,000,001) is taken apart by its prompts"
        ),
        "questions": InputSpec(
            "Rows of `question_id`, `image`, `text`, `label` (yes or no), for several splits with"
            " `category`; or a folder with one such file per split"
        ),
    },
    metrics={
        "accuracy": MetricSpec("Right answers / questions", "higher"),
        "precision": MetricSpec("Right yes / yes said", "higher"),
        "recall": MetricSpec("Right yes / questions whose truth is yes", "higher"),
        "f1": MetricSpec("Harmonic mean of precision and recall", "higher"),
        "yes_ratio": MetricSpec("Yes said / questions; about half of the truth is yes", "neither"),
        "unknown_ratio": MetricSpec(
            "Answers from which the variant reads neither yes nor no / questions; official"
            " reads all",
            "lower",
        ),
        **{
            f"{name}/*": MetricSpec("The same over one of several splits", better)
            for name, better in _BETTER.items()
        },
    },
    faults=(
        KnownFault('"not" is a no', '"I am not sure" counts as no', "strict: unknown"),
        KnownFault("Case and punctuation", '"NO", "No!" and "**No**" count as yes', "strict: no"),
        KnownFault(
            "Paired by order",
            "2,910 answers to 3,000 questions are cut to 2,910 pairs, most of them wrong,"
            " without a word",
            "every variant here: ids where both sides have them; unequal lengths are an error",
        ),
        KnownFault(
            "Division by zero",
            "A model that never says yes, or never rightly, ends the script",
            "every variant here: the ratio is 0 with n = 0",
        ),
        KnownFault(
            "Several files of one name",
            "COCO random has 3,000 questions, or 2,910 in an older split; VCD's files hold"
            ' other absent objects; 57 texts of VCD\'s adversarial file say "imange"',
            "the questions' hash is kept with the score; texts are never compared, only ids",
        ),
        KnownFault(
            "lmms-eval: yes ratio of the truth",
            "An always-yes model on balanced questions is said to answer yes in half of the cases",
            "every other variant: of the answers",
        ),
    ),
    references=(
        ReferenceResult(
            "LLaVA-1.5-7B, COCO random",
            {
                "accuracy": 0.8960,
                "precision": 0.8877,
                "recall": 0.9066,
                "f1": 0.8970,
                "yes_ratio": 0.5106,
            },
            _HA_DPO,
        ),
        ReferenceResult(
            "LLaVA-1.5-7B, COCO popular",
            {
                "accuracy": 0.8620,
                "precision": 0.8323,
                "recall": 0.9066,
                "f1": 0.8679,
                "yes_ratio": 0.5446,
            },
            _HA_DPO,
        ),
        ReferenceResult(
            "LLaVA-1.5-7B, COCO adversarial",
            {
                "accuracy": 0.7976,
                "precision": 0.7443,
                "recall": 0.9066,
                "f1": 0.8175,
                "yes_ratio": 0.6090,
            },
            _HA_DPO,
        ),
        ReferenceResult(
            "LLaVA-1.5-7B, COCO random of VCD, greedy",
            {
                "accuracy": 0.8700,
                "precision": 0.9664,
                "recall": 0.7667,
                "f1": 0.8550,
                "yes_ratio": 0.3967,
            },
            "computed by this code from the answers in ustc-hyin/cd_rethink",
        ),
        *(
            ReferenceResult(
                f"{model}, mean of three COCO splits",
                {"f1": f1},
                "haotian-liu/LLaVA MODEL_ZOO.md",
            )
            for model, f1 in (
                ("LLaVA-1.5-7B", 0.859),
                ("LLaVA-1.5-13B", 0.859),
                ("LLaVA-1.6-vicuna-7B", 0.865),
                ("LLaVA-1.6-vicuna-13B", 0.862),
                ("LLaVA-1.6-mistral-7B", 0.867),
                ("LLaVA-1.6-34B", 0.877),
            )
        ),
    ),
    presets={
        "plain": Preset("RUCAIBox/POPE: the question alone; greedy.", max_new_tokens=64),
        "llava-1.5": Preset(
            "LLaVA, docs/Evaluation.md: short answer asked for; greedy.",
            template=SHORT_ANSWER,
            max_new_tokens=128,
        ),
        "llava-rlhf": Preset(
            "LLaVA-RLHF, Eval/eval_scripts/eval_pope.sh: short answer asked for, sampled at"
            " 0.2. (Its shell passes a backslash and an n in place of the line break; here it"
            " is a line break.)",
            template=SHORT_ANSWER,
            temperature=0.2,
            max_new_tokens=64,
        ),
    },
)
