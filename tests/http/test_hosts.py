"""U-10: the server answers to its names, and reads no request that a proxy before it could have read otherwise."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from dockbell.web.api.publish import publish_at_once
from dockbell.web.server import build_app
from tests.http.test_connections import a_served
from tests.support.asgi import Api
from tests.support.parts import a_server, an_event


async def test_u10_only_the_names_of_the_server_are_answered(database, tmp_path: Path):
    async with a_server(database, tmp_path) as server:
        parts = replace(server.parts, hosts=frozenset({b"dockbell.example.com", b"::1"}))
        api = Api(build_app(parts), server.admin.key)
        for host in ("dockbell.example.com", "Dockbell.Example.COM:8420", "dockbell.example.com:"):
            assert (await api.get("/api/v1/webhooks", headers=[("host", host)])).status == 200
            assert (await api.post("/api/v1/events", an_event(), headers=[("host", host)])).status == 202
        wrong = [
            "evil.example.com",
            "dockbell.example.com.evil.example.com",
            "dockbell.example.com:1:2",
            "",
            "127.0.0.1:8420",
        ]
        for target in ("/api/v1/webhooks", "/administration/webhooks", "/"):
            for host in wrong:
                reply = await api.get(target, headers=[("host", host), ("x-forwarded-host", "dockbell.example.com")])
                assert (reply.status, reply.code) == (421, "host")
            assert (await api.get(target)).code == "host"
        reply = await api.post("/api/v1/events", an_event(), headers=[("host", "evil.example.com")])
        assert reply.code == "host"
        assert (await api.get("/api/v1/health", headers=[("host", "10.1.2.3")])).status == 200


async def test_u10_the_short_way_of_publishing_asks_for_the_name_too(database, tmp_path: Path):
    async with a_server(database, tmp_path) as server:
        await server.admin.get("/api/v1/webhooks")  # now the key is remembered
        parts = replace(server.parts, hosts=frozenset({b"dockbell.example.com"}))
        told: list[int] = []
        for host, taken in ((b"evil.example.com", False), (b"dockbell.example.com", True)):
            headers = [
                (b"host", host),
                (b"authorization", f"Bearer {server.admin.key}".encode()),
                (b"content-type", b"application/json"),
            ]
            body = b'{"type": "test.anything", "goodsOwnerId": 114, "data": {"a": 1}}'
            assert publish_at_once(parts, headers, body, lambda status, *_: told.append(status)) is taken
        await asyncio.wait_for(server.admin.post("/api/v1/events", an_event()), 20)
        assert told == [202]


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
AMBIGUOUS = {
    "length and chunked": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "a list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\nabcde",
    "a length with a sign": HEAD + b"Content-Length: +5\r\n\r\nabcde",
    "a length in hex": HEAD + b"Content-Length: 0x5\r\n\r\nabcde",
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked and then another": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a blank before the colon": HEAD + b"Content-Length : 5\r\n\r\nabcde",
    "a folded line": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a bare line feed in a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\nabcde\r\n0\r\n\r\n",
    "a chunk size that is none": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("request_", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_u10_a_request_that_could_be_parted_in_two_ways_is_refused_and_its_connection_ended(request_: bytes):
    async with a_served() as clients:
        reader = await clients.connect(request_ + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        answered = await asyncio.wait_for(reader.read(), 20)
        assert b"HTTP/1.1 200" not in answered
        assert answered.count(b"HTTP/1.1 400") <= 1
        assert await clients.asks() == 200
