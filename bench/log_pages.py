"""How long pages of the log take on 1,000,000 attempts: `python -m bench.log_pages <database address> [attempts]`.

Fills an empty database (multi-row inserts), then asks the actions behind the page for each filter, the median of some
runs in milliseconds, and its ratio to the unfiltered first page. This is the time of the queries: the page's HTML is
not in it.
"""

import statistics
import sys
import time
from functools import partial
from typing import Any

from dockbell.actions import deliveries
from dockbell.domain.permissions import SYSTEM, Actor
from dockbell.store import people, webhooks
from dockbell.store.database import Database, Transaction, open_database
from dockbell.store.migrate import migrate

A_PORTION = 5_000
RUNS = 9
WEBHOOKS = 20
OWNERS = 10
TYPES = ("order.picked", "order.packed", "order.shipped", "article.changed")
BAD = ("http_500", "http_404", "timeout", "connect_refused", "http_redirect")
NOW = 1_795_500_000_000_000
STEP = 1 << 12
FIRST = 1 << 47
EVENTS = (
    "id BIGINT, goods_owner_id BIGINT, event_type TEXT, occurred_at BIGINT, accepted_at BIGINT, object_key TEXT, "
    "object_number TEXT, attributes TEXT, head TEXT, data TEXT"
)
DELIVERIES = (
    "event_id BIGINT, webhook_id BIGINT, goods_owner_id BIGINT, status TEXT, due_at BIGINT, attempts BIGINT, "
    "failures BIGINT, last_code TEXT, ended_at BIGINT"
)
ATTEMPTS = (
    "event_id BIGINT, webhook_id BIGINT, attempt_no BIGINT, webhook_version BIGINT, node BIGINT, started_at BIGINT, "
    "ended_at BIGINT, code TEXT, status_code BIGINT, detail TEXT, address TEXT, dns_us BIGINT, connect_us BIGINT, "
    "tls_us BIGINT, first_byte_us BIGINT, total_us BIGINT, request_headers TEXT, response_headers TEXT, "
    "response_body TEXT, response_cut BIGINT"
)


def fill(database: Database, attempts: int) -> None:
    def owners_and_webhooks(tx: Transaction) -> None:
        for owner in range(1, OWNERS + 1):
            people.put_goods_owner(tx, owner, f"Owner {owner}", now=NOW)
        for webhook in range(1, WEBHOOKS + 1):
            values = {
                "id": webhook, "version": 1, "kind": "regular", "name": f"Webhook {webhook}", "event_type": _type(webhook - 1),
                "enabled": 1, "disabled_reason": None, "settings": "{}", "secrets": "", "max_concurrency": 4, "keeps_order": 0,
                "created_at": NOW, "deleted_at": None,
            }  # fmt: skip
            webhooks.save(tx, values=values, goods_owners=(1,), actor="system", now=NOW)

    database.submit_write(owners_and_webhooks).result()
    for start in range(0, attempts, A_PORTION):
        numbers = range(start, min(start + A_PORTION, attempts))
        database.submit_write(partial(_insert, numbers=numbers)).result()


def _type(n: int) -> str:
    """Of the nth event; each webhook is for one type, since their number is a multiple of that of the types."""
    return TYPES[n % len(TYPES)]


def _insert(tx: Transaction, numbers: range) -> None:
    events, rows, tries = [], [], []
    for n in numbers:
        event, webhook, owner = FIRST + n * STEP, n % WEBHOOKS + 1, n % OWNERS + 1
        code = BAD[n // 20 % len(BAD)] if n % 20 == 0 else "delivered"
        order = n // 8
        events.append(
            (
                event,
                owner,
                TYPES[n % 4],
                NOW,
                NOW,
                f"order/{order}",
                f"SO-{order}",
                "{}",
                '"webhookEventId":1',
                '{"a":1}',
            )
        )
        status = "delivered" if code == "delivered" else "failed"
        rows.append((event, webhook, owner, status, NOW, 1, 0, code, NOW))
        tries.append(
            (event, webhook, 1, 1, 0, NOW, NOW, code, 200, "", "127.0.0.1", 1, 1, 1, 1, 5, "a: b", "c: d", "ok", 0)
        )
    for table, columns, values in (
        ("events", EVENTS, events),
        ("deliveries", DELIVERIES, rows),
        ("attempts", ATTEMPTS, tries),
    ):
        names = ", ".join(column.split()[0] for column in columns.split(","))
        tx.run(f"INSERT INTO {table} ({names}) SELECT * FROM :rows({columns}) r", rows=values)


def measure(database: Database, attempts: int) -> None:
    middle = attempts // 16
    one_owner = Actor("user/1", "One", frozenset({"read"}), frozenset({3}), "user")
    three_owners = Actor("user/2", "Three", frozenset({"read"}), frozenset({3, 4, 33}), "user")
    asked: list[tuple[str, Actor, dict[str, Any]]] = [
        ("unfiltered", SYSTEM, {}),
        ("order number", SYSTEM, {"about": f"SO-{middle}"}),
        ("order and number", SYSTEM, {"about": f"order SO-{middle}"}),
        ("unknown number", SYSTEM, {"about": "SO-none"}),
        ("status failed", SYSTEM, {"status": "failed"}),
        ("status held, none", SYSTEM, {"status": "held"}),
        ("5xx", SYSTEM, {"code": "5xx"}),
        ("code, none", SYSTEM, {"code": "tls_timeout"}),
        ("no answer", SYSTEM, {"code": "none"}),
        ("webhook", SYSTEM, {"webhook_id": 7}),
        ("webhook and 5xx", SYSTEM, {"webhook_id": 1, "code": "5xx"}),
        ("webhook and failed, none", SYSTEM, {"webhook_id": 7, "status": "failed"}),
        ("webhook and code, none", SYSTEM, {"webhook_id": 7, "code": "http_500"}),
        ("status sending, none", SYSTEM, {"status": "sending"}),
        ("event type", SYSTEM, {"event_type": "order.packed"}),
        ("event type, none", SYSTEM, {"event_type": "test.none"}),
        ("event type and failed, none", SYSTEM, {"event_type": "order.packed", "status": "failed"}),
        ("goods owner", SYSTEM, {"goods_owner_id": 3}),
        ("goods owner, none", SYSTEM, {"goods_owner_id": 33}),
        ("goods owner's user", one_owner, {}),
        ("three goods owners' user", three_owners, {}),
        ("goods owner's user, failed", one_owner, {"status": "failed"}),
    ]
    unfiltered = 0.0
    for name, actor, filters in asked:
        times = []
        for _ in range(RUNS):
            began = time.perf_counter()
            database.submit_read(
                lambda tx, actor=actor, filters=filters: deliveries.with_durations(  # type: ignore[misc]
                    tx, deliveries.page(tx, actor, **filters, limit=51)
                )
            ).result()
            times.append((time.perf_counter() - began) * 1000)
        median = statistics.median(times)
        unfiltered = unfiltered or median
        print(f"{name:28} {median:9.2f} ms  worst {max(times):9.2f} ms  ratio {median / unfiltered:6.2f}", flush=True)


def main() -> None:
    url, attempts = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    database = open_database(url)
    migrate(database, now=NOW)
    began = time.perf_counter()
    fill(database, attempts)
    print(f"{database.dialect}: {attempts:,} attempts in {time.perf_counter() - began:.0f} s", flush=True)
    if database.dialect == "postgres":  # what autovacuum does in its own time
        database.submit_write(lambda tx: tx.run("ANALYZE")).result()
    measure(database, attempts)
    database.close()


if __name__ == "__main__":
    main()
