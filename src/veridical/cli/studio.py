"""`veridical studio`: the web app where people give the feedback."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from veridical.progress import counted


class _StudioGroup(TyperGroup):
    """Anything that is not the name of a sub-command is a folder or file to start with."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Take `veridical studio FOLDER` for `veridical studio start FOLDER`."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["start", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_StudioGroup,
    no_args_is_help=True,
    help="Let people compare, correct, rate and mark in the browser. "
    "`veridical studio FOLDER` does init, import and open at once.",
)

Project = Annotated[Path, typer.Argument(help="Folder of the project.")]
Source = Annotated[
    Path,
    typer.Argument(
        help="A folder that `veridical generate` wrote, a folder of comparisons, a .csv, .tsv or "
        ".jsonl table with pictures beside it, or a Label Studio export (.json)."
    ),
]
Second = Annotated[
    Path | None,
    typer.Option("--second", help="Another run over the same prompts, to compare blindly."),
]
Task = Annotated[
    str | None,
    typer.Option(help="compare, correct, rate or mark; by default what fits the source."),
]
Prompts = Annotated[Path | None, typer.Option(help="The prompts, if the run does not name them.")]
Outside = Annotated[
    bool, typer.Option("--images-outside", help="Accept pictures outside of the data's folder.")
]
Suspects = Annotated[
    Path | None, typer.Option(help="JSONL of segments that a model or a detector suspects.")
]
Scores = Annotated[Path | None, typer.Option(help="JSONL of scores: highest first in the queue.")]
Gold = Annotated[Path | None, typer.Option(help="JSONL of known answers.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)]
Public = Annotated[
    str, typer.Option(help="Address of the proxy in front, for instance https://studio.example.org")
]
Workers = Annotated[int, typer.Option(help="Processes; more than one needs PostgreSQL.", min=1)]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting, for instance overlap_share=0.2."),
]


@app.command(hidden=True)
def start(
    source: Source,
    *,
    project: Annotated[
        Path | None, typer.Option(help="Folder of the project; by default SOURCE-studio.")
    ] = None,
    second: Second = None,
    task: Task = None,
    prompts: Prompts = None,
    images_outside: Outside = False,
    suspects: Suspects = None,
    scores: Scores = None,
    gold: Gold = None,
    settings: Settings = None,
    host: Host = "127.0.0.1",
    port: Port = 8765,
    public: Public = "",
) -> None:
    """Create a project from SOURCE unless it exists, and open it."""
    from veridical.studio.opening import is_studio
    from veridical.studio.serving import Address, serve_studio

    folder = (
        source
        if is_studio(source)
        else project or source.resolve().with_name(f"{source.resolve().stem}-studio")
    )
    if not is_studio(folder):
        options = _options(second, task, prompts, images_outside, suspects, scores, gold)
        _make(folder, source, options, name=None, settings=settings, database=None)
    serve_studio(folder, Address(host, port, public))


@app.command()
def init(
    project: Project,
    source: Source,
    *,
    name: Annotated[str | None, typer.Option(help="Title shown to annotators.")] = None,
    database: Annotated[
        str | None, typer.Option(help="URL of a PostgreSQL database; by default SQLite.")
    ] = None,
    second: Second = None,
    task: Task = None,
    prompts: Prompts = None,
    images_outside: Outside = False,
    suspects: Suspects = None,
    scores: Scores = None,
    gold: Gold = None,
    settings: Settings = None,
) -> None:
    """Create a project and import its first items."""
    options = _options(second, task, prompts, images_outside, suspects, scores, gold)
    _make(project, source, options, name=name, settings=settings, database=database)


@app.command("import")
def import_(
    project: Project,
    source: Source,
    *,
    second: Second = None,
    prompts: Prompts = None,
    images_outside: Outside = False,
    suspects: Suspects = None,
    scores: Scores = None,
    gold: Gold = None,
) -> None:
    """Import more items; people can keep working meanwhile."""
    from veridical.progress import log
    from veridical.studio.start import import_into_studio

    options = _options(second, None, prompts, images_outside, suspects, scores, gold)
    done = import_into_studio(project, source, options)
    log(
        f"{counted(done.added, 'new item')}, {done.duplicates} known already;"
        f" {counted(done.slots, 'judgement')} wanted"
    )


@app.command("open")
def open_(
    project: Project,
    *,
    host: Host = "127.0.0.1",
    port: Port = 8765,
    public: Public = "",
    workers: Workers = 1,
) -> None:
    """Serve a project; prints a link that signs the lead in."""
    from veridical.studio.serving import Address, serve_studio

    serve_studio(project, Address(host, port, public), workers=workers)


@app.command()
def export(
    project: Project,
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    *,
    every: Annotated[
        bool, typer.Option("--every", help="Keep every judgement of an item, not just one.")
    ] = False,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format", help="Also write OUT/FORMAT/ in a public format; can be repeated."
        ),
    ] = None,
) -> None:
    """Export the judgements as records, in a folder that `veridical train` reads as it is."""
    from veridical.progress import log
    from veridical.studio.export.folder import export_format, export_studio
    from veridical.studio.opening import open_studio

    done = export_studio(open_studio(project), out, keep="every" if every else "one")
    log(f"{counted(done.records, 'judgement')} in {done.folder}")
    for reason, count in sorted(done.counts.items()):
        log(f"  {count} {reason}")
    for name in formats or []:
        log(f"{name}: {export_format(done.folder, name)}")


@app.command()
def user(
    project: Project,
    name: Annotated[str, typer.Argument(help="A pseudonym.")],
    *,
    role: Annotated[str, typer.Option(help="annotator or lead.")] = "annotator",
    simulated: Annotated[
        bool, typer.Option("--simulated", help="A program: its judgements are marked simulated.")
    ] = False,
    port: Port = 8765,
    public: Public = "",
) -> None:
    """Add a person, or renew their link; prints a link that signs them in once."""
    from veridical.progress import echo
    from veridical.studio.opening import open_studio
    from veridical.studio.serving import Address, login_link

    source = "simulated" if simulated else "human"
    address = Address(port=port, public=public)
    echo(login_link(open_studio(project), name, address, role=role, source=source))


@app.command()
def agreement(project: Project) -> None:
    """Print how well people agree."""
    from veridical.progress import echo
    from veridical.studio.lead.agreement import agreement_table
    from veridical.studio.opening import open_studio

    echo(agreement_table(open_studio(project)))


@app.command()
def backup(project: Project, file: Annotated[Path, typer.Argument(help="A new file.")]) -> None:
    """Copy the database while people work; the pictures beside it never change."""
    from veridical.progress import log
    from veridical.studio.opening import open_studio

    log(f"Copied to {open_studio(project).database.backup(file)}")


def _options(
    second: Path | None,
    task: str | None,
    prompts: Path | None,
    outside: bool,  # noqa: FBT001
    suspects: Path | None,
    scores: Path | None,
    gold: Path | None,
) -> Any:
    from typing import get_args

    from veridical.errors import ConfigError
    from veridical.studio.settings import Task as Known
    from veridical.studio.sources.extras import Extras
    from veridical.studio.start import SourceOptions

    if task is not None and task not in get_args(Known):
        raise ConfigError(f"The task is one of {', '.join(get_args(Known))}, got {task!r}.")
    extras = Extras(suspects, scores, gold)
    return SourceOptions(second, task, prompts, outside, extras)  # type: ignore[arg-type]


def _make(
    folder: Path,
    source: Path,
    options: Any,
    *,
    name: str | None,
    settings: list[str] | None,
    database: str | None,
) -> None:
    from veridical.progress import log
    from veridical.studio.settings import read_settings
    from veridical.studio.start import init_studio

    _, done = init_studio(
        folder,
        source,
        options,
        name=name,
        settings=read_settings(settings or []),
        database_url=database,
    )
    log(
        f"{counted(done.added, 'item')}, {counted(done.slots, 'judgement')} wanted; the"
        f" project is {folder}"
    )
