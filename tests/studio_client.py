"""A client of the studio: an annotator as a script sees it."""

import re
import time
from uuid import uuid4

from starlette.testclient import TestClient

from veridical.studio.serving import Address, login_link
from veridical.studio.web.app import make_app

HOSTS = ["testserver"]


class Annotator:
    """Somebody signed in; `next` and `judge` speak the API that the page speaks."""

    def __init__(self, studio, name="ann", *, role="annotator", client=None):
        self.client = client or TestClient(
            make_app(studio, hosts=HOSTS), base_url="http://testserver"
        )
        link = login_link(studio, name, Address(), role=role)
        answer = self.client.post("/api/join", json={"secret": link.partition("#")[2]})
        assert answer.status_code == 200, answer.text
        page = self.client.get("/work").text
        self.token = re.search(r'name="change-token" content="(\w+)"', page)[1]
        self.client.headers["x-change-token"] = self.token

    def post(self, path, body, **options):
        return self.client.post(path, json=body, **options)

    def next(self, **body):
        return self.post("/api/next", body).json()

    def judgement(self, item, payload=None, outcome="judged", **more):
        return {
            "key": str(uuid4()),
            "slot": item["slot"],
            "lease": item["lease"],
            "outcome": outcome,
            "payload": payload or {},
            "shown": int(time.time() * 1000) - 4000,
            "seconds": 3.5,
            "guideline": 1,
        } | more

    def judge(self, item, payload=None, outcome="judged", **more):
        return self.post("/api/judgements", self.judgement(item, payload, outcome, **more))

    def correct(self, item, text, kinds="object"):
        found = self.post(
            "/api/diff", {"slot": item["slot"], "lease": item["lease"], "text": text}
        ).json()["changes"]
        names = [kinds] * len(found) if isinstance(kinds, str) else kinds
        changes = [
            {"rejected_span": one["rejected_span"], "chosen_span": one["chosen_span"], "kind": kind}
            for one, kind in zip(found, names, strict=True)
        ]
        return self.judge(item, {"text": text, "changes": changes})
