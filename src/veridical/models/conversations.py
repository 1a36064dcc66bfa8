"""Conversations of several turns as one prompt and one long response, of which only the answers are learnt.

Behind the first question's generation prompt stand, token for token,

    answer 1 · end | what the template puts between, question 2, generation prompt | answer 2 · end
    | …

so that a whole conversation is scored in one forward, as a branch like any other. Every answer is
tokenised as it is when it is the only one, and ends with the token that ends a turn: also where the
template (that of LLaVA-1.5 on the hub) writes none, since an answer without it teaches the model
never to stop. LLaVA-RLHF's SFT does the same (arXiv 2309.14525): the loss is on answers and their
ends, questions are context.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from veridical.errors import ModelError
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompting import encode_responses, render_turns, response_frame, tokenize

_MARKER = "VERIDICAL-ANSWER"


class EncodedConversation(NamedTuple):
    """What stands behind a conversation's first question."""

    ids: list[int]
    """Token ids of answers, their ends, and the questions between them."""
    learnt: list[bool]
    """True at answers and their ends."""
    truncated: bool
    """Whether `max_tokens` cut it off."""


def encode_conversation(
    vlm: VisionLanguageModel, texts: Sequence[str], *, max_tokens: int | None = None
) -> EncodedConversation:
    """Tokenise a conversation as it stands behind its first question.

    Args:
        vlm: The model whose template and tokenizer count.
        texts: What user and assistant say in turn; the user begins, the assistant ends.
        max_tokens: Longest result; what is longer is cut, and ends with an answer's token.

    Raises:
        ModelError: A text holds a placeholder, or an answer an end token; or the template leaves
            answers out.
    """
    questions, answers = texts[2::2], texts[1::2]
    frame = response_frame(vlm)
    told = render_turns(
        vlm, [_MARKER if number % 2 else text for number, text in enumerate(texts)], generate=False
    )
    parts = told.split(_MARKER)
    if len(parts) != len(answers) + 1:
        raise ModelError(
            f"The chat template of `{vlm.name}` shows {len(parts) - 1} of {len(answers)} answers of"
            " a conversation. Mend the template, or give conversations of one turn."
        )
    closing = _closing(vlm, parts[-1], frame.end_token_id)
    ids: list[int] = []
    learnt: list[bool] = []
    for number, answer in enumerate(encode_responses(vlm, answers)):
        if number:
            between = parts[number].removeprefix(closing).removesuffix(frame.separator)
            if questions[number - 1].strip() not in between:
                raise ModelError(
                    f"The chat template of `{vlm.name}` changes or drops questions. Mend the"
                    " template."
                )
            context = _behind_end(vlm, between, frame.end_token_id)
            ids, learnt = [*ids, *context], [*learnt, *(False for _ in context)]
        ids, learnt = [*ids, *answer.ids], [*learnt, *(True for _ in answer.ids)]
    if max_tokens is None or len(ids) <= max_tokens:
        return EncodedConversation(ids, learnt, truncated=False)
    kept = max((n + 1 for n in range(min(max_tokens, len(ids))) if learnt[n]), default=0)
    return EncodedConversation(ids[:kept], learnt[:kept], truncated=True)


def encode_question(vlm: VisionLanguageModel, question: str) -> dict[str, Tensor]:
    """Lay out the prompt of a question about no image: a batch of one, as `encode_prompts` gives it, without pixels.

    Raises:
        ModelError: The question holds a placeholder.
    """
    text = render_turns(vlm, [question], with_image=False)
    begin = vlm.tokenizer.bos_token
    inputs = vlm.processor(
        text=[text], add_special_tokens=not (begin and text.startswith(begin)), return_tensors="pt"
    )
    return {key: value for key, value in inputs.items() if isinstance(value, Tensor)}


def _closing(vlm: VisionLanguageModel, tail: str, end_token_id: int) -> str:
    """What the template itself writes to end an answer; empty where it writes none."""
    ((ids, spans),) = tokenize(vlm, [tail]) if tail else [([], [])]
    return tail[: spans[ids.index(end_token_id)][1]] if end_token_id in ids else ""


def _behind_end(vlm: VisionLanguageModel, text: str, end_token_id: int) -> list[int]:
    """Token ids of a text as it stands behind the end of a turn."""
    end = vlm.tokenizer.convert_ids_to_tokens(end_token_id)
    ((ids, _),) = tokenize(vlm, [end + text])
    return ids[1:] if ids[:1] == [end_token_id] else tokenize(vlm, [text])[0][0]
