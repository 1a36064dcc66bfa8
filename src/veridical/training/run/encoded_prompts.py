"""Prompts of a training set, encoded once: equal ones share their tensors.

Pictures are opened and processed in a thread beside the one that encodes them, a few at a time.

Images go through the model's own deterministic processing, never cropped or flipped at random: a
mirrored picture would make "on the left" wrong.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from veridical.background import ahead
from veridical.errors import DataError, Fault, ModelError, RowError
from veridical.heap import giving_back
from veridical.models.features import FeatureCache, Read
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompts.encoding import (
    EncodedPrompt,
    PromptTensors,
    encode_separately,
    release_pixels,
)
from veridical.models.prompts.rendering import render_turns
from veridical.progress import track
from veridical.records import ImageRef
from veridical.records.image_store import open_images
from veridical.records.storage import find_line

_Identity = tuple[tuple[str, ...], str, tuple[str, ...]]
"""Turns, system message and images."""


class AsksAbout(Protocol):
    """Anything that asks: a record (`Prompt`, `Pair`), or a part of one."""

    @property
    def turns(self) -> Sequence[str]:
        """What user and assistant say in turn, up to the question."""

    @property
    def images(self) -> Sequence[ImageRef]:
        """The images; their paths are absolute, or hold from the working folder."""

    @property
    def system(self) -> str:
        """The system message, or nothing."""


class Tried(NamedTuple):
    """One prompt as tensors, or why the model cannot take it."""

    prompt: EncodedPrompt | None
    """The tensors; None where there is a problem."""
    problem: str = ""
    """What the model cannot take."""


def encode_all_prompts(
    vlm: VisionLanguageModel,
    rows: Sequence[AsksAbout],
    features: FeatureCache,
    *,
    origin: Path | None = None,
) -> list[EncodedPrompt]:
    """One prompt for each row, as `try_all_prompts` encodes it.

    Raises:
        DataError: A picture that can no longer be read, with file and line.
        ModelError: A question that the model cannot take.
    """
    encoded = []
    for tried in try_all_prompts(vlm, rows, features, origin=origin):
        if tried.prompt is None:
            raise ModelError(tried.problem)
        encoded.append(tried.prompt)
    return encoded


def try_all_prompts(
    vlm: VisionLanguageModel,
    rows: Sequence[AsksAbout],
    features: FeatureCache,
    *,
    origin: Path | None = None,
) -> list[Tried]:
    """One prompt for each row, or what is wrong with it; equal ones share their tensors.

    Args:
        vlm: The model whose template and tokenizer count.
        rows: What is asked.
        features: Keeps the features of the images where the model allows it, so that pixels can be
            released.
        origin: The file of records that the rows come from; errors name its line.

    Raises:
        DataError: A picture that can no longer be read, with file and line.
    """
    identities = [
        (tuple(row.turns), row.system, tuple(ref.identity for ref in row.images)) for row in rows
    ]
    first: dict[_Identity, int] = {}
    for number, identity in enumerate(identities):
        first.setdefault(identity, number)
    unique = [rows[number] for number in first.values()]
    size = features.prompts_at_once
    parts = [unique[start : start + size] for start in range(0, len(unique), size)]
    work = ahead(partial(_encode, vlm, part, origin) for part in parts)
    tried: list[Tried] = []
    for part in giving_back(track(work, label="Encoding prompts and images", total=len(parts))):
        released = iter(release_pixels(part.prompts, features, read=part.read))
        tried += [
            Tried(None, problem) if problem else Tried(next(released)) for problem in part.problems
        ]
    encoded = dict(zip(first, tried, strict=True))
    return [encoded[identity] for identity in identities]


class _Part(NamedTuple):
    """Some prompts with their pixels, and what encodes each of them again."""

    prompts: list[PromptTensors]
    read: list[Read]
    problems: list[str]
    """Of each row; empty where its prompt is among those above."""


def _encode(vlm: VisionLanguageModel, rows: Sequence[AsksAbout], origin: Path | None) -> _Part:
    part = _Part([], [], [])
    for row in rows:
        try:
            text = render_turns(vlm, row.turns, num_images=len(row.images), system=row.system)
            again = partial(_read, vlm, text, row.images, (origin, getattr(row, "id", "")))
            part.prompts.append(dict(again()))
        except ModelError as error:
            part.problems.append(str(error))
        else:
            part.read.append(again)
            part.problems.append("")
    return part


def _read(
    vlm: VisionLanguageModel,
    text: str,
    images: Sequence[ImageRef],
    place: tuple[Path | None, str],
) -> PromptTensors:
    """Open and process a row's pictures; a run does so whenever it does not keep the result."""
    try:
        shown = open_images(images)
    except RowError as error:
        origin, row_id = place
        file = Path(images[0].path) if origin is None else origin
        line = None if origin is None else find_line(origin, row_id)
        raise DataError(
            [Fault(file, line, message) for message in error.messages],
            advice="The pictures of a run must stay as they are until it ends.",
        ) from error
    (prompt,) = encode_separately(vlm, [text], [shown])
    return prompt
