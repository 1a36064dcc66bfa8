"""Response texts → token ids with character offsets, and back."""

from collections.abc import Sequence
from typing import NamedTuple

from veridical.errors import ModelError
from veridical.models.loading import VisionLanguageModel
from veridical.models.processors import READING
from veridical.models.prompts.rendering import reject_placeholders, response_frame

Tokens = tuple[list[int], list[tuple[int, int]]]
"""Token ids and the span of the text that each covers."""


class EncodedResponse(NamedTuple):
    """A response as tokens."""

    ids: list[int]
    """Token ids; the last one ends the turn, unless the response was truncated."""
    offsets: list[tuple[int, int]]
    """For each token the half-open span of the text that it covers, in code points. The separator
    is not part of the text: a token of nothing else, and the end of the turn, have empty spans."""
    truncated: bool
    """Whether `max_tokens` cut it off, and with it the end of the turn."""


def encode_responses(
    vlm: VisionLanguageModel, texts: Sequence[str], *, max_tokens: int | None = None
) -> list[EncodedResponse]:
    """Tokenize responses as they stand after a generation prompt, up to the end of the turn.

    Args:
        vlm: The model to tokenize for.
        texts: The responses; an empty one is the end of the turn alone.
        max_tokens: Longest number of tokens; longer ones are cut and marked as truncated.

    Raises:
        ModelError: A response holds an image or video placeholder (features would be put into it)
            or an end token.
    """
    frame = response_frame(vlm)
    encoded = []
    tokens = tokenize_after(vlm, frame.anchor, texts, separator=frame.separator)
    for text, (ids, spans) in zip(texts, tokens, strict=True):
        shift = len(frame.separator)
        offsets = [(max(start - shift, 0), max(end - shift, 0)) for start, end in spans]
        whole, offsets = [*ids, frame.end_token_id], [*offsets, (len(text), len(text))]
        truncated = max_tokens is not None and len(whole) > max_tokens
        encoded.append(EncodedResponse(whole[:max_tokens], offsets[:max_tokens], truncated))
    return encoded


def tokenize_after(
    vlm: VisionLanguageModel, anchor: str, texts: Sequence[str], *, separator: str = ""
) -> list[Tokens]:
    """Tokenize responses as they stand after a text; no end of a turn is added.

    Args:
        vlm: The model to tokenize for.
        anchor: What stands before; not part of the result.
        texts: The responses; an empty one gives no token.
        separator: What stands between; it belongs to the first token.

    Returns:
        For each response its token ids, and for each of them its span in separator and text.

    Raises:
        ModelError: A response holds an image or video placeholder (features would be put into it)
            or an end token.
    """
    reject_placeholders(vlm, texts, what="Response")
    found = []
    ends = frozenset(vlm.end_token_ids)
    for text, tokens in zip(
        texts, tokenize(vlm, [anchor + separator + text for text in texts]), strict=True
    ):
        ids_and_spans = _after(tokens, len(anchor)) if text else ([], [])
        if ids_and_spans is None:
            # The tokenizer merges the end of the prompt with the text's start, but generation
            # starts after the prompt's own tokens.
            ids_and_spans = tokenize(vlm, [separator + text])[0]
        if not ends.isdisjoint(ids_and_spans[0]):
            raise ModelError(
                f"A response holds the model's end token as text: {text[:80]!r}. Remove it from the"
                " text."
            )
        found.append(ids_and_spans)
    return found


def decode_responses(vlm: VisionLanguageModel, ids: Sequence[Sequence[int]]) -> list[str]:
    """The texts of generated token ids, without end token: the inverse of `encode_responses`."""
    frame = response_frame(vlm)
    anchor = tokenize(vlm, [frame.anchor])[0][0] if frame.anchor else []
    options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    head = vlm.tokenizer.decode(anchor, **options)
    texts = vlm.tokenizer.batch_decode([[*anchor, *row] for row in ids], **options)
    return [text.removeprefix(head).removeprefix(frame.separator) for text in texts]


def tokenize(vlm: VisionLanguageModel, texts: Sequence[str]) -> list[Tokens]:
    """Token ids of texts with the span that each covers; no special token is added."""
    if not texts:
        return []
    with READING:
        encoded = vlm.tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)
    return list(zip(encoded["input_ids"], encoded["offset_mapping"], strict=True))


def _after(tokens: Tokens, place: int) -> Tokens | None:
    """Tokens after a place in the text, spans counted from it; None if a token spans it."""
    ids, spans = tokens
    if any(start < place < end for start, end in spans):
        return None
    first = next((i for i, (_, end) in enumerate(spans) if end > place), len(ids))
    return ids[first:], [(start - place, end - place) for start, end in spans[first:]]
