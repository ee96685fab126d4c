"""Both databases under one name: a test that takes `database` runs on SQLite and on PostgreSQL.

Each test has a file or a schema to itself, and fails if it ends with a transaction still open.
"""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import apsw
import pytest

from dockbell.store.database import Database, open_database
from dockbell.store.postgres import PostgresDatabase
from dockbell.store.sqlite import SqliteDatabase

BOTH = ("sqlite", "postgres")


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database; with tables if the test takes `database` as well."""
    has_tables = "database" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "data.sqlite"
        if has_tables:
            shutil.copy(request.getfixturevalue("sqlite_to_copy"), path)
        yield f"sqlite:///{path}"
    elif has_tables:
        with request.getfixturevalue("schemas_to_lend").one() as url:
            yield url
    else:
        yield request.getfixturevalue("fresh_schema")


@pytest.fixture
def open_again(database_url: str) -> Iterator[Callable[[], Database]]:
    """Opens the test's database once more, as another node would; closed when the test ends."""
    with ExitStack() as stack:

        def opened() -> Database:
            another = open_database(database_url)
            stack.callback(_close_clean, another)
            return another

        yield opened


@pytest.fixture
def database(open_again: Callable[[], Database]) -> Database:
    """An empty database with the newest schema."""
    return open_again()


def _close_clean(database: Database) -> None:
    left = checked_out(database)
    database.close()
    if left:
        pytest.fail(f"{left} connection(s) were left in a transaction or out of the pool", pytrace=False)


def checked_out(database: Database) -> int:
    """Connections that somebody still works on, now that everything that was asked for has ended."""
    database.submit_write(lambda _: None).result()
    if isinstance(database, SqliteDatabase):
        return sum(_in_transaction(connection) for connection in (*database._open_readers, database._writer_connection))
    assert isinstance(database, PostgresDatabase)
    # A connection goes back a moment after its result was handed over; ending the threads ends that moment. One that the
    # pool is opening only now counts as out until it is there.
    database._threads.shutdown()
    out = 0
    for _ in range(200):
        stats = database._pool.get_stats()
        out = int(stats["pool_size"]) - int(stats["pool_available"])
        if out == 0:
            break
        threading.Event().wait(0.01)
    return out


def _in_transaction(connection: apsw.Connection) -> bool:
    """Asked again while its own thread uses it: the writer looks around for other processes after a commit."""
    for _ in range(200):
        try:
            return connection.in_transaction
        except apsw.ThreadingViolationError:
            threading.Event().wait(0.01)
    return True
