"""Threats: what a hostile page, file, annotator or network peer may try."""

import io
import json
import os
import re
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image
from sqlalchemy import select, update
from starlette.testclient import TestClient

from studio_client import HOSTS, Annotator
from studio_projects import ANSWER, make_project, picture, write_run
from veridical.errors import ConfigError, DataError
from veridical.studio.serving import Address, login_link, serve_studio
from veridical.studio.settings import StudioSettings
from veridical.studio.start import SourceOptions, init_studio
from veridical.studio.store.people import add_person, find_person
from veridical.studio.store.schema import token
from veridical.studio.web.app import make_app

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</textarea><script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "&lt;b&gt;<b>\u202ebold</b>",
    "]]><!--<iframe src=//evil.example>",
]


@pytest.fixture
def studio(tmp_path):
    made = make_project(tmp_path, "rate", [f"{ANSWER} {n}." for n in range(4)])
    yield made
    made.database.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"x-change-token": "forged"}, 403),
        ({"x-change-token": ""}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"host": "evil.example"}, 400),
        ({"host": "127.0.0.1.evil.example:8765"}, 400),
    ],
)
def test_forged_requests_change_nothing(studio, headers, status):
    ann = Annotator(studio)
    sent = ann.judgement(ann.next()["item"], {"score": 4})
    assert ann.post("/api/judgements", sent, headers=headers).status_code == status
    assert ann.post("/api/judgements", sent).json()["replayed"] is False


def test_every_test_that_operators_are_told_of_exists():
    root = Path(__file__).parents[2]
    table = (root / "docs" / "studio" / "running.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(test_\w+)`", table))
    files = [*(root / "tests" / "studio").glob("*.py"), root / "tests/feedback/test_sheets.py"]
    there = "".join(file.read_text(encoding="utf-8") for file in files)
    assert len(told) >= 20
    assert [name for name in sorted(told) if f"def {name}(" not in there] == []


def test_every_answer_carries_the_policy(studio):
    ann = Annotator(studio)
    for path in ("/work", "/history", "/login", "/static/js/page.js", "/nothing"):
        headers = ann.client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_hostile_texts_stay_texts_on_every_page(tmp_path, desk):
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / "<img src=x>.png").write_bytes(picture())
    rows = ["id,image,question,response,reference"]
    for number, text in enumerate(HOSTILE):
        cell = '"' + text.replace('"', '""') + '"'
        rows.append(f'{cell},<img src=x>.png,{cell},{cell[:-1]} {number}",{cell}')
    (folder / "items.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    studio, done = init_studio(
        tmp_path / "project",
        folder / "items.csv",
        SourceOptions(task="mark"),
        name=HOSTILE[0],
        settings=StudioSettings(overlap_share=1.0, gold_share=0, repeat_share=0),
    )
    assert done.added == len(HOSTILE)
    one = desk(studio).enter()
    for count in range(1, len(HOSTILE) + 1):
        assert one.page.inner_text("#question") in HOSTILE
        one.page.click("text=Add a note")
        one.page.fill("#note", HOSTILE[count - 1])
        one.page.focus("#text-left")
        one.keys("ArrowRight", str(1 + count % 6), "Enter")
        one.judged(count)
    bob = Annotator(studio, "<script>bob</script>")
    while item := bob.next()["item"]:
        bob.judge(item, {"nothing_wrong": True, "note": HOSTILE[1]})
    one.page.goto(one.served.address.base + "/history")
    lead = desk(one.served)
    lead.enter("boss", "lead", "/lead")
    for path in ("people", "agreement", "differences", "settings"):
        lead.page.goto(f"{one.served.address.base}/lead/{path}")
    lead.page.goto(f"{one.served.address.base}/lead/differences")
    lead.page.click("text=Look >> nth=0")
    for page in (one.page, lead.page):
        assert page.locator("script:not([src]), iframe, svg[onload], img[onerror]").count() == 0


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png",
        "/etc/passwd",
        "%2e%2e/secret.png",
        "file:///etc/passwd",
        "link.png",
        "http://169.254.169.254/latest",
        "\\\\host\\share.png",
        "/proc/self/environ",
        "fifo.png",
    ],
)
def test_pictures_outside_of_the_data_are_refused(tmp_path, path):
    (tmp_path / "secret.png").write_bytes(picture())
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(folder / "fifo.png")
    (folder / "items.csv").write_text(f"image,question,response\n{path},What?,A cup.\n")
    with pytest.raises(DataError, match=r"items.csv:2"):
        init_studio(tmp_path / "project", folder / "items.csv")


def hostile_pictures():
    bomb = io.BytesIO()
    Image.new("1", (30_000, 3_000)).save(bomb, format="PNG")
    return {
        "bomb": bomb.getvalue(),
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "html": b"<html><script>alert(1)</script></html>",
        "cut": picture(size=(300, 300))[:200],
        "empty": b"",
    }


@pytest.mark.parametrize("kind", ["bomb", "svg", "html", "cut", "empty"])
def test_hostile_pictures_are_refused(tmp_path, kind):
    run = write_run(tmp_path / "run", [ANSWER])
    (run / "images" / "0.png").write_bytes(hostile_pictures()[kind])
    with pytest.raises(DataError, match=r"image|picture"):
        init_studio(tmp_path / "project", run)


def test_a_picture_that_is_a_page_too_is_served_as_a_picture(tmp_path):
    run = write_run(tmp_path / "run", [ANSWER])
    data = picture() + b"<script>alert(1)</script>"
    (run / "images" / "0.png").write_bytes(data)
    studio, _ = init_studio(tmp_path / "project", run)
    ann = Annotator(studio)
    answer = ann.client.get(ann.next()["item"]["images"][0]["url"])
    assert answer.headers["content-type"] == "image/png"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert (
        TestClient(make_app(studio, hosts=HOSTS))
        .get(ann.next()["item"]["images"][0]["url"])
        .status_code
        == 401
    )
    for path in (
        "/images/../studio.db",
        "/images/%2e%2e%2fstudio.db",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
    ):
        assert ann.client.get(path).status_code in (404, 405)
    studio.database.close()


def test_guessing_a_password_or_a_link_is_stopped_after_five_tries(studio):
    with studio.database.writing() as connection:
        add_person(connection, "ann", password="long enough words")
    client = TestClient(make_app(studio, hosts=HOSTS))
    sent = {"name": "ann", "password": "wrong wrong wrong"}
    statuses = [client.post("/api/login", json=sent).status_code for _ in range(6)]
    assert statuses == [403] * 5 + [429]
    right = {"name": "ann", "password": "long enough words"}
    assert client.post("/api/login", json=right).status_code == 429
    assert client.post("/api/join", json={"secret": "guess"}).status_code == 429


def test_a_link_works_once_and_not_after_its_time(studio):
    secret = login_link(studio, "ann", Address()).partition("#")[2]
    client = TestClient(make_app(studio, hosts=HOSTS))
    assert client.post("/api/join", json={"secret": secret}).status_code == 200
    assert client.post("/api/join", json={"secret": secret}).status_code == 403
    late = login_link(studio, "ann", Address()).partition("#")[2]
    with studio.database.writing() as connection:
        connection.execute(update(token).where(token.c.kind == "login").values(expires=1))
    assert client.post("/api/join", json={"secret": late}).status_code == 403


def test_an_invitation_gives_its_own_role_to_as_many_as_it_says_and_is_not_kept(studio):
    lead = Annotator(studio, "boss", role="lead")
    link = lead.post("/api/lead/invitations", {"uses": 1}).json()["link"]
    assert link.startswith("/join#")
    secret = link.partition("#")[2]
    with studio.database.reading() as connection:
        kept = str(connection.execute(select(token)).all())
    assert secret not in kept
    client = TestClient(make_app(studio, hosts=HOSTS))
    assert client.post("/api/join", json={"secret": secret}).json()["needs_name"] is True
    assert client.post("/api/join", json={"secret": secret, "name": "eve"}).status_code == 200
    assert client.get("/lead").status_code == 403
    assert client.post("/api/join", json={"secret": secret, "name": "mallory"}).status_code == 403


def test_a_lead_closes_a_person_and_their_sessions_end_at_once(studio):
    lead, ann = Annotator(studio, "boss", role="lead"), Annotator(studio)
    with studio.database.reading() as connection:
        number = find_person(connection, "ann").id
    assert lead.post("/api/lead/people", {"person": number, "active": False}).status_code == 200
    assert ann.post("/api/next", {}).status_code == 401


def test_nobody_reads_or_changes_somebody_elses_work(studio):
    ann, eve = Annotator(studio, "ann"), Annotator(studio, "eve")
    item = ann.next()["item"]
    draft = {"slot": item["slot"], "lease": item["lease"], "payload": {"score": 1}}
    assert ann.client.put("/api/drafts", json=draft).status_code == 200
    other = eve.next()["item"]
    for lease in (item["lease"], other["lease"], ""):
        stolen = {"slot": item["slot"], "lease": lease}
        assert eve.client.put("/api/drafts", json=stolen | {"payload": {}}).status_code == 404
        assert eve.post("/api/diff", stolen | {"text": "x"}).status_code == 404
        assert eve.judge(item | {"lease": lease}, {"score": 0}).status_code == 404
    ann.judge(item, {"score": 4})
    assert eve.post("/api/undo", {"key": str(uuid4()), "slot": item["slot"]}).status_code == 404
    assert eve.post("/api/next", {"prefer": item["slot"]}).json()["item"]["slot"] != item["slot"]


def test_leads_requests_are_refused_to_annotators_and_strangers(studio):
    ann = Annotator(studio)
    stranger = TestClient(make_app(studio, hosts=HOSTS))
    app = make_app(studio, hosts=HOSTS)
    paths = [path for path in app.openapi()["paths"] if path.startswith("/api/lead/")]
    assert len(paths) == 9
    for path in paths:
        assert ann.post(path, {}).status_code in (403, 422)
        assert ann.post(
            path,
            {
                "person": 1,
                "active": True,
                "token": 1,
                "item": 1,
                "text": "x",
                "settings": {},
                "paused": True,
            },
        ).status_code in (403, 422)
        assert stranger.post(path, json={}).status_code in (401, 422)
    for path in (
        "/lead",
        "/lead/people",
        "/lead/agreement",
        "/lead/differences",
        "/lead/differences/1",
        "/lead/settings",
    ):
        assert ann.client.get(path).status_code == 403


def test_an_annotator_never_learns_model_names_known_answers_or_others_work(tmp_path):
    from veridical.studio.sources.extras import Extras

    gold = tmp_path / "gold.jsonl"
    gold.write_text(
        json.dumps({"id": "p0", "answer": {"more_helpful": "first"}, "note": "canary"}) + "\n"
    )
    studio = make_project(
        tmp_path,
        "compare",
        [ANSWER, f"{ANSWER} 2"],
        second=["Other.", "Another."],
        extras=Extras(gold=gold),
        gold_share=0.5,
    )
    ann = Annotator(studio)
    seen = ann.client.get("/work").text + ann.client.get("/history").text
    for _ in range(3):
        answer = ann.post("/api/next", {}).text
        seen += answer
        item = ann.next()["item"]
        if item:
            ann.judge(item, {"hallucinates_more": "neither", "more_helpful": "equal"})
    for secret in ("secret-model", "other-model", "canary", "gold", "flipped"):
        assert secret not in seen
    studio.database.close()


def test_large_and_odd_bodies_are_refused_without_a_crash(studio):
    ann = Annotator(studio)
    item = ann.next()["item"]
    assert ann.judge(item, {"score": 4, "note": "x" * 2_000_000}).status_code == 413
    for payload in (
        {"score": 7},
        {"score": "4"},
        {"score": None},
        {"score": 3, "more": 1},
        {"score": 3, "note": "a\x00b"},
        {"score": 3, "note": "\ud800"},
        [],
    ):
        sent = ann.judgement(item) | {"payload": payload}
        answer = ann.client.post(
            "/api/judgements",
            content=json.dumps(sent),
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 422, payload
    for broken in (b"{", b"[]", b"null", b'"x"', b"\xff\xfe"):
        answer = ann.client.post(
            "/api/judgements", content=broken, headers={"content-type": "application/json"}
        )
        assert answer.status_code in (400, 422)


def test_other_addresses_need_tls(studio):
    with pytest.raises(ConfigError, match="TLS"):
        serve_studio(studio.folder, Address(host="0.0.0.0"))
