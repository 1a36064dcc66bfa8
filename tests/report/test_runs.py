"""`veridical report` on what measured nothing says what to do instead."""

import json

import pytest

from veridical.cli import main
from veridical.errors import ConfigError
from veridical.report.runs import write_report


@pytest.mark.parametrize(
    ("verb", "advice"),
    [
        ("generate", "veridical score BENCHMARK --responses"),
        ("train dpo", "run veridical evaluate"),
        ("train reward", "run veridical evaluate"),
        ("data import", "holds records. Look at them"),
        ("world pretrain", "holds neither results.json nor scores.json"),
    ],
)
def test_a_run_that_measured_nothing_is_sent_on(tmp_path, verb, advice, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text(json.dumps({"verb": verb}))
    with pytest.raises(ConfigError, match=f"run`, a run of `veridical {verb}`, .*{advice}"):
        write_report([run], tmp_path / "report.html")
    with pytest.raises(SystemExit) as left:
        main(["report", str(run), "--out", str(tmp_path / "report.html")])
    assert left.value.code == 1
    assert advice in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("manifest", [None, "[", "[]", '{"verb": 3}', "[" * 100_000])
def test_a_folder_that_is_not_a_run_is_refused(tmp_path, manifest):
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(ConfigError, match=r"holds neither results\.json nor scores.json"):
        write_report([tmp_path], tmp_path / "report.html")
