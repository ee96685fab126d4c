"""Rows for tests of the store: a goods owner, a webhook, events and deliveries, with as little said as possible."""

import json
from collections.abc import Callable
from typing import Any

from dockbell.clock import Moment
from dockbell.store import deliveries, delivery_log, events, people, webhooks
from dockbell.store.database import Database, Row, Transaction
from dockbell.store.deliveries import Closing, Lease
from dockbell.store.events import EventRow
from dockbell.store.postgres import PostgresTransaction

TEA, FJORD = 114, 207
NOW: Moment = 1_795_500_000_000_000
SECOND = 1_000_000
NODE = 3


def write(database: Database, work: Any) -> Any:
    return database.submit_write(work).result()


def read(database: Database, work: Any) -> Any:
    return database.submit_read(work).result()


def rows_of(database: Database, sql: str, **params: Any) -> list[Row]:
    return list(read(database, lambda tx: tx.all(sql, **params)))


def an_event_row(event_id: int, **fields: Any) -> EventRow:
    return EventRow(
        **{
            "id": event_id,
            "goods_owner_id": TEA,
            "event_type": "order.picked",
            "publisher_id": None,
            "fingerprint": None,
            "occurred_at": NOW,
            "accepted_at": NOW,
            "object_key": f"order/{event_id}",
            "object_number": f"SO-{event_id}",
            "attributes": "{}",
            "head": '"webhookEventId":1',
            "data": "{}",
            **fields,
        },
    )


def put_goods_owners(database: Database) -> None:
    write(database, lambda tx: people.put_goods_owner(tx, TEA, "Nordic Tea AB", now=NOW))
    write(database, lambda tx: people.put_goods_owner(tx, FJORD, "Fjord Outdoor AS", now=NOW))


def save_webhook(tx: Transaction, webhook_id: int, **fields: Any) -> None:
    """A webhook of Nordic Tea, or as `fields` say; written over if it exists."""
    owners = fields.pop("goods_owners", (TEA,))
    before = webhooks.find(tx, webhook_id)
    values = {
        "id": webhook_id,
        "version": 1 if before is None else before["version"] + 1,
        "kind": "regular",
        "name": f"webhook {webhook_id}",
        "event_type": "order.picked",
        "enabled": 1,
        "disabled_reason": None,
        "settings": "{}",
        "secrets": "",
        "max_concurrency": 4,
        "keeps_order": 0,
        "created_at": NOW,
        "deleted_at": None,
        **fields,
    }
    webhooks.save(tx, values=values, goods_owners=owners, actor="system", now=NOW)


def put_webhook(database: Database, webhook_id: int, **fields: Any) -> None:
    write(database, lambda tx: save_webhook(tx, webhook_id, **fields))


def forget_setting(database: Database, webhook_id: int, name: str) -> None:
    """As if the webhook and its versions had been saved before there was this setting."""

    def work(tx: Transaction) -> None:
        for row in tx.all(
            "SELECT v.version, v.settings FROM webhook_versions v WHERE v.webhook_id = :id", id=webhook_id
        ):
            settings = {key: value for key, value in json.loads(row["settings"]).items() if key != name}
            values = {"id": webhook_id, "version": row["version"], "settings": json.dumps(settings)}
            tx.run(
                "UPDATE webhook_versions SET settings = :settings WHERE webhook_id = :id AND version = :version",
                **values,
            )
            tx.run("UPDATE webhooks SET settings = :settings WHERE id = :id AND version = :version", **values)

    write(database, work)


def put_deliveries(database: Database, webhook_id: int, event_ids: Any, *, due_at: Moment = NOW) -> None:
    """Events with one waiting delivery each."""
    ids = list(event_ids)

    def work(tx: Transaction) -> None:
        known = {row["id"] for row in tx.all("SELECT id FROM events")}
        events.insert(tx, [an_event_row(event_id) for event_id in ids if event_id not in known])
        deliveries.insert(tx, [(event_id, webhook_id, TEA, due_at) for event_id in ids])

    write(database, work)


def claim(database: Database, webhook_id: int, *, now: Moment = NOW, limit: int = 32, lease_s: int = 25) -> list[Lease]:
    return list(
        write(
            database,
            lambda tx: deliveries.claim_due(
                tx, webhook_id=webhook_id, now=now, lease_until=now + lease_s * SECOND, node=NODE, limit=limit
            ),
        ),
    )


def close(database: Database, *closings: Closing) -> int:
    """How many of the attempts ended: a lease that was lost meanwhile ends nothing."""
    return int(write(database, lambda tx: deliveries.close(tx, closings)))


def a_lease(event_id: int, webhook_id: int, **fields: Any) -> Lease:
    return Lease(
        **{
            "event_id": event_id,
            "webhook_id": webhook_id,
            "goods_owner_id": TEA,
            "attempt_no": 1,
            "lease_no": 1,
            "until": NOW + 25 * SECOND,
            "started_at": NOW,
            "first_attempt_at": NOW,
            "failures": 0,
            **fields,
        },
    )


def a_closing(lease: Lease, **fields: Any) -> Closing:
    """A delivered attempt, or as `fields` say."""
    return Closing(
        **{
            "lease": lease,
            "webhook_version": 1,
            "node": NODE,
            "ended_at": lease.started_at + SECOND,
            "code": "delivered",
            "status_code": 200,
            "detail": "",
            "address": "127.0.0.1",
            "dns_us": 1,
            "connect_us": 2,
            "tls_us": 3,
            "first_byte_us": 4,
            "total_us": 5,
            "request_headers": "webhook-id: 1-1",
            "response_headers": "HTTP/1.1 200 OK",
            "response_body": "ok",
            "response_cut": False,
            "next_status": "delivered",
            "due_at": lease.started_at + SECOND,
            "failed": False,
            **fields,
        },
    )


def a_failure(lease: Lease, *, again_at: Moment, **fields: Any) -> Closing:
    return a_closing(
        lease, code="http_500", status_code=500, next_status="pending", due_at=again_at, failed=True, **fields
    )


def the_delivery(database: Database, event_id: int, webhook_id: int = 1) -> Row:
    [row] = rows_of(
        database,
        "SELECT * FROM deliveries WHERE event_id = :event_id AND webhook_id = :webhook_id",
        event_id=event_id,
        webhook_id=webhook_id,
    )
    return row


def the_attempts(database: Database, event_id: int, webhook_id: int = 1) -> list[Row]:
    return list(read(database, lambda tx: delivery_log.attempts_of(tx, event_id, webhook_id)))


def with_states(database: Database) -> None:
    """One delivery of webhook 1 in each state, event ids 10 to 15; webhook 2 has the same."""
    for webhook_id in (1, 2):
        put_deliveries(database, webhook_id, range(10, 16))
    states = ("pending", "sending", "delivered", "failed", "held", "cancelled")
    for event_id, status in zip(range(10, 16), states, strict=True):
        write(
            database,
            lambda tx, event_id=event_id, status=status: tx.run(
                "UPDATE deliveries SET status = :status WHERE event_id = :event_id", status=status, event_id=event_id
            ),
        )


def states(database: Database, webhook_id: int) -> list[str]:
    return [
        row["status"]
        for row in rows_of(
            database, "SELECT status FROM deliveries WHERE webhook_id = :w ORDER BY event_id", w=webhook_id
        )
    ]


UNTOUCHED = ["pending", "sending", "delivered", "failed", "held", "cancelled"]


class Explained:
    """A transaction that notes how the database goes about each statement it runs."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._explain = "EXPLAIN" if isinstance(tx, PostgresTransaction) else "EXPLAIN QUERY PLAN"
        self.steps: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def asked(sql: str, /, **params: Any) -> Any:
            if "rows" not in params:
                plan = self._tx.all(f"{self._explain} {sql}", **params)
                self.steps += [str(row["detail"] if "detail" in row else row["QUERY PLAN"]) for row in plan]
            return getattr(self._tx, name)(sql, **params)

        return asked
