"""`veridical score BENCHMARK`: metrics from answers that exist already."""

from pathlib import Path
from typing import Annotated

import typer

SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
"""What a benchmark lets one set is declared in its card, so that typer cannot know those options."""


def score(
    context: typer.Context,
    benchmark: Annotated[str, typer.Argument(help="Which benchmark; `veridical score list` names them.")],
    responses: Annotated[Path | None, typer.Option(help="What the model answered.", show_default=False)] = None,
    questions: Annotated[Path | None, typer.Option(help="What was asked.", show_default=False)] = None,
    reference: Annotated[Path | None, typer.Option(help="What is true: file or folder.", show_default=False)] = None,
    reviews: Annotated[Path | None, typer.Option(help="What a judge said.", show_default=False)] = None,
    variant: Annotated[str | None, typer.Option(help="Way of counting.", show_default=False)] = None,
    json: Annotated[Path | None, typer.Option(help="Write the total here.", show_default=False)] = None,
    items: Annotated[Path | None, typer.Option(help="Write every item's score here.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
) -> None:
    """Score answers on a benchmark, with intervals; no model, no network.

    What a benchmark lets one set beside this (`--task generative` of amber) is shown by `veridical score list`.
    """
    from veridical.evaluation.benchmarks.protocol import Files
    from veridical.evaluation.benchmarks.registry import benchmark_names, find_benchmark
    from veridical.evaluation.benchmarks.scoring import score as score_files
    from veridical.evaluation.benchmarks.table import score_table
    from veridical.files import write_json_atomically
    from veridical.progress import say
    from veridical.records import write_records

    if benchmark == "list":
        for name in benchmark_names():
            card = find_benchmark(name).card
            options = "".join(f" · --{option} {spec.meaning}" for option, spec in card.options.items())
            say(f"{name}: {card.title} · variants {', '.join(card.variants)} · reads {', '.join(card.inputs)}{options}")
        return
    files = Files(responses, questions, reference, reviews)
    scored = score_files(benchmark, files, variant=variant, options=_options(context.args), seed=seed)
    say(score_table(scored.total))
    if json is not None:
        write_json_atomically(json, scored.total.model_dump(mode="json"))
    if items is not None:
        write_records(items, scored.items, kind="ItemScore")


def _options(words: list[str]) -> dict[str, str]:
    """Read `--name value` and `--name=value`."""
    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, sign, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise typer.BadParameter(f"got {word!r} beside the benchmark's name. Write --NAME VALUE.")
        if not sign:
            value = next(rest, "")
            if not value:
                raise typer.BadParameter(f"--{name} lacks its value.")
        if name in found:
            raise typer.BadParameter(f"--{name} is given twice.")
        found[name] = value
    return found
