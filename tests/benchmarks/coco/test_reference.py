"""What is in which image: COCO's folder, lists, and what is wrong with them; ids in every form."""

import json
import pickle
import sys
from collections import defaultdict
from importlib import resources
from pathlib import Path

import pytest

from veridical.benchmarks.coco.captions import image_key, read_caption_rows
from veridical.benchmarks.coco.mentions import official_reader
from veridical.benchmarks.coco.reference import form_of, read_truth
from veridical.errors import DataError
from veridical.scoring.rows import Faults

READ = official_reader("original")


def coco_folder(folder):
    """Two splits: image 1 in train, 2 and 3 in val."""
    folder.mkdir(exist_ok=True)
    categories = [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}]
    for split, images, outlined, told in (
        ("train", [1], [(1, 18)], [(1, "A dog on a sofa.")]),
        ("val", [2, 3], [(2, 17), (2, 17)], [(2, "A cat by a bus."), (2, "Two buses.")]),
    ):
        images = [{"id": number} for number in images]
        boxes = [{"image_id": image, "category_id": kind} for image, kind in outlined]
        texts = [{"image_id": image, "caption": text} for image, text in told]
        (folder / f"instances_{split}2014.json").write_text(
            json.dumps({"images": images, "annotations": boxes, "categories": categories})
        )
        (folder / f"captions_{split}2014.json").write_text(
            json.dumps({"images": images, "annotations": texts})
        )
    return folder


def truth_of(path, images=("1", "2", "3", "4")):
    faults = Faults()
    return read_truth(path, images, READ, faults), [fault.message for fault in faults.found]


def test_outlines_and_peoples_captions_of_both_splits(tmp_path):
    truth, faults = truth_of(coco_folder(tmp_path / "coco"))
    assert truth == {
        "1": {"dog", "couch"},
        "2": {"cat", "bus"},
        "3": frozenset(),
    }  # image 4 is in no file
    assert not faults


def test_only_the_images_asked_about_are_read(tmp_path):
    assert truth_of(coco_folder(tmp_path / "coco"), ["2"])[0] == {"2": {"cat", "bus"}}


def test_a_folder_needs_both_files_of_a_split(tmp_path):
    folder = coco_folder(tmp_path / "coco")
    (folder / "captions_val2014.json").unlink()
    assert "needs instances_SPLIT.json and captions_SPLIT.json" in truth_of(folder)[1][0]
    assert "got neither" in truth_of(tmp_path / "coco" / "..")[1][0]


def test_a_file_in_another_format_is_named(tmp_path):
    folder = coco_folder(tmp_path / "coco")
    (folder / "instances_val2014.json").write_text('{"pictures": []}')
    assert "is not in COCO's format" in truth_of(folder)[1][0]


def test_a_list_by_number_or_file_name(tmp_path):
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"COCO_val2014_000000000001.jpg": ["dog"], "2": [], "9": ["cat"]}))
    assert truth_of(path) == ({"1": {"dog"}, "2": frozenset()}, [])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"1": ["dgo"]}', "'dgo' is none of COCO's 80 kinds of object. Did you mean 'dog'?"),
        ('{"1": "dog"}', "a list of names of objects is needed"),
        ('{"1": [3]}', "a list of names of objects is needed"),
        ("[1]", "must be an object {image: [objects]}"),
        ("{", "not valid JSON"),
        ("", "the file is empty"),
    ],
)
def test_faults_of_lists(tmp_path, document, message):
    path = tmp_path / "truth.json"
    path.write_text(document)
    assert message in truth_of(path)[1][0]


def test_captions_in_three_forms_are_the_same_rows(tmp_path):
    rows = [
        {"image_id": 42, "caption": "A dog."},
        {"image_id": "COCO_val2014_000000000007.jpg", "caption": "A cat."},
    ]
    forms = {
        "array.json": json.dumps(rows, indent=1),
        "lines.jsonl": "\n".join(map(json.dumps, rows)),
        "original.json": json.dumps(
            {"overall": {"Bleu_1": 0.0}, "imgToEval": {"0": rows[0], "1": rows[1]}}, indent=1
        ),
        "one_line.json": json.dumps({"overall": {}, "imgToEval": {"0": rows[0], "1": rows[1]}}),
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        faults = Faults()
        found = read_caption_rows(tmp_path / name, faults)
        assert [(one.id, one.image) for one in found] == [("42", "42"), ("7", "7")], name
        assert not faults.found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"caption": "A dog."}', "`image_id` must be a number or a text"),
        ('{"image_id": 1.5}', "`image_id` must be a number or a text"),
        ('{"image_id": 1}\n{"image_id": "1"}', "id '1' stands in line 1 already"),
        ('{"imgToEval": []}', "`imgToEval` must be an object"),
        ('{"image_id": 1', "line"),
    ],
)
def test_faults_of_captions(tmp_path, text, message):
    path = tmp_path / "captions.jsonl"
    path.write_text(text)
    faults = Faults()
    read_caption_rows(path, faults)
    assert message in str(faults.found[0]) or faults.found[0].line == 1


def test_two_rows_of_one_image_with_ids_of_their_own(tmp_path):
    path = tmp_path / "captions.jsonl"
    path.write_text('{"id": "a", "image_id": 1}\n{"id": "b", "image_id": 1}')
    faults = Faults()
    assert [(one.id, one.image) for one in read_caption_rows(path, faults)] == [
        ("a", "1"),
        ("b", "1"),
    ]
    assert not faults.found


def test_names_of_images():
    assert [
        image_key(name)
        for name in (42, "42", "000000000042", "42.jpg", "COCO_train2014_000000000042.jpg")
    ] == ["42"] * 5
    assert image_key("scene-7") == "scene-7"


def pickled(folder, truth):
    """As OPERA's evaluator is pickled: by the name of its class in a script, with its state."""
    evaluator = type("CHAIR", (), {"__module__": "__main__"})
    made = evaluator()
    made.imid_to_objects = defaultdict(list, {image: set(kinds) for image, kinds in truth.items()})
    made.coco_path = "annotations"
    main = sys.modules["__main__"]
    main.CHAIR = evaluator
    try:
        (folder / "chair.pkl").write_bytes(pickle.dumps(made))
    finally:
        del main.CHAIR
    return folder / "chair.pkl"


def listed(path, *, variant=""):
    faults = Faults()
    images = ["42", "7"]
    found = read_truth(path, images, official_reader("original"), faults, variant=variant)
    faults.stop()
    return found, faults.notes


def test_the_evaluator_of_opera_is_read_as_data(tmp_path):
    found, _ = listed(pickled(tmp_path, {42: {"cat", "dog"}, 7: set()}))
    assert found == {"42": {"cat", "dog"}, "7": frozenset()}


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("here"),))


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(Evil()),
        pickle.dumps({"imid_to_objects": Evil()}),
        pickle.dumps([1, 2]),
        b"\x80\x04r\xff\xff\xff\x7f.",  # object number 2^31 reserves memory for all
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04",
        b"",
        b"not a pickle",
    ],
)
def test_a_pickle_of_anything_else_runs_nothing(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chair.pkl").write_bytes(data)
    with pytest.raises(DataError, match=r"pickle of CHAIR's evaluator|no `imid_to_objects`"):
        listed(tmp_path / "chair.pkl")
    assert not (tmp_path / "here").exists()


def test_a_list_in_the_other_form_is_recognised(tmp_path):
    table = json.loads(
        resources.files("veridical.benchmarks.coco").joinpath("truth_forms.json").read_text()
    )
    forms = {}
    for form in ("pattern", "wordnet"):
        truth = {
            image: [] for kinds in table.values() for i in kinds.values() for image in i.split()
        }
        for kind, images in table[form].items():
            for image in images.split():
                truth[image].append(kind)
        forms[form] = truth
    assert len(forms["pattern"]) == 1741
    for form, truth in forms.items():
        assert form_of(truth) == form
        path = tmp_path / f"{form}.json"
        path.write_text(json.dumps(truth))
        fits = {"pattern": "original", "wordnet": "wordnet"}[form]
        other = {"pattern": "wordnet", "wordnet": "original"}[form]
        assert listed(path, variant=fits)[1] == []
        assert listed(path, variant="veridical")[1] == []
        (note,) = listed(path, variant=other)[1]
        assert f"is in {form}'s form, which goes with --variant {fits}" in note
    assert form_of({"1": ["cat"]}) is None
