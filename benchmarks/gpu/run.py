"""What Veridical does on one GPU: each part in a process of its own, with its own time limit.

    python benchmarks/gpu/run.py --out result.json [--parts rate,step,…] [--seconds 480] [--tiny]

Parts run in the order given, the most telling first, until the seconds are used up. What a part has
found when its limit ends it is kept.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIMITS = {
    "step": 150,
    "stages": 150,
    "decoding": 90,
    "tests": 150,
    "step_qwen": 90,
    "step_more": 120,
}
"""Parts in their order, with the seconds that each may take."""
PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "vllm", "triton")


def machine() -> dict[str, Any]:
    """The card, the processor and the versions."""
    import torch

    cuda = torch.cuda.is_available()
    found: dict[str, Any] = {
        "card": torch.cuda.get_device_name() if cuda else "none",
        "cpus": os.cpu_count(),
        "python": sys.version.split()[0],
        "cuda": torch.version.cuda,
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def run_part(name: str, out: Path, *, tiny: bool, device: str) -> None:
    """Measure one part in this process."""
    sys.path.insert(0, str(HERE))
    from measuring import Results

    module = import_module(name.partition("_")[0])
    module.run(Results(out), device=device, tiny=tiny, part=name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(LIMITS))
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="small models, to try the script")
    parser.add_argument("--note", default="", help="what a reader must know of the conditions")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        run_part(options.part, options.out, tiny=options.tiny, device=options.device)
        return
    started = time.monotonic()
    record: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "tiny": options.tiny,
        "note": options.note,
        "parts": {},
    }
    for name in options.parts.split(","):
        left = options.seconds - (time.monotonic() - started)
        if left < 5:
            break
        record["parts"][name] = in_process(name, min(LIMITS[name], left), options)
        record["seconds"] = round(time.monotonic() - started, 1)
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    sys.path.insert(0, str(HERE))
    from table import show

    print(show(record))


def in_process(name: str, limit: float, options: argparse.Namespace) -> dict[str, Any]:
    """Run a part in a process of its own."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "part.json"
        command = [sys.executable, __file__, "--part", name, "--out", str(out)]
        command += ["--device", options.device, *(["--tiny"] if options.tiny else [])]
        try:
            ended: int | str = subprocess.run(command, timeout=limit, check=False).returncode
        except subprocess.TimeoutExpired:
            ended = "time limit"
        found = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    return {"ended": ended, "seconds": round(time.monotonic() - start, 1), "found": found}


if __name__ == "__main__":
    main()
