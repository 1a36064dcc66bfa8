import pytest

from veridical.judges.completions import is_model, read_completion


def completion(**message):
    return {"model": "m", "choices": [{"message": message, "finish_reason": "stop"}]}


def test_words_model_and_tokens_are_read():
    body = completion(content="Rating: 3") | {"usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    read = read_completion(body)
    assert (read.text, read.model, read.prompt_tokens, read.completion_tokens) == (
        "Rating: 3",
        "m",
        5,
        2,
    )
    assert not read.malformed


@pytest.mark.parametrize(
    ("body", "malformed"),
    [
        (None, True),
        ("Rating: 3", True),
        ({}, True),
        ({"choices": {}}, True),
        ({"choices": ["Rating: 3"]}, True),
        ({"choices": [{"text": "Rating: 3"}]}, True),
        (completion(content=["Rating: 3"]), True),
        ({"choices": []}, False),
        (completion(content=None), False),
        (completion(), False),
        (completion(content="Rating: 3", refusal="I cannot."), False),
        (
            {"choices": [{"message": {"content": "Rating: 3"}, "finish_reason": "content_filter"}]},
            False,
        ),
    ],
)
def test_what_holds_no_judgement_gives_none_and_says_why(body, malformed):
    read = read_completion(body)
    assert read.text is None
    assert read.problem
    assert read.malformed == malformed


def test_odd_usage_counts_nothing():
    read = read_completion(
        completion(content="x") | {"usage": {"prompt_tokens": "5", "completion_tokens": None}}
    )
    assert (read.prompt_tokens, read.completion_tokens) == (0, 0)


@pytest.mark.parametrize(
    ("answered", "asked", "same"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4-0613", "gpt-4", True),
        ("gpt-4o-2024-08-06", "gpt-4o", True),
        ("gpt-4o-mini", "gpt-4o", False),
        ("gpt-4o-mini-2024-07-18", "gpt-4o", False),
        ("gpt-4", "gpt-4-0314", False),
        ("", "gpt-4", False),
    ],
)
def test_a_dated_snapshot_is_the_model_and_a_smaller_sister_is_not(answered, asked, same):
    assert is_model(answered, asked) == same
    assert is_model(answered, asked, accepted=(answered,))
