"""Records out into LLaVA-RLHF's files: JSON, and the images under the names that the JSON uses.

What comes from such a file goes back without loss, see `llava_rlhf`; ties, and facts that would
collide under one key, are faults, since the original would read them wrongly.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from veridical.errors import ConfigError, DataError, Fault
from veridical.files import write_bytes_atomically, write_text_atomically
from veridical.formats.llava_rlhf import (
    read_origin,
    write_conversation,
    write_preference,
    write_prompt,
)
from veridical.formats.llava_rlhf_facts import facts_object
from veridical.formats.llava_rlhf_import import FORMATS
from veridical.progress import log, track
from veridical.records import (
    Comparison,
    Conversation,
    Facts,
    ImageRef,
    Prompt,
    Record,
    Response,
    folders,
    read_records,
)
from veridical.records.images import RowFault, read_judged_image

R = TypeVar("R", bound=Record)


def export_llava_rlhf(
    folder: Path | str, out: Path | str, *, format_name: str, skip_bad: bool = False
) -> Path:
    """Write a folder of records as one of LLaVA-RLHF's files; its images go into `images/` beside it.

    Args:
        folder: Folder of `comparisons.jsonl`, `prompts.jsonl` and so on.
        out: The JSON file to write.
        format_name: A key of `FORMATS`.
        skip_bad: Leave out what the format cannot say, and count it aloud.

    Raises:
        ConfigError: No such format, or `out` is no JSON file.
        DataError: Records that the format cannot hold, or whose image cannot be read; all of them.
        StorageError: The disk refused.
    """
    folder, out = Path(folder), Path(out)
    if format_name not in FORMATS:
        raise ConfigError(
            f"Cannot export to the format {format_name!r}. Formats: {', '.join(FORMATS)}."
        )
    if out.suffix != ".json":
        raise ConfigError(
            f"The format {format_name} is one JSON file, got `{out}`. Give a name that ends in"
            " .json."
        )
    faults: list[Fault] = []
    value: Any
    if format_name == "llava-rlhf-facts":
        file = folder / folders.FACTS_FILE
        value, messages = facts_object(_under_file_names(read_records(file, Facts), folder))
        faults += [Fault(file, None, message) for message in messages]
    else:
        images = _Images(folder, out.parent / "images")
        rows = {
            "llava-rlhf-preference": _preferences,
            "llava-rlhf-prompts": _prompts,
            "llava-rlhf-conversations": _conversations,
        }[format_name]
        value = list(rows(folder, images, faults))
        if not value and not faults:
            faults.append(Fault(folder, None, "no record to write. Give another folder."))
    if faults and not (skip_bad and value):
        raise DataError(faults, advice="Mend them, or leave them out with --skip-bad.")
    if faults:
        log(f"{len(faults)} left out of {out}: {'; '.join(fault.message for fault in faults[:3])}")
    return write_text_atomically(out, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def _preferences(folder: Path, images: "_Images", faults: list[Fault]) -> Iterator[dict[str, Any]]:
    prompts = {record.id: record for record in read_records(folder / folders.PROMPTS_FILE, Prompt)}
    responses = {
        record.id: record for record in read_records(folder / folders.RESPONSES_FILE, Response)
    }
    file = folder / folders.COMPARISONS_FILE
    for comparison in track(read_records(file, Comparison), label=f"Writing {file.name}"):
        try:
            prompt = _known(prompts, comparison.prompt_id, "prompt")
            first, second = (
                _known(responses, name, "response") for name in comparison.response_ids
            )
            row = write_preference(comparison, prompt, first, second)
            row["image"] = images.copy(prompt.image, prompt.image_id)
            yield row
        except RowFault as fault:
            faults.append(Fault(file, None, f"row {comparison.id!r}: {fault}"))


def _prompts(folder: Path, images: "_Images", faults: list[Fault]) -> Iterator[dict[str, Any]]:
    file, facts_file = folder / folders.PROMPTS_FILE, folder / folders.FACTS_FILE
    facts = read_records(facts_file, Facts) if facts_file.is_file() else []
    captions = {item.image_id: item.texts for item in facts if item.kind == "caption"}
    for prompt in track(read_records(file, Prompt), label=f"Writing {file.name}"):
        try:
            row = write_prompt(prompt, captions.get(prompt.known_image, ()))
            row["image"] = images.copy(prompt.image, prompt.image_id)
            yield row
        except RowFault as fault:
            faults.append(Fault(file, None, f"row {prompt.id!r}: {fault}"))


def _conversations(
    folder: Path, images: "_Images", faults: list[Fault]
) -> Iterator[dict[str, Any]]:
    file = folder / folders.CONVERSATIONS_FILE
    for row in track(read_records(file, Conversation), label=f"Writing {file.name}"):
        try:
            named = read_origin(row.origin).get("image")
            name = (
                images.copy(row.image, named if isinstance(named, str) else None)
                if row.image is not None
                else None
            )
            yield write_conversation(row, name)
        except RowFault as fault:
            faults.append(Fault(file, None, f"row {row.id!r}: {fault}"))


def _known(records: dict[str, R], name: str, what: str) -> R:
    if name not in records:
        raise RowFault(f"there is no {what} {name!r} in the folder. Add it.")
    return records[name]


def _under_file_names(facts: list[Facts], folder: Path) -> list[Facts]:
    """Facts under the names that their images have in the original's files, which prompts beside them tell."""
    file = folder / folders.PROMPTS_FILE
    prompts = read_records(file, Prompt) if file.is_file() else []
    names = {prompt.known_image: _file_name(prompt.image, prompt.image_id) for prompt in prompts}
    return [
        item.model_copy(update={"image_id": names.get(item.image_id, item.image_id)})
        for item in facts
    ]


def _file_name(ref: ImageRef, name: str | None) -> str:
    name = name or Path(ref.path).name
    return name if Path(name).suffix else name + Path(ref.path).suffix


class _Images:
    """Copies images under the names that the original's file gives them."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder
        self._path_of_name: dict[str, str] = {}

    def copy(self, ref: ImageRef, name: str | None) -> str:
        """Copy an image, and give the name under which it lies.

        Raises:
            RowFault: It cannot be read, its name leads elsewhere, or another image has its name.
        """
        name = _file_name(ref, name)
        target = (self._folder / name).resolve()
        if not target.is_relative_to(self._folder.resolve()):
            raise RowFault(f"the image's name {name!r} leads out of `{self._folder}`. Rename it.")
        if self._path_of_name.setdefault(name, ref.path) != ref.path:
            raise RowFault(
                f"two images have the name {name!r}: {self._path_of_name[name]!r} and {ref.path!r}."
                " Rename one."
            )
        data = read_judged_image(ref, root=self._root)
        if not target.exists() or target.read_bytes() != data:
            write_bytes_atomically(target, data)
        return name
