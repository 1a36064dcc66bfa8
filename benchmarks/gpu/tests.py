"""The tests that touch devices, on this one; names of those that fail."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from measuring import Results

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests/models", "tests/objectives", "tests/training", "tests/rewards")
_FAILED = re.compile(r"(?:FAILED|ERROR) (tests/\S+)")


def run(results: Results, *, device: str, tiny: bool, part: str) -> None:  # noqa: ARG001
    """Run them in as many processes as there are cores, where pytest-xdist is installed."""
    command = [sys.executable, "-m", "pytest", "-v", "--tb=line", "-p", "no:cacheprovider"]
    if find_spec("pytest_benchmark") is not None:
        command += ["-p", "no:benchmark"]
    if find_spec("xdist") is not None:
        command += ["-n", str(max(1, (os.cpu_count() or 2) - 1))]
    wanted = ["tests/models/test_packed_rows.py"] if tiny else list(FOLDERS)
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([*command, *wanted], cwd=ROOT, stdout=log, stderr=log)
        ended: int | None = None
        while ended is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                ended = process.wait(timeout=10)
            log.seek(0)
            text = log.read()
            results.add(
                "tests",
                {
                    "passed": text.count(" PASSED"),
                    "failed": sorted(set(_FAILED.findall(text))),
                    "ended": ended,
                },
            )
