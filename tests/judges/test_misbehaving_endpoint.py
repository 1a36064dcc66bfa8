"""500 items, an endpoint that misbehaves in every way, a client that is killed three times."""

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter

from judge_endpoint import MODEL, judge_endpoint
from veridical.benchmarks.mmhal.card import TYPES
from veridical.evaluation.judging import judge_at_endpoint
from veridical.files import write_json_atomically
from veridical.judges.settings import JudgeSettings
from veridical.records import ItemScore, read_records
from veridical.scoring.protocol import Files

ITEMS = 500
CONCURRENCY = 16
TROUBLE = {
    0: ["429"],
    1: ["500", "503"],
    2: ["truncated"],
    3: ["half-json"],
    4: ["empty"],
    5: ["html", "429", "500"],
    6: ["slow"],
}
"""What the first tries of an item get, by its number modulo 20."""
USELESS = {7: "wrong-model", 8: "out-of-range", 9: "two-scores", 10: "null"}
"""Answers that are billed and hold no score, by number modulo 40."""


def number_in(text):
    return int(re.findall(r"item (\d+)", text)[-1])


def plan(text, attempt):
    number = number_in(text)
    tries = ["hang"] if number % 50 == 11 else TROUBLE.get(number % 20, [])
    if number % 40 in USELESS:
        tries = []
    return tries[attempt] if attempt < len(tries) else USELESS.get(number % 40, "ok")


def expected_rating(number):
    return (number * 5) % 7


def test_no_wrong_score_nothing_billed_twice_resume_completes(tmp_path):
    rows = [
        {
            "question_type": TYPES[number % 8],
            "id": f"item {number}",
            "image_content": ["Dog"],
            "question": "What is there?",
            "gt_answer": "A dog.",
            # the last ten read as the ten before them: judged once
            "model_answer": f"This is item {number if number < ITEMS - 10 else number - 10}.",
        }
        for number in range(ITEMS)
    ]
    responses = write_json_atomically(tmp_path / "responses.json", rows)
    cache, items = tmp_path / "cache", tmp_path / "items.jsonl"
    with judge_endpoint(
        plan, lambda text: f"Fine.\nRating: {expected_rating(number_in(text))}"
    ) as server:
        command = [
            *(
                sys.executable,
                "-c",
                "from veridical.cli import main; main()",
                "score",
                "mmhal",
                "--variant",
                "strict",
            ),
            *(
                "--responses",
                str(responses),
                "--items",
                str(items),
                "--json",
                str(tmp_path / "total.json"),
            ),
            *("--judge-model", MODEL, "--judge-url", server.url, "--judge-cache", str(cache)),
            *(
                f"--judge=concurrency={CONCURRENCY}",
                "--judge=timeout=3.0",
                "--judge=first_wait=0.02",
            ),
        ]
        lost_at_kills: Counter[str] = Counter()
        cached_after_kill = []
        for goal in (100, 220, 350):
            client = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while sum(server.served.values()) < goal and client.poll() is None:
                time.sleep(0.005)
            client.send_signal(signal.SIGKILL)
            assert client.wait() == -signal.SIGKILL
            server.settle()  # what the killed client had sent is still answered, and billed
            cached = {path.stem for path in cache.glob("*/*.json") if not path.name.startswith(".")}
            under_way = set(server.billed) - cached
            assert len(under_way) <= CONCURRENCY
            lost_at_kills.update(under_way)
            cached_after_kill.append((cached, Counter(server.tries)))
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr[-2000:]
        # An item that was answered and kept is never asked again …
        for cached, tries in cached_after_kill:
            assert cached
            assert all(server.tries[key] == tries[key] for key in cached)
        # … so that only what was under way at a kill is answered twice, and billed once by the
        # request's key.
        assert all(count - 1 <= lost_at_kills[key] for key, count in server.served.items())
        assert set(server.billed.values()) == {1}
        assert len(server.billed) == ITEMS - 10
        tried = sum(server.tries.values())
        settings = JudgeSettings(model=MODEL, url=server.url, cache=cache, timeout=3.0)
        judge_at_endpoint("mmhal", Files(responses=responses), settings)
        assert sum(server.tries.values()) == tried
    scores = read_records(items, ItemScore)
    assert [score.id for score in scores] == [f"item {number}" for number in range(ITEMS)]
    for number, score in enumerate(scores):
        judged = number if number < ITEMS - 10 else number - 10
        useless = USELESS.get(judged % 40)
        if useless is None:
            assert score.status == "scored"
            assert score.values["score"] == expected_rating(judged)
        else:
            assert "score" not in score.values
            assert score.status == (
                "failed" if useless in ("wrong-model", "null") else "unparsed"
            ), useless
    total = json.loads((tmp_path / "total.json").read_text())
    scored = [
        expected_rating(n)
        for n in (*range(ITEMS - 10), *range(ITEMS - 20, ITEMS - 10))
        if n % 40 not in USELESS
    ]
    assert total["metrics"]["score"]["value"] == sum(scored) / len(scored)
    assert total["metrics"]["score"]["n"] == len(scored)
    assert total["counts"]["items"] == ITEMS
    assert "from the cache" in done.stderr
