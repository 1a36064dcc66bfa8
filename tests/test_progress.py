import io
import sys

import pytest
from rich.table import Table

from veridical import progress


def test_log_writes_to_standard_error_only(capsys):
    progress.log("hello")
    assert capsys.readouterr() == ("", "hello\n")


def test_echo_writes_to_standard_output_only(capsys):
    progress.echo("a table")
    assert capsys.readouterr() == ("a table\n", "")


@pytest.mark.parametrize("write", [progress.log, progress.echo])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\rb\x9b2J", r"a\rb\x9b2J"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("half \ud83d a pair", r"half \ud83d a pair"),
        ("tab\tand\nline: é 图 🖼", "tab\tand\nline: é 图 🖼"),
    ],
)
def test_control_characters_are_shown_and_not_obeyed(capsys, write, text, shown):
    write(text)
    assert "".join(capsys.readouterr()) == shown + "\n"


def test_tables_hold_no_control_characters_and_no_markup_of_their_own(capsys):
    table = Table("name", "count")
    table.add_row("\x1b]0;title\x07", "3")
    progress.echo_table(table)
    out = capsys.readouterr().out
    assert r"\x1b]0;title" in out
    assert "\x1b" not in out
    assert out.splitlines()[0].startswith("┏")


def test_what_the_terminal_cannot_show_is_replaced(monkeypatch):
    for name, write in (("stdout", progress.echo), ("stderr", progress.log)):
        terminal = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
        monkeypatch.setattr(sys, name, terminal)
        write("café → 图")
        assert terminal.buffer.getvalue() == "café ? ?\n".encode("cp1252")


def test_track_gives_every_item_once_and_is_quiet_when_fast(capsys):
    assert list(progress.track([1, 2, 3], label="x")) == [1, 2, 3]
    assert list(progress.track(iter("ab"), label="x")) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("total", "of"), [(None, " of 3"), (7, " of 7")])
def test_track_reports_every_ten_seconds_where_there_is_no_terminal(capsys, monkeypatch, total, of):
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(progress.track([1, 2, 3], label="drawing", total=total)) == [1, 2, 3]
    assert capsys.readouterr().err.splitlines() == [
        f"drawing: 2{of} (12 s)",
        "drawing: done, 3 in 24 s",
    ]


def test_track_passes_errors_on(capsys):
    def broken():
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(progress.track(broken(), label="x"))


def test_a_bar_inside_a_bar_works_on_a_terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes standard error for a terminal
    seen = [
        (a, b)
        for a in progress.track([1, 2], label="outer")
        for b in progress.track("xy", label="inner")
    ]
    assert seen == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]
