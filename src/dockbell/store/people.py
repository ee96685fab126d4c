"""API keys, goods owners and nodes: who there is."""

from collections.abc import Iterable

from dockbell.clock import HOUR, SECOND, Moment
from dockbell.domain.ids import NODES
from dockbell.errors import ConfigError
from dockbell.store import counters
from dockbell.store.database import Row, Transaction
from dockbell.store.events import only

NODE_GONE_AFTER = 60 * SECOND
NUMBER_KEPT_FOR = HOUR
"""A node that did not reach its database for so long still has its number when it does, unless all others are taken."""


def insert_key(
    tx: Transaction,
    *,
    key_id: str,
    label: str,
    digest: str,
    scopes: str,
    goods_owners: str | None,
    expires_at: Moment | None,
    now: Moment,
) -> None:
    tx.run(
        """
        INSERT INTO api_keys (id, label, digest, scopes, goods_owners, created_at, expires_at)
        VALUES (:key_id, :label, :digest, :scopes, :goods_owners, :now, :expires_at)
        """,
        key_id=key_id,
        label=label,
        digest=digest,
        scopes=scopes,
        goods_owners=goods_owners,
        now=now,
        expires_at=expires_at,
    )
    _keys_changed(tx)


def revoke_key(tx: Transaction, key_id: str, *, now: Moment) -> bool:
    revoked = tx.run(
        "UPDATE api_keys SET revoked_at = :now WHERE id = :key_id AND revoked_at IS NULL", key_id=key_id, now=now
    )
    _keys_changed(tx)
    return revoked == 1


def _keys_changed(tx: Transaction) -> None:
    counters.grow(tx, counters.KEYS_CHANGED)
    tx.wake("keys")


def key(tx: Transaction, key_id: str) -> Row | None:
    return tx.one("SELECT * FROM api_keys WHERE id = :key_id", key_id=key_id)


def keys(tx: Transaction) -> list[Row]:
    return tx.all("SELECT * FROM api_keys ORDER BY created_at, id")


def put_goods_owner(tx: Transaction, goods_owner_id: int, name: str, *, now: Moment) -> None:
    tx.run(
        """
        INSERT INTO goods_owners (id, name, created_at) VALUES (:id, :name, :now)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name
        """,
        id=goods_owner_id,
        name=name,
        now=now,
    )
    counters.grow(tx, counters.CATALOG_CHANGED)
    tx.wake("catalog")


def goods_owners(tx: Transaction, *, visible: Iterable[int] | None = None) -> list[Row]:
    return tx.all(
        """
        SELECT id, name, created_at FROM goods_owners
         WHERE CAST(:only AS TEXT) IS NULL OR :only LIKE '%,' || CAST(id AS TEXT) || ',%' ORDER BY id
        """,
        only=only(visible),
    )


def goods_owner(tx: Transaction, goods_owner_id: int) -> Row | None:
    return tx.one("SELECT id, name, created_at FROM goods_owners WHERE id = :id", id=goods_owner_id)


def join_node(tx: Transaction, *, name: str, now: Moment) -> int:
    """A number for this program: one that nobody has, else that of the program which was silent for the longest.

    When a database was away for minutes, all look dead to the first who joins. So the number of one that was seen within
    the hour goes to another only when there is no other, and never within a minute.
    """
    # Two programs that start in the same moment must not read the same number as free: one id would mean two events.
    tx.one("SELECT value FROM counters WHERE name = :name /*pg FOR UPDATE */", name=counters.CATALOG_CHANGED)
    seen = {int(row["number"]): int(row["seen_at"]) for row in tx.all("SELECT number, seen_at FROM nodes")}
    kept_since = now - NUMBER_KEPT_FOR
    free = min(range(NODES), key=lambda number: max(seen.get(number, 0), kept_since))
    if seen.get(free, 0) > now - NODE_GONE_AFTER:
        raise ConfigError(
            f"All {NODES} node numbers are in use; stop a node, or wait a minute for a dead one's number."
        )
    tx.run(
        """
        INSERT INTO nodes (number, name, started_at, seen_at) VALUES (:number, :name, :now, :now)
        ON CONFLICT (number) DO UPDATE SET name = excluded.name, started_at = excluded.started_at, seen_at = excluded.seen_at
        """,
        number=free,
        name=name,
        now=now,
    )
    return free


def see_node(tx: Transaction, number: int, *, now: Moment) -> None:
    tx.run("UPDATE nodes SET seen_at = :now WHERE number = :number", number=number, now=now)


def keep_node(tx: Transaction, number: int, *, joined_at: Moment, now: Moment) -> bool:
    """Tell that the program that joined then lives; False if it was silent for so long that another has its number."""
    return bool(
        tx.run(
            "UPDATE nodes SET seen_at = :now WHERE number = :number AND started_at = :joined_at",
            number=number,
            joined_at=joined_at,
            now=now,
        )
    )


def leave_node(tx: Transaction, number: int, *, joined_at: Moment) -> None:
    tx.run(
        "UPDATE nodes SET seen_at = 0 WHERE number = :number AND started_at = :joined_at",
        number=number,
        joined_at=joined_at,
    )


def nodes(tx: Transaction) -> list[Row]:
    return tx.all("SELECT number, name, started_at, seen_at FROM nodes ORDER BY number")


def custom_event_types(tx: Transaction) -> list[Row]:
    return tx.all("SELECT key, document, created_at, changed_at FROM event_types ORDER BY key")


def put_event_type(tx: Transaction, key_text: str, document: str, *, now: Moment) -> None:
    tx.run(
        """
        INSERT INTO event_types (key, document, created_at, changed_at) VALUES (:key, :document, :now, :now)
        ON CONFLICT (key) DO UPDATE SET document = excluded.document, changed_at = excluded.changed_at
        """,
        key=key_text,
        document=document,
        now=now,
    )
    counters.grow(tx, counters.CATALOG_CHANGED)
    tx.wake("catalog")


def delete_event_type(tx: Transaction, key_text: str) -> bool:
    deleted = tx.run("DELETE FROM event_types WHERE key = :key", key=key_text) == 1
    counters.grow(tx, counters.CATALOG_CHANGED)
    tx.wake("catalog")
    return deleted
