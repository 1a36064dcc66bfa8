"""A grid of cells on disk: each is one stage of a study, with its manifest, and is made once.

A cell is finished when its `cell.json` is there; an interrupted one is made again from its start. A
cell whose settings, needs or version of Veridical have changed is made again, and with it all that
build on it.
"""

import json
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from veridical.errors import ConfigError
from veridical.files import JsonObject, hash_bytes, write_json_atomically
from veridical.locks import HOLDER_FILE, LOCK_FILE, locked
from veridical.progress import log
from veridical.records.manifests import build_manifest, library_versions
from veridical.studies.reproduce.workers import LOG_FILE, make_side_by_side

CELL_FILE = "cell.json"
"""The manifest of a finished cell, in its folder."""


class Cell(NamedTuple):
    """One stage of a study."""

    name: str
    """Its folder in the grid: "dense-1400/seed-0"."""
    settings: JsonObject
    """Everything that decides its result, next to its needs."""
    needs: tuple[str, ...]
    """Names of the cells that it builds on; they stand before it in the grid."""
    work: Callable[[Path, Mapping[str, Path]], None]
    """Fills its folder, given the folders of its needs by name."""


def with_needs(cells: Sequence[Cell], arms: Collection[str]) -> list[Cell]:
    """The cells of some arms, with all that they build on."""
    kept = {cell.name for cell in cells if cell.name.partition("/")[0] in arms}
    for cell in reversed(cells):
        if cell.name in kept:
            kept |= set(cell.needs)
    return [cell for cell in cells if cell.name in kept]


def run_grid(
    build: Callable[[], Sequence[Cell]], out: Path, *, seed: int, workers: int = 1
) -> None:
    """Make all cells that are not there yet, each after those that it needs.

    Args:
        build: Gives the grid, in which a cell stands after those that it needs. Workers are
            processes that call it, too: it must be picklable where there are several.
        out: Folder of the grid.
        seed: Root seed of the study, for the manifests.
        workers: Cells made at once, each in a process that shares the cores with the others.

    Raises:
        ConfigError: A cell is named twice, or needs one that does not stand before it; another
            process works in `out`; a cell failed in a worker.
    """
    make = _CellMaker(build(), out, seed)
    with locked(out):
        missing = [cell for cell in make.cells if not make.is_made(cell)]
        if len(missing) < len(make.cells):
            log(f"{len(make.cells) - len(missing)} of {len(make.cells)} cells are there already.")
        if workers > 1:
            make_side_by_side(partial(_build_maker, build, out, seed), missing, workers=workers)
            return
        for number, cell in enumerate(make.cells, start=1):
            if not make.is_made(cell):
                log(f"Cell {number} of {len(make.cells)}: {cell.name}")
                make(cell.name)


class _CellMaker:
    """Makes cells of a grid by name; every worker has one."""

    def __init__(self, cells: Sequence[Cell], out: Path, seed: int) -> None:
        self.cells, self.out, self._seed = cells, out, seed
        self._by_name = {cell.name: cell for cell in cells}
        self._identities = _identities(cells)

    def is_made(self, cell: Cell) -> bool:
        """Whether a cell is there, and as it would be made now."""
        return _identity_on_disk(self.out / cell.name) == self._identities[cell.name]

    def __call__(self, name: str) -> None:
        cell, folder = self._by_name[name], self.out / name
        with locked(folder):
            _clear(folder)
            started = time.monotonic()
            cell.work(folder, {need: self.out / need for need in cell.needs})
            manifest = build_manifest(
                verb="reproduce",
                seed=self._seed,
                parents=cell.needs,
                seconds={"work": round(time.monotonic() - started, 1)},
                notes={
                    "cell": name,
                    "settings": cell.settings,
                    "identity": self._identities[name],
                },
            )
            write_json_atomically(folder / CELL_FILE, manifest.model_dump(mode="json"))


def _build_maker(build: Callable[[], Sequence[Cell]], out: Path, seed: int) -> _CellMaker:
    return _CellMaker(build(), out, seed)


def _clear(folder: Path) -> None:
    """Remove what an interrupted or outdated cell left; its lock is held."""
    for left in folder.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        elif left.name not in {LOCK_FILE, HOLDER_FILE, LOG_FILE}:
            left.unlink()


def _identities(cells: Sequence[Cell]) -> dict[str, str]:
    found: dict[str, str] = {}
    version = library_versions()["veridical"]
    for cell in cells:
        missing = [name for name in cell.needs if name not in found]
        if missing or cell.name in found:
            what = f"needs {missing[0]!r} before it" if missing else "is there twice"
            raise ConfigError(f"The cell {cell.name!r} {what}. Put the cells in order.")
        stated = {
            "version": version,
            "name": cell.name,
            "settings": cell.settings,
            "needs": [found[name] for name in cell.needs],
        }
        found[cell.name] = hash_bytes(json.dumps(stated, sort_keys=True).encode())
    return found


def _identity_on_disk(folder: Path) -> str | None:
    try:
        stated: str = json.loads((folder / CELL_FILE).read_text(encoding="utf-8"))["notes"][
            "identity"
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return stated
