"""Preference pairs: what preference training reads, made of corrections; and a split that never shares an image."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from veridical.errors import ConfigError, DataError, Fault
from veridical.feedback.segments import check_segments, find_segments
from veridical.records import Correction, ImageRef, Record, Segment, Source
from veridical.seeding import child_random


class Pair(Record):
    """Two responses to one prompt, of which one is preferred."""

    id: str
    """Id of the judgement that it was made of."""
    image: ImageRef
    """The image asked about."""
    question: str
    """What was asked."""
    chosen: str
    """The preferred response."""
    rejected: str
    """The other one."""
    segments: tuple[Segment, ...]
    """The changed spans in order, never empty for a pair made of a correction."""
    source: Source
    """Who judged: human, simulated or model."""
    origin: str = ""
    """Data set and model that the row comes from."""


def pair_faults(correction: Correction) -> list[str]:
    """Say why a correction gives no usable pair; an empty list means that it does."""
    faults = [
        f"`{side}` is empty. Give a text or leave the row out."
        for side in ("rejected", "chosen")
        if not getattr(correction, side).strip()
    ]
    if not faults and correction.chosen == correction.rejected:
        faults.append(
            f"`chosen` equals `rejected`, got {correction.chosen[:40]!r} twice: such a pair teaches"
            " nothing. Leave the row out."
        )
    if correction.segments:
        faults += check_segments(correction.rejected, correction.chosen, correction.segments)
    return faults


def pairs_from_corrections(
    corrections: Iterable[Correction], *, file: Path | str | None = None
) -> list[Pair]:
    """Turn corrections into preference pairs; segments are derived where a correction has none.

    Args:
        corrections: What people corrected.
        file: The file they come from: image paths are then made absolute, and faults name it.

    Raises:
        DataError: Corrections that give no pair (empty text, both texts equal, wrong segments), all
            of them.
    """
    path = Path(file) if file is not None else None
    pairs: list[Pair] = []
    faults: list[Fault] = []
    for row in corrections:
        messages = pair_faults(row)
        if messages:
            faults += [
                Fault(path or Path("corrections"), None, f"row {row.id!r}: {message}")
                for message in messages
            ]
            continue
        image = row.image
        if path is not None:
            image = image.model_copy(update={"path": str(path.absolute().parent / image.path)})
        pairs.append(
            Pair(
                id=row.id,
                image=image,
                question=row.question,
                chosen=row.chosen,
                rejected=row.rejected,
                segments=row.segments or find_segments(row.rejected, row.chosen),
                source=row.source,
                origin=row.origin,
            )
        )
    if faults:
        raise DataError(
            faults, advice="`veridical data check` finds such rows, and --skip-bad leaves them out."
        )
    return pairs


class HasImage(Protocol):
    """Anything that is about an image."""

    @property
    def image(self) -> ImageRef:
        """The image."""


I = TypeVar("I", bound=HasImage)  # noqa: E741 (an item)


def split_by_image(
    items: Sequence[I], fractions: Mapping[str, float], *, seed: int
) -> dict[str, list[I]]:
    """Split items into named parts so that no image is in two of them.

    Which part an image goes to depends on the set of images and the seed, not on the order of the
    items.

    Args:
        items: Pairs, corrections, prompts.
        fractions: Share of the *images* for each part, in [0, 1]; they sum to 1.
        seed: The root seed.

    Returns:
        The items of each part, in their order.

    Raises:
        ConfigError: The fractions do not sum to 1, or there are too few images to give each part
            one.
    """
    if (
        any(not 0 <= share <= 1 for share in fractions.values())
        or abs(sum(fractions.values()) - 1) > 1e-6
    ):
        raise ConfigError(
            f"The shares of a split must lie in [0, 1] and sum to 1, got {dict(fractions)}."
        )
    hash_of = {item.image.path: item.image.sha256 for item in items if item.image.sha256}
    keys = [item.image.sha256 or hash_of.get(item.image.path) or item.image.path for item in items]
    images = sorted(set(keys))
    child_random(seed, "split_by_image").shuffle(images)
    part_of: dict[str, str] = {}
    start, total = 0, 0.0
    for name, share in fractions.items():
        total += share
        end = round(total * len(images))
        if share > 0 and end == start and images:
            raise ConfigError(
                f"{len(images)} images are too few for a split {dict(fractions)}: {name!r} would"
                " get none. Give more images or a larger share."
            )
        part_of |= dict.fromkeys(images[start:end], name)
        start = end
    parts: dict[str, list[I]] = {name: [] for name in fractions}
    for item, key in zip(items, keys, strict=True):
        parts[part_of[key]].append(item)
    return parts
