"""New people show on known items that they read the guidelines; leads send work back."""

import json

import pytest
from sqlalchemy import select

from studio_client import Annotator
from studio_projects import ANSWER, make_project
from veridical.records import Rating, read_records
from veridical.studio.export.folder import export_studio
from veridical.studio.sources.extras import Extras
from veridical.studio.store.schema import judgement, person


@pytest.fixture
def trained(tmp_path):
    """Four items whose score is known to be 2, and two to be rated."""
    gold = tmp_path / "gold.jsonl"
    rows = [{"id": f"p{n}", "answer": {"score": 2}, "note": f"two {n}"} for n in range(4)]
    gold.write_text("".join(json.dumps(row) + "\n" for row in rows))
    studio = make_project(
        tmp_path,
        "rate",
        [f"{ANSWER} {n}." for n in range(6)],
        extras=Extras(gold=gold),
        training_items=2,
        training_pass=1.0,
    )
    yield studio
    studio.database.close()


def score(who, value):
    """Judge what is served; its answer, and what the page then hears of the training."""
    found = who.next()
    answer = who.judge(found["item"], {"score": value}).json()
    return answer, found["training"]


def test_known_items_come_first_until_enough_are_right(trained):
    ann = Annotator(trained)
    first, training = score(ann, 6)
    assert first["feedback"] == {"right": False, "note": "two 0"}
    assert training == {"judged": 0, "right": 0, "needed": 2, "wanted": 2, "over": False}
    assert score(ann, 2)[1]["judged"] == 1
    third, training = score(ann, 2)  # one of two was right: another one is needed
    assert (third["feedback"]["note"], training["judged"], training["right"]) == ("two 2", 2, 1)
    found = ann.next()
    assert found["training"] is None
    assert ann.judge(found["item"], {"score": 6}).json()["feedback"] is None


def test_a_page_that_looks_ahead_does_not_train_people_too_long(trained):
    ann = Annotator(trained)
    one = ann.next()["item"]
    two = ann.next(holding=[one["slot"]])["item"]
    held = [one["slot"], two["slot"]]
    assert ann.next(holding=held)["item"] is None
    for item in (one, two):
        ann.judge(item, {"score": 2})
    assert ann.next()["training"] is None


def test_who_does_not_pass_waits_for_the_lead(trained):
    ann, lead = Annotator(trained), Annotator(trained, "boss", role="lead")
    for _ in range(4):
        score(ann, 6)
    found = ann.next()
    assert (found["item"], found["none"]["done"]) == (None, False)
    assert found["training"] == {"judged": 4, "right": 0, "needed": 2, "wanted": 2, "over": True}
    with trained.database.reading() as connection:
        number = connection.scalar(select(person.c.id).where(person.c.name == "ann"))
    assert lead.post("/api/lead/trained", {"person": number, "trained": True}).is_success
    assert ann.next()["item"] is not None
    assert ann.next()["training"] is None
    assert lead.next()["training"] is None


def test_a_lead_sends_a_judgement_back_with_a_note(tmp_path):
    studio = make_project(tmp_path, "rate", [f"{ANSWER} {n}." for n in range(2)])
    ann, lead = Annotator(studio), Annotator(studio, "boss", role="lead")
    item = ann.next()["item"]
    sent = ann.judgement(item, {"score": 6})
    ann.post("/api/judgements", sent)
    other = ann.next()["item"]
    back = {"judgement": sent["key"], "note": "Count the knives."}
    assert ann.post("/api/lead/return", back).status_code == 403
    assert lead.post("/api/lead/return", back | {"note": ""}).status_code == 422
    assert lead.post("/api/lead/return", back).is_success
    assert lead.post("/api/lead/return", back).status_code == 404  # it is back already
    again = ann.next(holding=[other["slot"]])["item"]
    assert (again["slot"], again["returned"]) == (item["slot"], "Count the knives.")
    assert (again["draft"]["score"], other["returned"]) == (6, None)
    ann.judge(again, {"score": 2})
    assert ann.post("/api/undo", {"key": sent["key"].replace("-", "a", 1)}).status_code == 422
    export_studio(studio, tmp_path / "out")
    assert [r.score for r in read_records(tmp_path / "out" / "ratings.jsonl", Rating)] == [2]
    with studio.database.reading() as connection:
        kept = connection.execute(select(judgement.c.outcome).order_by(judgement.c.revision))
        assert [row.outcome for row in kept] == ["judged", "undone", "judged"]
    studio.database.close()


def test_keys_of_ones_own_are_kept_with_the_person(tmp_path):
    studio = make_project(tmp_path, "rate", [ANSWER])
    ann = Annotator(studio)
    assert ann.client.put("/api/keys", json={"keys": {"s": "k", "k": "s"}}).is_success
    page = ann.client.get("/work").text
    assert "{&#34;s&#34;: &#34;k&#34;, &#34;k&#34;: &#34;s&#34;}" in page
    assert ann.client.put("/api/keys", json={"keys": {"s": "k", "x": "k"}}).status_code == 422
    assert ann.client.put("/api/keys", json={"keys": {"s": " "}}).status_code == 422
    studio.database.close()
