"""Preference pairs made of judgements, and a split that never shares an image."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from veridical.errors import ConfigError, DataError, Fault
from veridical.feedback.comparisons import ComparedPair
from veridical.feedback.segments import check_segments, find_segments
from veridical.progress import counted, log
from veridical.records import Asked, Comparison, Correction, ImageRef, Pair, Prompt, Response
from veridical.records.prompts import asked_fields
from veridical.records.texts import IMAGE_MARKER, clean_text, placeholder_fault, same_text
from veridical.seeding import child_random


def pair_faults(correction: Correction) -> list[str]:
    """Say why a correction is not usable; an empty list means that it is."""
    faults = [
        f"`{side}` is empty. Give a text or leave the row out."
        for side in ("rejected", "chosen")
        if not getattr(correction, side).strip()
    ]
    faults += asked_faults(correction)
    faults += [
        fault
        for side in ("rejected", "chosen")
        if (fault := placeholder_fault(getattr(correction, side), side)) is not None
    ]
    if correction.segments:
        faults += check_segments(correction.rejected, correction.chosen, correction.segments)
    return faults


def asked_faults(asked: Asked) -> list[str]:
    """What is wrong with the turns before an answer: empty text, placeholders of a template."""
    named = {f"turn {n}": text for n, text in enumerate(asked.turns[:-1], start=1)}
    named["question"] = asked.question
    faults = [f"`{name}` is empty. Give a text." for name in named if not named[name].strip()]
    named["system"] = asked.system
    return faults + [
        fault
        for name, text in named.items()
        if (fault := placeholder_fault(text.replace(IMAGE_MARKER, ""), name)) is not None
    ]


def is_already_right(correction: Correction) -> bool:
    """Whether nothing was corrected: the texts differ in blanks or composition at most."""
    return same_text(correction.rejected, correction.chosen)


def pairs_from_corrections(
    corrections: Iterable[Correction], *, file: Path | str | None = None
) -> list[Pair]:
    """Turn corrections into preference pairs; segments are derived where a correction has none.

    Responses that were right already give no pair; how many is logged.

    Args:
        corrections: What people corrected.
        file: The file they come from: image paths are then made absolute, and faults name it.

    Raises:
        DataError: Corrections that give no pair (empty text, wrong segments), all of them; or no
            pair is left.
    """
    path = Path(file) if file is not None else None
    pairs: list[Pair] = []
    faults: list[Fault] = []
    right = 0
    for row in corrections:
        messages = pair_faults(row)
        if messages:
            named = path or Path("corrections")
            faults += [Fault(named, None, f"row {row.id!r}: {message}") for message in messages]
        elif is_already_right(row):
            right += 1
        else:
            pairs.append(_pair_of_correction(row, path))
    if right:
        log(
            f"{right} of {counted(right + len(pairs), 'response')} right already; no pair"
            " is made of that"
        )
        if not pairs and not faults:
            message = "every response was right already, so there is nothing to learn from."
            faults.append(Fault(path or Path("corrections"), None, message))
    if faults:
        raise DataError(
            faults, advice="`veridical data check` finds such rows, and --skip-bad leaves them out."
        )
    return pairs


def _pair_of_correction(row: Correction, path: Path | None) -> Pair:
    rejected, chosen, segments = row.rejected, row.chosen, row.segments
    if not segments:  # given ones have offsets in the texts as they stand
        rejected, chosen = clean_text(rejected), clean_text(chosen)
        segments = find_segments(rejected, chosen)
    asked = row if path is None else row.with_absolute_images(path.parent)
    return Pair(
        **asked_fields(asked),
        id=row.id,
        chosen=chosen,
        rejected=rejected,
        segments=segments,
        source=row.source,
        origin=row.origin,
    )


def preferences_from_corrections(
    corrections: Iterable[Correction], *, file: Path | str | None = None
) -> list[ComparedPair]:
    """Each correction as a comparison that the corrected response wins, without facts.

    Args:
        corrections: What people corrected.
        file: The file they come from, as for `pairs_from_corrections`.

    Raises:
        DataError: As for `pairs_from_corrections`.
    """
    rows = {row.id: row for row in corrections}
    return [
        _preference(pair, rows[pair.id])
        for pair in pairs_from_corrections(rows.values(), file=file)
    ]


def _preference(pair: Pair, row: Correction) -> ComparedPair:
    prompt = Prompt(**asked_fields(pair), id=row.prompt_id, origin=row.origin)
    chosen, rejected = (
        Response(id=f"{row.id}/{side}", prompt_id=row.prompt_id, text=text, model="")
        for side, text in (("chosen", pair.chosen), ("rejected", pair.rejected))
    )
    comparison = Comparison(
        id=row.id,
        prompt_id=row.prompt_id,
        source=row.source,
        annotator=row.annotator,
        seconds=row.seconds,
        response_ids=(chosen.id, rejected.id),
        preferred="first",
        hallucination=True,
    )
    return ComparedPair(comparison, prompt, chosen, rejected, ())


def pairs_from_preferences(preferences: Iterable[ComparedPair]) -> list[Pair]:
    """Turn compared responses into preference pairs; ties give none, and how many is logged."""
    pairs, ties = [], 0
    for row in preferences:
        if row.comparison.preferred == "tie":
            ties += 1
            continue
        sides = (row.first, row.second)
        chosen, rejected = sides if row.comparison.preferred == "first" else sides[::-1]
        pairs.append(
            Pair(
                **asked_fields(row.prompt),
                id=row.comparison.id,
                chosen=clean_text(chosen.text),
                rejected=clean_text(rejected.text),
                source=row.comparison.source,
                origin=row.prompt.origin,
            )
        )
    if ties:
        log(
            f"{ties} of {counted(ties + len(pairs), 'judgement')} undecided (ties); no pair"
            " is made of that"
        )
    return pairs


class HasImages(Protocol):
    """Anything that is about images."""

    @property
    def id(self) -> str:
        """Unique among its like."""

    @property
    def images(self) -> Sequence[ImageRef]:
        """The images: one as a rule, several, or none."""


I = TypeVar("I", bound=HasImages)  # noqa: E741 (an item)


def image_groups(items: Sequence[HasImages]) -> list[str]:
    """For each item the name of the images that it is about, or shares through other items."""
    hash_of = {ref.path: ref.sha256 for item in items for ref in item.images if ref.sha256}
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    firsts = []
    for item in items:
        keys = [ref.sha256 or hash_of.get(ref.path) or ref.path for ref in item.images]
        roots = sorted({root(key) for key in keys or [f"no image: {item.id}"]})
        parent |= dict.fromkeys(roots, roots[0])
        firsts.append(roots[0])
    return [root(key) for key in firsts]


def split_by_image(
    items: Sequence[I], fractions: Mapping[str, float], *, seed: int
) -> dict[str, list[I]]:
    """Split items into named parts so that no image is in two of them.

    Items that share an image with each other, be it through a third one, go to one part; an item
    without images goes alone. Which part an image goes to depends on the set of images and the
    seed, not on the order of the items.

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
    keys = image_groups(items)
    images = sorted(set(keys))
    child_random(seed, "split_by_image").shuffle(images)
    part_of: dict[str, str] = {}
    start, total = 0, 0.0
    for name, share in fractions.items():
        total += share
        end = round(total * len(images))
        if share > 0 and end == start and images:
            raise ConfigError(
                f"too few images for a split, {len(images)} for {dict(fractions)}: {name!r} would"
                " get none. Give more images or a larger share."
            )
        part_of |= dict.fromkeys(images[start:end], name)
        start = end
    parts: dict[str, list[I]] = {name: [] for name in fractions}
    for item, key in zip(items, keys, strict=True):
        parts[part_of[key]].append(item)
    return parts
