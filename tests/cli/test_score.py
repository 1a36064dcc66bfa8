"""`veridical score`: what it prints and writes, and how it refuses."""

import json
import subprocess
import sys

import pytest

from official_data import write_lines
from veridical import cli
from veridical.records import BenchmarkScore, ItemScore, read_records


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        cli.main(["score", *map(str, arguments)])
    return left.value.code


@pytest.fixture
def pope(tmp_path):
    labels, texts = ["yes", "no", "yes"], ["Yes.", "no", "Not sure"]
    asked = [
        {"question_id": n, "image": f"{n}.jpg", "label": label} for n, label in enumerate(labels)
    ]
    said = [{"question_id": n, "text": text} for n, text in enumerate(texts)]
    answers = write_lines(tmp_path / "answers.jsonl", said)
    questions = write_lines(tmp_path / "questions.jsonl", asked)
    return ["pope", "--responses", answers, "--questions", questions]


def test_the_table_shows_every_number_with_interval_and_n_and_what_to_know(pope, capsys):
    assert run(*pope) == 0
    said = capsys.readouterr()
    assert (
        said.err == ""
    )  # the table is what was asked for: it goes to standard output, where it can be piped
    lines = said.out.splitlines()
    assert lines[0] == "pope · variant official"
    assert "accuracy     1.0000      [0.4385, 1.0000]       3" in lines
    assert lines[-1] == "note: 1 of 3 answers say neither yes nor no; the official parser guesses."


def test_the_total_and_every_item_can_be_written(pope, tmp_path):
    assert (
        run(
            *pope,
            "--variant",
            "strict",
            "--json",
            tmp_path / "total.json",
            "--items",
            tmp_path / "items.jsonl",
        )
        == 0
    )
    total = json.loads((tmp_path / "total.json").read_text())
    assert {"benchmark", "variant", "metrics", "counts", "versions", "inputs"} <= set(total)
    assert {"value", "n", "low", "high"} <= set(total["metrics"]["accuracy"])
    assert total["inputs"]["responses"]["rows"] == 3
    assert len(total["inputs"]["questions"]["sha256"]) == 64
    assert BenchmarkScore.model_validate(total).counts == {"items": 3, "scored": 2, "unparsed": 1}
    items = list(read_records(tmp_path / "items.jsonl", ItemScore))
    assert [(item.id, item.parsed, item.status) for item in items] == [
        ("0", "yes", "scored"),
        ("1", "no", "scored"),
        ("2", "unknown", "unparsed"),
    ]


def test_the_same_files_and_seed_give_the_same_bytes(pope, tmp_path):
    for name in ("one", "two"):
        assert run(*pope, "--json", tmp_path / name, "--seed", 3) == 0
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_list_of_benchmarks_goes_to_standard_output(capsys):
    assert run("list") == 0
    said = capsys.readouterr()
    assert "\npope: POPE · variants official, strict" in said.out
    assert said.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch"], "Error: There is no benchmark 'nosuch'. There are: amber"),
        (["pope"], "Error: The benchmark 'pope' needs --responses, --questions."),
        (["pope", "--task", "all"], "Error: The benchmark 'pope' has no option --task."),
    ],
)
def test_what_is_wrong_is_one_message_without_traceback(arguments, message, capsys):
    assert run(*arguments) == 1
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_scoring_brings_in_no_torch_and_no_network_client(pope):
    code = (
        "import sys\nfrom veridical import cli\n"
        f"try: cli.main({['score', *map(str, pope)]!r})\n"
        "except SystemExit: pass\n"
        "print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "numpy" in loaded
    assert not loaded & {"torch", "transformers", "openai", "httpx2", "matplotlib", "pyarrow"}
