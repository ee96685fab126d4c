"""PostgreSQL 15 or later: a pool of connections, a thread for each transaction that runs.

Rows that travel together go as arrays through one `unnest`, in binary: at 256 rows a tenth of what a
statement per row costs.
"""

import contextlib
import functools
import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
import structlog
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from dockbell.clock import SystemClock
from dockbell.errors import ConfigError, StorageFull, Unavailable
from dockbell.store.database import (
    SLOW_S,
    ConstraintFailed,
    Row,
    Transaction,
    Work,
    need_keys,
)
from dockbell.store.futures import awaited
from dockbell.store.postgres_arrays import register
from dockbell.store.postgres_text import for_postgres, kinds

_Asleep = psycopg.errors.IdleInTransactionSessionTimeout
T = TypeVar("T")
log = structlog.get_logger()

CONNECTIONS = 8
TRIES = 3
POOL_TIMEOUT_S = 4.0
CUT_AFTER_S = 4.0
WHY_IT_WAITS = "Is a table locked (pg_stat_activity and pg_locks tell by whom), or the server away?"
CHECKED_AFTER_S = 1.0
ASLEEP_AFTER_MS = 10_000
"""A node that is stopped amid a transaction, or whose machine is, would keep its locks and with them all other nodes waiting."""
NOTICES: dict[str, Any] = {
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000,
}  # fmt: skip
"""A server that vanished, or was parted from us without a word, is noticed within half a minute: whoever listens asks nothing."""


# Planned for what is looked for: one plan for all would walk the events of a goods owner who has ten like those of one who has
# nearly all, and PostgreSQL changes to such a plan when a connection has run a statement a few times.
_AS_READER = """
  SELECT set_config('transaction_read_only', 'on', true), set_config('plan_cache_mode', 'force_custom_plan', true)
"""


class PostgresTransaction:
    def __init__(self, connection: psycopg.Connection[Any], *, goes_on: Callable[[], None] = lambda: None) -> None:
        self._connection = connection
        self._goes_on = goes_on
        """Called before and after each statement: whoever waits long between two waits for no server."""
        self.woken: set[str] = set()

    def all(self, sql: str, /, *, rows: Sequence[Sequence[Any]] | None = None, **params: Any) -> list[Row]:
        if rows is not None and not rows:
            return []
        return self._execute(sql, rows, params).fetchall()

    def one(self, sql: str, /, **params: Any) -> Row | None:
        return self._execute(sql, None, params).fetchone()

    def run(self, sql: str, /, *, rows: Sequence[Sequence[Any]] | None = None, **params: Any) -> int:
        if rows is not None and not rows:
            return 0
        return self._execute(sql, rows, params).rowcount

    def wake(self, topic: str) -> None:
        self.woken.add(topic)
        self._cursor().execute("SELECT pg_notify('dockbell', %s)", (topic,))

    @property
    def usable(self) -> bool:
        """Whether no statement failed and the connection still stands."""
        return self._connection.info.transaction_status == TransactionStatus.INTRANS

    def _cursor(self) -> psycopg.Cursor[Row]:
        """One of our own kind: an application's connection may make others."""
        return psycopg.Cursor(self._connection, row_factory=dict_row)

    def _execute(self, sql: str, rows: Sequence[Sequence[Any]] | None, params: dict[str, Any]) -> psycopg.Cursor[Row]:
        if rows is not None:
            if params:
                raise ValueError("A statement over rows takes its constants as columns of the rows")
            need_keys(rows)
            columns = zip(kinds(sql), zip(*rows, strict=True), strict=True)
            params = {f"column_{place}": kind(column) for place, (kind, column) in enumerate(columns)}
        self._goes_on()
        try:
            return self._cursor().execute(for_postgres(sql), params)
        except psycopg.IntegrityError as error:
            raise ConstraintFailed(str(error)) from error
        finally:
            self._goes_on()


class _Pooled(psycopg.Connection[Any]):
    used_at = 0.0
    """When it last carried a transaction to its end, by the monotonic clock."""


class PostgresDatabase:
    dialect = "postgres"

    def __init__(self, conninfo: str, connections: int = CONNECTIONS, *, all_text: bool = True) -> None:
        """`all_text`: any letter must have room in it."""
        self._listeners: dict[str, list[Callable[[], None]]] = defaultdict(list)
        self._closing, self._ended = threading.Event(), threading.Event()
        self._cuts = False
        self._under_way: dict[int, tuple[float, psycopg.Connection[Any]]] = {}
        """By thread: since when it waits for its connection."""
        try:
            self._conninfo = make_conninfo("", **{**NOTICES, **conninfo_to_dict(conninfo)})
            with psycopg.connect(self._conninfo, autocommit=True, connect_timeout=10) as first:
                _check_server(first)
                if all_text:
                    _check_encoding(first)
        except psycopg.OperationalError as error:
            raise ConfigError(
                f"The PostgreSQL database cannot be reached: {str(error).strip()}",
                hint="Does the server run, and is DOCKBELL_DATABASE its address?",
            ) from error
        except psycopg.ProgrammingError:  # its words may hold the password
            raise ConfigError(
                "The database address is none that PostgreSQL understands.",
                hint="Write postgresql://user@host/name; a SQLite file with “=” in its name needs ./ before it.",
            ) from None
        self._pool: ConnectionPool[_Pooled] = ConnectionPool(
            self._conninfo,
            connection_class=_Pooled,
            min_size=1,
            max_size=connections,
            timeout=POOL_TIMEOUT_S,
            kwargs={"autocommit": True, "connect_timeout": 5, "client_encoding": "utf8"},
            check=self._check,
            configure=_configure,
            open=True,
        )
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="postgres")
        self._listening: psycopg.Connection[Any] | None = None
        self._listener = threading.Thread(target=self._listen_loop, name="postgres-listen", daemon=True)
        self._listener.start()
        threading.Thread(target=self._watch_loop, name="postgres-watch", daemon=True).start()

    def submit_write(self, work: Work[T]) -> Future[T]:
        return self._threads.submit(self._transaction, work, read_only=False)

    def submit_read(self, work: Work[T]) -> Future[T]:
        return self._threads.submit(self._transaction, work, read_only=True)

    async def write(self, work: Work[T]) -> T:
        return await awaited(self.submit_write(work))

    async def read(self, work: Work[T]) -> T:
        return await awaited(self.submit_read(work))

    def listen(self, topic: str, callback: Callable[[], None]) -> None:
        self._listeners[topic].append(callback)

    def serve_alone(self) -> bool:
        """Others may serve it too. From now on somebody waits for each transaction, so none may hang."""
        self._cuts = True
        return False

    def clock_offset(self) -> int:
        ours = SystemClock()

        def measure(tx: Any) -> int:
            before = ours.now()
            row = tx.one("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS now")
            after = ours.now()
            return int(row["now"]) - (before + after) // 2

        return self.submit_read(measure).result()

    def empty_log(self) -> bool:
        return True

    @contextmanager
    def inside(self, connection: object) -> Iterator[Transaction]:
        theirs = _in_transaction(connection)
        register(theirs)  # for types of ours alone: the application's own values travel as before
        tx = PostgresTransaction(theirs)
        # The application's search_path may lack our schema, or lead to tables of its own that have the same names.
        [before] = tx.all("SELECT current_setting('search_path') AS path, to_regclass(:ours) AS ours", ours=self._proof)
        if before["ours"] is None:
            raise ConfigError(
                f"There is no table {self._proof} in the application's database, or its user may not see it: "
                "one transaction needs one database.",
                hint="Name that database in DOCKBELL_DATABASE, or publish through its outbox.",
            )
        _set_search_path(tx, self._proof.rpartition(".")[0] + ", pg_temp")
        try:
            yield tx
        finally:
            if tx.usable:  # otherwise the application can only roll back, and that restores it too
                _set_search_path(tx, before["path"])

    @functools.cached_property
    def _proof(self) -> str:
        """A table that only Dockbell's schema has, with that schema."""
        told = self.submit_read(
            lambda tx: tx.one(
                "SELECT CAST(relnamespace AS regnamespace) || '.vault_checks' AS proof FROM pg_class "
                "WHERE oid = CAST('vault_checks' AS regclass)"
            )
        ).result()
        assert told is not None
        return str(told["proof"])

    def close(self) -> None:
        self._closing.set()
        self._cuts = True  # whoever closes waits for each transaction
        self._threads.shutdown()
        self._ended.set()
        if self._listening is not None:
            _hang_up(self._listening)
        self._listener.join()
        self._pool.close()

    def _transaction(self, work: Work[T], *, read_only: bool) -> T:
        for attempt in range(1, TRIES + 1):
            try:
                return self._once(work, read_only=read_only)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure) as error:
                if attempt == TRIES:
                    raise Unavailable(f"The PostgreSQL database is too busy: {str(error).strip()}") from error
            except psycopg.errors.ReadOnlySqlTransaction as error:
                raise Unavailable(
                    f"The PostgreSQL database takes no writes: {str(error).strip()}.",
                    hint="default_transaction_read_only is on, or the server is a standby: `dockbell doctor` says more.",
                ) from error
            except psycopg.errors.InvalidSchemaName as error:
                raise Unavailable(
                    f"The schema of search_path is not there, or the PostgreSQL role may not see it: {str(error).strip()}.",
                    hint="Make it: CREATE SCHEMA name AUTHORIZATION role. If it is there: ALTER SCHEMA name OWNER TO role.",
                ) from error
            except psycopg.errors.InsufficientPrivilege as error:
                raise Unavailable(
                    f"The PostgreSQL role may not do its work: {str(error).strip()}.",
                    hint="Let it own the database (ALTER DATABASE name OWNER TO role), or GRANT it ALL on the schema and "
                    "on its tables.",
                ) from error
            except psycopg.errors.DiskFull as error:
                raise StorageFull("The disk of the PostgreSQL server is full; nothing was stored.") from error
            except psycopg.errors.ProgramLimitExceeded:
                raise  # to psycopg that is an OperationalError, but what was to be written is at fault
            except (psycopg.OperationalError, psycopg.InterfaceError, _Asleep, PoolTimeout) as error:
                raise Unavailable(f"The PostgreSQL database does not answer: {str(error).strip()}") from error
        raise AssertionError("unreachable")

    def _once(self, work: Work[T], *, read_only: bool) -> T:
        with self._pool.connection() as connection:
            began = time.perf_counter()
            with self._watched(connection), connection.transaction():
                if read_only:
                    connection.execute(_AS_READER)
                tx = PostgresTransaction(connection, goes_on=lambda: self._note_wait(connection))
                result = work(tx)
            connection.used_at = time.monotonic()
            spent = time.perf_counter() - began
            self._wake(*tx.woken)  # what the server tells comes later: who revoked a key may try it at once
            if spent > SLOW_S and not read_only:
                log.warning("store.slow", ms=round(spent * 1000), writes=1)
            return result

    def _check(self, connection: _Pooled) -> None:
        """See whether the connection still stands, unless it did a moment ago: under load it is asked for all the time."""
        if time.monotonic() - connection.used_at > CHECKED_AFTER_S:
            with self._watched(connection):
                ConnectionPool.check_connection(connection)

    @contextmanager
    def _watched(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        self._note_wait(connection)
        try:
            yield
        finally:
            del self._under_way[threading.get_ident()]

    def _note_wait(self, connection: psycopg.Connection[Any]) -> None:
        self._under_way[threading.get_ident()] = time.monotonic(), connection

    def _watch_loop(self) -> None:
        """Tell of transactions that wait for a lock or a silent server, once of each; one that may not hang is ended, so that
        whoever asked hears 503 and asks again.

        A time limit of the server's would not do: a server that is silent keeps none.
        """
        told: set[float] = set()
        while not self._ended.wait(0.5):
            for began, connection in list(self._under_way.values()):
                waited_s = time.monotonic() - began
                if waited_s <= CUT_AFTER_S:
                    continue
                if self._cuts:
                    log.warning("store.cut", s=round(waited_s), hint=WHY_IT_WAITS)
                    _hang_up(connection)
                elif began not in told:
                    told.add(began)
                    log.error("store.waits", s=round(waited_s), hint=WHY_IT_WAITS)

    def _listen_loop(self) -> None:
        """Hear what is committed. Whenever we begin to, everyone is woken: what was committed until then was not heard."""
        while not self._closing.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True, connect_timeout=5) as connection:
                    self._listening = connection
                    connection.execute("LISTEN dockbell")
                    self._wake(*self._listeners)
                    while not self._closing.is_set():
                        for notice in connection.notifies(timeout=0.25):
                            self._wake(notice.payload)
            except psycopg.Error as error:
                if self._closing.is_set():
                    return
                log.warning("store.listen_broken", error=str(error).strip())
                self._closing.wait(1.0)

    def _wake(self, *topics: str) -> None:
        for topic in topics:
            for callback in self._listeners.get(topic, ()):
                callback()


def _configure(connection: psycopg.Connection[Any]) -> None:
    register(connection)
    connection.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", (str(ASLEEP_AFTER_MS),))


def _hang_up(connection: psycopg.Connection[Any]) -> None:
    """Whoever waits for it in another thread finds it ended."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)


def _in_transaction(connection: object) -> psycopg.Connection[Any]:
    if not isinstance(connection, psycopg.Connection):
        kind = type(connection)
        raise TypeError(
            f"A psycopg 3 connection is needed, not {kind.__module__}.{kind.__qualname__}. In Django it is "
            "connection.connection, in SQLAlchemy (postgresql+psycopg://) connection.connection.driver_connection."
        )
    if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        raise ValueError(
            "No transaction is open on this connection, and each statement would be committed alone. "
            "Begin one: transaction.atomic() in Django, connection.transaction() in psycopg."
        )
    return connection


def _set_search_path(tx: Transaction, path: str) -> None:
    tx.one("SELECT set_config('search_path', :path, true)", path=path)


def _check_server(connection: psycopg.Connection[Any]) -> None:
    if connection.info.server_version < 150000:
        raise ConfigError(
            f"PostgreSQL 15 or later is needed; this server is {connection.info.server_version // 10000}."
        )
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
        if row is not None and row[0] == "off":
            log.warning("store.not_durable", setting=name, hint="With it off a power cut loses accepted events.")


def _check_encoding(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute("SELECT current_setting('server_encoding')").fetchone()
    if row is not None and row[0] != "UTF8":
        raise ConfigError(
            f"The PostgreSQL database has the encoding {row[0]}, which lacks most letters; it must be UTF8.",
            hint="Make another: CREATE DATABASE dockbell ENCODING 'UTF8' TEMPLATE template0 LOCALE 'C.UTF-8'.",
        )
