"""Whatever stands in a file of a score: a score or one message, never a traceback, and soon."""

import gzip
import io
import json
import lzma
import tempfile
import time
from pathlib import Path

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from miniature_benchmarks import MINIATURES, OPTIONS
from official_data import DATA
from veridical.errors import DataError, VeridicalError
from veridical.scoring.files import score
from veridical.scoring.protocol import ROLES
from veridical.scoring.registry import own_benchmark_names

NAMES = [name for name in own_benchmark_names() if name in MINIATURES]
_NAMES = """question_id id prompt_id index image_id image answer text response caption question
label prediction model_answer model_prediction content tuple category segments objs extraction
answers annotations sentences imgToEval data doc_id doc resps filtered_resps model_output
sample_score nouns truth type gt_answer visual_input options A B choices veridical"""
_KEYS = st.sampled_from(_NAMES.split())
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["Yes", "no", "1", "7", "Rating: 4", "8 9", "correct", "a dog", "\x1b]0;x\x07"]
    ),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=12,
)
_ROWS = st.lists(st.dictionaries(_KEYS, _VALUES, max_size=6), max_size=6)
_FILES = st.one_of(
    _ROWS.map(json.dumps),
    _ROWS.map(lambda rows: "\n".join(map(json.dumps, rows))),
    st.tuples(_KEYS, _ROWS).map(lambda both: json.dumps(dict([both]), indent=1)),
    st.text(max_size=60),
    st.binary(max_size=60),
    _ROWS.map(lambda rows: gzip.compress(json.dumps(rows).encode())),
)


@pytest.fixture(scope="module", autouse=True)
def _tagger():
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("NLTK_DATA", str(DATA / "nltk_data"))
        yield


def try_to_score(name, files):
    message = "scored"
    try:
        score(name, files, options=OPTIONS.get(name))
    except VeridicalError as error:
        message = str(error)
    assert 0 < len(message) < 20_000


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize("suffix", [".json", ".csv", ".xlsx.gz"])
@pytest.mark.parametrize("name", NAMES)
def test_any_file_in_any_place_gives_a_score_or_a_message(name, suffix, data):
    content = data.draw(_FILES)
    with tempfile.TemporaryDirectory() as folder:
        files = MINIATURES[name](Path(folder), lambda question: "Yes")
        path = Path(folder) / f"hostile{suffix}"
        path.write_bytes(
            content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        )
        given_roles = [role for role in ROLES if getattr(files, role) is not None]
        role = data.draw(st.sampled_from(given_roles))
        try_to_score(name, files._replace(**{role: path}))


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize("name", NAMES)
def test_any_change_to_a_row_gives_a_score_or_a_message(name, data):
    with tempfile.TemporaryDirectory() as folder:
        files = MINIATURES[name](Path(folder), lambda question: "Yes")
        given_roles = [
            role for role in ROLES if getattr(files, role) and getattr(files, role).is_file()
        ]
        path = getattr(files, data.draw(st.sampled_from(given_roles)))
        text = path.read_text()
        whole = text.startswith("[")
        rows = json.loads(text) if whole else [json.loads(line) for line in text.splitlines()]
        if not all(isinstance(row, dict) for row in rows):
            return
        row = data.draw(st.sampled_from(rows))
        name_of_field = data.draw(st.sampled_from([*row, "answer", "text", "id"]))
        row[name_of_field] = data.draw(_VALUES)
        path.write_text(
            json.dumps(rows) if whole else "".join(json.dumps(row) + "\n" for row in rows)
        )
        try_to_score(name, files)


MEGABYTE = 1_000_000
HOSTILE = {
    "lines that are not JSON": "x\n",
    "brackets": "[",
    "objects": '{"a":',
    "empty objects": "{}\n",
    "numbers": "1 ",
    "one number": "1",
    "quotes": '"',
    "zeros": "\0",
    "commas": ",",
    "one row again and again": '{"question_id": 1, "image_id": 1, "answer": "a dog"}\n',
    "a long answer": '{"question_id": 1, "image_id": 1, "answer": "no dog and ',
    "a web page": "<html><p>\n",
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("pope", kind) for kind in HOSTILE),
        ("chair", "a long answer"),
        ("mmhal", "empty objects"),
    ],
)
def test_a_megabyte_of_anything_is_read_in_a_few_seconds(tmp_path, name, kind):
    files = MINIATURES[name](tmp_path, lambda question: "Yes")
    role = "reviews" if name == "mmhal" else "responses"
    text = HOSTILE[kind] * (MEGABYTE // len(HOSTILE[kind]))
    if kind == "a long answer":
        text = HOSTILE[kind] + "no dog and " * (MEGABYTE // 11) + '"}'
    (tmp_path / "big.json").write_text(text)
    start = time.process_time()
    try_to_score(name, files._replace(**{role: tmp_path / "big.json"}))
    assert time.process_time() - start < 5


def parquet_of(columns):
    out = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), out)
    return out.getvalue()


BOMBS = {
    "rows.json.gz": lambda: gzip.compress(b"{}\n" * 10_000_000),
    "rows.json.xz": lambda: lzma.compress(b"{}\n" * 10_000_000),
    "rows.parquet": lambda: parquet_of({"answer": ["a"] * 1_000_000}),
    "texts.parquet": lambda: parquet_of({"answer": ["a" * 10_000] * 20_000}),
    "nothing.parquet": lambda: parquet_of({"answer": pyarrow.nulls(10_000_000)}),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_expands_without_bound_is_refused(tmp_path, name):
    files = MINIATURES["hallusionbench"](tmp_path, lambda question: "Yes")
    (tmp_path / name).write_bytes(BOMBS[name]())
    assert (tmp_path / name).stat().st_size < 100_000
    start = time.process_time()
    with pytest.raises(DataError, match=r"unpacks to more than|expand to more than"):
        score("hallusionbench", files._replace(responses=tmp_path / name))
    assert time.process_time() - start < 5


@pytest.mark.parametrize(("name", "row"), [("hallusionbench", '{"a":1}\n'), ("mme", "{}\n")])
def test_reading_stops_where_everything_is_at_fault(tmp_path, name, row):
    files = MINIATURES[name](tmp_path, lambda question: "Yes")
    (tmp_path / "big.json").write_text(row * (MEGABYTE // len(row)))
    start = time.process_time()
    with pytest.raises(DataError, match=r"Reading stopped at 100,000 faults\.") as caught:
        score(name, files._replace(responses=tmp_path / "big.json"))
    assert time.process_time() - start < 5
    assert len(caught.value.faults) == 100_000
