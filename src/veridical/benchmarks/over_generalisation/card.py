"""The facts about RLHF-V's table of over-generalisation that a reader needs."""

from veridical.scoring.protocol import (
    Card,
    InputSpec,
    MetricSpec,
    OptionSpec,
    Preset,
    ReferenceResult,
    Variant,
)

TYPICAL = {
    "living room": ("book", "person", "bed", "chair", "couch", "remote"),
    "kitchen": ("bottle", "bowl", "cup", "person", "chair", "knife"),
    "bathroom": ("toilet", "sink", "bottle", "toothbrush", "person", "cup"),
    "street": ("person", "car", "motorcycle", "traffic light", "handbag", "truck"),
}
"""Typical objects by scene: of the ten that are most frequent in COCO, the six that the paper
prints."""

READINGS = ("objhal", "original", "wordnet", "veridical")
"""How captions are read: CHAIR's variants, RLHF-V's own first."""


def _paper(
    model: str, mean: float, *rows: tuple[float, float, float]
) -> tuple[ReferenceResult, ReferenceResult]:
    """A line of the table: gaps and rates in percent, scenes in the order of `TYPICAL`."""
    gaps, rates = {"over_generalisation": round(mean / 100, 4)}, dict[str, float]()
    for scene, (everywhere, inside, gap) in zip(TYPICAL, rows, strict=True):
        gaps[f"over_generalisation/{scene}"] = round(gap / 100, 4)
        rates |= {
            f"h_a/{scene}": round(everywhere / 100, 4),
            f"h_s/{scene}": round(inside / 100, 4),
        }
    source = "RLHF-V (arXiv 2312.00849), table 2: ten objects per scene, 300 images"
    return ReferenceResult(model, gaps, source, "macro"), ReferenceResult(
        model, rates, source, "macro"
    )


CARD = Card(
    title="Over-generalisation",
    paper="Yu et al. 2023, arXiv 2312.00849, table 2; its code was not released",
    measures=(
        "Whether a model imagines objects because a scene suggests them: how much more often the"
        " typical objects of a scene are hallucinated in descriptions of that scene (H_s) than in"
        " all descriptions (H_a)."
    ),
    leaves_out=(
        "Everything but the typical objects. A model that never names them has no rate. One that"
        " hallucinates the same everywhere has a gap of 0, however much that is: read it with H_a"
        " and CHAIR. Of 300 images few show any one scene: look at n and at the interval. The"
        " published table takes ten objects per scene, prints six of them, and does not say"
        " over what it divides; here it is over responses that mention the object, which alone fits"
        " the published numbers. Compare with it in kind, not to the digit."
    ),
    data=(
        "Annotations as for CHAIR:"
        " http://images.cocodataset.org/annotations/annotations_trainval2014.zip (CC BY 4.0). The"
        " paper takes Object HalBench's 300 images and says that an image shows a scene if its"
        " captions in COCO contain the scene's name."
    ),
    prompt="A detailed description of each image.",
    judge="",
    variants={
        "macro": Variant(
            "Hallucinated / mentioned for each object, then the mean over objects that are"
            " mentioned."
        ),
        "pooled": Variant(
            "Hallucinated / mentioned over all objects of the scene together: frequent ones count"
            " more."
        ),
    },
    inputs={
        "responses": InputSpec(
            "JSON, JSON lines or CHAIR's `imgToEval`: rows of `image_id` and `caption` (or `text`,"
            " `answer`)"
        ),
        "reference": InputSpec(
            "COCO's annotation folder (instances_*.json and captions_*.json), or JSON `{image_id:"
            " [objects]}`"
        ),
        "questions": InputSpec(
            "Which images show which scene: JSON `{scene: [image_ids]}`, or rows of `image_id` and"
            " `scene` (a text, a list, or null), perhaps `image` (its file). Without it: by COCO's"
            " captions, where the reference is the folder. For `veridical evaluate` it, or a JSON"
            " reference with it, names the images to describe",
            required=False,
        ),
    },
    metrics={
        "h_a": MetricSpec("H_a, mean over the scenes whose objects are mentioned in them", "lower"),
        "h_s": MetricSpec("H_s, mean over the same scenes", "lower"),
        "over_generalisation": MetricSpec(
            "Δ = H_s - H_a, mean over the same scenes", "lower", unit="in [-1, 1]"
        ),
        "h_a/*": MetricSpec(
            "Typical objects of the scene: responses that mention it although it is not there /"
            " responses that mention it, over all images; n counts mentions",
            "lower",
        ),
        "h_s/*": MetricSpec("The same over images that show the scene", "lower"),
        "over_generalisation/*": MetricSpec("H_s - H_a of the scene", "lower", unit="in [-1, 1]"),
    },
    references=(
        *_paper(
            "LLaVA-1.5",
            9.2,
            (25.2, 41.8, 16.6),
            (18.9, 23.9, 5.0),
            (22.4, 30.4, 8.0),
            (20.6, 28.0, 7.4),
        ),
        *_paper(
            "LLaVA-RLHF",
            5.2,
            (23.7, 34.5, 10.8),
            (13.1, 17.4, 4.3),
            (18.2, 19.5, 1.4),
            (18.3, 22.7, 4.4),
        ),
        *_paper(
            "Qwen-VL-Chat",
            5.0,
            (24.5, 34.5, 10.0),
            (16.4, 20.8, 4.4),
            (21.6, 17.5, -4.1),
            (22.5, 32.0, 9.5),
        ),
        *_paper("RLHF-V", 1.7, (5.5, 8.0, 2.5), (3.8, 5.9, 2.1), (4.1, 4.0, -0.1), (2.3, 4.6, 2.3)),
        *_paper(
            "GPT-4V", 5.0, (8.2, 19.4, 11.2), (4.6, 5.7, 1.1), (5.9, 13.3, 7.5), (4.2, 4.6, 0.4)
        ),
    ),
    presets={
        "object-halbench": Preset(
            "The length of RLHF-V's answers to Object HalBench; greedy.", max_new_tokens=1024
        )
    },
    options={
        "reading": OptionSpec(
            "How captions are read for objects: as CHAIR's variant of that name; objhal has"
            " RLHF-V's list of words. The paper lets a language model list the objects.",
            READINGS[0],
            READINGS,
        ),
        "objects": OptionSpec(
            "Scenes and their typical objects: the six that the paper prints for each of its four"
            " scenes, or a JSON file `{scene: [objects]}` with COCO's names, for other scenes or"
            " all ten objects.",
            "published",
            ("published",),
            kind="file",
        ),
    },
)
