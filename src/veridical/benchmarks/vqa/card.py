"""The facts about VQAv2, from which its page in the docs is made."""

from veridical.scoring.protocol import (
    Card,
    InputSpec,
    KnownFault,
    MetricSpec,
    ReferenceResult,
    Variant,
)

_ZOO = "test-dev, haotian-liu/LLaVA MODEL_ZOO.md"
_RLHF_V = "test-dev, RLHF-V Table 1"

CARD = Card(
    title="VQAv2",
    paper=(
        "Goyal et al. 2017, arXiv 1612.00837; accuracy: Antol et al. 2015, arXiv 1505.00468;"
        " GT-Vision-Lab/VQA"
    ),
    measures=(
        "Whether short answers agree with those of ten people. Alignment papers report it to"
        " show that a model did not get worse at what it could."
    ),
    leaves_out=(
        "Whole sentences: an answer counts only where it equals a person's, word for word. It"
        " says nothing of what a model invents when it describes. Annotations of test-dev are"
        " not public: only its server scores it."
    ),
    data=(
        "https://visualqa.org/download.html (annotations CC BY 4.0; images COCO). Use"
        " validation questions where you score yourself."
    ),
    prompt='The question; LLaVA adds "Answer the question using a single word or phrase."',
    judge="",
    variants={
        "official": Variant(
            "As GT-Vision-Lab/VQA vqaEval.py counts, faults included.", official=True
        ),
        "normalized": Variant(
            "Both sides always normalised, as LAVIS, mmf and lmms-eval do; one person left out"
            " by place."
        ),
    },
    inputs={
        "responses": InputSpec("JSON array, or JSON lines, of `question_id` and `answer`"),
        "reference": InputSpec(
            "The official annotations: `annotations` with `question_id`, `image_id`,"
            " `question_type`, `answer_type` and `answers` (each with `answer`, `answer_id`)"
        ),
        "questions": InputSpec(
            "The official questions, to check that nothing is left out, and to ask a model",
            required=False,
        ),
    },
    metrics={
        "accuracy": MetricSpec("Mean over questions of agreement with people, in [0, 1]", "higher"),
        "accuracy/*": MetricSpec(
            "The same over one answer type (yes/no, number, other) or question type", "higher"
        ),
    },
    faults=(
        KnownFault(
            "Normalised only where people disagree",
            'All ten said "yes" and the model "Yes": accuracy 0',
            "normalized: 1",
        ),
        KnownFault(
            "Equal entries left out together",
            "Annotations without `answer_id`: ten times the same right answer, accuracy 0",
            "normalized: one person is left out at a time",
        ),
        KnownFault(
            "A look-behind that never looks",
            'Full stops go unless a digit follows ("5." becomes "5"), whatever stands before;'
            " at most 32 go",
            "none: both variants keep it, since published numbers rest on it",
        ),
    ),
    references=(
        ReferenceResult("LLaVA-1.5-7B", {"accuracy": 0.785}, _ZOO),
        ReferenceResult("LLaVA-1.5-13B", {"accuracy": 0.800}, _ZOO),
        ReferenceResult("LLaVA-1.6-vicuna-7B", {"accuracy": 0.818}, _ZOO),
        ReferenceResult("LLaVA-1.6-vicuna-13B", {"accuracy": 0.828}, _ZOO),
        ReferenceResult("LLaVA-1.6-34B", {"accuracy": 0.837}, _ZOO),
        ReferenceResult("Qwen-VL-Chat", {"accuracy": 0.795}, _RLHF_V),
        ReferenceResult("RLHF-V", {"accuracy": 0.800}, _RLHF_V),
    ),
)
