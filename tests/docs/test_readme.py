"""What the README shows must run."""

import re
import shlex
from pathlib import Path

import pytest
import typer

import veridical
from documents import blocks, run_command
from veridical import cli
from veridical.config import load_recipe
from veridical.records import Correction, Prompt, read_records

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if line.startswith("veridical ")
]


def test_its_python_runs_and_prints_what_it_promises(capsys):
    (code,) = re.findall(r"^```python\n(.*?)```", README, flags=re.DOTALL | re.MULTILINE)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "'and two dogs sit' -> 'sits'",
        "'red' -> 'blue'",
    ]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_its_commands_exist_with_the_options_it_names(command, capsys):
    _, verb, *words = command
    loaded = cli.load_verb(verb)
    if hasattr(loaded, "commands"):
        _, loaded, words = loaded.resolve_command(typer.Context(loaded), words)
    context = loaded.make_context(verb, words)  # parses the arguments, runs nothing
    assert context.params


def test_there_are_commands_to_check():
    assert len(COMMANDS) >= 5


def test_its_make_targets_exist():
    targets = set(
        re.findall(
            r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE
        )
    )
    named = set(
        re.findall(
            r"\bmake ([a-z-]+)\b(?= {2,}#|`|\n)", README + (ROOT / "CONTRIBUTING.md").read_text()
        )
    )
    assert {"demo", "ci"} <= named
    assert named <= targets


def test_recipes_that_it_names_are_shipped():
    from veridical.recipes import shipped_recipes

    for name in re.findall(r"train dpo ([\w.-]+)", README):
        assert name in shipped_recipes("dpo")


def test_the_files_that_it_shows_are_read_as_they_stand(tmp_path, monkeypatch):
    from PIL import Image

    shown = {block.label: block.text for block in blocks(ROOT / "README.md") if block.label}
    assert set(shown) == {"prompts.jsonl", "describe.toml", "corrections.jsonl"}
    for name, text in shown.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "1.jpg")
    monkeypatch.chdir(tmp_path)
    (imports,) = re.findall(r"`(veridical data import [^`]+)`", README)
    run_command(imports, monkeypatch)
    (prompt,) = read_records("prompts.jsonl", Prompt)
    (correction,) = read_records("mine/corrections.jsonl", Correction)
    assert prompt.question == correction.question
    assert correction.source == "human"
    recipe = load_recipe("describe.toml", veridical.GenerateRecipe)
    assert (str(recipe.prompts), str(recipe.out)) == ("prompts.jsonl", "before")


def test_its_numbers_are_those_of_the_results_page():
    (table,) = re.findall(r"^## Results\n(.*?)^All numbers", README, flags=re.DOTALL | re.MULTILINE)
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 5
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for number in re.findall(r"[+−]?\d[\d.,]*\d(?: %)?", table):
        assert number in page, number


def test_the_map_of_contributing_names_every_folder_of_the_package():
    package = ROOT / "src" / "veridical"
    there = {p.name for p in package.iterdir() if p.is_dir() and not p.name.startswith("_")}
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| \*\*`(\w+)/`\*\*", text, flags=re.MULTILINE)) == there
