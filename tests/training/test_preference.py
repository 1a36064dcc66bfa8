"""Preference training end to end on random miniatures."""

import json

from veridical.training.preference import train_dpo


def metrics_of(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def test_a_run_learns(make_recipe, tmp_path):
    result = train_dpo(make_recipe(), tmp_path / "run")
    for line in metrics_of(tmp_path / "run"):
        print(line)
    print(result.manifest)
