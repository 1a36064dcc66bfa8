"""Over-generalisation (RLHF-V, arXiv 2312.00849): are typical objects invented in a scene?

    H_a = responses that mention a typical object which is not there / responses that mention it,
    all images H_s = the same, images that show the scene
    Δ   = H_s - H_a

Each is averaged over the scene's objects, and Δ over the scenes. `context_rates` does the sums, as
for the world.
"""

from collections.abc import Mapping, Sequence

from veridical.benchmarks.coco.captions import caption_prompts, read_captions
from veridical.benchmarks.coco.readings import reader_of, reading_versions
from veridical.benchmarks.coco.reference import listed_images, read_truth
from veridical.benchmarks.coco.scenes import (
    SceneFile,
    Typical,
    read_scene_file,
    read_typical,
    scenes_in_captions,
)
from veridical.benchmarks.over_generalisation.card import CARD, TYPICAL
from veridical.benchmarks.over_generalisation.counting import (
    SceneItem,
    by_name,
    count_images,
    layout_of,
    score_item,
)
from veridical.records import ItemScore, Metric
from veridical.scoring.answers import Answers
from veridical.scoring.measures import Tested
from veridical.scoring.protocol import Benchmark, BenchmarkPrompt, Files, Loaded
from veridical.scoring.rows import Faults
from veridical.statistics.context_rates import compare_contexts, measure_contexts

_FEW = 30
"""Mentions in a scene below which its rate is called of little use."""


class OverGeneralisation(Benchmark[list[SceneItem]]):
    """RLHF-V's table from captions, COCO's annotations and scenes."""

    name = "over-generalisation"
    card = CARD
    answer_field = "caption"

    def questions(self, files: Files) -> list[BenchmarkPrompt]:
        """A description of each image of the rows, or else of the JSON reference."""
        faults = Faults()
        given = self._scene_file(files, self._typical(faults), faults)
        if given is not None and given.rows is not None:
            rows = [(one.image, one.row.values) for one in given.rows]
        else:
            rows = [(image, {}) for image in listed_images(files.path("reference"), faults)]
        faults.stop()
        return caption_prompts(rows)

    def read(self, files: Files, *, variant: str) -> Loaded[list[SceneItem]]:
        """Read captions, what is in their images, and which scenes those show."""
        del variant
        faults = Faults()
        rows = read_captions(files, faults)
        images = {row.image for row in rows}
        known = len(faults.found)
        typical = self._typical(faults)
        reference = files.path("reference")
        truth = read_truth(reference, images, reader_of(self.options["reading"]), faults)
        given = self._scene_file(files, typical, faults)
        scenes = scenes_in_captions(reference, typical, images) if given is None else given.scenes
        readable = len(faults.found) == known
        if (
            readable
            and files.questions is not None
            and rows
            and not any(scenes.get(image) for image in images)
        ):
            faults.add_file(
                files.questions,
                "no response is of an image of a scene. Give the scenes of these images.",
            )
        answers = Answers([row.row for row in rows], files, faults)
        items = []
        for row in rows:
            if readable and row.image not in truth:
                faults.add(
                    row.row,
                    f"image {row.image} is not in the reference. Give the reference of these"
                    " images.",
                )
            if (
                readable
                and given is not None
                and given.rows is not None
                and row.image not in scenes
            ):
                faults.add(
                    row.row,
                    f"image {row.image} is not among the questions. Add its row; scene null for"
                    " none.",
                )
            caption = answers.of(row.row)
            there, shown = truth.get(row.image, frozenset()), scenes.get(row.image, frozenset())
            items.append(SceneItem(row.id, row.image, caption, there, shown, typical))
        faults.stop()
        counts = {"responses": len(rows), "reference": len(truth)}
        counts |= {} if files.questions is None else {"questions": len(scenes)}
        return Loaded(items, counts, tuple(faults.notes))

    def score_items(self, items: list[SceneItem], *, variant: str) -> list[ItemScore]:
        """Find each caption's scenes, and the typical objects it mentions rightly or wrongly."""
        del variant
        read = reader_of(self.options["reading"])
        return [score_item(item, frozenset(read(item.caption).objects)) for item in items]

    def aggregate(
        self, scores: Sequence[ItemScore], *, variant: str, seed: int = 0
    ) -> dict[str, Metric]:
        """Rates and gaps of each scene and their means; n counts mentions."""
        layout = layout_of(scores)
        table = measure_contexts(
            count_images(scores, layout), seed=seed, pooled=variant == "pooled"
        )
        return by_name(table, layout)

    def differences(
        self, first: Sequence[ItemScore], second: Sequence[ItemScore], *, variant: str, seed: int
    ) -> dict[str, Tested]:
        """All rates and gaps, tested by swapping images between the runs."""
        layout = layout_of([*first, *second])
        pooled = variant == "pooled"
        counts = count_images(first, layout), count_images(second, layout)
        one, two = (
            by_name(measure_contexts(each, seed=seed, pooled=pooled, resamples=1), layout)
            for each in counts
        )
        found = by_name(compare_contexts(*counts, seed=seed, pooled=pooled), layout)
        return {
            name: Tested(one[name].value, two[name].value, difference, "images")
            for name, difference in found.items()
            if difference.n and one[name].n and two[name].n
        }

    def count(self, scores: Sequence[ItemScore]) -> dict[str, int]:
        """Count responses about each scene too."""
        shown = {
            scene: int(sum(score.values[scene] for score in scores)) for scene in layout_of(scores)
        }
        return {
            **super().count(scores),
            **{f"responses/{scene}": count for scene, count in shown.items()},
        }

    def versions(self, *, variant: str) -> dict[str, str]:
        """What captions are read by, and where the typical objects are from."""
        del variant
        listed = (
            "file"
            if "objects" in self.option_files()
            else "RLHF-V, the six a scene that are printed"
        )
        return {**reading_versions(self.options["reading"]), "objects": listed}

    def warnings(
        self, scores: Sequence[ItemScore], metrics: Mapping[str, Metric], *, variant: str
    ) -> tuple[str, ...]:
        """Say which scenes have no rate, and which rest on little."""
        del variant
        if not scores:
            return ()
        mentions = {scene: metrics[f"h_s/{scene}"].n for scene in layout_of(scores)}
        without = [scene for scene, n in mentions.items() if n == 0]
        few = [f"{scene} ({n})" for scene, n in mentions.items() if 0 < n < _FEW]
        notes = []
        if len(without) == len(mentions):
            notes.append(
                "No response about a scene mentions an object that is typical of it: nothing was"
                " measured."
            )
        elif without:
            notes.append(
                f"No typical object is mentioned in: {', '.join(without)}. The means are of the"
                " other scenes."
            )
        if few:
            notes.append(
                f"Few mentions of typical objects, little can be said of: {', '.join(few)}."
            )
        return tuple(notes)

    def _typical(self, faults: Faults) -> Typical:
        path = self.option_files().get("objects")
        return dict(TYPICAL) if path is None else read_typical(path, faults)

    def _scene_file(self, files: Files, typical: Typical, faults: Faults) -> SceneFile | None:
        """The scenes of the questions; None where COCO's captions say so."""
        if files.questions is not None:
            return (
                read_scene_file(files.questions, typical, faults)
                if typical
                else SceneFile({}, None)
            )
        reference = files.path("reference")
        if not reference.is_dir():
            faults.add_file(
                reference,
                "does not say which images show which scene. Name a file that does: --questions; or"
                " COCO's folder as --reference, whose captions say so.",
            )
        return None
