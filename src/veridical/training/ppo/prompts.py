"""The prompts of PPO: checked, encoded once, in an order that depends on the seed alone.

The released code of LLaVA-RLHF (arXiv 2309.14525) drops long prompts from one list and not from the
other, so that later prompts get the wrong image. Here a prompt, its image and its tensors are one
row, and what is left out is listed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.errors import DataError, Fault
from veridical.files import quarantine_rows
from veridical.models.features import FeatureCache
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompts.encoding import EncodedPrompt
from veridical.models.prompts.rendering import render_turns
from veridical.progress import track
from veridical.records import ImageRef, Prompt, scan_records
from veridical.records.image_store import ImageChecks
from veridical.seeding import child_random
from veridical.training.ppo.sections import PpoDataSection
from veridical.training.run.encoded_prompts import try_all_prompts
from veridical.training.run.refusal import leave_out, reject_special_tokens


class PpoPrompt(NamedTuple):
    """One prompt to answer."""

    record: Prompt
    """What is asked; the image's path is absolute."""
    encoded: EncodedPrompt
    """The same as tensors."""

    @property
    def id(self) -> str:
        """Id of the record."""
        return self.record.id

    @property
    def images(self) -> Sequence[ImageRef]:
        """The images asked about."""
        return self.record.images


def read_prompts(path: Path | str, data: PpoDataSection, *, run_dir: Path) -> list[Prompt]:
    """Read a file of prompts, with their images' paths made absolute.

    Args:
        path: The file.
        data: What to do with bad rows.
        run_dir: Where lists of what was left out go.

    Raises:
        DataError: Rows that are not prompts, or whose image cannot be read, all of them, each with
            its line, unless they are to be skipped; or none is left.
    """
    path = Path(path)
    return _read(path, data, quarantine=run_dir / f"bad_{path.stem}.jsonl")


def encode_prompts(
    prompts: Sequence[Prompt],
    path: Path | str,
    vlm: VisionLanguageModel,
    features: FeatureCache,
    data: PpoDataSection,
    *,
    room: int,
    run_dir: Path,
) -> list[PpoPrompt]:
    """Encode prompts; long ones are left out, and listed.

    Args:
        prompts: What was read.
        path: The file that they were read from.
        vlm: The model that will answer.
        features: Keeps the features of the images where the model allows it.
        data: What to do with long prompts and bad rows.
        room: Tokens of the longest response, which must fit after a prompt.
        run_dir: Where lists of what was left out go.

    Raises:
        DataError: Prompts that the model cannot take, all of them, each with its line, unless they
            are to be skipped; or none is left.
    """
    path = Path(path)

    def leave(rows: Sequence[Prompt], problems: Mapping[str, str], named: str) -> list[Prompt]:
        return leave_out(
            rows,
            problems,
            path=path,
            record_type=Prompt,
            skip_bad=data.skip_bad,
            quarantine=run_dir / f"{named}_{path.stem}.jsonl",
        )

    prompts = reject_special_tokens(
        vlm,
        prompts,
        texts_of=lambda prompt: prompt.said,
        path=path,
        record_type=Prompt,
        skip_bad=data.skip_bad,
        quarantine=run_dir / f"bad_texts_{path.stem}.jsonl",
    )
    long = {
        prompt.id: message
        for prompt in prompts
        if (message := _too_many_words(vlm, prompt, data.max_prompt_tokens))
    }
    short = [prompt for prompt in prompts if prompt.id not in long]
    tried = try_all_prompts(vlm, short, features, origin=path) if short else []
    problems = {one.id: tr.problem for one, tr in zip(short, tried, strict=True) if tr.problem}
    leave(short, problems, "bad_prompts")
    good = [PpoPrompt(one, tr.prompt) for one, tr in zip(short, tried, strict=True) if tr.prompt]
    long |= {
        one.record.id: message for one in good if (message := _no_room(vlm, one.encoded, room))
    }
    good = [one for one in good if one.record.id not in long]
    listed = [
        (row.line, row.raw, long[row.record.id])
        for row in scan_records(path, Prompt)
        if row.record is not None and row.record.id in long
    ]
    if not good:
        raise DataError(
            [Fault(path, line, message) for line, _, message in listed],
            advice="No prompt is left.",
        )
    if listed:
        quarantine_rows(path, listed, to=run_dir / f"long_{path.stem}.jsonl")
    return good


def _read(path: Path, data: PpoDataSection, *, quarantine: Path) -> list[Prompt]:
    good: list[Prompt] = []
    bad: list[tuple[int, str, str]] = []
    checks = ImageChecks(path.parent, outside=data.images_outside)
    for row in track(scan_records(path, Prompt), label=f"Checking {path.name}"):
        message = row.fault
        if row.record is not None:
            message = next(filter(None, map(checks.fault, row.record.images)), None)
            good += [row.record.with_absolute_images(path.parent)] if message is None else []
        if message is not None:
            bad.append((row.line, row.raw, message))
    if not good or (bad and not data.skip_bad):
        faults = [Fault(path, line, message) for line, _, message in bad]
        empty = [
            Fault(path, None, "there is no prompt to answer. Give a file of `Prompt` records.")
        ]
        raise DataError(
            faults or empty, advice="Fix these rows, or leave them out with --skip-bad."
        )
    if bad:
        quarantine_rows(path, bad, to=quarantine)
    return good


def _too_many_words(vlm: VisionLanguageModel, prompt: Prompt, limit: int) -> str | None:
    if not limit:
        return None
    rendered = render_turns(vlm, prompt.turns, num_images=len(prompt.images), system=prompt.system)
    count = len(vlm.tokenizer(rendered, add_special_tokens=False)["input_ids"])
    return (
        f"the prompt has {count} tokens, `data.max_prompt_tokens` allows {limit}."
        if count > limit
        else None
    )


def _no_room(vlm: VisionLanguageModel, encoded: EncodedPrompt, room: int) -> str | None:
    length = encoded.prompt["input_ids"].shape[1]
    if vlm.window is None or length + room <= vlm.window:
        return None
    return (
        f"the prompt has {length} tokens, which leaves no room for {room} more in a window of"
        f" {vlm.window}."
    )


def rows_of_iteration(iteration: int, *, prompts: int, size: int, seed: int) -> list[int]:
    """Numbers of the prompts that a rollout answers; each pass over all has another order.

    Args:
        iteration: The rollout, from 0.
        prompts: How many prompts there are.
        size: How many a rollout takes.
        seed: Root seed.
    """
    first = iteration * size
    rows: list[int] = []
    for turn in range(first // prompts, (first + size - 1) // prompts + 1):
        order = list(range(prompts))
        child_random(seed, "prompts", turn).shuffle(order)
        rows += order[max(first - turn * prompts, 0) : first + size - turn * prompts]
    return rows
