"""Files of the benchmarks with what the official code returned on them, if they are present.

They are not redistributed. Tests that need them are skipped elsewhere; small files of our own stand
in for them.
"""

import json
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(
    not (DATA / "expected.json").is_file(), reason="the official files are not here"
)


def expected(benchmark: str) -> dict[str, Any]:
    """What the official code returned."""
    return json.loads((DATA / "expected.json").read_text(encoding="utf-8"))[benchmark]


def write_lines(path: Path, rows: list[Any]) -> Path:
    """JSON lines."""
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    return path
