"""What an operator asks first: how much waits, how large the store is, who is alive. Cheap on large tables."""

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction

MOST_COUNTED = 10_000


def due(tx: Transaction, *, now: Moment) -> tuple[int, Moment | None]:
    """How many deliveries are due, counted up to 10,000, and since when the oldest is."""
    row = tx.one(
        """
        SELECT count(*) AS n, min(d.due_at) AS oldest
          FROM (SELECT p.due_at FROM deliveries p WHERE p.status = 'pending' AND p.due_at <= :now
                 ORDER BY p.due_at LIMIT :most) d
        """,
        now=now,
        most=MOST_COUNTED,
    )
    assert row is not None
    return int(row["n"]), row["oldest"]


def sending(tx: Transaction) -> int:
    row = tx.one("SELECT count(*) AS n FROM deliveries WHERE status = 'sending'")
    assert row is not None
    return int(row["n"])


def disabled_webhooks(tx: Transaction) -> int:
    row = tx.one("SELECT count(*) AS n FROM webhooks WHERE enabled = 0 AND deleted_at IS NULL")
    assert row is not None
    return int(row["n"])


def schema(tx: Transaction) -> int:
    row = tx.one("SELECT max(number) AS number FROM schema_steps")
    assert row is not None
    return int(row["number"])


def size(tx: Transaction, dialect: str) -> Row:
    """Bytes of the whole database."""
    row = tx.one(
        "SELECT pg_database_size(current_database()) AS bytes"
        if dialect == "postgres"
        else "SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()"
    )
    assert row is not None
    return row
