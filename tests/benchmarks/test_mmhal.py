import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import score_layouts as layouts
from official_data import DATA, expected, needs_data
from veridical.benchmarks.mmhal.benchmark import MMHal
from veridical.benchmarks.mmhal.card import TYPES
from veridical.benchmarks.mmhal.ratings import informativeness, official_rating, strict_rating
from veridical.errors import ConfigError, DataError
from veridical.files import hash_bytes
from veridical.records import Prompt, read_records, write_records
from veridical.scoring.files import score
from veridical.scoring.protocol import Files


def completion(text, model="judge-1"):
    message = {"role": "assistant", "content": text}
    return {"model": model, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def reviews(tmp_path, texts, name="reviews.json"):
    path = tmp_path / name
    path.write_text(
        json.dumps([completion(text) if isinstance(text, str) else text for text in texts])
    )
    return path


def rows(count=96, answer="A dog."):
    return [
        {
            "question_type": TYPES[number % 8],
            "image_id": f"image-{number}",
            "image_content": ["Dog", "Grass {}"],
            "question": "What is there?",
            "gt_answer": "A dog on grass.",
            "model_answer": answer,
        }
        for number in range(count)
    ]


def responses(tmp_path, values):
    path = tmp_path / "responses.json"
    path.write_text(json.dumps(values))
    return path


@pytest.mark.parametrize(
    ("text", "official", "strict"),
    [
        ("Rating: 6", 6, 6),
        ("RATING: 4", 4, 4),
        ("**Rating: 3**", 3, 3),
        ("**Rating**: 5", None, 5),
        ("Rating:2", None, 2),
        ("Rating - 4", None, 4),
        ("Rating -4", None, None),
        ("Rating:  5", None, 5),
        ("Rating: 10", 1, None),
        ("Rating: 16", 1, None),
        ("Rating: 7", None, None),
        ("Rating: 3.5", 3, None),
        ("Rating: 5/6", 5, 5),
        ("Rating: 5/10", 5, None),
        ("Rating: 4-5", 4, None),
        ("Rating: 4 or 5", 4, None),
        ("Rating: -1", None, None),
        ("Rating: six", None, None),
        ("Rating: 00000000012", 0, None),
        ("Rating: 5.12345678901", 5, None),
        ("Rating: 4.\n2 dogs", 4, 4),
        ("Rating: 4 ... on reflection Rating: 2", None, None),
        ("Rating: 4. Final Rating: 4", 4, 4),
        ("the rating is 2.", None, 2),
        ("Overrating: 3", 3, None),
        ("I cannot rate this.", None, None),
        ("", None, None),
        ("Rating: ４", None, 4),
    ],
)
def test_both_parsers_on_what_judges_write(text, official, strict):
    assert official_rating(text) == official
    assert strict_rating(text) == strict


@given(st.text() | st.from_regex(r"(?i)\W*rating\W{0,3}(is|of|:)?\W{0,3}-?\d{0,12}[./ ]?\d{0,3}.*"))
def test_no_text_breaks_a_parser_and_no_rating_is_out_of_range(text):
    assert official_rating(text) in (None, *range(7))
    assert strict_rating(text) in (None, *range(7))


def test_long_texts_are_read_fast():
    for text in ("rating" + " " * 100_000 + "x", "rating: " + "9" * 100_000, "rating" * 20_000):
        assert strict_rating(text) is None


def test_informativeness_is_what_is_reported_beside_the_hallucination():
    assert [informativeness(value) for value in range(7)] == [0, 1, 2, 0, 1, 2, 3]


def test_metrics_by_hand(tmp_path):
    texts = ["Rating: 6"] * 48 + ["Rating: 2"] * 40 + ["no rating"] * 8
    scored = score("mmhal", Files(reviews=reviews(tmp_path, texts)))
    metrics = scored.total.metrics
    assert metrics["score"].value == (48 * 6 + 40 * 2) / 96
    assert metrics["hallucination_rate"].value == 0.5
    assert metrics["informativeness"].value == pytest.approx(100 * (48 * 3 + 40 * 2) / 3 / 96)
    assert metrics["score/attribute"].value == (6 * 6 + 5 * 2) / 12
    assert metrics["score/attribute"].n == 12
    assert metrics["score"].low < metrics["score"].value < metrics["score"].high
    assert scored.total.counts == {"items": 96, "scored": 88, "unparsed": 8}
    assert scored.total.versions["judge"] == "judge-1"
    strict = score("mmhal", Files(reviews=reviews(tmp_path, texts)), variant="strict").total
    assert strict.metrics["score"].value == pytest.approx(368 / 88)
    assert strict.metrics["hallucination_rate"].n == 88
    assert any("8 of 96 reviews hold no clear rating" in note for note in strict.warnings)


def test_rating_10_is_1_officially_and_the_effect_is_said_in_points(tmp_path):
    path = reviews(tmp_path, ["Rating: 10"] * 12 + ["**Rating**: 5"] * 36 + ["Rating: 5"] * 48)
    official = score("mmhal", Files(reviews=path)).total
    strict = score("mmhal", Files(reviews=path), variant="strict").total
    assert official.metrics["score"].value == pytest.approx((12 * 1 + 48 * 5) / 96)  # 2.63
    assert official.metrics["hallucination_rate"].value == 0.5
    assert strict.metrics["score"].value == 5.0
    assert strict.metrics["hallucination_rate"].value == 0.0
    assert "misreads 48 of 96 reviews: score 2.62; read strictly: 5.00 over 84" in " ".join(
        official.warnings
    )


def test_a_judgement_that_could_not_be_had_is_failed_and_no_score(tmp_path):
    lost = {"choices": [], "error": {"message": "timed out"}, "model": ""}
    path = reviews(tmp_path, ["Rating: 4"] * 95 + [lost])
    for variant in ("official", "strict"):
        scored = score("mmhal", Files(reviews=path), variant=variant)
        assert scored.items[95].status == "failed"
        assert scored.items[95].values == {}
        assert scored.items[95].parsed == "timed out"
        assert scored.total.metrics["score"].value == 4.0
        assert scored.total.metrics["score"].n == 95
        assert "1 of 96 reviews failed" in " ".join(scored.total.warnings)


def test_items_of_ones_own_take_their_types_from_the_responses(tmp_path):
    own = rows(3)
    own[1]["question_type"] = "colour"
    own[2]["model_answer"] = " "
    files = Files(
        responses=responses(tmp_path, own),
        reviews=reviews(tmp_path, ["Rating: 1", "Rating: 2", "Rating: 3"]),
    )
    scored = score("mmhal", files)
    assert [item.id for item in scored.items] == ["image-0", "image-1", "image-2"]
    assert [item.status for item in scored.items] == ["scored", "scored", "empty"]
    assert set(scored.total.metrics) == {
        "score",
        "hallucination_rate",
        "informativeness",
        "score/attribute",
        "score/comparison",
        "score/colour",
    }
    assert "not a score of MMHal-Bench" in " ".join(scored.total.warnings)


def test_reviews_alone_must_be_96(tmp_path):
    with pytest.raises(DataError, match="3 reviews, but MMHal-Bench has 96"):
        score("mmhal", Files(reviews=reviews(tmp_path, ["Rating: 1"] * 3)))


def test_unequal_numbers_are_no_silent_cut(tmp_path):
    files = Files(
        responses=responses(tmp_path, rows(4)), reviews=reviews(tmp_path, ["Rating: 1"] * 3)
    )
    with pytest.raises(DataError, match="3 reviews of 4 responses"):
        score("mmhal", files)


def test_malformed_reviews_are_reported_with_their_place(tmp_path):
    values = [completion("Rating: 1") for _ in range(96)]
    values[4], values[7], values[9] = (
        3,
        {"choices": [{"text": "Rating: 1"}]},
        completion(["Rating: 1"]),
    )
    path = tmp_path / "reviews.json"
    path.write_text(json.dumps(values))
    with pytest.raises(DataError) as caught:
        score("mmhal", Files(reviews=path))
    assert [fault.line for fault in caught.value.faults] == [5, 8, 10]


@pytest.mark.parametrize("text", ["", "Yes", "no", "Rating", "Rating: ", "{}", "Rating: 6" * 3])
@pytest.mark.parametrize("variant", ["official", "strict"])
def test_no_monotone_judge_breaks_anything(tmp_path, text, variant):
    total = score("mmhal", Files(reviews=reviews(tmp_path, [text] * 96)), variant=variant).total
    for metric in total.metrics.values():
        assert metric.low <= metric.value <= metric.high


def test_no_items_give_no_number(tmp_path):
    total = score(
        "mmhal", Files(reviews=reviews(tmp_path, []), responses=responses(tmp_path, []))
    ).total
    assert total.metrics["score"].n == 0


def test_a_folder_that_generate_wrote_is_judged_with_the_templates_questions(tmp_path):
    asked = [{**row, "question": f"What is at {n}?"} for n, row in enumerate(rows())]
    template = tmp_path / "response_template.json"
    template.write_text(json.dumps(asked))
    said = [{"id": f"p{n}", "answer": f"A dog at {n}."} for n in range(96)][::-1]
    images = [f"mmhal/{row['image_id']}.jpg" for row in asked][::-1]
    folder = layouts.generated(tmp_path, said, id_name="id", answer="answer", images=images)
    prompts = read_records(tmp_path / "prompts.jsonl", Prompt)
    moved = [one.model_copy(update={"question": f"What is at {one.id[1:]}?"}) for one in prompts]
    write_records(folder / "prompts.jsonl", moved, kind="Prompt")
    cases, _ = MMHal().cases(Files(folder, questions=template))
    assert len(cases) == 96
    for case in cases:
        number = case.fields["response"].removeprefix("A dog at ").removesuffix(".")
        assert case.fields["question"] == f"What is at {number}?"
        assert case.fields["contents"] == "Dog, Grass {}"
    with pytest.raises(DataError, match="Give the benchmark's file of questions too: --questions"):
        MMHal().cases(Files(folder))


def test_cases_carry_what_the_template_needs_and_braces_stay(tmp_path):
    cases, template = MMHal().cases(Files(responses=responses(tmp_path, rows(2, "It {is} {}."))))
    (message,) = template.messages(cases[0])
    assert template.name == "veridical"
    assert message.role == "user"
    assert message.content.endswith(
        "Question: What is there?\n\nThe person's answer: A dog on grass.\n\nThe model's answer: It"
        " {is} {}.\n"
    )
    assert "Dog, Grass {}" in message.content


def test_a_template_of_ones_own_is_custom_and_must_fit(tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("{} {} {} {}")
    files = Files(responses=responses(tmp_path, rows(1)))
    assert MMHal().cases(files, template=own).template.name == "custom"
    own.write_text("{} {}")
    with pytest.raises(ConfigError, match="has 2 places"):
        MMHal().cases(files, template=own)


@needs_data
@pytest.mark.parametrize("name", ["synthetic_judge_a", "synthetic_judge_b", "edge_cases"])
def test_official_numbers(name):
    known = expected("mmhal")
    wanted = known[f"mmhal_{name}"]
    scored = score("mmhal", Files(reviews=DATA / wanted["file"]))
    metrics = scored.total.metrics
    assert [item.values["score"] for item in scored.items] == wanted["scores"]
    unparsed = [number for number, item in enumerate(scored.items) if item.status == "unparsed"]
    assert unparsed == wanted["unparsed_indices"]
    assert metrics["score"].value == wanted["average_score"]
    assert metrics["hallucination_rate"].value == wanted["hallucination_rate"]
    assert metrics["informativeness"].value == pytest.approx(
        wanted["informativeness_rlhfv"], rel=1e-12
    )
    for kind, value in wanted["per_type"].items():
        assert metrics[f"score/{kind}"].value == value
    assert wanted["official_stdout"] == [
        f"Average score: {metrics['score'].value:.2f}",
        f"Hallucination rate: {metrics['hallucination_rate'].value:.2f}",
        "Average score for each question type: "
        + ",".join(str(round(metrics[f"score/{kind}"].value, 2)) for kind in TYPES),
    ]
    printed = known["mmhal_rlhfv_summary_stdout"]
    where = printed.index(f"===> mmhal_rlhfv/{name}.mmhal_test_eval.json")
    assert printed[where + 1] == f"Informativeness: {metrics['informativeness'].value:.2f}"
    assert printed[where + 2 : where + 5] == wanted["official_stdout"]
    for text in wanted.get("edge_texts_and_scores", []):
        read = official_rating(text["text"])
        assert (read or 0, read is None) == (text["score"], text["warned"])


@needs_data
def test_official_prompts():
    prompts = expected("mmhal")["mmhal_prompts"]
    assert prompts
    for name, wanted in prompts.items():
        files = Files(responses=DATA / "mmhal" / "responses" / name)
        cases, template = MMHal().cases(
            files, template=DATA / "mmhal" / "judge_prompt_template.txt"
        )
        assert template.name.startswith("official")
        hashes = [hash_bytes(template.messages(case)[0].content.encode()) for case in cases]
        assert len(hashes) == wanted["n"]
        assert (hashes[0], hashes[95]) == (wanted["prompt0_sha256"], wanted["prompt95_sha256"])
        assert (
            hash_bytes("".join(hashes).encode()) == wanted["sha256_of_concatenated_prompt_hashes"]
        )
        said = [case.fields["response"] for case in cases]
        assert sum(not text.strip() for text in said) == wanted["empty_answers"]
        assert sum(len(text.split()) for text in said) / len(said) == wanted["mean_answer_words"]
