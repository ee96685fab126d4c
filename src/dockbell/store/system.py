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


def durability(tx: Transaction, dialect: str) -> dict[str, str]:
    """The database's settings on which "committed" depends, by name."""
    if dialect == "postgres":
        rows = tx.all(
            """
            SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')
            """
        )
        return {row["name"]: row["setting"] for row in rows}
    row = tx.one("PRAGMA synchronous")
    assert row is not None
    return {"synchronous": str(row["synchronous"])}


def why_no_writes(tx: Transaction, dialect: str) -> str | None:
    """What keeps PostgreSQL from taking writes of ours, in its own words for it."""
    if dialect != "postgres":
        return None
    row = tx.one(
        """
        SELECT pg_is_in_recovery() AS standby, current_setting('default_transaction_read_only') = 'on' AS read_only,
               has_table_privilege('events', 'INSERT') AND has_table_privilege('deliveries', 'UPDATE') AS may_write
        """
    )
    assert row is not None
    if row["standby"]:
        return "the server is a standby"
    if row["read_only"]:
        return "default_transaction_read_only is on"
    return None if row["may_write"] else "the role has no right to write in its tables"


def sqlite_version(tx: Transaction, dialect: str) -> tuple[int, ...] | None:
    if dialect == "postgres":
        return None
    row = tx.one("SELECT sqlite_version() AS version")
    assert row is not None
    return tuple(map(int, row["version"].split(".")))


def failing_webhooks(tx: Transaction, *, since: Moment, limit: int) -> list[Row]:
    """Enabled ones whose every attempt has failed from before `since` on, the longest first."""
    return tx.all(
        """
        SELECT w.id, w.name, h.failing_since FROM webhook_health h JOIN webhooks w ON w.id = h.webhook_id
         WHERE h.failing_since <= :since AND w.enabled = 1 AND w.deleted_at IS NULL
         ORDER BY h.failing_since LIMIT :limit
        """,
        since=since,
        limit=limit,
    )


def webhooks_we_disabled(tx: Transaction, *, limit: int) -> list[Row]:
    """Those that Dockbell disabled, with the reason; who switches one off by hand gives none."""
    return tx.all(
        """
        SELECT w.id, w.name, w.disabled_reason FROM webhooks w
         WHERE w.enabled = 0 AND w.deleted_at IS NULL AND w.disabled_reason IS NOT NULL ORDER BY w.id LIMIT :limit
        """,
        limit=limit,
    )
