"""A real HTTP server that judges by rule and misbehaves by plan, and counts what it would bill."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "judge-1"


class JudgeEndpoint(ThreadingHTTPServer):
    """Answers chat completions.

    `plan(text, attempt)` names the behaviour for the n-th try (from 0) of a request, by the text of
    its last message; `raw` holds bodies to send as they are, by the behaviour's name; `rate(text)`
    gives the words of a proper answer. A completion is billed when it has been sent whole, once per
    idempotency key; `served` counts all of them.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, plan: Callable[[str, int], str], rate: Callable[[str], str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.plan, self.rate = plan, rate
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.tries: Counter[str] = Counter()
        self.billed: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self.busy = 0
        self.headers_seen: list[dict[str, str]] = []
        self.times: list[float] = []
        self.bodies: list[dict[str, Any]] = []
        self.raw: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def settle(self) -> None:
        """Wait until nothing that was sent is still being answered; what hangs does not count."""
        quiet = 0
        while quiet < 5:
            time.sleep(0.1)
            quiet = quiet + 1 if self.busy == 0 else 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: JudgeEndpoint

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = body["messages"][-1]["content"]
        key = self.headers.get("idempotency-key", "")
        with self.server.lock:
            attempt = self.server.tries[key]
            self.server.tries[key] += 1
            self.server.bodies.append(body)
            self.server.times.append(time.monotonic())
            self.server.headers_seen.append(dict(self.headers))
        behaviour = self.server.plan(text, attempt)
        if behaviour == "hang":
            self.server.closing.wait(20)
            self.close_connection = True
            return
        with self.server.lock:
            self.server.busy += 1
        try:
            self._behave(behaviour, text, key)
        finally:
            with self.server.lock:
                self.server.busy -= 1

    def _behave(self, behaviour: str, text: str, key: str) -> None:
        if behaviour == "slow":
            time.sleep(0.3)
        if behaviour.isdigit():
            message = {"error": {"message": f"status {behaviour}", "code": "trouble"}}
            self._send(
                int(behaviour),
                json.dumps(message),
                {"Retry-After": "0.05"} if behaviour == "429" else {},
            )
            return
        if behaviour.startswith("wait "):
            self._send(
                429,
                '{"error": {"message": "later"}}',
                {"Retry-After": behaviour.removeprefix("wait ")},
            )
            return
        if behaviour.startswith("redirect "):
            self._send(307, "", {"Location": behaviour.removeprefix("redirect ")})
            return
        if behaviour.startswith("echo "):  # a status, with all that was sent in the message
            message = json.dumps({"error": {"message": str(self.headers)}})
            self._send(int(behaviour.removeprefix("echo ")), message, {})
            return
        if behaviour in self.server.raw:
            self._send(200, self.server.raw[behaviour], {})
            return
        if behaviour == "quota":
            self._send(429, '{"error": {"message": "no money", "code": "insufficient_quota"}}', {})
            return
        answer = self._answer(behaviour, text)
        whole = json.dumps(answer)
        if behaviour == "truncated":
            self._send(200, whole[: len(whole) // 2], {}, length=len(whole))
            self.close_connection = True
        elif behaviour == "half-json":
            self._send(200, whole[: len(whole) // 2], {})
        elif behaviour == "html":
            self._send(200, "<html>busy</html>", {})
        elif behaviour == "empty":
            self._send(200, json.dumps(answer | {"choices": []}), {})
        else:
            with (
                self.server.lock
            ):  # before it is sent: a client that dies while reading has been billed
                self.server.served[key] += 1
                self.server.billed[key] = 1
            self._send(200, whole, {})

    def _answer(self, behaviour: str, text: str) -> dict[str, Any]:
        words: str | None = self.server.rate(text)
        if behaviour == "out-of-range":
            words = "Far too good.\nRating: 9"
        elif behaviour == "two-scores":
            words = "Rating: 2, or rather\nRating: 5"
        elif behaviour == "null":
            words = None
        elif behaviour == "echo":
            words = f"You said {self.headers['authorization']}.\nRating: 4"
        finish = "length" if behaviour == "cut" else "stop"
        return {
            "id": "x",
            "object": "chat.completion",
            "model": "cheap-judge" if behaviour == "wrong-model" else MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": words},
                    "finish_reason": finish,
                }
            ],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        }

    def _send(
        self, status: int, text: str | bytes, headers: dict[str, str], *, length: int | None = None
    ) -> None:
        data = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def judge_endpoint(
    plan: Callable[[str, int], str] = lambda text, attempt: "ok",
    rate: Callable[[str], str] = lambda text: "Rating: 4",
) -> Iterator[JudgeEndpoint]:
    """Run the server for a while."""
    server = JudgeEndpoint(plan, rate)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
