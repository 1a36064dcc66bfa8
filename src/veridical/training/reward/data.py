"""From a folder of comparisons to tokens and labels, all computed once before the first step.

Both responses of a comparison branch off one encoded prompt and are shown the same facts in the
same order. Facts may be made worse on purpose in training (statements dropped, another image's
facts), never on held-out comparisons.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from veridical.errors import DataError, Fault, ModelError
from veridical.feedback.comparisons import ComparedPair, ReadSettings
from veridical.feedback.registry import find_judgements
from veridical.files import quarantine_rows
from veridical.models.features import FeatureCache
from veridical.progress import counted, log, track
from veridical.records import ImageRef, scan_records
from veridical.rewards.model import RewardModel
from veridical.rewards.queries import EncodedQuery, RewardBatch, RewardQuery, collate_queries
from veridical.training.reward.config import ComparisonSection, FactsSection
from veridical.training.run.loss_trainer import BranchTensors
from veridical.training.run.steps.trainer import branches_of

_AT_ONCE = 32
_LABELS = {"first": 1.0, "second": 0.0, "tie": 0.5}


class LabelledPair(NamedTuple):
    """One comparison as text."""

    id: str
    """Id of the comparison (of the first one, where several are merged)."""
    query: RewardQuery
    """Question, image, facts and the two responses."""
    preference: float
    """Probability that the first response is the better one; a tie is 0.5."""
    hallucination: bool | None
    """Whether hallucinations decided it; None where nobody noted it."""
    image_id: str
    """The name under which facts know the image."""
    task: str
    """What kind of question it was."""
    source: str
    """Who judged: human, simulated or model."""

    @property
    def images(self) -> list[ImageRef]:
        """The images, by which comparisons are split."""
        return [one for one in self.query.images if isinstance(one, ImageRef)]


class PreparedComparison(NamedTuple):
    """One comparison as the training loop wants it."""

    encoded: EncodedQuery
    """Prompt and the two branches."""
    preference: float
    """Probability that the first response is the better one."""
    weight: float
    """How much it counts."""


class ComparisonBatch(BranchTensors):
    """Comparisons as two branches each after their prompts."""

    own_mask: Tensor
    """True at the responses' own tokens (B 2 T), not at what is asked about them."""
    preference: Tensor
    """Probability that the first response is the better one (B)."""
    weight: Tensor
    """How much each comparison counts (B)."""


class ReadComparisons(NamedTuple):
    """What was read of a folder, and what was left out."""

    pairs: list[LabelledPair]
    """The comparisons, in the file's order."""
    counts: dict[str, int]
    """How many comparisons were ties, without facts, excluded, merged away."""


def read_comparisons(
    folder: Path,
    data: ComparisonSection,
    facts: FactsSection,
    *,
    reads_facts: bool,
    quarantine: Path,
) -> ReadComparisons:
    """Read and label a folder of comparisons.

    Args:
        folder: The folder.
        data: How to read it.
        facts: Which facts, and what to do where there are none.
        reads_facts: Whether the reward model reads facts from the folder at all.
        quarantine: Folder for bad rows with `skip_bad`.

    Raises:
        DataError: Rows that cannot be learnt from, all of them, each with file and line.
    """
    kind, file = find_judgements(folder)
    settings = ReadSettings(
        need_facts=reads_facts and facts.missing == "error",
        outside=data.images_outside,
        skip_bad=data.skip_bad,
        quarantine=quarantine,
        rating_margin=data.rating_margin,
    )
    compared = kind.preferences(file, settings)
    counts = {
        "read": len(compared),
        "ties": sum(pair.comparison.preferred == "tie" for pair in compared),
    }
    pairs = [_label(pair, facts, reads_facts=reads_facts) for pair in compared]
    if reads_facts:
        without = [pair.id for pair in pairs if not pair.query.facts]
        counts["without_facts"] = len(without)
        if (
            without and facts.missing == "error"
        ):  # there were facts, but none of the kinds asked for
            message = (
                f"no facts of the kinds {', '.join(facts.kinds)} for"
                f" {counted(len(without), 'comparison')}"
                f" ({without[0]} …)."
            )
            raise DataError(
                [
                    Fault(
                        file,
                        None,
                        f"{message} Add them, or set facts.missing.",
                    )
                ]
            )
        if without and facts.missing == "exclude":
            pairs = [pair for pair in pairs if pair.query.facts]
            counts["excluded"] = len(without)
        if without:
            done = "they are left out" if facts.missing == "exclude" else "they are learnt without"
            log(
                f"{len(without)} of {counted(len(compared), 'comparison')} without facts: {done}"
                f" ({without[0]} …)."
            )
    if data.judgements == "merged":
        before = len(pairs)
        pairs = _merge(pairs, compared)
        counts["merged_away"] = before - len(pairs)
    if data.ties == "drop":
        pairs = [pair for pair in pairs if pair.preference != 0.5]
    if not pairs:
        message = f"no comparison is left of {counts}. Mind data.ties and facts.missing."
        raise DataError([Fault(file, None, message)])
    return ReadComparisons(pairs, counts)


def _label(pair: ComparedPair, facts: FactsSection, *, reads_facts: bool) -> LabelledPair:
    query = RewardQuery(
        question=pair.prompt.question,
        image=pair.prompt.images,
        responses=(pair.first.text, pair.second.text),
        facts=tuple(item for item in pair.facts if item.kind in facts.kinds) if reads_facts else (),
        finished=(pair.first.finish == "stop", pair.second.finish == "stop"),
        history=pair.prompt.history,
        name=pair.prompt.id,
        system=pair.prompt.system,
    )
    judged = pair.comparison
    return LabelledPair(
        id=judged.id,
        query=query,
        preference=_LABELS[judged.preferred],
        hallucination=judged.hallucination,
        image_id=pair.prompt.known_image,
        task=pair.prompt.task,
        source=judged.source,
    )


def _merge(pairs: Sequence[LabelledPair], compared: Sequence[ComparedPair]) -> list[LabelledPair]:
    """Several judgements of the same two responses become their mean, in the place of the first."""
    ids = {pair.comparison.id: pair.comparison.response_ids for pair in compared}
    groups: dict[frozenset[str], list[LabelledPair]] = {}
    for pair in pairs:
        groups.setdefault(frozenset(ids[pair.id]), []).append(pair)
    merged = []
    for group in groups.values():
        first = group[0]
        labels = [p.preference if ids[p.id] == ids[first.id] else 1 - p.preference for p in group]
        noted = [pair.hallucination for pair in group if pair.hallucination is not None]
        hallucination = 2 * sum(noted) >= len(noted) if noted else None
        merged.append(
            first._replace(preference=sum(labels) / len(labels), hallucination=hallucination)
        )
    return merged


def lay_out_comparisons(
    model: RewardModel,
    pairs: Sequence[LabelledPair],
    data: ComparisonSection,
    *,
    folder: Path,
    features: FeatureCache,
    hallucination_weight: float,
    quarantine: Path,
) -> tuple[list[LabelledPair], list[PreparedComparison]]:
    """Turn comparisons into tokens; those that the model cannot take are refused, or left out.

    Args:
        model: The reward model.
        pairs: The comparisons.
        data: How they are read.
        folder: Where they were read from.
        features: Keeps the images' features.
        hallucination_weight: Weight of comparisons that hallucination decided.
        quarantine: File for those left out with `skip_bad`.

    Returns:
        The comparisons that are kept, and their tokens.

    Raises:
        DataError: Comparisons that do not fit the window or hold special tokens, all of them, each
            with file and line.
    """
    kept: list[LabelledPair] = []
    prepared: list[PreparedComparison] = []
    bad: dict[str, str] = {}

    def keep(some: Sequence[LabelledPair]) -> None:
        rows = model.encode(
            [pair.query for pair in some],
            features=features,
            max_tokens=data.max_tokens,
            on_demand=True,
        )
        for pair, row in zip(some, rows, strict=True):
            kept.append(pair)
            prepared.append(
                PreparedComparison(
                    row, pair.preference, hallucination_weight if pair.hallucination else 1.0
                )
            )

    for start in track(range(0, len(pairs), _AT_ONCE), label="Encoding comparisons"):
        some = pairs[start : start + _AT_ONCE]
        try:
            keep(some)
        except ModelError:
            for pair in some:
                try:
                    keep([pair])
                except ModelError as error:
                    bad[pair.id] = str(error)
    if bad:
        _refuse(bad, folder, data, quarantine, left=len(kept))
    return kept, prepared


def _refuse(
    bad: dict[str, str], folder: Path, data: ComparisonSection, quarantine: Path, *, left: int
) -> None:
    kind, file = find_judgements(folder)
    places = {getattr(row.record, "id", ""): row for row in scan_records(file, kind.record)}
    messages = [  # a comparison made of ratings stands on no line of its own
        (places[name].line, places[name].raw, said) if name in places else (0, name, said)
        for name, said in bad.items()
    ]
    if not data.skip_bad or not left:
        faults = [Fault(file, line or None, message) for line, _, message in messages]
        raise DataError(faults, advice="Fix these rows, or leave them out with --skip-bad.")
    quarantine_rows(file, messages, to=quarantine)


def collate_comparisons(
    rows: Sequence[PreparedComparison], *, pad_token_id: int
) -> ComparisonBatch:
    """Make one batch."""
    batch = collate_queries([row.encoded for row in rows], pad_token_id=pad_token_id)
    return {
        "prompt": batch.branches.prompt,
        "image_keys": batch.image_keys,
        "response_ids": batch.branches.response_ids,
        "response_mask": batch.branches.response_mask,
        "own_mask": batch.own_mask,
        "preference": torch.tensor([row.preference for row in rows]),
        "weight": torch.tensor([row.weight for row in rows]),
    }


def reward_batch(batch: ComparisonBatch) -> RewardBatch:
    """Give what a reward model reads of a batch made by `collate_comparisons`."""
    branches = branches_of(batch)
    return RewardBatch(branches, batch["own_mask"], batch["image_keys"])
