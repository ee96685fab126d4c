"""Two ways to reach a database, one way to use it.

A transaction is a plain function of a `Transaction`. The database runs it in a thread of its own, so
it cannot await anything: an HTTP call inside a transaction cannot be written. It may be run again
after a deadlock, so it changes nothing but the database.

One SQL text serves SQLite and PostgreSQL:

- `:name` is a parameter;
- `/*pg FOR UPDATE SKIP LOCKED */` is a comment to SQLite and a clause to PostgreSQL;
- `:rows(event_id BIGINT, status TEXT)` stands for a table made of the parameter `rows`, a list of
  tuples: many rows cost one statement, never one each. Its first column is never NULL.

Types are TEXT and BIGINT alone, moments are microseconds, booleans are 0 and 1.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from dockbell.database_address import file_in

T = TypeVar("T")
Row = Mapping[str, Any]
Work = Callable[["Transaction"], T]

PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
ONLY_POSTGRES = re.compile(r"/\*pg (.*?) \*/", re.DOTALL)
ROWS = re.compile(r":rows\(([^)]*)\)")
SLOW_S = 0.1


class ConstraintFailed(Exception):
    """A unique, foreign-key or check rule of the schema refused the write."""


def need_keys(rows: Sequence[Sequence[Any]]) -> None:
    """Refuse rows whose first column has no value: SQLite's statements are filled up with such rows."""
    if None in [row[0] for row in rows]:
        raise ValueError("The first column of rows must have a value in each row")


class Transaction(Protocol):
    def all(self, sql: str, /, *, rows: Sequence[Sequence[Any]] | None = None, **params: Any) -> list[Row]: ...

    def one(self, sql: str, /, **params: Any) -> Row | None: ...

    def run(self, sql: str, /, *, rows: Sequence[Sequence[Any]] | None = None, **params: Any) -> int:
        """How many rows were changed."""

    def wake(self, topic: str) -> None:
        """After the commit, every listener of `topic` on every node is called: this node's before the write returns."""


class Database(Protocol):
    dialect: str

    def submit_read(self, work: Work[T]) -> Future[T]: ...

    def submit_write(self, work: Work[T]) -> Future[T]: ...

    async def read(self, work: Work[T]) -> T:
        """Run `work` in a read-only transaction."""

    async def write(self, work: Work[T]) -> T:
        """Run `work` and commit; returns only when the commit is on disk."""

    def listen(self, topic: str, callback: Callable[[], None]) -> None:
        """Call `callback` (in any thread) after each commit that woke `topic`, on whichever node."""

    def clock_offset(self) -> int:
        """The database's clock minus ours, in microseconds; 0 where both are the same machine's."""

    def serve_alone(self) -> bool:
        """Become the only program that serves this database, until the program ends; False if others may serve it."""

    def inside(self, connection: object) -> AbstractContextManager[Transaction]:
        """The transaction that an application has open on a psycopg connection of its own, as one of ours.

        Begun, committed and rolled back by the application alone. PostgreSQL only, and only the database of ours.
        """

    def empty_log(self) -> bool:
        """Move what is committed out of the log and cut the log off; False if whoever reads did not allow it.

        PostgreSQL does that itself.
        """

    def close(self) -> None: ...


def open_database(url: str) -> Database:
    """`sqlite:///var/lib/dockbell/data.sqlite`, a plain path, or `postgresql://...`."""
    from dockbell.store.postgres import PostgresDatabase
    from dockbell.store.sqlite import SqliteDatabase

    file = file_in(url)
    return PostgresDatabase(url) if file is None else SqliteDatabase(str(file))
