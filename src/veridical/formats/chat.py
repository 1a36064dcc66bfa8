"""Chat messages and images, as TRL, LLaMA-Factory and ms-swift write them.

- `trl-lib/rlaif-v`, `HuggingFaceH4/rlaif-v_formatted`: `prompt`, `chosen`, `rejected` are lists of
  messages {role, content}, where content is a text or a list of parts {type, text}; `images` a
  list. Without `prompt`, the messages before the last are the prompt, equal on both sides.
- `llamafactory/RLHF-V`: `conversations` [{from, value}], `chosen` and `rejected` one {from, value}
  each, `images`.
- ms-swift: `messages` whose last one is the preferred answer (or `query` and `response`), and
  `rejected_response` (a text) or `rejected_messages`, `images`. POVID and others: `conversations`
  and `rejected_conversations`.
- Messages or conversations without anything rejected are for fine-tuning, as are `prompt` and
  `completion`. A `prompt` alone is a question to be answered, with `reference`, `task` and
  `image_id` where there are some.

Statements in `facts` are kept as what is known of the image.
One image per row is read. A system message, or a field `system`, is put before the first question.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import NamedTuple

from veridical.errors import RowError, gather_row_errors
from veridical.formats.format import Format, RowFields, RowReader, Sample
from veridical.formats.pairs import PairFields, own_fields, pair_reader
from veridical.formats.text import clean_question, first_of, join_origin
from veridical.records import Conversation, Facts, ImageRef, Prompt, Turn
from veridical.records.folders import Contents
from veridical.records.texts import MISSING, clean_text, count_images, shown, text_fault

_USER = ("user", "human")
_ASSISTANT = ("assistant", "gpt", "model")
_TALK = ("prompt", "conversations", "messages")
_REJECTED = ("rejected_messages", "rejected_conversations", "rejected_response")


class _Message(NamedTuple):
    role: str
    text: str


def read(row: RowFields, reader: RowReader) -> Contents:
    """Read one row.

    Raises:
        RowError: All that is wrong with it.
    """
    if any(name in row for name in ("chosen", "rejected", *_REJECTED)):
        found = _read_pair(row, reader)
        (asked,) = ((pair.prompt_id, pair.image) for pair in found.corrections)
        return found._replace(facts=_facts(row, *asked))
    messages = _talk(row)
    if messages and all(message.role not in _ASSISTANT for message in messages):
        return _read_prompt(messages, row, reader)
    return _read_conversation(row, reader)


def _read_prompt(messages: list[_Message], row: RowFields, reader: RowReader) -> Contents:
    record_id = reader.id(row["id"] if "id" in row else row.get("idx"))
    question = _question(messages, row)
    reader.check(text_fault(question, "prompt", response=False))
    with gather_row_errors(reader.faults):
        question = clean_question(question)
    image = reader.image(_image(row))
    reader.stop_on_faults()
    known = {name: row[name] for name in ("reference", "task", "image_id") if row.get(name)}
    prompt = Prompt(id=record_id, image=image, question=question, **known)
    return Contents(prompts=(prompt,), facts=_facts(row, record_id, image))


def _facts(row: RowFields, prompt_id: str, image: ImageRef) -> tuple[Facts, ...]:
    texts = row.get("facts")
    if not texts:
        return ()
    known = row.get("image_id") or PurePath(image.path).stem
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RowError(f"`facts` must be a list of texts, got {shown(texts)}. Fix the row.")
    return (Facts(image_id=known, prompt_id=prompt_id, kind="caption", texts=tuple(texts)),)


def _pair_fields(row: RowFields) -> PairFields:
    name = next((name for name in _REJECTED if name in row), None)
    prompt = _talk(row)
    if name is not None:
        prompt = prompt or []
        chosen: object = _last_answer(prompt, _talk_name(row))
        prompt = prompt[:-1]
        rejected = _answer(row[name], name, prompt)
    else:
        head = prompt
        if prompt is None:  # the prompt stands at the head of both answers
            prompt = head = _messages(row.get("chosen", MISSING), "chosen")[:-1]
        elif not isinstance(row.peek().get(_talk_name(row)), str):
            head = []
        chosen, rejected = (
            _answer(row.get(side, MISSING), side, head or []) for side in ("chosen", "rejected")
        )
    origin, own = join_origin(row.get("origin"), None)
    return PairFields(
        id=row["id"] if "id" in row else row.get("idx"),
        image=_image(row),
        question=_question(prompt, row),
        chosen=chosen,
        rejected=rejected,
        origin=origin,
        own={**own, **own_fields(row)},
    )


_read_pair = pair_reader(_pair_fields)


def _read_conversation(row: RowFields, reader: RowReader) -> Contents:
    record_id = reader.id(row["id"] if "id" in row else row.get("idx"))
    messages = _talk(row)
    if messages is None:
        raise RowError(f"none of {', '.join(f'`{name}`' for name in _TALK)} is there. Add one.")
    images = _images(row)
    markers = sum(count_images(message.text) for message in messages if message.role in _USER)
    if markers > len(images):
        reader.check(
            f"the row has {len(images)} images and {markers} image markers: a question about an"
            " image that is not there teaches answering blind. Name the images, or take the"
            " markers out."
        )
    image: ImageRef | None = None
    with gather_row_errors(reader.faults):
        image = reader.image(_image(row)) if images else None
    turns = _turns(_with_system(messages, row), reader)
    reader.stop_on_faults()
    origin, _ = join_origin(row.get("origin"), None)
    conversation = Conversation(
        id=record_id, image=image, turns=tuple(turns), source=reader.judged_by, origin=origin
    )
    return Contents(conversations=(conversation,))


def _turns(messages: list[_Message], reader: RowReader) -> list[Turn]:
    turns = []
    for number, (role, text) in enumerate(messages, start=1):
        response = role in _ASSISTANT
        reader.check(text_fault(text, f"message {number}", response=response))
        with gather_row_errors(reader.faults):
            said = clean_text(text) if response else clean_question(text)
            turns.append(Turn(role="assistant" if response else "user", text=said))
    return turns


def _with_system(messages: list[_Message], row: RowFields) -> list[_Message]:
    """The messages, what the system says put before the first question."""
    system = [message.text for message in messages if message.role == "system"]
    if isinstance(row.peek().get("system"), str):
        system.insert(0, row["system"])
    talk = [message for message in messages if message.role != "system"]
    strangers = sorted({message.role for message in talk} - {*_USER, *_ASSISTANT})
    if strangers:
        raise RowError(
            f"the role {strangers[0]!r} is neither user nor assistant. Leave such turns out."
        )
    if talk and (said := "\n\n".join(text.strip() for text in system if text.strip())):
        talk[0] = _Message(talk[0].role, f"{said}\n\n{clean_question(talk[0].text)}")
    return talk


def _talk_name(row: RowFields) -> str:
    names = _TALK if not any(name in row for name in _REJECTED) else _TALK[::-1]
    return next((name for name in names if name in row), "messages")


def _talk(row: RowFields) -> list[_Message] | None:
    if "query" in row and "response" in row:  # ms-swift's short form
        said = [("user", row["query"]), ("assistant", row["response"])]
        return _messages([{"role": role, "content": text} for role, text in said], "query")
    if "prompt" in row and "completion" in row:
        return _completed(row)
    name = _talk_name(row)
    value = row.get(name)
    if value is None:
        return None
    return [_Message("user", value)] if isinstance(value, str) else _messages(value, name)


def _completed(row: RowFields) -> list[_Message]:
    prompt = row["prompt"]
    asked = [_Message("user", prompt)] if isinstance(prompt, str) else _messages(prompt, "prompt")
    said = _answer(row["completion"], "completion", [])
    return [*asked, _Message("assistant", said if isinstance(said, str) else "")]


def _images(row: RowFields) -> list[object]:
    found = first_of(row, "images", "image")
    if found is MISSING or found in (None, "", []):
        return []
    return list(found) if isinstance(found, list) else [found]


def _image(row: RowFields) -> object:
    images = _images(row)
    if len(images) == 1:
        return images[0]
    if not images and "images" not in row and "image" not in row:
        raise RowError("`images` is missing. Add it or leave the row out.")
    raise RowError(f"`images` must hold one image, got {len(images)}. One image per row is read.")


def _question(prompt: list[_Message], row: RowFields) -> str:
    talk = _with_system(prompt, row)
    if len(talk) != 1 or talk[0].role not in _USER:
        raise RowError(
            f"the prompt must be one question, got the turns {[role for role, _ in prompt]}. Leave"
            " several turns out."
        )
    return talk[0].text


def _last_answer(messages: list[_Message], name: str) -> str:
    if not messages or messages[-1].role not in _ASSISTANT:
        raise RowError(f"`{name}` must end with the assistant's answer. Fix the row.")
    return messages[-1].text


def _answer(value: object, name: str, head: list[_Message]) -> object:
    """The answer of one side; `head` is what may stand before it."""
    if value is MISSING or isinstance(value, str):
        return value
    messages = _messages([value] if isinstance(value, Mapping) else value, name)
    if len(messages) > 1 and messages[:-1] == head:
        messages = messages[-1:]
    if len(messages) != 1 or messages[0].role not in _ASSISTANT:
        raise RowError(
            f"`{name}` must be one answer of the assistant after the prompt, got the turns "
            f"{[role for role, _ in messages]}. Fix the row."
        )
    return messages[0].text


def _messages(value: object, name: str) -> list[_Message]:
    if value is MISSING:
        raise RowError(f"`{name}` is missing. Add it or leave the row out.")
    if not isinstance(value, list):
        raise RowError(f"`{name}` must be a list of messages, got {shown(value)}. Fix the row.")
    return [_message(item, name) for item in value]


def _message(message: object, name: str) -> _Message:
    if isinstance(message, Mapping):
        role = message.get("role") or message.get("from")
        content = (
            message.get("content") if message.get("content") is not None else message.get("value")
        )
        if isinstance(role, str) and isinstance(content, str):
            return _Message(role, content)
        if isinstance(role, str) and isinstance(content, list):
            return _Message(role, "".join(_part(part, name) for part in content))
    raise RowError(
        f"`{name}` must hold messages with role and content, got {shown(message)}. Fix the row."
    )


def _part(part: object, name: str) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "image":
        return "<image>"
    if isinstance(part, Mapping) and kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise RowError(
        f"`{name}` holds a part that is neither text nor image, got {shown(part)}. Fix the row."
    )


def _detects(sample: Sample) -> bool:
    return bool(sample.keys & {"messages", "conversations", "images", "query"})


FORMAT = Format(
    describes="messages and images (TRL, LLaMA-Factory, ms-swift, POVID), Parquet or JSON",
    read=read,
    detects=_detects,
)
"""The format."""
