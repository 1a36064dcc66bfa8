"""The card of a score: what was measured, how, and what the number does not say."""

from collections.abc import Sequence
from pathlib import Path

from veridical.evaluation.questions import Trial
from veridical.files import write_text_atomically
from veridical.records import BenchmarkScore, Response
from veridical.scoring.protocol import Card


def write_card(
    path: Path,
    card: Card,
    total: BenchmarkScore,
    trial: Trial,
    identity: str,
    responses: Sequence[Response],
) -> Path:
    """Write the card of a score as Markdown.

    Args:
        path: The file to write.
        card: The benchmark's facts.
        total: The score.
        trial: How the model was asked.
        identity: What the answers rest on.
        responses: The answers.
    """
    preset = trial.preset
    decoding = (
        "greedy"
        if preset.temperature == 0
        else f"temperature {preset.temperature:g}, top-p {preset.top_p:g}"
    )
    cut = sum(response.finish == "length" for response in responses)
    options = ", ".join(f"{name} {value}" for name, value in total.options.items()) or "none"
    lines = [
        f"# {card.title}: {responses[0].model if responses else 'no model'}",
        "",
        f"- paper: {card.paper}",
        f"- variant: {total.variant} ({card.variants[total.variant].meaning})",
        f"- options: {options}",
        f"- model: {identity}",
        (
            f"- asked: `{preset.template!r}`; {decoding}, at most {preset.max_new_tokens} tokens,"
            f" seed {trial.seed}"
        ),
        f"- settings: {preset.meaning}",
        f"- answers: {len(responses)}, cut off at the length limit: {cut}",
        f"- counts: {', '.join(f'{name} {count}' for name, count in total.counts.items())}",
        f"- rests on: {', '.join(f'{name} {version}' for name, version in total.versions.items())}",
        "",
        "| metric | value | 95 % interval | n |",
        "| --- | --- | --- | --- |",
    ]
    for name, metric in total.metrics.items():
        value = "–" if metric.n == 0 else f"{metric.value:.4f}"
        lines.append(f"| {name} | {value} | {metric.low:.4f} … {metric.high:.4f} | {metric.n} |")
    lines += ["", f"What it measures: {card.measures}", "", f"What it does not: {card.leaves_out}"]
    if total.warnings:
        lines += ["", *(f"- note: {warning}" for warning in total.warnings)]
    return write_text_atomically(path, "\n".join(lines) + "\n")
