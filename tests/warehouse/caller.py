"""Speaks to the warehouse's API without a socket, with any key."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

from starlette.types import ASGIApp

from dockbell.actions.access import Doorkeeper, create_key
from dockbell.domain.permissions import SYSTEM
from dockbell.warehouse.api.server import build_warehouse_api
from tests.warehouse.floor import Floor


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


_PARTS = SimpleNamespace()


@cache
def _application() -> ASGIApp:
    """One for all tests, as its many routes take long to make; it works for the newest caller."""
    return build_warehouse_api(_PARTS)


class Caller:
    """Speaks ASGI to the application, with a key of its own unless another `authorization` is given."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        _PARTS.database, _PARTS.publisher, _PARTS.clock = floor.database, floor.publisher, floor.clock
        _PARTS.doorkeeper = Doorkeeper(floor.database)
        self.app = _application()
        self.admin = self.key("admin")
        self.sent: list[Any] = []

    def key(self, *scopes: str, owners: list[int] | None = None) -> str:
        def make(tx: Any) -> str:
            now = self.floor.clock.now()
            made = create_key(tx, SYSTEM, label="t", scopes=scopes, goods_owners=owners, expires_at=None, now=now)
            return made.key

        return str(self.floor.write(make))

    async def __call__(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        authorization: str | None = None,
        root_path: str = "",
        more: Sequence[tuple[bytes, bytes]] = (),
    ) -> Answer:
        path, _, query = target.partition("?")
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given = f"Bearer {self.admin}" if authorization is None else authorization
        headers = [(b"content-type", b"application/json")] + ([(b"authorization", given.encode())] if given else [])
        headers += more
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": root_path,
            "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        sent = self.sent = []
        pieces = [raw[at : at + 65_536] for at in range(0, len(raw), 65_536)] or [b""]

        async def receive() -> Any:
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return self.answer()

    def answer(self) -> Answer:
        """The last one."""
        start, *rest = self.sent
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], found, json.loads(b"".join(message.get("body", b"") for message in rest)))


def refused(answer: Answer, status: int) -> list[tuple[str, str]]:
    """The problems of a refusal that has the shape every refusal has."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body.keys() == {"type", "title", "status", "code", "detail", "hint", "problems"}
    assert answer.body["status"] == status
    assert answer.body["code"]
    return [(problem["field"], problem["code"]) for problem in answer.body["problems"]]
