"""Killed servers, two servers on one PostgreSQL, a full disk: nothing is lost or doubled."""

import sys
import threading
from pathlib import Path

import pytest

from studio_client import Annotator
from studio_projects import ANSWER, make_project
from veridical.errors import ConfigError
from veridical.studio.opening import open_studio
from veridical.studio.serving import Address, serve_studio

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "studio"))

from checks import check
from load import measure
from postgres import private_postgres, programs
from server import make_studio

CLEAN = {
    "lost": 0,
    "doubled": 0,
    "over_overlap": 0,
    "twice_by_one_person": 0,
    "done_without_judgement": 0,
    "intact": True,
}


def test_a_killed_server_loses_and_doubles_nothing():
    found = measure(people=8, seconds=1, think=0.1, count=200, kills=1)
    assert {name: found[name] for name in CLEAN} == CLEAN
    assert found["acknowledged"] > 8
    assert found["kept"] >= found["acknowledged"]
    assert 500 not in found["statuses"]


@pytest.fixture(scope="module")
def postgres_url():
    """A private PostgreSQL, where Debian's package is there."""
    if programs() is None:
        pytest.skip("no PostgreSQL")
    with private_postgres() as url:
        yield url


def test_two_servers_on_one_postgresql_share_the_work(postgres_url, tmp_path):
    studio = make_studio(
        tmp_path / "project", 20, url=postgres_url, overlap=2, gold_share=0.0, repeat_share=0.0
    )
    again = open_studio(tmp_path / "project")
    acknowledged, lock = {}, threading.Lock()

    def work(person):
        while item := person.next()["item"]:
            sent = person.judgement(item, {"score": 3})
            answers = [person.post("/api/judgements", sent) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [200, 200]
            with lock:
                acknowledged[sent["key"]] = item["slot"]

    people = [Annotator((studio, again)[n % 2], f"person {n}") for n in range(4)]
    threads = [threading.Thread(target=work, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = check(studio, acknowledged)
    assert {name: found[name] for name in CLEAN} == CLEAN
    assert found["kept"] == found["acknowledged"] == 40
    with pytest.raises(ConfigError, match="pg_dump"):
        studio.database.backup(tmp_path / "copy.db")
    again.database.close()
    studio.database.close()


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    studio = make_project(tmp_path, "rate", [ANSWER, f"{ANSWER} 2"])
    ann = Annotator(studio)
    item = ann.next()["item"]
    sent = ann.judgement(item, {"score": 3, "note": "x" * 2000})
    with studio.database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    studio.database.engine.dispose()

    from sqlalchemy import event

    def small(connection, _record):
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(studio.database.engine, "connect", small)
    fills = []
    for number in range(60):  # fill what is free in the last pages
        body = {
            "slot": item["slot"],
            "lease": item["lease"],
            "payload": {"note": "x" * 2000 * number},
        }
        fills.append(ann.client.put("/api/drafts", json=body))
    full = [answer for answer in fills if answer.status_code == 507]
    assert full
    assert "disk is full" in full[0].json()["error"]
    event.remove(studio.database.engine, "connect", small)
    studio.database.engine.dispose()
    answer = ann.post("/api/judgements", sent)
    assert (answer.status_code, answer.json()["replayed"]) == (200, False)
    studio.database.close()


def test_a_taken_port_and_several_workers_on_sqlite_are_refused(tmp_path):
    import socket

    studio = make_project(tmp_path, "rate", [ANSWER])
    studio.database.close()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match="Choose another port"):
            serve_studio(studio.folder, Address(port=port))
    with pytest.raises(ConfigError, match="PostgreSQL for several workers"):
        serve_studio(studio.folder, Address(port=port), workers=2)
    with pytest.raises(ConfigError, match="not a studio project"):
        open_studio(tmp_path)
