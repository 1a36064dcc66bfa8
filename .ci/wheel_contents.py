"""Build the wheel and check that every file of the package is inside, data files included."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Build, compare, and leave with an error where a file is missing."""
    source = ROOT / "src"
    files = {
        p.relative_to(source).as_posix() for p in (source / "veridical").rglob("*") if p.is_file()
    }
    files = {name for name in files if "__pycache__" not in name}
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--wheel-dir",
            folder,
            str(ROOT),
        ]
        subprocess.run(command, check=True)  # noqa: S603
        (wheel,) = Path(folder).glob("veridical-*.whl")
        packed = set(zipfile.ZipFile(wheel).namelist())
        size = wheel.stat().st_size
    missing = sorted(files - packed)
    if missing:
        sys.exit(
            "Missing from the wheel: "
            + ", ".join(missing)
            + ". Look at [tool.hatch] in pyproject.toml."
        )
    data = sum(not name.endswith(".py") for name in files)
    sys.stdout.write(
        f"wheel: {len(files)} files of the package inside, {data} of them data, {size / 2**20:.1f}"
        " MiB\n"
    )


if __name__ == "__main__":
    main()
