"""Object HalBench: the official stage after the judge, and ours; how a judge's words are read."""

import json

import pytest

from official_data import write_lines
from veridical.benchmarks.coco.extraction import (
    TaggedWord,
    analysed_objects,
    load_spacy,
    parse_extraction,
)
from veridical.benchmarks.object_halbench.benchmark import ObjectHalBench
from veridical.errors import ConfigError, DataError
from veridical.judges.protocol import Review
from veridical.scoring.files import score
from veridical.scoring.protocol import Files

TRUTH = {"1": ["dog", "person"], "2": ["chair"], "3": []}
ANSWER = "There is a thing to be seen here."


def files(folder, rows):
    full = [{"question": "Describe it.", "answer": ANSWER, **row} for row in rows]
    (folder / "truth.json").write_text(json.dumps(TRUTH))
    return Files(write_lines(folder / "a.jsonl", full), reference=folder / "truth.json")


def halbench(folder, rows, **settings):
    return score("object-halbench", files(folder, rows), **settings).total


def values(total):
    return {name: metric.value for name, metric in total.metrics.items()}


def test_official_metrics_by_hand(tmp_path):
    total = halbench(
        tmp_path,
        [
            {
                "image_id": 1,
                "objs": ["man", "woman", "dog", "sky"],
            },  # two words of one kind: two mentions
            {
                "image_id": 2,
                "objs": ["office chair", "coffee table", "cat"],
            },  # the first is not in the list
            {"image_id": 3, "objs": []},
        ],
    )
    assert values(total) == pytest.approx(
        {
            "response_hallucination": 1 / 2,  # of responses that name an object of COCO's
            "mention_hallucination": 2 / 5,
            "object_recall": 2 / 3,
            "chair_s": 1 / 3,
            "length": 8,
            "response_correct": 1 / 2,
            "mention_correct": 3 / 5,
        }
    )
    assert total.metrics["response_hallucination"].n == 2
    assert {
        name: total.counts[name]
        for name in ("coco_sentences", "coco_words", "gt_words", "mentions")
    } == {
        "coco_sentences": 2,
        "coco_words": 2,
        "gt_words": 3,
        "mentions": 5,
    }
    assert "has 300 images, these are 3" in " ".join(total.warnings)


def test_a_seat_beside_a_toilet_is_none_officially(tmp_path):
    assert halbench(tmp_path, [{"image_id": 2, "objs": ["toilet", "seat"]}]).counts["mentions"] == 1
    assert halbench(tmp_path, [{"image_id": 2, "objs": ["seat"]}]).counts["coco_words"] == 1


def test_without_a_judge_the_text_is_read_and_repeated_words_count(tmp_path):
    total = halbench(
        tmp_path, [{"image_id": 1, "answer": "A dog and a dog; a cat."}], variant="no-llm"
    )
    assert values(total)["mention_hallucination"] == pytest.approx(1 / 3)
    assert total.counts["mentions"] == 3


def test_ours_reads_the_judges_names_as_text(tmp_path):
    rows = [{"image_id": 2, "extract_objs": ["office chairs", "two men", "stop signs", "sky"]}]
    total = halbench(tmp_path, rows, variant="veridical")
    assert total.counts["mentions"] == 3  # chair, man, stop sign
    assert total.counts["hallucinated"] == 2


def test_the_official_stage_takes_anything_that_tags_words(tmp_path):
    tags = {
        "dogs": ("dog", "NNS"),
        "brown": ("brown", "JJ"),
        "teddy": ("teddy", "NN"),
        "bears": ("bear", "NNS"),
    }

    def analyse(phrase):
        return [TaggedWord(*tags.get(word, (word, "DT"))) for word in phrase.split()]

    benchmark = ObjectHalBench(analyse=analyse)
    given = files(
        tmp_path, [{"image_id": 1, "extract_objs": ["brown dogs", "teddy bears", "dogs"]}]
    )
    items = benchmark.read(given, variant="official").items
    assert items[0].objects == ("dog", "teddy bear")


def test_pairs_of_words_displace_what_stands_beside_them():
    tagged = [
        TaggedWord("a", "DT"),
        TaggedWord("wine", "NN"),
        TaggedWord("glass", "NN"),
        TaggedWord("table", "NN"),
    ]
    assert analysed_objects(["wine glass table"], lambda _: tagged) == ("wine glass",)
    runs = [
        TaggedWord("dog", "NN"),
        TaggedWord("of", "IN"),
        TaggedWord("pizza", "NN"),
        TaggedWord("box", "NN"),
    ]
    assert analysed_objects(["…"], lambda _: runs) == ("dog", "pizza box")


def test_without_spacy_the_official_stage_says_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match=r"en_core_web_trf.*objs.*--variant veridical"):
        load_spacy()
    with pytest.raises(ConfigError, match="en_core_web_trf"):
        halbench(tmp_path, [{"image_id": 1, "extraction": '["dogs"]'}])
    assert (
        halbench(tmp_path, [{"image_id": 1, "extraction": "[]"}]).counts["scored"] == 1
    )  # nothing to analyse


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('["dog", "cat"]', ("dog", "cat")),
        ('Sure:\n["dog"]', ("dog",)),
        ('["dog"]\n["cat"]', ("cat",)),
        ("[]", ()),
        ('```json\n["dog"]\n```', None),
        ("dog, cat", None),
        ('["dog", ', None),
        ('"dog"', None),
        ("3", None),
        ("", None),
    ],
)
def test_how_the_judges_words_are_read(text, names):
    assert parse_extraction(text) == names


def test_judgements_that_could_not_be_had_have_no_score(tmp_path):
    rows = [
        {"image_id": 1, "extraction": '["dog"]'},
        {"image_id": 2, "extraction": "no list"},
        {"image_id": 3, "extraction": None, "problem": "429"},
    ]
    total = halbench(tmp_path, rows, variant="veridical")
    assert (total.counts["scored"], total.counts["unparsed"], total.counts["failed"]) == (1, 1, 1)
    assert total.metrics["chair_s"].n == 1
    assert "2 of 3 responses have no objects that could be read" in " ".join(total.warnings)


def test_from_cases_to_reviews_to_a_score(tmp_path):
    given = files(tmp_path, [{"image_id": 1}, {"image_id": 2, "answer": "A chair."}])
    benchmark = ObjectHalBench()
    cases, template = benchmark.cases(given)
    assert [case.id for case in cases] == ["1"]  # three words or fewer: no judge is asked
    (message,) = template.messages(cases[0])
    assert message.role == "system"
    assert ANSWER in message.content
    assert "Describe it." in message.content
    reviews = benchmark.write_reviews(
        tmp_path / "reviews.json", cases, [Review("1", '["dogs"]', model="judge-1")]
    )
    total = score("object-halbench", given._replace(reviews=reviews), variant="veridical").total
    assert total.versions["judge"] == "judge-1"
    assert (total.counts["mentions"], total.counts["hallucinated"]) == (1, 0)


def test_a_template_without_its_places_is_refused(tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_text("List the objects of {answer}")
    with pytest.raises(ConfigError, match=r"lacks \{question\}"):
        ObjectHalBench().cases(files(tmp_path, [{"image_id": 1}]), template=path)


def test_rows_without_images_take_them_from_the_questions_by_order(tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    responses = write_lines(tmp_path / "a.jsonl", [{"answer": "A dog."}, {"answer": "A chair."}])
    questions = write_lines(
        tmp_path / "q.jsonl", [{"image_id": 1, "question": "?"}, {"image_id": 2, "question": "?"}]
    )
    given = Files(responses, questions, tmp_path / "truth.json")
    total = score("object-halbench", given, variant="no-llm").total
    assert values(total)["chair_s"] == 0
    assert "matched by order" in total.warnings[0]
    write_lines(tmp_path / "q.jsonl", [{"image_id": 1, "question": "?"}])
    with pytest.raises(DataError, match="2 answers for 1 question"):
        score("object-halbench", given, variant="no-llm")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image_id": 1}, "no objects were extracted"),
        ({"image_id": 1, "objs": "dog"}, "`objs` must be a list"),
        ({"image_id": 1, "objs": [1]}, "`objs` must be a list of texts"),
        ({"image_id": 7, "objs": []}, "image 7 is not in the reference"),
        ({"image_id": 1, "objs": [], "answer": 3}, "must be text"),
    ],
)
def test_faults_are_reported(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        halbench(tmp_path, [row])
