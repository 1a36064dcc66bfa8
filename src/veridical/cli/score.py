"""`veridical score BENCHMARK`: metrics from answers that exist already."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from veridical.judges.settings import JudgeSettings

SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
"""A benchmark declares options of its own in its card, which typer cannot know."""


def score(
    context: typer.Context,
    benchmark: Annotated[
        str, typer.Argument(help="Which benchmark; `veridical score list` names them.")
    ],
    responses: Annotated[
        Path | None, typer.Option(help="What the model answered.", show_default=False)
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="What was asked.", show_default=False)
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="What is true: file or folder.", show_default=False)
    ] = None,
    reviews: Annotated[
        Path | None, typer.Option(help="What a judge wrote.", show_default=False)
    ] = None,
    answer_field: Annotated[
        str,
        typer.Option(
            help="Field of a response that holds the answer, if several could.", show_default=False
        ),
    ] = "",
    variant: Annotated[
        str | None, typer.Option(help="Way of counting.", show_default=False)
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write the total here.", show_default=False)
    ] = None,
    items: Annotated[
        Path | None, typer.Option(help="Write every item's score here.", show_default=False)
    ] = None,
    judge_model: Annotated[
        str | None, typer.Option(help="Let this model judge.", show_default=False)
    ] = None,
    judge_url: Annotated[
        str | None, typer.Option(help="Address of its endpoint.", show_default=False)
    ] = None,
    judge_cache: Annotated[
        Path | None, typer.Option(help="Folder of its answers.", show_default=False)
    ] = None,
    template: Annotated[
        Path | None, typer.Option(help="File with its prompt.", show_default=False)
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Most that judging may cost, in USD.", show_default=False)
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="Any setting of the judge: timeout=60, price_in=2.5."
        ),
    ] = None,
    dry_run: Annotated[
        Path | None, typer.Option(help="Write the requests as a batch file; send none.")
    ] = None,
    batch_output: Annotated[
        Path | None, typer.Option(help="Read a batch's answers; send no request.")
    ] = None,
    people: Annotated[
        Path | None, typer.Option(help="People's ratings, to compare the judge with.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
) -> None:
    """Score answers on a benchmark, with intervals; no network unless a judge is named.

    --responses may be a folder that `veridical generate` wrote. Options that one benchmark adds
    (`--task generative` of amber) are shown by `veridical score list`.
    """
    from veridical.files import write_json_atomically
    from veridical.progress import echo, log
    from veridical.records import write_records
    from veridical.scoring.files import score as score_files
    from veridical.scoring.page import benchmark_lines, score_table
    from veridical.scoring.people import check_people, with_people
    from veridical.scoring.protocol import Files

    if benchmark == "list":
        for line in benchmark_lines():
            echo(line)
        return
    files = Files(responses, questions, reference, reviews, answer_field)
    options = _options(context.args)
    _check_outputs(json, items)
    if people is not None:
        check_people(benchmark, people)
    named = {
        "model": judge_model,
        "url": judge_url,
        "cache": judge_cache,
        "template": template,
        "budget": budget,
    }
    settings = _judge_settings(
        named, judge or [], acts=dry_run is not None or batch_output is not None
    )
    if settings is not None and dry_run is not None:
        from veridical.evaluation.judging import write_requests

        log(write_requests(benchmark, files, settings, dry_run, variant=variant, options=options))
        return
    if settings is None:
        scored = score_files(benchmark, files, variant=variant, options=options, seed=seed)
    else:
        from veridical.evaluation.judging import judge_at_endpoint

        judged = judge_at_endpoint(
            benchmark,
            files,
            settings,
            batch_output=batch_output,
            variant=variant,
            options=options,
            seed=seed,
        )
        scored = judged.scored
        log(f"reviews: {judged.reviews}")
    if people is not None:
        scored = with_people(scored, people)
    echo(score_table(scored.total))
    if json is not None:
        write_json_atomically(json, scored.total.model_dump(mode="json"))
    if items is not None:
        write_records(items, scored.items, kind="ItemScore")


def _check_outputs(*paths: Path | None) -> None:
    """Refuse a folder in the place of a file before anything is read or asked.

    Raises:
        ConfigError: A path is a folder.
    """
    from veridical.errors import ConfigError

    for path in paths:
        if path is not None and path.is_dir():
            raise ConfigError(f"`{path}` is a folder. Name the file to write in it.")


def _options(words: list[str]) -> dict[str, str]:
    """Read `--name value` and `--name=value`."""
    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, sign, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise typer.BadParameter(
                f"got {word!r} after the benchmark's name. Write --NAME VALUE."
            )
        if not sign:
            value = next(rest, "")
            if not value:
                raise typer.BadParameter(f"--{name} lacks its value.")
        if name in found:
            raise typer.BadParameter(f"--{name} is given twice.")
        found[name] = value
    return found


def _judge_settings(
    given: Mapping[str, str | float | Path | None], pairs: Sequence[str], *, acts: bool = False
) -> "JudgeSettings | None":
    """Make the settings of a judge; None where none is named.

    Args:
        given: Values of the options that have a name of their own; None where not given.
        pairs: Further settings, `key=value`.
        acts: Whether something was asked for that needs a judge.

    Raises:
        ConfigError: Settings without a model, or a setting that is wrong.
    """
    from veridical.config import resolve_recipe
    from veridical.errors import ConfigError
    from veridical.judges.settings import JudgeSettings

    named = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in given.items()
        if value is not None
    }
    if "model" not in named and not any(
        pair.partition("=")[0].strip() == "model" for pair in pairs
    ):
        if named or pairs or acts:
            raise ConfigError("The judge's settings need a judge. Name it: --judge-model.")
        return None
    return resolve_recipe(dict(named), JudgeSettings, overrides=pairs, where="the judge's settings")
