"""How long 100,000 preference rows take to import and to check, and how much memory.

    python benchmarks/data/run.py --rows 100000 --result benchmarks/data/results/cpu.json

Rows are made up: 50 pictures, responses of some 60 words with one to four of them changed. Each
command runs in a process of its own; memory is its largest resident set.
"""

import argparse
import io
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

WORDS = (
    "a man dog cat bench red blue green tree near the left right of street holding riding two three"
    " several people standing in background with large small table kitchen cups bicycle car lamp"
)


def make(folder, rows):
    """Write rows and pictures; returns the file."""
    rng = random.Random(0)
    known = WORDS.split()
    for number in range(50):
        data = io.BytesIO()
        Image.effect_noise((64, 64), 60).convert("RGB").save(data, "JPEG")
        (folder / f"{number}.jpg").write_bytes(data.getvalue())
    file = folder / "pairs.jsonl"
    with file.open("w") as out:
        for number in range(rows):
            words = [rng.choice(known) for _ in range(rng.randint(30, 90))]
            other = [*words]
            for _ in range(rng.randint(1, 4)):
                other[rng.randrange(len(other))] = rng.choice(known)
            row = {
                "id": str(number),
                "image": f"{number % 50}.jpg",
                "prompt": "Describe the image.",
            }
            row |= {"chosen": " ".join(other) + ".", "rejected": " ".join(words) + ", perhaps."}
            out.write(json.dumps(row) + "\n")
    return file


def measure(*words):
    """Seconds, processor seconds and megabytes of a command."""
    started = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = (
        "import resource, sys\nfrom veridical.cli import main\n"
        "try:\n    main(sys.argv[1:])\nfinally:\n"
        "    print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = next(int(line.split()[1]) for line in done.stderr.splitlines() if "PEAK" in line)
    return {
        "command": " ".join(map(str, words[:2])),
        "seconds": round(time.monotonic() - started, 1),
        "processor seconds": round(
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1
        ),
        "megabytes": round(peak / 1024),
        "exit": done.returncode,
    }


def _used(usage):
    return usage.ru_utime + usage.ru_stime


def main():
    """Measure import, check with and without findings, and statistics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--result", type=Path, default=None)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        source = make(Path(place), words.rows)
        out = Path(place) / "out"
        found = [
            measure("data", "import", "plain", source, out, "--source", "human", "--no-decode"),
            measure("data", "check", out, "--no-decode", "--no-findings"),
            measure("data", "check", out, "--no-decode"),
            measure("data", "stats", out),
        ]
        found[2]["command"] += ", findings"
    result = {
        "rows": words.rows,
        "machine": f"{os.cpu_count()} CPUs, {platform.processor() or platform.machine()}",
        "load before": os.getloadavg()[0],
        "measured": found,
    }
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if words.result is not None:
        words.result.write_text(text)


if __name__ == "__main__":
    main()
