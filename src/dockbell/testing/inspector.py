"""A receiver that shows what arrives: the other end of a webhook, while one develops or tries Dockbell.

POST anything anywhere: it is kept and answered with the chosen status. GET / lists what came, newest first: as a page
to a browser, as JSON to everyone else. `PUT /answer/500` changes the answer, so that one can watch retries;
`PUT /answer/slow` lets requests wait for longer than most timeouts.
"""

import asyncio
import base64
import hashlib
import html
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

KEPT = 200
LARGEST_BODY = 1024 * 1024
SLOW_S = 35.0
ANSWERS = (200, 401, 404, 410, 429, 500, 503)
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; }
article { border: 1px solid #8886; border-radius: 8px; padding: .6rem 1rem; margin: 0 0 1rem; }
pre { background: #8882; padding: .6rem; border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; }
form { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; }
button { font: inherit; padding: .2rem .7rem; }
button[aria-pressed=true] { outline: 2px solid currentColor; font-weight: 700; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest())
_PAGE_HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'sha256-%b'; form-action 'self'; base-uri 'none'" % _STYLE_HASH,
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
]

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    answered: int
    at: float = 0.0
    """Seconds since 1970."""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def text(self) -> str:
        """The request as one would read it: request line, headers, JSON laid out."""
        lines = [f"{self.method} {self.path}", *(f"{name}: {value}" for name, value in self.headers), ""]
        try:
            lines.append(json.dumps(json.loads(self.body), indent=2, ensure_ascii=False))
        except ValueError:
            lines.append(self.body.decode("utf-8", "replace"))
        return "\n".join(lines)


@dataclass(slots=True)
class Inspector:
    """The ASGI application; `on_request` is called with each request that came."""

    answer: int = 200
    slow: bool = False
    on_request: Callable[[Received], None] = lambda _: None
    received: deque[Received] = field(default_factory=lambda: deque(maxlen=KEPT))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        if method in ("PUT", "POST") and path.startswith("/answer/"):
            self._switch(path.removeprefix("/answer/"))
            if method == "POST":  # a button of the page
                await _send(send, 303, [(b"location", b"/")], b"")
            else:
                await _respond(send, 200, {"answer": self.answer, "slow": self.slow})
        elif method == "GET" and _wants_page(scope):
            await _send(send, 200, _PAGE_HEADERS, self._page().encode())
        elif method == "GET":
            shown = [
                {
                    "method": r.method,
                    "path": r.path,
                    "headers": r.headers,
                    "body": r.body.decode("utf-8", "replace"),
                    "answered": r.answered,
                }
                for r in reversed(self.received)
            ]
            await _respond(send, 200, {"answer": self.answer, "received": shown})
        else:
            await self._keep(scope, receive, send)

    def _switch(self, wanted: str) -> None:
        if wanted == "slow":
            self.slow = True
        elif wanted.isascii() and wanted.isdigit() and 200 <= int(wanted) <= 599:
            self.answer, self.slow = int(wanted), False

    def _page(self) -> str:
        def button(name: str, pressed: bool) -> str:
            return f'<button formaction="/answer/{name}" aria-pressed="{str(pressed).lower()}">{name}</button>'

        buttons = [button(str(status), not self.slow and self.answer == status) for status in ANSWERS]
        shown = [
            f"<article><h2>{html.escape(each.method)} {html.escape(each.path[:300])}</h2>"
            f"<p>{_time(each.at)} UTC, answered {each.answered}</p><pre>{html.escape(each.text())}</pre></article>"
            for each in reversed(self.received)
        ]
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Receiver</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<style>{_STYLE}</style></head><body><h1>What the receiver got</h1>"
            f'<form method="post">It answers: {" ".join(buttons)} {button("slow", self.slow)}</form>'
            f"<p>{len(self.received)} requests, the newest first. Load the page again to see more.</p>"
            f"{''.join(shown) or '<p>Nothing came yet.</p>'}</body></html>"
        )

    async def _keep(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more and len(body) < LARGEST_BODY:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        query = scope.get("query_string", b"").decode("latin-1")
        path = scope["path"] + (f"?{query}" if query else "")
        came = Received(scope["method"], path, headers, body, self.answer, time.time())  # noqa: TID251 - shown only
        self.received.append(came)
        self.on_request(came)
        if self.slow:
            await asyncio.sleep(SLOW_S)  # noqa: TID251 - being slow is what was asked for
        await _respond(send, self.answer, {"received": True} if self.answer < 300 else {"received": False})


def _wants_page(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


async def _respond(send: Send, status: int, document: Any) -> None:
    await _send(
        send, status, [(b"content-type", b"application/json")], json.dumps(document, ensure_ascii=False).encode()
    )


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
