"""A backup made under load, restored elsewhere: consistent, its secrets open, and what was pending goes on."""

import os
import shutil
import threading
from pathlib import Path

from dockbell.store.database import open_database
from dockbell.testing.client import Client
from dockbell.testing.receiver import Receiver, Visit
from tests.support.node import an_event
from tests.support.program import Node, make_webhook, run, until


class Publisher:
    """Publishes numbered events, one after the other, and remembers which were accepted."""

    def __init__(self, client: Client) -> None:
        self.accepted: list[str] = []
        self._client = client
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            name = f"event-{len(self.accepted)}"
            self._client.post("/api/v1/events", an_event(id=name))
            self.accepted.append(name)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def test_t25_a_backup_under_load_goes_on_where_it_was_made(tmp_path: Path) -> None:
    working: list[bool] = []

    def behave(visit: Visit) -> None:
        if visit.request() is not None:
            visit.answer(200 if working else 500)

    database = str(tmp_path / "data.sqlite")
    with Receiver(behave) as receiver:
        with Node(tmp_path, database) as node:
            client = node.client(node.keys[0])
            token = {"type": "token", "token": "kept-over-the-restore"}
            policy = {"name": "own", "stepsInSeconds": [2] * 20}
            make_webhook(client, receiver.url, authentication=token, retryPolicy=policy)
            load = Publisher(client)
            until(lambda: len(load.accepted) > 30, "some events are accepted")
            before = list(load.accepted)
            file = tmp_path / "backup"
            made = run(tmp_path, "backup", str(file), database=database)
            assert made.returncode == 0, made.stderr
            assert file.stat().st_mode & 0o777 == 0o600
            until(lambda: len(load.accepted) > len(before) + 10, "the load goes on")
            load.end()
            client.close()
            node.stop()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        restored = elsewhere / "data.sqlite"
        shutil.copy(file, restored)
        nobody = run(elsewhere, "rotate-keys", database=str(restored), key_file=str(elsewhere / "other.key"))
        assert nobody.returncode == 78, "it goes on without the key"
        shutil.copy(tmp_path / "dockbell.key", elsewhere / "dockbell.key")
        opened = open_database(str(restored))
        known = {row["publisher_id"] for row in opened.submit_read(lambda tx: tx.all("SELECT * FROM events")).result()}
        opened.close()
        assert set(before) <= known, "accepted before the backup, and not in it"
        assert known < set(load.accepted) | {f"event-{len(load.accepted)}"}
        working.append(True)
        seen = len(receiver.requests)
        with Node(elsewhere, str(restored)) as again:
            client = again.client(node.keys[0])

            def all_delivered() -> bool:
                rows = client.get("/api/v1/deliveries?limit=200")["items"]
                return {row["status"] for row in rows} == {"delivered"}

            def ids() -> set[str | None]:
                return {request.header("webhook-id") for request in receiver.requests[seen:]}

            # Where the load was quick, one page of the log does not show all of them.
            until(lambda: len(ids()) == len(known), "all that the backup knows is sent", 60)
            until(all_delivered, "what was pending is delivered", 40)
            sent = receiver.requests[seen:]
            assert {request.header("x-auth-token") for request in sent} == {"kept-over-the-restore"}
            assert len({request.header("webhook-id") for request in sent}) == len(known)
            # Publishing again what the backup knows adds nothing; what it does not know is new.
            assert client.post("/api/v1/events", an_event(id=before[0]))["repeated"]
            assert not client.post("/api/v1/events", an_event(id="never-sent"))["repeated"]
            client.close()


def test_a_backup_overwrites_nothing_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    database = str(tmp_path / "data.sqlite")
    assert run(tmp_path, "migrate", "--database", database).returncode == 0
    (tmp_path / "there").write_text("precious")
    ended = run(tmp_path, "backup", "there", database=database)
    assert (ended.returncode, (tmp_path / "there").read_text()) == (78, "precious")
    with (tmp_path / "data.sqlite").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(os.urandom(4096 * 4))
    for name in ("data.sqlite-wal", "data.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    broken = run(tmp_path, "backup", "new", database=database)
    assert broken.returncode != 0
    assert not list(tmp_path.glob("new*"))


def test_postgresql_is_backed_up_by_its_own_tools(tmp_path: Path) -> None:
    ended = run(tmp_path, "backup", "new", database="postgresql://nobody@/nothing")
    assert ended.returncode == 78
    assert "pg_dump" in ended.stderr
