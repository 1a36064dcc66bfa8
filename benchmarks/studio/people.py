"""Simulated annotators over HTTP: each asks for an item, thinks, judges, and retries until it is
acknowledged, as the page's outbox does. Standard library only, so that the client costs little."""

import http.client
import json
import random
import socket
import threading
import time
import uuid
from dataclasses import dataclass, field


@dataclass
class Log:
    """What all of them saw."""

    next_seconds: list[float] = field(default_factory=list)
    submit_seconds: list[float] = field(default_factory=list)
    acknowledged: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Key of each acknowledged judgement → annotator, slot."""
    statuses: dict[int, int] = field(default_factory=dict)
    broken: int = 0
    """Requests without an answer."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Annotator(threading.Thread):
    """One of them."""

    def __init__(self, number, session, token, port, log, stop, *, think, twice):
        super().__init__(daemon=True)
        self.number, self.session, self.token, self.port = number, session, token, port
        self.log, self.stop, self.think, self.twice = log, stop, think, twice
        self.random = random.Random(number)
        self.connection = None

    def run(self):
        try:
            self.work()
        finally:
            if self.connection is not None:
                self.connection.close()

    def work(self):
        self.stop.wait(self.random.uniform(0, self.think))
        while not self.stop.is_set():
            started = time.perf_counter()
            status, answer = self.send("POST", "/api/next", {})
            if status != 200:
                self.stop.wait(0.2)
                continue
            with self.log.lock:
                self.log.next_seconds.append(time.perf_counter() - started)
            item = answer["item"]
            if item is None:
                self.stop.wait(1)
                continue
            shown = int(time.time() * 1000)
            if self.stop.wait(self.random.expovariate(1 / self.think)):
                return  # all at once at the end would measure that burst
            self.judge(item, shown)

    def judge(self, item, shown):
        key = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        body = {
            "key": key,
            "slot": item["slot"],
            "lease": item["lease"],
            "outcome": "judged",
            "payload": {"score": self.random.randrange(7)},
            "shown": shown,
            "seconds": 5.0,
            "guideline": 1,
        }
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            started = time.perf_counter()
            status, _ = self.send("POST", "/api/judgements", body)
            if status == 200:
                with self.log.lock:
                    self.log.submit_seconds.append(time.perf_counter() - started)
                    self.log.acknowledged[key] = (self.number, item["slot"])
                if self.random.random() < self.twice:
                    self.send("POST", "/api/judgements", body)
                return
            if status not in (0, 500, 503, 507):
                return
            if self.stop.is_set() and status == 0:
                return
            time.sleep(0.2)

    def send(self, method, path, body):
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                self.connection.connect()
                # As browsers do; http.client sends head and body apart, 40 ms late otherwise.
                self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connection.request(
                method,
                path,
                json.dumps(body),
                {
                    "content-type": "application/json",
                    "x-change-token": self.token,
                    "cookie": f"veridical_studio={self.session}",
                },
            )
            response = self.connection.getresponse()
            answer = response.read()
            with self.log.lock:
                self.log.statuses[response.status] = self.log.statuses.get(response.status, 0) + 1
            return response.status, json.loads(answer)
        except (OSError, http.client.HTTPException, ValueError):
            with self.log.lock:
                self.log.broken += 1
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            return 0, {}


def sign_in(studio, count):
    """Sessions of `count` annotators: (secret, token that guards changes)."""
    from veridical.studio.store.people import (
        SESSION_LIFE,
        add_person,
        change_token,
        issue_token,
        signed_in,
    )
    from veridical.studio.store.projects import load_project

    sessions = []
    with studio.database.writing() as connection:
        secret = load_project(connection).secret
        for number in range(count):
            person = add_person(connection, f"person-{number}", source="simulated")
            session = issue_token(connection, "session", life=SESSION_LIFE, person_id=person)
            who = signed_in(connection, session)
            sessions.append((session, change_token(secret, who.session)))
    return sessions


def start(sessions, port, *, think, twice=0.1):
    """Let them work; give the log and the function that ends it."""
    log, stop = Log(), threading.Event()
    people = [
        Annotator(n, *session, port, log, stop, think=think, twice=twice)
        for n, session in enumerate(sessions)
    ]
    for person in people:
        person.start()

    def end():
        stop.set()
        for person in people:
            person.join(timeout=130)
        return log

    return log, end
