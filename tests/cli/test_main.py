import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from veridical import cli
from veridical.errors import DataError, Fault, install_line
from veridical.files import write_text_atomically

HEAVY = ("torch", "transformers", "scipy", "matplotlib", "numpy", "PIL", "pyarrow")


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    return left.value.code


@pytest.fixture
def verb(monkeypatch):
    """Put a function in the place of the verb "demo"."""

    def install(function):
        function.__name__ = "demo"
        module = SimpleNamespace(demo=function)
        monkeypatch.setattr(cli, "available_verbs", lambda: ["demo"])
        monkeypatch.setitem(sys.modules, "veridical.cli.demo", module)

    return install


def test_help_lists_the_verbs_that_exist_in_the_order_of_the_loop(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    folder = Path(cli.__file__).parent
    there = [
        name for name in cli.VERBS if (folder / f"{name}.py").is_file() or (folder / name).is_dir()
    ]
    assert there
    positions = [text.index(f"\n  {name} ") for name in there]
    assert positions == sorted(positions)
    for name in cli.VERBS.keys() - set(there):
        assert f"\n  {name} " not in text


@pytest.mark.parametrize(
    "arguments", [["--help"], *([verb, "--help"] for verb in cli.available_verbs())]
)
def test_help_imports_nothing_heavy(arguments):
    code = f"""
import sys
from veridical.cli import main
try:
    main({arguments!r})
except SystemExit as left:
    assert left.code == 0, left.code
print("loaded:", *(name for name in {HEAVY!r} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage: veridical" in done.stdout
    assert done.stdout.splitlines()[-1].strip() == "loaded:"


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("veridical ")


def test_nothing_asked_shows_help_as_wrong_usage(capsys):
    assert run() == 2
    out, err = capsys.readouterr()
    assert "Usage: veridical" in out + err


def test_an_unknown_verb_is_wrong_usage_and_names_the_nearest(capsys, verb):
    verb(lambda: None)
    assert run("dmo") == 2
    assert "No such command 'dmo'. Did you mean 'demo'?" in capsys.readouterr().err


def test_success_is_zero(verb):
    verb(lambda: None)
    assert run("demo") == 0


def failing():
    raise DataError([Fault(Path("a.jsonl"), 3, "no id. Give it one.")])


def test_our_error_is_a_message_and_one(capsys, verb):
    verb(failing)
    assert run("demo") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "Error: 1 fault in the input:\n  a.jsonl:3: no id. Give it one.\n"


@pytest.mark.parametrize("arguments", [("--traceback", "demo"), ("demo", "--traceback")])
def test_traceback_can_be_asked_for_anywhere(verb, arguments):
    verb(failing)
    with pytest.raises(DataError):
        cli.main(arguments)


def test_words_after_two_dashes_are_the_verbs_own(verb):
    seen = []

    def listing(words: list[str]):
        seen.extend(words)

    verb(listing)
    assert run("demo", "--", "--traceback") == 0
    assert seen == ["--traceback"]


def test_a_full_disk_is_our_error(capsys, verb, tmp_path):
    (tmp_path / "file").write_text("")
    verb(lambda: write_text_atomically(tmp_path / "file" / "a", ""))
    assert run("demo") == 1
    assert capsys.readouterr().err.startswith("Error: Cannot write")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/dev/full", "No space left on device"),
        ("/dev/null/a", "Not a directory: `/dev/null/a`"),
        ("/proc/nowhere/a", "No such file or directory: `/proc/nowhere/a`"),
    ],
)
def test_what_the_system_refuses_is_one_message(capsys, verb, path, message):
    verb(lambda: Path(path).write_bytes(b"x"))
    assert run("demo") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Error: {message}")
    with pytest.raises(OSError):
        cli.main(["demo", "--traceback"])


def test_help_is_shown_on_a_terminal_that_lacks_its_signs():
    code = "from veridical.cli import main; main(['world', 'pretrain', '--help'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert b"Usage: veridical" in done.stdout


def test_an_interrupt_says_how_to_go_on(capsys, verb):
    def interrupted():
        raise KeyboardInterrupt

    verb(interrupted)
    assert run("demo") == 130
    assert "run the same command again to resume" in capsys.readouterr().err


def test_a_missing_optional_package_comes_with_the_line_that_installs_it(capsys, verb):
    def needs_torch():
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    verb(needs_torch)
    assert run("demo") == 1
    assert install_line("train") in capsys.readouterr().err


def test_a_missing_module_of_no_extra_is_a_bug_and_shows_its_traceback(verb):
    def broken():
        raise ModuleNotFoundError("No module named 'nowhere'", name="nowhere")

    verb(broken)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["demo"])


@pytest.mark.parametrize("verb_name", cli.available_verbs())
def test_every_verb_loads_and_has_help(verb_name, capsys):
    assert run(verb_name, "--help") == 0
    text = capsys.readouterr().out
    assert f"Usage: veridical {verb_name}" in text
    assert len(text.splitlines()[2].strip()) > 10  # it says what it does


def test_every_file_of_the_command_line_is_a_verb():
    others = {"__init__", "extras", "judging"}
    assert {p.stem for p in Path(cli.__file__).parent.glob("*.py")} - others <= set(cli.VERBS)


def test_deprecations_inside_libraries_are_not_the_users_noise(capsys, verb):
    def noisy():
        import warnings

        warnings.warn_explicit("old", FutureWarning, "modeling.py", 1, module="transformers.models")
        warnings.warn_explicit("ours", FutureWarning, "ours.py", 1, module="veridical.models")

    verb(noisy)
    with pytest.warns(FutureWarning) as seen:
        assert run("demo") == 0
    assert [str(warning.message) for warning in seen] == ["ours"]
