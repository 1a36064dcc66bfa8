"""Veridical teaches vision-language models to say only what is in the picture.

Everything public is in this one namespace; each verb of the command line is a function here. A name
is imported from its home when it is first used, so that `import veridical` is instant and needs no
torch.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from veridical.benchmarks.world.files import write_world_benchmarks as write_world_benchmarks
    from veridical.errors import ConfigError as ConfigError
    from veridical.errors import DataError as DataError
    from veridical.errors import MissingPackageError as MissingPackageError
    from veridical.errors import ModelError as ModelError
    from veridical.errors import StorageError as StorageError
    from veridical.errors import VeridicalError as VeridicalError
    from veridical.evaluation.generate import GenerateRecipe as GenerateRecipe
    from veridical.evaluation.generate import generate as generate
    from veridical.evaluation.judging import judge_and_score as judge_and_score
    from veridical.evaluation.judging import judge_at_endpoint as judge_at_endpoint
    from veridical.evaluation.recipe import EvaluateRecipe as EvaluateRecipe
    from veridical.evaluation.run import evaluate as evaluate
    from veridical.feedback.datasets import check_dataset as check_dataset
    from veridical.feedback.datasets import dataset_statistics as dataset_statistics
    from veridical.feedback.datasets import export_dataset as export_dataset
    from veridical.feedback.datasets import find_dataset as find_dataset
    from veridical.feedback.segments import find_segments as find_segments
    from veridical.formats.importing import import_dataset as import_dataset
    from veridical.judges.settings import JudgeSettings as JudgeSettings
    from veridical.models.branches import BranchBatch as BranchBatch
    from veridical.models.branches import score_branches as score_branches
    from veridical.models.checks.model import check_model as check_model
    from veridical.models.generation import generate_responses as generate_responses
    from veridical.models.loading import VisionLanguageModel as VisionLanguageModel
    from veridical.models.loading import load_model as load_model
    from veridical.records import BenchmarkScore as BenchmarkScore
    from veridical.records import Comparison as Comparison
    from veridical.records import Conversation as Conversation
    from veridical.records import Correction as Correction
    from veridical.records import Difference as Difference
    from veridical.records import Facts as Facts
    from veridical.records import ImageRef as ImageRef
    from veridical.records import ItemScore as ItemScore
    from veridical.records import Manifest as Manifest
    from veridical.records import Mark as Mark
    from veridical.records import Marking as Marking
    from veridical.records import Metric as Metric
    from veridical.records import Prompt as Prompt
    from veridical.records import Rating as Rating
    from veridical.records import Response as Response
    from veridical.records import Segment as Segment
    from veridical.records import Turn as Turn
    from veridical.records import read_records as read_records
    from veridical.records import write_records as write_records
    from veridical.report.runs import write_report as write_report
    from veridical.rewards.best_of_n import rejection_sample as rejection_sample
    from veridical.rewards.best_of_n import sample_and_reward as sample_and_reward
    from veridical.rewards.model import RewardModel as RewardModel
    from veridical.rewards.protocol import Candidate as Candidate
    from veridical.rewards.protocol import RewardFunction as RewardFunction
    from veridical.rewards.queries import RewardQuery as RewardQuery
    from veridical.scoring.files import score as score
    from veridical.scoring.protocol import Benchmark as Benchmark
    from veridical.scoring.protocol import Files as Files
    from veridical.studies.demo.recipe import DemoRecipe as DemoRecipe
    from veridical.studies.demo.run import run_demo as run_demo
    from veridical.studies.fact_rlhf.recipe import FactRlhfRecipe as FactRlhfRecipe
    from veridical.studies.fact_rlhf.run import run_fact_rlhf as run_fact_rlhf
    from veridical.studies.reproduce.plan import Plan as Plan
    from veridical.studies.reproduce.plan import load_plan as load_plan
    from veridical.studies.reproduce.run import Study as Study
    from veridical.studies.reproduce.run import reproduce as reproduce
    from veridical.studio.export.folder import export_studio as export_studio
    from veridical.studio.opening import open_studio as open_studio
    from veridical.studio.serving import serve_studio as serve_studio
    from veridical.studio.settings import StudioSettings as StudioSettings
    from veridical.studio.start import import_into_studio as import_into_studio
    from veridical.studio.start import init_studio as init_studio
    from veridical.training.opening import load_recipe as load_recipe
    from veridical.training.ppo.config import PpoRecipe as PpoRecipe
    from veridical.training.ppo.train import train_ppo as train_ppo
    from veridical.training.preference.config import PreferenceRecipe as PreferenceRecipe
    from veridical.training.preference.objectives.protocol import Objective as Objective
    from veridical.training.preference.objectives.protocol import PairLoss as PairLoss
    from veridical.training.preference.train import train_dpo as train_dpo
    from veridical.training.reward.config import RewardRecipe as RewardRecipe
    from veridical.training.reward.train import train_reward_model as train_reward_model
    from veridical.training.sft.config import SftRecipe as SftRecipe
    from veridical.training.sft.train import train_sft as train_sft
    from veridical.world.export import write_scenes as write_scenes
    from veridical.world.pretraining.recipe import PretrainRecipe as PretrainRecipe
    from veridical.world.pretraining.run import pretrain as pretrain

    __version__: str

_HOMES = {
    "veridical.benchmarks.world.files": ("write_world_benchmarks",),
    "veridical.errors": (
        "ConfigError",
        "DataError",
        "MissingPackageError",
        "ModelError",
        "StorageError",
        "VeridicalError",
    ),
    "veridical.evaluation.generate": (
        "GenerateRecipe",
        "generate",
    ),
    "veridical.evaluation.judging": (
        "judge_and_score",
        "judge_at_endpoint",
    ),
    "veridical.evaluation.recipe": ("EvaluateRecipe",),
    "veridical.evaluation.run": ("evaluate",),
    "veridical.feedback.datasets": (
        "check_dataset",
        "dataset_statistics",
        "export_dataset",
        "find_dataset",
    ),
    "veridical.feedback.segments": ("find_segments",),
    "veridical.formats.importing": ("import_dataset",),
    "veridical.judges.settings": ("JudgeSettings",),
    "veridical.models.branches": (
        "BranchBatch",
        "score_branches",
    ),
    "veridical.models.checks.model": ("check_model",),
    "veridical.models.generation": ("generate_responses",),
    "veridical.models.loading": (
        "VisionLanguageModel",
        "load_model",
    ),
    "veridical.records": (
        "BenchmarkScore",
        "Comparison",
        "Conversation",
        "Correction",
        "Difference",
        "Facts",
        "ImageRef",
        "ItemScore",
        "Manifest",
        "Mark",
        "Marking",
        "Metric",
        "Prompt",
        "Rating",
        "Response",
        "Segment",
        "Turn",
        "read_records",
        "write_records",
    ),
    "veridical.report.runs": ("write_report",),
    "veridical.rewards.best_of_n": (
        "rejection_sample",
        "sample_and_reward",
    ),
    "veridical.rewards.model": ("RewardModel",),
    "veridical.rewards.protocol": (
        "Candidate",
        "RewardFunction",
    ),
    "veridical.rewards.queries": ("RewardQuery",),
    "veridical.scoring.files": ("score",),
    "veridical.scoring.protocol": (
        "Benchmark",
        "Files",
    ),
    "veridical.studies.demo.recipe": ("DemoRecipe",),
    "veridical.studies.demo.run": ("run_demo",),
    "veridical.studies.fact_rlhf.recipe": ("FactRlhfRecipe",),
    "veridical.studies.fact_rlhf.run": ("run_fact_rlhf",),
    "veridical.studies.reproduce.plan": ("Plan", "load_plan"),
    "veridical.studies.reproduce.run": ("Study", "reproduce"),
    "veridical.studio.export.folder": ("export_studio",),
    "veridical.studio.opening": ("open_studio",),
    "veridical.studio.serving": ("serve_studio",),
    "veridical.studio.settings": ("StudioSettings",),
    "veridical.studio.start": (
        "import_into_studio",
        "init_studio",
    ),
    "veridical.training.opening": ("load_recipe",),
    "veridical.training.ppo.config": ("PpoRecipe",),
    "veridical.training.ppo.train": ("train_ppo",),
    "veridical.training.preference.config": ("PreferenceRecipe",),
    "veridical.training.preference.objectives.protocol": ("Objective", "PairLoss"),
    "veridical.training.preference.train": ("train_dpo",),
    "veridical.training.reward.config": ("RewardRecipe",),
    "veridical.training.reward.train": ("train_reward_model",),
    "veridical.training.sft.config": ("SftRecipe",),
    "veridical.training.sft.train": ("train_sft",),
    "veridical.world.export": ("write_scenes",),
    "veridical.world.pretraining.recipe": ("PretrainRecipe",),
    "veridical.world.pretraining.run": ("pretrain",),
}
"""Where each public name lives; a test holds this table and the imports above together."""

__all__ = ["__version__", *(n for names in _HOMES.values() for n in names)]  # noqa: PLE0604 (they are strings)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from veridical.records.manifests import installed_version

        value: object = installed_version("veridical") or "unknown"
    else:
        home = next((home for home, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module 'veridical' has no attribute {name!r}")
        value = getattr(_import_home(home, name), name)
    globals()[name] = value
    return value


def _import_home(home: str, name: str) -> object:
    """Import the module of a public name; if a package is missing, say which extra has it."""
    try:
        return importlib.import_module(home)
    except ModuleNotFoundError as error:
        from veridical.extras import missing_package_error

        missing = missing_package_error(error.name or "", purpose=f"`veridical.{name}`")
        if missing is None:
            raise
        raise missing from error


def __dir__() -> list[str]:
    return sorted(__all__)
