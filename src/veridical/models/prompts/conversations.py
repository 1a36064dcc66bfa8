"""Conversations of several turns as one prompt and one long response.

After a prompt, as a rule the first question's, follow, token for token,

    answer 1 · end | what the template puts between, question 2, generation prompt | answer 2 · end
    | …

so that a whole conversation is scored in one forward, as a branch like any other. Only answers and
their ends are learned; questions are context, as in LLaVA-RLHF's SFT (arXiv 2309.14525). Every
answer is tokenized as if it were the only one, and ends with the token that ends a turn, even where
the template (that of LLaVA-1.5 on the hub) writes none: an answer without it would teach the model
never to stop.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from veridical.errors import ModelError
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompts.rendering import render_turns, response_frame
from veridical.models.prompts.responses import encode_responses, tokenize
from veridical.records.texts import IMAGE_MARKER, count_shown_images

_MARKER = "VERIDICAL-ANSWER"


class EncodedConversation(NamedTuple):
    """What follows a conversation's prompt."""

    ids: list[int]
    """Token ids of answers, their ends, and the questions between them."""
    learned: list[bool]
    """True at answers and their ends."""
    truncated: bool
    """Whether `max_tokens` cut it off."""


def find_stretches(
    vlm: VisionLanguageModel, texts: Sequence[str], *, num_images: int = 1, system: str = ""
) -> list[tuple[int, int]]:
    """Split a conversation into stretches, each a prompt and one long response.

    One stretch is enough as a rule. A new one begins where a later question shows an image, since
    images stand in prompts; and with every answer where the template shows earlier answers
    otherwise than it generates them (Qwen3's leaves out what was thought).

    Args:
        vlm: The model whose template counts.
        texts: What user and assistant say in turn; the user begins, the assistant ends.
        num_images: How many images the conversation has.
        system: The system message.

    Returns:
        For each stretch how many turns its prompt holds, and how many it holds in all.
    """
    starts = [1, *(n + 1 for n in range(2, len(texts), 2) if IMAGE_MARKER in texts[n])]
    if len(starts) < len(texts) // 2 and not _continues(vlm, texts, num_images, system):
        starts = list(range(1, len(texts), 2))
    return list(zip(starts, [start - 1 for start in starts[1:]] + [len(texts)], strict=True))


def _continues(
    vlm: VisionLanguageModel, texts: Sequence[str], num_images: int, system: str
) -> bool:
    """Whether every answer stands in the whole conversation as it does after its own prompt."""
    frame = response_frame(vlm)
    render = partial(render_turns, vlm, num_images=num_images, system=system)
    marked = [_MARKER if number % 2 else text for number, text in enumerate(texts)]
    parts = render(marked, generate=False).split(_MARKER)
    shown = count_shown_images(texts, num_images, first=1)
    first = render_turns(vlm, texts[:1], num_images=shown, system=system)
    return parts[0] == first + frame.separator and all(
        part.endswith(frame.anchor + frame.separator) for part in parts[1:-1]
    )


def encode_conversation(
    vlm: VisionLanguageModel,
    texts: Sequence[str],
    *,
    asked: int = 1,
    num_images: int = 1,
    system: str = "",
    max_tokens: int | None = None,
) -> EncodedConversation:
    """Tokenize a conversation as it stands after its prompt.

    Args:
        vlm: The model whose template and tokenizer count.
        texts: What user and assistant say in turn; the user begins, the assistant ends.
        asked: How many turns the prompt holds; see `find_stretches`.
        num_images: How many images these turns show.
        system: The system message.
        max_tokens: Longest result; what is longer is cut, and ends with an answer's token.

    Raises:
        ModelError: A text holds a placeholder, or an answer an end token; or the template leaves
            answers out.
    """
    questions, answers = texts[asked + 1 :: 2], texts[asked::2]
    frame = response_frame(vlm)
    rendered = render_turns(
        vlm,
        [_MARKER if number % 2 and number >= asked else text for number, text in enumerate(texts)],
        generate=False,
        num_images=num_images,
        system=system,
    )
    parts = rendered.split(_MARKER)
    if len(parts) != len(answers) + 1:
        raise ModelError(
            f"The chat template of `{vlm.name}` shows {len(parts) - 1} of {len(answers)} answers of"
            " a conversation. Fix the template, or give conversations of one turn."
        )
    closing = _closing(vlm, parts[-1], frame.end_token_id)
    ids: list[int] = []
    learned: list[bool] = []
    for number, answer in enumerate(encode_responses(vlm, answers)):
        if number:
            between = parts[number].removeprefix(closing).removesuffix(frame.separator)
            if questions[number - 1].strip() not in between:
                raise ModelError(
                    f"The chat template of `{vlm.name}` changes or drops questions. Fix the"
                    " template."
                )
            context = _after_end(vlm, between, frame.end_token_id)
            ids, learned = [*ids, *context], [*learned, *(False for _ in context)]
        ids, learned = [*ids, *answer.ids], [*learned, *(True for _ in answer.ids)]
    if max_tokens is None or len(ids) <= max_tokens:
        return EncodedConversation(ids, learned, truncated=False)
    kept = max((n + 1 for n in range(min(max_tokens, len(ids))) if learned[n]), default=0)
    return EncodedConversation(ids[:kept], learned[:kept], truncated=True)


def _closing(vlm: VisionLanguageModel, tail: str, end_token_id: int) -> str:
    """What the template itself writes to end an answer; empty where it writes none."""
    ((ids, spans),) = tokenize(vlm, [tail]) if tail else [([], [])]
    return tail[: spans[ids.index(end_token_id)][1]] if end_token_id in ids else ""


def _after_end(vlm: VisionLanguageModel, text: str, end_token_id: int) -> list[int]:
    """Token ids of a text as it stands after the end of a turn."""
    end = vlm.tokenizer.convert_ids_to_tokens(end_token_id)
    ((ids, _),) = tokenize(vlm, [end + text])
    return ids[1:] if ids[:1] == [end_token_id] else tokenize(vlm, [text])[0][0]
