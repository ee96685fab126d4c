"""A schema that one test had is as a new one for the next, or is not used again."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import scalar_row

from tests.support.migrated import MOST_ROWS, Schemas, with_tables


@pytest.fixture
def schemas(postgres_url: str) -> Iterator[Schemas]:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        yield Schemas(postgres_url, admin, with_tables)


def a_test_that(schemas: Schemas, *statements: str) -> str:
    with schemas.one() as url, psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)
    return url


def counters(url: str) -> list[tuple[str, int]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT name, value FROM counters ORDER BY name").fetchall()


OWNER = "INSERT INTO goods_owners (id, name, created_at) VALUES (1, 'One', 1)"


def test_rows_are_those_of_a_new_one(schemas: Schemas):
    with schemas.one() as new:
        expected = counters(new)
    url = a_test_that(schemas, OWNER, "UPDATE counters SET value = 7", "DELETE FROM counters WHERE name = 'webhook'")
    with schemas.one() as again:
        assert new == again == url
        assert counters(again) == expected
        assert ("webhook", 0) in expected
        with psycopg.connect(again, row_factory=scalar_row) as connection:
            assert connection.execute("SELECT count(*) FROM goods_owners").fetchone() == 0


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE audit DROP COLUMN hash",
        "ALTER TABLE audit ADD COLUMN more text",
        "CREATE TABLE mine (n bigint)",
        "DROP INDEX events_of_object",
        f"INSERT INTO goods_owners (id, name, created_at) SELECT n, 'One', 1 FROM generate_series(1, {MOST_ROWS + 1}) AS n",
    ],
)
def test_one_with_other_tables_or_full_pages_is_not_used_again(schemas: Schemas, statement: str):
    url = a_test_that(schemas, statement)
    with schemas.one() as next_one:
        assert next_one != url
