"""One text for both databases, as PostgreSQL wants it."""

import functools
from typing import Any

from dockbell.store.database import ONLY_POSTGRES, PARAMETER, ROWS
from dockbell.store.postgres_arrays import COLUMNS, Column


@functools.lru_cache(maxsize=1024)
def for_postgres(sql: str) -> str:
    """The shared text as psycopg wants it: `%(name)s`, the PostgreSQL-only clauses opened, rows as unnest."""
    text = ONLY_POSTGRES.sub(r"\1", sql).replace("%", "%%")
    text = ROWS.sub(_unnested, text)
    return PARAMETER.sub(r"%(\1)s", text)


def _unnested(found: Any) -> str:
    columns = [column.split() for column in found[1].split(",")]
    arrays = ", ".join(f"%(column_{place})b::{kind.lower()}[]" for place, (_, kind) in enumerate(columns))
    return f"(SELECT * FROM unnest({arrays}) AS rows({', '.join(name for name, _ in columns)}))"  # noqa: S608 - names of our own text


@functools.lru_cache(maxsize=1024)
def kinds(sql: str) -> list[type[Column]]:
    """Of what kind each column of the rows is."""
    found = ROWS.search(sql)
    if found is None:
        raise ValueError(f"No :rows(...) in {sql!r}")
    return [COLUMNS[column.split()[1]] for column in found[1].split(",")]
