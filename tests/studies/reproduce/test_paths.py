"""What arms did along training: the last checkpoint, and matched coverage."""

import json

import pytest

from veridical.studies.reproduce.paths import (
    Checkpoint,
    least_at_coverage,
    read_checkpoints,
    training_path,
)


def path(*points):
    return [Checkpoint(*point) for point in points]


@pytest.mark.parametrize(
    ("points", "least"),
    [
        # Coverage passes 0.78 halfway between the last two checkpoints.
        ([(0.6, 0.80), (0.5, 0.79), (0.3, 0.77)], 0.4),
        # It never does: the least that was reached.
        ([(0.6, 0.80), (0.4, 0.79), (0.5, 0.80)], 0.4),
        # It dips below and comes back: both crossings count, and what lies beyond.
        ([(0.6, 0.80), (0.2, 0.70), (0.3, 0.79)], 0.2 + 0.1 * 8 / 9),
        ([(0.6, 0.80), (0.5, 0.76)], 0.55),
        ([(0.6, 0.80)], 0.6),
    ],
)
def test_hallucination_at_matched_coverage_is_interpolated(points, least):
    assert least_at_coverage(path(*points), lost=0.02) == pytest.approx(least)


def write_run(folder, *points):
    folder.mkdir(parents=True)
    rows = [{"step": 0, "part": "train", "loss": 0.7}] + [
        {"step": n, "part": "validation", "hallucination_rate": rate, "object_coverage": named}
        for n, (rate, named) in enumerate(points)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_an_arm_is_summarised_over_its_seeds(tmp_path):
    runs = [
        write_run(tmp_path / "0", (0.6, 0.80), (0.5, 0.80), (0.3, 0.76)),
        write_run(tmp_path / "1", (0.6, 0.80), (0.4, 0.70)),
    ]
    assert read_checkpoints(runs[1]) == path((0.6, 0.80), (0.4, 0.70))
    found = training_path("dense", runs, lost=0.02)
    assert found.last_hallucination.value == pytest.approx(0.35)
    assert found.last_coverage.value == pytest.approx(0.73)
    assert found.matched_hallucination.value == pytest.approx((0.4 + 0.56) / 2)
    assert found.matched_hallucination.n == 2


def test_an_arm_without_measurements_along_training_has_no_path(tmp_path):
    run = write_run(tmp_path / "0")
    assert training_path("reward", [run], lost=0.02) is None
    assert training_path("base", [tmp_path / "none"], lost=0.02) is None
