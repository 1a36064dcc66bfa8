"""Whatever stands in a file of data: records, faults or a message, never a traceback; and soon."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreign_data import CHOSEN, QUESTION, REJECTED, image_bytes, rlaif_v_row, rlhf_v_row
from llava_rlhf_files import conversation_row, preference_row, prompt_row, write_images
from veridical.errors import VeridicalError
from veridical.feedback.datasets import DataSource, check_dataset, dataset_statistics, find_dataset
from veridical.feedback.doctor.examples import examples_of
from veridical.feedback.doctor.whole import examine
from veridical.formats.importing import import_dataset

SAID = {"chosen": CHOSEN, "rejected": REJECTED}
TURNS = [{"role": "user", "content": f"<image>{QUESTION}"}, {"role": "assistant", "content": "A"}]
SPOKEN = [{"from": "human", "value": f"<image>{QUESTION}"}, {"from": "gpt", "value": "A"}]
SHOWN = {"image": "0.jpg", "question": QUESTION}
ROWS = {
    "plain": {"id": "1", "prompt": QUESTION, "image": "0.jpg", "history": [["a", "b"]], **SAID},
    "chat": {"messages": TURNS, "images": ["0.jpg"], "rejected_response": REJECTED},
    "llama-factory": {
        "conversations": SPOKEN[:1],
        "images": ["0.jpg"],
        "chosen": SPOKEN[1],
        "rejected": {"from": "gpt", "value": "B"},
    },
    "alpaca": {"instruction": QUESTION, "input": "", "images": ["0.jpg"], "system": "s", **SAID},
    "kto": {"prompt": QUESTION, "completion": "A", "label": True, "image": "0.jpg"},
    "povid": {
        "id": "1",
        "image": "0.jpg",
        "conversations": SPOKEN,
        "rejected_conversations": SPOKEN,
    },
    "mdpo": {"img_path": "0.jpg", "prompt": QUESTION, **SAID},
    "mmpr": SHOWN | SAID,
    "vti": {"id": "3", "value": CHOSEN, "h_value": REJECTED, **SHOWN},
    "ha-dpo": {"image_id": "17", "question": QUESTION, **SAID},
    "bpo": {
        "image": "0.jpg",
        "prompt": QUESTION,
        "completions": [{"response": "A", "score": 1}, {"response": "B", "score": 0}],
    },
    "rlhf-v": rlhf_v_row(1) | {"image": "0.jpg"},
    "rlaif-v": rlaif_v_row(1) | {"image": "0.jpg"},
    "llava-rlhf-preference": preference_row(1),
    "llava-rlhf-prompts": prompt_row(1),
    "llava-rlhf-conversations": conversation_row(1),
    "llava-rlhf-facts": {"000000000001.jpg": ["a cat"]},
    "label-studio": {
        "id": 1,
        "data": {**SHOWN, "response": REJECTED},
        "annotations": [
            {
                "result": [{"from_name": "text", "type": "textarea", "value": {"text": [CHOSEN]}}],
                "completed_by": 1,
                "lead_time": 3.0,
            }
        ],
    },
    "argilla": {
        "id": "1",
        "fields": {"prompt": QUESTION, "response": REJECTED, "image": "0.jpg"},
        "responses": {"corrected": [{"value": CHOSEN, "user_id": "u"}]},
    },
    "records": {
        "id": "c1",
        "prompt_id": "p1",
        "source": "human",
        "image": {"path": "0.jpg"},
        "question": QUESTION,
        "segments": [],
        **SAID,
    },
}
"""A good row of each format."""
_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**20), 10**20),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["0.jpg", "../0.jpg", "a\0b", "<image>", "USER: x ASSISTANT:", "\ud800"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["role", "content", "from", "value", "x"]), inner),
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("data")
    (made / "0.jpg").write_bytes(image_bytes(kind="JPEG"))
    return write_images(made, [1])


def try_all_verbs(path: Path, name: str, out: Path) -> None:
    """Check, findings, statistics and import: each works, or says in one message why not."""
    source = DataSource(path, name)
    for verb in (
        lambda: check_dataset(source),
        lambda: examine(examples_of(source)).findings(),
        lambda: dataset_statistics(source),
        lambda: import_dataset(path, out, format_name=name, judged_by="human", skip_bad=True),
        lambda: find_dataset(path),
    ):
        try:
            verb()
        except VeridicalError as error:
            assert 0 < len(str(error)) < 20_000  # noqa: PT017


def places(value, path=()):
    """The ways to everything that a row holds."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, held in inner:
        yield (*path, key)
        if isinstance(held, dict | list):
            yield from places(held, (*path, key))


def with_value(row, place, value):
    changed = json.loads(json.dumps(row))
    held = changed
    for key in place[:-1]:
        held = held[key]
    held[place[-1]] = value
    return changed


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize("name", ROWS)
def test_any_change_to_a_row_gives_records_or_faults(folder, tmp_path_factory, name, data):
    row = ROWS[name]
    changed = with_value(row, data.draw(st.sampled_from(list(places(row)))), data.draw(_VALUES))
    path = folder / "hostile.json"
    rows = changed if name == "llava-rlhf-facts" else [row, changed]
    path.write_text(json.dumps(rows) + data.draw(st.sampled_from(["", "", "", "]", "\x00"])))
    try_all_verbs(path, name, folder / "out")


MEGABYTE = 1_000_000


@pytest.mark.parametrize("row", ['{"a":1}\n', "{}\n", "[]\n"])
def test_a_megabyte_of_hopeless_rows_is_read_in_a_few_seconds(tmp_path, row):
    path = tmp_path / "a.jsonl"
    path.write_text(row * (MEGABYTE // len(row)))
    start = time.process_time()
    faults = check_dataset(DataSource(path, "plain"))
    assert time.process_time() - start < 5
    assert len(faults) < 100_000
    assert "the file is probably of another format" in str(faults[0])
