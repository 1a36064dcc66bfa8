"""The facts about CHAIR that a reader needs."""

from veridical.benchmarks.coco.captions import DESCRIBE
from veridical.scoring.protocol import (
    Card,
    InputSpec,
    KnownFault,
    MetricSpec,
    OptionSpec,
    Preset,
    ReferenceResult,
    Variant,
)

CARD = Card(
    title="CHAIR",
    paper="Rohrbach et al. 2018, arXiv 1809.02156; LisaAnne/Hallucination",
    measures=(
        "Which share of the objects that captions mention is not in the image, over COCO's 80 kinds"
        " of object."
    ),
    leaves_out=(
        "Numbers, colours, places, actions, and all objects outside COCO's 80 kinds. A model that"
        " says little scores well: read it next to recall and length. Objects that no annotator"
        " outlined or named count as invented."
    ),
    data=(
        "http://images.cocodataset.org/annotations/annotations_trainval2014.zip (annotations CC BY"
        " 4.0): the folder with instances_{train,val}2014.json and captions_{train,val}2014.json."
        " Images: COCO val2014; papers on large models take 500 of them, each its own 500."
    ),
    prompt=(
        f'"{DESCRIBE}" in most papers on large models, with at most 512 new tokens (64 in some:'
        " CHAIR grows with length). The original scores captions of captioning models."
    ),
    judge="",
    variants={
        "original": Variant(
            "As LisaAnne/Hallucination chair.py: singular by pattern's singularize.", official=True
        ),
        "wordnet": Variant(
            "As OPERA's chair.py, which most papers since use: nltk's part of speech, then"
            " WordNet's lemma.",
            official=True,
        ),
        "objhal": Variant(
            "As RLHF-V's Object HalBench without a judge: WordNet's lemma as a noun, refined list"
            " of words.",
            official=True,
        ),
        "veridical": Variant(
            "Same kinds and words, read with care: all plurals, parted words, denied objects,"
            " colours, whole phrases."
        ),
    },
    inputs={
        "responses": InputSpec(
            "Rows of `image_id` (or `image`, its file) and `caption`, in the original's `imgToEval`"
            " or OPERA's `sentences` too"
        ),
        "reference": InputSpec(
            "COCO's annotation folder (instances_*.json and captions_*.json), JSON `{image_id:"
            " [objects]}`, or OPERA's `chair.pkl`"
        ),
        "questions": InputSpec(
            "For `veridical evaluate`: rows of `image_id` and `image` (its file); else all images"
            " of a JSON reference",
            required=False,
        ),
    },
    metrics={
        "chair_s": MetricSpec("Captions with an object that is not there / captions", "lower"),
        "chair_i": MetricSpec(
            "Mentions of objects that are not there / mentions, each time they are said", "lower"
        ),
        "recall": MetricSpec(
            "Kinds of object mentioned and there / kinds there, over all images", "higher"
        ),
        "length": MetricSpec(
            "Tokens per caption, signs included (veridical: words); OPERA's `Len` is a hundredth"
            " of it",
            "neither",
            unit="tokens",
        ),
    },
    faults=(
        KnownFault(
            '"bus" is never found',
            'pattern makes "bu" of "bus", "ty" of "ties", "cano" of "canoes": "A bus is parked."'
            " mentions nothing. LLaVA-1.5-7B, 500 captions: CHAIR_i 12.78 → 12.65 % with bus alone"
            " fixed, 48 more mentions",
            "veridical (and wordnet, objhal): bus",
        ),
        KnownFault(
            '"men" are nobody',
            'WordNet leaves "men" as it is, which is not in the list; "women" are found (wordnet,'
            " objhal). InstructBLIP-7B, 500 captions, objhal: CHAIR_i 22.89 → 22.67 %",
            "veridical: persons",
        ),
        KnownFault(
            "Blanks in the list",
            '" motor bike" and " cheesecake" carry a blank and match nothing; "motor bikes" are'
            " lost. LLaVA-1.5-7B: CHAIR_i 12.78 → 12.76 %",
            "objhal and veridical: found",
        ),
        KnownFault(
            "Joined words",
            '"a cat.The dog" holds one word "cat.the"; "pizza/pizzas" too. InstructBLIP-7B: CHAIR_s'
            " 57.2 → 58.0 %, CHAIR_i 22.71 → 23.06 %",
            "veridical: parted",
        ),
        KnownFault(
            "Denial counts as mention",
            '"There is no dog." mentions a dog. LLaVA-1.5-7B with OPERA, veridical without and with'
            " denial: CHAIR_s 44.2 → 43.8 %, CHAIR_i 12.69 → 12.55 %",
            "veridical: no mention",
        ),
        KnownFault(
            "Words with other meanings",
            'an orange cat mentions an orange, "the bow of the ship" a tie, "a ski slope" skis, "a'
            ' train car" a car. With all faults fixed, InstructBLIP-7B, original to veridical:'
            " CHAIR_s 57.2 → 55.8 %, CHAIR_i 22.71 → 22.36 %; most of it are oranges",
            "veridical: read as phrases, as far as they are listed",
        ),
        KnownFault(
            "A toilet takes all seats away",
            'with "toilet" in a caption every "seat" is dropped',
            "veridical: only its own",
        ),
        KnownFault(
            "The tokeniser's version moves the number",
            "nltk 3.10 splits opening single quotes and long dashes: CHAIR_i 8.58 against 8.60 on"
            " 300 captions",
            "every variant: nltk 3.9.1's tokens, written out and so the same everywhere",
        ),
        KnownFault(
            "Division by zero",
            "A model that never names an object ends the script",
            "n = 0 is said instead",
        ),
    ),
    references=(
        ReferenceResult(
            "LLaVA-1.5-7B, OPERA decoding",
            {"chair_s": 0.446, "chair_i": 0.128},
            "OPERA's table as quoted in zjunlp/Deco issue 6; recomputed from the released captions",
            "wordnet",
        ),
        ReferenceResult(
            "LLaVA-1.5-7B, 5 beams",
            {"chair_s": 0.488, "chair_i": 0.139},
            "OPERA (table remembered); recomputed from the released captions",
            "wordnet",
        ),
        ReferenceResult(
            "InstructBLIP-7B, greedy",
            {"chair_s": 0.588, "chair_i": 0.237},
            "OPERA (table remembered); recomputed from the released captions",
            "wordnet",
        ),
        ReferenceResult(
            "InstructBLIP-7B, OPERA decoding",
            {"chair_s": 0.464, "chair_i": 0.142},
            "OPERA (table remembered); recomputed from the released captions",
            "wordnet",
        ),
    ),
    presets={
        "opera": Preset("OPERA and most papers since: 512 new tokens; greedy.", max_new_tokens=512),
        "short": Preset("64 new tokens, as some papers report too; greedy.", max_new_tokens=64),
    },
    options={
        "words": OptionSpec(
            "The words that name objects: COCO's, or a file in the form of CHAIR's synonyms (a line"
            " a kind, plurals listed), for pictures of other things; then the variants do not"
            " differ.",
            "coco",
            ("coco",),
            kind="file",
        ),
    },
)
