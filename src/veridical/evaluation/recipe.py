"""The recipe of `veridical evaluate`: which models are measured on which benchmarks, and how."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from veridical.benchmarks.judged import JudgedBenchmark
from veridical.config import Recipe
from veridical.errors import ConfigError
from veridical.evaluation.engines.settings import EngineSettings
from veridical.judges.settings import JudgeSettings
from veridical.names import name_problem, safe_name
from veridical.scoring.protocol import AnyBenchmark

_OWN_NAMES = frozenset(
    {"endpoint", "scores.json", "comparison.json", "recipe.toml", "manifest.json"}
)
"""What an evaluation writes into its folder in addition to a folder per model."""


class ModelSettings(EngineSettings):
    """A model: a checkpoint, an adapter on one, or what a server runs."""

    name: str = ""
    """Its name in tables and its folder in `out`. Empty: the last part of the adapter or model."""

    @property
    def label(self) -> str:
        """Its name in tables and folders."""
        return self.name or safe_name(Path(self.adapter or self.model).name, otherwise="model")

    @model_validator(mode="after")
    def _has_a_name(self) -> Self:
        _check_name(self.name)
        return self


class BenchmarkSettings(Recipe):
    """A benchmark with its data, and how models are asked."""

    benchmark: str = Field(min_length=1)
    """Which one; `veridical score list` names them."""
    name: str = ""
    """Its name in tables and folders, for instance "pope-random". Empty: the benchmark's name."""
    questions: Path | None = None
    """The file of questions, where the benchmark has one."""
    reference: Path | None = None
    """What is true: the file or folder that the benchmark reads."""
    images: Path | None = None
    """Folder of the images. None: the folder of the questions or reference."""
    images_outside: bool = False
    """Accept links in that folder to images outside of it."""
    variants: tuple[str, ...] = ()
    """Ways of counting. Empty: the benchmark's first."""
    options: dict[str, str] = Field(default_factory=dict)
    """What else the benchmark lets one set, for instance task = "generative"."""
    preset: str = ""
    """How models are asked, by whose settings. Empty: the benchmark's first preset."""
    templates: tuple[str, ...] = ()
    """Words around the question ("{question}"), several to see how much they matter. Empty: the
    preset's."""
    temperature: float | None = Field(default=None, ge=0)
    """Sampling temperature in place of the preset's; 0 is greedy."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Sample from the smallest set of tokens that holds this much probability, in place of the
    preset's."""
    max_new_tokens: int | None = Field(default=None, ge=1)
    """Longest answer in place of the preset's."""
    judge: JudgeSettings | None = None
    """The judge at an endpoint, for benchmarks that have one."""
    world_items: Path | None = None
    """Items of the embedded world (items.jsonl), whose exact judge then rates in place of an
    endpoint."""

    @property
    def label(self) -> str:
        """Its name in tables and folders."""
        return self.name or safe_name(self.benchmark, otherwise="benchmark")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        _check_name(self.name)
        for template in self.templates:
            if "{question}" not in template:
                raise ValueError(f'each of `templates` must hold "{{question}}", got {template!r}')
        if self.judge is not None and self.world_items is not None:
            raise ValueError("`judge` and `world_items` are two judges: keep one")
        return self


class EvaluateRecipe(Recipe):
    """Which models are measured on which benchmarks; each model answers each of them."""

    models: tuple[ModelSettings, ...] = Field(min_length=1)
    """The models; the others are compared with the first."""
    benchmarks: tuple[BenchmarkSettings, ...] = Field(min_length=1)
    """The benchmarks."""
    out: Path
    """Folder for answers, scores, cards, `scores.json` and `comparison.json`. What is there already
    is not made again."""
    compare_with: Path | None = None
    """Folder of an earlier evaluation: its first run on each benchmark is what the models are
    compared with, paired by item, in place of the first model."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Seeds of the sampling, several to see how much chance matters; greedy answers are made
    once."""
    seed: int = Field(default=0, ge=0)
    """Root seed of intervals and tests."""
    batch_size: int = Field(default=16, ge=1)
    """Prompts at a time."""
    save_every: int = Field(default=256, ge=1)
    """Prompts between two saves; sampled answers depend on it, since each shard has a seed of its
    own."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        labels = [model.label for model in self.models]
        _check_different("models", labels)
        _check_different("benchmarks", [benchmark.label for benchmark in self.benchmarks])
        taken = next((label for label in labels if _folded(label) in _OWN_NAMES), None)
        if taken is not None:
            raise ValueError(f"a model cannot be called {taken!r}: the evaluation writes that")
        return self


def _check_name(name: str) -> None:
    problem = name_problem(name) if name else None
    if problem:
        raise ValueError(
            f"choose another `name`: it names a folder too, and {name!r} cannot, since {problem}"
        )


def _check_different(what: str, labels: Sequence[str]) -> None:
    """Names that differ only in case are one folder on some systems."""
    folded = [_folded(label) for label in labels]
    doubles = sorted({label for label in labels if folded.count(_folded(label)) > 1})
    if doubles:
        raise ValueError(
            f"two of `{what}` are called {', '.join(doubles)}: give each a `name` of its own"
        )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def choose_variants(settings: BenchmarkSettings, benchmark: AnyBenchmark) -> tuple[str, ...]:
    """The variants that are asked for, else the benchmark's first.

    Raises:
        ConfigError: The benchmark has none of this name, or a judge is missing.
    """
    known = benchmark.card.variants
    variants = settings.variants or (next(iter(known)),)
    unknown = [variant for variant in variants if variant not in known]
    if unknown:
        raise ConfigError(
            f"{settings.benchmark!r} has no variant {unknown[0]!r}. It has: {', '.join(known)}."
        )
    judged = any(needs_judge(benchmark, variant) for variant in variants)
    if judged and settings.judge is None and settings.world_items is None:
        without = benchmark.without_judge if isinstance(benchmark, JudgedBenchmark) else ()
        way_out = f", or count without one: variants = {', '.join(sorted(without))}."
        raise ConfigError(
            f"{settings.label!r} needs a judge. Add a table `judge` with the endpoint's `url`,"
            f" `model` and `cache`{way_out if without else '.'}"
        )
    return variants


def needs_judge(benchmark: AnyBenchmark, variant: str) -> bool:
    """Whether a variant is counted by what a judge says."""
    return isinstance(benchmark, JudgedBenchmark) and variant not in benchmark.without_judge
