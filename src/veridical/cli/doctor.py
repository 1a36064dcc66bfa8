"""`veridical doctor`: what is installed, what is missing, and proof that a model works."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from veridical.errors import install_line
from veridical.extras import requirements
from veridical.progress import echo
from veridical.records.manifests import (
    describe_machine,
    git_commit,
    installed_version,
    library_versions,
)


def doctor(
    *,
    model: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Folder or hub id of a vision-language model to check."),
    ] = None,
    adapter: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Folder of a PEFT adapter to apply.")
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="auto, float32, bfloat16 or float16; auto is the checkpoint's.")
    ] = "auto",
    trust_remote_code: Annotated[
        bool, typer.Option(help="Run code from the model's repository.")
    ] = False,
    processor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Give the processor a setting, as in [model.processor] of a recipe:"
            " template.enable_thinking=false, images.max_pixels=501760, system=TEXT. Repeat it"
            " for several.",
        ),
    ] = None,
) -> None:
    """Show versions, devices, folders and packages; with --model, prove that a model works.

    Paste the output into a bug report. With --model, drawn pictures and short responses go through
    the model in every way that Veridical uses it: batches of several picture sizes, padding,
    branches, generation, adapters, a training step. Each must agree with transformers alone. Exit
    code 1 if one does not.
    """
    for section in (_versions(), _devices(), _folders(), _packages()):
        _show(section)
    if model is not None:
        from veridical.config import resolve_recipe
        from veridical.models.checks.model import check_model
        from veridical.models.prompts.settings import ProcessorRecipe

        found = check_model(
            model,
            adapter=adapter,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            settings=(
                resolve_recipe({}, ProcessorRecipe, overrides=processor) if processor else None
            ),
        )
        _show(Section("model", dict(found.facts)))
        verdicts = {True: "ok", False: "FAILED", None: "-"}
        lines = {name: f"{verdicts[passed]:<6}  {text}" for name, passed, text in found.checks}
        _show(Section("checks", lines))
        if not found.passed:
            raise typer.Exit(1)


class Section(NamedTuple):
    """A heading with what stands under it."""

    title: str
    lines: dict[str, str]


def _versions() -> Section:
    lines = library_versions()
    commit = git_commit()
    return Section("versions", lines | ({"commit": commit} if commit else {}))


def _devices() -> Section:
    if installed_version("torch") is not None:
        import torch  # noqa: F401 (describe_machine tells of the accelerator once torch is loaded)
    return Section("machine", {name: str(value) for name, value in describe_machine().items()})


def _folders() -> Section:
    import veridical

    cache = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    lines = {"package": str(Path(veridical.__file__).parent)}
    for name, folder in (("working folder", Path.cwd()), ("model cache", cache)):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        free = shutil.disk_usage(there).free / 2**30
        writable = "" if os.access(there, os.W_OK) else ", not writable"
        lines[name] = f"{folder} ({free:.0f} GiB free{writable})"
    return Section("folders", lines)


def _packages() -> Section:
    from veridical.benchmarks.amber.nltk_data import how_to_get_data, nltk_is_there

    lines = {}
    for extra in dict.fromkeys(requirement.extra for requirement in requirements()):
        names = [
            requirement.package for requirement in requirements() if requirement.extra == extra
        ]
        missing = [name for name in names if installed_version(name) is None]
        title = "always" if extra is None else f"[{extra}]"
        lines[title] = (
            f"missing {', '.join(missing)}; install with: {install_line(extra or '')}"
            if missing
            else "complete"
        )
    lines["nltk data"] = "complete" if nltk_is_there() else f"missing; {how_to_get_data()}"
    return Section("packages", lines)


def _show(section: Section) -> None:
    echo("\n".join([section.title, *_aligned(section.lines)]) + "\n")


def _aligned(lines: dict[str, str]) -> Iterator[str]:
    width = max(map(len, lines), default=0)
    return (f"  {name:<{width}}  {value}" for name, value in lines.items())
