"""Make a project, bring items in: what the command line and tests call."""

from pathlib import Path
from typing import NamedTuple

from veridical.errors import ConfigError
from veridical.studio.opening import (
    Studio,
    make_studio_folder,
    open_studio,
    remove_studio_folder,
)
from veridical.studio.settings import StudioSettings, Task
from veridical.studio.sources.extras import Extras
from veridical.studio.sources.reading import Source, find_dataset
from veridical.studio.store.items import Imported, add_items
from veridical.studio.store.projects import create_project, load_project
from veridical.studio.web.rendering import own_guidelines


class SourceOptions(NamedTuple):
    """How a source is read."""

    second: Path | None = None
    """Another run over the same prompts."""
    task: Task | None = None
    """What people do; by default what fits the source."""
    prompts: Path | None = None
    """The file of prompts, where the run does not say."""
    outside: bool = False
    """Accept pictures outside of the data's folder."""
    extras: Extras | None = None
    """Files beside the items."""


def init_studio(
    folder: Path,
    source: Path,
    options: SourceOptions | None = None,
    *,
    name: str | None = None,
    settings: StudioSettings | None = None,
    database_url: str | None = None,
) -> tuple[Studio, Imported]:
    """Make a project from a source.

    Raises:
        ConfigError: The folder holds one already, or the source is none.
        DataError: Rows that cannot be used.
    """
    options = options or SourceOptions()
    opened = _open(source, options, options.task)
    database = make_studio_folder(folder, database_url)
    try:
        with database.writing() as connection:
            create_project(
                connection,
                name or opened.name,
                opened.task,
                settings or StudioSettings(),
                guidelines=own_guidelines(opened.task),
            )
        return Studio(folder, database), add_items(database, folder, opened.items)
    except BaseException:  # half a project must not be opened later as if it were whole
        remove_studio_folder(folder, database)
        raise


def import_into_studio(
    folder: Path, source: Path, options: SourceOptions | None = None
) -> Imported:
    """Bring more items into a project.

    Raises:
        ConfigError: The source is for another task.
        DataError: Rows that cannot be used.
    """
    options = options or SourceOptions()
    studio = open_studio(folder)
    with studio.database.reading() as connection:
        task = load_project(connection).task
    opened = _open(source, options, task)
    if opened.task != task:
        raise ConfigError(f"`{source}` is to {opened.task}, the project is to {task}.")
    return add_items(studio.database, folder, opened.items)


def _open(source: Path, options: SourceOptions, task: Task | None) -> Source:
    return find_dataset(
        source,
        second=options.second,
        task=task,
        prompts=options.prompts,
        outside=options.outside,
        extras=options.extras,
    )
