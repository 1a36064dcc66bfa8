"""One file per verb, wiring only; heavy imports inside the verb, so that help is instant.

`cli/VERB.py` holds either a function of the verb's name or a typer sub-app named `app`. The module
is imported only when its verb is called; `veridical --help` reads the table below and nothing else.
Exit codes: 0 done, 1 our error (message only; `--traceback` shows where), 2 wrong usage, 130
interrupted.
"""

import errno
import importlib
import importlib.util
import io
import os
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from veridical.errors import VeridicalError
from veridical.processes import OtherProcessError, check_launch
from veridical.progress import log, log_failure

VERBS = {
    "demo": "Run the whole loop on the embedded world and write a report.",
    "reproduce": "Test a paper's claims by a plan fixed before the runs.",
    "doctor": "Show versions, devices and folders; try out a model.",
    "world": "Make scenes of the embedded world; train its base model.",
    "data": "Convert public datasets to records and back; check them.",
    "generate": "Let a model answer prompts.",
    "studio": "Let people compare, correct, rate and mark in the browser.",
    "train": "Train on judgements: one sub-command per method.",
    "evaluate": "Measure how much a model hallucinates.",
    "score": "Score answers that you have, in official formats.",
    "report": "Compare runs in one HTML file.",
    "recipes": "List the shipped recipes, or show one.",
}
"""Every verb with its line in the help, in the order of the loop; only those with a module are
offered."""

_INTERRUPTED = 130
_SECONDS_FOR_THE_FIRST = 1.0
"""How long a process that ends because another failed waits: a launcher ends all as soon as one has
ended, and the failed one must have said why by then."""
_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)


def available_verbs() -> list[str]:
    """The verbs whose module exists, in the order of the help."""
    return [verb for verb in VERBS if importlib.util.find_spec(f"veridical.cli.{verb}") is not None]


def load_verb(verb: str) -> Any:
    """Import the module of one verb and build its command."""
    module = importlib.import_module(f"veridical.cli.{verb}")
    if "app" in vars(module):
        module.app.rich_markup_mode = None
        return typer.main.get_group(module.app)
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(verb, context_settings=vars(module).get("SETTINGS"))(vars(module)[verb])
    return typer.main.get_command(app)


class LazyGroup(TyperGroup):
    """The verbs, each imported when it is called; our own errors end as a message and exit code."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for verb in available_verbs():
            self.add_command(TyperCommand(verb, help=VERBS[verb], rich_markup_mode=None))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the called verb and replace its help line with the real command."""
        verb, _, rest = super().resolve_command(ctx, args)
        if verb:
            check_launch(verb, several=verb == "train")
        return verb, load_verb(verb) if verb else None, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; turn what can go wrong into a message and an exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            log(
                "\nInterrupted. What was finished is kept; run the same command again to resume"
                " from there."
            )
            raise typer.Exit(_INTERRUPTED) from error
        except (VeridicalError, ModuleNotFoundError, OSError) as error:
            message = _message(error)
            if message is None or ctx.params["traceback"]:
                raise
            if isinstance(error, OtherProcessError):
                time.sleep(_SECONDS_FOR_THE_FIRST)
            else:
                log_failure(f"Error: {message}")
            raise typer.Exit(1) from error


def _message(error: Exception) -> str | None:
    """What to say instead of a traceback; None for what must be a fault of our own."""
    if isinstance(error, VeridicalError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        from veridical.extras import missing_package_error

        missing = missing_package_error(error.name or "", purpose="This command")
        return str(missing) if missing is not None else None
    if isinstance(error, OSError) and (error.filename or error.errno in _DISK_IS_FULL):
        where = f": `{os.fsdecode(error.filename)}`" if error.filename else ""
        return (
            f"{error.strerror}{where}. Check the path, its permissions and the free space, then run"
            " the same command again; what was finished is kept."
        )
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; always ends in `SystemExit`.

    Args:
        arguments: What follows the program's name; by default those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    plain = words[: words.index("--")] if "--" in words else words
    if "--traceback" in plain:  # allowed anywhere: one asks for it after having seen an error
        words.remove("--traceback")
        words.insert(0, "--traceback")
    for stream in (sys.stdout, sys.stderr):  # help holds signs that not every terminal can show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if not sys.warnoptions:  # nobody who runs a command can act on what libraries deprecate
        for library in ("accelerate", "peft", "torch", "transformers"):
            warnings.filterwarnings("ignore", category=FutureWarning, module=library)
    app = typer.Typer(cls=LazyGroup, no_args_is_help=True, rich_markup_mode=None)
    app.callback()(veridical)
    typer.main.get_command(app).main(words, prog_name="veridical")


def _show_version(asked: bool) -> None:  # noqa: FBT001 (typer's callback takes it so)
    if asked:
        from veridical.records.manifests import installed_version

        sys.stdout.write(f"veridical {installed_version('veridical')}\n")
        raise typer.Exit


def veridical(
    *,
    version: bool = typer.Option(
        False,
        "--version",
        is_eager=True,
        callback=_show_version,
        help="Show the version and exit.",
    ),
    traceback: bool = typer.Option(False, "--traceback", help="Show where an error came from."),
) -> None:
    """Teach vision-language models to say only what is in the picture.

    Measure how much a model hallucinates, collect corrections, align the model with them, measure
    again.
    """
    del version, traceback  # the first acts in its callback, the second where errors are caught
