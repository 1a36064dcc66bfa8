"""Chat messages and images, as TRL, LLaMA-Factory and ms-swift write them.

- `trl-lib/rlaif-v`, `HuggingFaceH4/rlaif-v_formatted`: `prompt`, `chosen`, `rejected` are lists of
  messages {role, content}, where content is a text or a list of parts {type, text}; `images` a
  list. Without `prompt`, the messages before the last are the prompt, equal on both sides.
- `llamafactory/RLHF-V`: `conversations` [{from, value}], `chosen` and `rejected` one {from, value}
  each, `images`.
- ms-swift: `messages` whose last one is the preferred answer (or `query` and `response`), and
  `rejected_response` (a text) or `rejected_messages`, `images`; LLaMA-Factory's next version has
  `chosen_messages` beside them. POVID and others: `conversations` and `rejected_conversations`;
  where answers of several turns differ, each of them is a pair after the preferred turns before it.
- `conversation` [{human, assistant}] (ShareGPT).
- `chosen` and `rejected` alone, as texts: what they begin with alike is the prompt (TRL).
- Messages or conversations without anything rejected are for fine-tuning, as are `prompt` and
  `completion`. A `prompt` alone is a question to be answered, with `reference`, `task` and
  `image_id` where there are some.
- One answer with `label` or `kto_tag`, true or false, is an unpaired preference (KTO), see
  `formats.trainers.kto`; `instruction` begins Alpaca's rows, see `formats.trainers.alpaca`.

Several pictures, earlier turns and the system message are kept. Statements in `facts` are kept as
what is known of the image. Messages without field, part or marker of a picture are about text
alone, and counted. A row about a video or a sound is refused, since its text alone would
teach answering blind.
"""

from pathlib import PurePath

from veridical.errors import RowError, gather_row_errors
from veridical.formats.format import Format, RowFields, RowReader, Sample
from veridical.formats.messages import (
    ASSISTANT,
    LABELS,
    TWO_TALKS,
    Message,
    Talk,
    check_label,
    differing_turns,
    implicit_prompt,
    last_answer,
    note_other_fields,
    one_answer,
    read_messages,
    read_talk,
)
from veridical.formats.pairs import PairFields, own_fields, pair_reader
from veridical.formats.sources.row_images import check_media, row_images
from veridical.formats.text import join_origin
from veridical.records import NO_IMAGE, Conversation, Facts, ImageRef, Prompt, Turn
from veridical.records.folders import Contents
from veridical.records.texts import MISSING, clean_text, count_images, shown, text_fault

TALK = ("prompt", "conversations", "messages", "chosen_messages", "conversation")
"""Fields that hold a conversation."""
REJECTED = ("rejected_messages", "rejected_conversations", "rejected_response")
"""Fields that hold what was not preferred, the preferred answer being the conversation's last."""


def read(row: RowFields, reader: RowReader) -> Contents:
    """Read one row.

    Raises:
        RowError: All that is wrong with it.
    """
    if "instruction" in row:
        from veridical.formats.trainers import alpaca

        return alpaca.read(row, reader)
    check_media(row)
    note_other_fields(row, (*TALK, *REJECTED, "chosen", "rejected"))
    if any(name in row for name in ("chosen", "rejected", *REJECTED)):
        found = _read_pairs(row, reader)
        first = found.corrections[0]
        return found._replace(facts=_facts(row, first.prompt_id, first.image))
    if any(isinstance(row.peek().get(name), bool) for name in LABELS):
        from veridical.formats.trainers import kto

        return kto.read(row, reader)
    messages = find_messages(row)
    if messages and messages[-1].role in ASSISTANT:
        check_label(row)
    if messages and all(message.role not in ASSISTANT for message in messages):
        return _read_prompt(messages, row, reader)
    return _read_conversation(messages, row, reader)


def row_id(row: RowFields) -> object:
    """The id of a row, or None."""
    return row["id"] if "id" in row else row.get("idx")


def _read_prompt(messages: list[Message], row: RowFields, reader: RowReader) -> Contents:
    record_id = reader.id(row_id(row))
    talk = asked_talk(messages, row)
    reader.check(text_fault(talk.turns[-1], "prompt", response=False))
    prompt = asked_prompt(talk, record_id, reader)
    known = {name: row[name] for name in ("reference", "task", "image_id") if row.get(name)}
    return Contents(
        prompts=(Prompt.model_validate(prompt.model_dump() | known),),
        facts=_facts(row, record_id, prompt.image),
    )


def asked_prompt(talk: Talk, record_id: str, reader: RowReader) -> Prompt:
    """The prompt that a conversation up to a question is.

    Raises:
        RowError: What was found wrong with the row so far, and with its pictures.
    """
    refs = [reader.image(image) for image in talk.images]
    reader.stop_on_faults()
    first, *more = refs or [NO_IMAGE]
    return Prompt(
        id=record_id,
        image=first,
        question=talk.turns[-1],
        history=talk.history,
        more_images=tuple(more),
        system=talk.system,
    )


def _facts(row: RowFields, prompt_id: str, image: ImageRef) -> tuple[Facts, ...]:
    texts = row.get("facts")
    if not texts:
        return ()
    known = row.get("image_id") or PurePath(image.path).stem
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RowError(f"`facts` must be a list of texts, got {shown(texts)}. Fix the row.")
    return (Facts(image_id=known, prompt_id=prompt_id, kind="caption", texts=tuple(texts)),)


def _read_pairs(row: RowFields, reader: RowReader) -> Contents:
    """The pair of a row, or one for each answer that differs where several do."""
    turns = differing_turns(row)
    if len(turns) < 2:
        return _read_pair(row, reader)
    pairs = []
    for turn in turns:
        part = RowFields({**row.peek(), **{n: row.peek()[n][: turn + 1] for n in TWO_TALKS}})
        found = _read_pair(part, reader)
        name = f"{found.corrections[0].id}#{turn // 2 + 1}"
        pairs.append(found.corrections[0].model_copy(update={"id": name}))
        row.skip(*(name for name in row if name not in part.unread))
    return Contents(corrections=tuple(pairs))


def _pair_fields(row: RowFields) -> PairFields:
    name = next((name for name in REJECTED if name in row), None)
    prompt = find_messages(row)
    if name is not None:
        prompt = prompt or []
        chosen: object = last_answer(prompt, _talk_name(row))
        prompt = prompt[:-1]
        said = prompt
        if name in TWO_TALKS:  # earlier answers that differ are pairs of their own
            said = read_messages(row[name], name)[:-1]
        rejected = one_answer(row[name], name, said)
    elif prompt is None and all(isinstance(row.peek().get(s), str) for s in ("chosen", "rejected")):
        question, chosen, rejected = implicit_prompt(row["chosen"], row["rejected"])
        prompt = [Message("user", question)]
    else:
        head = prompt
        if prompt is None:  # the prompt stands at the head of both answers
            prompt = head = read_messages(row.get("chosen", MISSING), "chosen")[:-1]
        elif not isinstance(row.peek().get(_talk_name(row)), str):
            head = []
        chosen, rejected = (
            one_answer(row.get(side, MISSING), side, head or []) for side in ("chosen", "rejected")
        )
    _require_images(prompt, row)
    talk = asked_talk(prompt, row)
    origin, own = join_origin(row.get("origin"), None)
    return PairFields(
        id=row_id(row),
        image=list(talk.images),
        question=talk.turns[-1],
        chosen=chosen,
        rejected=rejected,
        origin=origin,
        own={**own, **own_fields(row)},
        history=talk.history,
        system=talk.system,
        placed=True,
    )


_read_pair = pair_reader(_pair_fields)


def _require_images(prompt: list[Message], row: RowFields) -> None:
    """Refuse a preference that should show a picture and shows none.

    In messages a picture is shown by a field, a part or a marker: without all of them the row is
    about text alone. A bare text says nothing of the kind.

    Raises:
        RowError: There is no picture.
    """
    if row_images(row) or any(message.images for message in prompt):
        return
    field = any(name in row for name in ("images", "image"))
    bare = isinstance(row.peek().get(_talk_name(row), ""), str) and "query" not in row
    if not field and not bare and not any(count_images(message.text) for message in prompt):
        return
    if "images" not in row and "image" not in row:
        raise RowError("`images` is missing. Add it or leave the row out.")
    raise RowError("`images` must hold one image, got 0. Name one or more, or leave the row out.")


def _read_conversation(
    messages: list[Message] | None, row: RowFields, reader: RowReader
) -> Contents:
    record_id = reader.id(row_id(row))
    if messages is None:
        raise RowError(f"none of {', '.join(f'`{name}`' for name in TALK)} is there. Add one.")
    talk = Talk("", (), ())
    with gather_row_errors(reader.faults):
        talk = read_talk(messages, row)
    for number, text in enumerate(talk.turns):
        said = number % 2 == 1
        reader.check(text_fault(text, f"message {number + 1}", response=said))
    refs = [reader.image(image) for image in talk.images]
    reader.stop_on_faults()
    turns = [
        Turn(role="assistant" if number % 2 else "user", text=clean_text(text))
        for number, text in enumerate(talk.turns)
    ]
    origin, _ = join_origin(row.get("origin"), None)
    conversation = Conversation(
        id=record_id,
        image=refs[0] if refs else None,
        turns=tuple(turns),
        source=reader.judged_by,
        origin=origin,
        more_images=tuple(refs[1:]),
        system=talk.system,
    )
    return Contents(conversations=(conversation,))


def asked_talk(prompt: list[Message], row: RowFields) -> Talk:
    """A conversation up to the question that is to be answered.

    Raises:
        RowError: It does not end with a question.
    """
    talk = read_talk(prompt, row)
    if len(talk.turns) % 2 == 0:
        raise RowError(
            "the prompt must end with a question of the user, got the turns"
            f" {[message.role for message in prompt]}. Fix the row."
        )
    return talk


def _talk_name(row: RowFields) -> str:
    names = TALK if not any(name in row for name in REJECTED) else TALK[::-1]
    return next((name for name in names if name in row), "messages")


def find_messages(row: RowFields) -> list[Message] | None:
    """The conversation of a row, whichever field it stands in; None where there is none."""
    if "query" in row:  # ms-swift's short form
        earlier = row.get("history") or []
        said = [("user", "assistant")[n % 2] for n in range(2 * len(earlier))]
        texts = [text for exchange in earlier for text in exchange]
        talk = [*zip(said, texts, strict=True), ("user", row["query"])]
        talk += [("assistant", row["response"])] if "response" in row else []
        return read_messages([{"role": role, "content": text} for role, text in talk], "query")
    if "prompt" in row and "completion" in row:
        return _completed(row)
    name = _talk_name(row)
    value = row.get(name)
    if value is None:
        return None
    return [Message("user", value)] if isinstance(value, str) else read_messages(value, name)


def _completed(row: RowFields) -> list[Message]:
    prompt = row["prompt"]
    asked = (
        [Message("user", prompt)] if isinstance(prompt, str) else read_messages(prompt, "prompt")
    )
    said = one_answer(row["completion"], "completion", [])
    return [*asked, Message("assistant", said if isinstance(said, str) else "")]


def _detects(sample: Sample) -> bool:
    named = {*TALK[1:], "images", "query", "instruction"}
    return bool(sample.keys & named)


FORMAT = Format(
    describes="messages and images (TRL, LLaMA-Factory, ms-swift), Parquet or JSON",
    read=read,
    detects=_detects,
)
"""The format."""
