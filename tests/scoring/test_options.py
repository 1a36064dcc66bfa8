"""What a benchmark lets one set is declared once, in its card."""

from pathlib import Path

import pytest

from veridical.benchmarks.pope.benchmark import Pope
from veridical.cli.score import _options
from veridical.errors import ConfigError
from veridical.scoring.protocol import OptionSpec


class WithOptions(Pope):
    name = "with-options"
    card = Pope.card._replace(
        options={
            "task": OptionSpec("Which half.", "all", ("one", "all")),
            "table": OptionSpec("Where from.", "none", ("none",), kind="file"),
            "threshold": OptionSpec("From where on.", "0.8", kind="number"),
        }
    )


def test_what_is_left_out_has_its_default_and_files_are_known(tmp_path):
    table = tmp_path / "table.json"
    table.write_text("[]")
    made = WithOptions({"table": str(table)})
    assert made.options == {"task": "all", "table": str(table), "threshold": "0.8"}
    assert made.option_files() == {"table": Path(table)}
    assert WithOptions().option_files() == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"taks": "one"}, "Did you mean --task"),
        ({"task": "two"}, "must be one of one, all, got 'two'"),
        ({"table": "/nowhere"}, "none, a file, got '/nowhere'"),
        ({"threshold": "nan"}, "must be a number, got 'nan'"),
    ],
)
def test_a_wrong_option_says_what_there_is(given, message):
    with pytest.raises(ConfigError, match=message):
        WithOptions(given)


def test_a_benchmark_without_options_takes_none():
    with pytest.raises(ConfigError, match="no option --task"):
        Pope({"task": "all"})


def test_options_on_the_command_line():
    assert _options(["--task", "one", "--table=x=y"]) == {"task": "one", "table": "x=y"}
    for wrong in (["task"], ["--task"], ["--task", "a", "--task", "b"]):
        with pytest.raises(Exception, match=r"NAME VALUE|lacks its value|given twice"):
            _options(wrong)
