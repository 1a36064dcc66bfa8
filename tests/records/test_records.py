import inspect

import pytest
from pydantic import ValidationError

from veridical import records
from veridical.records import (
    Conversation,
    Correction,
    ImageRef,
    Judgement,
    Metric,
    Prompt,
    Record,
    Segment,
)

KINDS = [
    c
    for c in vars(records).values()
    if inspect.isclass(c) and issubclass(c, Record) and c is not Record
]
CORRECTION = Correction(
    id="c",
    prompt_id="p",
    source="human",
    image=ImageRef(path="a.png"),
    question="What?",
    rejected="a red cat",
    chosen="a cat",
    segments=(Segment(rejected_span=(2, 6), chosen_span=(2, 2), kind="attribute"),),
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_record_is_frozen_closed_and_documented(kind):
    assert len(KINDS) >= 10
    assert kind.model_config["frozen"]
    assert kind.model_config["extra"] == "forbid"
    for name, field in kind.model_fields.items():
        assert (field.description or "").strip(), f"{kind.__name__}.{name} has no docstring"


def test_a_judgement_says_who_made_it():
    with pytest.raises(ValidationError, match="source"):
        Correction.model_validate({**CORRECTION.model_dump(), "source": "anybody"})
    without = CORRECTION.model_dump()
    del without["source"]
    with pytest.raises(ValidationError, match="source"):
        Correction.model_validate(without)


@pytest.mark.parametrize(
    "roles", [("user",), ("assistant", "user"), ("user", "user"), ("user", "assistant", "user")]
)
def test_a_conversation_alternates_and_ends_with_the_assistant(roles):
    turns = [{"role": role, "text": "x"} for role in roles]
    with pytest.raises(ValidationError, match="turns"):
        Conversation.model_validate({"id": "c", "turns": turns, "source": "human"})


@pytest.mark.parametrize("span", [(-1, 2), (3, 2)])
def test_a_span_is_ordered_and_starts_at_zero_or_later(span):
    with pytest.raises(ValidationError, match="rejected_span must be 0 <= start <= end"):
        Segment(rejected_span=span, chosen_span=(0, 0))


def test_content_hash_follows_content_and_nothing_else():
    again = Correction.model_validate_json(CORRECTION.model_dump_json())
    assert again.content_hash() == CORRECTION.content_hash()
    assert len(CORRECTION.content_hash()) == 16
    for name, value in [("chosen", "a dog"), ("segments", ()), ("seconds", 1.0)]:
        assert (
            CORRECTION.model_copy(update={name: value}).content_hash() != CORRECTION.content_hash()
        )


def test_a_number_without_interval_or_with_nan_cannot_be_built():
    with pytest.raises(ValidationError):
        Metric(value=0.5, n=3)
    with pytest.raises(ValidationError):
        Metric(value=float("nan"), n=3, low=0, high=1)


def test_an_empty_question_is_refused():
    with pytest.raises(ValidationError, match="at least 1 character"):
        Prompt(id="p", image=ImageRef(path="a.png"), question="")


def test_the_tag_tells_judgements_apart():
    from pydantic import TypeAdapter

    assert TypeAdapter(Judgement).validate_python(CORRECTION.model_dump()) == CORRECTION


def test_every_public_name_exists():
    assert len(set(records.__all__)) == len(records.__all__)
    assert all(name in vars(records) for name in records.__all__)
    assert {kind.__name__ for kind in KINDS} <= set(records.__all__)
