"""Draw the parts of the mix in the paper's proportions, and write them with their counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

from veridical.errors import ConfigError
from veridical.files import JsonObject
from veridical.formats.mix.a_okvqa import read_a_okvqa
from veridical.formats.mix.flickr30k import read_flickr30k
from veridical.formats.mix.llava import HeldOut, read_llava
from veridical.formats.mix.parts import Part, Pictures
from veridical.formats.mix.vqa_v2 import find_files, read_vqa_v2
from veridical.records import Conversation, Prompt
from veridical.records.folders import Contents, FolderWriter
from veridical.seeding import child_random

PUBLISHED: Mapping[str, int] = {
    "a-okvqa": 16_000,
    "vqa-v2": 83_000,
    "flickr30k": 23_000,
    "llava-instruct": 90_000,
}
"""Conversations by part in the names of LLaVA-RLHF's released files; parts written by people first,
since a picture that may stand in one part alone goes to the first."""
HELD_OUT_FOLDER = "held_out"
"""Folder beside the mix with the prompts that SFT does not see."""


@dataclass(frozen=True, kw_only=True)
class MixSettings:
    """Everything that makes a mix; what is None is not in it."""

    vqa_v2: Path | None = None
    """Folder with VQA-v2's questions and annotations of one split."""
    a_okvqa: Path | None = None
    """A-OKVQA's file of questions."""
    flickr30k: Path | None = None
    """Flickr30k's captions."""
    llava: Path | None = None
    """LLaVA-Instruct."""
    counts: Mapping[str, int] | None = None
    """Most conversations by part; 0: all. Parts left out: as published."""
    boxes: Path | None = None
    """Flickr30k Entities: captions then say where things are. The paper says "Spotting Captioning",
    whose wording is unknown, so that captions without boxes are the default."""
    rationale_share: float = 0.5
    """Share of A-OKVQA's questions that are answered by a rationale and then the option. Both kinds
    occur in the paper's later stages, their proportion is unknown: half each."""
    most_turns: int = 8
    """Most questions of a picture's conversation of VQA-v2. Unknown; more would fill batches with
    one picture."""
    held_out: Sequence[Path] = ()
    """LLaVA-RLHF's published comparisons and PPO prompts, whose questions are left out."""
    hold_out: int = 60_000
    """Prompts of LLaVA-Instruct to hold out where no such file is given: 10k and 50k in the
    paper."""
    coco: Path | None = None
    """Folder of COCO's training pictures."""
    flickr30k_pictures: Path | None = None
    """Folder of Flickr30k's pictures."""
    keep_benchmark_pictures: bool = False
    """Take pictures of benchmarks too; measures on them then say nothing."""
    one_part_per_picture: bool = False
    """Take a picture in one part only, those written by people first. The released mix does not:
    it has as many conversations of VQA-v2 as COCO has training pictures."""
    seed: int = 0
    """Root seed of everything that is drawn."""

    def inputs(self) -> list[Path]:
        """The files that are read, pictures and boxes apart."""
        files = [*find_files(self.vqa_v2)] if self.vqa_v2 is not None else []
        named = (self.a_okvqa, self.flickr30k, self.llava, *self.held_out)
        return [*files, *(file for file in named if file is not None)]


class Mixed(NamedTuple):
    """What a mix came to."""

    path: Path
    """The folder."""
    parts: dict[str, JsonObject]
    """By part: what was found, what was left out by reason, what was taken."""
    conversations: int
    """How many conversations in all."""
    held_out: int
    """Rows of LLaVA-Instruct that SFT does not see."""


def build_mix(out: Path, settings: MixSettings) -> Mixed:
    """Make the mix of LLaVA-RLHF from the published files.

    Args:
        out: Folder for `conversations.jsonl`; prompts held out go into `held_out/` below it.
        settings: The files and choices.

    Raises:
        ConfigError: No part is given, or numbers that cannot be.
        DataError: Files that are not what they should be.
        StorageError: The disk refused.
    """
    _check(settings)
    parts, held_out = _read_parts(settings)
    if settings.one_part_per_picture:
        _separate(parts)
    taken: list[Conversation] = []
    report: dict[str, JsonObject] = {}
    for part in parts:
        chosen = _draw(part, settings)
        taken += chosen
        report[part.name] = {
            "found": dict(part.found),
            "left out": {reason: count for reason, count in part.left_out.items() if count},
            "taken": len(chosen),
            "pictures": len({_picture(row) for row in chosen}),
            "answers": sum(len(row.turns) // 2 for row in chosen),
        }
    child_random(settings.seed, "mix", "order").shuffle(taken)
    _write(out, taken, held_out.prompts)
    return Mixed(out, report, len(taken), held_out.rows)


def _check(settings: MixSettings) -> None:
    given = (settings.vqa_v2, settings.a_okvqa, settings.flickr30k, settings.llava)
    if all(path is None for path in given):
        raise ConfigError(
            "A mix needs at least one dataset. Name VQA-v2, A-OKVQA, Flickr30k or LLaVA-Instruct."
        )
    unknown = set(settings.counts or {}) - set(PUBLISHED)
    if unknown:
        raise ConfigError(
            f"There is no part {sorted(unknown)[0]!r}. Parts: {', '.join(PUBLISHED)}."
        )
    if not 0 <= settings.rationale_share <= 1 or settings.most_turns < 1 or settings.hold_out < 0:
        raise ConfigError(
            "The share of rationales must lie in [0, 1], a conversation must have a question, and"
            " what is held out cannot be below 0."
        )


def _read_parts(settings: MixSettings) -> tuple[list[Part], HeldOut]:
    keep_out = not settings.keep_benchmark_pictures
    coco = Pictures(settings.coco, "coco/train2017", keep_out=keep_out)
    flickr = Pictures(settings.flickr30k_pictures, "flickr30k-images", keep_out=keep_out)

    def random(name: str) -> Random:
        return child_random(settings.seed, "mix", name)

    parts = []
    held_out = HeldOut([], 0)
    if settings.a_okvqa is not None:
        share = settings.rationale_share
        parts.append(
            read_a_okvqa(settings.a_okvqa, coco, random=random("a-okvqa"), rationale_share=share)
        )
    if settings.vqa_v2 is not None:
        turns = settings.most_turns
        parts.append(read_vqa_v2(settings.vqa_v2, coco, random=random("vqa-v2"), most_turns=turns))
    if settings.flickr30k is not None:
        boxes = settings.boxes
        parts.append(
            read_flickr30k(settings.flickr30k, flickr, random=random("flickr30k"), boxes=boxes)
        )
    if settings.llava is not None:
        part, held_out = read_llava(
            settings.llava,
            coco,
            random=random("llava-instruct"),
            held_out=settings.held_out,
            hold_out=settings.hold_out,
        )
        parts.append(part)
    return parts, held_out


def _separate(parts: Sequence[Part]) -> None:
    """Leave pictures out of every part but the first that has them."""
    owner: dict[str, str] = {}
    for part in parts:
        kept = []
        for row in part.conversations:
            if owner.setdefault(_picture(row), part.name) == part.name:
                kept.append(row)
            else:
                part.left_out["picture that stands in another part"] += 1
        part.conversations = kept


def _draw(part: Part, settings: MixSettings) -> list[Conversation]:
    """As many conversations of a part as are wanted, in their order."""
    rows = part.conversations
    most = (settings.counts or {}).get(part.name, PUBLISHED[part.name])
    if most == 0 or len(rows) <= most:
        return rows
    part.left_out["beyond the number wanted"] += len(rows) - most
    places = child_random(settings.seed, "mix", "draw", part.name).sample(range(len(rows)), most)
    return [rows[place] for place in sorted(places)]


def _picture(row: Conversation) -> str:
    return row.image.path if row.image is not None else row.id


def _write(out: Path, conversations: list[Conversation], held_out: list[Prompt]) -> None:
    with FolderWriter(out) as writer:
        writer.write(Contents(conversations=tuple(conversations)))
    if held_out:
        with FolderWriter(out / HELD_OUT_FOLDER) as writer:
            writer.write(Contents(prompts=tuple(held_out)))
