"""`veridical report`: whatever was measured, side by side, and advice where nothing was."""

import json
from collections.abc import Sequence
from pathlib import Path

from veridical.errors import ConfigError
from veridical.files import read_bytes
from veridical.report.benchmarks import all_scored, compare_benchmarks
from veridical.report.compare import compare_runs, run_names
from veridical.scoring.runs import is_scored

_NEXT_STEPS = {
    "generate": (
        "holds responses, which are not scored yet. Score them: veridical score BENCHMARK"
        " --responses {run}; then report on what its --json wrote."
    ),
    "train": (
        "holds a trained model, which is not measured yet. Name it under [[models]] in a recipe"
        " (adapter = {run}/adapter, or model = {run}/model), run veridical evaluate, and report on"
        " that recipe's `out`."
    ),
    "data import": "holds records. Look at them with: veridical data stats {run}",
}
"""What to do with the run of a verb that measures nothing."""


def write_report(runs: Sequence[Path | str], out: Path | str) -> Path:
    """Write a page that compares runs, or scores of benchmarks, and needs no other file.

    Args:
        runs: Run directories with a `results.json`, folders of evaluations, or scores that
            `veridical score --json` wrote; the others are compared with the first.
        out: The HTML file to write.

    Raises:
        ConfigError: A run measured nothing, runs are of different sorts, or one is given twice.
        DataError: A run has no readable results.
    """
    paths = [Path(run) for run in runs]
    for path in paths:
        _check_measured(path)
    if all_scored(paths):
        return compare_benchmarks(run_names(paths), out)
    return compare_runs(run_names(paths), out)


def _check_measured(path: Path) -> None:
    if not path.is_dir() or is_scored(path) or (path / "results.json").is_file():
        return
    verb = _verb(path)
    advice = next((text for name, text in _NEXT_STEPS.items() if verb.startswith(name)), None)
    if advice is None:
        advice = (
            "holds neither results.json nor scores.json. Give the folder of an evaluation, a demo"
            " or a reproduction."
        )
    which = f"`{path}`, a run of `veridical {verb}`," if verb else f"`{path}`"
    raise ConfigError(f"{which} {advice.format(run=path)}")


def _verb(folder: Path) -> str:
    """The command that made a run, by its manifest; empty if that does not say."""
    manifest = folder / "manifest.json"
    try:
        value = json.loads(read_bytes(manifest)) if manifest.is_file() else None
    except (ValueError, RecursionError):
        return ""
    verb = value.get("verb") if isinstance(value, dict) else None
    return verb if isinstance(verb, str) else ""
