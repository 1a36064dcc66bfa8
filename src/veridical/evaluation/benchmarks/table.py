"""A score as a table of plain text."""

from veridical.records import BenchmarkScore


def score_table(total: BenchmarkScore) -> str:
    """Show metrics with intervals and n, then counts, versions and warnings."""
    width = max((len(name) for name in total.metrics), default=6)
    lines = [f"{total.benchmark} · variant {total.variant}", ""]
    lines.append(f"{'metric':<{width}}  {'value':>8}  {'95 % interval':>20}  {'n':>6}")
    for name, metric in total.metrics.items():
        interval = f"[{metric.low:.4f}, {metric.high:.4f}]"
        value = "–" if metric.n == 0 else f"{metric.value:.4f}"
        lines.append(f"{name:<{width}}  {value:>8}  {interval:>20}  {metric.n:>6}")
    lines += ["", "counts: " + ", ".join(f"{name} {count}" for name, count in total.counts.items())]
    lines.append("versions: " + ", ".join(f"{name} {version}" for name, version in total.versions.items()))
    lines += [f"note: {warning}" for warning in total.warnings]
    return "\n".join(lines)
