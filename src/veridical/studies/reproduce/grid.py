"""A grid of cells on disk: each is one stage of a study, with its manifest, and is made once.

A cell is finished when its `cell.json` is there; an interrupted one is made again from its start. A
cell whose settings, needs or version of Veridical have changed is made again, and with it all that
build on it.
"""

import json
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.errors import ConfigError
from veridical.files import JsonObject, hash_bytes, write_json_atomically
from veridical.locks import locked
from veridical.progress import log
from veridical.records.manifests import build_manifest, library_versions

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


def run_grid(cells: Sequence[Cell], out: Path, *, seed: int) -> None:
    """Make all cells that are not there yet, in order.

    Args:
        cells: The grid; a cell stands after those that it needs.
        out: Folder of the grid.
        seed: Root seed of the study, for the manifests.

    Raises:
        ConfigError: A cell is named twice, or needs one that does not stand before it; another
            process works in `out`.
    """
    identities = _identities(cells)
    with locked(out):
        done = [
            cell for cell in cells if _identity_on_disk(out / cell.name) == identities[cell.name]
        ]
        if done:
            log(f"{len(done)} of {len(cells)} cells are there already.")
        for number, cell in enumerate(cells, start=1):
            if _identity_on_disk(out / cell.name) == identities[cell.name]:
                continue
            log(f"Cell {number} of {len(cells)}: {cell.name}")
            _make(cell, out, identity=identities[cell.name], seed=seed)


def _make(cell: Cell, out: Path, *, identity: str, seed: int) -> None:
    folder = out / cell.name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    started = time.monotonic()
    cell.work(folder, {name: out / name for name in cell.needs})
    manifest = build_manifest(
        verb="reproduce",
        seed=seed,
        parents=cell.needs,
        seconds={"work": round(time.monotonic() - started, 1)},
        notes={"cell": cell.name, "settings": cell.settings, "identity": identity},
    )
    write_json_atomically(folder / CELL_FILE, manifest.model_dump(mode="json"))


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
