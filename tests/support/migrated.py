"""Databases that have their tables already, for the many tests that do not ask how they got them.

To make sixty tables takes longer than most tests do. A SQLite file is copied from one that is made once; a PostgreSQL schema
is used again by the next test of the same process, with the rows in it that a new one has, unless a test changed its tables
or wrote a great deal. A folder of tests whose databases begin with more than tables overrides the two fixtures.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from dockbell.store.database import Database, open_database
from dockbell.store.migrate import migrate
from tests.support.postgres import drop_schema, lent, make_schema, url_of

MOST_ROWS = 5_000
"""Whoever wrote more leaves pages that later tests would read past: their schema is not used again."""

SHAPE = """
SELECT c.relname, c.relkind::text, c.relchecks, c.reloptions,
       (SELECT count(*) FROM pg_trigger WHERE tgrelid = c.oid) AS triggers,
       (SELECT array_agg((attname, atttypid, attnotnull)::text ORDER BY attnum)
          FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns
  FROM pg_class c WHERE c.relnamespace = %s::regnamespace ORDER BY c.relname
"""

Fill = Callable[[Database], object]


def with_tables(database: Database) -> None:
    migrate(database, now=1)


@pytest.fixture(scope="session")
def sqlite_to_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_filled_file(tmp_path_factory.mktemp("tables"), with_tables)


@pytest.fixture(scope="session")
def schemas_to_lend(postgres_url: str) -> Iterator["Schemas"]:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        yield Schemas(postgres_url, admin, with_tables)


def a_filled_file(folder: Path, fill: Fill) -> Path:
    path = folder / "data.sqlite"
    with closing(open_database(f"sqlite:///{path}")) as database:
        fill(database)
    return path


class Schemas:
    """Those that no test has just now, and the first, which none ever gets: the others are made to be like it again."""

    def __init__(self, postgres_url: str, admin: psycopg.Connection[Any], fill: Fill) -> None:
        self._url, self._admin = postgres_url, admin
        self._free: list[str] = []
        self._first = make_schema(admin)
        with closing(open_database(url_of(postgres_url, self._first))) as database:
            fill(database)
        self._shape = self._shape_of(self._first)
        self._tables = [str(name) for name, kind, *_ in self._shape if kind == "r"]
        self._filled = self._filled_of(self._first)

    @contextmanager
    def one(self) -> Iterator[str]:
        name = self._free.pop() if self._free else self._another()
        try:
            with lent(self._admin, name):
                yield url_of(self._url, name)
        finally:
            if self._shape_of(name) == self._shape and self._begin_again(name) <= MOST_ROWS:
                self._free.append(name)
            else:
                drop_schema(self._admin, name)

    def _another(self) -> str:
        name = make_schema(self._admin)
        with closing(open_database(url_of(self._url, name))) as database:
            with_tables(database)
        self._begin_again(name)
        return name

    def _begin_again(self, name: str) -> int:
        """Give it the rows of the first; how many it had."""
        had = 0
        with self._admin.transaction():
            # Meanwhile no foreign key asks for an order.
            self._admin.execute("SET LOCAL session_replication_role = replica")
            for table in self._filled | self._filled_of(name):
                names = {"one": sql.Identifier(name, table), "first": sql.Identifier(self._first, table)}
                had += self._admin.execute(sql.SQL("DELETE FROM {one}").format(**names)).rowcount
                self._admin.execute(sql.SQL("INSERT INTO {one} SELECT * FROM {first}").format(**names))
        return had

    def _shape_of(self, name: str) -> list[Any]:
        return self._admin.execute(SHAPE, [name]).fetchall()

    def _filled_of(self, name: str) -> set[str]:
        asked = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {} WHERE EXISTS (SELECT 1 FROM {})").format(sql.Literal(table), sql.Identifier(name, table))
            for table in self._tables
        )
        return {str(table) for (table,) in self._admin.execute(asked)}
