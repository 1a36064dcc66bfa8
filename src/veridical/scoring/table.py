"""A score, and the list of all benchmarks, in plain text."""

from veridical.errors import ConfigError
from veridical.records import BenchmarkScore
from veridical.scoring.registry import benchmark_names, find_benchmark


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
    lines.append(
        "versions: " + ", ".join(f"{name} {version}" for name, version in total.versions.items())
    )
    lines += [f"note: {warning}" for warning in total.warnings]
    return "\n".join(lines)


def benchmark_lines() -> list[str]:
    """A line for each benchmark that can be had: name, title, variants, files, options."""
    lines = []
    for name in benchmark_names():
        try:
            card = find_benchmark(name).card
        except ConfigError as error:  # a fault of another package hides none of the others
            lines.append(f"{name}: {error}")
            continue
        extras = "".join(f" · --{option} {spec.meaning}" for option, spec in card.options.items())
        variants, files = ", ".join(card.variants), ", ".join(card.inputs)
        lines.append(f"{name}: {card.title} · variants {variants} · reads {files}{extras}")
    return lines
