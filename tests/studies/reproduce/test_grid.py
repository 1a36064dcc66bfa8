"""A grid of cells: made once, in order, again where something has changed."""

import json

import pytest

from veridical.errors import ConfigError
from veridical.studies.reproduce.grid import CELL_FILE, Cell, run_grid


def cells_of(made, *, size=1, fails=()):
    def work(name):
        def run(folder, needs):
            made.append(name)
            (folder / "half.txt").write_text("begun")
            if name in fails:
                raise KeyboardInterrupt
            read = [(needs[one] / "done.txt").read_text() for one in needs]
            (folder / "done.txt").write_text(f"{name}{''.join(read)}")

        return run

    return [
        Cell("a", {"size": size}, (), work("a")),
        Cell("b/seed-0", {}, ("a",), work("b/seed-0")),
        Cell("c", {}, ("a", "b/seed-0"), work("c")),
        Cell("d", {}, (), work("d")),
    ]


def test_each_cell_is_made_once_from_those_that_it_needs(tmp_path):
    made = []
    run_grid(lambda: cells_of(made), tmp_path, seed=3)
    run_grid(lambda: cells_of(made), tmp_path, seed=3)
    assert made == ["a", "b/seed-0", "c", "d"]
    assert (tmp_path / "c" / "done.txt").read_text() == "cab/seed-0a"
    manifest = json.loads((tmp_path / "c" / CELL_FILE).read_text())
    assert manifest["parents"] == ["a", "b/seed-0"]
    assert manifest["seed"] == 3


def test_an_interrupted_cell_is_made_again_and_finished_ones_are_kept(tmp_path):
    made = []
    with pytest.raises(KeyboardInterrupt):
        run_grid(lambda: cells_of(made, fails=["c"]), tmp_path, seed=0)
    (tmp_path / "c" / "stale.txt").write_text("left over")
    run_grid(lambda: cells_of(made), tmp_path, seed=0)
    assert made == ["a", "b/seed-0", "c", "c", "d"]
    assert not (tmp_path / "c" / "stale.txt").exists()


def test_what_builds_on_a_changed_cell_is_made_again_and_nothing_else(tmp_path):
    made = []
    run_grid(lambda: cells_of(made), tmp_path, seed=0)
    made.clear()
    run_grid(lambda: cells_of(made, size=2), tmp_path, seed=0)
    assert made == ["a", "b/seed-0", "c"]


def test_a_grid_out_of_order_is_refused(tmp_path):
    cells = cells_of([])
    with pytest.raises(ConfigError, match="needs 'a' before it"):
        run_grid(lambda: cells[1:], tmp_path, seed=0)
    with pytest.raises(ConfigError, match="is there twice"):
        run_grid(lambda: [*cells, cells[0]], tmp_path, seed=0)
