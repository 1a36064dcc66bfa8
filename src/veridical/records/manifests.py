"""What made a run: versions, machine, commit, memory, gathered into a `Manifest`. No torch.

Every verb that writes a run directory calls `build_manifest` and writes the result next to its
output with `files.write_json_atomically(folder / "manifest.json",
manifest.model_dump(mode="json"))`.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from veridical.config import Recipe
from veridical.records import Manifest

LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "tokenizers",
    "safetensors",
    "numpy",
    "scipy",
    "pydantic",
)
"""The libraries whose versions can change a result."""


def build_manifest(
    *,
    verb: str,
    seed: int,
    recipe: Recipe | None = None,
    inputs: Mapping[str, str] | None = None,
    parents: Sequence[Path | str] = (),
    seconds: Mapping[str, float] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Manifest:
    """Describe a run that ends now.

    Args:
        verb: The command, for instance "train dpo".
        seed: The root seed.
        recipe: The resolved recipe.
        inputs: Content hash of every input file or model.
        parents: Run directories that this one builds on.
        seconds: Wall-clock seconds by stage.
        notes: What else a reader must know.
    """
    return Manifest(
        verb=verb,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=seed,
        versions=library_versions(),
        machine=describe_machine(),
        git_commit=git_commit(),
        recipe=recipe.model_dump(mode="json") if recipe is not None else {},
        inputs=dict(inputs or {}),
        parents=tuple(str(parent) for parent in parents),
        seconds={stage: round(value, 3) for stage, value in (seconds or {}).items()},
        peak_memory_bytes=peak_memory_bytes(),
        notes=dict(notes or {}),
    )


def installed_version(package: str) -> str | None:
    """Version of an installed distribution, None where it is absent; imports nothing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def library_versions() -> dict[str, str]:
    """Versions of Veridical, Python and those of `LIBRARIES` that are installed."""
    found = {"veridical": installed_version("veridical"), "python": platform.python_version()}
    found |= {name: installed_version(name) for name in LIBRARIES}
    return {name: version for name, version in found.items() if version is not None}


def describe_machine() -> dict[str, str | int | float]:
    """System, processor, usable cores, memory (GiB), and accelerator once torch is imported."""
    described: dict[str, str | int | float] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor_name(),
        "cores": usable_cores(),
    }
    memory = _memory_bytes()
    if memory is not None:
        described["memory_gib"] = round(memory / 2**30, 1)
    torch = sys.modules.get("torch")
    if torch is not None:
        described["accelerator"] = (
            torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
        )
        described["torch_threads"] = torch.get_num_threads()
    return described


def usable_cores() -> int:
    """How many cores this process may use, which can be fewer than the machine has."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_memory_bytes() -> int | None:
    """Highest memory seen: of the accelerator where one is used, else resident; None: unknown."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0:
        return int(torch.cuda.max_memory_allocated())
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


def git_commit() -> str | None:
    """Commit of the checkout, with "+dirty" where files changed; None outside of a checkout."""
    source = Path(__file__).resolve().parent
    root = next((folder for folder in source.parents if (folder / ".git").exists()), None)
    if root is None or not (root / "src" / "veridical").is_dir():
        return (
            None  # an installed copy inside somebody else's repository says nothing about Veridical
        )
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+dirty" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()


def _processor_name() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    if sys.platform == "win32":
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
