"""RLHF-V's table of over-generalisation: worked by hand, all forms of scenes, faults reported."""

import json
import re

import pytest

from official_data import write_lines
from veridical.benchmarks.over_generalisation.benchmark import OverGeneralisation
from veridical.benchmarks.over_generalisation.card import CARD, TYPICAL
from veridical.errors import ConfigError, DataError
from veridical.scoring.comparison import compare_scores
from veridical.scoring.files import score
from veridical.scoring.page import score_table
from veridical.scoring.protocol import Files

TRUTH = {
    "1": ["bowl"],
    "2": ["knife"],
    "3": ["person", "cup"],
    "4": ["car"],
    "5": ["person"],
    "6": [],
}
SCENES = {"kitchen": [1, 2, 3], "street": [4, 5]}
CAPTIONS = (
    "A knife beside a bowl.",  # kitchen: no knife, a bowl
    "A knife, a person, and another knife.",  # kitchen: a knife, no person
    "A cup.",  # kitchen: a cup
    "A knife and a car.",  # street: no knife, a car
    "A person with a knife.",  # street: a person, no knife
    "A cup.",  # no scene: no cup
)


def files(folder, captions=CAPTIONS, *, scenes=SCENES, truth=TRUTH):
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "scenes.json").write_text(json.dumps(scenes))
    rows = [{"image_id": number, "caption": text} for number, text in enumerate(captions, start=1)]
    return Files(
        write_lines(folder / "a.jsonl", rows), folder / "scenes.json", folder / "truth.json"
    )


def values(scored):
    return {name: (metric.value, metric.n) for name, metric in scored.total.metrics.items()}


def test_the_mean_over_objects_by_hand(tmp_path):
    """Kitchen: knife 3/4 everywhere, 1/2 inside; bowl 0/1, 0/1; person 1/2, 1/1; cup 1/2, 0/1."""
    found = values(score("over-generalisation", files(tmp_path)))
    assert found["h_a/kitchen"] == (pytest.approx((3 / 4 + 0 + 1 / 2 + 1 / 2) / 4), 4 + 1 + 2 + 2)
    assert found["h_s/kitchen"] == (pytest.approx((1 / 2 + 0 + 1 + 0) / 4), 2 + 1 + 1 + 1)
    assert found["over_generalisation/kitchen"] == (pytest.approx(0.375 - 0.4375), 5)
    # Street: person 1/2 everywhere, 0/1 inside; car 0/1, 0/1.
    assert found["h_a/street"] == (pytest.approx(0.25), 3)
    assert found["h_s/street"] == (0.0, 2)
    assert found["over_generalisation/street"] == (pytest.approx(-0.25), 2)
    # Nothing shows a living room or a bathroom: they have no gap, and the means are of the other
    # two.
    assert found["over_generalisation/bathroom"] == (0.0, 0)
    assert found["h_a/bathroom"][1] > 0
    assert found["h_a"] == (pytest.approx((0.4375 + 0.25) / 2), 12)
    assert found["h_s"] == (pytest.approx((0.375 + 0) / 2), 7)
    assert found["over_generalisation"] == (pytest.approx((-0.0625 - 0.25) / 2), 7)


def test_pooled_mentions_by_hand(tmp_path):
    found = values(score("over-generalisation", files(tmp_path), variant="pooled"))
    assert found["h_a/kitchen"] == (pytest.approx(5 / 9), 9)
    assert found["h_s/kitchen"] == (pytest.approx(2 / 5), 5)
    assert found["over_generalisation"][0] == pytest.approx(((2 / 5 - 5 / 9) + (0 - 1 / 3)) / 2)


def test_what_was_read_is_kept_and_counted(tmp_path):
    scored = score("over-generalisation", files(tmp_path))
    assert scored.items[0].parsed == "bowl, knife · not there: knife"
    assert scored.items[0].values["kitchen"] == 1
    assert scored.items[0].values["kitchen/knife"] == 1
    assert scored.total.counts["responses/kitchen"] == 3
    assert scored.total.counts["responses/bathroom"] == 0
    assert scored.total.warnings == (
        (
            "No typical object is mentioned in: living room, bathroom. The means are of the other"
            " scenes."
        ),
        "Few mentions of typical objects, little can be said of: kitchen (5), street (2).",
    )
    lines = score_table(scored.total).splitlines()
    assert (
        next(line for line in lines if line.startswith("over_generalisation/bathroom")).split()[1]
        == "–"
    )


def test_a_model_that_fills_scenes_with_what_is_typical_shows_a_gap(tmp_path):
    """100 kitchens without a knife, which all descriptions name; 100 streets with knives."""
    truth = {str(number): ["bowl"] if number < 100 else ["knife", "car"] for number in range(200)}
    scenes = {"kitchen": list(range(100)), "street": list(range(100, 200))}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "scenes.json").write_text(json.dumps(scenes))

    def told(text):
        rows = [
            {"image_id": number, "caption": text if number < 100 else "A knife."}
            for number in range(200)
        ]
        return write_lines(tmp_path / "a.jsonl", rows)

    def run(text):
        return score(
            "over-generalisation",
            Files(told(text), tmp_path / "scenes.json", tmp_path / "truth.json"),
        )

    eager, sober = run("A knife."), run("A bowl.")
    gap = eager.total.metrics["over_generalisation/kitchen"]
    assert gap.value == pytest.approx(0.5)
    assert 0.4 < gap.low < 0.5 < gap.high < 0.6
    rate = eager.total.metrics["h_s/kitchen"]
    assert (rate.value, rate.high) == (1.0, 1.0)
    assert 0.95 < rate.low < 0.97  # Wilson's for 100 images, as resampling shows no spread
    assert sober.total.metrics["over_generalisation/kitchen"].value == 0
    assert (
        sober.total.metrics["over_generalisation/kitchen"].low
        < 0
        < sober.total.metrics["h_s/kitchen"].high
    )
    compared = compare_scores(eager, sober)
    assert compared["over_generalisation/kitchen"].difference.difference == pytest.approx(-0.5)
    assert compared["over_generalisation/kitchen"].is_shown
    assert compared["h_s/kitchen"].difference.n == 100
    assert (compared["h_a/kitchen"].first, compared["h_a/kitchen"].second) == (
        pytest.approx(0.5),
        0,
    )
    assert "over_generalisation/bathroom" not in compared


def test_responses_about_one_image_are_resampled_together(tmp_path):
    given = files(tmp_path)
    rows = [
        {"id": f"{image}-{turn}", "image_id": image, "caption": CAPTIONS[image - 1]}
        for image in range(1, 7)
        for turn in range(20)
    ]
    many = score(
        "over-generalisation", given._replace(responses=write_lines(tmp_path / "b.jsonl", rows))
    )
    once = score("over-generalisation", given)
    for name, metric in once.total.metrics.items():
        other = many.total.metrics[name]
        assert (other.value, other.low, other.high) == pytest.approx(
            (metric.value, metric.low, metric.high)
        ), name
        assert other.n == 20 * metric.n


ROWS = [
    {"image_id": number, "scene": scene}
    for number, scene in enumerate(
        ["kitchen", ["kitchen"], "kitchen", "street", ["street"], None], start=1
    )
]


@pytest.mark.parametrize("form", ["rows", "an array", "one object over many lines"])
def test_scenes_come_by_image_or_by_scene(form, tmp_path):
    given = files(tmp_path)
    expected = score("over-generalisation", given).total.metrics
    text = {
        "rows": "".join(json.dumps(row) + "\n" for row in ROWS),
        "an array": json.dumps(ROWS),
        "one object over many lines": json.dumps(
            {"kitchen": ["COCO_val2014_000000000001.jpg", "2", 3], "street": [4, 5]}, indent=1
        ),
    }[form]
    (tmp_path / "scenes.json").write_text(text)
    assert score("over-generalisation", given).total.metrics == expected


def coco(folder):
    """The same truth as COCO's folder, whose captions name the scenes."""
    folder.mkdir()
    names = sorted({kind for kinds in TRUTH.values() for kind in kinds})
    images = [{"id": int(image)} for image in TRUTH]
    outlines = [
        {"image_id": int(image), "category_id": names.index(kind)}
        for image, kinds in TRUTH.items()
        for kind in kinds
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    captions = [
        "A Kitchen.",
        "kitchens",
        "in the kitchen",
        "a street",
        "Two streets",
        "kitchenette, streetlight",
    ]
    told = [{"image_id": number, "caption": text} for number, text in enumerate(captions, start=1)]
    (folder / "instances_val2014.json").write_text(
        json.dumps({"images": images, "annotations": outlines, "categories": categories})
    )
    (folder / "captions_val2014.json").write_text(
        json.dumps({"images": images, "annotations": told})
    )
    return folder


def test_captions_of_cocos_folder_tell_the_scenes(tmp_path):
    given = files(tmp_path)
    by_captions = Files(given.responses, reference=coco(tmp_path / "annotations"))
    assert (
        score("over-generalisation", by_captions).total.metrics
        == score("over-generalisation", given).total.metrics
    )


def test_scenes_and_objects_of_ones_own(tmp_path):
    objects = tmp_path / "objects.json"
    objects.write_text(json.dumps({"zoo": ["zebra", "giraffe"]}))
    given = files(
        tmp_path,
        ["A zebra and a knife.", "A giraffe."],
        scenes={"zoo": [1]},
        truth={"1": [], "2": []},
    )
    scored = score("over-generalisation", given, options={"objects": str(objects)})
    assert set(scored.total.metrics) >= {"h_a/zoo", "h_s/zoo"}
    assert values(scored)["h_a/zoo"] == (1.0, 2)
    assert scored.total.versions["objects"] == "file"
    assert "objects" in scored.total.inputs


def test_a_reading_is_named_and_changes_what_is_found(tmp_path):
    given = files(tmp_path, ["There is no knife."], scenes={"kitchen": [1]})
    said, denied = (
        score("over-generalisation", given, options={"reading": reading})
        for reading in ("objhal", "veridical")
    )
    assert (values(said)["h_s/kitchen"][1], values(denied)["h_s/kitchen"][1]) == (1, 0)
    assert said.total.options["reading"] == "objhal"
    with pytest.raises(
        ConfigError,
        match="--reading must be one of objhal, original, wordnet, veridical, got 'gpt'",
    ):
        score("over-generalisation", given, options={"reading": "gpt"})


def test_silence_measures_nothing(tmp_path):
    scored = score("over-generalisation", files(tmp_path, ["", "Nice.", "", "", "So so.", ""]))
    assert all(metric.n == 0 for metric in scored.total.metrics.values())
    assert scored.total.counts["empty"] == 4
    assert "nothing was measured" in scored.total.warnings[0]


BAD = {
    "an unknown scene": (
        {"kitchn": [1]},
        (
            "scenes.json: 'kitchn' is none of the scenes living room, kitchen, bathroom, street."
            " Did you mean 'kitchen'?"
        ),
    ),
    "a scene of one's own": ({"zoo": [1]}, "Give its typical objects too: --objects FILE."),
    "images that are no list": (
        {"kitchen": 1},
        "scene 'kitchen': a list of ids of images is needed, got 1. Fix it.",
    ),
    "an image that is none": ({"kitchen": [True]}, "a list of ids of images is needed, got [true]"),
    "other images": ({"kitchen": [77]}, "scenes.json: no response is of an image of a scene."),
    "a row without scene": (
        [*ROWS[:5], {"image_id": 6}],
        "scenes.json:6: `scene` is missing. Add it",
    ),
    "a row's scene that is a number": (
        [*ROWS[:5], {"image_id": 6, "scene": 3}],
        "scenes.json:6: `scene` must be a text, a list of texts or null, got 3. Fix the row.",
    ),
    "a row's scene that is unknown": (
        [*ROWS[:5], {"image_id": 6, "scene": ["street", "strete"]}],
        "scenes.json:6: 'strete' is none of the scenes",
    ),
    "an image without row": (
        ROWS[:5],
        "a.jsonl:6: image 6 is not among the questions. Add its row; scene null",
    ),
    "an image twice": ([*ROWS, ROWS[0]], "scenes.json:7: id '1' stands in line 1 already."),
}


@pytest.mark.parametrize("kind", BAD)
def test_scenes_at_fault_are_reported(kind, tmp_path):
    scenes, message = BAD[kind]
    with pytest.raises(DataError, match=re.escape(message)):
        score("over-generalisation", files(tmp_path, scenes=scenes))


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ({}, "must be an object {scene: [objects]}, got {}"),
        ({"a/b": ["cup"]}, "scene 'a/b': a name without / is needed. Call it otherwise."),
        ({"zoo": []}, "scene 'zoo': a list of names of objects is needed, got []. Fix it."),
        ({"zoo": ["zebre"]}, "'zebre' is none of COCO's 80 kinds of object. Did you mean 'zebra'?"),
    ],
)
def test_objects_at_fault_are_reported(objects, message, tmp_path):
    path = tmp_path / "objects.json"
    path.write_text(json.dumps(objects))
    with pytest.raises(DataError, match=re.escape(message)):
        score("over-generalisation", files(tmp_path), options={"objects": str(path)})


def test_a_list_does_not_tell_the_scenes(tmp_path):
    given = files(tmp_path)._replace(questions=None)
    with pytest.raises(
        DataError, match=r"truth\.json: does not say which images show which scene.*--questions"
    ):
        score("over-generalisation", given)
    with pytest.raises(DataError, match="does not say which images show which scene"):
        OverGeneralisation().questions(given._replace(responses=None))


def test_a_model_is_asked_about_the_rows_or_the_references_images(tmp_path):
    given = files(tmp_path)._replace(responses=None)
    assert [one.image for one in OverGeneralisation().questions(given)] == list("123456")
    write_lines(
        tmp_path / "scenes.json", [{**row, "image": f"{row['image_id']}.png"} for row in ROWS[:2]]
    )
    asked = OverGeneralisation().questions(given)
    assert [(one.image, one.row) for one in asked] == [
        ("1.png", {"image_id": "1"}),
        ("2.png", {"image_id": "2"}),
    ]
    assert asked[0].text == "Please describe this image in detail."
    (tmp_path / "scenes.json").write_text(json.dumps(SCENES))
    folder = given._replace(reference=coco(tmp_path / "annotations"))
    with pytest.raises(DataError, match="does not say which images are asked about"):
        OverGeneralisation().questions(folder)


def test_the_published_table_holds_together():
    """H_s - H_a is the printed gap up to rounding, and the mean is that of the gaps."""
    gaps = {one.model: one.values for one in CARD.references if "over_generalisation" in one.values}
    rates = {
        one.model: one.values for one in CARD.references if "over_generalisation" not in one.values
    }
    assert gaps.keys() == rates.keys()
    for model, row in gaps.items():
        for scene in TYPICAL:
            apart = rates[model][f"h_s/{scene}"] - rates[model][f"h_a/{scene}"]
            assert row[f"over_generalisation/{scene}"] == pytest.approx(apart, abs=0.0011), (
                model,
                scene,
            )
        mean = sum(row[f"over_generalisation/{scene}"] for scene in TYPICAL) / len(TYPICAL)
        assert row["over_generalisation"] == pytest.approx(mean, abs=0.0011), model
