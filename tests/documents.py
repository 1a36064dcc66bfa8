"""Run what a Markdown file shows: its commands, its Python, with the files that it names."""

import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from veridical.cli import main


class Block(NamedTuple):
    """A fenced block."""

    language: str
    label: str
    """What stands behind the language: the name of the file that it shows."""
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
    """Run a line of a shell block in this process: `veridical …` or `python FILE …`; it must end well."""
    program, *words = shlex.split(line, comments=True)
    if program == "veridical":
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert not ended.value.code, line
    else:
        assert program == "python", line
        monkeypatch.setattr(sys, "argv", words)
        runpy.run_path(words[0], run_name="__main__")


def follow(shown: list[Block], folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Do in a folder what blocks show: write files, run commands and Python. Gives what each run printed."""
    printed = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        for block in shown:
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
