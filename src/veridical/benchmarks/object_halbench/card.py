"""The facts about Object HalBench that a reader needs."""

from veridical.scoring.protocol import (
    Card,
    InputSpec,
    KnownFault,
    MetricSpec,
    Preset,
    ReferenceResult,
    Variant,
)

IMAGES = 300
"""Images of Object HalBench."""

_TABLE = "RLHF-V (arXiv 2312.00849), table 1"


def _paper(model: str, response: float, mention: float, source: str = _TABLE) -> ReferenceResult:
    return ReferenceResult(
        model, {"response_hallucination": response, "mention_hallucination": mention}, source
    )


CARD = Card(
    title="Object HalBench",
    paper=(
        "Yu et al. 2023 (RLHF-V), arXiv 2312.00849; RLHF-V/RLHF-V and RLHF-V/RLAIF-V,"
        " eval_gpt_obj_halbench.py"
    ),
    measures=(
        "Which share of detailed descriptions of 300 COCO images, and of the objects in them, names"
        " an object of COCO's 80 kinds that is not there."
    ),
    leaves_out=(
        "All that CHAIR leaves out. The response rate is of responses that name an object of COCO's"
        " at all. Scores by two judges do not compare, nor do scores with and without a judge."
    ),
    data=(
        "Questions with images: obj_halbench_300_with_image.jsonl of RLHF-V/RLHF-V, eval/data (data"
        " CC BY-NC 4.0); truth: COCO's annotations_trainval2014.zip (CC BY 4.0). The judge's prompt"
        " stands in eval_gpt_obj_halbench.py; save it with its {question} and {answer} as a text"
        " file for --template."
    ),
    prompt=(
        "One of eight wordings of a request to describe the image in detail, fixed for each image."
    ),
    judge=(
        "gpt-3.5-turbo-0613 lists the objects of a response (text only, one system message);"
        " answers of three words or fewer have none."
    ),
    variants={
        "official": Variant(
            "As eval_gpt_obj_halbench.py with --use_gpt: a judge's names, made singular by spaCy's"
            " en_core_web_trf (on no package index; rows may bring the result), held against"
            " RLHF-V's list.",
            official=True,
        ),
        "no-llm": Variant(
            "The same script without --use_gpt: CHAIR's objhal reading of the text; repeated words"
            " count each time.",
            official=True,
        ),
        "veridical": Variant(
            "A judge's names read with CHAIR's veridical reading: no spaCy, all plurals, no lost"
            " names."
        ),
    },
    inputs={
        "responses": InputSpec(
            "JSON lines of `image_id`, `question` or `prompt`, `answer` or `text`, with what was"
            " extracted: `objs` (singular, official result), `extract_objs` (the judge's list) or"
            " `extraction` (its words)"
        ),
        "reference": InputSpec(
            "COCO's annotation folder (instances_*.json and captions_*.json), or JSON `{image_id:"
            " [objects]}`"
        ),
        "reviews": InputSpec(
            "Rows of `id` and `extraction`, as a judge's run writes them", required=False
        ),
        "questions": InputSpec(
            "The official question file: image ids of responses that bring none, by order; for"
            " `veridical evaluate`",
            required=False,
        ),
    },
    metrics={
        "response_hallucination": MetricSpec(
            "Responses with an object that is not there / responses with an object of COCO's"
            " (official: Response Hall, CHAIRs_refine)",
            "lower",
        ),
        "mention_hallucination": MetricSpec(
            "Objects that are not there / objects; each word once a response (official: Object"
            " Hall, CHAIRi)",
            "lower",
        ),
        "object_recall": MetricSpec(
            "Kinds of object named and there / kinds there, over all responses", "higher"
        ),
        "chair_s": MetricSpec("Responses with an object that is not there / responses", "lower"),
        "length": MetricSpec("Words per response, split at single blanks", "neither", unit="words"),
        "response_correct": MetricSpec("1 - response_hallucination", "higher"),
        "mention_correct": MetricSpec("1 - mention_hallucination", "higher"),
    },
    faults=(
        KnownFault(
            "Names must be in the list as they are",
            '"office chair" is not a chair and is not counted; "coffee table" is a table',
            "veridical: the name is read as text, so that its noun counts",
        ),
        KnownFault(
            "One object under two words is two mentions",
            '"man", "woman" and "people" in one response are three mentions of one kind',
            "none: the published numbers count so, and so do all variants here",
        ),
        KnownFault(
            "A failed judgement ends the script",
            "after 100 failed tries the text -1 is noted, on which an assertion fails",
            "every variant here: such responses are failed, left out and counted",
        ),
        KnownFault(
            '"coco_word_count" is not a denominator',
            "in the official output it is the number of right kinds, not of mentions",
            "every variant here: counts hold both (`coco_words`, `mentions`)",
        ),
        KnownFault(
            "Division by zero",
            "No response with an object of COCO's ends the script",
            "n = 0 is said instead",
        ),
    ),
    references=(
        _paper("LLaVA", 0.630, 0.295),
        _paper("Muffin", 0.505, 0.245),
        _paper("LRV", 0.323, 0.223),
        _paper("LLaVA-RLHF", 0.381, 0.189),
        _paper("InstructBLIP", 0.259, 0.143),
        _paper("Qwen-VL-Chat", 0.438, 0.200),
        _paper("LLaVA-1.5-13B", 0.463, 0.226),
        _paper("RLHF-V", 0.122, 0.075),
        _paper("GPT-4V", 0.136, 0.073),
        _paper(
            "RLAIF-V-7B",
            0.085,
            0.043,
            "RLAIF-V (arXiv 2405.17220), second hand; judge gpt-3.5-turbo",
        ),
    ),
    presets={
        "official": Preset("RLHF-V: the 300 questions as they stand; greedy.", max_new_tokens=1024)
    },
)
