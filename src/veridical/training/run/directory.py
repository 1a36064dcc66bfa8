"""The run directory of a training: claimed once, gone on with by the same recipe only, read back when finished."""

import time
from pathlib import Path
from typing import NamedTuple

from veridical.config import Recipe, load_recipe
from veridical.errors import ConfigError
from veridical.files import read_bytes
from veridical.progress import log
from veridical.records import Manifest


class RunResult(NamedTuple):
    """What a training run left."""

    run_dir: Path
    """The run directory: `recipe.toml`, `metrics.jsonl`, `manifest.json` and the trained
    weights."""
    weights: Path
    """Folder of the trained weights: `adapter` (LoRA) or `model` (full), inside the run
    directory."""
    base: str
    """The model that was trained; an adapter goes on top of it."""
    manifest: Manifest
    """What made the run; `notes` holds the chosen step and the rule."""


def open_run(recipe: Recipe, run_dir: Path, *, resume: bool) -> Manifest | None:
    """Look whether a run directory may be used; give the manifest if the run in it is finished already.

    Args:
        recipe: The recipe to run.
        run_dir: The directory.
        resume: Whether a run in it may be gone on with.

    Raises:
        ConfigError: It holds a run, and `resume` was not asked for or the run has another recipe.
    """
    written = run_dir / "recipe.toml"
    if not written.is_file():
        return None
    if not resume:
        raise ConfigError(
            f"`{run_dir}` holds a run already. Give another folder, or go on with that run by"
            " adding --resume."
        )
    before = load_recipe(written, type(recipe))
    if before != recipe:
        raise ConfigError(
            f"The run in `{run_dir}` was started with another recipe; they differ in"
            f" {_differences(before, recipe)}. Resume with `{written}`, or give another folder."
        )
    if not (run_dir / "manifest.json").is_file():
        return None
    log(f"The run in {run_dir} is finished already.")
    return Manifest.model_validate_json(read_bytes(run_dir / "manifest.json"))


def _differences(before: Recipe, after: Recipe) -> str:
    old, new = _flat(before.model_dump()), _flat(after.model_dump())
    return ", ".join(f"`{name}`" for name in new if old.get(name) != new[name])


def _flat(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        flat |= (
            _flat(value, f"{prefix}{name}.")
            if isinstance(value, dict)
            else {f"{prefix}{name}": value}
        )
    return flat


class Clock:
    """Wall-clock seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        """What was noted."""
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        """Note the seconds since the last lap."""
        now = time.monotonic()
        self.seconds[stage] = now - self._last
        self._last = now
