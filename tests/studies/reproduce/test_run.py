"""What a study leaves in its folder."""

import json

from veridical.studies.reproduce.run import keep_results_of_another_plan


def test_plans_that_share_a_folder_keep_their_results(tmp_path):
    def files():
        return {file.name for file in tmp_path.iterdir()}

    keep_results_of_another_plan(tmp_path, "b" * 64)  # an empty folder: nothing to keep
    (tmp_path / "results.json").write_text(json.dumps({"plan": "a" * 64}))
    (tmp_path / "report.html").write_text("first")
    keep_results_of_another_plan(tmp_path, "a" * 64)  # the same plan again: it is replaced
    assert files() == {"results.json", "report.html"}
    keep_results_of_another_plan(tmp_path, "b" * 64)
    assert files() == {"results-aaaaaaaaaaaa.json", "report-aaaaaaaaaaaa.html"}
