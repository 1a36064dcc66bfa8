"""Run what a Markdown file shows: its commands and its Python, with the files that it names."""

import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from veridical.cli import main


class Block(NamedTuple):
    """A fenced block."""

    language: str
    label: str
    """What follows the language: the name of the file that it shows."""
    text: str


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a Markdown file, in order."""
    found = re.findall(
        r"^```(\w+) ?([^\n]*)\n(.*?)^```$",
        path.read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    return [Block(*parts) for parts in found]


def run_command(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a line of a shell block in this process: `veridical …` or `python FILE …`."""
    program, *words = shlex.split(line, comments=True)
    if program == "veridical":
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert not ended.value.code, line
    else:
        assert program == "python", line
        monkeypatch.setattr(sys, "argv", words)
        runpy.run_path(words[0], run_name="__main__")


@contextmanager
def installed(shown: list[Block], site: Path) -> Iterator[None]:
    """Install the package that blocks show (its modules and pyproject.toml) as pip would.

    Entry points lie in a .dist-info folder next to the modules, on the path.
    """
    files = {block.label: block.text for block in shown if block.label}
    project = tomllib.loads(files["pyproject.toml"])["project"]
    info = site / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {where}\n" for name, where in points.items())
            for group, points in project["entry-points"].items()
        )
    )
    modules = {name: text for name, text in files.items() if name.endswith(".py")}
    for name, text in modules.items():
        (site / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(str(site))
        yield
    for name in modules:
        sys.modules.pop(name.removesuffix(".py"), None)


def follow(shown: list[Block], folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Write the files and run the commands and Python of blocks; returns what each run printed."""
    printed = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        for block in shown:
            if block.label == "no-run":
                continue
            if block.label:
                (folder / block.label).write_text(block.text, encoding="utf-8")
                continue
            for step in block.text.splitlines() if block.language == "bash" else [block.text]:
                capsys.readouterr()
                if block.language == "bash":
                    run_command(step, monkeypatch)
                else:
                    assert block.language == "python", block
                    exec(compile(step, "block", "exec"), {})
                printed.append(capsys.readouterr().out)
    return printed
