"""The demo's page: complete, self-contained, safe, and no bolder than its numbers."""

import re

import pytest

from html_page import Page
from veridical.records import Metric
from veridical.report.demo import render_demo_report
from veridical.report.inputs import DemoReport, MarkedText, Span
from veridical.report.wording import value_text


@pytest.fixture(scope="module")
def html(made_up, tmp_path_factory):
    return render_demo_report(made_up, tmp_path_factory.mktemp("report") / "report.html").read_text(
        "utf-8"
    )


def test_page_is_well_formed_and_accessible(html):
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    assert set(page.references) <= set(page.ids)
    assert page.images
    assert all(image.get("alt") for image in page.images)
    assert page.headings[0] == 1
    assert all(
        after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False)
    )
    assert page.headings.count(1) == 1


def test_page_loads_nothing(html):
    assert all(url.startswith(("data:image/png;base64,", "#")) for url in Page(html).urls)
    assert "<script" not in html
    assert not re.search(r"url\(|@import|https?://", html)
    assert "default-src 'none'" in html
    assert len(html) < 300_000


def test_page_has_both_themes_and_prints(html):
    assert "@media (prefers-color-scheme: dark)" in html
    assert "@media print" in html


def test_every_metric_stands_with_interval_and_n(html, made_up):
    text = Page(html).text.replace("\xa0", " ")
    for run in (made_up.results.base, made_up.results.aligned):
        assert value_text(run["hallucination_rate"], "%") in text
        assert value_text(run["mmhal_score"], "of 6") in text
        for metric in run.values():
            assert f"n = {metric.n}" in text
    for row in made_up.question_types:
        assert value_text(row.after, "of 6") in text
    for row in made_up.objectives:
        assert value_text(row.metrics["hallucination_rate"], "%") in text
    for words in (
        *made_up.caveats,
        *made_up.rerun.hashes.values(),
        *made_up.rerun.commands,
        made_up.notice,
    ):
        assert words in text
    assert "simulated" in text


def test_sections_come_in_order(html):
    places = [
        html.index(f'<h2 id="{name}"')
        for name in (
            "wrong",
            "changed",
            "how",
            "training",
            "questions",
            "objectives",
            "gallery",
            "caveats",
            "rerun",
        )
    ]
    assert places == sorted(places)


def test_texts_of_a_model_are_escaped(made_up, tmp_path):
    evil = '<script>alert(1)</script>" onload="x'
    marked = MarkedText(text=evil, spans=(Span(start=0, end=8, kind='"><b>'),))
    scene = made_up.showcase.model_copy(
        update={
            "before": marked,
            "after": marked,
            "question": evil,
            "alt": evil,
            "context": evil,
            "scene_id": evil,
        }
    )
    corrections = made_up.corrections.model_copy(
        update={"rejected": evil, "chosen": evil, "segments": (), "kinds": {evil: 1}}
    )
    report = made_up.model_copy(
        update={
            "showcase": scene,
            "gallery": (scene,),
            "corrections": corrections,
            "title": evil,
            "caveats": (evil,),
        }
    )
    html = render_demo_report(report, tmp_path / "report.html").read_text("utf-8")
    assert "<script" not in html
    assert '"><b>' not in html
    assert ' onload="' not in html
    Page(html)


def test_wrong_words_are_marked_with_their_kind(html):
    assert re.search(
        r'<mark class="wrong short" data-kind="object" title="not in the picture:'
        r' object">knife<small>object',
        html,
    )
    assert "number; it shows one" in html


def test_gallery_can_be_filtered_by_outcome_and_kind(html):
    for name in ("show-all", "show-fixed", "show-clean", "kind-1"):
        assert f'id="{name}"' in html
    assert html.count('class="scene is-fixed') == 3
    assert html.count('class="scene is-clean') == 3


def test_no_winner_is_claimed_without_evidence(html, made_up, tmp_path):
    assert "no winner is claimed" in html
    same = made_up.results.comparison["hallucination_rate"].model_copy(
        update={"p": 0.4, "low": -0.1, "high": 0.05}
    )
    results = made_up.results.model_copy(
        update={"comparison": {**made_up.results.comparison, "hallucination_rate": same}}
    )
    page = render_demo_report(
        made_up.model_copy(update={"results": results}), tmp_path / "report.html"
    ).read_text("utf-8")
    assert "no difference is shown" in re.search("<h1.*?</h1>", page).group()
    worse = same.model_copy(update={"p": 0.001, "difference": 0.1, "low": 0.05, "high": 0.2})
    results = results.model_copy(
        update={"comparison": {**results.comparison, "hallucination_rate": worse}}
    )
    page = render_demo_report(
        made_up.model_copy(update={"results": results}), tmp_path / "report.html"
    ).read_text("utf-8")
    assert "more often" in re.search("<h1.*?</h1>", page).group()


def test_a_run_with_little_in_it_still_makes_a_page(made_up, tmp_path):
    nothing = dict.fromkeys(
        (
            "over_generalisation",
            "curve",
            "question_types",
            "probes",
            "objectives",
            "objective_tests",
            "gallery",
            "caveats",
        ),
        (),
    )
    unmeasured = Metric(value=0, n=0, low=0, high=1)
    base = {**made_up.results.base, "yes_no_f1": unmeasured}
    results = made_up.results.model_copy(update={"base": base})
    html = render_demo_report(
        made_up.model_copy(update={**nothing, "results": results}), tmp_path / "r.html"
    ).read_text("utf-8")
    page = Page(html)
    assert 'href="#objectives"' not in html
    assert 'href="#gallery"' not in html
    numbers = re.findall(r'<span class="number">(\d+)</span>', html)
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert "nan" not in page.text.lower().split()


def test_the_same_inputs_make_the_same_page_also_by_way_of_disk(html, made_up, tmp_path):
    again = DemoReport.model_validate_json(made_up.model_dump_json())
    assert again == made_up
    assert render_demo_report(again, tmp_path / "report.html").read_text("utf-8") == html


def test_bad_inputs_are_refused(made_up):
    with pytest.raises(ValueError, match="without overlap"):
        MarkedText(
            text="abc",
            spans=(Span(start=0, end=2, kind="object"), Span(start=1, end=3, kind="object")),
        )
    with pytest.raises(ValueError, match="PNG, JPEG or WebP"):
        type(made_up.showcase).model_validate({**made_up.showcase.model_dump(), "image": b"GIF89a"})
