"""What the cells of every study share: a base, scenes by seed, and how judgements are collected."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from veridical import recipes as shipped
from veridical.benchmarks.world.items import WorldItem, build_world_benchmark
from veridical.evaluation.world import evaluate_world
from veridical.files import JsonObject, hash_folder
from veridical.models.loading import VisionLanguageModel, load_model
from veridical.records import write_records
from veridical.studies.collection import collect_corrections
from veridical.world.base import WORLD_MODEL, base_model_path
from veridical.world.people.person import PersonModel
from veridical.world.scenes import IMAGE_PIXELS

Work = Callable[[Path, Mapping[str, Path]], None]
"""What a cell does: fills its folder, given the folders of its needs by name."""


class Bench(NamedTuple):
    """The base model, and the scenes that the policies of each training seed are measured on."""

    base: str
    """The model that is aligned: "world", or a folder."""
    seed: int
    """Root seed of all scenes."""
    test_scenes: int
    """Unseen scenes that a policy describes; every training seed has its own."""
    probe_scenes: int
    """How many of them are probed with yes/no questions."""
    questions_per_type: int = 0
    """MMHal-style questions of each type."""
    pixels: int = IMAGE_PIXELS
    """Resolution of all pictures."""

    @property
    def base_path(self) -> str:
        """Folder of the base."""
        return str(base_model_path()) if self.base == WORLD_MODEL else self.base

    def settings(self) -> JsonObject:
        """What decides the results of every cell.

        The base's weights, not its name, are among it, and the recipes that all arms start from.
        """
        weights = hash_folder(self.base_path, pattern="*.safetensors")
        recipes = hash_folder(Path(shipped.__file__).parent, pattern="*-world.toml")
        return {**self._asdict(), "base": weights, "recipes": recipes, "scenes": "by seed"}

    def seed_of(self, number: int) -> int:
        """Root seed of what a training seed learns from and chooses checkpoints on."""
        return self.seed + 1 + number

    def items(self, number: int) -> list[WorldItem]:
        """What the policies of a training seed are asked.

        Test scenes are drawn anew for every training seed, with ids of their own, so that the
        spread over seeds includes the spread over scenes.
        """
        return build_world_benchmark(
            self.seed,
            f"test-{number}",
            n_scenes=self.test_scenes,
            n_probe_scenes=self.probe_scenes,
            n_per_type=self.questions_per_type,
            pixels=self.pixels,
        )

    def measure(self, vlm: VisionLanguageModel, folder: Path, *, number: int) -> None:
        """Ask a seed's policy everything, and leave answers and metrics in a cell's folder."""
        evaluate_world(vlm, self.items(number), seed=self.seed, out=folder)

    def measuring_base(self, number: int) -> Work:
        """The work of a cell that measures the base on a seed's scenes."""

        def work(folder: Path, _needs: Mapping[str, Path]) -> None:
            self.measure(load_model(self.base_path), folder, number=number)

        return work

    def correcting(
        self,
        sizes: tuple[int, ...],
        *,
        person: PersonModel,
        number: int,
        temperature: float,
    ) -> Work:
        """The work of a cell that collects corrections, and keeps the first so many for each size.

        Args:
            sizes: How many corrections, several times; see `part`.
            person: Who corrects.
            number: The training seed.
            temperature: Sampling temperature of the responses.
        """

        def work(folder: Path, _needs: Mapping[str, Path]) -> None:
            collected = collect_corrections(
                load_model(self.base_path),
                folder,
                count=max(sizes),
                split="train",
                seed=self.seed_of(number),
                temperature=temperature,
                person=person,
                pixels=self.pixels,
            )
            for size in sizes:
                write_records(part(folder, size), collected.corrections[:size], kind="Correction")

        return work


def part(folder: Path, size: int) -> Path:
    """The file of the first so many judgements of a cell."""
    return folder / f"first-{size}.jsonl"
