"""Questions and images → prompt tensors; response texts → token ids with character offsets.

Both follow the model's own chat template, so that what is scored and trained on is, token for
token, what generation reads and writes. The template's generation prompt ends where a response
begins; what stands between the two in a rendered conversation (a space after `ASSISTANT:`, nothing
after a ChatML header) is the *separator*: it belongs to the response's first token and to no
character of its text.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from veridical.errors import ModelError
from veridical.models.loading import VisionLanguageModel

_MARKER = "VERIDICAL-RESPONSE"

History = Sequence[tuple[str, str]]
"""Earlier turns of a conversation: what was asked and what was answered."""

Tokens = tuple[list[int], list[tuple[int, int]]]
"""Token ids and the span of the text that each covers."""


class EncodedResponse(NamedTuple):
    """A response as tokens."""

    ids: list[int]
    """Token ids; the last one ends the turn, unless the response was truncated."""
    offsets: list[tuple[int, int]]
    """For each token the half-open span of the text that it covers, in code points; the separator
    counts for nothing, so a token of nothing else, and the end of the turn, have empty spans."""
    truncated: bool
    """Whether `max_tokens` cut it off, and with it the end of the turn."""


class ResponseFrame(NamedTuple):
    """What a chat template puts around a response."""

    anchor: str
    """The generation prompt, after which a response begins."""
    separator: str
    """What stands between generation prompt and response text."""
    end_token_id: int
    """The token that ends the turn."""


def encode_prompts(
    vlm: VisionLanguageModel,
    questions: Sequence[str],
    images: Sequence[Image.Image],
    *,
    histories: Sequence[History] | None = None,
) -> dict[str, Tensor]:
    """Lay out one prompt for each question and image (image first), padded on the left so that all end together.

    Args:
        vlm: The model to lay them out for.
        questions: B questions, without template and placeholder.
        images: B images.
        histories: For each question the turns before it; the image then stands in the first of
            them.

    Returns:
        Every tensor that the processor gives, on the CPU: `input_ids` (B L), `attention_mask` (B
        L), pixels, and what else the architecture wants.

    Raises:
        ModelError: A question holds a placeholder, the placeholders of a prompt are not as many as
            its image's features, or a prompt is longer than the model can read. Prompts are never
            cut.
    """
    histories = histories if histories is not None else [()] * len(questions)
    if not len(questions) == len(images) == len(histories) or not questions:
        raise ModelError(
            f"One image a question is needed, got {len(questions)} questions and {len(images)}"
            " images."
        )
    reject_placeholders(vlm, questions, what="Question")
    conversations = [
        [*(text for turn in history for text in turn), question]
        for question, history in zip(questions, histories, strict=True)
    ]
    return encode_rendered(
        vlm, [render_turns(vlm, conversation) for conversation in conversations], images
    )


def render_turns(
    vlm: VisionLanguageModel,
    texts: Sequence[str],
    *,
    generate: bool = True,
    with_image: bool = True,
) -> str:
    """Render a conversation by the model's chat template, the image before the first text.

    Args:
        vlm: The model whose template counts.
        texts: What user and assistant say in turn, the user first.
        generate: End with what stands before the assistant's next turn.
        with_image: Whether it is about an image.

    Raises:
        ModelError: A text holds a placeholder.
    """
    reject_placeholders(vlm, texts, what="Turn")
    roles = ("user", "assistant")
    messages = [
        _message(roles[n % 2], text, with_image=with_image and n == 0)
        for n, text in enumerate(texts)
    ]
    return _render(vlm, messages, generate=generate)


def encode_rendered(
    vlm: VisionLanguageModel, texts: Sequence[str], images: Sequence[Image.Image]
) -> dict[str, Tensor]:
    """Turn rendered prompts (B), one placeholder each, and their images into tensors; see `encode_prompts`."""
    begin = vlm.tokenizer.bos_token
    inputs = vlm.processor(
        text=list(texts),
        images=[[image.convert("RGB")] for image in images],
        padding=True,
        add_special_tokens=not (begin and texts[0].startswith(begin)),
        return_tensors="pt",
    )
    prompt = {key: value for key, value in inputs.items() if isinstance(value, Tensor)}
    _check_lengths(vlm, prompt)
    return prompt


def encode_responses(
    vlm: VisionLanguageModel, texts: Sequence[str], *, max_tokens: int | None = None
) -> list[EncodedResponse]:
    """Tokenise responses as they stand behind a generation prompt, ending with the end of the turn.

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
    spoken = tokenize_after(vlm, frame.anchor, texts, separator=frame.separator)
    for text, (ids, spans) in zip(texts, spoken, strict=True):
        shift = len(frame.separator)
        offsets = [(max(start - shift, 0), max(end - shift, 0)) for start, end in spans]
        whole, offsets = [*ids, frame.end_token_id], [*offsets, (len(text), len(text))]
        truncated = max_tokens is not None and len(whole) > max_tokens
        encoded.append(EncodedResponse(whole[:max_tokens], offsets[:max_tokens], truncated))
    return encoded


def tokenize_after(
    vlm: VisionLanguageModel, anchor: str, texts: Sequence[str], *, separator: str = ""
) -> list[Tokens]:
    """Tokenise responses as they stand behind a text, no end of a turn added.

    Args:
        vlm: The model to tokenize for.
        anchor: What stands before; not part of the result.
        texts: The responses; an empty one gives no token.
        separator: What stands between; counts to the first token.

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
        said = _behind(tokens, len(anchor)) if text else ([], [])
        if said is None:
            # The tokenizer melts the prompt's end into the text; generation starts behind the
            # prompt's own tokens.
            said = tokenize(vlm, [separator + text])[0]
        if not ends.isdisjoint(said[0]):
            raise ModelError(
                f"A response holds the model's end token as text: {text[:80]!r}. Remove it from the"
                " text."
            )
        found.append(said)
    return found


def decode_responses(vlm: VisionLanguageModel, ids: Sequence[Sequence[int]]) -> list[str]:
    """Give the texts of generated token ids: the inverse of `encode_responses`, end token left out."""
    frame = response_frame(vlm)
    anchor = tokenize(vlm, [frame.anchor])[0][0] if frame.anchor else []
    options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    head = vlm.tokenizer.decode(anchor, **options)
    texts = vlm.tokenizer.batch_decode([[*anchor, *row] for row in ids], **options)
    return [text.removeprefix(head).removeprefix(frame.separator) for text in texts]


def response_frame(vlm: VisionLanguageModel) -> ResponseFrame:
    """Find out what the model's chat template puts before and behind a response.

    Raises:
        ModelError: The template leaves responses out, or nothing ends them.
    """
    question = _message("user", "Q", with_image=True)
    plain = _render(vlm, [question], generate=False)
    asked = _render(vlm, [question], generate=True)
    told = _render(vlm, [question, _message("assistant", _MARKER)], generate=False)
    if _MARKER not in told:
        raise ModelError(
            f"The chat template of `{vlm.name}` leaves out what the assistant says. Mend the"
            " template."
        )
    anchor = asked[len(plain) :] if asked.startswith(plain) else ""
    before, _, after = told.partition(_MARKER)
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


def _message(role: str, text: str, *, with_image: bool = False) -> dict[str, Any]:
    image = [{"type": "image"}] if with_image else []
    return {"role": role, "content": [*image, {"type": "text", "text": text}]}


def _render(vlm: VisionLanguageModel, conversation: list[dict[str, Any]], *, generate: bool) -> str:
    owner = vlm.processor if getattr(vlm.processor, "chat_template", None) else vlm.tokenizer
    return str(
        owner.apply_chat_template(conversation, add_generation_prompt=generate, tokenize=False)
    )


def tokenize(vlm: VisionLanguageModel, texts: Sequence[str]) -> list[Tokens]:
    """Token ids of texts with the span that each covers; no special token is added."""
    if not texts:
        return []
    encoded = vlm.tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)
    return list(zip(encoded["input_ids"], encoded["offset_mapping"], strict=True))


def _behind(tokens: Tokens, place: int) -> Tokens | None:
    """Give the tokens behind a place of the text, spans reckoned from it; None if a token reaches across it."""
    ids, spans = tokens
    if any(start < place < end for start, end in spans):
        return None
    first = next((i for i, (_, end) in enumerate(spans) if end > place), len(ids))
    return ids[first:], [(start - place, end - place) for start, end in spans[first:]]


def reject_placeholders(vlm: VisionLanguageModel, texts: Sequence[str], *, what: str) -> None:
    """Refuse texts that hold an image or video placeholder: features would be put into them.

    Raises:
        ModelError: One does.
    """
    placeholders = vlm.tokenizer.convert_ids_to_tokens(list(vlm.placeholder_token_ids))
    for number, text in enumerate(texts):
        found = next((token for token in placeholders if token in text), None)
        if found is not None:
            raise ModelError(
                f"{what} {number} holds {found!r}, which stands for image features in `{vlm.name}`:"
                f" {text[:80]!r}. Remove it from the text."
            )


def _check_lengths(vlm: VisionLanguageModel, prompt: dict[str, Tensor]) -> None:
    lengths = prompt["attention_mask"].sum(-1)
    if vlm.window is not None and int(lengths.max()) > vlm.window:
        raise ModelError(
            f"A prompt has {int(lengths.max())} tokens, `{vlm.name}` reads at most {vlm.window}."
            " Shorten the question."
        )
    placeholders = torch.tensor(vlm.placeholder_token_ids)
    counts = torch.isin(prompt["input_ids"], placeholders).sum(-1)
    expected = _feature_counts(vlm, prompt)
    if expected is not None and not torch.equal(counts, expected):
        row = int((counts != expected).nonzero()[0])
        raise ModelError(
            f"Prompt {row} has {int(counts[row])} image placeholders for {int(expected[row])} image"
            f" features of `{vlm.name}`. The processor's settings (patch size, feature selection)"
            " do not fit the vision tower."
        )


def _feature_counts(vlm: VisionLanguageModel, prompt: dict[str, Tensor]) -> Tensor | None:
    """Features of each prompt's image, where the architecture's arithmetic is known; else the model itself checks."""
    config = vlm.model.config
    if "image_grid_thw" in prompt:
        merge = getattr(config.vision_config, "spatial_merge_size", 1)
        return prompt["image_grid_thw"].prod(-1) // merge**2
    if config.model_type == "llava" and prompt["pixel_values"].ndim == 4:
        height, width = prompt["pixel_values"].shape[-2:]
        patch = config.vision_config.patch_size
        has_class_token = config.vision_config.model_type == "clip_vision_model"
        kept = has_class_token and config.vision_feature_select_strategy == "full"
        dropped = not has_class_token and config.vision_feature_select_strategy == "default"
        count = (height // patch) * (width // patch) + int(kept) - int(dropped)
        return torch.full((prompt["pixel_values"].shape[0],), count)
    return None
