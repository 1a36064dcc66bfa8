"""Agreement: α against published numbers and the reference package; F1 and gold by hand."""

import threading
import time

import numpy as np
import pytest

from studio_client import Annotator
from studio_projects import ANSWER, make_project
from veridical.studio.lead import counts
from veridical.studio.lead.agreement import agreement_report
from veridical.studio.lead.alpha import krippendorff_alpha
from veridical.studio.lead.gold import agrees
from veridical.studio.lead.progress import overview
from veridical.studio.lead.spans import kind_matches, word_f1
from veridical.studio.settings import StudioSettings
from veridical.studio.web import lead_pages

# Krippendorff (2011), section C: four observers, twelve units, values 1 to 5.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
UNITS = [[row[n] - 1 for row in OBSERVERS if row[n] is not None] for n in range(12)]


@pytest.mark.parametrize(
    ("level", "value"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_is_that_of_the_paper(level, value):
    found = krippendorff_alpha(UNITS, size=5, level=level).metric
    assert found.value == pytest.approx(value, abs=6e-4)
    assert found.low <= found.value <= found.high
    assert found.n == 11


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_alpha_is_that_of_the_reference_package(level):
    reference = pytest.importorskip("krippendorff")
    random = np.random.default_rng(7)
    for _ in range(20):
        table = random.integers(0, 4, size=(3, 15)).astype(float)
        table[random.random(table.shape) < 0.3] = np.nan
        units = [[int(x) for x in column if not np.isnan(x)] for column in table.T]
        wanted = reference.alpha(
            reliability_data=table, value_domain=[0, 1, 2, 3], level_of_measurement=level
        )
        found = krippendorff_alpha(units, size=4, level=level).metric
        assert found.value == pytest.approx(wanted, abs=1e-9)


def test_undefined_alpha_says_why():
    assert "two judgements" in krippendorff_alpha([[1], []], size=2, level="nominal").reason
    same = krippendorff_alpha([[1, 1], [1, 1]], size=2, level="nominal")
    assert (same.metric, same.reason) == (None, "all judgements are the same")


def test_words_in_common_by_hand():
    text = "a red car and two knives"
    assert word_f1(text, [(2, 5)], [(2, 9)]) == pytest.approx(2 / 3)
    assert word_f1(text, [], []) == 1
    assert word_f1(text, [(0, 1)], []) == 0
    one = {"marks": [{"start": 2, "end": 5, "kind": "object"}]}
    other = {
        "marks": [
            {"start": 2, "end": 9, "kind": "attribute"},
            {"start": 14, "end": 17, "kind": "number"},
        ]
    }
    assert list(kind_matches(one, other)) == [False]


@pytest.mark.parametrize(
    ("answer", "body", "right"),
    [
        ({"score": 2}, {"score": 3}, True),
        ({"score": 2}, {"score": 4}, False),
        ({"hallucinates_more": "first"}, {"hallucinates_more": "left"}, True),
        ({"hallucinates_more": "first"}, {"hallucinates_more": "right"}, False),
        ({"nothing_wrong": True}, {"nothing_wrong": True, "marks": []}, True),
        ({"nothing_wrong": True}, {"marks": [{"start": 0, "end": 2}]}, False),
        ({"spans": [[3, 9]]}, {"marks": [{"start": 4, "end": 9}]}, True),
        ({"spans": [[3, 9]]}, {"marks": [{"start": 0, "end": 2}]}, False),
        ({"spans": [[3, 9]]}, {"changes": [{"rejected_span": [3, 9]}]}, True),
    ],
)
def test_known_answers(answer, body, right):
    assert agrees(answer, body) is right


def test_the_leads_numbers_add_up(tmp_path):
    studio = make_project(
        tmp_path,
        "correct",
        [f"{ANSWER} {n}." for n in range(4)],
        overlap=2,
        overlap_share=1.0,
        wage=36.0,
    )
    for name, word, kind in (("ann", "cups", "object"), ("bob", "cups", "number")):
        person = Annotator(studio, name)
        for _ in range(3):
            item = person.next()["item"]
            assert person.correct(item, item["texts"][0].replace("knives", word), kind).is_success
    with studio.database.reading() as connection:
        report = agreement_report(connection, "correct")
        found = overview(connection, StudioSettings(wage=36.0))
    shared = report.shared
    assert shared >= 2
    lines = {line.name: line.metric for line in report.lines}
    assert lines["Words in common (F1)"].value == 1
    assert lines["Same kind, of segments that overlap"].value == 0
    assert report.people["ann"].with_others.metric.value == 1
    assert (found.progress.done, found.progress.wanted, found.progress.open) == (6, 8, 2)
    assert found.progress.median_seconds == 3.5
    assert found.progress.spent == pytest.approx(36.0 * 6 * 3.5 / 3600)
    assert found.progress.to_come == pytest.approx(36.0 * 2 * 3.5 / 3600)
    studio.database.close()


def test_a_page_does_not_wait_for_a_report_that_takes_long(tmp_path, monkeypatch):
    monkeypatch.setattr(counts, "_MOMENT", 0.01)
    studio = make_project(tmp_path, "correct", [ANSWER])
    lead, done = Annotator(studio, "lead", role="lead"), threading.Event()
    monkeypatch.setattr(
        lead_pages,
        "agreement_report",
        lambda *given: done.wait(60) and agreement_report(*given),
    )
    page = lead.client.get("/lead/agreement")
    assert "Counting the judgements" in page.text
    assert "data-counting" in page.text  # which the page's script takes to look again
    assert lead.client.get("/lead/people").status_code == 200
    done.set()
    for _ in range(200):
        page = lead.client.get("/lead/agreement")
        if "Counting" not in page.text:
            break
        time.sleep(0.05)
    assert "No item was judged by two people yet" in page.text
    studio.database.close()
