"""What holds for every file of the project, checked by going through all of them."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

import veridical
from veridical.config import Recipe

PACKAGE = Path(veridical.__file__).parent
ROOT = PACKAGE.parents[1]
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = [
    ".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for p in FILES
]
CHECKED_TEXTS = [
    p
    for pattern in (
        "*.md",
        "*.toml",
        "*.cff",
        "Makefile",
        "NOTICE",
        "constraints.txt",
        "docs/**/*",
        "examples/**/*",
    )
    for p in ROOT.glob(pattern)
    if p.is_file() and p.suffix in {".md", ".toml", ".py", ".cff", ".txt", ""}
]


def test_there_is_something_to_check():
    assert len(FILES) > 25
    assert len(CHECKED_TEXTS) >= 5


def test_every_import_goes_down_a_layer():
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "0 broken" in done.stdout


def test_every_top_level_name_has_its_layer():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = {name.strip() for layer in layers for name in layer.split("|")}
    there = {p.stem for p in PACKAGE.glob("*.py")} | {
        p.parent.name for p in PACKAGE.glob("*/__init__.py")
    }
    assert there - {"__init__", "__main__"} == placed


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_imported_and_says_what_it_is_for(module):
    doc = importlib.import_module(module).__doc__
    assert doc
    assert doc.strip().splitlines()[0].rstrip().endswith((".", ":", "…", "?"))


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_a_drawer(module):
    assert not set(re.split(r"[._]", module)) & {
        "utils",
        "util",
        "helpers",
        "helper",
        "common",
        "misc",
        "core",
    }


@pytest.mark.parametrize("folder", sorted({p.parent for p in FILES}), ids=str)
def test_every_folder_is_a_package_that_says_what_belongs_there(folder):
    doc = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    assert doc


def recipes():
    for module in MODULES:
        importlib.import_module(module)
    waiting, found = [Recipe], []
    while waiting:
        waiting += (children := waiting.pop().__subclasses__())
        found += [child for child in children if child.__module__.startswith("veridical.")]
    return sorted(set(found), key=lambda recipe: (recipe.__module__, recipe.__name__))


def test_every_recipe_field_says_what_it_is():
    assert recipes()
    silent = [
        f"{recipe.__module__}.{recipe.__name__}.{name}"
        for recipe in recipes()
        for name, field in recipe.model_fields.items()
        if not (field.description or "").strip()
    ]
    assert silent == []


def test_every_recipe_is_frozen_and_closed_and_says_what_it_is():
    for recipe in recipes():
        assert recipe.model_config["frozen"], recipe
        assert recipe.model_config["extra"] == "forbid", recipe
        assert recipe.__doc__, recipe
        assert recipe.__doc__ != BaseModel.__doc__


def test_shipped_recipes_open_with_what_they_do():
    for path in (PACKAGE / "recipes").rglob("*.toml"):
        text = path.read_text(encoding="utf-8")
        tomllib.loads(text)
        assert text.startswith("# "), f"{path} opens without a word on what it does"


@pytest.mark.parametrize("path", [*FILES, *CHECKED_TEXTS], ids=lambda p: str(p.relative_to(ROOT)))
def test_no_path_of_somebodys_machine(path):
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"(?<![\w.])/(?:work|root|home|Users|tmp|opt)/[\w./-]+", text)
    assert found == []


def public_functions():
    for module in MODULES:
        for name, value in vars(importlib.import_module(module)).items():
            if (
                inspect.isfunction(value)
                and value.__module__ == module
                and not name.startswith("_")
            ):
                yield f"{module}.{name}", value


def test_every_public_function_is_documented_and_typed():
    functions = dict(public_functions())
    assert len(functions) > 30
    for name, function in functions.items():
        assert inspect.getdoc(function), name
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty, name


def test_no_switch_is_given_by_place():
    """A bare True or False at a call says nothing, so parameters that take one are keyword-only."""
    for name, function in public_functions():
        for parameter in inspect.signature(function).parameters.values():
            if isinstance(parameter.default, bool):
                assert parameter.kind is parameter.KEYWORD_ONLY, f"{name}({parameter.name})"


def test_warnings_are_errors_and_nobody_switched_that_off():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "pytest"
    ]["ini_options"]
    assert settings["filterwarnings"][0] == "error"
    assert all(
        re.match(r"ignore:.*:(torch|transformers|peft)", rule)
        for rule in settings["filterwarnings"][1:]
    )
    assert settings["xfail_strict"]
