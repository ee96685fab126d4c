"""SQLite: one file, one writer thread, many readers.

Writes that wait together share one commit, each in its own savepoint, so a hundred callers cost one
fsync. Many rows travel in one VALUES statement because a thread gives the GIL away at every
statement: beside a busy event loop an `executemany` waits for it once per row (a hundred times slower).
Checkpoints run on a connection of their own, beside the commits; a long log starts over between two of them.
"""

import errno
import fcntl
import functools
import itertools
import os
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from io import BufferedWriter
from pathlib import Path
from typing import Any, TypeVar

import apsw
import structlog

from dockbell.errors import ConfigError, Unavailable
from dockbell.store.checkpoints import Checkpoints
from dockbell.store.database import ROWS, SLOW_S, ConstraintFailed, Row, Transaction, Work, need_keys
from dockbell.store.futures import awaited
from dockbell.store.sqlite_file import advice, identity, in_our_words, log_of, make_ours_alone, ours_alone, why_not_ours

T = TypeVar("T")
log = structlog.get_logger()

WRITES_A_COMMIT = 128
STATEMENT_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
WRITER_CACHE_MIB = 64
"""The pages that each commit touches again."""
CACHE_MIB = 8
"""Of every other connection: there are five, and what they miss the operating system has."""
BUSY_TIMEOUT_MS = 10_000
LOOK_AROUND_S = 0.5


@functools.lru_cache(maxsize=1024)
def for_sqlite(sql: str, count: int) -> str:
    """The statement with its `:rows(...)` spelled out for `count` rows; those whose first column is NULL do not count."""
    found = ROWS.search(sql)
    if found is None:
        raise ValueError(f"No :rows(...) in {sql!r}")
    names = [column.split()[0] for column in found[1].split(",")]
    columns = ", ".join(f"column{place} AS {name}" for place, name in enumerate(names, 1))
    values = ", ".join(["(" + ", ".join("?" * len(names)) + ")"] * count)
    chosen = f"(SELECT {columns} FROM (VALUES {values}) WHERE column1 IS NOT NULL)"  # noqa: S608 - names of our own text
    return ROWS.sub(lambda _: chosen, sql)


class SqliteTransaction:
    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.woken: set[str] = set()

    def all(self, sql: str, /, *, rows: Sequence[Sequence[Any]] | None = None, **params: Any) -> list[Row]:
        return [row for cursor in self._execute(sql, rows, params) for row in cursor]

    def one(self, sql: str, /, **params: Any) -> Row | None:
        found = self.all(sql, **params)
        return found[0] if found else None

    def run(self, sql: str, /, *, rows: Sequence[Sequence[Any]] | None = None, **params: Any) -> int:
        before = self._connection.total_changes()
        for cursor in self._execute(sql, rows, params):
            for _ in cursor:
                pass
        return self._connection.total_changes() - before

    def wake(self, topic: str) -> None:
        self.woken.add(topic)

    def _execute(self, sql: str, rows: Sequence[Sequence[Any]] | None, params: dict[str, Any]) -> Iterator[apsw.Cursor]:
        try:
            if rows is None:
                yield self._connection.execute(sql, params)
                return
            if params:
                raise ValueError("A statement over rows takes its constants as columns of the rows")
            need_keys(rows)
            for size, chunk in _in_statements(rows):
                values = list(itertools.chain.from_iterable(chunk))
                values += [None] * ((size - len(chunk)) * len(chunk[0]))
                yield self._connection.execute(for_sqlite(sql, size), values)
        except apsw.ConstraintError as error:
            raise ConstraintFailed(str(error)) from error


def _in_statements(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, Sequence[Sequence[Any]]]]:
    """Rows by the statement, each with the next larger of a few sizes: a handful of prepared statements serves every batch.

    What is left over is filled up with empty rows and not cut into smaller statements: each statement gives the GIL away.
    """
    for at in range(0, len(rows), STATEMENT_ROWS[-1]):
        chunk = rows[at : at + STATEMENT_ROWS[-1]]
        yield next(size for size in STATEMENT_ROWS if size >= len(chunk)), chunk


def _as_mapping(cursor: apsw.Cursor, row: tuple[Any, ...]) -> Row:
    return dict(zip([column[0] for column in cursor.get_description()], row, strict=True))


class SqliteDatabase:
    dialect = "sqlite"

    def __init__(self, path: str) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._listeners: dict[str, list[Callable[[], None]]] = defaultdict(list)
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="sqlite-read")
        self._of_thread = threading.local()
        self._open_readers: list[apsw.Connection] = []
        self._closing = False
        self._serving: BufferedWriter | None = None
        self.commits = 0
        self._gone = self._saving = False
        self._log: tuple[int, int] | None = None
        self._checkpoints = Checkpoints(self._connect, self._why_not_ours)
        self._writer_connection = self._connect_first()
        self._file = identity(path)
        self._data_version = self._version()
        self._writer = threading.Thread(target=self._write_loop, name="sqlite-write", daemon=True)
        self._writer.start()
        self._checkpoints.start()

    def submit_write(self, work: Work[T]) -> Future[T]:
        future: Future[T] = Future()
        if self._closing:
            future.set_exception(Unavailable("The store is closed."))
        else:
            self._jobs.put((work, future))
        return future

    def submit_read(self, work: Work[T]) -> Future[T]:
        return self._readers.submit(self._read, work)

    async def write(self, work: Work[T]) -> T:
        return await awaited(self.submit_write(work))

    async def read(self, work: Work[T]) -> T:
        return await awaited(self.submit_read(work))

    def listen(self, topic: str, callback: Callable[[], None]) -> None:
        self._listeners[topic].append(callback)

    def clock_offset(self) -> int:
        return 0

    def serve_alone(self) -> bool:
        """By a lock on a file beside the database's, which the operating system gives back however we end."""
        lock = open(self._path + "-serving", "ab", opener=ours_alone)  # noqa: SIM115 - open while we serve
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        self._serving = lock
        return True

    def inside(self, connection: object) -> AbstractContextManager[Transaction]:  # noqa: ARG002
        raise ConfigError(
            "Dockbell's database is a SQLite file: only PostgreSQL can be shared with an application's own connection.",
            hint="Name the application's PostgreSQL in DOCKBELL_DATABASE, or publish through its outbox.",
        )

    def empty_log(self) -> bool:
        return self._checkpoints.empty_log()

    def close(self) -> None:
        self._closing = True
        self._jobs.put(None)
        self._writer.join()
        self._checkpoints.close()
        self._readers.shutdown()
        for connection in self._open_readers:
            connection.close()
        self._writer_connection.close()
        if self._serving is not None:  # last: who serves it next must not come into the end of this
            self._serving.close()

    def _connect_first(self) -> apsw.Connection:
        """Make the file if there is none, and see that it can be read and written."""
        try:
            Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            make_ours_alone(self._path)
            if not os.access(self._path, os.R_OK | os.W_OK):
                raise PermissionError(errno.EACCES, "this user may not read and write it")
            return self._connect(cache_mib=WRITER_CACHE_MIB)
        except (apsw.Error, OSError) as error:
            raise ConfigError(
                f"{Path(self._path).absolute()} cannot be opened as a SQLite database: {error}", hint=advice(error)
            ) from error

    def _connect(self, *, cache_mib: int = CACHE_MIB) -> apsw.Connection:
        connection = apsw.Connection(self._path, apsw.SQLITE_OPEN_READWRITE, statementcachesize=200)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        if connection.pragma("journal_mode") != "wal":  # asked for again, either would wait while somebody writes
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that free pages can be given back
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # NORMAL loses acknowledged rows in a power cut
        connection.execute(
            "PRAGMA secure_delete = ON"
        )  # what is deleted or erased is gone from the file, not only unlinked
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA cache_size = -{cache_mib * 1024}")
        connection.execute("PRAGMA temp_store = MEMORY")  # a savepoint's journal is scratch, not data
        connection.set_row_trace(_as_mapping)
        connection.set_wal_hook(self._checkpoints.note)
        return connection

    def _why_not_ours(self) -> Unavailable | None:
        return why_not_ours(self._path, self._file, self._log)

    def _need_file(self) -> None:
        """Refuse to go on in files that nobody will find again: what is committed there ends with this process."""
        gone = self._why_not_ours()
        if (gone is not None) != self._gone:
            self._gone = gone is not None
            if gone is not None:
                log.error("store.file_gone", file=self._path, error=gone.message, hint=gone.hint)
            else:
                log.info("store.file_is_back", file=self._path)
        if gone is not None:
            raise gone

    def _save_log(self) -> None:
        """If the log lost its name, copy what it holds into the file, and let nobody else write from then on: what others
        put into a log of theirs would be looked for in ours, and the file would be destroyed.
        """
        if self._saving or self._log is None or identity(log_of(self._path)) == self._log:
            return
        try:
            self._writer_connection.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            log.warning("store.log_not_saved", error=str(error))
            return
        self._saving = True
        if self._version() == self._data_version:
            self._checkpoints.ask()

    def _write_loop(self) -> None:
        look_at = time.monotonic() + LOOK_AROUND_S
        while True:
            if time.monotonic() >= look_at:  # also when there is always something to write
                self._look_around()
                look_at = time.monotonic() + LOOK_AROUND_S
            try:
                job = self._jobs.get(timeout=max(0.0, look_at - time.monotonic()))
            except queue.Empty:
                continue
            if job is None:
                return
            batch = [job]
            while len(batch) < WRITES_A_COMMIT:
                try:
                    extra = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if extra is None:
                    self._jobs.put(None)
                    break
                batch.append(extra)
            self._commit_together(batch)
            self._checkpoints.between_commits()

    def _look_around(self) -> None:
        """Wake everyone when another process has written: it cannot tell us otherwise."""
        if self._saving:
            return
        try:
            version = self._version()
        except apsw.Error as error:  # whoever writes next is told
            log.warning("store.not_read", error=str(error))
            return
        if version != self._data_version:
            self._data_version = version
            for callback in itertools.chain(*list(self._listeners.values())):
                callback()

    def _version(self) -> int:
        """Another number when another connection has written."""
        return int(self._writer_connection.pragma("data_version"))

    def _commit_together(self, batch: list[tuple[Work[Any], Future[Any]]]) -> None:
        connection = self._writer_connection
        transaction = SqliteTransaction(connection)
        answers: list[tuple[Future[Any], Any, BaseException | None]] = []
        alone = len(batch) == 1  # a transaction of one is its own savepoint: two statements fewer
        began = time.perf_counter()
        try:
            self._need_file()
            if self._saving:  # the file is back
                connection.execute("ROLLBACK")
                self._saving = False
            connection.execute("BEGIN IMMEDIATE")
            for work, future in batch:
                woken = set(transaction.woken)
                if not alone:
                    connection.execute("SAVEPOINT job")
                try:
                    answers.append((future, work(transaction), None))
                except BaseException as error:
                    if not connection.in_transaction:  # a full disk has ended it, and with it everybody's part
                        raise
                    connection.execute("ROLLBACK" if alone else "ROLLBACK TO job")
                    transaction.woken = woken
                    answers.append((future, None, in_our_words(error)))
                if not alone:
                    connection.execute("RELEASE job")
            if connection.in_transaction:
                connection.execute("COMMIT")
                self.commits += 1
                if self._log is None:  # not earlier: while the file is made, SQLite may make its log twice
                    self._log = identity(log_of(self._path))
        except BaseException as refused:  # noqa: BLE001 - handed to whoever waits
            if connection.in_transaction and not self._saving:
                connection.execute("ROLLBACK")
            self._save_log()
            transaction.woken.clear()
            answers = [(future, None, in_our_words(refused)) for _, future in batch]
        spent = time.perf_counter() - began
        if spent > SLOW_S:
            log.warning(
                "store.slow", ms=round(spent * 1000), writes=len(batch), hint="Is another process writing to the file?"
            )
        for topic in transaction.woken:
            for callback in self._listeners[topic]:
                callback()
        for future, value, problem in answers:
            if problem is None:
                future.set_result(value)
            else:
                future.set_exception(problem)

    def _read(self, work: Work[T]) -> T:
        connection = getattr(self._of_thread, "connection", None) or self._connect_reader()
        connection.execute("BEGIN")
        try:
            return work(SqliteTransaction(connection))
        except apsw.Error as error:
            raise in_our_words(error) from error
        finally:
            if connection.in_transaction:  # a disk that cannot be read has ended it already
                connection.execute("ROLLBACK")

    def _connect_reader(self) -> apsw.Connection:
        self._need_file()  # or we would read another one
        try:
            connection = self._connect()
        except apsw.Error as error:
            raise in_our_words(error) from error
        connection.execute("PRAGMA query_only = ON")
        self._of_thread.connection = connection
        self._open_readers.append(connection)
        return connection
