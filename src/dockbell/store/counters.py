"""Named numbers that grow: how caches notice a change, and where small ids come from."""

from dockbell.store.database import Transaction

WEBHOOK_ID = "webhook"
WEBHOOKS_CHANGED = "webhooks changed"
KEYS_CHANGED = "keys changed"
CATALOG_CHANGED = "catalog changed"
USER_ID = "user"
AUDIT_ID = "audit"


def grow(tx: Transaction, name: str) -> int:
    """The next value. The row stays locked until the commit, so that values appear in commit order."""
    row = tx.one("UPDATE counters SET value = value + 1 WHERE name = :name RETURNING value", name=name)
    assert row is not None
    return int(row["value"])


def current(tx: Transaction, name: str) -> int:
    row = tx.one("SELECT value FROM counters WHERE name = :name", name=name)
    assert row is not None
    return int(row["value"])


def pinned(tx: Transaction, *names: str) -> dict[str, int]:
    """The current values, which nobody can change before this transaction ends."""
    rows = tx.all(
        "SELECT c.name, c.value FROM :rows(name TEXT) r JOIN counters c ON c.name = r.name /*pg FOR SHARE OF c */",
        rows=[(name,) for name in names],
    )
    return {str(row["name"]): int(row["value"]) for row in rows}


def locked(tx: Transaction, name: str) -> None:
    """Hold the row until the commit: whoever else wants it waits."""
    tx.one("SELECT value FROM counters WHERE name = :name /*pg FOR UPDATE */", name=name)
