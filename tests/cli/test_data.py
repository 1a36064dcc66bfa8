import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from foreign_data import image_bytes, plain_row, rlhf_v_row, write_jsonl, write_parquet
from llava_rlhf_files import captions, name_of, preference_row, prompt_row, write_images, write_json
from veridical.cli.data import app
from veridical.errors import ConfigError, DataError
from veridical.records import Correction, read_records


def run(*arguments):
    """Call the verb; our own errors pass through, as the program's entry expects."""
    result = CliRunner().invoke(app, [str(word) for word in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def source(tmp_path):
    return write_parquet(tmp_path / "a.parquet", [rlhf_v_row(n) for n in range(3)])


@pytest.fixture
def bad_source(tmp_path):
    rows = [
        rlhf_v_row(0),
        rlhf_v_row(1, texts={"chosen": ""}),
        rlhf_v_row(2, image=None),
        rlhf_v_row(3),
    ]
    return write_parquet(tmp_path / "b.parquet", rows)


def test_import_writes_records_images_and_a_manifest(tmp_path, source):
    result = run("import", "rlhf-v", source, tmp_path / "out")
    assert result.exit_code == 0
    assert "3 corrections, 3 images: " in result.output
    assert len(read_records(tmp_path / "out" / "corrections.jsonl", Correction)) == 3
    assert len(list((tmp_path / "out" / "images").iterdir())) == 3
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["verb"] == "data import"
    assert list(manifest["inputs"]) == [str(source)]
    assert manifest["notes"] == {"format": "rlhf-v", "corrections": 3, "images": 3, "bad_rows": 0}


def test_the_same_import_again_gives_the_same_records(tmp_path, source):
    run("import", "rlhf-v", source, tmp_path / "out")
    before = (tmp_path / "out" / "corrections.jsonl").read_bytes()
    run("import", "rlhf-v", source, tmp_path / "out")
    assert (tmp_path / "out" / "corrections.jsonl").read_bytes() == before


def test_import_tells_all_faults_or_leaves_bad_rows_out(tmp_path, bad_source):
    with pytest.raises(DataError, match="2 faults in the input") as caught:
        run("import", "rlhf-v", bad_source, tmp_path / "out")
    assert f"{bad_source}:2: `chosen` is empty" in str(caught.value)
    assert f"{bad_source}:3: the image is missing" in str(caught.value)
    assert "--skip-bad" in str(caught.value)
    result = run("import", "rlhf-v", bad_source, tmp_path / "out", "--skip-bad")
    assert "2 corrections, 2 images, 2 bad rows left out" in result.output
    assert len((tmp_path / "out" / "b.bad.jsonl").read_text().splitlines()) == 2


def test_import_of_a_format_that_does_not_tell_who_judged(tmp_path):
    (tmp_path / "coco").mkdir()
    source = write_jsonl(tmp_path / "a.jsonl", [plain_row(tmp_path / "coco", 1)])
    with pytest.raises(ConfigError, match="does not say who judged"):
        run("import", "plain", source, tmp_path / "out")
    with pytest.raises(ConfigError, match="--source must be human, model or simulated, got 'me'"):
        run("import", "plain", source, tmp_path / "out", "--source", "me")
    run(
        "import",
        "plain",
        source,
        tmp_path / "out",
        "--source",
        "human",
        "--images",
        tmp_path / "coco",
    )
    assert read_records(tmp_path / "out" / "corrections.jsonl", Correction)[0].source == "human"


def test_check_accepts_records_folders_and_public_formats(tmp_path, source):
    run("import", "rlhf-v", source, tmp_path / "out")
    for path in (source, tmp_path / "out", tmp_path / "out" / "corrections.jsonl"):
        result = run("check", path)
        assert (result.exit_code, "no fault" in result.output) == (0, True)


def test_check_prints_every_fault_and_ends_with_1(tmp_path, bad_source):
    result = run("check", bad_source)
    assert result.exit_code == 1
    assert f"{bad_source}:2: `chosen` is empty" in result.output
    assert f"2 faults in {bad_source} (format rlhf-v)" in result.output
    result = run("check", bad_source, "--format", "rlaif-v")
    assert "the columns `question`, `chosen`, `rejected` missing" in result.output


def test_check_can_put_bad_records_aside(tmp_path, source):
    run("import", "rlhf-v", source, tmp_path / "out")
    path = tmp_path / "out" / "corrections.jsonl"
    lines = path.read_text().splitlines()
    (path.parent / json.loads(lines[1])["image"]["path"]).write_bytes(image_bytes(9))
    path.write_text("\n".join([*lines[:3], "{broken"]) + "\n")
    result = run("check", path)
    assert result.exit_code == 1
    assert [
        line.partition(":")[2][:2] for line in result.output.splitlines() if "jsonl:" in line
    ] == ["2:", "4:"]
    result = run("check", path, "--skip-bad")
    assert result.exit_code == 0
    assert "1 good row" in result.output
    assert len((path.parent / "corrections.bad.jsonl").read_text().splitlines()) == 2


def test_check_with_skip_bad_counts_bad_rows_of_public_formats_too(bad_source):
    result = run("check", bad_source, "--skip-bad")
    assert result.exit_code == 0
    assert "2 good rows" in result.output
    assert len(bad_source.with_name("b.bad.jsonl").read_text().splitlines()) == 2


def test_export_and_import_give_equal_records(tmp_path, source):
    run("import", "rlhf-v", source, tmp_path / "one")
    assert "Written" in run("export", "rlhf-v", tmp_path / "one", tmp_path / "b.parquet").output
    run("import", "rlhf-v", tmp_path / "b.parquet", tmp_path / "two")
    files = [tmp_path / name / "corrections.jsonl" for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()
    with pytest.raises(ConfigError, match="Cannot export to the format 'plain'"):
        run("export", "plain", tmp_path / "one", tmp_path / "c.parquet")


def test_stats_shows_counts_with_their_shares(tmp_path, source):
    run("import", "rlhf-v", source, tmp_path / "out")
    for path in (source, tmp_path / "out"):
        shown = [
            " ".join(line.split()).strip("│ ") for line in run("stats", path).output.splitlines()
        ]
        text = "\n".join(line.replace("│", "|") for line in shown)
        for line in (
            "corrections | 3",
            "segments per response | 1.00",
            "words changed | 3 (12.5%)",
            "judged by: human | 3 | 100.0%",
            "edit: substitution | 3 | 100.0%",
            "kind, guessed from words: object | 3 | 100.0%",
        ):
            assert line in text
    with pytest.raises(DataError, match="no usable row"):
        run("stats", write_jsonl(tmp_path / "e.jsonl", [plain_row(tmp_path, 1, chosen="")]))


def test_the_help_imports_nothing_heavy():
    heavy = ("pydantic", "pyarrow", "PIL", "torch")
    code = (
        f"import sys, veridical.cli.data; print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_verbs_on_llava_rlhf_files(tmp_path):
    images = write_images(tmp_path / "coco", range(1, 4))
    source = write_json(
        tmp_path / "p.json", [preference_row(1), preference_row(2, preference=2), preference_row(3)]
    )
    facts = write_json(
        tmp_path / "image_to_caption.json", {name_of(n): captions(n) for n in (1, 2, 3)}
    )
    with_both = ("--facts", facts, "--images", images)
    assert "no fault (format llava-rlhf-preference)" in run("check", source, *with_both).output
    told = run("import", "llava-rlhf-preference", source, tmp_path / "out", *with_both).output
    assert "3 prompts, 6 responses, 3 comparisons, 3 facts, 3 images: " in told
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert list(manifest["inputs"]) == [str(source), str(facts)]
    assert manifest["notes"]["comparisons"] == 3
    assert "no fault (format records)" in run("check", tmp_path / "out").output
    for path in (source, tmp_path / "out"):
        shown = run("stats", path).output
        assert "preferred: first" in shown
        assert "decided by: hallucination" in shown
    assert "facts of kind: caption" in run("stats", facts).output
    back = tmp_path / "back" / "p.json"
    run("export", "llava-rlhf-preference", tmp_path / "out", back)
    assert json.loads(back.read_text()) == json.loads(source.read_text())
    (tmp_path / "out" / "facts.jsonl").unlink()
    assert "3 good rows" in run("check", tmp_path / "out", "--skip-bad").output


def test_bad_rows_of_llava_rlhf_files_are_reported_and_put_aside(tmp_path):
    images = write_images(tmp_path / "coco", range(1, 3))
    source = write_json(tmp_path / "p.json", [prompt_row(1), prompt_row(2, caption_type=9)])
    result = run("check", source, "--images", images)
    assert result.exit_code == 1
    assert f"{source}:2: `caption_type` must be a number from 1 to 7, got 9" in result.output
    assert (
        "1 good row (format llava-rlhf-prompts)"
        in run("check", source, "--images", images, "--skip-bad").output
    )
    assert len((tmp_path / "p.bad.jsonl").read_text().splitlines()) == 1
    told = run(
        "import", "llava-rlhf-prompts", source, tmp_path / "out", "--images", images, "--skip-bad"
    ).output
    assert "1 prompts, 1 facts, 1 images, 1 bad row left out: " in told


def test_formats_without_facts_refuse_them(source, tmp_path):
    for verb in (("import", "rlhf-v", source, tmp_path / "out"), ("check", source)):
        with pytest.raises(ConfigError, match="takes no facts"):
            run(*verb, "--facts", source)
