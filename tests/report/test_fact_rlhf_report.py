"""The Fact-RLHF page: complete, self-contained, safe, and no bolder than its numbers."""

import json
import re

import pytest

from fact_rlhf_made_up import make_report, make_results
from html_page import Page
from veridical.errors import ConfigError, DataError
from veridical.records import Metric
from veridical.records.fact_rlhf import (
    FactRlhfResults,
    read_fact_rlhf_results,
    write_fact_rlhf_results,
)
from veridical.report.fact_rlhf import render_fact_rlhf_report, write_fact_rlhf_report
from veridical.report.fact_rlhf_inputs import Climb, Effort, FactRlhfReport
from veridical.report.inputs import MarkedText
from veridical.report.wording import value_text
from veridical.statistics import wilson

SECTIONS = ("hacking", "reward", "arms", "gallery", "training", "effort", "how", "caveats", "rerun")


@pytest.fixture(scope="module")
def report():
    return make_report()


@pytest.fixture(scope="module")
def html(report):
    return render_fact_rlhf_report(report)


def heading(html):
    return re.sub(r"<[^>]+>", "", re.search(r"<h1.*?</h1>", html).group())


def with_difference(report, **changes):
    """The report with another outcome of facts against none."""
    tests = [
        test.model_copy(update={"result": test.result.model_copy(update=changes)})
        if (test.first, test.second) == ("rlhf", "fact_rlhf")
        else test
        for test in report.results.tests
    ]
    return report.model_copy(
        update={"results": report.results.model_copy(update={"tests": tuple(tests)})}
    )


def test_page_is_well_formed_and_accessible(html):
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    assert set(page.references) <= set(page.ids)
    assert page.images
    assert all(image.get("alt") for image in page.images)
    assert page.headings.count(1) == 1
    assert page.headings[0] == 1
    assert all(
        after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False)
    )


def test_page_loads_nothing_and_has_both_themes(html):
    assert all(url.startswith(("data:image/png;base64,", "#")) for url in Page(html).urls)
    assert "<script" not in html
    assert not re.search(r"url\(|@import|https?://", html)
    assert "default-src 'none'" in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert len(html) < 400_000


def test_sections_come_in_order(html):
    places = [html.index(f'<h2 id="{name}"') for name in SECTIONS]
    assert places == sorted(places)


def test_every_number_stands_with_interval_and_n(html, report):
    text = Page(html).text.replace("\xa0", " ")
    for table in report.results.arms.values():
        assert value_text(table["hallucination_rate"], "%") in text
        for metric in table.values():
            assert f"n = {metric.n:,}" in text
    for table in report.results.reward_model.values():
        assert value_text(table["accuracy"], "%") in text
    for row in report.reward_models.leaks:
        assert value_text(row.accuracy, "%") in text
    for row in (*report.warnings, *report.stages, *report.effort):
        assert (getattr(row, "advice", None) or getattr(row, "does", None) or row.how) in text
    for words in (
        *report.caveats,
        *report.rerun.commands,
        report.notice,
        report.warning_rule,
        "simulated",
    ):
        assert words in text


def test_the_first_sentence_is_no_stronger_than_the_test(html, report):
    assert heading(html).endswith("16\u202f%.")
    not_shown = with_difference(report, p=0.4, low=-0.1, high=0.05)
    assert "no difference between the two is shown" in heading(render_fact_rlhf_report(not_shown))
    worse = with_difference(report, p=0.001, difference=0.1, low=0.05, high=0.2)
    assert "facts made it worse" in heading(render_fact_rlhf_report(worse))
    rate = next(
        test
        for test in worse.results.tests
        if test.metric == "hallucination_rate" and test.first == "rlhf"
    )
    more = rate.model_copy(
        update={
            "metric": "object_coverage",
            "result": rate.result.model_copy(
                update={"difference": 0.04, "low": 0.03, "high": 0.05}
            ),
        }
    )
    results = worse.results.model_copy(update={"tests": (*worse.results.tests, more)})
    said = heading(render_fact_rlhf_report(worse.model_copy(update={"results": results})))
    assert said.endswith("naming 97.2\u202f% of what is there instead of 93.0\u202f%.")
    untested = report.model_copy(
        update={"results": report.results.model_copy(update={"tests": ()})}
    )
    page = render_fact_rlhf_report(untested)
    assert "tell two arms apart" not in page
    assert "With facts minus without:" not in page


def test_no_winner_is_claimed_without_evidence(report):
    tests = [
        test.model_copy(
            update={"result": test.result.model_copy(update={"p": 0.5, "low": -1.0, "high": 1.0})}
        )
        for test in report.results.tests
    ]
    page = render_fact_rlhf_report(
        report.model_copy(
            update={"results": report.results.model_copy(update={"tests": tuple(tests)})}
        )
    )
    assert "None of the 5 paired comparisons tells two arms apart" in page
    assert page.count("not shown") >= 5


def test_facts_that_help_no_reward_model_are_not_said_to_help(report):
    models = report.reward_models
    same = models.difference.model_copy(
        update={"p": 0.6, "low": -0.02, "high": 0.03, "difference": 0.005}
    )
    page = render_fact_rlhf_report(
        report.model_copy(update={"reward_models": models.model_copy(update={"difference": same})})
    )
    assert "No difference is shown." in page
    assert "Facts take away" not in page


def test_hacking_is_marked_where_it_was_warned_of_and_nowhere_else(html, report):
    panels = re.findall(
        r'<figure class="plot"><figcaption><h3>(.*?)</h3></figcaption>(<svg.*?</svg>)',
        html,
        re.DOTALL,
    )
    assert [name for name, _ in panels][:3] == ["RLHF", "Fact-RLHF", "Best of 16"]
    assert ["warned" in figure for _, figure in panels][:3] == [True, False, False]
    quiet = render_fact_rlhf_report(report.model_copy(update={"warnings": ()}))
    assert ">warned<" not in quiet
    assert "No run warned of anything." in quiet


def test_the_gallery_goes_up_step_by_step_with_wrong_words_marked(html, report):
    scene = html[html.index('<article class="climb"') :]
    scene = scene[: scene.index("</article>")]
    assert re.findall(r"step (\d+)</strong>", scene) == ["0", "72", "144", "216"] * 2
    assert 'data-kind="object"' in scene
    assert scene.count('class="dirty"') == 3 + 2
    assert scene.count('class="clean"') == 1 + 2


def test_effort_is_counted_in_time(html):
    assert (
        Effort(label="a", judgements=4000, unit="comparison", seconds_each=36, how="").hours == 40
    )
    text = Page(html).text
    assert "31\u202fh" in text
    assert "do not cost the same" in text


def test_texts_of_a_model_are_escaped(report):
    evil = '<script>alert(1)</script>" onload="x'
    scene = report.gallery[0]
    step = scene.climbs[0].steps[0].model_copy(update={"response": MarkedText(text=evil)})
    scene = scene.model_copy(
        update={
            "question": evil,
            "alt": evil,
            "context": evil,
            "climbs": (Climb(label=evil, steps=(step,)),),
        }
    )
    warning = report.warnings[0].model_copy(update={"text": evil, "advice": evil, "kind": evil})
    arms = tuple(arm.model_copy(update={"label": evil, "does": evil}) for arm in report.arms)
    page = render_fact_rlhf_report(
        report.model_copy(
            update={
                "gallery": (scene,),
                "warnings": (warning,),
                "arms": arms,
                "title": evil,
                "caveats": (evil,),
            }
        )
    )
    assert "<script" not in page
    assert ' onload="' not in page
    Page(page)


def test_a_run_with_little_in_it_still_makes_a_page(report):
    bare = dict.fromkeys(("warnings", "gallery", "training", "effort", "costs", "caveats"), ())
    models = report.reward_models.model_copy(
        update={
            "difference": None,
            "image_alone": None,
            "breakdown": (),
            "leaks": (),
            "dependence": (),
        }
    )
    arms = tuple(arm for arm in report.arms if arm.key in ("sft", "rlhf", "fact_rlhf"))
    unmeasured = Metric(value=0, n=0, low=0, high=1)
    results = report.results.model_copy(
        update={
            "curves": (),
            "tests": (),
            "arms": {
                arm.key: {**report.results.arms[arm.key], "yes_no_f1": unmeasured} for arm in arms
            },
        }
    )
    page = Page(
        render_fact_rlhf_report(
            report.model_copy(
                update={**bare, "arms": arms, "results": results, "reward_models": models}
            )
        )
    )
    assert "What the reward says" not in page.text
    assert "nan" not in page.text.lower().split()


def test_a_single_measurement_makes_a_figure(report):
    (first, *_) = report.results.curves
    results = report.results.model_copy(
        update={"curves": (first.model_copy(update={"kl": -0.01}),)}
    )
    Page(render_fact_rlhf_report(report.model_copy(update={"results": results})))


def test_the_same_inputs_make_the_same_page_also_by_way_of_disk(html, report, tmp_path):
    again = FactRlhfReport.model_validate_json(report.model_dump_json())
    assert again == report
    path = write_fact_rlhf_report(again, tmp_path / "report.html")
    assert path.read_text("utf-8") == html


def test_a_missing_arm_is_reported(report):
    with pytest.raises(ConfigError, match="fact_rlhf"):
        render_fact_rlhf_report(report.model_copy(update={"arms": report.arms[:2]}))
    stranger = report.arms[0].model_copy(update={"key": "stranger"})
    with pytest.raises(ConfigError, match="stranger"):
        render_fact_rlhf_report(report.model_copy(update={"arms": (*report.arms, stranger)}))


def test_results_go_to_disk_and_come_back(tmp_path):
    results = make_results()
    path = write_fact_rlhf_results(tmp_path / "results.json", results)
    again = read_fact_rlhf_results(tmp_path)
    assert again.curves[3].judge.value == results.curves[3].judge.value
    assert again.tests == results.tests
    assert {k: v.value for k, v in again.arms["rlhf"].items()} == {
        k: v.value for k, v in results.arms["rlhf"].items()
    }
    value = json.loads(path.read_text())
    assert set(value["arms"]) == {"sft", "rlhf", "fact_rlhf", "best_of_n", "dense_dpo"}
    assert set(value["reward_model"]["with_facts"]["accuracy"]) == {"value", "n", "low", "high"}
    assert {"arm", "seed", "step", "kl", "proxy", "judge"} == set(value["curves"][0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["arms"]["rlhf"].pop("mmhal_score"), "lacks mmhal_score"),
        (lambda v: v["reward_model"].pop("with_facts"), "lacks with_facts.accuracy"),
        (lambda v: v["arms"].pop("best_of_n"), "without metrics: best_of_n"),
        (lambda v: v["tests"][0].pop("first"), "first"),
        (lambda v: v.pop("curves"), "curves"),
    ],
)
def test_files_that_are_no_results_are_refused(tmp_path, change, message):
    path = write_fact_rlhf_results(tmp_path / "results.json", make_results())
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match=message):
        read_fact_rlhf_results(path)


def test_no_file_and_no_json_are_reported(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_fact_rlhf_results(tmp_path)
    (tmp_path / "results.json").write_text("[1, 2")
    with pytest.raises(DataError, match="no results of a Fact-RLHF loop"):
        read_fact_rlhf_results(tmp_path)
    (tmp_path / "results.json").write_text("[1, 2]")
    with pytest.raises(DataError, match="no results of a Fact-RLHF loop"):
        read_fact_rlhf_results(tmp_path)


def test_results_must_match_themselves():
    results = make_results()
    with pytest.raises(ValueError, match="without metrics"):
        FactRlhfResults.model_validate(
            results.model_copy(update={"arms": {"sft": results.arms["sft"]}}).model_dump()
        )
    bare = results.model_copy(update={"reward_model": {"with_facts": {"accuracy": wilson(1, 2)}}})
    with pytest.raises(ValueError, match=r"lacks without_facts\.accuracy"):
        FactRlhfResults.model_validate(bare.model_dump())


def test_arms_at_equal_distance_are_shown_with_every_seed(html, report):
    text = Page(html).text
    section = text[text.index("At equal distance") :]
    first = report.results.equal_distance[0]
    assert "2.00" in section
    assert f"{first.judge_second.value:.2f}" in section
    assert "+0.21, +0.35, \u22120.04" in section
    bare = report.results.model_copy(update={"equal_distance": ()})
    assert "At equal distance" not in render_fact_rlhf_report(
        report.model_copy(update={"results": bare})
    )
