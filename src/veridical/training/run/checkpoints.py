"""Resume points that are whole or do not count: what a killed run left half-written is removed.

A resume point is a folder that the trainer fills file by file (weights that learn, optimiser,
schedule, random states, progress). The last thing written is `complete.json` with size and hash of
every file; a folder without it, or with other files, does not count.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from veridical.errors import ConfigError, StorageError
from veridical.files import (
    atomic_path,
    hash_file,
    write_json_atomically,
    write_text_atomically,
)
from veridical.models.loading import unwrap
from veridical.processes import said_once
from veridical.progress import log
from veridical.training.run.choice import ChoiceRule
from veridical.training.run.team.sharding import asked_for, is_sharded, put, shape, whole
from veridical.training.run.team.work import here
from veridical.training.run.team.zero import written

_MARK = "complete.json"
_PREFIX = "checkpoint-"
WEIGHTS = "trainable.safetensors"


class Candidate(BaseModel):
    """A checkpoint that could be chosen."""

    step: int
    """Optimiser steps taken."""
    metrics: dict[str, float]
    """What was measured on held-out data."""


class RunProgress(BaseModel):
    """How far a run has come; part of every resume point."""

    base: dict[str, float] | None = None
    """Metrics of the model before training."""
    candidates: list[Candidate] = []
    """Every evaluation so far, in order."""
    best_step: int | None = None
    """Step of the best candidate so far."""
    evaluations_since_best: int = 0
    """How many evaluations were no better since."""
    seconds: float = 0.0
    """Wall-clock seconds of training, over all starts."""

    def consider(self, step: int, metrics: dict[str, float], rule: ChoiceRule) -> bool:
        """Add a candidate; whether it is the best so far."""
        best = next((one for one in self.candidates if one.step == self.best_step), None)
        new = Candidate(step=step, metrics=metrics)
        self.candidates.append(new)
        if best is None or self._key(new, rule) < self._key(best, rule):
            self.best_step, self.evaluations_since_best = step, 0
            return True
        self.evaluations_since_best += 1
        return False

    def _key(self, candidate: Candidate, rule: ChoiceRule) -> tuple[float, ...]:
        return rule.key({**candidate.metrics, "step": candidate.step}, self.base or {})


class _Mark(BaseModel):
    bytes: dict[str, int]
    sha256: dict[str, str] = {}


def mark_complete(folder: Path) -> None:
    """Declare a resume point whole: note the size and the hash of each of its files."""
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    mark = _Mark(
        bytes={name: path.stat().st_size for name, path in files.items()},
        sha256={name: hash_file(path) for name, path in files.items()},
    )
    write_json_atomically(folder / _MARK, mark.model_dump())


def is_complete(folder: Path) -> bool:
    """Whether a resume point was written to its end and still is what was written."""
    mark = _read_mark(folder)
    return mark is not None and not _damaged_files(folder, mark)


def _read_mark(folder: Path) -> _Mark | None:
    try:
        return _Mark.model_validate_json((folder / _MARK).read_bytes())
    except (OSError, ValidationError):
        return None


def _damaged_files(folder: Path, mark: _Mark) -> list[str]:
    """Files that are missing, or are not what was written."""
    return [
        name
        for name, size in mark.bytes.items()
        if not _is_as_written(folder / name, size, mark.sha256.get(name))
    ]


def _is_as_written(path: Path, size: int, sha256: str | None) -> bool:
    if not path.is_file() or path.stat().st_size != size:
        return False
    return sha256 is None or hash_file(path) == sha256


def find_resume_point(folder: Path) -> Path | None:
    """Give the latest whole resume point below a folder.

    Raises:
        StorageError: None is whole, and one was damaged after it had been written.
    """
    damaged: list[Path] = []
    for point in sorted(_resume_points(folder), key=_step_of, reverse=True):
        mark = _read_mark(point)
        if mark is None:
            continue  # half-written: the process was killed
        wrong = _damaged_files(point, mark)
        if not wrong:
            return point
        damaged += [point / name for name in wrong]
        log(f"Warning: the resume point {point} is damaged ({', '.join(wrong)}) and is left out.")
    if damaged:
        raise StorageError(
            f"No resume point in `{folder}` is whole: `{'`, `'.join(map(str, damaged))}` differs"
            " from what was written. Remove that folder to start this run from the beginning."
        )
    return None


def prune_resume_points(folder: Path, *, keep: Path | None) -> None:
    """Remove all resume points but one, half-written ones too."""
    for path in _resume_points(folder):
        if path != keep:
            # Without its mark it does not count any more, even if the removal is cut short.
            (path / _MARK).unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)


def _resume_points(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.glob(f"{_PREFIX}*")
        if path.is_dir() and path.name[len(_PREFIX) :].isdigit()
    ]


def _step_of(path: Path) -> int:
    return int(path.name[len(_PREFIX) :])


def read_progress(folder: Path) -> RunProgress:
    """Read the progress that a resume point holds."""
    return RunProgress.model_validate_json((folder / "progress.json").read_bytes())


def write_progress(folder: Path, progress: RunProgress) -> None:
    """Put the progress into a resume point."""
    write_text_atomically(folder / "progress.json", progress.model_dump_json(indent=2) + "\n")


def save_trainable(model: nn.Module, path: Path) -> None:
    """Write the weights that learn, and no others, atomically; of several processes the first does.

    Where the model is sharded, all processes must call it.

    Raises:
        StorageError: The disk refused.
    """
    first = here().is_first
    if not first and not is_sharded(model):
        return
    weights = {name: whole(p) for name, p in trainable_parameters(model).items()}
    if not first:
        return
    with atomic_path(path) as temporary:
        try:
            save_file(weights, temporary)
        except SafetensorError as error:
            raise StorageError(
                f"Cannot write `{path}`: {error}. Free space or choose another folder."
            ) from error


@torch.no_grad()
def load_trainable(model: nn.Module, path: Path) -> None:
    """Put saved weights back into the model that they were saved from.

    Raises:
        StorageError: The file cannot be read, or is of another model or other trained parts.
    """
    wanted = trainable_parameters(model)
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise StorageError(
            f"Cannot read `{path}`: {error}. Remove the run directory and start again."
        ) from error
    if set(found) != set(wanted) or any(found[name].shape != shape(wanted[name]) for name in found):
        raise StorageError(
            f"`{path}` holds other weights than those that are trained now ({len(found)} against"
            f" {len(wanted)} tensors). Resume with the recipe that the run was started with."
        )
    for name, parameter in wanted.items():
        put(found[name], parameter)


def trainable_parameters(model: nn.Module) -> Mapping[str, nn.Parameter]:
    """The weights that take gradients, by name; tied ones once."""
    inner: Any = unwrap(model)
    return {
        name: parameter for name, parameter in inner.named_parameters() if parameter.requires_grad
    }


def check_optimizer(folder: Path) -> None:
    """Refuse a resume point whose optimiser is shared out otherwise than this run's.

    Raises:
        ConfigError: It would be left out silently, or cannot be read.
    """
    by_deepspeed, now = written(folder), asked_for()
    if by_deepspeed is not None:
        was = f"ZeRO-{by_deepspeed.stage}"
    else:
        was = "" if (folder / "optimizer.pt").is_file() else "FSDP2"
    count = f"in {by_deepspeed.processes} processes" if by_deepspeed else "in any number"
    if was != now:
        raise said_once(
            ConfigError(
                f"The resume point `{folder}` was written with {was or 'a whole optimiser'} and"
                f" cannot be resumed with {now or 'a whole one'}: its optimiser would be lost."
                f" Resume it {f'with {was}' if was else 'without FSDP and DeepSpeed'}, {count}."
            )
        )
    if by_deepspeed is not None and by_deepspeed.processes != here().world:
        raise said_once(
            ConfigError(
                f"The resume point `{folder}` was written by DeepSpeed {count} and cannot be"
                f" resumed in {here().world}: its optimiser is in as many parts. Start as many"
                " processes as before."
            )
        )


def resume_point_error(folder: Path, error: Exception) -> StorageError:
    """A resume point that could not be written; torch reports a full disk as a wrong position."""
    text = str(error)
    reason = "only a part was written (is the disk full?)" if "unexpected pos" in text else text
    return StorageError(
        f"Cannot write the resume point `{folder}`: {reason}. The one before it is kept; free space"
        " and run the same command again with --resume."
    )
