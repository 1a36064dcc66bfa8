"""An evaluation as plain text: every model's headline metrics and the paired differences."""

from collections.abc import Iterator, Sequence

from veridical.evaluation.run import Evaluation
from veridical.scoring.comparison import is_headline
from veridical.scoring.runs import RunComparison, ScoredRun, spread


def evaluation_table(done: Evaluation) -> str:
    """Show runs by benchmark, variant and trial, those of the earlier evaluation first.

    Metrics of groups ("accuracy/existence") stand in the scores' files only.
    """
    runs = [*done.earlier, *done.runs]
    groups: dict[tuple[str, str, str], list[ScoredRun]] = {}
    for run in runs:
        groups.setdefault(run.key, []).append(run)
    lines: list[str] = []
    for (benchmark, variant, trial), members in groups.items():
        lines += ["", f"{benchmark} · {variant}{f' · {trial}' if trial else ''}"]
        lines += _values(members)
        tests = [one for one in done.comparisons if one.second in members]
        lines += [line for one in tests for line in _differences(one)]
        lines += _notes(members)
    for (model, benchmark, variant), metrics in spread(runs).items():
        lines += ["", f"{benchmark} · {variant} · {model} over trials: mean [least, greatest]"]
        width = max(map(len, metrics))
        lines += [
            f"  {name:<{width}}  {one.mean:.4f} [{one.low:.4f}, {one.high:.4f}] of {one.trials}"
            for name, one in metrics.items()
            if is_headline(name)
        ]
    return "\n".join(lines[1:])


def _values(runs: Sequence[ScoredRun]) -> Iterator[str]:
    names = [name for name in runs[0].scored.total.metrics if is_headline(name)]
    width = max(len(name) for name in [*names, "metric"])
    column = max(28, *(len(run.model) for run in runs))
    yield "  ".join(
        [f"  {'metric':<{width}}", *(f"{run.model:<{column}}" for run in runs)]
    ).rstrip()
    for name in names:
        cells = []
        for run in runs:
            metric = run.scored.total.metrics.get(name)
            text = (
                f"{metric.value:.4f} [{metric.low:.4f}, {metric.high:.4f}]"
                if metric and metric.n
                else "–"
            )
            cells.append(f"{text:<{column}}")
        yield "  ".join([f"  {name:<{width}}", *cells]).rstrip()


def _differences(one: RunComparison) -> Iterator[str]:
    yield f"  {one.second.model} minus {one.first.model}, paired; p by Holm's method:"
    if one.problem:
        yield f"    not tested: {one.problem}"
        return
    names = [name for name in one.metrics if is_headline(name)]
    width = max((len(name) for name in names), default=0)
    for name in names:
        found = one.metrics[name]
        gap = found.difference
        note = "" if found.is_shown else f"  {found.note or 'no difference is shown'}"
        yield (
            f"    {name:<{width}}  {gap.difference:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]  "
            f"p = {found.corrected_p:.2g}{note}"
        )


def _notes(runs: Sequence[ScoredRun]) -> Iterator[str]:
    for run in runs:
        for warning in run.scored.total.warnings:
            yield f"  note, {run.model}: {warning}"
