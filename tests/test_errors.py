import importlib.metadata
import inspect
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from veridical import errors
from veridical.errors import DataError, Fault, MissingPackageError, VeridicalError, install_line

OURS = [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, VeridicalError)]


@pytest.mark.parametrize("error", [c for c in OURS if c is not VeridicalError])
def test_every_error_is_ours_and_a_builtin(error):
    builtins = [base for base in error.__mro__ if base.__module__ == "builtins"]
    assert builtins[0] is not Exception  # a plain `except ValueError` must catch it too
    assert error.__name__ in (errors.__doc__ or "")  # the tree in the docstring is complete


def test_a_fault_names_file_and_line():
    assert str(Fault(Path("a.jsonl"), 7, "no id.")) == "a.jsonl:7: no id."
    assert str(Fault(Path("a.jsonl"), None, "empty.")) == "a.jsonl: empty."


def test_data_error_counts_all_faults_and_shows_twenty():
    kinds = [chr(97 + line) for line in range(25)]
    faults = [Fault(Path("a.jsonl"), n, f"{kind} bad.") for n, kind in enumerate(kinds, start=1)]
    error = DataError(faults, advice="Fix them.")
    assert error.faults == tuple(faults)
    lines = str(error).splitlines()
    assert lines[0] == "25 faults in the input:"
    assert lines[20] == "  a.jsonl:20: t bad."
    assert lines[21:] == ["  … and 5 more", "Fix them."]
    assert str(DataError(faults[:1])).startswith("1 fault in the input:")


def test_many_faults_of_one_kind_are_three_examples_and_a_count():
    alike = [Fault(Path("a"), n, f"`x` must be text, got {n}. Fix it.") for n in range(1, 3001)]
    lines = str(DataError([*alike, Fault(Path("b"), 7, "another. Fix it.")])).splitlines()
    assert lines == [
        "3001 faults in the input:",
        "  a:1: `x` must be text, got 1. Fix it.",
        "  a:2: `x` must be text, got 2. Fix it.",
        "  a:3: `x` must be text, got 3. Fix it.",
        "  … and 2,997 more like this, the last in line 3000",
        "  b:7: another. Fix it.",
    ]


def test_a_missing_package_comes_with_the_line_that_installs_it():
    error = MissingPackageError("torch", extra="train", purpose="Training")
    assert str(error).startswith("Training needs the package `torch`")
    assert str(error).endswith(install_line("train"))


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (None, 'pip install "veridical[train]"'),  # from an index: pip records no address
        (
            {"url": "file:///home/me/my%20clone", "dir_info": {"editable": True}},
            'pip install -e "/home/me/my clone[train]"',
        ),
        (
            {"url": "file:///dist/veridical-0.1.0-py3-none-any.whl", "archive_info": {}},
            'pip install "/dist/veridical-0.1.0-py3-none-any.whl[train]"',
        ),
        ({"url": "https://example.org/v.git", "vcs_info": {}}, 'pip install "veridical[train]"'),
    ],
)
def test_the_line_that_installs_an_extra_fits_the_way_veridical_was_installed(
    record, line, monkeypatch
):
    text = None if record is None else json.dumps(record)
    monkeypatch.setattr(
        importlib.metadata.Distribution,
        "from_name",
        lambda _: SimpleNamespace(read_text=lambda _: text),
    )
    assert install_line("train") == line
    assert install_line() == line.replace("[train]", "")
