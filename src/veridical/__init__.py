"""Veridical teaches vision-language models to say only what is in the picture.

Everything public stands in this one namespace. A name is imported from its home when it is first
used, so that `import veridical` is instant and needs no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veridical.config import load_recipe as load_recipe
    from veridical.errors import ConfigError as ConfigError
    from veridical.errors import DataError as DataError
    from veridical.errors import MissingPackageError as MissingPackageError
    from veridical.errors import ModelError as ModelError
    from veridical.errors import StorageError as StorageError
    from veridical.errors import VeridicalError as VeridicalError
    from veridical.evaluation.generate import GenerateRecipe as GenerateRecipe
    from veridical.evaluation.generate import generate as generate
    from veridical.evaluation.recipe import EvaluateRecipe as EvaluateRecipe
    from veridical.evaluation.run import evaluate as evaluate
    from veridical.feedback.segments import find_segments as find_segments
    from veridical.formats.corrections import import_corrections as import_corrections
    from veridical.models.branches import BranchBatch as BranchBatch
    from veridical.models.branches import score_branches as score_branches
    from veridical.models.generation import generate_responses as generate_responses
    from veridical.models.loading import VisionLanguageModel as VisionLanguageModel
    from veridical.models.loading import load_model as load_model
    from veridical.records import Comparison as Comparison
    from veridical.records import Conversation as Conversation
    from veridical.records import Correction as Correction
    from veridical.records import Difference as Difference
    from veridical.records import Facts as Facts
    from veridical.records import ImageRef as ImageRef
    from veridical.records import Manifest as Manifest
    from veridical.records import Metric as Metric
    from veridical.records import Prompt as Prompt
    from veridical.records import Rating as Rating
    from veridical.records import Response as Response
    from veridical.records import Segment as Segment
    from veridical.records import Turn as Turn
    from veridical.records import read_records as read_records
    from veridical.records import write_records as write_records
    from veridical.rewards.model import RewardModel as RewardModel
    from veridical.rewards.queries import RewardQuery as RewardQuery
    from veridical.studies.demo.run import DemoRecipe as DemoRecipe
    from veridical.studies.demo.run import run_demo as run_demo
    from veridical.training.ppo.config import PpoRecipe as PpoRecipe
    from veridical.training.ppo.train import train_ppo as train_ppo
    from veridical.training.preference.config import PreferenceRecipe as PreferenceRecipe
    from veridical.training.preference.train import train_dpo as train_dpo
    from veridical.training.reward.config import RewardRecipe as RewardRecipe
    from veridical.training.reward.report import train_reward as train_reward
    from veridical.training.sft.config import SftRecipe as SftRecipe
    from veridical.training.sft.train import train_sft as train_sft

    __version__: str

_HOMES = {
    "veridical.config": ("load_recipe",),
    "veridical.errors": (
        "ConfigError",
        "DataError",
        "MissingPackageError",
        "ModelError",
        "StorageError",
        "VeridicalError",
    ),
    "veridical.evaluation.generate": ("GenerateRecipe", "generate"),
    "veridical.evaluation.recipe": ("EvaluateRecipe",),
    "veridical.evaluation.run": ("evaluate",),
    "veridical.feedback.segments": ("find_segments",),
    "veridical.formats.corrections": ("import_corrections",),
    "veridical.models.branches": ("BranchBatch", "score_branches"),
    "veridical.models.generation": ("generate_responses",),
    "veridical.models.loading": ("VisionLanguageModel", "load_model"),
    "veridical.records": (
        "Comparison",
        "Conversation",
        "Correction",
        "Difference",
        "Facts",
        "ImageRef",
        "Manifest",
        "Metric",
        "Prompt",
        "Rating",
        "Response",
        "Segment",
        "Turn",
        "read_records",
        "write_records",
    ),
    "veridical.rewards.model": ("RewardModel",),
    "veridical.rewards.queries": ("RewardQuery",),
    "veridical.studies.demo.run": ("DemoRecipe", "run_demo"),
    "veridical.training.ppo.config": ("PpoRecipe",),
    "veridical.training.ppo.train": ("train_ppo",),
    "veridical.training.preference.config": ("PreferenceRecipe",),
    "veridical.training.preference.train": ("train_dpo",),
    "veridical.training.reward.config": ("RewardRecipe",),
    "veridical.training.reward.report": ("train_reward",),
    "veridical.training.sft.config": ("SftRecipe",),
    "veridical.training.sft.train": ("train_sft",),
}
"""Where each public name lives; a test holds this table and the imports above together."""

__all__ = ["__version__", *(n for names in _HOMES.values() for n in names)]  # noqa: PLE0604 (they are strings)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from veridical.records.manifests import installed_version

        value: Any = installed_version("veridical") or "unknown"
    else:
        home = next((home for home, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module 'veridical' has no attribute {name!r}")
        value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
