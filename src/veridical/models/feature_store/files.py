"""Tensors in a folder, a file for each key: memory-mapped, bounded in size, shared between runs.

A key starts with 32 digits for the model that its tensors come from; files of one model lie in one
folder. Reading maps a file: its pages come into memory when they are used, and the system takes
them back when it needs room. What does not fit is not written; files of other models that nobody
has used for a day make room first. Several runs may use one folder: whatever one of them removes,
another computes again.
"""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from veridical.errors import StorageError
from veridical.files import atomic_path
from veridical.models.architectures.positions import log_once

_UNUSED_SECONDS = 24 * 3600
_FREE_BYTES = 2**30
"""Bytes of the disk that are left to others."""
_GIB = 2**30


class FeatureFiles:
    """Named tensors by key, in a folder of bounded size."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        """Use a folder, which is made when it is first written to; it holds `max_bytes` at most."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._bytes: int | None = None
        self._used: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return self._path(key).is_file()

    def read(self, key: str) -> dict[str, Tensor] | None:
        """Map the tensors of a key; None where there are none, or their file is broken."""
        path = self._path(key)
        if not path.is_file():
            return None
        self._note_use(path.parent)
        try:
            return load_file(path)
        except (SafetensorError, KeyError, OSError):
            return None

    def write(self, key: str, tensors: Mapping[str, Tensor]) -> bool:
        """Write the tensors of a key, if there is room; returns whether there was.

        Raises:
            StorageError: The disk refused.
        """
        path, size = self._path(key), sum(tensor.nbytes for tensor in tensors.values())
        if not self._has_room(size, model=path.parent.name):
            return False
        with atomic_path(path) as temporary:
            try:
                save_file(dict(tensors), temporary)
            except SafetensorError as error:
                raise StorageError(
                    f"Cannot write `{path}`: {error}. Free space or choose another folder."
                ) from error
        self._note_use(path.parent)
        self._bytes = (self._bytes or 0) + size
        return True

    def _has_room(self, size: int, *, model: str) -> bool:
        if self._bytes is None:
            self._bytes = _bytes_below(self._folder)
        if self._bytes + size > self._max_bytes:
            self._remove_unused(size, model=model)
        if self._bytes + size > self._max_bytes:
            log_once(
                f"Image features fill the {self._max_bytes / _GIB:.3g} GiB that they may take;"
                " those of further images are computed for every batch. Raise"
                " train.feature_cache_gib to keep more."
            )
            return False
        existing = next(p for p in (self._folder, *self._folder.parents) if p.exists())
        if shutil.disk_usage(existing).free < size + _FREE_BYTES:
            log_once(
                f"The disk of `{self._folder}` is almost full; features of further images are"
                " computed for every batch. Free space, or set train.cache to another disk."
            )
            return False
        return True

    def _remove_unused(self, size: int, *, model: str) -> None:
        """Remove other models' files, longest unused first, until `size` bytes fit."""
        now = time.time()
        others = [path for path in self._folder.glob("*") if path.is_dir() and path.name != model]
        for path in sorted(others, key=lambda other: other.stat().st_mtime):
            if self._bytes is None or self._bytes + size <= self._max_bytes:
                return
            if path.name not in self._used and now - path.stat().st_mtime > _UNUSED_SECONDS:
                self._bytes -= _bytes_below(path)
                shutil.rmtree(path, ignore_errors=True)

    def _note_use(self, folder: Path) -> None:
        if folder.name not in self._used:
            self._used.add(folder.name)
            folder.touch()

    def _path(self, key: str) -> Path:
        return self._folder / key[:32] / f"{key[33:]}.safetensors"


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
