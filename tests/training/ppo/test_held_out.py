"""Measurements on held-out prompts, compared in pairs during a run: the hacking warning."""

import json

import pytest

from veridical.training.ppo.held_out import HeldOutPrompt, hacking_at, measurements_of

PROMPTS = 40


def write_run(run_dir, measured):
    """Write what a run leaves: reward and judge of each prompt, rising a little every step."""
    (run_dir / "held_out").mkdir()
    for step, (proxy, judge) in measured.items():
        lines = [
            HeldOutPrompt(f"p{n}", proxy + n / 100, judge + n % 3 / 10, "A dog.")
            for n in range(PROMPTS)
        ]
        text = "".join(json.dumps(line._asdict()) + "\n" for line in lines)
        (run_dir / "held_out" / f"{step:06d}.jsonl").write_text(text)
    curve = [json.dumps({"step": step, "kl": step / 2}) for step in measured]
    (run_dir / "curves.jsonl").write_text("\n".join(curve) + "\n")


def test_a_judge_that_falls_while_the_proxy_rises_is_reported_with_its_step(tmp_path):
    write_run(tmp_path, {0: (1.0, 3.0), 4: (2.0, 4.0), 8: (3.0, 2.0), 12: (9.0, 9.0)})
    found = hacking_at(tmp_path, 8, kl=7.5, looks=2)
    assert (found.since_step, found.until_step) == (4, 8)
    assert found.kl == (2.0, 7.5)
    assert found.judge == (pytest.approx(4.0975), pytest.approx(2.0975))
    assert hacking_at(tmp_path, 4, kl=2.0, looks=2) is None  # what comes later does not count
    assert hacking_at(tmp_path, 12, kl=6.0, looks=2) is None


def test_prompts_without_a_number_count_in_no_measurement_and_without_a_judge_nothing_is_said(
    tmp_path,
):
    write_run(tmp_path, {0: (1.0, 3.0), 8: (3.0, 2.0)})
    file = tmp_path / "held_out" / "000008.jsonl"
    lines = file.read_text().splitlines()
    file.write_text(
        "\n".join(
            [lines[0].replace("A dog.", "x").replace('"judge": 2.0', '"judge": null'), *lines[2:]]
        )
        + "\n"
    )
    assert hacking_at(tmp_path, 8, kl=4.0, looks=1).since_step == 0
    file.write_text(
        "".join(json.dumps({**json.loads(line), "judge": None}) + "\n" for line in lines)
    )
    assert hacking_at(tmp_path, 8, kl=4.0, looks=1) is None


@pytest.mark.parametrize(
    ("iterations", "every", "looks"), [(20, 0, 1), (20, 4, 5), (20, 6, 4), (3, 10, 1)]
)
def test_the_error_rate_is_shared_among_all_looks(iterations, every, looks):
    assert measurements_of(iterations, every=every) == looks
