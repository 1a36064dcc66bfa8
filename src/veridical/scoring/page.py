"""Scores and benchmarks as text: plain for the terminal, Markdown for the docs."""

from collections.abc import Iterable, Iterator, Sequence

from veridical.errors import ConfigError
from veridical.records import BenchmarkScore
from veridical.scoring.protocol import AnyBenchmark, Card, ReferenceResult
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
    """A line for each benchmark that can be used: name, title, variants, files, options."""
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


def benchmark_page(benchmark: AnyBenchmark) -> str:
    """Everything a card says, as a page."""
    card = benchmark.card
    parts = [f"# {card.title}\n", f"{card.paper}\n", f"```bash\n{_command(benchmark)}\n```\n"]
    parts += [
        "## What it measures\n",
        f"{card.measures}\n",
        "## What it does not\n",
        f"{card.leaves_out}\n",
    ]
    parts += ["## Variants\n", _variants(card), "## Files\n", _inputs(card)]
    if card.options:
        parts += ["## Options\n", _options(card)]
    parts += ["## Metrics\n", _metrics(card)]
    if card.faults:
        rows = [(fault.title, fault.example, fault.remedy) for fault in card.faults]
        parts += [
            "## Known faults of the official code and data\n",
            _table(("fault", "what comes out", "ours"), rows),
        ]
    parts += [
        "## What the model is asked\n",
        f"{card.prompt}\n",
        *([_presets(card)] if card.presets else []),
    ]
    parts += ["## Judge\n", f"{card.judge or 'None.'}\n"]
    if card.references:
        parts += ["## Published results\n", *_references(card.references, card)]
    parts += ["## Data\n", f"{card.data} Not redistributed here.\n"]
    return "\n".join(parts)


def benchmark_index(benchmarks: Sequence[AnyBenchmark]) -> str:
    """One row per benchmark, with a link to its page."""
    rows = [
        (
            f"[{made.card.title}]({made.name}.md)",
            f"`{made.name}`",
            made.card.measures,
            ", ".join(f"`{name}`" for name in made.card.variants),
            ", ".join(f"`--{role}`" for role, spec in made.card.inputs.items() if spec.required),
        )
        for made in benchmarks
    ]
    return _table(
        ("benchmark", "name", "what it measures", "variants (the first is the default)", "needs"),
        rows,
    )


def _command(benchmark: AnyBenchmark) -> str:
    needed = [
        f"--{role} {role.upper()}" for role, spec in benchmark.card.inputs.items() if spec.required
    ]
    return " ".join(["veridical score", benchmark.name, *needed])


def _variants(card: Card) -> str:
    rows = [
        (
            f"`{name}`" + (" (default)" if number == 0 else ""),
            "yes" if spec.official else "no",
            spec.meaning,
        )
        for number, (name, spec) in enumerate(card.variants.items())
    ]
    return _table(("variant", "as published code counts", "what it does"), rows)


def _inputs(card: Card) -> str:
    rows = [
        (f"`--{role}`", "yes" if spec.required else "no", spec.meaning)
        for role, spec in card.inputs.items()
    ]
    return _table(("file", "needed", "what it holds"), rows)


def _options(card: Card) -> str:
    rows = []
    for name, spec in card.options.items():
        values = [f"`{choice}`" for choice in spec.choices]
        values += (
            [{"file": "a file", "number": "a number"}[spec.kind]] if spec.kind != "choice" else []
        )
        rows.append((f"`--{name}`", ", ".join(values), f"`{spec.default}`", spec.meaning))
    return _table(("option", "values", "default", "what it sets"), rows)


def _metrics(card: Card) -> str:
    rows = [
        (f"`{name}`", "in [0, 1]" if spec.unit == "rate" else spec.unit, spec.better, spec.meaning)
        for name, spec in card.metrics.items()
    ]
    return _table(("metric", "unit", "better", "what it counts"), rows)


def _presets(card: Card) -> str:
    rows = [
        (
            f"`{name}`",
            f"`{preset.template}`".replace("\n", "\\n"),
            (
                f"temperature {preset.temperature:g}, top-p {preset.top_p:g}"
                if preset.temperature
                else "greedy"
            ),
            str(preset.max_new_tokens),
            preset.meaning,
        )
        for name, preset in card.presets.items()
    ]
    return _table(("preset", "template", "decoding", "tokens at most", "whose"), rows)


def _references(references: Sequence[ReferenceResult], card: Card) -> Iterator[str]:
    """Tables of published results, one for each set of metrics; rates in percent."""
    shapes = dict.fromkeys(tuple(reference.values) for reference in references)
    for shape in shapes:
        rows = [
            (
                one.model,
                *(_shown(card, name, one.values[name]) for name in shape),
                f"`{one.variant}`",
                one.source,
            )
            for one in references
            if tuple(one.values) == shape
        ]
        yield _table(("model", *(f"`{name}`" for name in shape), "compare with", "source"), rows)


def _shown(card: Card, name: str, value: float) -> str:
    spec = card.metrics.get(name) or card.metrics.get(f"{name.partition('/')[0]}/*")
    return f"{100 * value:.2f} %" if spec is None or spec.unit == "rate" else f"{value:g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    """Signs that Markdown would take for its own, outside of code."""
    parts = text.replace("|", "\\|").split("`")
    return "`".join(
        part.replace("*", "\\*") if number % 2 == 0 else part for number, part in enumerate(parts)
    )
