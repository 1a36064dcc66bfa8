"""Several runs side by side: every metric of their `results.json` with its interval, as HTML.

Each run is compared with its own base by a paired test, made when the run was; between runs there
is no test here, since `results.json` holds no single items; the page states that.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from veridical.errors import ConfigError
from veridical.records import Difference
from veridical.records.results import Results, read_results
from veridical.report.figures.changes import forest
from veridical.report.page import write_page
from veridical.report.wording import metric_info, rate_texts, verdict

_RATE = "hallucination_rate"


def compare_runs(runs: Mapping[str, Path], out: Path | str) -> Path:
    """Write a page that compares runs.

    Args:
        runs: Name of each run and its directory (or `results.json`).
        out: The HTML file to write.

    Raises:
        DataError: A run has no readable results.
    """
    results = {name: read_results(path) for name, path in runs.items()}
    names = list(dict.fromkeys(metric for run in results.values() for metric in run.aligned))
    return write_page(
        out,
        "compare.html.j2",
        runs=results,
        sentence=_sentence(results),
        metrics=names,
        forests=[
            forest(
                rows,
                unit=metric_info(metric).unit,
                title=f"{metric_info(metric).label}: aligned minus base, by run",
            )
            for metric in names
            if (rows := _rows(results, metric))
        ],
        forest_labels=[metric_info(metric).label for metric in names if _rows(results, metric)],
    )


def _sentence(results: Mapping[str, Results]) -> str:
    """How many runs have fewer hallucinated descriptions than their base, as far as it is shown."""
    verdicts = [verdict(run.comparison[_RATE], "lower") for run in results.values()]
    better, worse = verdicts.count("better"), verdicts.count("worse")
    if len(results) == 1:
        (run,) = results.values()
        before, after = rate_texts([run.base[_RATE], run.aligned[_RATE]])
        change = {
            "better": "Fewer descriptions hallucinate than before",
            "worse": "More descriptions hallucinate than before",
        }.get(verdicts[0], "No difference in hallucinated descriptions is shown")
        return f"{change}: {before} before, {after} after."
    parts = [f"Fewer descriptions hallucinate than before in {better} of {len(results)} runs"]
    if worse:
        parts.append(f"more in {worse}")
    if better + worse < len(results):
        parts.append(f"no difference is shown in {len(results) - better - worse}")
    return ", ".join(parts) + "."


def _rows(results: Mapping[str, Results], metric: str) -> list[tuple[str, Difference]]:
    return [
        (name, run.comparison[metric])
        for name, run in results.items()
        if metric in run.comparison and "/" not in metric
    ]


def run_names(paths: Sequence[Path]) -> dict[str, Path]:
    """Name each run by its directory, with as much of the path as makes the names differ.

    Raises:
        ConfigError: A run is given twice.
    """
    folders = [
        path.resolve().parent if path.name == "results.json" else path.resolve() for path in paths
    ]
    doubles = sorted({str(folder) for folder in folders if folders.count(folder) > 1})
    if doubles:
        raise ConfigError(
            f"The same run is given more than once: {', '.join(doubles)}. Give each run once."
        )
    depth = 1
    while len({folder.parts[-depth:] for folder in folders}) < len(folders):
        depth += 1
    return {
        "/".join(folder.parts[-depth:]): path for folder, path in zip(folders, paths, strict=True)
    }
