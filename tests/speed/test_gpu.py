"""The benchmark for a GPU runs tiny on a CPU: one side of its step, its table, its time limits."""

import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "gpu"


@pytest.fixture
def scripts(monkeypatch):
    """The benchmark's modules can be imported; afterwards they are forgotten."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = [path.stem for path in FOLDER.glob("*.py")]
    yield
    for name in [*names, "make_miniature"]:
        sys.modules.pop(name, None)


def test_a_side_is_measured_and_shown(scripts, tmp_path, monkeypatch):
    import step
    from measuring import Results
    from table import show

    monkeypatch.setitem(step.PLANS, "step", ("llava", (("packed", 1),)))
    results = Results(tmp_path / "found.json")
    step.run(results, device="cpu", tiny=True, part="step")
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["fingerprint"]["equal_on_cpu"]
    measured = found["llava packed 1"]
    assert measured["tokens"] == 602 + 2 * 99
    assert measured["seconds"] > 0
    assert 0 < measured["loss"] < 1
    machine = {"card": "none", "torch": "2"}
    part = {"ended": 0, "seconds": 1, "found": found}
    record = {"machine": machine, "date": "today", "tiny": True, "parts": {"step": part}}
    assert "| llava packed | 1 | " in show(record)


def test_a_measured_step_stands_beside_its_prediction(scripts):
    from table import show

    record = json.loads((FOLDER / "results" / "2026-11-27-h200.json").read_text(encoding="utf-8"))
    (row,) = (line for line in show(record).splitlines() if line.startswith("| llava compiled |"))
    measured, predicted = (float(cell) for cell in row.split("|")[3:5])
    assert predicted == pytest.approx(measured, rel=0.2)


def test_a_part_that_takes_too_long_keeps_what_it_has(scripts, tmp_path, monkeypatch):
    import argparse

    import run

    script = tmp_path / "slow.py"
    script.write_text(
        "import sys, time\n"
        "out = sys.argv[sys.argv.index('--out') + 1]\n"
        "open(out, 'w').write('{\"rate\": {}}')\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(run, "__file__", str(script))
    options = argparse.Namespace(device="cpu", tiny=True)
    part = run.in_process("step", 1.0, options)
    assert part["ended"] == "time limit"
    assert part["found"] == {"rate": {}}
