"""The facts about AMBER."""

from veridical.scoring.protocol import (
    SHORT_ANSWER,
    Card,
    InputSpec,
    KnownFault,
    MetricSpec,
    OptionSpec,
    Preset,
    ReferenceResult,
    Variant,
)

_README = "AMBER repository, README_File/result.jpg"


def _reference(model: str, *values: float) -> ReferenceResult:
    names = ("chair", "cover", "hal", "cog", "accuracy", "precision", "recall", "f1")
    rates = {name: round(value / 100, 3) for name, value in zip(names, values[:-1], strict=True)}
    return ReferenceResult(model, {**rates, "amber_score": values[-1]}, _README)


CARD = Card(
    title="AMBER",
    paper="Wang et al. 2023, arXiv 2311.07397; junyangwang0410/AMBER",
    measures=(
        "Descriptions of 1,004 images against annotated words of what is there and of what people"
        " expect to be imagined; and 14,216 yes/no questions on existence, attributes (state,"
        " number, action) and relations."
    ),
    leaves_out=(
        "Words outside of its lexicon of about 340 with their relatives: nothing is hallucinated"
        " that AMBER does not know. Attributes and relations in descriptions. All existence"
        " questions are about absent objects: who always says no is perfect there, and two thirds"
        " of all true answers are no; look at the yes ratio."
    ),
    data=(
        "https://github.com/junyangwang0410/AMBER (Apache-2.0), folder data; images are linked"
        " there."
    ),
    prompt=(
        '"Describe this image."; questions as they stand in data/query, answered by exactly "Yes"'
        ' or "No".'
    ),
    judge="",
    variants={
        "official": Variant(
            "As inference.py: denominators that begin at 0.001, rounding to 0.1 %, F1 of rounded"
            " values; an answer that is not exactly Yes or No is wrong.",
            official=True,
        ),
        "corrected": Variant(
            "Exact ratios; yes and no are read in any case and punctuation; descriptions in lower"
            " case; a true word annotated twice counts once."
        ),
    },
    inputs={
        "responses": InputSpec(
            "JSON array or JSON lines of `id`, `response`; a description may bring its `nouns`"
        ),
        "reference": InputSpec(
            "Folder with annotations.json, relation.json, safe_words.txt, and query/ (which"
            " question is about which image; without it intervals are too narrow)"
        ),
    },
    metrics={
        "chair": MetricSpec("Nouns that are not there / nouns that AMBER knows", "lower"),
        "cover": MetricSpec("True words named / true words", "higher"),
        "hal": MetricSpec("Descriptions with a noun that is not there / descriptions", "lower"),
        "cog": MetricSpec(
            "Named words that people expect to be imagined / all such words", "lower"
        ),
        "accuracy": MetricSpec(
            "Right answers / questions; also by dimension: accuracy/existence …", "higher"
        ),
        "precision": MetricSpec('Right "no" / "no" said; also by dimension', "higher"),
        "recall": MetricSpec(
            'Right "no" / questions whose truth is no; also by dimension', "higher"
        ),
        "f1": MetricSpec("Harmonic mean of the two; also by dimension", "higher"),
        "yes_ratio": MetricSpec("Yes said / questions; a third of the truth is yes", "neither"),
        "amber_score": MetricSpec(
            "(100 − chair + F1) / 2, both in percent", "higher", "points 0-100"
        ),
    },
    faults=(
        KnownFault(
            "Denominators begin at 0.001",
            "1 of 5 is 1 / 5.001; what was never asked is 0.0",
            "corrected: n = 0 is said",
        ),
        KnownFault(
            "F1 of rounded values", "with 0.0001 below, but 0.001 for existence", "corrected: exact"
        ),
        KnownFault(
            '"Yes." is not an answer',
            "everything but exactly Yes and No is wrong",
            "corrected: reads it",
        ),
        KnownFault(
            "Words annotated twice",
            "in 14 images a word stands twice and can be covered once",
            "corrected: once",
        ),
        KnownFault(
            "Case is kept",
            '"Dog" at the start of a sentence is not in the lexicon',
            "corrected: lower case",
        ),
        KnownFault(
            "An empty description is free of hallucination",
            "hal 0 for a model that says nothing",
            "a note; see cover",
        ),
    ),
    references=(
        _reference("LLaVA-1.5", 7.8, 51.0, 36.4, 4.2, 72.0, 93.2, 62.4, 74.7, 83.5),
        _reference("mPLUG-Owl2", 10.6, 52.0, 39.9, 4.5, 75.6, 95.0, 66.9, 78.5, 84.0),
        _reference("InstructBLIP", 8.8, 52.2, 38.2, 4.4, 76.5, 84.5, 79.0, 81.7, 86.5),
        _reference("Qwen-VL", 5.5, 49.4, 23.6, 1.9, 81.2, 90.8, 79.7, 84.9, 89.7),
        _reference("GPT-4V", 4.6, 67.1, 30.7, 2.6, 83.4, 84.9, 90.1, 87.4, 91.4),
    ),
    options={
        "task": OptionSpec("Which half.", "all", ("all", "generative", "discriminative")),
        "nouns": OptionSpec(
            "Who finds the nouns of rows that bring none: nltk as the official code, AMBER's own"
            " lexicon, or a file of `id`, `nouns`; auto takes nltk where it is installed with its"
            " data.",
            "auto",
            ("auto", "nltk", "lexicon"),
            kind="file",
        ),
        "similarity": OptionSpec(
            "How alike two words are: by spaCy's en_core_web_lg as the official code, only if they"
            " are equal, or by a file of `a`, `b`, `similarity`; auto takes spaCy where it is"
            " installed.",
            "auto",
            ("auto", "spacy", "exact"),
            kind="file",
        ),
        "threshold": OptionSpec(
            "Two words are the same above this likeness.", "0.8", kind="number"
        ),
    },
    presets={
        "official": Preset("AMBER: the queries as they stand; greedy.", max_new_tokens=512),
        "short": Preset(
            "Questions ask for Yes or No in LLaVA's words, so that the official variant can read"
            " them; for the task discriminative only.",
            template=SHORT_ANSWER,
            max_new_tokens=16,
        ),
    },
)
