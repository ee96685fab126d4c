"""A store that may not be written, or is not what it was: found at the start, or as soon as it is so."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import apsw
import psycopg
import pytest
from psycopg import sql
from structlog.testing import capture_logs

from dockbell.actions.doctor import examine
from dockbell.app import App
from dockbell.clock import SystemClock
from dockbell.domain.findings import Installation
from dockbell.embed import Store
from dockbell.errors import ConfigError, StorageFull, Unavailable
from dockbell.settings import ServerSettings, Settings
from dockbell.store import postgres
from dockbell.store.database import Database, Transaction, open_database
from dockbell.store.migrate import migrate
from dockbell.store.outbox import open_outbox
from dockbell.web.listen import taken_addresses
from tests.support.asgi import Api
from tests.support.postgres import url_of
from tests.support.program import free_port
from tests.support.rows import put_goods_owners, rows_of

_never = threading.Event()


@contextmanager
def read_only(database_url: str, tmp_path: Path) -> Iterator[None]:
    """SQLite's file is moved away; PostgreSQL's database is switched to reading, and everybody connects anew."""
    if database_url.startswith("sqlite"):
        file, away = tmp_path / "data.sqlite", tmp_path / "away"
        file.rename(away)
        yield
        away.rename(file)
        return
    with psycopg.connect(database_url, autocommit=True, application_name="switch") as admin:
        name = sql.Identifier(admin.info.dbname)
        admin.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
        try:
            admin.execute("""
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name LIKE 'test_%'
            """)
            yield
        finally:
            admin.execute(sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(name))
            admin.execute("""
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name LIKE 'test_%'
            """)


async def test_a_node_whose_store_takes_no_writes_is_not_healthy_until_it_does(database_url: str, tmp_path: Path):
    settings = Settings(database=database_url, key_file=tmp_path / "key", server=ServerSettings(port=free_port()))
    app = App(settings, Store(settings))
    await app.start()
    api = Api(app.asgi)

    async def answers(status: int) -> None:
        for _ in range(400):
            if (await api.get("/api/v1/health")).status == status:
                return
            await asyncio.to_thread(_never.wait, 0.05)
        pytest.fail(f"health never answered {status}")

    await answers(200)
    with read_only(database_url, tmp_path):
        await answers(503)
    await answers(200)
    await app.stop()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(str(tmp_path / "data.sqlite"))
    migrate(opened, now=1)
    yield opened
    opened.close()


def test_nothing_is_accepted_into_a_file_that_was_deleted(sqlite: Database, tmp_path: Path):
    file = tmp_path / "data.sqlite"
    file.rename(tmp_path / "away")
    with pytest.raises(Unavailable, match="deleted or replaced"):
        put_goods_owners(sqlite)
    with pytest.raises(Unavailable, match="deleted or replaced"):  # no thread has read yet: each connects only now
        rows_of(sqlite, "SELECT id FROM goods_owners")
    assert not file.exists()
    file.write_bytes((tmp_path / "away").read_bytes())
    with pytest.raises(Unavailable, match="deleted or replaced"):
        put_goods_owners(sqlite)
    (tmp_path / "away").replace(file)
    put_goods_owners(sqlite)
    assert rows_of(sqlite, "SELECT id FROM goods_owners")


def test_nothing_is_accepted_without_the_log_and_what_was_is_there_after_a_stop(tmp_path: Path):
    """Somebody tidied up: SQLite itself goes on in a log without a name, and a kill would take along what is only there."""
    node = Store(Settings(database=str(tmp_path / "data.sqlite")))
    put_goods_owners(node.database)
    (tmp_path / "data.sqlite-wal").unlink()
    with pytest.raises(Unavailable, match="-wal file was deleted or replaced") as refused:
        put_goods_owners(node.database)
    assert "not by force" in refused.value.hint
    node.close()
    again = open_database(str(tmp_path / "data.sqlite"))
    assert len(rows_of(again, "SELECT id FROM goods_owners")) == 2
    again.close()


def test_without_the_log_nobody_else_can_write_what_would_destroy_the_file(tmp_path: Path):
    """Another program makes a log of its own, and shares our index of ours."""
    sqlite = open_database(str(tmp_path / "data.sqlite"))
    migrate(sqlite, now=1)
    put_goods_owners(sqlite)
    (tmp_path / "data.sqlite-wal").unlink()
    with pytest.raises(Unavailable):
        put_goods_owners(sqlite)
    for _ in range(200):  # until what the log held is in the file
        if (tmp_path / "data.sqlite").stat().st_size > 100_000:
            break
        _never.wait(0.05)
    other = apsw.Connection(str(tmp_path / "data.sqlite"))
    other.set_busy_timeout(100)
    with pytest.raises(apsw.BusyError):
        other.execute("UPDATE goods_owners SET name = 'changed elsewhere'")
    with pytest.raises(Unavailable):
        put_goods_owners(sqlite)
    other.close()
    sqlite.close()
    again = open_database(str(tmp_path / "data.sqlite"))
    assert rows_of(again, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    assert len(rows_of(again, "SELECT id FROM goods_owners")) == 2
    again.close()


def test_what_is_written_is_in_the_file_itself_soon_and_not_only_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whoever cuts the log to nothing, or copies the file alone, loses a minute and not a young installation."""
    monkeypatch.setattr("dockbell.store.checkpoints.COPIED_WITHIN_S", 0.1)
    sqlite = open_database(str(tmp_path / "data.sqlite"))
    migrate(sqlite, now=1)
    put_goods_owners(sqlite)
    copy = tmp_path / "alone"
    for _ in range(200):
        copy.write_bytes((tmp_path / "data.sqlite").read_bytes())
        if b"Fjord Outdoor AS" in copy.read_bytes():
            break
        _never.wait(0.05)
    alone = open_database(str(copy))
    assert len(rows_of(alone, "SELECT id FROM goods_owners")) == 2
    alone.close()
    sqlite.close()


def test_a_file_that_cannot_be_read_for_a_moment_does_not_end_the_writer(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
):
    looked = threading.Event()

    def fail() -> int:
        looked.set()
        raise apsw.IOError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(sqlite, "_version", fail)
        assert looked.wait(10)
    put_goods_owners(sqlite)
    assert len(rows_of(sqlite, "SELECT id FROM goods_owners")) == 2


def small(tx: Transaction) -> int:
    return tx.run("UPDATE counters SET value = value + 1 WHERE name = 'webhook'")


def large(tx: Transaction) -> int:
    """In one row: SQLite undoes the whole transaction when there is no room for it, and not the statement alone."""
    return tx.run("INSERT INTO goods_owners (id, name, created_at) VALUES (8, :name, 0)", name="x" * 1_000_000)


@pytest.mark.parametrize("works", [[large], [small, large, small]])
def test_everybody_in_a_commit_for_which_there_is_no_room_is_told_so(
    sqlite: Database, works: list[Callable[[Transaction], int]]
):
    entered, go_on = threading.Event(), threading.Event()

    def fill(tx: Transaction) -> None:
        tx.all("PRAGMA max_page_count = 1")  # SQLite makes it as many as there are
        entered.set()
        assert go_on.wait(10)

    filling = sqlite.submit_write(fill)
    assert entered.wait(10)
    waiting = [sqlite.submit_write(work) for work in works]
    go_on.set()
    filling.result(10)
    for each in waiting:
        with pytest.raises(StorageFull, match="disk that holds the database is full"):
            each.result(10)
    sqlite.submit_write(lambda tx: tx.all("PRAGMA max_page_count = 1000000")).result(10)
    assert rows_of(sqlite, "SELECT value FROM counters WHERE name = 'webhook'") == [{"value": 0}]
    put_goods_owners(sqlite)
    assert len(rows_of(sqlite, "SELECT id FROM goods_owners")) == 2


def test_a_read_that_sqlite_ended_itself_says_what_was_wrong(sqlite: Database):
    def fail(tx: Transaction) -> None:
        tx.all("ROLLBACK")  # as SQLite does on an error of the disk
        raise apsw.IOError("disk I/O error")

    with pytest.raises(Unavailable, match="disk I/O error"):
        sqlite.submit_read(fail).result(10)
    assert rows_of(sqlite, "SELECT id FROM goods_owners") == []


@pytest.mark.parametrize("serves", [True, False])
def test_a_postgresql_with_a_locked_table_can_be_closed(fresh_schema: str, *, serves: bool):
    """A node that is told to stop must end, whatever its last transactions wait for; so must an outbox."""
    opened = open_database(fresh_schema)
    migrate(opened, now=1)
    if serves:
        opened.serve_alone()
    with psycopg.connect(fresh_schema) as other:
        other.execute("LOCK TABLE goods_owners IN ACCESS EXCLUSIVE MODE")
        waiting = opened.submit_write(lambda tx: tx.run("UPDATE goods_owners SET name = 'never'"))
        closing = threading.Thread(target=opened.close, daemon=True)
        closing.start()
        closing.join(30)
        assert not closing.is_alive()
        with pytest.raises(Unavailable):
            waiting.result(0)


def test_a_command_that_waits_for_a_locked_table_says_so_and_goes_on_when_it_may(
    fresh_schema: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(postgres, "CUT_AFTER_S", 0.1)
    opened = open_database(fresh_schema)
    migrate(opened, now=1)
    with psycopg.connect(fresh_schema) as other, capture_logs() as told:
        other.execute("LOCK TABLE goods_owners IN ACCESS EXCLUSIVE MODE")
        waiting = opened.submit_write(lambda tx: tx.run("UPDATE goods_owners SET name = 'at last'"))
        with pytest.raises(TimeoutError):
            waiting.result(2)
        [waits] = [each for each in told if each["event"] == "store.waits"]
        assert "pg_locks" in waits["hint"]
        other.rollback()
        assert waiting.result(20) == 0
    opened.close()


def test_a_postgresql_that_takes_no_writes_is_a_finding(fresh_schema: str):
    opened = open_database(fresh_schema)
    migrate(opened, now=1)
    opened.close()
    opened = open_database(
        fresh_schema.replace(quote("-csearch"), quote("-cdefault_transaction_read_only=on -csearch"))
    )
    found = {each.code: each for each in examine(opened, Installation(), SystemClock())}
    with pytest.raises(Unavailable) as refused:
        put_goods_owners(opened)
    opened.close()
    assert "default_transaction_read_only is on" in found["no_writes"].text
    assert "dockbell doctor" in refused.value.hint


@pytest.mark.parametrize("sees_the_schema", [True, False])
def test_a_role_without_rights_is_told_what_to_grant(fresh_schema: str, sees_the_schema: bool):
    def as_another(tx: Transaction) -> None:
        [schema] = [row["name"] for row in tx.all("SELECT current_schema() AS name")]
        if sees_the_schema:
            tx.run(f"GRANT USAGE ON SCHEMA {schema} TO pg_monitor")
        tx.run("SET LOCAL ROLE pg_monitor")
        tx.run("CREATE TABLE mine (n BIGINT)")

    opened = open_database(fresh_schema)
    with pytest.raises(Unavailable) as refused:
        opened.submit_write(as_another).result()
    opened.close()
    assert "OWNER TO" in refused.value.hint


def test_a_schema_that_was_not_made_is_asked_for(postgres_url: str):
    opened = open_database(url_of(postgres_url, "not_made"))
    with pytest.raises(Unavailable, match="is not there") as refused:
        opened.submit_write(lambda tx: tx.run("CREATE TABLE mine (n BIGINT)")).result()
    opened.close()
    assert "CREATE SCHEMA" in refused.value.hint


def test_a_postgresql_without_room_for_every_letter_is_refused(postgres_url: str):
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
        try:
            latin = postgres_url.replace(f"/{admin.info.dbname}", "/latin")
            with pytest.raises(ConfigError, match="encoding LATIN1") as refused:
                open_database(latin)
            assert "ENCODING 'UTF8'" in refused.value.hint
            open_outbox(latin).close()  # another program's, from which we only read
        finally:
            admin.execute("DROP DATABASE latin WITH (FORCE)")


def test_an_address_that_postgresql_does_not_understand_is_refused_without_its_password():
    with pytest.raises(ConfigError, match="none that PostgreSQL understands") as refused:
        open_database("host=x pasword=secret")
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.write_bytes(b"no database at all" * 400), "restore a backup"),
        (lambda file: file.mkdir(), "chown"),
    ],
)
def test_a_file_that_cannot_be_opened_is_named_with_what_to_do(tmp_path: Path, spoil, said):
    file = tmp_path / "data.sqlite"
    spoil(file)
    with pytest.raises(ConfigError) as refused:
        open_database(str(file))
    assert str(file) in refused.value.message
    assert said in refused.value.hint


def test_a_file_that_may_not_be_written_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # tests may run as root, whom no file is forbidden
    with pytest.raises(ConfigError, match="may not read and write") as refused:
        open_database(str(tmp_path / "data.sqlite"))
    assert "chown" in refused.value.hint


def test_a_file_that_another_program_holds_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dockbell.store.sqlite.BUSY_TIMEOUT_MS", 10)
    other = apsw.Connection(str(tmp_path / "data.sqlite"))
    other.execute("CREATE TABLE t (n); BEGIN EXCLUSIVE")
    with pytest.raises(ConfigError, match=r"data\.sqlite") as refused:
        open_database(str(tmp_path / "data.sqlite"))
    other.close()
    assert "Another program holds the file" in refused.value.hint


def test_an_address_to_listen_on_that_cannot_be_had_is_named_by_its_settings():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127.0.0.1 \(server.host\), port {port} \(server.port\)") as refused:
            taken_addresses("127.0.0.1", port)
        assert "Another program has that port" in refused.value.hint
    with pytest.raises(ConfigError) as refused:
        taken_addresses("192.0.2.1", port)
    assert "an address of this machine" in refused.value.hint
    with pytest.raises(ConfigError, match="it is no name"):
        taken_addresses("x" * 64 + ".localhost", port)
    for each in taken_addresses("127.0.0.1", port):
        each.close()
