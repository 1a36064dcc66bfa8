import asyncio
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from judge_endpoint import MODEL, judge_endpoint
from veridical.errors import ConfigError, DataError, MissingPackageError, install_line
from veridical.judges.batch import read_batch, write_batch
from veridical.judges.endpoint import EndpointJudge
from veridical.judges.protocol import Case, Message
from veridical.judges.settings import JudgeSettings


class Plain:
    """A template that says the response alone."""

    name, sha256, temperature = "plain", "0" * 64, 0.25

    def messages(self, case):
        return (Message("system", "Judge."), Message("user", case.fields["response"]))


def cases(count):
    return [Case(f"case-{number}", {"response": f"item {number}"}) for number in range(count)]


@pytest.fixture
def settings(tmp_path):
    def make(url="http://127.0.0.1:9/v1", **changes):
        given = {
            "model": MODEL,
            "url": url,
            "cache": tmp_path / "cache",
            "first_wait": 0.01,
            "timeout": 5.0,
        }
        return JudgeSettings(**(given | changes))

    return make


def test_a_request_says_what_the_settings_say_and_carries_its_key(settings):
    with judge_endpoint() as server:
        made = settings(
            server.url, system="Be exact.", max_tokens=7, extra={"seed": 3}, temperature=0.5
        )
        EndpointJudge(made).review(cases(1), Plain())
    (body,) = server.bodies
    assert body == {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "Be exact."},
            {"role": "user", "content": "item 0"},
        ],
        "max_tokens": 7,
        "temperature": 0.5,
        "seed": 3,
    }
    headers = {name.lower(): value for name, value in server.headers_seen[0].items()}
    assert headers["idempotency-key"] in {path.stem for path in made.cache.glob("*/*.json")}


def test_newer_models_get_their_own_fields(settings):
    with judge_endpoint() as server:
        made = settings(
            server.url, token_limit_field="max_completion_tokens", send_temperature=False
        )
        EndpointJudge(made).review(cases(1), Plain())
    assert set(server.bodies[0]) == {"model", "messages", "max_completion_tokens"}


def test_the_key_is_written_nowhere(settings, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    with judge_endpoint() as server:
        made = settings(server.url, key_variable="MY_KEY")
        EndpointJudge(made).review(cases(1), Plain())
    assert any("sk-very-secret" in value for value in server.headers_seen[0].values())
    assert all("secret" not in path.read_text() for path in made.cache.rglob("*") if path.is_file())


def test_what_is_kept_is_not_asked_again_unless_the_request_changes(settings):
    with judge_endpoint() as server:
        made = settings(server.url)
        first = EndpointJudge(made).review(cases(5), Plain())
        judge = EndpointJudge(made)
        assert judge.review(cases(5), Plain()) == first
        assert len(server.bodies) == 5
        assert (judge.bill.kept, judge.bill.answered) == (5, 0)
        EndpointJudge(settings(server.url, max_tokens=9)).review(cases(5), Plain())
        assert len(server.bodies) == 10


def test_cases_that_read_the_same_are_asked_once(settings):
    twins = [Case("a", {"response": "same"}), Case("b", {"response": "same"})]
    with judge_endpoint() as server:
        reviews = EndpointJudge(settings(server.url)).review(twins, Plain())
    assert len(server.bodies) == 1
    assert [(review.id, review.text) for review in reviews] == [
        ("a", "Rating: 4"),
        ("b", "Rating: 4"),
    ]


def test_a_wrong_key_or_address_ends_the_run_at_once(settings):
    for status in ("401", "403", "404", "quota"):
        with judge_endpoint(lambda text, attempt, status=status: status) as server:
            with pytest.raises(ConfigError, match="refuses with HTTP"):
                EndpointJudge(settings(server.url, concurrency=2)).review(cases(50), Plain())
            assert len(server.bodies) <= 2


def test_a_bad_request_fails_alone_and_is_not_repeated(settings):
    with judge_endpoint(lambda text, attempt: "400" if text == "item 1" else "ok") as server:
        reviews = EndpointJudge(settings(server.url)).review(cases(3), Plain())
        assert len(server.bodies) == 3
    assert [review.text for review in reviews] == ["Rating: 4", None, "Rating: 4"]
    assert "HTTP 400" in reviews[1].problem


def test_an_endpoint_that_fails_on_and_on_is_left_alone(settings):
    with judge_endpoint(lambda text, attempt: "500") as server:
        judge = EndpointJudge(settings(server.url, give_up_after=3, attempts=2, concurrency=1))
        reviews = judge.review(cases(40), Plain())
        assert len(server.bodies) == 6
    assert all(review.text is None for review in reviews)
    assert "3 requests in a row failed" in reviews[-1].problem
    assert judge.bill.failed == 40


def test_an_endpoint_that_asks_for_an_hour_is_not_waited_for_and_not_hurried(settings):
    with judge_endpoint(lambda text, attempt: "wait 3600") as server:
        reviews = EndpointJudge(settings(server.url, concurrency=1)).review(cases(3), Plain())
        assert len(server.bodies) == 1
    assert "asks to wait 3600 s" in reviews[0].problem
    assert reviews[2].problem.startswith("not asked")


def test_a_client_asked_to_wait_waits_and_so_do_the_others(settings):
    with judge_endpoint(
        lambda text, attempt: "wait 0.5" if text == "item 0" and not attempt else "ok"
    ) as server:
        judge = EndpointJudge(settings(server.url, concurrency=2))
        reviews = judge.review(cases(6), Plain())
    assert all(review.text == "Rating: 4" for review in reviews)
    assert judge.bill.retries == 1
    told = server.times[0]
    assert (
        sum(told < moment < told + 0.5 for moment in server.times) <= 2
    )  # those that were under way
    assert len(server.times) == 7


def test_without_the_package_it_says_what_to_install(settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingPackageError, match=re.escape(install_line("judge"))):
        EndpointJudge(settings()).review(cases(1), Plain())


def test_another_models_answer_is_not_a_judgement_and_is_paid_once(settings):
    with judge_endpoint(
        lambda text, attempt: "wrong-model" if text == "item 1" else "ok"
    ) as server:
        made = settings(server.url)
        for _ in range(2):
            reviews = EndpointJudge(made).review(cases(3), Plain())
            assert [review.text is None for review in reviews] == [False, True, False]
            assert "answered by 'cheap-judge'" in reviews[1].problem
        assert len(server.bodies) == 3
        accepted = EndpointJudge(settings(server.url, accept_models=("cheap-judge",))).review(
            cases(3), Plain()
        )
        assert accepted[1].text == "Rating: 4"
        assert len(server.bodies) == 3
        EndpointJudge(settings(server.url, ask_again=True)).review(cases(3), Plain())
        assert len(server.bodies) == 4


def test_an_endpoint_that_serves_another_model_throughout_is_not_paid_on_and_on(settings):
    with judge_endpoint(lambda text, attempt: "wrong-model") as server:
        reviews = EndpointJudge(settings(server.url, give_up_after=4, concurrency=1)).review(
            cases(30), Plain()
        )
        assert len(server.bodies) == 4
    assert "4 answers in a row are of no use" in reviews[-1].problem


def test_the_budget_is_checked_before_the_first_request(settings):
    with judge_endpoint() as server:
        made = settings(server.url, price_in=1000.0, price_out=1000.0, budget=0.5)
        with pytest.raises(
            ConfigError, match=r"may cost .* the budget is 0.50 USD\. Nothing was asked"
        ):
            EndpointJudge(made).review(cases(3), Plain())
        assert not server.bodies
        judge = EndpointJudge(settings(server.url, price_in=1.0, price_out=1.0, budget=0.5))
        judge.review(cases(3), Plain())
        assert judge.bill.tokens == (300, 30)
        assert judge.bill.tokens.cost(judge.settings) == pytest.approx(330e-6)


def test_a_budget_counts_what_was_spent_before(settings):
    with judge_endpoint() as server:
        EndpointJudge(settings(server.url)).review(cases(3), Plain())
        # 3 answers of 110 tokens are spent; one more request may take 11 + 20
        priced = {"price_in": 1e6, "price_out": 1e6, "max_tokens": 20}
        first = EndpointJudge(settings(server.url, **priced)).plan(cases(3), Plain())
        assert first.spent == (0, 0)  # another limit is another request
        judge = EndpointJudge(settings(server.url, price_in=1e6, price_out=1e6, budget=1000.0))
        with pytest.raises(ConfigError, match=r"330\.00 spent already"):
            judge.review(cases(4), Plain())


def test_a_budget_without_prices_is_refused(settings):
    with pytest.raises(ValueError, match="needs `price_in` and `price_out`"):
        settings(budget=1.0)


def test_two_runs_do_not_judge_with_one_cache(settings):
    judge = EndpointJudge(settings())
    with judge.cache.lock(), pytest.raises(ConfigError, match="Another run"):
        EndpointJudge(settings()).review(cases(1), Plain())


def test_a_changed_answer_file_is_reported_and_not_paid_again(settings):
    with judge_endpoint() as server:
        made = settings(server.url)
        EndpointJudge(made).review(cases(1), Plain())
        (kept,) = made.cache.glob("*/*.json")
        kept.write_text(kept.read_text().replace("item 0", "item 1"))
        with pytest.raises(DataError, match="delete it to ask"):
            EndpointJudge(made).review(cases(1), Plain())
        kept.write_text("{")
        with pytest.raises(DataError, match="delete it to ask"):
            EndpointJudge(made).review(cases(1), Plain())
        assert len(server.bodies) == 1


def test_it_works_where_an_event_loop_is_running(settings):
    async def notebook(url):
        return EndpointJudge(settings(url)).review(cases(2), Plain())

    # In a thread of its own, since a browser that other tests drive may run a loop in this one.
    with judge_endpoint() as server, ThreadPoolExecutor(1) as pool:
        reviews = pool.submit(asyncio.run, notebook(server.url)).result()
        assert [review.text for review in reviews] == ["Rating: 4"] * 2


def test_answers_that_were_cut_are_reported(settings, capsys):
    with judge_endpoint(lambda text, attempt: "cut" if text == "item 1" else "ok") as server:
        EndpointJudge(settings(server.url, max_tokens=7)).review(cases(3), Plain())
    assert "1 answer was cut at 7 tokens" in capsys.readouterr().err


def test_a_server_that_does_not_listen(settings):
    judge = EndpointJudge(settings(attempts=2))
    reviews = judge.review(cases(2), Plain())
    assert all("connection failed" in review.problem for review in reviews)


def test_batch_there_and_back(settings, tmp_path):
    judge = EndpointJudge(settings(), offline=True)
    plan = judge.plan([*cases(3), Case("twin", {"response": "item 0"})], Plain())
    written = [
        json.loads(line)
        for line in write_batch(tmp_path / "in.jsonl", plan.requests).read_text().splitlines()
    ]
    assert len(written) == 3
    assert {(row["method"], row["url"]) for row in written} == {("POST", "/v1/chat/completions")}
    body = {"model": MODEL, "choices": [{"message": {"role": "assistant", "content": "Rating: 2"}}]}
    lines = [
        {
            "custom_id": written[0]["custom_id"],
            "error": None,
            "response": {"status_code": 200, "body": body},
        },
        {"custom_id": written[1]["custom_id"], "error": {"code": "expired"}, "response": None},
        {
            "custom_id": written[2]["custom_id"],
            "error": None,
            "response": {"status_code": 500, "body": {}},
        },
    ]
    output = tmp_path / "out.jsonl"
    output.write_text("".join(json.dumps(line) + "\n" for line in lines))
    taken = read_batch(output, plan.requests, judge.cache)
    assert (taken.taken, taken.known, len(taken.failed)) == (1, 0, 2)
    assert read_batch(output, plan.requests, judge.cache)[:2] == (0, 1)
    reviews = judge.review(cases(3), Plain())
    assert [review.text for review in reviews] == ["Rating: 2", None, None]
    assert "nothing is asked" in reviews[1].problem


def test_a_batch_of_something_else_is_not_taken(settings, tmp_path):
    judge = EndpointJudge(settings(), offline=True)
    plan = judge.plan(cases(1), Plain())
    output = tmp_path / "out.jsonl"
    right = {
        "custom_id": plan.requests[0].key,
        "response": {"status_code": 200, "body": {"choices": [{}]}},
    }
    output.write_text(
        json.dumps(right) + "\n" + json.dumps({"custom_id": "abc", "response": {}}) + "\n"
    )
    with pytest.raises(DataError, match="not asked here"):
        read_batch(output, plan.requests, judge.cache)
    assert not judge.cache.folder.exists()
