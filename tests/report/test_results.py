"""`results.json` and the pages that compare several of them."""

import json

import pytest
from typer.testing import CliRunner

from veridical.cli.report import report
from veridical.errors import ConfigError, DataError
from veridical.records.results import REQUIRED_METRICS, read_results, write_results
from veridical.report.compare import compare_runs, run_names


def test_results_have_the_published_shape_and_come_back(made_up, tmp_path):
    path = write_results(tmp_path / "results.json", made_up.results)
    value = json.loads(path.read_text())
    assert list(value) == [
        "base",
        "aligned",
        "comparison",
        "image_free",
        "seconds",
        "seed",
        "versions",
    ]
    for table in ("base", "aligned"):
        assert set(REQUIRED_METRICS) <= set(value[table])
        assert all(list(row) == ["value", "n", "low", "high"] for row in value[table].values())
    assert all(
        list(row) == ["difference", "low", "high", "p", "test"]
        for row in value["comparison"].values()
    )
    back = read_results(tmp_path)
    assert back.comparison == made_up.results.comparison
    assert {k: m.value for k, m in back.base.items()} == {
        k: m.value for k, m in made_up.results.base.items()
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["base"].pop("mmhal_score"), "base lacks mmhal_score"),
        (lambda v: v["aligned"].update(extra=v["aligned"]["mmhal_score"]), "extra do not match"),
        (lambda v: v["comparison"]["mmhal_score"].update(p=2), "less than or equal to 1"),
        (lambda v: v.update(seeed=1), "`seeed`"),
        (lambda v: v.update(base=[]), "`base`"),
        (lambda v: v["base"].update(mmhal_score=3), "base.mmhal_score"),
    ],
)
def test_wrong_results_are_named(made_up, tmp_path, change, message):
    path = write_results(tmp_path / "results.json", made_up.results)
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match=message) as error:
        read_results(path)
    assert str(path) in str(error.value)


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_results(tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        read_results(tmp_path)


def test_runs_are_compared_in_one_page(made_up, tmp_path):
    import typer

    for name in ("a/run", "b/run"):
        write_results(tmp_path / name / "results.json", made_up.results)
    app = typer.Typer()
    app.command()(report)
    out = tmp_path / "report.html"
    ran = CliRunner().invoke(
        app, [str(tmp_path / "a/run"), str(tmp_path / "b/run/results.json"), "--out", str(out)]
    )
    assert ran.exit_code == 0, ran.output
    html = out.read_text("utf-8")
    assert "hallucinate than before in 2 of 2 runs" in html
    assert html.count('data-label="a/run"') > 5  # columns become rows on a narrow screen
    assert "a/run" in html
    assert "b/run" in html
    assert html.count("no test here") == 1
    assert "https://" not in html


def test_names_of_runs_are_escaped(made_up, tmp_path):
    write_results(tmp_path / "results.json", made_up.results)
    html = compare_runs({"<b>run</b>": tmp_path}, tmp_path / "out.html").read_text("utf-8")
    assert "<b>run" not in html
    assert "Fewer descriptions hallucinate than before:" in html


def test_a_run_is_given_once(tmp_path):
    with pytest.raises(ConfigError, match="more than once"):
        run_names([tmp_path, tmp_path / "results.json"])
