"""A backup made under load, restored elsewhere: consistent, its secrets open, and what was pending goes on."""

import contextlib
import errno
import os
import shutil
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from dockbell.errors import ConfigError, DockbellError, StorageFull
from dockbell.store.backup import back_up
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


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    file = tmp_path / "data.sqlite"
    with contextlib.closing(apsw.Connection(str(file))) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE filled AS SELECT randomblob(100000) AS data")
    return file


def a_file(folder: Path) -> None:
    (folder / "file").write_text("precious")


def a_link_to_nowhere(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "nowhere")


def a_backup_there(folder: Path) -> None:
    (folder / "there").write_text("precious")


@pytest.mark.parametrize(
    ("prepare", "to", "said"),
    [
        (a_file, "none/new", "cannot be made: No such file or directory"),
        (a_file, "file/new", "cannot be made: Not a directory"),
        (a_file, "n" * 300, "cannot be made: File name too long"),
        (a_file, ".", "is there already"),
        (a_backup_there, "there", "is there already"),
        (a_link_to_nowhere, "link", "is there already"),
    ],
    ids=["no folder", "file as folder", "long name", "folder", "file", "link to nowhere"],
)
def test_a_place_where_no_backup_can_be_made_is_refused_in_words(
    filled: Path, prepare: Callable[[Path], None], to: str, said: str
) -> None:
    prepare(filled.parent)
    before = sorted(filled.parent.iterdir())
    with pytest.raises(ConfigError, match=said) as refused:
        back_up(filled, filled.parent / to)
    assert refused.value.hint
    assert sorted(filled.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("why", "refusal"), [(errno.EROFS, ConfigError), (errno.ENOSPC, StorageFull)], ids=["read-only", "full"]
)
def test_a_disk_that_takes_no_more_at_the_end_of_a_backup_is_told_and_nothing_is_left(
    filled: Path, monkeypatch: pytest.MonkeyPatch, why: int, refusal: type[DockbellError]
) -> None:
    def refuse(_: Path, to: Path) -> None:
        raise OSError(why, os.strerror(why), str(to))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(refusal, match="backup"):
        back_up(filled, filled.parent / "new")
    assert list(filled.parent.iterdir()) == [filled]


def test_what_is_no_database_is_not_backed_up_and_nothing_is_left(tmp_path: Path) -> None:
    source = tmp_path / "data.sqlite"
    source.write_bytes(b"x" * 9000)
    with pytest.raises(ConfigError, match="it is no database") as refused:
        back_up(source, tmp_path / "new")
    assert str(source) in refused.value.message
    assert "DOCKBELL_DATABASE" in refused.value.hint
    assert list(tmp_path.iterdir()) == [source]


def held_by_another(file: Path) -> apsw.Connection:
    holder = apsw.Connection(str(file))
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    return holder


def test_a_database_that_another_program_holds_is_not_backed_up_and_nothing_is_left(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockbell.store.backup.BUSY_TIMEOUT_MS", 10, raising=False)
    with contextlib.closing(held_by_another(filled)), pytest.raises(ConfigError, match="it is locked") as refused:
        back_up(filled, filled.parent / "new")
    assert "Another program holds the file" in refused.value.hint
    assert not list(filled.parent.glob("new*"))


def test_a_backup_waits_for_another_program_that_lets_the_database_go(filled: Path) -> None:
    letting_go = threading.Timer(0.3, held_by_another(filled).close)
    letting_go.start()
    assert back_up(filled, filled.parent / "new") > 100_000
    letting_go.join()


def test_of_two_backups_to_one_name_at_a_time_one_is_made_and_the_other_refused(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_are_copied = threading.Barrier(2)
    sync = os.fsync

    def wait(opened: int) -> None:
        sync(opened)
        if stat.S_ISREG(os.fstat(opened).st_mode):
            both_are_copied.wait(10)

    def made() -> object:
        try:
            return back_up(filled, filled.parent / "new")
        except ConfigError as error:
            return error.message

    monkeypatch.setattr(os, "fsync", wait)
    with ThreadPoolExecutor(2) as pool:
        told = [each.result() for each in (pool.submit(made), pool.submit(made))]
    new = filled.parent / "new"
    assert sorted(map(str, told)) == sorted(
        [str(new.stat().st_size), f"{new} is there already; a backup overwrites nothing."]
    )
    assert sorted(filled.parent.iterdir()) == [filled, new]
    with contextlib.closing(apsw.Connection(str(new))) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
