"""Formats are recognised by what their rows mean, and nothing vanishes without a word."""

import json
import unicodedata

import numpy as np
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from foreign_data import (
    CHOSEN,
    QUESTION,
    REJECTED,
    image_bytes,
    plain_row,
    rlhf_v_row,
    write_jsonl,
    write_parquet,
)
from miniature_benchmarks import MINIATURES
from veridical.errors import ConfigError, VeridicalError
from veridical.feedback.datasets import (
    check_dataset,
    dataset_statistics,
    export_dataset,
    find_dataset,
)
from veridical.feedback.registry import read_pairs
from veridical.formats.importing import check_data, import_dataset
from veridical.formats.registry import detect_format
from veridical.formats.sources import tables
from veridical.formats.text import unwrap_template
from veridical.records import Conversation, Correction, read_records


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(image_bytes(number, kind="JPEG"))
    return tmp_path


def human(*texts):
    return [
        {"from": ("human", "gpt")[number % 2], "value": text} for number, text in enumerate(texts)
    ]


def messages(*texts):
    return [
        {"role": ("user", "assistant")[number % 2], "content": text}
        for number, text in enumerate(texts)
    ]


def brought_in(folder, row, name=None, **options):
    source = write_jsonl(folder / "a.jsonl", [row])
    name = name or detect_format(source)
    options = {"judged_by": "human"} | options
    return import_dataset(source, folder / "out", format_name=name, **options)


def corrections(folder, row, name=None, **options):
    return read_records(
        brought_in(folder, row, name, **options).path / "corrections.jsonl", Correction
    )


def faults(folder, row, name=None):
    source = write_jsonl(folder / "a.jsonl", [row])
    return [
        fault.message for fault in check_data(source, format_name=name or detect_format(source))
    ]


ASKED = f"<image>\n{QUESTION}"


@pytest.mark.parametrize(
    "row",
    [
        {
            "conversations": human(ASKED, CHOSEN),
            "rejected_conversations": human(ASKED, REJECTED),
            "image": "0.jpg",
        },
        {
            "messages": messages(ASKED, CHOSEN),
            "rejected_messages": messages(ASKED, REJECTED),
            "images": ["0.jpg"],
        },
        {"messages": messages(ASKED, CHOSEN), "rejected_response": REJECTED, "images": ["0.jpg"]},
        {"query": ASKED, "response": CHOSEN, "rejected_response": REJECTED, "images": ["0.jpg"]},
        {
            "conversations": human(ASKED),
            "image": "0.jpg",
            "chosen": human("", CHOSEN)[1],
            "rejected": human("", REJECTED)[1],
        },
        {
            "image": "0.jpg",
            "prompt": messages(QUESTION),
            "chosen": messages("", CHOSEN)[1:],
            "rejected": messages("", REJECTED)[1:],
            "images": None,
        },
    ],
)
def test_what_has_a_rejected_answer_is_a_preference(folder, row):
    (found,) = corrections(folder, row)
    assert (found.question, found.chosen, found.rejected) == (QUESTION, CHOSEN, REJECTED)


@pytest.mark.parametrize(
    "row",
    [
        {"image": "0.jpg", "messages": messages(ASKED, CHOSEN)},
        {"images": ["0.jpg"], "messages": messages(ASKED, CHOSEN)},
        {"image": "0.jpg", "conversations": human(ASKED, CHOSEN)},
    ],
)
def test_chat_without_a_rejected_answer_is_for_fine_tuning(folder, row):
    path = brought_in(folder, row).path / "conversations.jsonl"
    (found,) = read_records(path, Conversation)
    assert [turn.text for turn in found.turns] == [QUESTION, CHOSEN]
    assert found.image is not None


@pytest.mark.parametrize("name", ["rejected_images", "rejected_image", "image_rejected"])
def test_another_image_of_the_rejected_answer_is_never_ignored(folder, name):
    row = {"messages": messages(ASKED, CHOSEN), "rejected_response": REJECTED, "images": ["0.jpg"]}
    (message,) = faults(folder, row | {name: ["1.jpg"]})
    assert f"`{name}` is another image" in message
    assert faults(folder, row | {name: ["0.jpg"]}) == []


VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives"
    " helpful, detailed, and polite answers to the user's questions."
)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        (f"{VICUNA} USER: <image>\nWhat is there? ASSISTANT:", "What is there?"),
        ("USER: <image>\nWhat is there?\nASSISTANT:", "What is there?"),
        ("[INST] <image>\nWhat is there? [/INST]", "What is there?"),
        (
            "<|im_start|>user\n<image>What is there?<|im_end|>\n<|im_start|>assistant\n",
            "What is there?",
        ),
        (
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat?<|im_end|>\n",
            "What?",
        ),
        ("###Human: What is there?###Assistant:", "What is there?"),
        ("Which USER is logged in?", "Which USER is logged in?"),
    ],
)
def test_a_prompt_template_is_taken_off(folder, text, question):
    (found,) = corrections(folder, plain_row(folder, 0, prompt=text))
    assert found.question == question


@pytest.mark.parametrize(
    "text",
    [
        "USER: What? ASSISTANT: A dog. USER: Sure? ASSISTANT:",
        "<start_of_turn>user\nWhat?<end_of_turn>",
        "USER: What is there?",
        "<|user|>\nWhat?",
    ],
)
def test_a_template_that_cannot_be_undone_is_a_fault(folder, text):
    (message,) = faults(folder, plain_row(folder, 0, prompt=text))
    assert "wrapped in a chat template" in message


@given(st.text(max_size=60))
def test_text_without_template_stays(text):
    try:
        assert unwrap_template(text) in text
    except VeridicalError as error:
        assert "template" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "row",
    [
        {"system": "Be brief.", "messages": messages(ASKED, CHOSEN)},
        {"messages": [{"role": "system", "content": "Be brief."}, *messages(ASKED, CHOSEN)]},
    ],
)
def test_what_the_system_says_is_kept(folder, row):
    both = row | {"images": ["0.jpg"], "rejected_response": REJECTED}
    (found,) = corrections(folder, both)
    assert (found.system, found.question) == ("Be brief.", QUESTION)
    path = brought_in(folder, row | {"images": ["0.jpg"]}).path / "conversations.jsonl"
    (found,) = read_records(path, Conversation)
    assert (found.system, found.turns[0].text) == ("Be brief.", QUESTION)


OUTPUTS = {
    "conversations": human("Q", ""),
    "output_1": {"value": "a"},
    "output_2": {"value": "b"},
}


@pytest.mark.parametrize(
    ("name", "row", "missing"),
    [
        ("plain", {"image": "0.jpg", "chosen": CHOSEN, "rejected": REJECTED}, "prompt"),
        ("plain", {"image": "0.jpg", "prompt": QUESTION, "rejected": REJECTED}, "chosen"),
        ("chat", {"images": ["0.jpg"], "prompt": QUESTION, "chosen": CHOSEN}, "rejected"),
        ("chat", {"prompt": QUESTION, "chosen": CHOSEN, "rejected": REJECTED}, "images"),
        ("llava-rlhf-conversations", {"image": "0.jpg"}, "conversations"),
        ("llava-rlhf-preference", OUTPUTS | {"image": "0.jpg"}, "preference"),
        ("llava-rlhf-preference", OUTPUTS | {"preference": 1}, "image"),
    ],
)
def test_a_field_that_is_not_there_is_called_missing(folder, name, row, missing):
    source = write_jsonl(folder / "a.jsonl", [row])
    assert [fault.message.partition(".")[0] for fault in check_data(source, format_name=name)] == [
        f"`{missing}` is missing"
    ]


def whole_file(folder, data, suffix=".json"):
    source = folder / f"a{suffix}"
    source.write_bytes(data)
    return [(fault.line, fault.message) for fault in check_data(source, format_name="plain")]


def test_files_are_named_as_what_they_are(folder):
    row = plain_row(folder, 0)
    array = json.dumps([row, plain_row(folder, 1)], indent=1).encode()
    assert whole_file(folder, b"\xef\xbb\xbf" + array) == []  # a byte order mark does no harm
    assert whole_file(folder, array, ".jsonl") == []  # an array under another name
    assert whole_file(folder, json.dumps(row, indent=1).encode()) == []  # one object
    chinese = json.dumps(row | {"chosen": "图片里有一只狗"}, ensure_ascii=False)
    for data, named in (
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (array.decode().encode("utf-16"), "the file is UTF-16"),
        (array.decode().encode("utf-16-le"), "the file is UTF-16"),
        (chinese.encode("gbk"), "perhaps GBK"),
        (json.dumps(row | {"chosen": "café"}, ensure_ascii=False).encode("latin-1"), "not UTF-8"),
    ):
        ((_, message),) = whole_file(folder, data)
        assert named in message
    for text, named in (
        (f'{{"a": NaN, {json.dumps(row)[1:]}', "NaN is not a JSON number"),
        (f'{{"image": "x", {json.dumps(row)[1:]}', "the key 'image' stands twice"),
    ):
        ((line, message),) = whole_file(folder, text.encode(), ".jsonl")
        assert line == 1
        assert named in message
        ((line, message),) = whole_file(folder, f"[{json.dumps(row)}, {text}]".encode())
        assert line == 2
        assert named in message


def test_one_broken_place_in_an_indented_array_is_one_fault_with_its_line(folder):
    rows = [plain_row(folder, 0) | {"id": str(n)} for n in range(3)] * 500
    lines = json.dumps(rows, indent=1).split("\n")
    lines[700] = lines[700].replace(",", "")
    ((line, message),) = whole_file(folder, "\n".join(lines).encode())
    assert abs(line - 701) <= 1
    assert "not valid JSON" in message


def test_what_a_record_can_hold_arrives_and_the_rest_is_listed(folder, capsys):
    row = plain_row(folder, 0, annotator="ann", seconds=4.5, confidence=0.9, tags=["x"], note="")
    result = brought_in(folder, row)
    (found,) = read_records(result.path / "corrections.jsonl", Correction)
    assert (found.annotator, found.seconds) == ("ann", 4.5)
    assert result.not_kept == {"confidence": 1, "tags": 1}  # an empty note is nothing
    assert "`confidence` (1 row), `tags` (1 row)" in capsys.readouterr().err
    source = write_parquet(folder / "b.parquet", [rlhf_v_row(1, score=3)])
    assert import_dataset(source, folder / "o", format_name="rlhf-v").not_kept == {"score": 1}


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"conversations": human(ASKED, CHOSEN)}, "it would teach answering blind"),
        ({"messages": messages(ASKED, CHOSEN)}, "teaches answering blind"),
        (
            {"messages": messages(f"<image><image>{QUESTION}", CHOSEN), "images": ["0.jpg"]},
            "2 image",
        ),
        (
            {"messages": messages(ASKED, CHOSEN), "images": ["0.jpg", "1.jpg"]},
            "nothing says where the others go",
        ),
        ({"conversations": human(ASKED, CHOSEN, ASKED, CHOSEN), "image": "0.jpg"}, "2 turns"),
        ({"conversations": human(QUESTION, f"{CHOSEN} <image>"), "image": "0.jpg"}, "placeholder"),
    ],
)
def test_markers_without_pictures_are_faults_in_fine_tuning_too(folder, row, named):
    assert any(named in message for message in faults(folder, row))


def test_markers_in_records_are_faults_too(folder):
    told = {
        "turns": [{"role": "user", "text": "<image> What?"}, {"role": "assistant", "text": "A."}]
    }
    path = write_jsonl(folder / "conversations.jsonl", [told | {"id": "1", "source": "human"}])
    (fault,) = check_dataset(find_dataset(path))
    assert "1 <image> markers in the user turns for 0 images" in fault.message


def test_ends_are_stripped_and_letters_composed(folder):
    row = plain_row(
        folder, 0, chosen=f" {CHOSEN}\n\n", rejected="Ein Cafe\u0301. \n", prompt=" Was?\n"
    )
    (found,) = corrections(folder, row)
    assert (found.question, found.chosen, found.rejected) == ("Was?", CHOSEN, "Ein Café.")


@pytest.mark.parametrize(
    "other", [f"{REJECTED}\n", REJECTED.replace(" ", "  "), unicodedata.normalize("NFD", "Café.")]
)
def test_texts_that_differ_in_blanks_or_composition_are_equal(folder, other):
    first = "Café." if "\u0301" in other else REJECTED
    (message,) = faults(folder, plain_row(folder, 0, chosen=other, rejected=first))
    assert "`chosen` equals `rejected`" in message


def test_a_trailing_newline_puts_no_weight_on_the_end(folder):
    rows = [
        {
            "id": "1",
            "prompt_id": "p",
            "source": "human",
            "image": {"path": "0.jpg"},
            "question": QUESTION,
            "chosen": CHOSEN,
            "rejected": f"{REJECTED}\n",
        }
    ]
    (pair,) = read_pairs(write_jsonl(folder / "corrections.jsonl", rows))
    assert pair.rejected == REJECTED
    assert [segment.rejected_span for segment in pair.segments] == [(2, 5)]


def test_what_was_right_already_is_recorded_counted_and_not_learnt_from(folder, capsys):
    texts = [{}, {"chosen": REJECTED}, {"chosen": f"{REJECTED} "}]
    source = write_parquet(
        folder / "a.parquet", [rlhf_v_row(n, texts=text) for n, text in enumerate(texts)]
    )
    out = import_dataset(source, folder / "out", format_name="rlhf-v").path
    assert len(read_records(out / "corrections.jsonl", Correction)) == 3
    assert check_dataset(find_dataset(out)) == []
    found = dataset_statistics(find_dataset(out))
    assert found.figures["responses that needed correction"] == "1 of 3 (33.3%)"
    assert [pair.id for pair in read_pairs(out)] == ["0"]
    assert "2 of 3 responses right already" in capsys.readouterr().err
    exported = export_dataset(out, folder / "b.parquet", format_name="rlhf-v")
    again = import_dataset(exported, folder / "again", format_name="rlhf-v")
    assert again.counts["corrections"] == 3


def test_a_small_file_that_expands_without_bound_is_refused(folder, monkeypatch):
    monkeypatch.setattr(tables, "_BATCH_BYTES", 2**20)  # of 256 MiB
    table = pyarrow.table({"image": [b"x"], "text": pyarrow.array(["a" * 2_000_000])})
    parquet.write_table(table, folder / "bomb.parquet", compression="zstd", use_dictionary=False)
    assert (folder / "bomb.parquet").stat().st_size < 5_000
    (fault,) = check_data(folder / "bomb.parquet", format_name="rlhf-v")
    assert "a column expands to 2,0" in fault.message


def test_a_long_value_that_many_rows_share_is_a_fault_of_each(folder):
    text = json.dumps({"question": "Q", "chosen": "a" * 1_100_000, "rejected": "b"})
    column = pyarrow.DictionaryArray.from_arrays(np.zeros(20, np.int32), [text]).cast("string")
    table = pyarrow.table({"image": [image_bytes()] * 20, "text": column})
    parquet.write_table(table, folder / "shared.parquet", compression="zstd")
    found = check_data(folder / "shared.parquet", format_name="rlhf-v")
    assert ["`chosen` has 1,100,000 characters" in fault.message for fault in found] == [True] * 20


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["0.jpg", "<image>", "user", "assistant", "human", "gpt", QUESTION]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "type", "text", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        "id",
        "idx",
        "image",
        "images",
        "prompt",
        "question",
        "chosen",
        "rejected",
        "conversations",
        "messages",
        "rejected_response",
        "rejected_conversations",
        "rejected_images",
        "text",
        "query",
        "response",
        "output_1",
        "output_2",
        "preference",
        "caption_type",
        "captions",
        "system",
        "segments",
        "annotator",
        "seconds",
        "origin",
        "source",
        "origin_split",
        "veridical",
        "é",
    ]
)
ROWS = st.dictionaries(KEYS, VALUES, max_size=8)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(ROWS, max_size=3), tail=st.binary(max_size=8))
def test_any_rows_are_records_or_faults_and_never_a_crash(folder, rows, tail):
    source = folder / "any.jsonl"
    source.write_bytes(
        b"\n".join(json.dumps(row).encode("utf-8", "replace") for row in rows) + tail
    )
    try:
        found = find_dataset(source)
    except ConfigError:
        names = ["plain", "chat", "llava-rlhf-preference", "llava-rlhf-prompts"]
        found = find_dataset(source, format_name=names[len(rows)])
    try:
        told = check_dataset(found)
        dataset_statistics(found)
    except VeridicalError:
        return
    assert all(fault.message and fault.file for fault in told)


BENCHMARK_FILES = {
    "pope": ("questions", "questions of POPE. To score: veridical score pope --questions "),
    "chair": ("responses", "captions, as CHAIR scores them"),
    "amber": ("responses", "answers to AMBER"),
    "llava-bench": ("reviews", "reviews of LLaVA-Bench"),
    "hallusionbench": ("responses", "HallusionBench, questions or answers"),
    "over-generalisation": ("questions", "scenes of pictures"),
    "object-halbench": ("responses", "answers to Object HalBench"),
    "mme": ("responses", "answers to a benchmark"),
    "mmhal": ("reviews", "completions of a model"),
    "mhumaneval": ("responses", "marked answers of MHumanEval"),
    "vqa": ("responses", "answers to a benchmark"),
    "multiple-choice": ("questions", "multiple-choice questions (MMBench)"),
}


@pytest.mark.parametrize("name", MINIATURES)
def test_a_file_of_a_benchmark_is_called_what_it_is(tmp_path, name):
    role, holds = BENCHMARK_FILES[name]
    path = getattr(MINIATURES[name](tmp_path, lambda _: "Yes"), role)
    with pytest.raises(ConfigError) as caught:
        find_dataset(path)
    assert f"`{path}` is not training data: it holds {holds}" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_what_is_learnt_from_is_not_taken_for_a_benchmark(folder):
    row = {"question_id": 1, "image": "0.jpg", "text": "x", "label": "yes"}
    source = write_jsonl(folder / "a.jsonl", [row | {"chosen": CHOSEN, "rejected": REJECTED}])
    assert detect_format(source) == "plain"
