"""CHAIR (Rohrbach et al., arXiv 1809.02156): which share of the objects that captions mention is not in the image.

    CHAIR_s = captions with an object that is not there / captions
    CHAIR_i = mentions of objects that are not there / mentions

What is there is known from COCO: outlined objects and those that any of five people named. What a caption mentions is
read from its words, which published code does in three ways whose numbers differ by up to 3 points.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from veridical.evaluation.benchmarks.chair_card import CARD
from veridical.evaluation.benchmarks.coco.captions import read_caption_rows
from veridical.evaluation.benchmarks.coco.careful import careful_reader
from veridical.evaluation.benchmarks.coco.mentions import Reader, official_reader
from veridical.evaluation.benchmarks.coco.reference import read_truth
from veridical.evaluation.benchmarks.coco.tagging import load_tagger
from veridical.evaluation.benchmarks.coco.tokens import VERSION
from veridical.evaluation.benchmarks.coco.vocabulary import word_list_version
from veridical.evaluation.benchmarks.protocol import Benchmark, Files, Loaded
from veridical.evaluation.benchmarks.rates import rate_metric
from veridical.evaluation.benchmarks.rows import Faults, field
from veridical.evaluation.statistics import clustered_ratios, mean_metric
from veridical.records import ItemScore, Metric


class ChairItem(NamedTuple):
    """One caption with what is in its image."""

    id: str
    """Id of the row; the image's where it has none."""
    image: str
    """Id of the image."""
    caption: str
    """What the model wrote."""
    truth: frozenset[str]
    """Kinds of object in the image."""


class Chair(Benchmark[list[ChairItem]]):
    """CHAIR from captions and COCO's annotations."""

    name = "chair"
    card = CARD

    def read(self, files: Files, *, variant: str) -> Loaded[list[ChairItem]]:
        """Read captions, and what is in their images as the variant reads COCO's own captions."""
        faults = Faults()
        rows = read_caption_rows(files.path("responses"), faults)
        known = len(faults.found)
        truth = read_truth(files.path("reference"), (row.image for row in rows), reader_of(variant), faults)
        readable = len(faults.found) == known
        items = []
        for row in rows:
            if readable and row.image not in truth:
                faults.add(row.row, f"image {row.image} is not in the reference. Give the reference of these images.")
            caption = field(row.row, ("caption", "text", "answer", "response"), str, faults, otherwise="")
            items.append(ChairItem(row.id, row.image, caption, truth.get(row.image, frozenset())))
        faults.stop()
        return Loaded(items, {"responses": len(rows), "reference": len(truth)})

    def score_items(self, items: list[ChairItem], *, variant: str) -> list[ItemScore]:
        """Find every caption's objects and hold them against the truth."""
        read = reader_of(variant)
        return [_score(item, read) for item in items]

    def aggregate(self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0) -> dict[str, Metric]:
        """Rates of captions and mentions; captions without an object stay in the denominator of CHAIR_s."""
        del variant
        return chair_metrics(scores, seed=seed)

    def count(self, scores: Sequence[ItemScore]) -> dict[str, int]:
        """Count mentions too."""
        names = ("mentions", "hallucinated", "found", "truth")
        return {**super().count(scores), **{name: int(_sum(scores, name)) for name in names}}

    def versions(self, *, variant: str) -> dict[str, str]:
        """The list of words, the tokeniser, and what makes words singular."""
        return reading_versions(variant)

    def warnings(self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str) -> tuple[str, ...]:
        """Say where CHAIR rewards saying little."""
        del metrics, variant
        notes = []
        silent = sum(score.values["mentions"] == 0 for score in scores)
        if scores and silent == len(scores):
            notes.append("No caption mentions an object: CHAIR_i is not defined, and CHAIR_s = 0 praises silence.")
        elif silent > 0.05 * len(scores):
            notes.append(f"{silent} of {len(scores)} captions mention no object; each counts as free of hallucination.")
        if scores and _sum(scores, "truth") and _sum(scores, "found") < 0.4 * _sum(scores, "truth"):
            notes.append("Less than 40 % of the objects are mentioned: compare only with models that say as much.")
        return tuple(notes)


def reader_of(variant: str) -> Reader:
    """What reads texts in a variant of CHAIR."""
    if variant == "veridical":
        return careful_reader()
    return official_reader("wordnet" if variant == "wordnet" else "objhal" if variant == "objhal" else "original")


def reading_versions(variant: str) -> dict[str, str]:
    """What a reading of texts rests on."""
    normalisers = {
        "original": "pattern 3.6 singularize, as a table",
        "wordnet": "WordNet 3.0 lemmas as nltk 3.9.1 finds them, as a table",
        "objhal": "WordNet 3.0 noun lemmas as nltk 3.9.1 finds them, as a table",
        "veridical": "plurals of the listed words",
    }
    versions = {"words": word_list_version(), "normaliser": normalisers[variant]}
    if variant == "wordnet":
        versions["tagger"] = load_tagger().version
    return versions | {"tokenizer": "veridical" if variant == "veridical" else VERSION}


def chair_metrics(scores: Sequence[ItemScore], *, seed: int) -> dict[str, Metric]:
    """CHAIR's metrics from items whose values hold mentions, hallucinated, found, truth and tokens."""
    clusters = [score.cluster for score in scores]

    def column(name: str) -> list[float]:
        return [score.values[name] for score in scores]

    ratios = {"chair_i": (column("hallucinated"), column("mentions")), "recall": (column("found"), column("truth"))}
    shares = clustered_ratios(ratios, clusters, bounds=(0.0, 1.0), seed=seed)
    hallucinating = [float(count > 0) for count in column("hallucinated")]
    return {
        "chair_s": rate_metric(hallucinating, clusters, seed=seed),
        **{name: shares[name].model_copy(update={"n": int(sum(ratios[name][1]))}) for name in ratios},
        "length": mean_by_cluster(column("tokens"), clusters, seed=seed),
    }


def mean_by_cluster(values: Sequence[float], clusters: Sequence[str], *, seed: int) -> Metric:
    """Mean with an interval: Student's where each item stands alone, else from whole clusters; n the items."""
    if len(set(clusters)) == len(values):
        return mean_metric(values)
    mean = clustered_ratios({"mean": (values, [1.0] * len(values))}, clusters, seed=seed)["mean"]
    return mean.model_copy(update={"n": len(values)})


def _score(item: ChairItem, read: Reader) -> ItemScore:
    mentions = read(item.caption)
    absent = [word for word, kind in zip(mentions.words, mentions.objects, strict=True) if kind not in item.truth]
    told = ", ".join(dict.fromkeys(mentions.objects))
    return ItemScore(
        id=item.id,
        cluster=item.image,
        status="scored" if item.caption.strip() else "empty",
        parsed=f"{told} · not there: {', '.join(absent)}" if absent else told,
        values={
            "mentions": float(len(mentions.objects)),
            "hallucinated": float(len(absent)),
            "found": float(len(item.truth & set(mentions.objects))),
            "truth": float(len(item.truth)),
            "tokens": float(mentions.length),
        },
    )


def _sum(scores: Sequence[ItemScore], name: str) -> float:
    return sum(score.values[name] for score in scores)
