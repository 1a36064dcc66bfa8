"""What is acknowledged is kept, once; leases, skips, take-backs and overlaps add up."""

from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from studio_client import Annotator
from studio_projects import ANSWER, make_project
from veridical.studio.store.schema import judgement, slot


def rows(studio, table):
    with studio.database.reading() as connection:
        return connection.execute(select(table).order_by(table.c.id)).all()


@pytest.fixture
def studio(tmp_path):
    made = make_project(tmp_path, "rate", [f"{ANSWER} {n}." for n in range(6)])
    yield made
    made.database.close()


def test_a_judgement_sent_twice_is_kept_once_and_answered_the_same_way(studio):
    ann = Annotator(studio)
    sent = ann.judgement(ann.next()["item"], {"score": 4})
    first, second = ann.post("/api/judgements", sent), ann.post("/api/judgements", sent)
    assert (first.status_code, second.status_code) == (200, 200)
    assert (first.json()["replayed"], second.json()["replayed"]) == (False, True)
    assert len(rows(studio, judgement)) == 1


def test_a_key_used_for_another_judgement_is_refused(studio):
    ann = Annotator(studio)
    sent = ann.judgement(ann.next()["item"], {"score": 4})
    assert ann.post("/api/judgements", sent).status_code == 200
    assert ann.post("/api/judgements", sent | {"payload": {"score": 5}}).status_code == 422


def test_a_second_judgement_of_the_same_item_is_refused(studio):
    ann = Annotator(studio)
    item = ann.next()["item"]
    assert ann.judge(item, {"score": 4}).status_code == 200
    assert ann.judge(item, {"score": 1}).status_code == 409


def test_nobody_gets_an_item_twice_and_overlap_is_exact(tmp_path):
    studio = make_project(
        tmp_path, "rate", [f"{ANSWER} {n}." for n in range(5)], overlap=2, overlap_share=1.0
    )
    people = [Annotator(studio, name) for name in ("ann", "bob", "eve")]
    for _ in range(12):
        for person in people:
            found = person.next()
            if found["item"]:
                assert person.judge(found["item"], {"score": 3}).status_code == 200
    done = rows(studio, judgement)
    assert len(done) == 10
    assert len({(row.item_id, row.person_id) for row in done}) == 10
    assert people[0].next()["none"] == {"waiting": 0, "done": True}
    studio.database.close()


def expire(studio):
    with studio.database.writing() as connection:
        connection.execute(update(slot).values(lease_until=1))


def test_an_expired_lease_goes_to_the_next_and_late_work_is_kept_as_surplus(tmp_path):
    studio = make_project(tmp_path, "rate", [ANSWER])
    ann, bob = Annotator(studio, "ann"), Annotator(studio, "bob")
    item = ann.next()["item"]
    assert bob.next()["item"] is None
    expire(studio)
    taken = bob.next()["item"]
    assert taken["slot"] == item["slot"]
    late = ann.judge(item, {"score": 2})
    assert (late.status_code, late.json()["surplus"]) == (200, True)
    assert bob.judge(taken, {"score": 2}).json()["surplus"] is False
    assert sorted(row.purpose for row in rows(studio, slot)) == ["main", "surplus"]
    studio.database.close()


def test_late_work_counts_where_nobody_took_the_slot(studio):
    ann = Annotator(studio)
    item = ann.next()["item"]
    expire(studio)
    assert ann.judge(item, {"score": 2}).json()["surplus"] is False


def test_a_skip_needs_a_reason_and_gives_the_item_to_somebody_else(tmp_path):
    studio = make_project(tmp_path, "rate", [ANSWER])
    ann, bob = Annotator(studio, "ann"), Annotator(studio, "bob")
    item = ann.next()["item"]
    assert ann.judge(item, outcome="skipped").status_code == 422
    assert ann.judge(item, outcome="skipped", reason="picture").status_code == 200
    assert ann.next()["item"] is None
    assert bob.next()["item"]["texts"] == item["texts"]
    studio.database.close()


def test_taking_back_gives_the_item_again_with_what_was_said_and_keeps_the_first_judgement(studio):
    ann = Annotator(studio)
    item = ann.next()["item"]
    ann.judge(item, {"score": 4})
    key = str(uuid4())
    again = ann.post("/api/undo", {"key": key}).json()["item"]
    assert ann.post("/api/undo", {"key": key}).json()["item"]["slot"] == again["slot"]
    assert again["slot"] == item["slot"]
    assert again["draft"]["score"] == 4
    assert ann.judge(again, {"score": 5}).status_code == 200
    assert [
        row.outcome for row in sorted(rows(studio, judgement), key=lambda row: row.revision)
    ] == ["judged", "undone", "judged"]


def test_taking_back_a_skip_withdraws_the_substitute(tmp_path):
    studio = make_project(tmp_path, "rate", [ANSWER])
    ann = Annotator(studio)
    ann.judge(ann.next()["item"], outcome="skipped", reason="other")
    again = ann.post("/api/undo", {"key": str(uuid4())}).json()["item"]
    ann.judge(again, {"score": 6})
    assert sorted(row.state for row in rows(studio, slot)) == ["done", "void"]
    studio.database.close()


def test_a_draft_comes_back_and_goes_with_the_judgement(studio):
    ann = Annotator(studio)
    item = ann.next()["item"]
    body = {"slot": item["slot"], "lease": item["lease"], "payload": {"score": 3, "note": "hm"}}
    assert ann.client.put("/api/drafts", json=body).status_code == 200
    assert ann.next()["item"]["draft"] == {"score": 3, "note": "hm"}
    ann.judge(item, {"score": 3})
    assert ann.next()["item"]["draft"] is None


def test_both_sides_come_first_equally_often_and_verdicts_are_kept_for_the_response(tmp_path):
    answers = [f"Left wrong {n}." for n in range(10)]
    studio = make_project(
        tmp_path,
        "compare",
        answers,
        second=[f"Good {n}." for n in range(10)],
        overlap=2,
        overlap_share=1.0,
    )
    sides = {}
    for name in ("ann", "bob"):
        person = Annotator(studio, name)
        for _ in range(10):
            item = person.next()["item"]
            wrong = "left" if item["texts"][0].startswith("Left wrong") else "right"
            sides.setdefault(item["question"], []).append(wrong)
            body = {"hallucinates_more": wrong, "more_helpful": "equal"}
            assert person.judge(item, body).status_code == 200
    assert all(sorted(found) == ["left", "right"] for found in sides.values())
    from veridical.studio.lead.judged import read_judged

    with studio.database.reading() as connection:
        judged = read_judged(connection)
        assert connection.scalar(select(func.count()).select_from(judgement)) == 20
    assert {row.body["hallucinates_more"] for row in judged} == {"left"}
    studio.database.close()


def test_known_answers_and_repeats_come_in_and_answer_back(tmp_path):
    import json

    from veridical.studio.sources.extras import Extras

    gold = tmp_path / "gold.jsonl"
    gold.write_text(json.dumps({"id": "p0", "answer": {"score": 1}, "note": "No knife."}) + "\n")
    studio = make_project(
        tmp_path,
        "rate",
        [f"{ANSWER} {n}." for n in range(30)],
        extras=Extras(gold=gold),
        gold_share=0.3,
        repeat_share=0.3,
        repeat_after=3,
    )
    ann = Annotator(studio)
    told = []
    while item := ann.next()["item"]:
        assert set(item) == {
            "slot",
            "lease",
            "task",
            "images",
            "question",
            "system",
            "history",
            "texts",
            "reference",
            "suspects",
            "draft",
            "returned",
        }
        told.append(ann.judge(item, {"score": 5}).json()["feedback"])
    assert [one for one in told if one] == [{"right": False, "note": "No knife."}]
    purposes = [row.purpose for row in rows(studio, slot)]
    assert purposes.count("main") == 29
    assert purposes.count("gold") == 1
    assert purposes.count("repeat") >= 1
    studio.database.close()


def test_the_queue_goes_by_scores(tmp_path):
    import json

    from veridical.studio.sources.extras import Extras

    scores = tmp_path / "scores.jsonl"
    scores.write_text("".join(json.dumps({"id": f"p{n}", "score": n}) + "\n" for n in range(5)))
    studio = make_project(
        tmp_path,
        "rate",
        [f"{ANSWER} {n}." for n in range(5)],
        queue="scores",
        extras=Extras(scores=scores),
    )
    ann = Annotator(studio)
    order = []
    while item := ann.next()["item"]:
        order.append(item["question"])
        ann.judge(item, {"score": 5})
    assert order == [f"What is here, {n}?" for n in (4, 3, 2, 1, 0)]
    studio.database.close()
