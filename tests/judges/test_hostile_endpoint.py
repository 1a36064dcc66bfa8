"""Replies made to harm: failed judgements of which nothing is kept; the key goes nowhere."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from judge_endpoint import MODEL, judge_endpoint
from veridical.errors import ConfigError, ModelError, StorageError
from veridical.evaluation.judging import judge_at_endpoint
from veridical.files import write_json_atomically
from veridical.judges.completions import parse_reply, read_completion
from veridical.judges.endpoint import EndpointJudge
from veridical.judges.protocol import Case, Message
from veridical.judges.settings import JudgeSettings
from veridical.scoring.protocol import Files

KEY = "sk-a-very-secret-key"


class Plain:
    """A template that says the response alone."""

    name, sha256, temperature = "plain", "0" * 64, 0.0

    def messages(self, case):
        return (Message("user", case.fields["response"]),)


def body(usage='{"prompt_tokens": 1, "completion_tokens": 1}', content='"Rating: 4"', more=""):
    message = f'{{"role": "assistant", "content": {content}}}'
    return (
        f'{{"model": "{MODEL}", "choices": [{{"message": {message}, "finish_reason": "stop"}}],'
        f' "usage": {usage}{more}}}'
    ).encode()


def counted(number):
    return body(f'{{"prompt_tokens": {number}, "completion_tokens": 1}}')


HOSTILE = {
    "brackets": b"[" * 200_000,
    "deep completion": body(more=', "x": ' + "[" * 400 + "]" * 400),
    "half a pair": body(content=r'"Rating: 4 \ud83d"'),
    "half a pair elsewhere": body(more=r', "id": "\udc00"'),
    "NaN": counted("NaN"),
    "infinite": counted("1e999"),
    "negative": counted(-5),
    "half": counted(-0.5),
    "10^400": counted("1" + "0" * 400),
    "10^5000": counted("1" + "0" * 5000),
    "a list": b"[]",
    "nothing": b"",
    "not UTF-8": b'{"choices": "\xff"}',
    "choices of words": b'{"choices": ["Rating: 4"]}',
    "choices of nulls": b'{"choices": [null]}',
    "content of parts": body(content='["Rating: 4"]'),
    "content of numbers": body(content="4"),
}


@pytest.fixture
def endpoint(tmp_path, monkeypatch):
    """Settings for a server, the key in the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def make(server, **changes):
        given = {"model": MODEL, "url": server.url, "cache": tmp_path / "cache", "timeout": 10.0}
        return JudgeSettings(**(given | {"attempts": 1, "first_wait": 0.01} | changes))

    return make


def kept(made):
    return "".join(path.read_text() for path in made.cache.rglob("*.json"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_reply_made_to_harm_is_a_failed_judgement_and_is_not_kept(endpoint, name, capsys):
    cases = [Case(str(number), {"response": f"item {number}"}) for number in range(3)]
    with judge_endpoint(lambda text, attempt: name if text == "item 1" else "ok") as server:
        server.raw = HOSTILE
        made = endpoint(server, price_in=1.0, price_out=1.0, budget=1e6)
        judge = EndpointJudge(made)
        reviews = judge.review(cases, Plain())
        assert [review.text for review in reviews] == ["Rating: 4", None, "Rating: 4"]
        assert reviews[1].problem
        assert len(reviews[1].problem) < 200
        assert (judge.bill.failed, judge.bill.lost) == (1, 1)
        assert len(list(made.cache.glob("*/*.json"))) == 2
        server.plan = lambda text, attempt: "ok"
        again = EndpointJudge(made)
        assert [review.text for review in again.review(cases, Plain())] == ["Rating: 4"] * 3
        assert again.bill.kept == 2
    assert "USD" in capsys.readouterr().err


def test_what_an_older_version_kept_of_such_a_reply_is_asked_again(endpoint):
    cases = [Case("a", {"response": "item"})]
    with judge_endpoint() as server:
        made = endpoint(server, price_in=1.0, price_out=1.0, budget=1e9)
        EndpointJudge(made).review(cases, Plain())
        (path,) = made.cache.glob("*/*.json")
        path.write_text(path.read_text().replace("100", "1" + "0" * 400))
        assert EndpointJudge(made).review(cases, Plain())[0].text == "Rating: 4"
        assert len(server.bodies) == 2


def test_a_redirect_to_another_host_is_refused_and_nothing_goes_there(endpoint):
    cases = [Case("a", {"response": "item"})]
    with judge_endpoint() as elsewhere:
        target = elsewhere.url.replace("127.0.0.1", "localhost") + "/chat/completions"
        for address in (target, elsewhere.url + "/chat/completions", "https://[bad"):
            with judge_endpoint(lambda text, attempt, to=address: f"redirect {to}") as server:
                with pytest.raises(ConfigError, match=r"redirects to (another host|no valid)"):
                    EndpointJudge(endpoint(server)).review(cases, Plain())
                assert len(server.bodies) == 1
        assert not elsewhere.bodies


def test_a_redirect_on_the_same_host_is_followed(endpoint):
    with judge_endpoint(
        lambda text, attempt: "ok" if attempt else "redirect /v1/chat/completions?again"
    ) as server:
        reviews = EndpointJudge(endpoint(server)).review([Case("a", {"response": "x"})], Plain())
    assert reviews[0].text == "Rating: 4"


@pytest.mark.parametrize("behaviour", ["echo", "echo 400", "echo 401", "echo 500"])
def test_an_echoed_key_is_neither_shown_nor_kept(endpoint, behaviour, capsys):
    with judge_endpoint(lambda text, attempt: behaviour) as server:
        made = endpoint(server)
        shown = ""
        try:
            (review,) = EndpointJudge(made).review([Case("a", {"response": "x"})], Plain())
            shown = f"{review}"
        except ConfigError as error:
            shown = str(error)
        assert any(KEY in value for value in server.headers_seen[0].values())
    shown += "".join(capsys.readouterr())
    assert KEY not in shown + kept(made)
    assert "[key]" in shown


def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(endpoint, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\nX-Other: 1")
    with judge_endpoint() as server:
        with pytest.raises(ConfigError, match="no HTTP header can hold") as refused:
            EndpointJudge(endpoint(server)).review([Case("a", {"response": "x"})], Plain())
        assert KEY not in str(refused.value)
        assert not server.bodies


@pytest.mark.parametrize("address", [f"https://me:{KEY}@host/v1", f"https://host/v1?key={KEY}"])
def test_a_key_in_the_address_is_refused(tmp_path, address):
    with pytest.raises(ValueError, match="must not hold a user, password or query"):
        JudgeSettings(model="m", url=address, cache=tmp_path)


def test_a_cache_that_cannot_be_a_folder_is_one_message(endpoint, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with judge_endpoint() as server:
        with pytest.raises(StorageError, match=r"Cannot write into the cache.*Nothing was asked"):
            EndpointJudge(endpoint(server)).review([Case("a", {"response": "x"})], Plain())
        assert not server.bodies


def test_a_response_that_cannot_be_sent_fails_alone(endpoint):
    cases = [Case("a", {"response": "half \ud83d"}), Case("b", {"response": "whole"})]
    with judge_endpoint() as server:
        reviews = EndpointJudge(endpoint(server)).review(cases, Plain())
        assert len(server.bodies) == 1
    assert [review.text for review in reviews] == [None, "Rating: 4"]
    assert "half a surrogate pair" in reviews[0].problem


def test_if_every_judgement_failed_there_is_no_score_and_the_exit_code_is_one(
    endpoint, tmp_path, capsys
):
    from veridical import cli

    rows = [
        {
            "id": f"i{number}",
            "question_type": "counting",
            "image_content": ["Dog"],
            "question": "How many dogs?",
            "gt_answer": "One dog.",
            "model_answer": f"{number} dogs.",
        }
        for number in range(3)
    ]
    responses = write_json_atomically(tmp_path / "responses.json", rows)
    with judge_endpoint(lambda text, attempt: "brackets") as server:
        server.raw = HOSTILE
        made = endpoint(server)
        with pytest.raises(ModelError, match=r"judged none of 3 responses.*nested too deeply"):
            judge_at_endpoint("mmhal", Files(responses=responses), made)
        words = ["score", "mmhal", "--responses", responses, "--judge-model", MODEL]
        words += ["--judge-url", server.url, "--judge-cache", made.cache]
        words += ["--judge", "attempts=1", "--json", tmp_path / "total.json"]
        with pytest.raises(SystemExit) as left:
            cli.main([str(word) for word in words])
        assert left.value.code == 1
        assert not (tmp_path / "total.json").exists()
        server.plan = lambda text, attempt: "ok" if "1 dogs" in text else "brackets"
        judged = judge_at_endpoint("mmhal", Files(responses=responses), made)
    assert judged.scored.total.counts == {"items": 3, "failed": 2, "scored": 1}


def test_what_a_killed_write_left_in_the_cache_is_removed(endpoint):
    with judge_endpoint() as server:
        made = endpoint(server)
        EndpointJudge(made).review([Case("a", {"response": "x"})], Plain())
        (path,) = made.cache.glob("*/*.json")
        leftover = path.with_name(f".{path.name}.0a1b2c3d.json")
        leftover.write_text("half")
        EndpointJudge(made).review([Case("a", {"response": "x"})], Plain())
    assert not leftover.exists()
    assert path.exists()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "usage",
                    "prompt_tokens",
                    "error",
                    "refusal",
                    "model",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
REPLY = st.fixed_dictionaries(
    {"choices": st.lists(st.fixed_dictionaries({"message": JSON}) | JSON, max_size=2)},
    optional={"usage": JSON, "model": JSON, "error": JSON},
)


@effort(max_examples=700, deadline=None)
@given(st.binary(max_size=200) | (JSON | REPLY).map(lambda value: json.dumps(value).encode()))
def test_any_reply_is_a_completion_that_can_be_kept_and_counted_or_a_problem(data):
    reply = parse_reply(data, secret="message")
    assert (reply.body is None) == bool(reply.problem)
    if reply.body is not None:
        json.dumps(reply.body, indent=2, ensure_ascii=False, allow_nan=False).encode()
        read = read_completion(reply.body)
        assert not read.malformed
        assert 0 <= read.prompt_tokens <= 10**9
        assert (read.text is None) == bool(read.problem)
    else:
        reply.problem.encode()
