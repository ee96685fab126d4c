"""Webhooks and their history. A deleted webhook's row stays: its deliveries still tell what happened."""

from collections.abc import Iterable
from typing import Any

from dockbell.clock import Moment
from dockbell.store import counters
from dockbell.store.database import Row, Transaction
from dockbell.store.events import only

COLUMNS = """
  w.id, w.version, w.changed_no, w.kind, w.name, w.event_type, w.all_goods_owners, w.enabled, w.disabled_reason,
  w.settings, w.secrets, w.max_concurrency, w.keeps_order, w.created_at, w.changed_at, w.deleted_at
"""
TOPIC = "webhooks"


def next_id(tx: Transaction) -> int:
    return counters.grow(tx, counters.WEBHOOK_ID)


def save(
    tx: Transaction, *, values: dict[str, Any], goods_owners: Iterable[int] | None, actor: str, now: Moment
) -> None:
    """Insert the webhook or write it over, with a new version; `values` are the row's columns."""
    changed_no = counters.grow(tx, counters.WEBHOOKS_CHANGED)
    tx.run(
        """
        INSERT INTO webhooks (id, version, changed_no, kind, name, event_type, all_goods_owners, enabled,
                              disabled_reason, settings, secrets, max_concurrency, keeps_order, created_at, changed_at,
                              deleted_at)
        VALUES (:id, :version, :changed_no, :kind, :name, :event_type, :all_goods_owners, :enabled,
                :disabled_reason, :settings, :secrets, :max_concurrency, :keeps_order, :created_at, :now, :deleted_at)
        ON CONFLICT (id) DO UPDATE SET
          version = excluded.version, changed_no = excluded.changed_no, kind = excluded.kind, name = excluded.name,
          event_type = excluded.event_type, all_goods_owners = excluded.all_goods_owners, enabled = excluded.enabled,
          disabled_reason = excluded.disabled_reason, settings = excluded.settings, secrets = excluded.secrets,
          max_concurrency = excluded.max_concurrency, keeps_order = excluded.keeps_order, changed_at = excluded.changed_at,
          deleted_at = excluded.deleted_at
        """,
        changed_no=changed_no,
        all_goods_owners=int(goods_owners is None),
        now=now,
        **values,
    )
    tx.run("DELETE FROM webhook_goods_owners WHERE webhook_id = :id", id=values["id"])
    tx.run(
        """
        INSERT INTO webhook_goods_owners (webhook_id, goods_owner_id)
        SELECT r.webhook_id, r.goods_owner_id FROM :rows(webhook_id BIGINT, goods_owner_id BIGINT) r
        """,
        rows=[(values["id"], owner) for owner in sorted(goods_owners or ())],
    )
    tx.run(
        """
        INSERT INTO webhook_versions (webhook_id, version, since, actor, enabled, deleted, settings)
        VALUES (:id, :version, :now, :actor, :enabled, :deleted, :settings)
        """,
        id=values["id"],
        version=values["version"],
        now=now,
        actor=actor,
        enabled=values["enabled"],
        deleted=int(values["deleted_at"] is not None),
        settings=values["settings"],
    )
    tx.wake(TOPIC)


def find(tx: Transaction, webhook_id: int, *, for_update: bool = False) -> Row | None:
    """The webhook, also a deleted one; with `for_update` no one else changes it meanwhile."""
    if for_update:
        return tx.one(
            "SELECT w.* FROM webhooks w WHERE w.id = :webhook_id /*pg FOR UPDATE */",
            webhook_id=webhook_id,
        )
    return tx.one("SELECT w.* FROM webhooks w WHERE w.id = :webhook_id", webhook_id=webhook_id)


def regular_of(tx: Transaction, goods_owner_id: int) -> int:
    """How many regular webhooks a goods owner has; until the commit no other is made or moved there."""
    counters.locked(tx, counters.WEBHOOK_ID)
    row = tx.one(
        """
        SELECT count(*) AS n FROM webhook_goods_owners g JOIN webhooks w ON w.id = g.webhook_id
         WHERE g.goods_owner_id = :goods_owner_id AND w.kind = 'regular' AND w.deleted_at IS NULL
        """,
        goods_owner_id=goods_owner_id,
    )
    assert row is not None
    return int(row["n"])


def goods_owners_of(tx: Transaction, webhook_id: int) -> list[int]:
    rows = tx.all(
        "SELECT goods_owner_id FROM webhook_goods_owners WHERE webhook_id = :webhook_id ORDER BY goods_owner_id",
        webhook_id=webhook_id,
    )
    return [int(row["goods_owner_id"]) for row in rows]


def page(
    tx: Transaction,
    *,
    goods_owners: Iterable[int] | None,
    event_type: str | None = None,
    goods_owner_id: int | None = None,
    enabled: bool | None = None,
    kind: str | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[Row]:
    """Webhooks by id. With `goods_owners` given, only those that serve no one else (a goods owner's own)."""
    return tx.all(
        f"""
        SELECT {COLUMNS} FROM webhooks w
         WHERE w.deleted_at IS NULL AND w.id > :after
           AND (CAST(:event_type AS TEXT) IS NULL OR w.event_type = :event_type)
           AND (CAST(:kind AS TEXT) IS NULL OR w.kind = :kind)
           AND (CAST(:enabled AS BIGINT) IS NULL OR w.enabled = :enabled)
           AND (CAST(:goods_owner_id AS BIGINT) IS NULL OR w.all_goods_owners = 1 OR EXISTS (
                 SELECT 1 FROM webhook_goods_owners g
                  WHERE g.webhook_id = w.id AND g.goods_owner_id = :goods_owner_id))
           AND (CAST(:only AS TEXT) IS NULL OR (w.all_goods_owners = 0 AND NOT EXISTS (
                 SELECT 1 FROM webhook_goods_owners g
                  WHERE g.webhook_id = w.id AND :only NOT LIKE '%,' || CAST(g.goods_owner_id AS TEXT) || ',%')))
         ORDER BY w.id LIMIT :limit
        """,  # noqa: S608 - COLUMNS is a constant of this file
        after=after,
        event_type=event_type,
        enabled=None if enabled is None else int(enabled),
        kind=kind,
        goods_owner_id=goods_owner_id,
        only=only(goods_owners),
        limit=limit,
    )


def changed_since(tx: Transaction, changed_no: int, *, limit: int = 1_000) -> list[Row]:
    """The first of those that were changed after `changed_no`, in the order of their last change."""
    return tx.all(
        "SELECT w.* FROM webhooks w WHERE w.changed_no > :changed_no ORDER BY w.changed_no LIMIT :limit",
        changed_no=changed_no,
        limit=limit,
    )


def versions(tx: Transaction, webhook_id: int, *, limit: int) -> list[Row]:
    """What the webhook looked like from when on, the newest first."""
    return tx.all(
        """
        SELECT v.version, v.since, v.actor, v.enabled, v.settings FROM webhook_versions v
         WHERE v.webhook_id = :webhook_id ORDER BY v.version DESC LIMIT :limit
        """,
        webhook_id=webhook_id,
        limit=limit,
    )


def versions_at(tx: Transaction, *, event_id: int, event_type: str, moment: Moment) -> list[Row]:
    """Each webhook that is of an event type, was so at `moment` or has a delivery of the event, with the version of then.

    The version is NULL if the webhook came later.
    """
    # Only what was changed since can have been of another type, so few settings are opened.
    return tx.all(
        """
        SELECT w.id, w.name, w.kind, w.created_at, w.settings AS settings_now, w.deleted_at,
               v.version, v.since, v.enabled, v.deleted, v.settings
          FROM webhooks w
          LEFT JOIN webhook_versions v ON v.webhook_id = w.id AND v.version = (
                SELECT max(x.version) FROM webhook_versions x WHERE x.webhook_id = w.id AND x.since <= :moment)
         WHERE w.id IN (
               SELECT t.id FROM webhooks t WHERE t.event_type = :event_type
               UNION SELECT d.webhook_id FROM deliveries d WHERE d.event_id = :event_id
               UNION SELECT c.id FROM webhooks c
                      WHERE c.changed_at > :moment AND c.event_type <> :event_type AND :event_type = (
                            SELECT x.settings /*pg ::json */ ->> 'eventType' FROM webhook_versions x
                             WHERE x.webhook_id = c.id AND x.since <= :moment ORDER BY x.version DESC LIMIT 1))
         ORDER BY w.id
        """,
        event_id=event_id,
        event_type=event_type,
        moment=moment,
    )
