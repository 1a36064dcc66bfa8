"""Conversations rendered by the model's own chat template.

What is scored and trained on must be, token for token, what generation reads and writes; so nothing
here writes a word of its own around a question.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jinja2 import TemplateError

from veridical.errors import ModelError
from veridical.models.loading import VisionLanguageModel
from veridical.models.processors import first_line
from veridical.records.texts import IMAGE_MARKER, marker_fault

MARKER = "VERIDICAL-RESPONSE"
"""Stands for a response when a template is asked what it puts around one."""

History = Sequence[tuple[str, str]]
"""Earlier turns of a conversation: what was asked and what was answered."""


class ResponseFrame(NamedTuple):
    """What a chat template puts around a response.

    The template's generation prompt ends where a response begins; what stands between the two in a
    rendered conversation (a space after `ASSISTANT:`, nothing after a ChatML header) is the
    separator: it belongs to the response's first token and to no character of its text.
    """

    anchor: str
    """The generation prompt, after which a response begins."""
    separator: str
    """What stands between generation prompt and response text."""
    end_token_id: int
    """The token that ends the turn."""


def render_turns(
    vlm: VisionLanguageModel,
    texts: Sequence[str],
    *,
    generate: bool = True,
    num_images: int = 1,
    system: str = "",
) -> str:
    """Render a conversation, its images before the first text or where user texts have markers.

    Args:
        vlm: The model whose template counts.
        texts: What user and assistant say in turn, the user first; those of the user may hold
            markers, see `records.prompts`.
        generate: End with what precedes the assistant's next turn.
        num_images: How many images it is about.
        system: The system message; empty: that of the model's settings.

    Raises:
        ModelError: A text holds a placeholder, markers are not as many as images, or the template
            fails or leaves out the system message.
    """
    fault = marker_fault(texts, num_images)
    if fault is not None:
        raise ModelError(f"A prompt has {fault}.")
    placed = any(IMAGE_MARKER in text for text in texts[::2])
    pieces = [text.split(IMAGE_MARKER) for text in texts]
    reject_placeholders(vlm, [piece for turn in pieces for piece in turn], what="Turn")
    if not placed:
        pieces[0] = [*("" for _ in range(num_images)), texts[0]]
    messages = [_message(("user", "assistant")[n % 2], *turn) for n, turn in enumerate(pieces)]
    said = system or vlm.settings.system
    if said:
        messages.insert(0, _message("system", said))
    rendered = _render(vlm, messages, generate=generate)
    if said.strip() not in rendered:
        raise ModelError(
            f"The chat template of `{vlm.name}` leaves out the system message {said[:60]!r}. Put"
            " it into the question, or fix the template."
        )
    return rendered


def response_frame(vlm: VisionLanguageModel) -> ResponseFrame:
    """Find out what the model's chat template puts before and after a response.

    Raises:
        ModelError: The template leaves responses out, or nothing ends them.
    """
    question = _message("user", "", "Q")
    plain = _render(vlm, [question], generate=False)
    asked = _render(vlm, [question], generate=True)
    answered = _render(vlm, [question, _message("assistant", MARKER)], generate=False)
    if MARKER not in answered:
        raise ModelError(
            f"The chat template of `{vlm.name}` leaves out the assistant's turns. Fix the template."
        )
    anchor = asked[len(plain) :] if asked.startswith(plain) else ""
    before, _, after = answered.partition(MARKER)
    separator = before[len(asked) :] if before.startswith(asked) else ""
    ends = vlm.end_token_ids
    tail = vlm.tokenizer(after, add_special_tokens=False)["input_ids"] if after else []
    end = next((token_id for token_id in tail if token_id in ends), vlm.tokenizer.eos_token_id)
    if end is None:
        raise ModelError(
            f"`{vlm.name}` names no end token, so no response would end. Set the tokenizer's"
            " eos_token."
        )
    return ResponseFrame(anchor, separator, end)


def reject_placeholders(vlm: VisionLanguageModel, texts: Sequence[str], *, what: str) -> None:
    """Reject texts with an image or video placeholder: features would be put into them.

    Raises:
        ModelError: A text holds one.
    """
    placeholders = vlm.tokenizer.convert_ids_to_tokens(list(vlm.placeholder_token_ids))
    for number, text in enumerate(texts):
        found = next((token for token in placeholders if token in text), None)
        if found is not None:
            raise ModelError(
                f"{what} {number} holds {found!r}, which stands for image features in `{vlm.name}`:"
                f" {text[:80]!r}. Remove it from the text."
            )


def _message(role: str, *pieces: str) -> dict[str, Any]:
    """A turn of texts with an image between each two of them; empty texts are left out."""
    parts: list[dict[str, Any]] = []
    for number, piece in enumerate(pieces):
        parts += [{"type": "image"}] if number else []
        parts += [{"type": "text", "text": piece}] if piece else []
    return {"role": role, "content": parts or [{"type": "text", "text": ""}]}


def _render(vlm: VisionLanguageModel, conversation: list[dict[str, Any]], *, generate: bool) -> str:
    owner = vlm.processor if getattr(vlm.processor, "chat_template", None) else vlm.tokenizer
    options = {**vlm.settings.template, "add_generation_prompt": generate, "tokenize": False}
    try:
        return str(owner.apply_chat_template(conversation, **options))
    except (TemplateError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"The chat template of `{vlm.name}` cannot render a turn whose content is a list of"
            f" images and texts: {first_line(error)}. Put the template of a vision-language model"
            " (chat_template.jinja) next to the model."
        ) from error
