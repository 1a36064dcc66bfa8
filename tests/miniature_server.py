"""A miniature behind a real OpenAI-compatible server on this machine, which counts what it does.

A request that comes again under its idempotency key is answered from what was computed before.
"""

import base64
import io
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI, Request
from PIL import Image

from veridical.models.generation import generate_responses


class MiniatureServer:
    """The server's counts."""

    def __init__(self, vlm, url: str, *, delay: float) -> None:
        self.vlm, self.url, self.delay = vlm, url, delay
        self.asked: Counter[str] = Counter()
        """Requests by idempotency key."""
        self.computed: Counter[str] = Counter()
        """Answers that were computed, by idempotency key."""
        self._answers: dict[str, dict[str, object]] = {}
        self._lock = threading.Lock()

    def answer(self, key: str, body: dict) -> dict[str, object]:
        time.sleep(self.delay)
        with self._lock:
            self.asked[key] += 1
            if key not in self._answers:
                self.computed[key] += 1
                self._answers[key] = self._compute(body)
            return self._answers[key]

    def _compute(self, body: dict) -> dict[str, object]:
        picture, question = body["messages"][-1]["content"]
        data = base64.b64decode(picture["image_url"]["url"].partition(",")[2])
        ((said,),) = generate_responses(
            self.vlm,
            [question["text"]],
            [Image.open(io.BytesIO(data)).convert("RGB")],
            max_new_tokens=body["max_tokens"],
            temperature=body["temperature"],
            seed=body.get("seed", 0),
        )
        return {
            "model": body["model"],
            "choices": [{"message": {"content": said.text}, "finish_reason": said.finish}],
            "usage": {"prompt_tokens": 20, "completion_tokens": len(said.token_ids)},
        }


@contextmanager
def miniature_server(vlm, *, delay: float = 0.0) -> Iterator[MiniatureServer]:
    """Serve a model on a free port of the loopback interface."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    state = MiniatureServer(vlm, f"http://127.0.0.1:{listener.getsockname()[1]}/v1", delay=delay)
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> dict[str, object]:
        from anyio import to_thread

        body, key = await request.json(), request.headers["idempotency-key"]
        return await to_thread.run_sync(state.answer, key, body)

    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield state
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
