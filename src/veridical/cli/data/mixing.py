"""`veridical data mix`: human-written pictures and texts beside machine-written instructions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from veridical.cli.data.options import app
from veridical.progress import counted, echo

if TYPE_CHECKING:
    from veridical.formats.mix.building import Mixed

_FILE = {"dir_okay": False, "exists": True}
_FOLDER = {"file_okay": False, "exists": True}


@app.command("mix")
def mix(
    name: Annotated[str, typer.Argument(metavar="MIX", help="Which mix: llava-rlhf.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write into.")],
    *,
    vqa_v2: Annotated[
        Path | None,
        typer.Option(help="Folder with VQA-v2's questions and annotations.", **_FOLDER),
    ] = None,
    a_okvqa: Annotated[
        Path | None, typer.Option(help="A-OKVQA's aokvqa_v1p0_train.json.", **_FILE)
    ] = None,
    flickr30k: Annotated[
        Path | None, typer.Option(help="Flickr30k's captions: .token, .csv or .json.", **_FILE)
    ] = None,
    llava: Annotated[
        Path | None, typer.Option(help="LLaVA-Instruct: llava_instruct_158k.json.", **_FILE)
    ] = None,
    held_out: Annotated[
        list[Path] | None,
        typer.Option(help="Published comparisons or PPO prompts to leave out; may be repeated."),
    ] = None,
    hold_out: Annotated[
        int, typer.Option(help="Prompts of LLaVA-Instruct to hold out, without --held-out.")
    ] = 60_000,
    count: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART=N",
            help="Most conversations of a part, 0 for all; as published: vqa-v2=83000,"
            " a-okvqa=16000, flickr30k=23000, llava-instruct=90000.",
        ),
    ] = None,
    boxes: Annotated[
        Path | None, typer.Option(help="Flickr30k Entities: captions say where things are.")
    ] = None,
    rationale_share: Annotated[
        float, typer.Option(help="Share of A-OKVQA's questions answered by a rationale first.")
    ] = 0.5,
    most_turns: Annotated[
        int, typer.Option(help="Most questions of a conversation of VQA-v2.")
    ] = 8,
    coco: Annotated[Path | None, typer.Option(help="Folder of COCO's training pictures.")] = None,
    flickr30k_pictures: Annotated[
        Path | None, typer.Option(help="Folder of Flickr30k's pictures.")
    ] = None,
    keep_benchmark_pictures: Annotated[
        bool, typer.Option("--keep-benchmark-pictures", help="Take pictures of benchmarks too.")
    ] = False,
    one_part_per_picture: Annotated[
        bool, typer.Option("--one-part-per-picture", help="Take a picture in one part only.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Root seed of everything that is drawn.")] = 0,
) -> None:
    """Make an SFT mix from the published files of its datasets."""
    import dataclasses
    import time

    from veridical.errors import ConfigError
    from veridical.files import hash_file, write_json_atomically
    from veridical.formats.mix.building import MixSettings, build_mix
    from veridical.records.manifests import build_manifest

    if name != "llava-rlhf":
        raise ConfigError(f"There is no mix {name!r}. Mixes: llava-rlhf.")
    started = time.monotonic()
    settings = MixSettings(
        vqa_v2=vqa_v2,
        a_okvqa=a_okvqa,
        flickr30k=flickr30k,
        llava=llava,
        counts=_counts(count or []),
        boxes=boxes,
        rationale_share=rationale_share,
        most_turns=most_turns,
        held_out=tuple(held_out or ()),
        hold_out=hold_out,
        coco=coco,
        flickr30k_pictures=flickr30k_pictures,
        keep_benchmark_pictures=keep_benchmark_pictures,
        one_part_per_picture=one_part_per_picture,
        seed=seed,
    )
    found = build_mix(out, settings)
    choices = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in dataclasses.asdict(settings).items()
        if value is not None and key != "held_out"
    }
    manifest = build_manifest(
        verb="data mix",
        seed=seed,
        inputs={str(file): hash_file(file) for file in settings.inputs()},
        seconds={"mix": time.monotonic() - started},
        notes={
            "mix": name,
            "conversations": found.conversations,
            "held_out": found.held_out,
            "parts": found.parts,
            "choices": choices,
        },
    )
    write_json_atomically(out / "manifest.json", manifest.model_dump(mode="json"))
    _show(found)


def _counts(texts: list[str]) -> dict[str, int]:
    from veridical.errors import ConfigError

    counts = {}
    for text in texts:
        part, equals, number = text.partition("=")
        if not equals or not number.isdecimal():
            raise ConfigError(f"--count must be PART=N, got {text!r}.")
        counts[part] = int(number)
    return counts


def _show(found: "Mixed") -> None:
    from rich.table import Table

    from veridical.progress import echo_table

    table = Table("part", "taken", "pictures", "answers", "left out")
    for name, part in found.parts.items():
        left_out = part["left out"]
        reasons = "; ".join(f"{count:,} {reason}" for reason, count in left_out.items())
        numbers = (f"{part[key]:,}" for key in ("taken", "pictures", "answers"))
        table.add_row(name, *numbers, reasons or "–")
    echo_table(table)
    echo(f"{counted(found.conversations, 'conversation')}: {found.path}")
