"""From responses to a judged score: from Python, the command line, batch files, exact judge."""

import json

import pytest

from judge_endpoint import MODEL, judge_endpoint
from official_data import write_lines
from veridical import cli
from veridical.benchmarks.world.items import build_world_benchmark
from veridical.benchmarks.world.judge import WorldJudge, write_mmhal_responses
from veridical.benchmarks.world.metrics import judge_answer_row
from veridical.errors import ConfigError
from veridical.evaluation.judging import judge_and_score, judge_at_endpoint
from veridical.files import write_json_atomically
from veridical.judges.settings import JudgeSettings
from veridical.records import Response
from veridical.scoring.files import score
from veridical.scoring.protocol import Files


@pytest.fixture
def responses(tmp_path):
    rows = [
        {
            "id": f"i{number}",
            "question_type": "counting",
            "image_content": ["Dog"],
            "question": "How many dogs?",
            "gt_answer": "One dog.",
            "model_answer": f"{number} dogs.",
        }
        for number in range(6)
    ]
    return write_json_atomically(tmp_path / "responses.json", rows)


def rate(text):
    return "Right.\nRating: 5" if "answer: 1 dogs." in text else "Wrong.\nRating: 1"


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        cli.main(["score", *map(str, arguments)])
    return left.value.code


def test_one_call_judges_and_scores_and_the_reviews_score_the_same_again(responses, tmp_path):
    with judge_endpoint(rate=rate) as server:
        settings = JudgeSettings(model=MODEL, url=server.url, cache=tmp_path / "cache")
        judged = judge_at_endpoint("mmhal", Files(responses=responses), settings)
    total = judged.scored.total
    assert total.metrics["score"].value == pytest.approx((5 + 5 * 1) / 6)
    assert total.versions["judge"] == MODEL
    assert total.versions["judge_prompt"].startswith("veridical ")
    assert "not the published one (veridical)" in total.warnings[-1]
    again = score("mmhal", Files(responses=responses, reviews=judged.reviews)).total
    assert again.metrics == total.metrics


def test_a_template_of_the_users_is_what_is_sent(responses, tmp_path):
    template = tmp_path / "prompt.txt"
    template.write_text("{}|{}|{}|{}")
    with judge_endpoint() as server:
        settings = JudgeSettings(
            model=MODEL, url=server.url, cache=tmp_path / "cache", template=template
        )
        total = judge_at_endpoint("mmhal", Files(responses=responses), settings).scored.total
        assert {body["messages"][0]["content"] for body in server.bodies} == {
            f"Dog|How many dogs?|One dog.|{number} dogs." for number in range(6)
        }
    assert total.versions["judge_prompt"].startswith("custom ")


def test_llava_bench_through_the_same_way(tmp_path):
    folder = tmp_path / "table"
    folder.mkdir()
    write_lines(
        folder / "answers_gpt4.jsonl",
        [{"question_id": n, "text": "A reference."} for n in range(4)],
    )
    write_lines(folder / "context.jsonl", [{"id": 0, "image": "a.jpg", "caption": "A street."}])
    asked = [
        {"question_id": n, "image": "a.jpg", "text": f"Where {n}?", "category": "conv"}
        for n in range(4)
    ]
    questions = write_lines(tmp_path / "q.jsonl", asked)
    said = write_lines(
        tmp_path / "a.jsonl", [{"question_id": n, "text": "On a street."} for n in range(4)]
    )
    files = Files(responses=said, questions=questions, reference=folder)
    grades = {"Where 0?": "8 4\nx", "Where 1?": "4 8", "Where 2?": "8, 9", "Where 3?": "8 8"}
    with judge_endpoint(
        lambda text, attempt: "400" if "Where 3?" in text else "ok",
        lambda text: next(words for asked, words in grades.items() if asked in text),
    ) as server:
        settings = JudgeSettings(model=MODEL, url=server.url, cache=tmp_path / "cache")
        by = {
            name: judge_at_endpoint("llava-bench", files, settings, variant=name)
            for name in ("llava", "strict")
        }
        assert len(server.bodies) == 5  # the failed one was asked again
        assert server.bodies[0]["temperature"] == 0.2
    assert (
        "not the published one (veridical, another system message)"
        in by["llava"].scored.total.warnings[-1]
    )
    assert by["llava"].scored.total.versions["judge_system_message"].startswith("custom ")
    assert by["llava"].scored.total.counts == {"items": 4, "failed": 1, "scored": 2, "unparsed": 1}
    assert by["llava"].scored.total.metrics["relative/all"].value == pytest.approx(100 * 11 / 11)
    assert by["strict"].scored.total.metrics["relative/all"].value == pytest.approx(100 * 21 / 20)


def test_dry_run_then_batch_then_score_and_people_on_the_command_line(responses, tmp_path, capsys):
    judge = [
        "mmhal",
        "--responses",
        responses,
        "--judge-model",
        MODEL,
        "--judge-cache",
        tmp_path / "cache",
    ]
    batch, output = tmp_path / "batch.jsonl", tmp_path / "output.jsonl"
    prices = ["--judge", "price_in=2.5", "--judge", "price_out=10"]
    assert run(*judge, *prices, "--budget", 5, "--dry-run", batch) == 0
    said = capsys.readouterr().err
    assert "6 requests to ask, 0 in the cache" in said
    assert "USD" in said
    asked = [json.loads(line) for line in batch.read_text().splitlines()]
    body = {
        "model": MODEL,
        "choices": [{"message": {"content": "Rating: 4"}, "finish_reason": "stop"}],
    }
    answers = [
        {"custom_id": row["custom_id"], "response": {"status_code": 200, "body": body}}
        for row in asked[:5]
    ]
    write_lines(output, answers)
    people = write_lines(
        tmp_path / "people.jsonl", [{"id": f"i{n}", "score": 3 + n % 2} for n in range(6)]
    )
    total = tmp_path / "total.json"
    assert run(*judge, "--batch-output", output, "--people", people, "--json", total) == 0
    written = json.loads(total.read_text())
    assert written["metrics"]["score"]["value"] == 4.0
    assert written["counts"] == {"items": 6, "failed": 1, "scored": 5}
    assert written["metrics"]["people/same_verdict"]["value"] == 1.0
    assert written["metrics"]["people/bias"]["n"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--judge-model", "m"], "`cache` is missing"),
        (["--judge-url", "http://a/v1"], "Name it: --judge-model"),
        (["--dry-run", "x.jsonl"], "Name it: --judge-model"),
        (
            ["--judge-model", "m", "--judge-cache", "c", "--judge", "timout=3"],
            "Did you mean `timeout`?",
        ),
        (
            ["--judge-model", "m", "--judge-cache", "c", "--judge-url", "localhost"],
            "must start with http",
        ),
        (
            ["--judge-model", "m", "--judge-cache", "c", "--budget", "1"],
            "needs `price_in` and `price_out`",
        ),
        (
            ["--judge-model", "m", "--judge-cache", "c", "--template", "nosuch.txt"],
            "There is no template `nosuch.txt`",
        ),
        ([], "needs --reviews"),
    ],
)
def test_what_is_wrong_is_reported_before_anything_is_asked(responses, capsys, arguments, message):
    assert run("mmhal", "--responses", responses, *arguments) == 1
    assert message in capsys.readouterr().err


def test_a_benchmark_without_a_judge_says_so(tmp_path):
    with pytest.raises(ConfigError, match="'pope' needs no judge"):
        judge_at_endpoint("pope", Files(), JudgeSettings(model="m", cache=tmp_path))


def test_openai_without_a_key_is_refused_before_it_is_asked(
    responses, tmp_path, capsys, monkeypatch
):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert (
        run(
            "mmhal",
            "--responses",
            responses,
            "--judge-model",
            "m",
            "--judge-cache",
            tmp_path / "cache",
        )
        == 1
    )
    assert "OPENAI_API_KEY" in capsys.readouterr().err


def test_the_worlds_exact_judge_goes_the_same_way(tmp_path):
    items = [
        item
        for item in build_world_benchmark(3, "test", n_scenes=1, n_probe_scenes=0, n_per_type=3)
        if item.prompt.task == "mmhal"
    ]
    texts = [
        item.prompt.reference if n % 3 else "There is a purple elephant."
        for n, item in enumerate(items)
    ]
    responses = [
        Response(id=item.prompt.id, prompt_id=item.prompt.id, text=text, model="m")
        for item, text in zip(items, texts)
    ]
    path = write_mmhal_responses(tmp_path / "responses.json", items, responses)
    judged = judge_and_score(
        "mmhal",
        Files(responses=path),
        WorldJudge(items),
        reviews=tmp_path / "reviews.json",
        variant="strict",
    )
    scores = judged.scored.items
    wanted = [
        judge_answer_row(item.scene, item.question, text, id=item.prompt.id).rating
        for item, text in zip(items, texts)
    ]
    assert [score.values["score"] for score in scores] == wanted
    assert [score.id for score in scores] == [item.prompt.id for item in items]
    assert {score.group for score in scores} == {item.question.type for item in items}
    assert judged.scored.total.versions["judge"] == "world-exact"
    assert 3 < judged.scored.total.metrics["score"].value < 6


def test_the_world_judge_has_no_score_for_what_it_does_not_know(tmp_path):
    items = build_world_benchmark(3, "test", n_scenes=1, n_probe_scenes=0, n_per_type=1)[1:]
    responses = [
        Response(id=i.prompt.id, prompt_id=i.prompt.id, text="Yes.", model="m") for i in items
    ]
    path = write_mmhal_responses(tmp_path / "responses.json", items, responses)
    judged = judge_and_score(
        "mmhal", Files(responses=path), WorldJudge(items[1:]), reviews=tmp_path / "reviews.json"
    )
    assert judged.scored.total.counts["failed"] == 1
    with pytest.raises(ConfigError, match="questions have no answer"):
        write_mmhal_responses(tmp_path / "r.json", items, responses[1:])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--variant", "stric"], "has no variant 'stric'. It has: official, strict"),
        (["--reference", "FILE"], "does not read --reference. Leave it out."),
        (["--task", "all"], "has no option --task"),
        (["--reviews", "FILE"], "Give one of the two."),
        (["--people", "NONE"], "there is no such file"),
        (["--json", "FOLDER"], "is a folder. Name the file to write in it."),
        (["--answer-field", "nothing"], "`nothing` is missing"),
    ],
)
def test_what_the_benchmark_does_not_read_is_refused_before_anything_is_asked(
    responses, tmp_path, capsys, more, message
):
    places = {"FILE": responses, "NONE": tmp_path / "none.jsonl", "FOLDER": tmp_path}
    given = [places.get(word, word) for word in more]
    with judge_endpoint(rate=rate) as server:
        judge = ["--judge-model", MODEL, "--judge-url", server.url]
        cache = ["--judge-cache", tmp_path / "cache"]
        assert run("mmhal", "--responses", responses, *judge, *cache, *given) == 1
        assert server.bodies == []
    assert message in capsys.readouterr().err


def test_people_on_another_benchmark_and_a_variant_without_a_judge_are_refused_too(
    tmp_path, capsys
):
    rows = write_lines(tmp_path / "a.jsonl", [{"question_id": 1, "answer": "Yes"}])
    assert run("pope", "--responses", rows, "--questions", rows, "--people", rows) == 1
    assert "compared on mmhal, not on 'pope'" in capsys.readouterr().err
    with judge_endpoint(rate=rate) as server:
        settings = JudgeSettings(model=MODEL, url=server.url, cache=tmp_path / "cache")
        with pytest.raises(ConfigError, match="'yes-no' of 'hallusionbench' does not read what"):
            judge_at_endpoint("hallusionbench", Files(rows), settings, variant="yes-no")
        assert server.bodies == []
