"""Asks an ASGI application directly, without a socket: one call, one answer."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_to_bytes


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def code(self) -> Any:
        return self.document.get("code")


class Api:
    """Speaks to an application as one key; `Api(app)` has none."""

    def __init__(self, app: Any, key: str | None = None) -> None:
        self.app = app
        self.key = key

    async def get(self, target: str, **more: Any) -> Reply:
        return await self.ask("GET", target, **more)

    async def post(self, target: str, document: Any = None, **more: Any) -> Reply:
        return await self.ask("POST", target, document, **more)

    async def patch(self, target: str, document: Any, **more: Any) -> Reply:
        return await self.ask("PATCH", target, document, **more)

    async def put(self, target: str, document: Any, **more: Any) -> Reply:
        return await self.ask("PUT", target, document, **more)

    async def delete(self, target: str, **more: Any) -> Reply:
        return await self.ask("DELETE", target, **more)

    async def ask(
        self,
        method: str,
        target: str,
        document: Any = None,
        *,
        pieces: Iterable[bytes] | None = None,
        headers: Iterable[tuple[str, str]] = (),
        content_type: str | None = "application/json",
        authorization: list[str] | None = None,
        hang_up: bool = False,
    ) -> Reply:
        """`pieces` is a body as it comes in; bytes as `document` are sent as they are. With `hang_up` the rest never comes."""
        if pieces is None:
            body = (
                document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
            )
            pieces = [body]
        pieces = list(pieces)
        given = list(headers)
        if authorization is None:
            authorization = [] if self.key is None else [f"Bearer {self.key}"]
        given += [("authorization", value) for value in authorization]
        if document is not None or len(pieces) > 1:
            given += [("content-type", content_type)] if content_type else []
            if not any(name in ("content-length", "transfer-encoding") for name, _ in given):
                given.append(("content-length", str(sum(map(len, pieces)))))
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": quote(path, safe="/%").encode(),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8420),
        }
        coming = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        coming[-1]["more_body"] = hang_up
        self.unread = coming
        sent: list[Any] = []

        async def receive() -> Any:
            return coming.pop(0) if coming else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        if not sent:
            return Reply(0, {}, b"")
        body = b"".join(message.get("body", b"") for message in sent[1:])
        told = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        assert len(told) == len(sent[0]["headers"]), "a header was sent twice"
        return Reply(sent[0]["status"], told, body)
