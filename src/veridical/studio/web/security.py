"""The guard of every request: known host, same origin, JSON only, bounded size; and headers.

Forged requests from other sites fail three times: the browser says where they come from, they
cannot send JSON without asking first, and they do not know the token of the page. The policy allows
no inline script or style and no other origin.
"""

import json
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 2**20
"""Largest body of a request in bytes."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""The Content-Security-Policy of every page."""

_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
_SAFE = {"GET", "HEAD"}


class Guard:
    """The middleware."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str]) -> None:
        """Let requests for `hosts` ("name" or "name:port") through to `app`."""
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on and add headers to the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = self._refuse(scope)
        if refused is not None:
            await _answer(_with_headers(send), *refused)
            return
        await self.app(scope, _bounded(receive), _with_headers(send))

    def _refuse(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "").lower()
        if host not in self.hosts and host.rpartition(":")[0] not in self.hosts:
            return 400, "This server does not go by that name. Use the link that it printed."
        if scope["method"] in _SAFE:
            return None
        site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
        if site is not None and site != "same-origin":
            return 403, "The request comes from another site."
        if origin is not None and urlsplit(origin).netloc.lower() != host:
            return 403, "The request comes from another site."
        if headers.get(b"content-type", "").partition(";")[0].strip() != "application/json":
            return 415, "Only JSON is read. Set the content type to application/json."
        if int(headers.get(b"content-length", "0") or 0) > MAX_BODY:
            return 413, f"The request is larger than {MAX_BODY} bytes."
        return None


def _bounded(receive: Receive) -> Receive:
    read = 0

    async def receive_bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > MAX_BODY:
            return {"type": "http.disconnect"}
        return message

    return receive_bounded


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[Any] = list(message.get("headers", ()))
            given = {name.lower() for name, _ in headers}
            headers += [pair for pair in _HEADERS if pair[0] not in given]
            if b"cache-control" not in given:
                headers.append((b"cache-control", b"no-store"))
            message["headers"] = headers
        await send(message)

    return send_with_headers


async def _answer(send: Send, status: int, text: str) -> None:
    body = json.dumps({"error": text}).encode()
    headers: Iterable[tuple[bytes, bytes]] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
