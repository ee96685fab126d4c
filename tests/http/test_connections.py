"""What a client may do to the server before it is an honest request: real connections, in the test's own loop."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dockbell.web.body import HungUp, read_body
from dockbell.web.connection import LONGEST_HEAD_BYTES, Limits
from dockbell.web.listen import a_server
from tests.support.program import free_port

SHORT_S, LONG_S = 0.3, 30.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"


class Clients:
    """Those of a server that answers 200, and how many bodies it waited for in vain."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.hung_up = 0
        self.most_waiting = 0
        """Requests of one connection that waited while another of it was answered."""
        self._open: list[asyncio.StreamWriter] = []

    async def connect(self, *sent: bytes) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._open.append(writer)
        for each in sent:
            await self.send(each)
        return reader

    async def send(self, sent: bytes, *, at: int = -1) -> None:
        """On the newest connection, or that number."""
        self._open[at].write(sent)
        await self._open[at].drain()

    async def asks(self) -> int:
        """The status an honest client is answered with."""
        return status_of(await head_of(await self.connect(GET + b"\r\n")))

    def leave(self) -> None:
        for each in self._open:
            each.close()


@asynccontextmanager
async def a_served(app: Any = None, **limits: Any) -> AsyncIterator[Clients]:
    clients = Clients(free_port())

    async def answer_200(scope: Any, receive: Any, send: Any) -> None:
        waiting = [len(each.pipeline) for each in server.server_state.connections]  # type: ignore[union-attr]
        clients.most_waiting = max(clients.most_waiting, *waiting)
        try:
            body = await read_body(receive, None)
        except HungUp:
            clients.hung_up += 1
            return
        answer = b"x" * int(dict(scope["headers"]).get(b"x-wants", b"0")) or b"%d" % len(body)
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    given = {"head_timeout_s": LONG_S, "body_timeout_s": LONG_S, **limits}
    server = a_server(app or answer_200, "127.0.0.1", clients.port, Limits(**given))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.wait({serving}, timeout=0.01)
        yield clients
    finally:
        clients.leave()
        server.should_exit = True
        await asyncio.wait_for(serving, 20)


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server ends the connection."""
    try:
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionResetError:
        return b""


def status_of(said: bytes) -> int:
    return int(said.split(b" ")[1])


async def refused(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Status and code of the answer with which the server ends the connection."""
    head, _, body = (await rest_of(reader)).partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert b"application/problem+json" in head
    return status_of(head), json.loads(body)["code"]


@pytest.mark.parametrize(
    "begun",
    [GET + b"X-A: ", b"GET /", CHUNKED + b"0\r\nX-A: ", CHUNKED + b"1;", b"\r\n", GET + b"X: y\r\n"],
    ids=["header", "target", "trailer", "chunk-extension", "nothing", "many-headers"],
)
async def test_a_head_without_end_is_refused_at_32_kib_and_its_connection_ended(begun: bytes):
    """U-9"""
    more = {b"\r\n": b"\r\n", GET + b"X: y\r\n": b"X: y\r\n"}.get(begun, b"a")
    async with a_served() as clients:
        reader = await clients.connect(begun, more * (LONGEST_HEAD_BYTES // len(more) - 100))
        assert await clients.asks() == 200
        await clients.send(more * (LONGEST_HEAD_BYTES // len(more)), at=0)
        assert await refused(reader) == (431, "head_too_long")


async def test_a_head_of_just_under_32_kib_and_a_body_beside_it_are_read():
    """U-9"""
    fill = LONGEST_HEAD_BYTES - len(POST) - 100
    head = POST.replace(b"\r\n\r\n", b"\r\nX-A: " + b"a" * fill + b"\r\n\r\n").replace(b": 1000", b": 200000")
    async with a_served() as clients:
        request = head + b"b" * 200_000
        reader = await clients.connect(request * 3)
        for _ in range(3):
            assert status_of(await head_of(reader)) == 200
            assert await reader.readexactly(6) == b"200000"


@pytest.mark.parametrize("begun", [b"G", GET + b"X-", b"\r\n"])
async def test_a_head_that_does_not_come_in_time_ends_its_connection(begun: bytes):
    """U-9"""
    async with a_served(head_timeout_s=SHORT_S) as clients:
        first = await clients.connect(begun)
        told = await rest_of(first)
        assert told == b"" if begun == b"\r\n" else (status_of(told) == 408 and b'"head_timeout"' in told)
        assert await rest_of(await clients.connect()) == b""
        # A second head on a connection that has been answered has no more time than the first.
        second = await clients.connect(GET + b"\r\n")
        assert status_of(await head_of(second)) == 200
        await clients.send(begun)
        assert (await rest_of(second)).startswith((b"0", b"0HTTP/1.1 408"))
        assert await clients.asks() == 200


async def test_a_body_that_does_not_come_in_time_ends_its_connection():
    """U-9"""
    async with a_served(body_timeout_s=SHORT_S) as clients:
        assert await refused(await clients.connect(POST, b"e")) == (408, "body_timeout")
        assert await refused(await clients.connect(CHUNKED)) == (408, "body_timeout")
        assert clients.hung_up == 2
        assert await clients.asks() == 200


WISHES = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        (WISHES + b"Content-Length: 33\r\n\r\n" + GET + b"\r\nabcdef",),
        (WISHES + b"Content-Length: 33\r\n\r\n", GET + b"\r\nabcdef"),
        (WISHES[:50], WISHES[50:] + b"Content-Length: 33\r\n\r\n" + GET[:9], GET[9:] + b"\r\nabcdef"),
        (WISHES + b"Transfer-Encoding: chunked\r\n\r\n", b"21\r\n" + GET + b"\r\nabcdef\r\n0\r\n\r\n"),
    ],
    ids=["in one piece", "the body later", "in many pieces", "in chunks"],
)
async def test_the_body_of_who_wishes_for_another_protocol_is_no_request(sent: tuple[bytes, ...]):
    """It was read as the next request: whoever wrote it could have slipped one through a proxy that reuses connections."""
    async with a_served() as clients:
        reader = await clients.connect()
        for each in sent:
            await clients.send(each)

        await clients.send(GET + b"X-Wants: 3\r\n\r\n")
        answers = [(await head_of(reader), await reader.readexactly(length))[1] for length in (2, 3)]
        assert answers == [b"33", b"xxx"]


async def test_wishes_for_another_protocol_sent_ahead_are_answered_in_order():
    """Each was read inside the reading of the one before: five hundred were too deep, and a traceback in the log."""
    wish = b"GET / HTTP/1.1\r\nHost:x\r\nConnection:upgrade\r\nUpgrade:x\r\n\r\n"
    async with a_served() as clients:
        reader = await clients.connect(wish * 500 + GET + b"X-Wants: 3\r\n\r\n")
        for answer in [b"0"] * 500 + [b"xxx"]:
            await head_of(reader)
            assert await reader.readexactly(len(answer)) == answer


async def test_connect_is_refused():
    async with a_served() as clients:
        reader = await clients.connect(b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n" + GET)
        assert status_of(await head_of(reader)) == 400
        assert b"HTTP/1.1" not in await rest_of(reader)


async def test_a_trailer_is_no_header():
    """RFC 9110, 6.5.1: behind a proxy one could say there what the proxy says in the head, such as X-Forwarded-For."""
    async with a_served() as clients:
        reader = await clients.connect(CHUNKED + b"0\r\nX-Wants: 3\r\n\r\n" + GET + b"X-Wants: 5\r\n\r\n")
        answers = [(await head_of(reader), await reader.readexactly(length))[1] for length in (1, 5)]
        assert answers == [b"1", b"xxxxx"]


async def test_requests_sent_ahead_are_not_all_read_while_one_is_answered():
    """U-9: each that waits takes ninety times what it came as, and one client could send without end."""
    async with a_served() as clients:
        count = 4_000
        reader = await clients.connect()
        sending = asyncio.create_task(clients.send((GET + b"\r\n" + POST + b"b" * 1000) * (count // 2)))
        for _ in range(count // 2):
            for length in (b"0", b"1000"):
                await head_of(reader)
                assert await reader.readexactly(len(length)) == length
        await sending
        assert clients.most_waiting <= 100


@pytest.mark.parametrize(
    "begun", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"], ids=["waited for", "half sent"]
)
async def test_what_cannot_be_read_is_not_refused_in_place_of_the_answer_that_is_under_way(begun: bytes):
    """An event that was accepted seemed refused, and half an answer was followed by another."""
    broken, asked = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        asked.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        broken.set()

    async with a_served(app) as clients:
        reader = await clients.connect(GET + b"\r\n")
        await asyncio.wait_for(asked.wait(), 20)
        await clients.send(b"this is no request\r\n\r\n")
        said = await rest_of(reader)
        assert re.sub(rb"date: .*\r\n", b"", said) == begun
        await asyncio.wait_for(broken.wait(), 20)


async def test_the_rest_of_a_body_that_was_answered_before_it_came_is_not_waited_for():
    """U-9"""
    async with a_served(head_timeout_s=SHORT_S) as clients:
        reader = await clients.connect(POST.replace(b"1000", b"9000000") + b"e" * 300_000)
        assert status_of(await head_of(reader)) == 500  # this small application has no words for TooLarge
        assert isinstance(await rest_of(reader), bytes)


async def test_an_answer_that_nobody_reads_is_broken_off():
    """U-9"""
    async with a_served(body_timeout_s=SHORT_S) as clients:
        reader = await clients.connect(GET + b"X-Wants: 30000000\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        asyncio.get_running_loop().call_later(5 * SHORT_S, reader._transport.resume_reading)  # type: ignore[attr-defined]
        assert len(await rest_of(reader)) < 30_000_000


async def test_half_open_connections_make_room_for_an_honest_client():
    """U-9"""
    async with a_served(connections=10) as clients:
        held = [await clients.connect(GET + b"X-") for _ in range(10)]
        for waited_longest in held[:5]:
            assert await clients.asks() == 200
            assert await rest_of(waited_longest) == b""
        assert not any(each.at_eof() for each in held[5:])


async def test_a_client_beyond_the_cap_is_refused_when_everyone_is_being_answered():
    """U-9"""
    async with a_served(connections=3) as clients:
        held = [await clients.connect(POST) for _ in range(3)]
        assert await refused(await clients.connect()) == (503, "too_many_connections")
        await clients.send(b"b" * 1000, at=2)
        assert status_of(await head_of(held[-1])) == 200
        assert await clients.asks() == 200


async def test_of_clients_beyond_the_cap_that_come_together_each_is_refused():
    """U-9: the one that was refused was taken for one that waits, and made room for the next."""
    async with a_served(connections=1) as clients:
        await clients.connect(POST)
        beyond = await asyncio.gather(*[clients.connect() for _ in range(6)])
        assert [await refused(each) for each in beyond] == [(503, "too_many_connections")] * 6
