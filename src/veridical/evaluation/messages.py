"""Prompts as messages of an OpenAI-compatible server: system message, earlier turns, pictures."""

import base64
from collections.abc import Iterator
from pathlib import Path

from veridical.models.prompts.settings import ProcessorRecipe
from veridical.records import ImageRef, Prompt
from veridical.records.images import plain_image
from veridical.records.texts import IMAGE_MARKER

Message = dict[str, object]


def chat_messages(prompt: Prompt, settings: ProcessorRecipe | None = None) -> list[Message]:
    """Say what a prompt asks; its pictures stand where the records' rule puts them.

    Args:
        prompt: The prompt; paths of its images are absolute.
        settings: Their system message is taken where the prompt brings none.
    """
    pictures = iter([_picture(ref) for ref in prompt.images])
    placed = any(IMAGE_MARKER in text for text in prompt.turns)
    messages: list[Message] = []
    system = prompt.system or (settings.system if settings is not None else "")
    if system:
        messages.append({"role": "system", "content": system})
    for number, text in enumerate(prompt.turns):
        if number % 2:
            messages.append({"role": "assistant", "content": text})
        else:
            first = [] if placed or number else list(pictures)
            messages.append({"role": "user", "content": [*first, *_parts(text, pictures)]})
    return messages


def _parts(text: str, pictures: Iterator[Message]) -> Iterator[Message]:
    for number, piece in enumerate(text.split(IMAGE_MARKER)):
        if number:
            yield next(pictures)
        if piece:
            yield {"type": "text", "text": piece}


def _picture(image: ImageRef) -> Message:
    """A picture as a data URL; it was checked when the prompt was built."""
    plain = plain_image(image, root=Path("/"), outside=True)
    url = f"data:{plain.mime};base64,{base64.b64encode(plain.data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}
