"""AMBER: the official code's numbers where its data is present, and its faults on a few items."""

import json
from pathlib import Path

import pytest

from veridical.benchmarks.amber.nltk_data import nltk_is_there
from veridical.benchmarks.amber.totals import question_metrics
from veridical.benchmarks.amber.words import Lexicon, exact, judge_nouns, lexicon_nouns
from veridical.errors import ConfigError, DataError
from veridical.records import ItemScore
from veridical.scoring.files import score
from veridical.scoring.protocol import Files

SHARED = Path(__file__).parents[3] / "shared" / "data"
DIMENSIONS = {
    "Descriminative Task": "",
    "Exsitence": "/existence",
    "Attribute": "/attribute",
    "State": "/state",
    "Number": "/number",
    "Action": "/action",
    "Relation": "/relation",
}

ANNOTATIONS = [
    {"id": 1, "type": "generative", "truth": ["dog", "ship", "ship"], "hallu": ["cat", "ball"]},
    {"id": 2, "type": "generative", "truth": ["sky"], "hallu": ["sun"]},
    {"id": 3, "type": "discriminative-attribute-state", "truth": "yes"},
    {"id": 4, "type": "discriminative-attribute-number", "truth": "no"},
    {"id": 5, "type": "discriminative-attribute-action", "truth": "no"},
    {"id": 6, "type": "discriminative-hallucination", "truth": "no"},
    {"id": 7, "type": "discriminative-relation", "truth": "yes"},
    {"id": 8, "type": "relation", "truth": "no"},
]
RELATION = {
    "dog": ["puppy"],
    "ship": ["boat"],
    "cat": [],
    "ball": [],
    "sky": [],
    "sun": ["sunlight"],
    "tree": [],
}


@pytest.fixture
def folder(tmp_path):
    reference = tmp_path / "amber"
    (reference / "query").mkdir(parents=True)
    (reference / "annotations.json").write_text(json.dumps(ANNOTATIONS))
    (reference / "relation.json").write_text(json.dumps(RELATION))
    (reference / "safe_words.txt").write_text("light\n")
    images = {1: 1, 2: 2, 3: 1, 4: 1, 5: 2, 6: 2, 7: 1, 8: 2}
    queries = [
        {"id": key, "image": f"AMBER_{value}.jpg", "query": "?"} for key, value in images.items()
    ]
    (reference / "query" / "query_all.json").write_text(json.dumps(queries))
    return reference


def scored(folder, rows, *, variant="official", **options):
    path = folder.parent / "responses.json"
    path.write_text(json.dumps(rows))
    options = {"nouns": "lexicon", "similarity": "exact", **options}
    return score("amber", Files(responses=path, reference=folder), variant=variant, options=options)


def answers(texts, *, start=3):
    return [{"id": number, "response": text} for number, text in enumerate(texts, start=start)]


def values(result):
    return {name: metric.value for name, metric in result.total.metrics.items()}


# --- the official numbers


@pytest.fixture(scope="module")
def expected():
    if not (SHARED / "expected.json").is_file():
        pytest.skip("the shared data is not here")
    return json.loads((SHARED / "expected.json").read_text())["amber"]


def shared(responses, **options):
    files = Files(responses=responses, reference=SHARED / "amber")
    variant = options.pop("variant", "official")
    return values(score("amber", files, variant=variant, options=options))


def check_questions(found, official):
    for title, suffix in DIMENSIONS.items():
        for name, value in official[title].items():
            assert found[name.lower() + suffix] == pytest.approx(value / 100, abs=1e-9), (
                title,
                name,
            )


def check_descriptions(found, official):
    for name, value in official["Generative Task"].items():
        assert found[name.lower()] == pytest.approx(value / 100, abs=1e-9), name


@pytest.mark.parametrize("case", ["disc_a", "disc_raw_strings"])
def test_questions_are_scored_as_the_official_code_does(expected, case):
    found = shared(SHARED / expected[case]["responses"], task="discriminative")
    check_questions(found, expected[case]["official"])


@pytest.mark.parametrize(("case", "answer"), [("disc_all_yes", "Yes"), ("disc_all_no", "No")])
def test_one_answer_to_all_is_scored_as_the_official_code_does(expected, tmp_path, case, answer):
    path = tmp_path / "answers.json"
    path.write_text(
        json.dumps([{"id": number, "response": answer} for number in range(1005, 15221)])
    )
    check_questions(shared(path, task="discriminative"), expected[case]["official"])


def test_corrected_reads_answers_and_rounds_nothing(expected):
    case = expected["disc_raw_strings_after_startswith_normalisation"]["official"]
    found = shared(
        SHARED / expected["disc_raw_strings"]["responses"],
        task="discriminative",
        variant="corrected",
    )
    for title in ("Descriminative Task", "Attribute", "State", "Number", "Action"):
        for name, value in case[title].items():
            assert found[name.lower() + DIMENSIONS[title]] == pytest.approx(
                value / 100, abs=1.2e-3
            ), (title, name)


@pytest.mark.parametrize(
    ("case", "similarity"), [("gen_exact_match", "exact"), ("gen_table", "similarity_table.json")]
)
def test_descriptions_are_scored_as_the_official_code_does(expected, case, similarity):
    chosen = similarity if similarity == "exact" else str(SHARED / "amber" / similarity)
    nouns = str(SHARED / "amber" / "generative_nouns.json")
    responses = SHARED / expected[case]["responses"]
    result = score(
        "amber",
        Files(responses=responses, reference=SHARED / "amber"),
        options={"task": "generative", "nouns": nouns, "similarity": chosen},
    )
    check_descriptions(values(result), expected[case]["official"])
    counters = expected[case]["counters"]
    sums = {
        name: sum(item.values[name] for item in result.items) for name in result.items[0].values
    }
    assert (sums["hallucinated"], sums["mentions"]) == (
        counters["chair_score"],
        int(counters["chair_num"]),
    )
    assert (sums["covered"], sums["imagined"]) == (
        counters["safe_cover_score"],
        counters["hallu_cover_score"],
    )
    assert result.total.versions["nouns"] == "file"
    assert result.total.inputs["nouns"].sha256


def test_both_halves_make_the_score(expected, tmp_path):
    case = expected["all_generative_plus_disc_a_exact"]
    rows = [
        row
        for name in ("generative", "discriminative_a")
        for row in json.loads((SHARED / "amber" / "responses_synth" / f"{name}.json").read_text())
    ]
    path = tmp_path / "all.json"
    path.write_text(json.dumps(rows))
    found = shared(path, nouns=str(SHARED / "amber" / "generative_nouns.json"), similarity="exact")
    check_descriptions(found, case["official"])
    check_questions(found, case["official"])
    assert found["amber_score"] == pytest.approx(case["amber_score"], abs=1e-9)


# --- the faults, by hand


def test_no_is_the_positive_class(folder):
    found = values(
        scored(folder, answers(["Yes", "No", "Yes", "No", "No", "Yes"]), task="discriminative")
    )
    # By hand: truth no at 4, 5, 6, 8; said no at 4, 6, 7; both at 4, 6. Right: 3, 4, 6. And 2 /
    # 3.001 = 0.6664.
    assert (found["precision"], found["recall"], found["accuracy"]) == (0.666, 0.5, 0.5)
    assert found["f1"] == 0.571


def test_the_official_denominators_begin_at_a_thousandth(folder):
    rows = answers(["Yes", "No", "No", "Yes", "No", "Yes"])
    official, corrected = (
        values(scored(folder, rows, variant=v, task="discriminative"))
        for v in ("official", "corrected")
    )
    assert official["accuracy/state"] == 0.999
    assert corrected["accuracy/state"] == 1.0
    right = values(
        scored(folder, answers(["Yes", "No", "No", "No", "Yes", "No"]), task="discriminative")
    )
    assert right["recall/existence"] == 0.999


def test_existence_has_an_epsilon_of_its_own():
    def questions(dimension):
        said = [0.0, 0.0, 1.0, 1.0]
        return [
            ItemScore(
                id=str(i), cluster=str(i), group=dimension, values={"label": 0.0, "predicted": one}
            )
            for i, one in enumerate(said)
        ]

    # By hand: 2 · 1 · 0.5 / (1.5 + 0.001) = 0.6662, and with 0.0001 it is 0.6666.
    existence, state = (
        question_metrics(questions(d), official=True, seed=0) for d in ("existence", "state")
    )
    assert (existence["f1/existence"].value, existence["f1"].value) == (0.666, 0.667)
    assert state["f1/state"].value == 0.667


def test_a_full_stop_makes_an_official_answer_wrong(folder):
    rows = answers(["Yes.", "no", "NO!", "No, there is none.", "yes", ""])
    official = scored(folder, rows, task="discriminative")
    corrected = scored(folder, rows, variant="corrected", task="discriminative")
    assert values(official)["accuracy"] == 0.0
    assert values(corrected)["accuracy"] == pytest.approx(5 / 6)
    assert official.total.counts == {"items": 6, "empty": 1, "unparsed": 5}
    assert corrected.total.counts == {"items": 6, "empty": 1, "scored": 5}
    assert any("not exactly Yes or No" in note for note in official.total.warnings)


def test_a_description_by_hand(folder):
    rows = [
        {"id": 1, "response": "A puppy on boats, two ships, a cat and a tree under the light."},
        {"id": 2, "response": "Sky."},
    ]
    official = scored(folder, rows, task="generative")
    first = official.items[0]
    # puppy is a dog, boats and ships a ship; cat was expected, tree was not; light is no word of
    # the lexicon.
    assert first.values == {
        "mentions": 5,
        "hallucinated": 2,
        "covered": 2,
        "truth": 3,
        "imagined": 1,
        "traps": 2,
    }
    assert first.parsed == "cat, tree"
    # "Sky" is no word of the lexicon in the official way, which keeps case.
    assert official.items[1].values["mentions"] == 0
    corrected = scored(folder, rows, variant="corrected", task="generative")
    assert corrected.items[1].values["covered"] == 1
    assert corrected.items[0].values["truth"] == 2
    assert values(corrected)["cover"] == 1.0
    assert values(corrected)["chair"] == pytest.approx(2 / 6)
    assert values(corrected)["hal"] == 0.5


def test_likeness_covers_and_excuses(folder, tmp_path):
    table = tmp_path / "table.json"
    table.write_text(
        json.dumps(
            [
                {"a": "tree", "b": "sky", "similarity": 0.81},
                {"a": "cat", "b": "sun", "similarity": 0.8},
            ]
        )
    )
    rows = [{"id": 2, "response": "", "nouns": ["tree", "cat"]}]
    found = scored(folder, rows, task="generative", similarity=str(table)).items[0]
    assert found.values == {
        "mentions": 2,
        "hallucinated": 1,
        "covered": 1,
        "truth": 1,
        "imagined": 0,
        "traps": 1,
    }
    lower = scored(folder, rows, task="generative", similarity=str(table), threshold="0.79").items[
        0
    ]
    # cat is now like sun, which was expected to be imagined: that marks it, and excuses nothing.
    assert (lower.values["hallucinated"], lower.values["imagined"]) == (1, 1)


def test_a_safe_word_is_neither_true_nor_false():
    lexicon = Lexicon({"dog": ("light",), "light": ()}, frozenset({"light"}))
    judged = judge_nouns(["light"], ["dog"], ["light"], lexicon, similarity=exact, threshold=0.8)
    assert (judged.mentions, judged.hallucinated, judged.covered, judged.imagined) == (1, [], 0, 0)


def test_can_is_a_noun_only_where_it_must_be_one():
    find = lexicon_nouns(frozenset({"can", "dog"}))
    assert find("You can see two dogs and a can") == ["You", "see", "two", "dog", "and", "a", "can"]


# --- degenerate models and malformed files


@pytest.mark.parametrize("variant", ["official", "corrected"])
@pytest.mark.parametrize(
    "answer", ["Yes", "No", "", "Is there a dog?", "dog ship cat ball sky sun tree puppy boat"]
)
def test_degenerate_models_get_a_number(folder, variant, answer):
    rows = [{"id": number, "response": answer} for number in range(1, 9)]
    result = scored(folder, rows, variant=variant)
    for name, metric in result.total.metrics.items():
        assert metric.low <= metric.value <= metric.high, name
    assert len(result.items) == 8


def test_one_half_alone_leaves_the_other_unmeasured(folder):
    total = scored(folder, answers(["Yes", "No", "No", "No", "Yes", "No"])).total
    assert total.metrics["chair"].n == total.metrics["amber_score"].n == 0
    assert any("6 of the task's 8 items" in note for note in total.warnings)


def test_answers_of_the_other_task_are_said_to_be_unused(folder):
    rows = [*answers(["Yes"]), {"id": 1, "response": "A dog."}]
    total = scored(folder, rows, task="generative").total
    assert any("Not used: 1 response of the other task" in note for note in total.warnings)
    assert set(total.metrics) == {"chair", "cover", "hal", "cog"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": 99, "response": "Yes"}], r"no item 99; ids are 1 to 8"),
        (
            [{"id": 3, "response": "Yes"}, {"id": 3, "response": "No"}],
            r"id 3 stands in line 1 already",
        ),
        ([{"id": "three", "response": "Yes"}], r"`id` must be a whole number, got \"three\""),
        ([{"id": 3}], r"the answer is missing"),
        ([{"id": 3, "response": ["Yes", "No"]}], r"`response` must be text"),
        ([{"id": 1, "response": "", "nouns": [1]}], r"`nouns` must be a list of words"),
        (["Yes"], r"must be a JSON object"),
    ],
)
def test_malformed_responses_are_reported_with_their_place(folder, rows, message):
    with pytest.raises(DataError, match=message):
        scored(folder, rows)


def test_malformed_annotations_are_reported(folder):
    wrong = [
        *ANNOTATIONS[:2],
        {"id": 3, "type": "odd", "truth": "yes"},
        {"id": 4, "type": "relation", "truth": "maybe"},
    ]
    wrong[0] = {**wrong[0], "truth": ["unicorn"]}
    (folder / "annotations.json").write_text(json.dumps(wrong))
    with pytest.raises(DataError) as caught:
        scored(folder, answers(["Yes"]))
    text = str(caught.value)
    assert "unknown `type` 'odd'" in text
    assert "must be yes or no, got 'maybe'" in text
    assert "holds 'unicorn', which relation.json lacks" in text


def test_a_folder_without_annotations_is_reported(folder):
    with pytest.raises(DataError, match=r"annotations\.json"):
        score(
            "amber", Files(responses=folder / "relation.json", reference=folder.parent / "nothing")
        )


def test_nltk_is_asked_for_only_where_it_is(folder):

    if nltk_is_there():
        pytest.skip("nltk is here")
    with pytest.raises(ConfigError, match="--nouns lexicon"):
        scored(folder, [{"id": 1, "response": "A dog."}], nouns="nltk")
