"""Cells made by several processes: the same grid, in any order that their needs allow."""

import json
import os
import signal
import sys
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from killed_runs import POSIX
from veridical.errors import ConfigError
from veridical.studies.reproduce.grid import CELL_FILE, Cell, run_grid
from veridical.studies.reproduce.workers import LOG_FILE


def make(folder, needs, *, name, broken):
    read = [(needs[one] / "done.txt").read_text() for one in sorted(needs)]
    sys.stderr.write(f"making {name}\n")
    if name == broken == "d":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == broken:
        raise ValueError("no such luck")
    (folder / "done.txt").write_text(f"{name}({''.join(read)})")
    (folder / "process.txt").write_text(str(os.getpid()))


def diamond(broken=""):
    """Two cells that need one, one that needs both, and one by itself."""
    needs = {"a": (), "b/0": ("a",), "b/1": ("a",), "c": ("b/0", "b/1"), "d": ()}
    return [
        Cell(name, {}, needed, partial(make, name=name, broken=broken))
        for name, needed in needs.items()
    ]


def test_workers_make_the_grid_that_one_process_makes(tmp_path):
    run_grid(diamond, tmp_path / "many", seed=3, workers=2)
    run_grid(diamond, tmp_path / "one", seed=3)
    for cell in diamond():
        texts, manifests = zip(
            *(
                (
                    (tmp_path / way / cell.name / "done.txt").read_text(),
                    json.loads((tmp_path / way / cell.name / CELL_FILE).read_text())["notes"],
                )
                for way in ("many", "one")
            ),
            strict=True,
        )
        assert texts[0] == texts[1]
        assert manifests[0] == manifests[1]
    assert (tmp_path / "many" / "c" / "done.txt").read_text() == "c(b/0(a())b/1(a()))"
    assert int((tmp_path / "many" / "a" / "process.txt").read_text()) != os.getpid()
    assert (tmp_path / "many" / "b" / "1" / LOG_FILE).read_text() == "making b/1\n"


def test_a_cell_that_fails_ends_the_run_and_the_next_one_makes_the_rest(tmp_path, capsys):
    with pytest.raises(ConfigError, match=r"The cell 'b/1' failed: no such luck \(.*log\.txt"):
        run_grid(partial(diamond, broken="b/1"), tmp_path, seed=0, workers=2)
    assert "ValueError: no such luck" in (tmp_path / "b" / "1" / LOG_FILE).read_text()
    assert (tmp_path / "b" / "0" / CELL_FILE).is_file()
    assert not (tmp_path / "c").exists()
    first = (tmp_path / "a" / "process.txt").read_text()
    run_grid(diamond, tmp_path, seed=0, workers=2)
    assert (tmp_path / "a" / "process.txt").read_text() == first
    assert (tmp_path / "c" / CELL_FILE).is_file()
    assert "cells are there already" in capsys.readouterr().err


@POSIX
def test_a_worker_that_is_killed_is_reported(tmp_path):
    with pytest.raises(ConfigError, match=r"A worker was killed .* fewer workers"):
        run_grid(partial(diamond, broken="d"), tmp_path, seed=0, workers=2)


def wait_forever(folder, _needs):
    (folder / "process.txt").write_text(str(os.getpid()))
    while True:
        time.sleep(0.05)


def endless():
    return [Cell("endless", {}, (), wait_forever), Cell("other", {}, (), wait_forever)]


def until(condition):
    """Wait for something that takes a second on a quiet machine."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_where_the_run_is_killed(tmp_path):
    run = get_context("spawn").Process(
        target=run_grid, args=(endless, tmp_path), kwargs={"seed": 0, "workers": 2}
    )
    run.start()
    files = [tmp_path / name / "process.txt" for name in ("endless", "other")]
    until(lambda: all(file.is_file() and file.read_text() for file in files))
    workers = [int(file.read_text()) for file in files]
    assert all(map(is_running, workers))
    run.kill()
    run.join()
    until(lambda: not any(map(is_running, workers)))
