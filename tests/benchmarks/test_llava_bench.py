import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from official_data import DATA, expected, needs_data, write_lines
from veridical.benchmarks.llava_bench.benchmark import LlavaBench
from veridical.benchmarks.llava_bench.grades import (
    Grades,
    official_grades,
    printed_relative,
    strict_grades,
)
from veridical.errors import ConfigError, DataError
from veridical.files import hash_bytes
from veridical.scoring.files import score
from veridical.scoring.protocol import Files


def review(number, text, *, category="conv", **extra):
    grades = list(official_grades(text))
    return {"question_id": number, "category": category, "content": text, "tuple": grades, **extra}


@pytest.mark.parametrize(
    ("text", "official", "strict"),
    [
        ("8 9\nBoth good", (8, 9), (8, 9)),
        ("8, 9\nx", (-1, -1), (8, 9)),
        ("8,9\nx", (8, 9), (8, 9)),
        ("8  9\nx", (-1, -1), (8, 9)),
        ("8\t9\nx", (-1, -1), (8, 9)),
        (" 8 9 \nx", (-1, -1), (8, 9)),
        ("\n8 9", (-1, -1), (8, 9)),
        ("**8 9**", (-1, -1), (8, 9)),
        ("8/10 9/10\nx", (-1, -1), (8, 9)),
        ("Scores: 8.5 9", (-1, -1), (8.5, 9)),
        ("Assistant 1: 8 Assistant 2: 9\nx", (-1, -1), (8, 9)),
        ("8\n9\nx", (-1, -1), None),
        ("8 9 7", (-1, -1), None),
        ("7 N/A\nx", (-1, -1), None),
        ("-1 -1\nx", (-1, -1), None),
        ("100 1", (100, 1), None),
        ("0 5", (0, 5), None),
        ("eight nine", (-1, -1), None),
        ("89", (-1, -1), None),
        ("nan nan", (-1, -1), None),
        ("inf 5", (-1, -1), None),
        ("score" + " " * 50_000 + "x", (-1, -1), None),
        ("", (-1, -1), None),
    ],
)
def test_both_parsers_on_what_judges_write(text, official, strict):
    assert official_grades(text) == official
    assert strict_grades(text) == (None if strict is None else Grades(*strict))


@given(st.text() | st.from_regex(r"(?i)(scores?:)? *-?\d{0,4}[.,/ ]{0,2}\d{0,4} *\n?.*"))
def test_no_text_breaks_a_parser_and_strict_grades_are_grades(text):
    assert all(map(math.isfinite, official_grades(text)))
    grades = strict_grades(text)
    assert grades is None or all(1 <= grade <= 10 for grade in grades)


def test_ratio_of_means_by_hand(tmp_path):
    rows = [review(0, "8 4"), review(1, "2 6"), review(2, "10 5", category="detail")]
    metrics = score(
        "llava-bench", Files(reviews=write_lines(tmp_path / "r.jsonl", rows))
    ).total.metrics
    assert metrics["relative/conv"].value == 100.0  # the mean of the ratios would be 175
    assert metrics["relative/detail"].value == 50.0
    assert metrics["relative/all"].value == 75.0
    assert (metrics["reference/conv"].value, metrics["model/conv"].value) == (5.0, 5.0)
    assert metrics["relative/all"].n == 3


def test_failures_count_as_minus_one_in_llava_only_and_the_effect_is_said(tmp_path):
    rows = [review(number, "4 8") for number in range(4)] + [review(4, "8, 9")]
    files = Files(reviews=write_lines(tmp_path / "r.jsonl", rows))
    llava = score("llava-bench", files)
    assert llava.total.metrics["relative/all"].value == pytest.approx(
        100 * 31 / 15
    )  # 206.7 instead of 200
    assert llava.items[4].status == "unparsed"
    assert "relative/all 206.7; without them 200.0" in " ".join(llava.total.warnings)
    rlhf_v = score("llava-bench", files, variant="rlhf-v").total
    assert rlhf_v.metrics["relative/all"].value == 200.0
    assert rlhf_v.metrics["relative/all"].n == 4
    strict = score("llava-bench", files, variant="strict").total
    assert strict.metrics["relative/all"].value == pytest.approx(100 * 41 / 24)


def test_failures_that_outweigh_the_grades_give_no_score_rather_than_a_crash(tmp_path):
    for texts in (["no"] * 3, ["1 1", "no"], []):
        rows = [review(number, text) for number, text in enumerate(texts)]
        path = write_lines(tmp_path / "r.jsonl", rows) if rows else tmp_path / "empty.json"
        if not rows:
            path.write_text("[]")
        for variant in ("llava", "rlhf-v", "strict"):
            total = score("llava-bench", Files(reviews=path), variant=variant).total
            for metric in total.metrics.values():
                assert metric.low <= metric.value <= metric.high
    total = score(
        "llava-bench", Files(reviews=write_lines(tmp_path / "r.jsonl", [review(0, "no")]))
    ).total
    assert total.metrics["relative/all"].n == 0


def test_a_judgement_that_could_not_be_had_is_failed_in_every_variant(tmp_path):
    rows = [
        review(0, "4 8"),
        {"question_id": 1, "category": "conv", "content": None, "error": "timed out"},
    ]
    for variant in ("llava", "rlhf-v", "strict"):
        scored = score(
            "llava-bench", Files(reviews=write_lines(tmp_path / "r.jsonl", rows)), variant=variant
        )
        assert scored.items[1].status == "failed"
        assert scored.items[1].values == {}
        assert scored.total.metrics["relative/all"].value == 200.0


def test_questions_give_intervals_by_image(tmp_path):
    rows = [review(number, f"8 {2 + number}") for number in range(8)]
    asked = [{"question_id": number, "image": f"{number // 4}.jpg"} for number in range(8)]
    reviews = write_lines(tmp_path / "r.jsonl", rows)
    alone = score("llava-bench", Files(reviews=reviews))
    by_image = score(
        "llava-bench", Files(reviews=reviews, questions=write_lines(tmp_path / "q.jsonl", asked))
    )
    assert {item.cluster for item in by_image.items} == {"0.jpg", "1.jpg"}
    wide, narrow = (scored.total.metrics["relative/all"] for scored in (by_image, alone))
    assert wide.high - wide.low > narrow.high - narrow.low
    assert "too narrow" in " ".join(alone.total.warnings)
    assert not by_image.total.warnings


def test_faults_are_reported_with_their_lines(tmp_path):
    rows = [
        review(0, "8 9"),
        review(0, "8 9"),
        {"question_id": 2, "category": "conv"},
        {"question_id": 3, "content": ["8 9"]},
        {"question_id": 4, "content": "8 9", "tuple": [8]},
        {"question_id": 5, "content": "8 9", "tuple": "8 9"},
    ]
    with pytest.raises(DataError) as caught:
        score("llava-bench", Files(reviews=write_lines(tmp_path / "r.jsonl", rows)))
    assert sorted({fault.line for fault in caught.value.faults}) == [2, 3, 4, 5, 6]


@pytest.fixture
def bench(tmp_path):
    folder = tmp_path / "table"
    folder.mkdir()
    write_lines(folder / "answers_gpt4.jsonl", [{"question_id": 7, "text": "A reference."}])
    write_lines(folder / "context.jsonl", [{"id": 0, "image": "a.jpg", "caption": "A street."}])
    questions = write_lines(
        tmp_path / "q.jsonl",
        [{"question_id": 7, "image": "a.jpg", "text": "Where?", "category": "conv"}],
    )
    responses = write_lines(tmp_path / "a.jsonl", [{"question_id": 7, "text": "On a street."}])
    return Files(responses=responses, questions=questions, reference=folder)


def test_cases_in_the_wild_take_the_rules_of_the_wild(bench, tmp_path):
    rules = tmp_path / "rule.json"
    rules.write_text(
        json.dumps({"conv": {"prompt": "coco"}, "llava_bench_conv": {"prompt": "wild"}})
    )
    cases, template = LlavaBench().cases(bench, template=rules)
    system, user = template.messages(cases[0])
    assert (system.role, user.role) == ("system", "user")
    assert (
        user.content
        == "[Context]\nA street.\n\n[Question]\nWhere?\n\n[Assistant 1]\nA reference.\n\n[End of"
        " Assistant 1]\n\n[Assistant 2]\nOn a street.\n\n[End of Assistant"
        " 2]\n\n[System]\nwild\n\n"
    )
    assert template.name == "custom"
    assert LlavaBench().cases(bench).template.name == "veridical"


def test_rules_that_do_not_fit_are_refused(bench, tmp_path):
    rules = tmp_path / "rule.json"
    rules.write_text('{"detail": {"prompt": "x"}}')
    with pytest.raises(DataError, match="no rule in the template"):
        LlavaBench().cases(bench, template=rules)
    rules.write_text("[1]")
    with pytest.raises(ConfigError, match="must be a JSON object"):
        LlavaBench().cases(bench, template=rules)
    with pytest.raises(ConfigError, match="holds neither"):
        LlavaBench().cases(bench._replace(reference=tmp_path))


def test_missing_answers_are_reported(bench, tmp_path):
    other = write_lines(tmp_path / "b.jsonl", [{"question_id": 8, "text": "x"}])
    with pytest.raises(DataError, match="question 7 has no answer"):
        LlavaBench().cases(bench._replace(responses=other))


@needs_data
@pytest.mark.parametrize("key", ["llava_bench_synth_clean", "llava_bench_synth_with_failures"])
@pytest.mark.parametrize(
    ("variant", "part", "printed"),
    [
        ("llava", "llava_official(no skip)", "official_llava_stdout"),
        ("rlhf-v", "rlhfv(skip -1)", "rlhfv_stdout"),
    ],
)
def test_official_numbers(key, variant, part, printed):
    wanted = expected("llava_bench")[key]
    scored = score("llava-bench", Files(reviews=DATA / wanted["file"]), variant=variant)
    metrics = scored.total.metrics
    assert sum(item.status == "unparsed" for item in scored.items) == wanted["n_failed"]
    for category, values in wanted[part].items():
        assert metrics[f"relative/{category}"].value == pytest.approx(
            values["relative_score"], rel=1e-13
        )
        assert metrics[f"relative/{category}"].n == values["n"]
        assert metrics[f"reference/{category}"].value == pytest.approx(
            values["mean_ref"], rel=1e-13
        )
        assert metrics[f"model/{category}"].value == pytest.approx(values["mean_model"], rel=1e-13)
    for line in wanted[printed]:
        category, *numbers = line.replace("[", "").replace("]", "").replace(",", "").split()
        if category in wanted[part]:
            grades = [
                Grades(item.values["reference"], item.values["model"])
                for item in scored.items
                if item.values and category in ("all", item.group)
            ]
            assert printed_relative(grades) == float(
                numbers[0] if variant == "llava" else numbers[2]
            )


@needs_data
@pytest.mark.parametrize("name", ["alpaca", "llama"])
def test_official_numbers_of_real_reviews(name):
    wanted = expected("llava_bench")[f"llava_bench_real_text_review_{name}"]
    scored = score("llava-bench", Files(reviews=DATA / wanted["file"]))
    metric = scored.total.metrics["relative/all"]
    assert metric.value == pytest.approx(wanted["all"]["relative_score"], rel=1e-13)
    assert metric.n == wanted["all"]["n"]
    assert scored.total.metrics["reference/all"].value == wanted["all"]["mean_ref"]
    assert set(scored.total.metrics) == {"relative/all", "reference/all", "model/all"}
    assert wanted["official_llava_stdout"][1].split()[1] == f"{metric.value:.1f}"


@needs_data
def test_official_parser_on_official_examples():
    for row in expected("llava_bench")["llava_bench_parse_score"]:
        assert list(official_grades(row["text"])) == row["official"]


@needs_data
def test_official_prompts(tmp_path):
    wanted = expected("llava_bench")["llava_bench_prompts"]
    folder = DATA / "llava_bench"
    questions = [
        json.loads(line) for line in (folder / "qa90_questions.jsonl").read_text().splitlines()
    ]
    answers = [
        {"question_id": row["question_id"], "text": "I see " + row["text"].lower()}
        for row in questions
    ]
    responses = write_lines(tmp_path / "a.jsonl", answers)
    files = Files(responses=responses, questions=folder / "qa90_questions.jsonl", reference=folder)
    cases, template = LlavaBench().cases(files, template=folder / "rule.json")
    assert template.name.startswith("official")
    hashes = [hash_bytes(template.messages(case)[1].content.encode()) for case in cases]
    assert (hashes[0], hashes[89]) == (wanted["prompt0_sha256"], wanted["prompt89_sha256"])
    assert hash_bytes("".join(hashes).encode()) == wanted["sha256_of_concatenated_prompt_hashes"]
