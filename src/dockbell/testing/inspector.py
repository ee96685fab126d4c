"""A receiver that shows what arrives: the other end of a webhook, while one develops or tries Dockbell.

POST anything anywhere: it is kept and answered with the chosen status. GET / lists what came, newest first.
`PUT /answer/500` changes the answer, so that one can watch retries.
"""

import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

KEPT = 200
LARGEST_BODY = 1024 * 1024

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
    on_request: Callable[[Received], None] = lambda _: None
    received: deque[Received] = field(default_factory=lambda: deque(maxlen=KEPT))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        if method == "PUT" and path.startswith("/answer/"):
            wanted = path.removeprefix("/answer/")
            if wanted.isascii() and wanted.isdigit() and 200 <= int(wanted) <= 599:
                self.answer = int(wanted)
            await _respond(send, 200, {"answer": self.answer})
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
        came = Received(scope["method"], path, headers, body, self.answer)
        self.received.append(came)
        self.on_request(came)
        await _respond(send, self.answer, {"received": True} if self.answer < 300 else {"received": False})


async def _respond(send: Send, status: int, document: Any) -> None:
    body = json.dumps(document, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
