"""What a transaction promises, on both databases."""

import asyncio
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from dockbell.errors import Unavailable
from dockbell.store import checkpoints, counters, postgres, webhooks
from dockbell.store.database import ConstraintFailed, Database, Transaction, open_database
from dockbell.store.migrate import migrate
from dockbell.store.postgres import PostgresDatabase
from dockbell.store.sqlite import SqliteDatabase
from tests.support.rows import put_goods_owners, put_webhook, read, rows_of, save_webhook, write

NOTE = "INSERT INTO goods_owners (id, name, created_at) VALUES (:id, :name, 0)"
PATIENCE_S = 10.0
_never = threading.Event()


def note(number: int) -> Callable[[Transaction], int]:
    return lambda tx: tx.run(NOTE, id=number, name=f"owner {number}")


def noted(database: Database) -> list[int]:
    return [row["id"] for row in rows_of(database, "SELECT id FROM goods_owners ORDER BY id")]


def test_writes_that_wait_together_share_a_commit(database: Database):
    entered, go_on = threading.Event(), threading.Event()

    def first(_tx: Transaction) -> None:
        entered.set()
        assert go_on.wait(PATIENCE_S)

    running = database.submit_write(first)
    assert entered.wait(PATIENCE_S)
    commits_before = getattr(database, "commits", 0)
    waiting = [database.submit_write(note(number)) for number in range(1, 51)]
    go_on.set()
    running.result(PATIENCE_S)
    assert [future.result(PATIENCE_S) for future in waiting] == [1] * 50
    assert noted(database) == list(range(1, 51))
    if isinstance(database, SqliteDatabase):  # PostgreSQL groups commits in its own log
        assert database.commits - commits_before <= 2


def test_a_failing_transaction_leaves_nothing_and_does_not_hurt_its_neighbours(database: Database):
    entered, go_on = threading.Event(), threading.Event()

    def first(_tx: Transaction) -> None:
        entered.set()
        assert go_on.wait(PATIENCE_S)

    def half(tx: Transaction) -> None:
        note(50)(tx)
        raise LookupError("changed my mind")

    running = database.submit_write(first)
    assert entered.wait(PATIENCE_S)
    before, failing, after = (database.submit_write(work) for work in (note(1), half, note(2)))
    go_on.set()
    running.result(PATIENCE_S)
    assert (before.result(PATIENCE_S), after.result(PATIENCE_S)) == (1, 1)
    with pytest.raises(LookupError, match="changed my mind"):
        failing.result(PATIENCE_S)
    assert noted(database) == [1, 2]


def test_a_read_cannot_write(database: Database):
    with pytest.raises(Exception, match=r"(?i)read.?only"):
        read(database, note(1))
    assert noted(database) == []


def test_a_read_sees_what_was_committed_before_it(database: Database):
    for number in range(1, 30):
        write(database, note(number))
        assert noted(database)[-1] == number


def test_a_write_that_takes_long_keeps_nobody_from_reading_for_the_first_time(
    database: Database, open_again: Callable[[], Database]
):
    begun, go_on = threading.Event(), threading.Event()

    def take_long(tx: Transaction) -> None:
        note(1)(tx)
        begun.set()
        go_on.wait(2 * PATIENCE_S)

    writing = database.submit_write(take_long)
    assert begun.wait(PATIENCE_S)
    for each in (database, open_again()):
        assert each.submit_read(lambda tx: tx.one("SELECT 1 AS one")).result(PATIENCE_S / 2) == {"one": 1}
    assert not writing.done()
    go_on.set()
    writing.result(PATIENCE_S)


def test_a_reader_that_stays_holds_up_no_writer_and_the_log_starts_over_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A backup, or somebody's open transaction: SQLite holds the lock of writers while it waits for readers to end."""
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", 1)
    monkeypatch.setattr(checkpoints, "RESTART_PAGES", 0)
    database = open_database(str(tmp_path / "data.sqlite"))
    migrate(database, now=1)
    reader = apsw.Connection(str(tmp_path / "data.sqlite"))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM goods_owners").fetchall()
    began = time.monotonic()
    for number in range(1, 21):
        database.submit_write(note(number)).result(5 * PATIENCE_S)
        _never.wait(0.05)  # for the log to be looked at in between
    assert time.monotonic() - began < 0.8 * PATIENCE_S

    def salts() -> bytes:
        """In the log's head: others each time that it starts over."""
        return (tmp_path / "data.sqlite-wal").read_bytes()[16:24]

    before = salts()
    reader.execute("COMMIT")
    for number in range(21, 221):
        database.submit_write(note(number)).result(5 * PATIENCE_S)
        if salts() != before:
            break
        _never.wait(0.05)
    else:
        pytest.fail("the log only grows")
    reader.close()
    database.close()


def test_a_long_log_starts_over_between_two_commits_of_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where several write all the time, no other thread finds a moment in which it gets the lock for it."""
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", 1)
    monkeypatch.setattr(checkpoints, "RESTART_PAGES", 0)
    start_over = checkpoints.Checkpoints._start_over
    seen: list[tuple[str, bool]] = []

    def noted(self: checkpoints.Checkpoints) -> None:
        assert isinstance(database, SqliteDatabase)
        seen.append((threading.current_thread().name, database._writer_connection.in_transaction))
        start_over(self)

    monkeypatch.setattr(checkpoints.Checkpoints, "_start_over", noted)
    with closing(open_database(str(tmp_path / "data.sqlite"))) as database:
        migrate(database, now=1)
        for number in range(1, 201):
            database.submit_write(note(number)).result(PATIENCE_S)
            if seen:
                break
            _never.wait(0.05)
    assert set(seen) == {("sqlite-write", False)}


async def test_reads_and_writes_can_be_awaited(database: Database):
    await asyncio.gather(*(database.write(note(number)) for number in range(1, 21)))
    assert await database.read(lambda tx: len(tx.all("SELECT id FROM goods_owners"))) == 20


async def test_a_waiter_that_gives_up_does_not_undo_the_commit(database: Database):
    waiting = asyncio.ensure_future(database.write(note(1)))
    await database.read(lambda tx: tx.one("SELECT 1 AS one"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
        raise asyncio.CancelledError  # it was quicker than we: that is fine too
    await database.write(lambda tx: tx.one("SELECT 1 AS one"))
    for _ in range(1000):
        if noted(database) == [1]:
            return
    raise AssertionError("the write was lost")


def test_a_second_row_under_one_key_is_a_failed_constraint(database: Database):
    write(database, note(1))
    with pytest.raises(ConstraintFailed):
        write(database, note(1))


def test_a_row_that_points_nowhere_is_a_failed_constraint(database: Database):
    put_goods_owners(database)
    with pytest.raises(ConstraintFailed):
        put_webhook(database, 1, goods_owners=(999,))
    assert read(database, lambda tx: webhooks.find(tx, 1)) is None


def test_a_word_outside_its_list_is_a_failed_constraint(database: Database):
    put_goods_owners(database)
    with pytest.raises(ConstraintFailed):
        put_webhook(database, 1, kind="global")


def test_a_failed_constraint_in_a_list_of_rows_stores_none_of_them(database: Database):
    rows = [(number, f"owner {number}") for number in (1, 2, 3, 2)]
    with pytest.raises(ConstraintFailed):
        write(database, lambda tx: insert_many(tx, rows))
    assert noted(database) == []


def insert_many(tx: Transaction, rows: list[tuple[int, str]]) -> int:
    return tx.run(
        "INSERT INTO goods_owners (id, name, created_at) "
        "SELECT r.id, r.name, 0 FROM :rows(id BIGINT, name TEXT) r WHERE true",
        rows=rows,
    )


@pytest.mark.parametrize("count", [0, 1, 3, 4, 17, 64, 83, 257, 600])
def test_any_number_of_rows_travels_in_one_call(database: Database, count: int):
    rows = [(number, f"owner {number}") for number in range(1, count + 1)]
    assert write(database, lambda tx: insert_many(tx, rows)) == count
    assert noted(database) == [number for number, _ in rows]
    read_back = read(
        database,
        lambda tx: tx.all(
            "SELECT g.id FROM :rows(id BIGINT, name TEXT) r JOIN goods_owners g ON g.id = r.id AND g.name = r.name",
            rows=rows,
        ),
    )
    assert sorted(row["id"] for row in read_back) == noted(database)


def test_rows_may_have_columns_without_any_value(database: Database):
    found = read(
        database,
        lambda tx: tx.all(
            "SELECT r.a, r.b, r.c FROM :rows(a BIGINT, b TEXT, c BIGINT) r WHERE r.b IS NULL AND r.c IS NULL ORDER BY r.a",
            rows=[(1, None, None), (2, None, None)],
        ),
    )
    assert [dict(row) for row in found] == [{"a": 1, "b": None, "c": None}, {"a": 2, "b": None, "c": None}]


def test_a_row_without_its_key_is_refused(database: Database):
    with pytest.raises(ValueError, match="first column"):
        read(database, lambda tx: tx.all("SELECT r.a FROM :rows(a BIGINT, b TEXT) r", rows=[(1, "a"), (None, "b")]))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 31, 33, 255, 256, 257, 600])
def test_as_many_rows_go_in_as_there_are(database: Database, count: int):
    rows = [(f"{number:04d}", number) for number in range(count)]

    def both_ways(tx: Transaction) -> int:
        changed = tx.run("INSERT INTO counters (name, value) SELECT r.n, r.v FROM :rows(n TEXT, v BIGINT) r", rows=rows)
        found = tx.all("SELECT r.n, r.v FROM :rows(n TEXT, v BIGINT) r", rows=rows)
        assert sorted((row["n"], row["v"]) for row in found) == rows
        return changed

    assert write(database, both_ways) == count


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**53 - 1, 2**53 + 1, 2**63 - 1])
def test_numbers_come_back_as_they_went_in(database: Database, number: int):
    def both_ways(tx: Transaction) -> None:
        write_one = "INSERT INTO counters (name, value) VALUES ('here', :value)"
        tx.run(write_one, value=number)
        tx.run(
            "INSERT INTO counters (name, value) SELECT r.n, r.v FROM :rows(n TEXT, v BIGINT) r",
            rows=[("there", number)],
        )

    write(database, both_ways)
    found = rows_of(database, "SELECT value FROM counters WHERE name IN ('here', 'there')")
    assert [row["value"] for row in found] == [number, number]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "%s %(name)s :name ? 50%",
        "'; DROP TABLE events; --",
        "\\x00 \\",
        "åäö 漢字 🎉 \u202e",
        "a\u0301",
        "\ufeff",
        "\r\n\t",
    ],
)
def test_text_comes_back_as_it_went_in(database: Database, text: str):
    write(database, lambda tx: tx.run(NOTE, id=1, name=text))
    write(database, lambda tx: insert_many(tx, [(2, text), (3, text)]))
    assert [row["name"] for row in rows_of(database, "SELECT name FROM goods_owners ORDER BY id")] == [text] * 3


def test_an_update_says_how_many_rows_it_changed(database: Database):
    write(database, lambda tx: insert_many(tx, [(1, "a"), (2, "b"), (3, "c")]))
    assert write(database, lambda tx: tx.run("UPDATE goods_owners SET name = 'x' WHERE id > :least", least=1)) == 2
    assert write(database, lambda tx: tx.run("DELETE FROM goods_owners WHERE id = 99")) == 0


def test_a_statement_over_rows_takes_no_other_parameters(database: Database):
    with pytest.raises(ValueError, match="columns of the rows"):
        read(database, lambda tx: tx.all("SELECT r.a FROM :rows(a BIGINT) r WHERE r.a > :b", rows=[(1,)], b=0))


def test_counters_grow_by_one_under_eight_threads(database: Database):
    futures = [database.submit_write(lambda tx: counters.grow(tx, counters.WEBHOOK_ID)) for _ in range(80)]
    assert sorted(future.result(PATIENCE_S) for future in futures) == list(range(1, 81))
    assert read(database, lambda tx: counters.current(tx, counters.WEBHOOK_ID)) == 80


def test_a_pinned_counter_is_the_current_one(database: Database):
    put_goods_owners(database)
    put_webhook(database, 1)
    put_webhook(database, 1, version=2)
    assert write(database, lambda tx: counters.pinned(tx, counters.WEBHOOKS_CHANGED)[counters.WEBHOOKS_CHANGED]) == 2


def test_nobody_changes_a_webhook_between_a_pin_and_its_commit(database: Database, open_again: Callable[[], Database]):
    """An event that is matched with a state must be stored before the next state begins."""
    put_goods_owners(database)
    another = open_again()
    pinned, go_on = threading.Event(), threading.Event()

    def accept(tx: Transaction) -> int:
        number = counters.pinned(tx, counters.WEBHOOKS_CHANGED)[counters.WEBHOOKS_CHANGED]
        pinned.set()
        assert go_on.wait(PATIENCE_S)
        return number if counters.current(tx, counters.WEBHOOKS_CHANGED) == number else -1

    accepting = database.submit_write(accept)
    assert pinned.wait(PATIENCE_S)
    changing = another.submit_write(lambda tx: save_webhook(tx, 1))
    with pytest.raises(TimeoutError):
        changing.result(1.0)
    go_on.set()
    assert accepting.result(PATIENCE_S) == 0
    changing.result(PATIENCE_S)


def test_the_databases_clock_is_compared_with_ours(database: Database):
    assert abs(database.clock_offset()) < 60_000_000


def test_only_the_programs_own_user_may_read_a_sqlite_database(tmp_path: Path):
    """S1"""
    path = tmp_path / "data.sqlite"
    before = os.umask(0o022)
    try:
        database = open_database(f"sqlite:///{path}")
        migrate(database, now=1)
        assert database.serve_alone()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        database.close()
    finally:
        os.umask(before)
    assert set(modes) == {f"data.sqlite{ending}" for ending in ("", "-wal", "-shm", "-serving")}
    assert set(modes.values()) == {0o600}


def test_a_database_that_others_were_allowed_to_read_stays_so(tmp_path: Path):
    path = tmp_path / "data.sqlite"
    path.touch()
    path.chmod(0o640)
    open_database(f"sqlite:///{path}").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_another_program_that_comes_and_goes_leaves_the_log_to_those_who_serve(tmp_path: Path):
    """Backups and commands open the file too. Who closes it last removes the log with what is not yet in the file: that must
    be nobody as long as we have it open, however many connections we made."""
    file = tmp_path / "data.sqlite"
    database = open_database(str(file))
    try:
        migrate(database, now=1)
        write(database, note(1))
        assert noted(database) == [1]  # by a reader, whose connection is made for it
        log = (tmp_path / "data.sqlite-wal").stat().st_ino
        come_and_go = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(*c.execute('PRAGMA user_version')); c.close()"
        )
        subprocess.run([sys.executable, "-c", come_and_go, str(file)], check=True, timeout=5 * PATIENCE_S)
        assert (tmp_path / "data.sqlite-wal").stat().st_ino == log
        write(database, note(2))
    finally:
        database.close()
    again = open_database(str(file))
    try:
        assert noted(again) == [1, 2]
    finally:
        again.close()


def test_a_node_that_is_stopped_amid_a_transaction_keeps_no_other_waiting(
    fresh_schema: str, monkeypatch: pytest.MonkeyPatch
):
    """A process that got SIGSTOP, or a virtual machine that was paused, neither commits nor hangs up."""
    monkeypatch.setattr(postgres, "ASLEEP_AFTER_MS", 300)
    grow = "UPDATE counters SET value = value + 1 WHERE name = 'webhook'"
    begun, go_on = threading.Event(), threading.Event()

    def sleep(tx: Transaction) -> None:
        tx.run(grow)
        begun.set()
        go_on.wait(2 * PATIENCE_S)
        tx.run(grow)

    with closing(PostgresDatabase(fresh_schema)) as asleep, closing(PostgresDatabase(fresh_schema)) as awake:
        migrate(asleep, now=1)
        sleeping = asleep.submit_write(sleep)
        assert begun.wait(PATIENCE_S)
        assert awake.submit_write(lambda tx: tx.run(grow)).result(PATIENCE_S) == 1
        go_on.set()
        with pytest.raises(Unavailable):
            sleeping.result(PATIENCE_S)
        assert write(asleep, lambda tx: tx.run(grow)) == 1
        assert rows_of(awake, "SELECT value FROM counters WHERE name = 'webhook'") == [{"value": 2}]
