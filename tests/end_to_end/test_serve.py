"""A node as its operator runs it: started, stopped, killed, started again, on both databases."""

import asyncio
import json
import resource
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from dockbell.actions.commit import Commit
from dockbell.actions.journal import Journal
from dockbell.app import App
from dockbell.egress.sender import Sender
from dockbell.embed import Store
from dockbell.errors import Unavailable
from dockbell.process import files_to_open
from dockbell.settings import ServerSettings, Settings
from dockbell.testing.client import ApiError
from dockbell.testing.receiver import Receiver, Visit, answering
from tests.support.asgi import Api
from tests.support.node import an_event
from tests.support.program import Node, delivered, free_port, make_webhook, run


class Slow:
    """Holds its first request until `go`; answers every later one with 200 at once."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self._first = True

    def __call__(self, visit: Visit) -> None:
        while visit.request():
            if self._first:
                self._first = False
                self.go.wait(30)
            visit.answer(200)


def test_the_first_start_prints_an_administrator_key_and_the_second_none(tmp_path: Path, database_url: str) -> None:
    with Node(tmp_path, database_url) as node:
        assert len(node.keys) == 1
        assert node.stop() == 0
        assert len(node.keys) == 1
    with Node(tmp_path, database_url) as node:
        assert node.stop() == 0
        assert node.keys == []


def test_what_is_published_arrives_signed_and_is_logged_with_timings(tmp_path: Path, database_url: str) -> None:
    with Receiver(answering(200)) as receiver, Node(tmp_path, database_url) as node:
        client = node.client(node.keys[0])
        made = make_webhook(client, receiver.url)
        client.post("/api/v1/events", an_event())
        assert receiver.wait_for_requests(1, 10)
        [request] = receiver.requests
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        headers = {name: request.header(name) or "" for name in names}
        Webhook(made["signingSecret"]).verify(request.body, headers)
        delivery = delivered(client)
        [attempt] = delivery["attemptList"]
        assert attempt["code"] == "delivered"
        assert 0 < attempt["durationInMs"]["firstByte"] <= attempt["durationInMs"]["total"]
        client.close()
        assert node.stop() == 0


def test_a_node_told_to_stop_ends_in_time_and_the_next_start_delivers(tmp_path: Path, database_url: str) -> None:
    slow = Slow()
    with Receiver(slow) as receiver:
        with Node(tmp_path, database_url, worker__shutdown_s="0.5") as node:
            key = node.keys[0]
            client = node.client(key)
            make_webhook(client, receiver.url)
            client.post("/api/v1/events", an_event())
            assert receiver.wait_for_requests(1, 10)
            client.close()
            assert node.stop(8) == 0
        with Node(tmp_path, database_url) as node:
            client = node.client(key)
            delivery = delivered(client, 40)
            client.close()
        slow.go.set()
        assert [attempt["code"] for attempt in delivery["attemptList"]] == ["interrupted", "delivered"]
        assert len({request.header("webhook-id") for request in receiver.requests}) == 1


def test_a_killed_node_shows_an_interrupted_attempt_and_delivers_after_its_next_start(
    tmp_path: Path, database_url: str
) -> None:
    slow = Slow()
    with Receiver(slow) as receiver:
        with Node(tmp_path, database_url) as node:
            key = node.keys[0]
            client = node.client(key)
            make_webhook(client, receiver.url, timeoutInSeconds=1.5)
            client.post("/api/v1/events", an_event())
            assert receiver.wait_for_requests(1, 10)
            node.kill()
            client.close()
        with Node(tmp_path, database_url) as node:
            client = node.client(key)
            delivery = delivered(client, 30)
            client.close()
        slow.go.set()
        assert [attempt["code"] for attempt in delivery["attemptList"]] == ["interrupted", "delivered"]
        assert len({request.header("webhook-id") for request in receiver.requests}) == 1


def test_a_webhook_made_at_one_node_fires_for_an_event_of_another(tmp_path: Path, fresh_schema: str) -> None:
    with Receiver(answering(200)) as receiver, Node(tmp_path, fresh_schema) as a, Node(tmp_path, fresh_schema) as b:
        at_a, at_b = a.client(a.keys[0]), b.client(a.keys[0])
        make_webhook(at_a, receiver.url)
        at_b.post("/api/v1/events", an_event())
        assert receiver.wait_for_requests(1, 2)
        at_a.close()
        at_b.close()


def test_a_sqlite_file_has_one_node_and_a_second_says_so(tmp_path: Path) -> None:
    """Restarted while a second one works, the first would take what that one is sending for abandoned, and send it again."""
    database = str(tmp_path / "data.sqlite")
    with Node(tmp_path, database) as first:
        port = str(free_port())
        second = run(tmp_path, "serve", database=database, key_file=str(tmp_path / "dockbell.key"), server__port=port)
        assert second.returncode == 78
        assert second.stdout == "", "it gave a link to become the first administrator, and went"
        assert "Another Dockbell serves" in second.stderr
        assert "PostgreSQL" in second.stderr
        [node] = first.client(first.keys[0]).get("/api/v1/health").items()
        assert node == ("status", "ok")


def test_a_second_node_takes_over_what_a_killed_one_held(tmp_path: Path, fresh_schema: str) -> None:
    slow = Slow()
    with Receiver(slow) as receiver, Node(tmp_path, fresh_schema) as a, Node(tmp_path, fresh_schema) as b:
        at_a, at_b = a.client(a.keys[0]), b.client(a.keys[0])
        make_webhook(at_a, receiver.url, timeoutInSeconds=1)
        at_a.post("/api/v1/events", an_event())
        assert receiver.wait_for_requests(1, 10)
        a.kill()
        delivery = delivered(at_b, 30)
        slow.go.set()
        assert [attempt["code"] for attempt in delivery["attemptList"]] == ["interrupted", "delivered"]
        at_a.close()
        at_b.close()


BROKEN = """
from dockbell import cli
from dockbell.actions.journal import Journal

def broken(*_):
    raise RuntimeError("on purpose")

Journal._answer = Journal._fail = broken
cli.main()
"""


def test_a_node_whose_journal_ended_says_why_and_ends_with_an_error(tmp_path: Path, database_url: str) -> None:
    """R8"""
    with Node(tmp_path, database_url, program=(sys.executable, "-c", BROKEN)) as node:
        client = node.client(node.keys[0])
        client.put("/api/v1/goodsOwners/114", {"name": "Nordic Tea AB"})
        with pytest.raises((ApiError, OSError, ValueError)):  # nothing was accepted
            client.post("/api/v1/events", an_event())
        client.close()
        assert node.process.wait(20) == 1
        [told] = [json.loads(line) for line in node.output.splitlines() if '"server.broken"' in line]
        assert (told["part"], "on purpose" in told["exception"]) == ("journal", True)
        assert "The journal ended by a mistake of Dockbell's" in node.output


async def test_a_node_whose_journal_ended_is_not_healthy(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R8"""

    def broken(*_: object) -> None:
        raise RuntimeError("on purpose")

    settings = Settings(database=database_url, key_file=tmp_path / "key", server=ServerSettings(port=free_port()))
    app = App(settings, Store(settings))
    monkeypatch.setattr(Journal, "_answer", broken)
    await app.start()
    api = Api(app.asgi)
    assert (await api.get("/api/v1/health")).status == 200
    app.journal._ended.append((Commit([], [], {}), None))
    app.journal._news.set()
    await asyncio.wait({app._journal_task})
    reply = await api.get("/api/v1/health")
    assert (reply.status, reply.code) == (503, "unavailable")
    with pytest.raises(Unavailable, match="journal ended"):
        await asyncio.wait_for(app.serve(), 20)


async def test_connections_are_kept_by_the_files_it_may_open_and_not_by_those_it_was_started_with(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell gives 1,024, of which a fourth is too little for 500 receivers; each would be connected to anew."""
    told: list[int] = []

    def sender(*given: Any, kept: int, **named: Any) -> Sender:
        told.append(kept)
        return Sender(*given, kept=kept, **named)

    monkeypatch.setattr("dockbell.app.Sender", sender)
    settings = Settings(database=database_url, key_file=tmp_path / "key", server=ServerSettings(port=free_port()))
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (few := min(before, 100), hard))
    try:
        app = App(settings, Store(settings))
        await app.start()
        await app.stop()
        assert told == [files_to_open() // 4]
        assert told[0] > few // 4
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


def test_unfinished_requests_are_ended_and_keep_nobody_out(tmp_path: Path) -> None:
    """U-9: as the program itself is set up and limited by its operating system."""
    limited = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 192)); {BROKEN.splitlines()[1]}; cli.main()"
    )
    database = str(tmp_path / "data.sqlite")
    short = {"server__head_timeout_s": "3", "server__body_timeout_s": "3"}
    with Node(tmp_path, database, program=(sys.executable, "-c", limited), **short) as node:
        held = [socket.create_connection(("127.0.0.1", node.port), 10) for _ in range(150)]
        for number, each in enumerate(held):
            begun = (
                b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
                if number % 2
                else b"GET / HTTP/1.1\r\nX-"
            )
            with suppress(OSError):  # it may have had to make room
                each.sendall(begun)
        client = node.client(node.keys[0])
        assert client.get("/api/v1/health") == {"status": "ok"}
        for each in held:
            with suppress(ConnectionResetError):
                each.settimeout(10)
                while each.recv(4096):
                    pass
            each.close()
        client.close()
        endless = socket.create_connection(("127.0.0.1", node.port), 10)
        with suppress(ConnectionResetError, BrokenPipeError):
            endless.sendall(b"GET / HTTP/1.1\r\nX-A: " + b"a" * 4_000_000)
        endless.close()
        assert node.stop() == 0
