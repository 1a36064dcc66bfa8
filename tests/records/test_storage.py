import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.errors import DataError
from veridical.records import ImageRef, Prompt, Rating, Response, read_records, write_records

PROMPT = Prompt(id="p", image=ImageRef(path="a.png"), question="What?")
text = st.text(st.characters(exclude_categories=["Cs"]))  # lone surrogates are no text


@given(
    st.lists(
        st.builds(Response, id=text, prompt_id=text, text=text, model=text),
        unique_by=lambda r: r.id,
    )
)
def test_records_read_back_equal_and_in_order(tmp_path_factory, records):
    path = tmp_path_factory.getbasetemp() / "responses.jsonl"
    write_records(path, records, kind="Response")
    assert read_records(path, Response) == records


def test_the_first_line_says_kind_and_version(tmp_path):
    path = write_records(tmp_path / "p.jsonl", [PROMPT], kind="Prompt")
    assert json.loads(path.read_text().splitlines()[0]) == {
        "veridical": "Prompt",
        "schema_version": 1,
    }


def test_files_without_header_and_files_put_together_are_read(tmp_path):
    path = tmp_path / "p.jsonl"
    other = PROMPT.model_copy(update={"id": "q"})
    written = write_records(tmp_path / "q.jsonl", [other], kind="Prompt")
    path.write_text(PROMPT.model_dump_json() + "\n" + written.read_text())
    assert read_records(path, Prompt) == [PROMPT, other]


def test_another_kind_or_version_is_refused(tmp_path):
    path = write_records(tmp_path / "p.jsonl", [PROMPT], kind="Prompt")
    with pytest.raises(DataError, match="records of kind 'Prompt', 'Response' expected"):
        read_records(path, Response)
    path.write_text('{"veridical": "Prompt", "schema_version": 99}\n')
    with pytest.raises(DataError, match="schema version 99, this Veridical reads 1"):
        read_records(path, Prompt, skip_bad=True)  # a whole file of another version is no bad row


def test_a_file_holds_the_kind_it_says(tmp_path):
    with pytest.raises(ValueError, match="'Response' records cannot hold Prompt"):
        write_records(tmp_path / "p.jsonl", [PROMPT], kind="Response")


BAD_LINES = [
    ("{", "not valid JSON"),
    ("[]", "`record`: input should be an object"),
    (
        '{"id": "b", "prompt_id": "p", "source": "human", "response_id": "r", "score": "5"}',
        "`score`: input should be",
    ),
    (
        '{"id": "c", "prompt_id": "p", "source": "human", "response_id": "r", "score": 7}',
        "less than or equal to 6",
    ),
    (
        '{"id": "d", "prompt_id": "p", "source": "me", "response_id": "r", "score": 5}',
        "'human', 'simulated' or 'model'",
    ),
    (
        (
            '{"id": "e", "prompt_id": "p", "source": "human", "response_id": "r", "score": 5,'
            ' "scor": 5}'
        ),
        "`scor`: unknown",
    ),
    ('{"id": "f", "prompt_id": "p", "source": "human", "score": 5}', "`response_id`: is missing"),
    (
        '{"id": "a", "prompt_id": "p", "source": "human", "response_id": "r", "score": 5}',
        "id 'a' stands in line 1",
    ),
]
GOOD_LINE = '{"id": "a", "prompt_id": "p", "source": "human", "response_id": "r", "score": 5}'


def test_every_fault_of_a_file_is_reported_at_once_with_its_line(tmp_path):
    path = tmp_path / "ratings.jsonl"
    path.write_text("\n".join([GOOD_LINE, "", *(line for line, _ in BAD_LINES)]))
    with pytest.raises(DataError) as caught:
        read_records(path, Rating)
    faults = caught.value.faults
    assert [fault.line for fault in faults] == list(range(3, 3 + len(BAD_LINES)))
    for fault, (_, message) in zip(faults, BAD_LINES):
        assert message in fault.message
    assert "--skip-bad" in str(caught.value)


def test_skip_bad_keeps_the_good_and_puts_the_bad_aside_unchanged(tmp_path, capsys):
    path = tmp_path / "ratings.jsonl"
    path.write_text("\n".join([GOOD_LINE, *(line for line, _ in BAD_LINES)]))
    good = read_records(path, Rating, skip_bad=True)
    assert [record.id for record in good] == ["a"]
    kept = [json.loads(line) for line in (tmp_path / "ratings.bad.jsonl").read_text().splitlines()]
    assert [row["row"] for row in kept] == [line for line, _ in BAD_LINES]
    assert f"{len(BAD_LINES)} bad rows" in capsys.readouterr().err


def test_skip_bad_without_bad_rows_writes_nothing(tmp_path):
    path = write_records(tmp_path / "p.jsonl", [PROMPT], kind="Prompt")
    read_records(path, Prompt, skip_bad=True)
    assert [p.name for p in tmp_path.iterdir()] == ["p.jsonl"]
