"""`veridical recipes`, and that a shipped recipe's name does where a recipe file does."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from veridical import cli
from veridical.config import load_recipe
from veridical.errors import ConfigError
from veridical.recipes import find_recipe, recipe_summary, shipped_recipes
from veridical.training.preference.config import PreferenceRecipe


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    out, err = capsys.readouterr()
    return left.value.code, out, err


def test_every_shipped_recipe_is_listed_with_a_line_that_says_what_it_is_for(capsys):
    code, out, _ = run(capsys, "recipes")
    assert code == 0
    rows = [line.split(maxsplit=1) for line in out.splitlines()]
    assert [name for name, _ in rows] == shipped_recipes()
    assert len(rows) > 10
    for name, summary in rows:
        assert summary == recipe_summary(name)
        assert summary.endswith(".")
        assert len(summary) > 20


def test_show_prints_the_file_comments_included(capsys):
    code, out, _ = run(capsys, "recipes", "show", "dpo-world")
    assert code == 0
    assert out == find_recipe("dpo-world").read_text(encoding="utf-8")
    assert tomllib.loads(out)["model"]["base"] == "world"


def test_an_unknown_name_is_an_error_that_names_the_recipes_there_are(capsys):
    code, _, err = run(capsys, "recipes", "show", "dpo-wrld")
    assert code == 1
    assert "There is no recipe `dpo-wrld`" in err
    assert "dpo-world" in err


def test_a_name_never_leads_out_of_the_folder():
    with pytest.raises(ConfigError):
        find_recipe("../recipes/dpo-world")


def test_a_recipe_is_loaded_by_its_name_from_python():
    by_name = load_recipe("dpo-world", PreferenceRecipe)
    assert by_name == load_recipe(find_recipe("dpo-world"), PreferenceRecipe)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_verbs_subcommands_options_and_recipe_names():
    script = """
eval "$(_VERIDICAL_COMPLETE=source_bash veridical)"
complete -p veridical > /dev/null || exit 1
complete_words() {
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    _veridical_completion veridical
    echo "${COMPREPLY[*]}"
}
complete_words veridical re
complete_words veridical train ""
complete_words veridical train dpo --re
complete_words veridical recipes show dpo-w
complete_words veridical train dpo dpo-wor
"""
    folder = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "reproduce report recipes",
        "sft reward dpo ppo",
        "--resume",
        "dpo-world",
        "dpo-world",
    ]


def test_the_module_is_the_program_where_it_is_not_on_the_path():
    command = [sys.executable, "-m", "veridical", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("veridical ")
