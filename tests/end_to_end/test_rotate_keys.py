"""`dockbell rotate-keys` beside a node that publishes, delivers and is changed, killed in the middle."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from dockbell.store.database import open_database
from dockbell.store.vault import rows_by_key
from dockbell.testing.client import Client
from dockbell.testing.receiver import Receiver, answering
from tests.support.node import TEA, a_webhook, an_event
from tests.support.program import Node, Program, run

WEBHOOKS = 100


@contextmanager
def watched(database_url: str) -> Iterator[Callable[[], dict[str, int]]]:
    """How many rows are sealed by which key, asked over a connection that is open already: the rotation is quick."""
    opened = open_database(database_url)
    try:
        yield lambda: opened.submit_read(rows_by_key).result()
    finally:
        opened.close()


def by_key(database_url: str) -> dict[str, int]:
    with watched(database_url) as now:
        return now()


class Load:
    """Publishes, and saves webhooks with new tokens, until it is left."""

    def __init__(self, client: Client, webhooks: list[int]) -> None:
        self._client, self._webhooks = client, webhooks
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.tokens: dict[int, str] = {}
        self.failed: list[str] = []

    def _run(self) -> None:
        turn = 0
        while not self._ended.is_set():
            webhook_id = self._webhooks[turn * 7 % len(self._webhooks)]
            token = f"token-of-{webhook_id}-turn-{turn}"
            try:
                self._client.post("/api/v1/events", an_event())
                self._client.patch(
                    f"/api/v1/webhooks/{webhook_id}", {"authentication": {"type": "token", "token": token}}
                )
                self.tokens[webhook_id] = token
            except Exception as error:
                self.failed.append(repr(error))
                return
            turn += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def test_s2_rotation_under_load_survives_a_kill_and_every_secret_works(tmp_path: Path, database_url: str) -> None:
    key_file = tmp_path / "dockbell.key"
    own = {"database": database_url, "key_file": str(key_file)}
    with Receiver(answering(200)) as receiver:
        with Node(tmp_path, database_url) as node:
            key = node.keys[0]
            client = node.client(key)
            client.put(f"/api/v1/goodsOwners/{TEA}", {"name": "Nordic Tea AB"})
            tokens: dict[int, str] = {}
            for n in range(WEBHOOKS):
                made: Any = client.post(
                    "/api/v1/webhooks",
                    a_webhook(
                        name=f"W{n}",
                        targetUrl=f"{receiver.url}/{n}",
                        authentication={"type": "token", "token": f"first-token-{n}"},
                        # One that hears of nothing while the load runs: its secret must survive unused.
                        eventType="order.picked" if n == 0 else "order.created",
                    ),
                )
                made = made.get("webhook", made)
                tokens[made["id"]] = f"first-token-{n}"
            [old] = by_key(database_url)
            with watched(database_url) as now, Load(client, list(tokens)) as load:
                with Program(tmp_path, "rotate-keys", "--new-key", **own) as rotating:
                    while len(now()) < 2 and rotating.process.poll() is None:
                        pass
                    rotating.kill()
                half = by_key(database_url)
                assert half.get(old, 0) > 0, "it was killed too late to show anything"
                ended = run(tmp_path, "rotate-keys", **own)
            assert not load.failed, load.failed
            tokens |= load.tokens
            if ended.returncode == 1:  # a change that was under way when the last batch was sealed
                ended = run(tmp_path, "rotate-keys", **own)
            assert ended.returncode == 0, ended.stdout + ended.stderr
            assert old not in by_key(database_url)
            client.close()
            node.stop()
        key_file.write_text(key_file.read_text().splitlines()[0] + "\n")
        with Node(tmp_path, database_url, limits__tests_per_minute="1000") as node:
            client = node.client(key)
            before = len(receiver.requests)
            # Each webhook sends a test event with the token it had last.
            for webhook_id in tokens:
                client.post(f"/api/v1/webhooks/{webhook_id}/testEvent", {})
            assert receiver.wait_for_requests(before + len(tokens))
            sent = [request.header("x-auth-token") or "" for request in receiver.requests[before:]]
            assert set(tokens.values()) <= set(sent)
            client.close()


def test_s2_a_node_without_a_key_that_secrets_need_says_which(tmp_path: Path, database_url: str) -> None:
    key_file = tmp_path / "dockbell.key"
    own = {"database": database_url, "key_file": str(key_file)}
    assert run(tmp_path, "migrate", **own).returncode == 0
    assert run(tmp_path, "rotate-keys", **own).returncode == 0
    [old] = by_key(database_url)
    key_file.write_text("A" * 43 + "=\n")
    ended = run(tmp_path, "rotate-keys", **own)
    assert ended.returncode == 78
    assert old in ended.stderr
