"""`veridical score BENCHMARK`: metrics from answers that exist already."""

from pathlib import Path
from typing import Annotated

import typer


def score(
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
    """Score answers on a benchmark, with intervals; no model, no network."""
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
            say(f"{name}: {card.title} · variants {', '.join(card.variants)} · reads {', '.join(card.inputs)}")
        return
    scored = score_files(benchmark, Files(responses, questions, reference, reviews), variant=variant, seed=seed)
    say(score_table(scored.total))
    if json is not None:
        write_json_atomically(json, scored.total.model_dump(mode="json"))
    if items is not None:
        write_records(items, scored.items, kind="ItemScore")
