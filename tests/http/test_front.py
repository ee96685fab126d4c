"""The door in front of the application: over a real socket it answers like the application, only without it."""

import asyncio
import functools
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from dockbell.store import people
from dockbell.web.api import publish as hot
from dockbell.web.connection import Connection, Limits
from dockbell.web.front import Answer, Headers, front_for
from tests.support.parts import Server, a_server, an_event

EVENT = json.dumps(an_event()).encode()


@dataclass
class Door:
    """A port that speaks HTTP; counts what went through to the application."""

    port: int
    state: ServerState
    asked: list[str] = field(default_factory=list)

    async def ask(self, *pieces: bytes, answers: int = 1) -> list[bytes]:
        """Send the pieces one after the other over one connection; the raw answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return [await one_answer(reader) for _ in range(answers)]
        finally:
            writer.close()


async def one_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return head + (await reader.readexactly(int(length[1])) if length else b"")


@asynccontextmanager
async def a_door(server: Server, protocol: type[Connection]) -> AsyncIterator[Door]:
    door = Door(0, ServerState())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        door.asked.append(scope["path"])
        await server.app(scope, receive, send)

    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    config.load()
    listening = await asyncio.get_running_loop().create_server(
        lambda: protocol(Limits(), config=config, server_state=door.state, app_state={}), "127.0.0.1", 0
    )
    door.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield door


@asynccontextmanager
async def a_front(server: Server) -> AsyncIterator[Door]:
    """With a key that was seen before: the first request of a key is the application's."""
    async with a_door(server, front_for(hot.PATH, functools.partial(hot.publish_at_once, server.parts))) as door:
        await door.ask(a_request(server))
        door.asked.clear()
        yield door


def a_request(
    server: Server, body: bytes = EVENT, *, line: str = "POST /api/v1/events HTTP/1.1", **headers: str
) -> bytes:
    """`content_type="..."` is a header of that name; an empty one is left out."""
    named = {
        "host": "here",
        "authorization": f"Bearer {server.admin.key}",
        "content-type": "application/json",
        "content-length": str(len(body)),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [line, *(f"{name}: {value}" for name, value in named.items() if value)]
    return "\r\n".join([*lines, "\r\n"]).encode() + body


async def test_the_usual_event_is_answered_without_the_application(database, tmp_path):
    async with a_server(database, tmp_path) as server, a_front(server) as door:
        await server.make_webhook(eventType="test.anything")
        [answer] = await door.ask(a_request(server))
        assert answer.startswith(b"HTTP/1.1 202 Accepted\r\n")
        told = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert (told["deliveries"], told["repeated"], door.asked) == (1, False, [])
        assert (await server.admin.get(f"/api/v1/events/{told['eventId']}")).status == 200


UNUSUAL: dict[str, tuple[dict[str, str], bytes]] = {
    "a repeated id": ({}, json.dumps(an_event(id="again")).encode()),
    "an id of another event": ({}, json.dumps(an_event(id="again", data={"a": 2})).encode()),
    "an array": ({}, b"[" + EVENT + b"," + EVENT + b"]"),
    "blanks before it": ({}, b"  " + EVENT),
    "no JSON": ({}, b"{"),
    "an unknown type": ({}, json.dumps(an_event(type="test.nothing")).encode()),
    "a goods owner who is not there": ({}, json.dumps(an_event(goodsOwnerId=999)).encode()),
    "an idempotency key": ({"idempotency_key": "once"}, EVENT),
    "a charset": ({"content_type": "application/json; charset=utf-8"}, EVENT),
    "another content type": ({"content_type": "text/plain"}, EVENT),
    "no content type": ({"content_type": ""}, EVENT),
    "a coding": ({"content_encoding": "gzip"}, EVENT),
    "no key": ({"authorization": ""}, EVENT),
    "a key that does not exist": ({"authorization": "Bearer whk_AAAAAAAA_" + "a" * 43}, EVENT),
    "two keys": ({"Authorization": "Bearer x"}, EVENT),
    "a cookie in place of a key": ({"authorization": "", "cookie": "a=b"}, EVENT),
    "a query": ({"line": "POST /api/v1/events?a=1 HTTP/1.1"}, EVENT),
    "another method": ({"line": "PUT /api/v1/events HTTP/1.1"}, EVENT),
    "another path": ({"line": "POST /api/v1/event HTTP/1.1"}, EVENT),
    "HTTP/1.0": ({"line": "POST /api/v1/events HTTP/1.0"}, EVENT),
    "a connection that closes": ({"connection": "close"}, EVENT),
    "a wish for HTTP/2": ({"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2_settings": "AAMAAABk"}, EVENT),
    "chunks": ({"content_length": "", "transfer_encoding": "chunked"}, b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT), EVENT)),
    "too large an event": ({}, b'{"type":"test.anything","data":{"a":"' + b"x" * 262_144 + b'"}}'),
    "too large an event in chunks": (
        {"content_length": "", "transfer_encoding": "chunked"}, b"50000\r\n{" + b"x" * 0x4FFFF + b"\r\n0\r\n\r\n",
    ),
    "a body announced too large": ({"content_length": "99999999"}, b""),
}  # fmt: skip


@pytest.mark.parametrize("what", UNUSUAL)
async def test_whatever_comes_the_answer_is_the_applications(database, tmp_path, what):
    headers, body = UNUSUAL[what]
    async with a_server(database, tmp_path) as server, a_front(server) as front:
        await server.publish(id="again")
        async with a_door(server, Connection) as plain:
            request = a_request(server, body, **headers)
            [here], [there] = await front.ask(request), await plain.ask(request)
            assert comparable(here) == comparable(there)


def comparable(answer: bytes) -> bytes:
    """Without what differs from one request to the next."""
    for differs in (rb"date: [^\r]*", rb'"eventId":\d+', rb'(?<="repeated":)\w+', rb"content-length: [56]\d(?=\r)"):
        answer = re.sub(differs, b"", answer)
    return answer


SAME_HEAD = [what for what, (headers, body) in UNUSUAL.items() if not headers and len(EVENT) <= len(body) < 2_000]


@pytest.mark.parametrize("what", SAME_HEAD)
async def test_a_body_is_judged_whether_or_not_its_head_was_read_before(database, tmp_path, what):
    body = UNUSUAL[what][1]
    async with a_server(database, tmp_path) as server, a_front(server) as front:
        await server.publish(id="again")
        [usual] = await front.ask(a_request(server, EVENT.ljust(len(body))))
        async with a_door(server, Connection) as plain:
            [here], [there] = await front.ask(a_request(server, body)), await plain.ask(a_request(server, body))
            assert usual.startswith(b"HTTP/1.1 202")
            assert comparable(here) == comparable(there)


async def test_a_head_is_read_once(database, tmp_path):
    read, bodies = [], []

    def take(_headers: Headers, body: bytes, answer: Answer) -> bool:
        bodies.append(body)
        asyncio.get_running_loop().call_soon(answer, 202, b"content-length: 2\r\n", b"ok")
        return True

    front = front_for(hot.PATH, take)

    class Reading(front):  # type: ignore[misc,valid-type]
        def on_headers_complete(self) -> None:
            read.append(self.url)
            super().on_headers_complete()

    async with a_server(database, tmp_path) as server, a_door(server, Reading) as door:
        raw, closing = a_request(server), a_request(server, connection="close")
        for request, count in [
            (raw, 1),
            (raw, 1),
            (closing, 2),
            (closing, 3),  # a last request is not usual enough
            (raw, 3),
        ]:
            [answer] = await door.ask(request)
            assert (answer[9:12], len(read)) == (b"202", count)
        assert len(await door.ask(raw + raw, raw, answers=3)) == 3
        assert len(await door.ask(raw[:-9], raw[-9:])) == 1
        assert set(bodies) == {EVENT}


async def test_a_key_that_was_revoked_opens_nothing_with_a_head_that_is_known(database, tmp_path):
    async with a_server(database, tmp_path) as server, a_front(server) as door:
        for _ in range(2):
            assert (await door.ask(a_request(server)))[0].startswith(b"HTTP/1.1 202")
        key_id = str(server.admin.key).split("_")[1]
        await server.parts.database.write(lambda tx: people.revoke_key(tx, key_id, now=server.parts.clock.now()))
        server.parts.doorkeeper.forget()
        assert (await door.ask(a_request(server)))[0].startswith(b"HTTP/1.1 401")


async def test_a_mistake_of_ours_at_the_door_is_left_to_the_application(database, tmp_path):
    def mistaken(*_: Any) -> bool:
        raise KeyError("ours")

    async with a_server(database, tmp_path) as server, a_door(server, front_for(hot.PATH, mistaken)) as door:
        [answer] = await door.ask(a_request(server))
        assert (answer[:12], door.asked) == (b"HTTP/1.1 202", ["/api/v1/events"])


async def test_what_is_refused_after_the_commit_is_kept_for_who_looks_for_it(database, tmp_path):
    async with a_server(database, tmp_path) as server, a_front(server) as door:
        one, other = (json.dumps(an_event(id="erp-1", data={"a": each})).encode() for each in (1, 2))
        await door.ask(a_request(server, body=one))
        [refused] = await door.ask(a_request(server, body=other))
        assert refused.startswith(b"HTTP/1.1 409 ")
        assert door.asked == []
        await server.parts.refusals.end()
        [found] = (await server.admin.get("/api/v1/refusals")).document["items"]
        assert (found["code"], found["publisherId"]) == ("event_id_reused", "erp-1")


async def test_a_body_may_come_in_pieces(database, tmp_path):
    async with a_server(database, tmp_path) as server, a_front(server) as door:
        raw = a_request(server)
        [answer] = await door.ask(raw[:40], raw[40:-30], raw[-30:-1], raw[-1:])
        assert (answer[:12], door.asked) == (b"HTTP/1.1 202", [])


async def test_a_key_after_the_body_opens_nothing(database, tmp_path):
    async with a_server(database, tmp_path) as server, a_front(server) as door:
        head = a_request(server, b"", authorization="", content_length="", transfer_encoding="chunked")
        chunks = (
            b"%x\r\n%b\r\n0\r\n" % (len(EVENT), EVENT) + f"Authorization: Bearer {server.admin.key}\r\n\r\n".encode()
        )
        [answer] = await door.ask(head + chunks)
        assert answer.startswith(b"HTTP/1.1 401")


async def test_u9_of_a_large_body_little_is_kept_before_its_key_is_looked_at(database, tmp_path):
    """Two thousand strangers with 250 KB each filled 500 MB."""
    async with a_server(database, tmp_path) as server, a_front(server) as door:
        large = json.dumps(an_event(data={"a": "x" * 200_000})).encode()
        begun = a_request(server, large, authorization="Bearer whk_AAAAAAAA_" + "a" * 43)[: 40 * 1024]
        [answer] = await door.ask(begun)
        assert answer.startswith(b"HTTP/1.1 401"), "answered though most of the body never came"
        [answer] = await door.ask(a_request(server, large))
        assert answer.startswith(b"HTTP/1.1 202")


async def test_requests_sent_ahead_are_answered_in_order(database, tmp_path):
    async with a_server(database, tmp_path) as server, a_front(server) as door:
        raw = (
            a_request(server)
            + a_request(server, b"{")
            + a_request(server)
            + a_request(server, line="GET /api/v1/me HTTP/1.1")
        )
        answers = await door.ask(raw, raw, answers=8)
        assert [answer[9:12] for answer in answers] == [b"202", b"400", b"202", b"404"] * 2


async def test_a_connection_is_used_again_and_closed_when_asked_to(database, tmp_path):
    async with a_server(database, tmp_path) as server, a_front(server) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        for _ in range(3):
            writer.write(a_request(server))
            assert (await one_answer(reader)).startswith(b"HTTP/1.1 202")
        writer.write(a_request(server, connection="close"))
        answer = await one_answer(reader)
        assert b"\r\nconnection: close\r\n" in answer
        assert await reader.read() == b""
        assert door.asked == []
        writer.close()


async def test_who_hangs_up_keeps_nobody_else_from_an_answer(database, tmp_path):
    async with a_server(database, tmp_path) as server, a_front(server) as door:
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(a_request(server))
            writer.transport.abort()
        [answer] = await door.ask(a_request(server))
        assert answer.startswith(b"HTTP/1.1 202")


async def test_a_server_that_stops_answers_what_it_has_taken(database, tmp_path):
    async with a_server(database, tmp_path) as server, a_front(server) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        accepted = asyncio.get_running_loop().create_future()
        submit = server.parts.journal.submit

        def stop_meanwhile(*arguments: Any, **named: Any) -> None:
            for connection in door.state.connections:
                connection.shutdown()
            submit(*arguments, **named)
            accepted.set_result(None)

        server.parts.journal.submit = stop_meanwhile  # type: ignore[method-assign]
        writer.write(a_request(server))
        await accepted
        answer = await one_answer(reader)
        assert answer.startswith(b"HTTP/1.1 202")
        assert b"\r\nconnection: close\r\n" in answer
        assert await reader.read() == b""
        writer.close()
