"""A run's `metrics.jsonl`: a line a measurement or step, appended as it happens and cut back where a run goes on."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from veridical.errors import StorageError
from veridical.files import write_text_atomically

METRICS_FILE = "metrics.jsonl"


class MetricsLog:
    """The file of one run."""

    def __init__(self, run_dir: Path) -> None:
        """Write into a run directory."""
        self._path = run_dir / METRICS_FILE

    def append(self, values: Mapping[str, float | str]) -> None:
        """Add a line. JSON has no NaN: a number that is none becomes null.

        Raises:
            StorageError: The disk refused.
        """
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
        self._path.unlink(missing_ok=True)

    def truncate_after(self, step: int) -> None:
        """Drop the lines that a resumed run will write again, and a half-written one."""
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
