"""What a database holds before a Dockbell is started on it: goods owners, webhooks, a key, and as much history as wanted.

A few webhooks are made by the product's own actions. More of them, a log of millions of attempts or a backlog are rows
made by the database itself, in SQL of the bench's own, with the indices put up again afterwards: minutes, not hours.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import apsw
import psycopg

from bench.generator import event_text
from bench.receiver import secret_of
from bench.systems import Shape
from dockbell.actions.publish import judge
from dockbell.clock import HOUR, MINUTE, Moment
from dockbell.domain.ids import FIRST_MS
from dockbell.domain.permissions import SYSTEM
from dockbell.embed import Store
from dockbell.settings import Settings, read_settings
from dockbell.store import people
from dockbell.store.database import Row, Transaction
from dockbell.store.events import EventRow

MONTH = 30 * 24 * HOUR
FIRST_OTHER_OWNER = 10_001
FIRST_OTHER_WEBHOOK = 1_001
WEBHOOKS_OF_AN_OWNER = 100
DELIVERIES_OF_AN_EVENT = 4
FIRST_NUMBER = 200_000_000
TEMPLATE_NUMBER = 900_000_000
LOGGED_HEADERS = (
    "Host: 127.0.0.1:40000\nUser-Agent: Dockbell/0.1.0\nContent-Type: application/json\nContent-Length: 560\n"
    "webhook-id: 7301444399530049536-17\nwebhook-timestamp: 1795500000\n"
    "webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What there is besides one webhook for each receiver."""

    webhooks: int = 0
    """More webhooks, of other goods owners."""
    attempts: int = 0
    """In the log of those webhooks, over the last month, all delivered."""
    pending: int = 0
    """Deliveries that are due, for the receivers that stand aside or, if none do, for all."""


NOTHING_MORE = Contents()


def make(url: str, key_file: Path, shape: Shape, ports: Sequence[int], contents: Contents) -> str:
    """Fill an empty database; the administrator's key."""
    with contextlib.closing(Store(settings_for(url, key_file))) as store:
        key = store.first_key()
        assert key is not None
        store.database.submit_write(lambda tx: _set_up(tx, store, shape, ports)).result()
        if contents == NOTHING_MORE:
            return key.key
        like = store.database.submit_read(lambda tx: tx.one("SELECT * FROM webhooks WHERE id = 1")).result()
        assert like is not None
        others = list(_other_webhooks(store, like, contents.webhooks, store.clock.now()))
        event = _template_event(store)
    with _bulk(url) as bulk, _without_indices(bulk):
        now = time.time_ns() // 1000
        _insert_webhooks(bulk, others, now)
        if contents.attempts:
            _insert_log(bulk, event, contents, now)
        if contents.pending:
            _insert_backlog(bulk, event, contents, shape, now)
    return key.key


def settings_for(url: str, key_file: Path) -> Settings:
    return read_settings(database=url, key_file=key_file, egress={"allow_loopback_for_tests": True})


# --- by the product's own actions ----------------------------------------------------------------------------------


def _set_up(tx: Transaction, store: Store, shape: Shape, ports: Sequence[int]) -> None:
    now = store.clock.now()
    for owner in shape.goods_owners:
        people.put_goods_owner(tx, owner, f"Goods owner {owner}", now=now)
    scheme = "https" if shape.tls else "http"
    for place, owner in enumerate(shape.goods_owners):
        for copy in range(shape.fan_out):
            document = {
                "name": f"Receiver {place}.{copy}",
                "kind": "regular",
                "eventType": "order.picked",
                "goodsOwnerIds": [owner],
                "targetUrl": f"{scheme}://127.0.0.1:{ports[place]}/hook/{copy}",
                "signingSecret": secret_of(place),
                "timeoutInSeconds": shape.timeout_s,
            }
            store.webhooks.create(tx, SYSTEM, document, now=now)


def _template_event(store: Store) -> EventRow:
    """One event as the product stores it, of the first receiver's goods owner."""
    state = store.database.submit_read(store.index.fresh).result()
    owner = min(state.goods_owners)
    raw = event_text(owner, "before") % ((TEMPLATE_NUMBER,) * 4)
    return store.publisher.row(judge(raw, SYSTEM, state), now=store.clock.now())


def _other_webhooks(store: Store, like: Row, count: int, now: Moment) -> Iterator[tuple[Any, ...]]:
    """Rows of webhooks like the first one, each with secrets sealed for its own place."""
    secrets = store.vault.open(like["secrets"], place="webhooks/1/secrets")
    for number in range(count):
        webhook, owner = FIRST_OTHER_WEBHOOK + number, FIRST_OTHER_OWNER + number // WEBHOOKS_OF_AN_OWNER
        settings = json.dumps({**json.loads(like["settings"]), "goodsOwnerIds": [owner], "name": f"Other {number}"})
        yield (
            webhook, 1, 1_000 + number, "regular", f"Other {number}", "order.picked", 0, 1, None, settings,
            store.vault.seal(secrets, place=f"webhooks/{webhook}/secrets"), like["max_concurrency"], now, now, None,
        )  # fmt: skip


# --- by SQL of our own ---------------------------------------------------------------------------------------------


class Bulk(Protocol):
    """A connection that loads much at once."""

    def run(self, text: str) -> None: ...

    def insert(self, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None: ...

    def indices(self) -> list[tuple[str, str]]:
        """Those of the three big tables that no constraint needs, as (name, statement)."""

    def numbers(self, count: int) -> str:
        """The beginning of a statement that has a table `numbers` with a column `i` from 0 on."""

    def finish(self) -> None:
        """Leave the tables as a database that has been running for long has them."""


class SqliteBulk:
    def __init__(self, file: str) -> None:
        self.connection = apsw.Connection(file)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -500000", "threads = 2"):
            self.run(f"PRAGMA {pragma}")

    def run(self, text: str) -> None:
        for _ in self.connection.execute(text):
            pass

    def insert(self, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * (columns.count(",") + 1))
        with self.connection:
            self.connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)

    def indices(self) -> list[tuple[str, str]]:
        found = self.connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "
            "AND tbl_name IN ('events', 'deliveries', 'attempts')"
        )
        return [(str(name), str(text)) for name, text in found]

    def numbers(self, count: int) -> str:
        return f"WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < {count}) "

    def finish(self) -> None:
        self.run("PRAGMA journal_mode = WAL")
        self.connection.close()


class PostgresBulk:
    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.run("SET synchronous_commit = off")
        self.run("SET maintenance_work_mem = '512MB'")
        self._set_for_all("SET max_wal_size = '16GB'")  # while loading; runs have the settings PostgreSQL comes with

    def run(self, text: str) -> None:
        self.connection.execute(text.encode())

    def insert(self, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with self.connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def indices(self) -> list[tuple[str, str]]:
        found = self.connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('events', 'deliveries', 'attempts') "
            "AND indexname NOT LIKE '%\\_pkey'"
        )
        return [(str(name), str(text)) for name, text in found]

    def numbers(self, count: int) -> str:
        return f"WITH numbers(i) AS (SELECT * FROM generate_series(0, CAST({count} - 1 AS BIGINT))) "

    def finish(self) -> None:
        self.run("VACUUM (ANALYZE)")
        self._set_for_all("RESET max_wal_size")
        self.run("CHECKPOINT")
        self.connection.close()

    def _set_for_all(self, what: str) -> None:
        self.run(f"ALTER SYSTEM {what}")
        self.run("SELECT pg_reload_conf()")


@contextlib.contextmanager
def _bulk(url: str) -> Iterator[Bulk]:
    bulk: Bulk = PostgresBulk(url) if url.startswith("postgresql://") else SqliteBulk(url)
    yield bulk
    bulk.finish()
    os.sync()  # or the first checkpoint measured would write all of this to the disk


@contextlib.contextmanager
def _without_indices(bulk: Bulk) -> Iterator[None]:
    """Sorted once at the end instead of kept in order row by row."""
    indices = bulk.indices()
    for name, _ in indices:
        bulk.run(f"DROP INDEX {name}")
    yield
    for _, text in indices:
        bulk.run(text)


WEBHOOK_COLUMNS = (
    "id, version, changed_no, kind, name, event_type, all_goods_owners, enabled, disabled_reason, settings, secrets, "
    "max_concurrency, created_at, changed_at, deleted_at"
)


def _insert_webhooks(bulk: Bulk, others: Sequence[tuple[Any, ...]], now: Moment) -> None:
    if not others:
        return
    owners = range(FIRST_OTHER_OWNER, FIRST_OTHER_OWNER + -(-len(others) // WEBHOOKS_OF_AN_OWNER))
    bulk.insert("goods_owners", "id, name, created_at", [(owner, f"Goods owner {owner}", now) for owner in owners])
    bulk.insert("webhooks", WEBHOOK_COLUMNS, others)
    bulk.run(f"""
        INSERT INTO webhook_goods_owners (webhook_id, goods_owner_id)
        SELECT id, {FIRST_OTHER_OWNER} + (id - {FIRST_OTHER_WEBHOOK}) / {WEBHOOKS_OF_AN_OWNER}
          FROM webhooks WHERE id >= {FIRST_OTHER_WEBHOOK}
    """)
    bulk.run(f"""
        INSERT INTO webhook_versions (webhook_id, version, since, actor, enabled, deleted, settings)
        SELECT id, version, created_at, 'system', 1, 0, settings FROM webhooks WHERE id >= {FIRST_OTHER_WEBHOOK}
    """)
    for counter, column in (("webhook", "id"), ("webhooks changed", "changed_no")):
        bulk.run(f"UPDATE counters SET value = (SELECT max({column}) FROM webhooks) WHERE name = '{counter}'")


def _insert_log(bulk: Bulk, event: EventRow, contents: Contents, now: Moment) -> None:
    """A month of events that went to four webhooks each, and well."""
    events = -(-contents.attempts // DELIVERIES_OF_AN_EVENT)
    owners = max(1, contents.webhooks // WEBHOOKS_OF_AN_OWNER)
    at = f"({now - MINUTE - MONTH} + i * {MONTH // events})"
    _insert_events(bulk, event, events, at=at, owner=f"({FIRST_OTHER_OWNER} + i % {owners})")
    # Which of its goods owner's webhooks: another four for each event.
    copy = f"((i / {owners} * {DELIVERIES_OF_AN_EVENT} + c) % {WEBHOOKS_OF_AN_OWNER})"
    webhook = f"({FIRST_OTHER_WEBHOOK} + i % {owners} * {WEBHOOKS_OF_AN_OWNER} + {copy})"
    each = f"CROSS JOIN ({' UNION ALL '.join(f'SELECT {c} AS c' for c in range(DELIVERIES_OF_AN_EVENT))}) copies"
    bulk.run(f"""
        INSERT INTO deliveries (event_id, webhook_id, goods_owner_id, status, due_at, attempts, failures,
                                first_attempt_at, lease_no, last_code, ended_at)
        {bulk.numbers(events)}
        SELECT {_event_id(at)}, {webhook}, {FIRST_OTHER_OWNER} + i % {owners}, 'delivered', {at}, 1, 0, {at}, 1,
               'delivered', {at} + 5000
          FROM numbers {each}
    """)
    bulk.run(f"""
        INSERT INTO attempts (event_id, webhook_id, attempt_no, webhook_version, node, started_at, ended_at, code,
                              status_code, detail, address, dns_us, connect_us, tls_us, first_byte_us, total_us,
                              request_headers, response_headers, response_body, response_cut)
        {bulk.numbers(events)}
        SELECT {_event_id(at)}, {webhook}, 1, 1, 0, {at}, {at} + 5000, 'delivered', 200, '', '127.0.0.1', 0, 0, 0,
               4000, 5000, '{LOGGED_HEADERS}', 'Content-Length: 0', '', 0
          FROM numbers {each}
    """)
    # The statistics of a program that has been running: everything counted, an hour of each day for each webhook.
    bulk.run(f"UPDATE counters SET value = {now - MINUTE} WHERE name = 'attempts counted to'")
    bulk.run(f"""
        INSERT INTO webhook_hours (webhook_id, hour_at, bucket, delivered, failed)
        {bulk.numbers(30)}
        SELECT w.id, {(now - MONTH) // HOUR * HOUR} + i * {24 * HOUR}, 9, 3, 0
          FROM numbers CROSS JOIN webhooks w WHERE w.id >= {FIRST_OTHER_WEBHOOK}
    """)
    bulk.run(f"""
        INSERT INTO webhook_health (webhook_id, tried_at, delivered_at)
        SELECT id, {now - MINUTE}, {now - MINUTE} FROM webhooks WHERE id >= {FIRST_OTHER_WEBHOOK}
    """)


def _insert_backlog(bulk: Bulk, event: EventRow, contents: Contents, shape: Shape, now: Moment) -> None:
    """Deliveries of the last hour that nobody has tried yet."""
    first, places = (shape.sent_to, shape.aside) if shape.aside else (0, shape.receivers)
    at = f"({now - HOUR} + i * {(HOUR - MINUTE) // contents.pending})"
    owner = f"({min(shape.goods_owners) + first} + i % {places})"
    _insert_events(bulk, event, contents.pending, at=at, owner=owner)
    bulk.run(f"""
        INSERT INTO deliveries (event_id, webhook_id, goods_owner_id, status, due_at)
        {bulk.numbers(contents.pending)}
        SELECT {_event_id(at)}, 1 + ({first} + i % {places}) * {shape.fan_out}, {owner}, 'pending', {at} FROM numbers
    """)


def _insert_events(bulk: Bulk, event: EventRow, count: int, *, at: str, owner: str) -> None:
    """Events like `event`; `at` and `owner` are expressions of `i`."""
    number = f"({FIRST_NUMBER} + i)"
    id_in, owner_in = f'"webhookEventId":{event.id}', f'"goodsOwnerId":{event.goods_owner_id}'
    name_in, number_in = f"Goods owner {event.goods_owner_id}", {str(TEMPLATE_NUMBER): number}
    head = _with(event.head, {id_in: _event_id(at), owner_in: owner, name_in: owner})
    bulk.run(f"""
        INSERT INTO events (id, goods_owner_id, event_type, publisher_id, fingerprint, occurred_at, accepted_at,
                            object_key, object_number, attributes, head, data)
        {bulk.numbers(count)}
        SELECT {_event_id(at)}, {owner}, '{event.event_type}', 'before-' || i, '{event.fingerprint}', {at}, {at},
               {_with(event.object_key or "", number_in)},
               {_with(event.object_number or "", number_in)},
               '{event.attributes}', {head}, {_with(event.data, number_in)}
          FROM numbers
    """)


def _event_id(at: str) -> str:
    return f"(({at} / 1000 - {FIRST_MS}) * 4096)"


def _with(text: str, places: Mapping[str, str]) -> str:
    """A text of the product as an SQL expression: `{"number 7": "i"}` puts `i` where the 7 of "number 7" stands."""
    for mark, words in enumerate(places):
        kept = words.rstrip("0123456789")
        text = text.replace(words, f"{kept}\x01{mark}\x02")
    quoted = "'" + text.replace("'", "''") + "'"
    for mark, expression in enumerate(places.values()):  # only now: an expression has numbers of its own
        quoted = quoted.replace(f"\x01{mark}\x02", f"' || {expression} || '")
    return quoted
