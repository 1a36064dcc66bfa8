"""CHAIR (Rohrbach et al., arXiv 1809.02156): the share of mentioned objects that are not there.

    CHAIR_s = captions with an object that is not there / captions
    CHAIR_i = mentions of objects that are not there / mentions

What is there is known from COCO: outlined objects and those that any of five people named. What a
caption mentions is read from its words, which published code does in three ways whose numbers
differ by up to 3 points.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from veridical.benchmarks.chair.card import CARD
from veridical.benchmarks.coco.captions import caption_prompts, read_caption_rows, read_captions
from veridical.benchmarks.coco.mentions import Reader
from veridical.benchmarks.coco.readings import (
    own_words_reader,
    read_own_words,
    reader_of,
    reading_versions,
)
from veridical.benchmarks.coco.reference import listed_images, read_truth
from veridical.benchmarks.coco.tokens import VERSION
from veridical.benchmarks.coco.totals import column, metrics_of, object_measures
from veridical.records import ItemScore, Metric
from veridical.scoring.answers import Answers
from veridical.scoring.measures import Measure
from veridical.scoring.protocol import Benchmark, BenchmarkPrompt, Files, Loaded
from veridical.scoring.rows import Faults


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
    answer_field = "caption"

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """A description of each image of the questions, or else of the reference."""
        faults = Faults()
        if files.questions is not None:
            rows = [
                (one.image, one.row.values) for one in read_caption_rows(files.questions, faults)
            ]
        else:
            rows = [(image, {}) for image in listed_images(files.path("reference"), faults)]
        faults.stop()
        return caption_prompts(rows)

    def read(self, files: Files, *, variant: str) -> Loaded[list[ChairItem]]:
        """Read captions, and what is in their images as the variant reads COCO's own captions."""
        faults = Faults()
        rows = read_captions(files, faults)
        known = len(faults.found)
        own = self._own_words(faults)
        truth = read_truth(
            files.path("reference"),
            (row.image for row in rows),
            self._reader(variant, own),
            faults,
            kinds=set(own.values()) if own else None,
            variant=variant,
        )
        answers = Answers([row.row for row in rows], files, faults)
        readable = len(faults.found) == known
        items = []
        for row in rows:
            if readable and row.image not in truth:
                faults.add(
                    row.row,
                    f"image {row.image} is not in the reference. Give the reference of these"
                    " images.",
                )
            there = truth.get(row.image, frozenset())
            items.append(ChairItem(row.id, row.image, answers.of(row.row), there))
        faults.stop()
        counts = {"responses": len(rows), "reference": len(truth)}
        return Loaded(items, counts, tuple(faults.notes))

    def score_items(self, items: list[ChairItem], *, variant: str) -> list[ItemScore]:
        """Find every caption's objects and compare them with the truth."""
        read = self._reader(variant, self._own_words(Faults()))
        return [_score(item, read) for item in items]

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """Rates of captions and mentions; CHAIR_s counts captions without an object too."""
        return metrics_of(self.measures(scores, variant=variant), seed=seed)

    def measures(self, scores: Sequence[ItemScore], *, variant: str) -> dict[str, Measure]:
        """All metrics as sums over captions."""
        del variant
        measures = object_measures(scores)
        return {name: measures[name] for name in ("chair_s", "chair_i", "recall", "length")}

    def count(self, scores: Sequence[ItemScore]) -> dict[str, int]:
        """Count mentions too."""
        names = ("mentions", "hallucinated", "found", "truth")
        return {**super().count(scores), **{name: int(sum(column(scores, name))) for name in names}}

    def versions(self, *, variant: str) -> dict[str, str]:
        """The list of words, the tokeniser, and what makes words singular."""
        if "words" in self.option_files():
            return {
                "words": "file",
                "normaliser": "none: the words as they are listed",
                "tokenizer": VERSION,
            }
        return reading_versions(variant)

    def _own_words(self, faults: Faults) -> dict[str, str]:
        """The words of the option, empty where it names no file."""
        path = self.option_files().get("words")
        return {} if path is None else read_own_words(path, faults)

    def _reader(self, variant: str, own: dict[str, str]) -> Reader:
        return own_words_reader(own) if own else reader_of(variant)

    def warnings(
        self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str
    ) -> tuple[str, ...]:
        """Say where CHAIR rewards saying little."""
        del variant
        notes = []
        silent = sum(score.values["mentions"] == 0 for score in scores)
        if scores and silent == len(scores):
            notes.append(
                "No caption mentions an object: CHAIR_i is not defined, and CHAIR_s = 0 praises"
                " silence."
            )
        elif silent > 0.05 * len(scores):
            notes.append(
                f"{silent} of {len(scores)} captions mention no object; each counts as free of"
                " hallucination."
            )
        if metrics["recall"].n and metrics["recall"].value < 0.4:
            notes.append(
                "Less than 40 % of the objects are mentioned: compare only with models that say as"
                " much."
            )
        return tuple(notes)


def _score(item: ChairItem, read: Reader) -> ItemScore:
    mentions = read(item.caption)
    absent = [
        word
        for word, kind in zip(mentions.words, mentions.objects, strict=True)
        if kind not in item.truth
    ]
    found = ", ".join(dict.fromkeys(mentions.objects))
    return ItemScore(
        id=item.id,
        cluster=item.image,
        status="scored" if item.caption.strip() else "empty",
        parsed=f"{found} · not there: {', '.join(absent)}" if absent else found,
        values={
            "mentions": float(len(mentions.objects)),
            "hallucinated": float(len(absent)),
            "found": float(len(item.truth & set(mentions.objects))),
            "truth": float(len(item.truth)),
            "tokens": float(mentions.length),
        },
    )
