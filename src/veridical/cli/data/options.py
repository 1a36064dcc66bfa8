"""What several verbs of `veridical data` share: the group, options, wording."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from veridical.records import Source

app = typer.Typer(
    help="Import, export, check and count datasets.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Format of PATH: `records`, or one that `veridical data formats` lists; detected if "
        "omitted.",
    ),
]
ImagesOption = Annotated[
    Path | None,
    typer.Option(
        "--images", help="Folder that image paths are relative to; by default the data's own."
    ),
]
FactsOption = Annotated[
    Path | None,
    typer.Option(
        "--facts", help="Captions and rationales by image (LLaVA-RLHF's image_to_caption.json)."
    ),
]
SkipBadOption = Annotated[
    bool,
    typer.Option(
        "--skip-bad", help="Leave bad rows out, collect them in NAME.bad.jsonl, and count them."
    ),
]
DecodeOption = Annotated[
    bool,
    typer.Option(
        "--decode/--no-decode",
        help="Look at every picture whole. Without it a broken one shows only when it is used.",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", help="Say what this model would not read whole (its tokenizer, no weights)."
    ),
]
ResponseTokensOption = Annotated[
    int, typer.Option(help="With --model: data.max_response_tokens of the recipe.")
]
PathArgument = Annotated[
    Path, typer.Argument(metavar="PATH", help="Records, an import's folder, or any known format.")
]


def rows_of(count: int, kind: str) -> str:
    """A number of rows of a kind, in words."""
    return f"{count} {kind} {'row' if count == 1 else 'rows'}"


def judged_by_option(text: str | None) -> "Source | None":
    """The option `--source`, checked."""
    from typing import get_args

    from veridical.errors import ConfigError
    from veridical.records import Source

    if text is not None and text not in get_args(Source):
        raise ConfigError(f"--source must be human, model or simulated, got {text!r}.")
    return text  # type: ignore[return-value]
