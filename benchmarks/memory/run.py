"""Does memory grow with the number of corrections? Preference training on 100 and on 2,000 of them.

    python benchmarks/memory/run.py [FAMILY ...] [--rows N] [--out FILE]

Each run is a process of its own: pictures of mixed sizes are drawn, a random model of one narrow
layer is built with the image processing of a hub model (same pixels, tiles and image tokens), and
`train_dpo` reads, encodes and scores all rows with the reference and takes a few steps. What counts
is the process's resident memory, at its peak and at the end.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers

HERE = Path(__file__).parent
FAMILIES = ("qwen2_5_vl", "idefics3", "llava_onevision")
FEW = 100


def measured(family: str, rows: int) -> dict[str, float]:
    """Train on so many rows in a process of its own; gives memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(HERE / "worker.py"), family, str(rows), folder],
            check=True,
            capture_output=True,
            text=True,
        )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print, and write a result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=FAMILIES)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = []
    for family in options.families:
        few, many = measured(family, FEW), measured(family, options.rows)
        grown = {key: many[key] - few[key] for key in ("peak_mb", "end_mb")}
        found.append({"family": family, str(FEW): few, str(options.rows): many, "growth": grown})
        print(
            f"{family}: {options.rows} rows take {grown['peak_mb']:+.0f} MB at the peak and"
            f" {grown['end_mb']:+.0f} MB at the end, against {FEW} rows"
            f" ({few['peak_mb']:.0f} MB at the peak)",
            flush=True,
        )
    if options.out:
        about = {
            "machine": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }
        options.out.write_text(json.dumps({**about, "runs": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
