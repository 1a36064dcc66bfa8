"""From corrections on disk to the tensors of preference training, before the first step.

A correction (RLHF-V, arXiv 2312.00849) becomes a prompt, two responses as token ids and, for each,
the mask of tokens that the correction touched.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from torch import Tensor

from veridical.errors import ModelError
from veridical.feedback.comparisons import ReadSettings
from veridical.feedback.masks import (
    ORIGINAL_SUFFIX,
    ChangedMasks,
    changed_token_masks,
    original_changed_tokens,
)
from veridical.feedback.registry import find_judgements
from veridical.models.features import FeatureCache
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompts.responses import EncodedResponse, encode_responses
from veridical.progress import log
from veridical.records import Pair, Segment
from veridical.training.preference.batches import PreparedPair
from veridical.training.preference.config import DataSection
from veridical.training.preference.objectives.protocol import Objective
from veridical.training.run.encoded_prompts import try_all_prompts
from veridical.training.run.refusal import Refuse, leave_out, refuse_first, reject_special_tokens


class PairStatistics(NamedTuple):
    """What the masks of a set of pairs look like; written into the run's manifest."""

    pairs: int
    """How many pairs."""
    segments_per_response: float
    """Mean number of corrected segments. RLHF-V's data: 2.65."""
    changed_ratio_chosen: float
    """Share of the chosen responses' tokens that are marked as corrected."""
    changed_ratio_rejected: float
    """The same for the rejected responses."""
    empty_masks: int
    """Pairs without a marked token in either response: dense DPO treats them as plain DPO
    does."""
    truncated: int
    """Pairs with a response that was cut at `data.max_response_tokens` or the model's window."""
    left_out: int
    """Pairs with nothing to learn from once they are cut: equal responses, or no changed token."""


def read_pairs(data: DataSection, *, quarantine: Path) -> list[Pair]:
    """Read judgements of any kind, check texts, segments and images, and make pairs of them.

    Args:
        data: Where they are and what to do with bad rows.
        quarantine: File that bad rows go to with `skip_bad`.

    Raises:
        DataError: Rows that cannot be learnt from, all of them, each with file and line.
    """
    kind, file = find_judgements(data.corrections)
    settings = ReadSettings(
        outside=data.images_outside,
        skip_bad=data.skip_bad,
        quarantine=quarantine,
        rating_margin=data.rating_margin,
    )
    return kind.pairs(file, settings)


def reject_texts(
    vlm: VisionLanguageModel, pairs: Sequence[Pair], data: DataSection, *, quarantine: Path
) -> list[Pair]:
    """Reject, or leave out, pairs whose texts hold one of the model's special tokens.

    Args:
        vlm: The model.
        pairs: What was read.
        data: Where it was read from and what to do with bad rows.
        quarantine: File that bad rows go to with `skip_bad`.

    Raises:
        DataError: Such pairs, all of them, each with file and line, unless they are to be skipped;
            or none is left.
    """
    kind, file = find_judgements(data.corrections)
    return reject_special_tokens(
        vlm,
        pairs,
        texts_of=_texts,
        path=file,
        record_type=kind.record,
        skip_bad=data.skip_bad,
        quarantine=quarantine,
    )


def refuser(pairs: Sequence[Pair], data: DataSection, *, quarantine: Path) -> Refuse:
    """What to do with pairs whose prompt the model cannot take: as with any other bad row."""
    kind, file = find_judgements(data.corrections)

    def refuse(problems: Mapping[str, str]) -> None:
        leave_out(
            pairs,
            problems,
            path=file,
            record_type=kind.record,
            skip_bad=data.skip_bad,
            quarantine=quarantine,
        )

    return refuse


def _texts(pair: Pair) -> list[str]:
    return [*pair.said, pair.chosen, pair.rejected]


def encode_pairs(
    vlm: VisionLanguageModel,
    pairs: Sequence[Pair],
    objective: Objective,
    *,
    max_response_tokens: int,
    features: FeatureCache,
    origin: Path | None = None,
    refuse: Refuse = refuse_first,
) -> tuple[list[PreparedPair], PairStatistics]:
    """Turn pairs into token ids and masks.

    Args:
        vlm: The model whose template and tokenizer count.
        pairs: What to encode.
        objective: Says how corrected tokens are found.
        max_response_tokens: Longest response; longer ones are cut at the end, as are those that
            do not fit the model's window after their prompt.
        features: Keeps the features of the images where the model allows it, so that pixels can be
            released.
        origin: The file of judgements that they come from; errors name its line.
        refuse: What to do with pairs whose prompt the model cannot take.

    Returns:
        The pairs, without those that have nothing to learn from once they are cut.

    Raises:
        ModelError: A text that the model cannot take (`reject_texts` finds them all); or no pair is
            left.
    """
    tried = try_all_prompts(vlm, pairs, features, origin=origin)
    refuse({pair.id: one.problem for pair, one in zip(pairs, tried, strict=True) if one.problem})
    pairs = [pair for pair, one in zip(pairs, tried, strict=True) if one.prompt is not None]
    prompts = [one.prompt for one in tried if one.prompt is not None]
    chosen = encode_responses(vlm, [pair.chosen for pair in pairs], max_tokens=max_response_tokens)
    rejected = encode_responses(
        vlm, [pair.rejected for pair in pairs], max_tokens=max_response_tokens
    )
    prepared, kept, truncated = [], [], 0
    for pair, (prompt, keys), *whole in zip(pairs, prompts, chosen, rejected, strict=True):
        right, wrong = (_within_window(one, prompt, vlm.window) for one in whole)
        changed = _changed_masks(pair, prompt, right, wrong, objective)
        if _nothing_to_learn(pair, right, wrong, changed, objective):
            continue
        truncated += right.truncated or wrong.truncated
        kept.append(pair)
        prepared.append(PreparedPair(pair.id, prompt, keys, (right.ids, wrong.ids), changed))
    left_out = len(pairs) - len(kept)
    if left_out:
        log(
            f"{left_out} of {len(pairs)} pairs left out: cut at {max_response_tokens} tokens or at"
            " the model's window, their responses are equal or no changed token is left"
        )
    if not prepared:
        raise ModelError(
            f"None of {len(pairs)} pairs has anything to learn from once its responses are cut at"
            f" {max_response_tokens} tokens. Raise data.max_response_tokens."
        )
    return prepared, _statistics(kept, prepared, truncated, left_out)


def _within_window(
    response: EncodedResponse, prompt: Mapping[str, Tensor], window: int | None
) -> EncodedResponse:
    """A response cut where the model's window ends, after its prompt."""
    room = None if window is None else max(window - int(prompt["input_ids"].shape[1]), 0)
    if room is None or len(response.ids) <= room:
        return response
    return EncodedResponse(response.ids[:room], response.offsets[:room], truncated=True)


def _nothing_to_learn(
    pair: Pair,
    chosen: EncodedResponse,
    rejected: EncodedResponse,
    changed: tuple[list[bool], list[bool]],
    objective: Objective,
) -> bool:
    if chosen.ids == rejected.ids or not chosen.ids or not rejected.ids:
        return True
    cut = chosen.truncated or rejected.truncated
    marked = any(map(any, changed)) or not pair.segments or objective.diff == "original"
    return cut and not marked


def _before_cut(
    pair: Pair, response: EncodedResponse, side: Literal["chosen", "rejected"]
) -> list[Segment]:
    """The segments of a response that its tokens still show."""
    if not response.truncated:
        return list(pair.segments)
    end = response.offsets[-1][1] if response.offsets else 0
    spans = [getattr(segment, f"{side}_span") for segment in pair.segments]
    return [segment for segment, span in zip(pair.segments, spans, strict=True) if span[0] < end]


def _changed_masks(
    pair: Pair,
    prompt: Mapping[str, Tensor],
    chosen: EncodedResponse,
    rejected: EncodedResponse,
    objective: Objective,
) -> tuple[list[bool], list[bool]]:
    if objective.diff == "original":
        # The released code compares whole sequences: prompt, image placeholders, response, suffix.
        before = prompt["input_ids"][0].tolist()[1:]
        whole = original_changed_tokens(
            [*before, *rejected.ids, *ORIGINAL_SUFFIX], [*before, *chosen.ids, *ORIGINAL_SUFFIX]
        )
        masks = ChangedMasks(
            whole.rejected[len(before) :][: len(rejected.ids)],
            whole.chosen[len(before) :][: len(chosen.ids)],
        )
    else:
        kept = _before_cut(pair, chosen, "chosen"), _before_cut(pair, rejected, "rejected")
        on_chosen, on_rejected = (
            changed_token_masks(
                rejected.offsets, chosen.offsets, segments, one_sided=objective.one_sided
            )
            for segments in kept
        )
        masks = ChangedMasks(rejected=on_rejected.rejected, chosen=on_chosen.chosen)
    return masks.chosen, masks.rejected


def _statistics(
    pairs: Sequence[Pair], prepared: Sequence[PreparedPair], truncated: int, left_out: int
) -> PairStatistics:
    totals = [sum(len(row.changed[side]) for row in prepared) for side in (0, 1)]
    marked = [sum(sum(row.changed[side]) for row in prepared) for side in (0, 1)]
    return PairStatistics(
        pairs=len(pairs),
        segments_per_response=sum(len(pair.segments) for pair in pairs) / max(len(pairs), 1),
        changed_ratio_chosen=marked[0] / max(totals[0], 1),
        changed_ratio_rejected=marked[1] / max(totals[1], 1),
        empty_masks=sum(not any(row.changed[0]) and not any(row.changed[1]) for row in prepared),
        truncated=truncated,
        left_out=left_out,
    )
