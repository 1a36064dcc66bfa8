"""The run directory of a training: which run it holds, and whether that may be resumed.

Recipe and fingerprints of all inputs are written before any work. A run has *begun* once it has
measured its base (the first line of `metrics.jsonl`); until then nothing is lost by starting over,
so that a data fault can be fixed and the same command given again.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from veridical.config import Recipe, load_recipe, write_recipe
from veridical.errors import ConfigError, StorageError
from veridical.files import read_bytes, write_json_atomically, write_text_atomically
from veridical.processes import place
from veridical.progress import log
from veridical.records import Manifest

METRICS_FILE = "metrics.jsonl"
"""A line for each step and measurement."""
RECIPE_FILE = "recipe.toml"
INPUTS_FILE = "inputs.json"
"""Sha256 by path of everything that the run reads, as it was when the run was started."""
MANIFEST_FILE = "manifest.json"


def open_run(
    recipe: Recipe, run_dir: Path, inputs: Mapping[str, str], *, resume: bool
) -> Manifest | None:
    """Claim a run directory, or resume the run in it; give its manifest if that run is finished.

    Args:
        recipe: The recipe to run, its paths absolute.
        run_dir: The directory.
        inputs: Fingerprints of what the recipe reads.
        resume: Whether a run in it may be resumed.

    Raises:
        ConfigError: It holds a run, and `resume` was not asked for, or that run has another recipe
            or was started from other inputs.
        StorageError: The disk refused.
    """
    written = run_dir / RECIPE_FILE
    if written.is_file() and resume:
        _check_recipe(recipe, written)
        check_inputs(run_dir, inputs, complete=True)
        if (run_dir / MANIFEST_FILE).is_file():
            log(f"The run in {run_dir} is finished already.")
            return Manifest.model_validate_json(read_bytes(run_dir / MANIFEST_FILE))
    elif written.is_file() and not is_only_prepared(run_dir):
        raise ConfigError(
            f"`{run_dir}` holds a run already. Give another folder, or resume that run with"
            " --resume."
        )
    else:
        write_recipe(recipe, written)
        write_json_atomically(run_dir / INPUTS_FILE, dict(inputs))
    return None


def check_inputs(run_dir: Path, inputs: Mapping[str, str], *, complete: bool = False) -> None:
    """Compare fingerprints with those that the run was started with, and keep those that are new.

    Args:
        run_dir: The run directory.
        inputs: Fingerprints by path.
        complete: They are all files of their folders, so that one less than before is a change.

    Raises:
        ConfigError: An input has changed; all that have are named.
    """
    file = run_dir / INPUTS_FILE
    before = read_inputs(run_dir)
    folders = {Path(name).parent for name in inputs} if complete else set()
    changed = [name for name, value in inputs.items() if before.get(name, value) != value]
    changed += [
        name
        for name in before
        if name not in inputs
        and Path(name).parent in folders
        and not Path(name).is_dir()  # a base's weights, which are noted once they are loaded
    ]
    if changed:
        way_out = (
            "start again without --resume: nothing was trained yet"
            if is_only_prepared(run_dir)
            else "train on the new data in another folder"
        )
        raise ConfigError(
            f"The run in `{run_dir}` cannot be resumed, since what it learns from has changed:"
            f" `{'`, `'.join(changed)}`. Restore it, or {way_out}."
        )
    if not before.keys() >= inputs.keys():
        write_json_atomically(file, {**before, **inputs})


def read_inputs(run_dir: Path) -> dict[str, str]:
    """Fingerprints by path, from when the run was started; empty for a run that kept none."""
    file = run_dir / INPUTS_FILE
    if not file.is_file():
        return {}
    try:
        return {str(name): str(value) for name, value in json.loads(read_bytes(file)).items()}
    except (ValueError, AttributeError) as error:
        raise StorageError(
            f"Cannot read `{file}`: {error}. Remove the run directory and start again."
        ) from error


def is_only_prepared(run_dir: Path) -> bool:
    """Whether a training was started here and did not come to its first measurement."""
    begun = (METRICS_FILE, MANIFEST_FILE)
    return (run_dir / INPUTS_FILE).is_file() and not any(
        (run_dir / name).exists() for name in begun
    )


def _check_recipe(recipe: Recipe, written: Path) -> None:
    before = load_recipe(written, type(recipe))
    if before != recipe:
        raise ConfigError(
            f"The run in `{written.parent}` was started with another recipe; they differ in"
            f" `{'`, `'.join(before.differences(recipe))}`. Resume with `{written}`, or give"
            " another folder."
        )


class MetricsLog:
    """A run's `metrics.jsonl`: appended to as it goes, cut back where a run is resumed.

    Of several processes the first writes.
    """

    def __init__(self, run_dir: Path) -> None:
        """Write into a run directory."""
        self._path = run_dir / METRICS_FILE
        self._writes = place().is_first

    def append(self, values: Mapping[str, float | str]) -> None:
        """Add a line. JSON has no NaN: a number that is none becomes null.

        Raises:
            StorageError: The disk refused.
        """
        if not self._writes:
            return
        line = json.dumps({name: _plain(value) for name, value in values.items()})
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise StorageError(
                f"Cannot write `{self._path}`: {error.strerror}. Free space."
            ) from error

    def clear(self) -> None:
        """Remove what is there."""
        if self._writes:
            self._path.unlink(missing_ok=True)

    def truncate_after(self, step: int) -> None:
        """Drop the lines that a resumed run will write again, and a half-written one."""
        if not self._writes:
            return
        kept = []
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        for line in lines:
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except ValueError:
                continue
        write_text_atomically(self._path, "".join(kept))


def _plain(value: float | str) -> float | str | None:
    return value if isinstance(value, str) or math.isfinite(value) else None
