"""Every task in a real Chromium: by mouse, and by keyboard alone."""

import json
import random

import pytest

from studio_axe import axe_violations
from studio_client import Annotator
from studio_projects import ANSWER, make_project
from veridical.feedback.segments import find_segments
from veridical.feedback.texts.words import find_words
from veridical.records import Comparison, Correction, Rating, read_records
from veridical.studio.export.folder import export_studio
from veridical.studio.sources.extras import Extras


def test_correct_by_keyboard_alone_within_twelve_strokes_beside_the_letters(tmp_path, desk):
    one = desk(make_project(tmp_path, "correct", [ANSWER])).enter()
    strokes = 0

    def press(*names):
        nonlocal strokes
        strokes += len(names)
        one.keys(*names)

    press("/", "k", "n", "1")
    one.type("cups")
    press("Escape", "/", "l", "e", "2")
    one.type("right")
    press("Control+Enter")
    (row,) = one.judged(1)
    assert row.payload["text"] == ANSWER.replace("knives", "cups").replace("left", "right")
    assert [change["kind"] for change in row.payload["changes"]] == ["object", "position"]
    assert strokes <= 12
    assert strokes == 10


def test_correct_by_keyboard_with_kinds_given_afterwards(tmp_path, desk):
    one = desk(make_project(tmp_path, "correct", [ANSWER])).enter()
    one.keys("/", "k", "n", "Enter")
    one.type("cups")
    one.keys("Escape", "/", "l", "e", "Enter")
    one.type("right")
    one.keys("Escape", "Enter")
    one.page.wait_for_selector("text=Give each change a kind")
    one.keys("1", "2", "Enter")
    (row,) = one.judged(1)
    assert [change["kind"] for change in row.payload["changes"]] == ["object", "position"]
    one.page.wait_for_selector("text=All done")


def test_correct_by_mouse(tmp_path, desk):
    one = desk(make_project(tmp_path, "correct", [ANSWER])).enter()
    page = one.page
    page.fill("#text", ANSWER.replace("red", "blue"))
    page.wait_for_selector(".change")
    assert page.inner_text("#difference del") == "red"
    page.click(".change label:has-text('attribute')")
    page.click("#submit")
    (row,) = one.judged(1)
    assert [change["kind"] for change in row.payload["changes"]] == ["attribute"]
    assert row.seconds > 0


def test_nothing_wrong_cant_tell_and_skip_by_keyboard(tmp_path, desk):
    one = desk(make_project(tmp_path, "correct", [f"{ANSWER} {n}" for n in range(3)])).enter()
    one.keys("n")
    one.judged(1)
    one.keys("x")
    one.judged(2)
    one.keys("s", "3")
    rows = one.judged(3)
    assert [row.outcome for row in rows] == ["judged", "cannot_tell", "skipped"]
    assert rows[0].payload["nothing_wrong"] is True
    assert rows[2].payload["reason"] == "unclear"


def test_undo_gives_the_last_item_again_with_its_work(tmp_path, desk):
    one = desk(make_project(tmp_path, "rate", [f"{ANSWER} {n}" for n in range(3)])).enter()
    first = one.page.inner_text("#question")
    one.keys("4", "Enter")
    one.judged(1)
    second = one.page.inner_text("#question")
    one.keys("u")
    one.page.wait_for_function(
        "q => document.getElementById('question').textContent === q", arg=first
    )
    assert one.page.is_checked("input[value='4']")
    one.keys("5", "Enter")
    assert [row.outcome for row in one.judged(3)] == ["judged", "undone", "judged"]
    one.page.wait_for_function(
        "q => document.getElementById('question').textContent === q", arg=second
    )


@pytest.mark.parametrize("way", ["keyboard", "mouse"])
def test_compare(tmp_path, desk, way):
    studio = make_project(tmp_path, "compare", [ANSWER], second=["A red car."])
    one = desk(studio).enter()
    left_is_wrong = "knives" in one.page.inner_text("#text-left")
    wrong, good = ("left", "right") if left_is_wrong else ("right", "left")
    if way == "keyboard":
        one.keys("1" if left_is_wrong else "2", "6" if left_is_wrong else "5")
        one.keys("l" if left_is_wrong else "r", *["ArrowRight"] * 3, "m")
        one.keys("Enter")
    else:
        one.page.click(f"label:has(input[name=hallucinates_more][value={wrong}])")
        one.page.click(f"label:has(input[name=more_helpful][value={good}])")
        one.page.dblclick(f"#text-{wrong}", position={"x": 150, "y": 20})
        one.page.click("text=Mark the selected words")
        one.page.click("#submit")
    (row,) = one.judged(1)
    assert row.payload["hallucinates_more"] == wrong
    assert len(row.payload["marks"]) == 1
    done = export_studio(studio, tmp_path / "out")
    (record,) = read_records(done.folder / "comparisons.jsonl", Comparison)
    preferred = record.response_ids[0 if record.preferred == "first" else 1]
    assert preferred == "p0#0@second"
    assert record.hallucination is True


@pytest.mark.parametrize("way", ["keyboard", "mouse"])
def test_rate(tmp_path, desk, way):
    studio = make_project(tmp_path, "rate", [ANSWER])
    one = desk(studio).enter()
    if way == "keyboard":
        one.keys("2", "Enter")
    else:
        one.page.click("label:has(input[value='2'])")
        one.page.click("text=Add a note")
        one.page.fill("#note", "no knives")
        one.page.click("#submit")
    one.judged(1)
    export_studio(studio, tmp_path / "out")
    (record,) = read_records(tmp_path / "out" / "ratings.jsonl", Rating)
    assert (record.score, record.source, record.annotator) == (2, "human", "ann")


@pytest.mark.parametrize("way", ["keyboard", "mouse"])
def test_mark(tmp_path, desk, way):
    one = desk(make_project(tmp_path, "mark", [ANSWER])).enter()
    if way == "keyboard":
        one.keys("/", "t", "w", "Enter", "Shift+ArrowRight", "1", "/", "l", "e", "2", "Enter")
    else:
        one.page.evaluate("""() => {
            const node = document.getElementById('text-left').firstChild;
            const range = document.createRange();
            range.setStart(node, 33); range.setEnd(node, 39);
            const chosen = document.getSelection();
            chosen.removeAllRanges(); chosen.addRange(range);
            document.getElementById('text-left').dispatchEvent(new PointerEvent('pointerup'));
        }""")
        one.page.click("#kinds button:has-text('object')")
        one.page.click("#text-left", position={"x": 30, "y": 25})  # a click selects a word
        assert one.page.inner_text("#text-left .selected") == "The"
        one.page.click("#text-left", position={"x": 30, "y": 25})  # and the next one lets it be
        assert one.page.locator("#text-left .selected").count() == 0
        one.page.click("#submit")
    (row,) = one.judged(1)
    words = [ANSWER[mark["start"] : mark["end"]] for mark in row.payload["marks"]]
    assert words == (["two knives", "left"] if way == "keyboard" else ["two knives"])
    assert row.payload["marks"][0]["kind"] == "object"


def test_suspected_segments_are_accepted_or_rejected(tmp_path, desk):
    start = ANSWER.index("two knives")
    segments = [
        {"start": start, "end": start + 10, "kind": "object"},
        {"start": ANSWER.index("left"), "end": ANSWER.index("left") + 4},
    ]
    file = tmp_path / "suspects.jsonl"
    file.write_text(json.dumps({"id": "p0#0", "segments": segments}) + "\n")
    studio = make_project(
        tmp_path, "mark", [ANSWER], extras=Extras(suspects=file), premarked_share=1.0
    )
    one = desk(studio).enter()
    one.keys("Enter")
    one.page.wait_for_selector("text=Say of each suspicion")
    one.keys("a", "r", "Enter")
    (row,) = one.judged(1)
    assert [verdict["accepted"] for verdict in row.payload["suspects"]] == [True, False]
    assert len(row.payload["marks"]) == 1


def test_work_survives_a_lost_connection_and_is_sent_by_itself(tmp_path, desk):
    one = desk(make_project(tmp_path, "rate", [f"{ANSWER} {n}" for n in range(3)])).enter()
    one.page.context.set_offline(True)
    one.keys("4", "Enter")
    one.page.wait_for_selector("text=Offline, 1 to send")
    one.keys("5", "Enter")
    one.page.context.set_offline(False)
    assert len(one.judged(2)) == 2
    one.page.wait_for_selector("text=Saved")


def test_corrections_go_on_without_the_server_with_their_kinds(tmp_path, desk):
    one = desk(make_project(tmp_path, "correct", [ANSWER])).enter()
    one.page.context.set_offline(True)
    one.page.fill("#text", ANSWER.replace("red", "blue").replace("two knives", "cups"))
    one.keys("Escape")
    one.page.wait_for_selector("text=2 changes")
    one.keys("4", "1", "Enter")
    one.page.wait_for_selector("text=Offline, 1 to send")
    one.page.context.set_offline(False)
    (row,) = one.judged(1)
    assert [change["kind"] for change in row.payload["changes"]] == ["attribute", "object"]
    assert [change["rejected_span"] for change in row.payload["changes"]] == [[20, 23], [32, 42]]


def test_the_page_finds_the_words_and_changes_that_the_server_finds(tmp_path, desk):
    """Random texts of repeated words, emoji, marks, flags, CJK, RTL and line ends."""
    rng = random.Random(0)
    words = "a the dog. two Dog it’s x_1 ½ 3.5 ! … ﬁ Ⅷ 𝒳 日本 𠀀 カ 、 。 کتاب שלום"
    signs = "👩‍👩‍👧 👍🏽 🇩🇪🇫🇷 🇩 ❤️ e\u0301 \u0301 \u200d \ufeff #\ufe0f\u20e3"
    parts = [
        *words.split(" "),
        *signs.split(" "),
        "\n",
        "  ",
        " ",
        "\x1c",
        "\x85",
        "\xa0",
        "\u3000",
    ]
    pairs = []
    for _ in range(400):
        made = [rng.choice(parts) + rng.choice(["", " "]) for _ in range(rng.randint(0, 25))]
        edited = list(made)
        for _ in range(rng.randint(0, 4)):
            place = rng.randint(0, len(edited))
            edited[place : place + rng.randint(0, 3)] = rng.choices(parts, k=rng.randint(0, 3))
        pairs.append(("".join(made), "".join(edited)))
    one = desk(make_project(tmp_path, "rate", [ANSWER])).enter()
    found = one.page.evaluate(
        """async (pairs) => {
            const { findChanges } = await import("/static/js/diff.js");
            const { words } = await import("/static/js/text.js");
            const spans = (one) => [one.rejected_span, one.chosen_span];
            const places = (text) => words(text).map((word) => [word.start, word.end]);
            return pairs.map(([a, b]) => [places(a), findChanges(a, b).map(spans)]);
        }""",
        pairs,
    )
    for (before, after), (places, spans) in zip(pairs, found, strict=True):
        assert places == [[word.start, word.end] for word in find_words(before)], repr(before)
        wanted = find_segments(before, after)
        assert spans == [[[*x.rejected_span], [*x.chosen_span]] for x in wanted], (before, after)


def test_keys_can_be_exchanged_and_stay_with_the_person(tmp_path, desk):
    one = desk(make_project(tmp_path, "rate", [f"{ANSWER} {n}" for n in range(3)])).enter()
    one.keys("?")
    one.page.click("button.cap:has(kbd[data-key='x'])")
    one.keys("4")  # the key of a score: the two change places
    assert one.page.inner_text("#cannot-tell kbd") == "4"
    one.keys("Escape", "4")
    (row,) = one.judged(1)
    assert row.outcome == "cannot_tell"
    one.page.reload()
    one.page.wait_for_load_state("networkidle")
    one.keys("x", "Enter")
    assert [row.payload.get("score") for row in one.judged(2)] == [None, 4]
    one.keys("?")
    one.page.click("#keys-reset")
    assert one.page.inner_text("button.cap kbd[data-key='x']") == "X"


def test_a_reload_keeps_the_item_and_the_draft(tmp_path, desk):
    one = desk(make_project(tmp_path, "correct", [ANSWER, f"{ANSWER} 2"])).enter()
    question = one.page.inner_text("#question")
    one.page.fill("#text", "Half a")
    one.page.reload()
    one.page.wait_for_load_state("networkidle")
    assert one.page.inner_text("#question") == question
    assert one.page.input_value("#text") == "Half a"


def test_zoom_survives_the_next_item(tmp_path, desk):
    one = desk(make_project(tmp_path, "correct", [ANSWER, f"{ANSWER} 2"])).enter()
    one.keys("+", "+", "v", "ArrowRight", "Escape")
    before = one.page.get_attribute("#viewer img", "style")
    one.keys("n")
    one.judged(1)
    assert one.page.get_attribute("#viewer img", "style") == before
    one.keys("f")
    assert one.page.get_attribute("#viewer img", "style") != before


TEXTS = [
    "Zwei 👩‍👩‍👧 neben cafe\u0301 the the cat.\r\nEnd of it.",
    "הכלב יושב ליד הכלב הלבן.\r\nסוף.",
]


def test_corrections_of_any_text_come_out_exactly_and_mark_the_same_tokens(tmp_path, desk):
    from veridical.feedback.masks import changed_token_masks
    from veridical.feedback.segments import check_segments

    studio = make_project(tmp_path, "correct", TEXTS)
    one = desk(studio).enter()
    wanted = {}
    for count in (1, 2):
        text = one.page.input_value("#text")
        if "Zwei" in text:
            edited = text.replace("👩‍👩‍👧", "🐕").replace("the the", "the").replace("End", "Ende")
        else:
            edited = text.replace("הכלב הלבן", "החתול 🐈")
        one.page.fill("#text", edited)
        one.page.wait_for_selector(".change")
        one.page.wait_for_timeout(400)
        for number in range(one.page.locator(".change").count()):
            one.page.click(f".change:nth-child({number + 1}) label:has-text('number')")
        one.page.click("#submit")
        one.judged(count)
        wanted[text] = edited
    done = export_studio(studio, tmp_path / "out")
    rows = read_records(done.folder / "corrections.jsonl", Correction)
    assert sorted(row.rejected for row in rows) == sorted(TEXTS)
    for row in rows:
        edited = wanted[row.rejected.replace("\r\n", "\n")]
        assert row.chosen == edited.replace("\n", "\r\n")
        assert check_segments(row.rejected, row.chosen, row.segments) == []
        assert {segment.kind for segment in row.segments} == {"number"}
        offsets = [
            [(word.start, word.end) for word in find_words(text)]
            for text in (row.rejected, row.chosen)
        ]
        masks = changed_token_masks(*offsets, row.segments)
        assert any(masks.rejected)
        assert not all(masks.chosen)


@pytest.mark.parametrize(
    ("task", "scheme"),
    [("compare", "light"), ("correct", "dark"), ("rate", "light"), ("mark", "light")],
)
def test_axe_finds_no_serious_violation(tmp_path, desk, axe, task, scheme):
    second = ["Another answer."] if task == "compare" else None
    one = desk(
        make_project(tmp_path, task, [ANSWER], second=second), bypass_csp=True, color_scheme=scheme
    ).enter()
    assert axe_violations(one.page, axe) == []
    one.page.keyboard.press("?")
    assert axe_violations(one.page, axe) == []


def test_the_leads_pages_have_no_violation_and_send_a_judgement_back(tmp_path, desk, axe):
    studio = make_project(tmp_path, "rate", [ANSWER], overlap=2, overlap_share=1.0)
    for name, score in (("ann", 6), ("bob", 0)):
        person = Annotator(studio, name)
        person.judge(person.next()["item"], {"score": score})
    one = desk(studio, bypass_csp=True).enter("boss", "lead", "/lead")
    for path in ("/lead", "/lead/people", "/lead/people/1", "/lead/agreement", "/lead/settings"):
        one.page.goto(one.served.address.base + path)
        assert axe_violations(one.page, axe) == [], path
    one.page.goto(one.served.address.base + "/lead/differences")
    one.page.click("text=Look")
    assert axe_violations(one.page, axe) == []
    one.page.click("text=Send back with the note >> nth=0")
    one.page.wait_for_selector("text=Write into your note")
    one.page.fill("#note", "Count the knives.")
    one.page.click("text=Send back with the note >> nth=0")
    one.page.wait_for_function("() => document.querySelectorAll('.judged section').length === 1")
    ann = desk(one.served).enter("ann")
    assert "Count the knives." in ann.page.inner_text("#returned")
    assert ann.page.is_checked("input[value='6']")


@pytest.mark.parametrize("width", [390, 320])
def test_narrow_screens_never_scroll_sideways(tmp_path, desk, width):
    one = desk(
        make_project(tmp_path, "correct", [ANSWER]), viewport={"width": width, "height": 700}
    ).enter()
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert one.page.evaluate(wide) == 0
