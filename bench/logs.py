"""What a Dockbell has stored, asked with SQL of the bench's own, not with the product's: the judge is not the judged."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import psycopg

OPEN = """
    SELECT count(*) FROM deliveries
     WHERE event_id > {since} AND goods_owner_id < {owners_below} AND status <> 'delivered'
"""
COUNTS = """
    SELECT (SELECT count(*) FROM events WHERE id > {since}),
           (SELECT count(*) FROM deliveries WHERE event_id > {since}),
           (SELECT count(*) FROM deliveries
             WHERE event_id > {since} AND goods_owner_id < {owners_below} AND status = 'delivered'),
           (SELECT count(*) FROM attempts a
              JOIN deliveries d ON d.event_id = a.event_id AND d.webhook_id = a.webhook_id
             WHERE a.event_id > {since} AND d.goods_owner_id < {owners_below}),
           (SELECT max(ended_at) FROM attempts WHERE event_id > {since} AND status_code BETWEEN 200 AND 299)
"""
PAIRS = "SELECT event_id, webhook_id FROM attempts WHERE event_id > {since} AND status_code BETWEEN 200 AND 299"
PENDING = "SELECT count(*) FROM deliveries WHERE status = 'pending' OR status = 'sending'"
NEWEST = "SELECT coalesce(max(id), 0) FROM events"


@dataclass(frozen=True, slots=True)
class Counts:
    """Of events after `since`; the last three of goods owners whose receivers answer."""

    events: int
    deliveries: int
    delivered: int
    attempts: int
    last_ended_at: float
    """Seconds since 1970."""


class Log:
    since = 0
    """Events up to this id were there before: they are not looked at."""
    owners_below = 1 << 53
    """Goods owners from here on have receivers that never answer: nobody waits for those."""

    def open_deliveries(self) -> int:
        """How many are not delivered yet; cheap enough to ask while something runs."""
        return self.number(OPEN)

    def counts(self) -> Counts:
        [(events, made, delivered, attempts, last)] = self.rows(COUNTS)
        return Counts(events, made, delivered, attempts, (last or 0) / 1e6)

    def pairs(self) -> set[bytes]:
        """`<event>-<webhook>` of every attempt that was answered 2xx: the ids a receiver must have seen."""
        return {b"%d-%d" % pair for pair in self.rows(PAIRS)}

    def pending(self) -> int:
        """Of all events, whenever they came."""
        return self.number(PENDING)

    def begin_after_newest(self) -> None:
        self.since = self.number(NEWEST)

    def number(self, text: str) -> int:
        [(value,)] = self.rows(text)
        return int(value)

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        return self._rows(text.format(since=self.since, owners_below=self.owners_below))

    def stored_bytes(self) -> int:
        raise NotImplementedError

    def spent(self) -> dict[str, float]:
        """What the database did since it was made, as far as it tells."""
        raise NotImplementedError

    def _rows(self, text: str) -> list[tuple[Any, ...]]:
        raise NotImplementedError


class SqliteLog(Log):
    def __init__(self, file: Path) -> None:
        self._file = file

    def stored_bytes(self) -> int:
        """Pages in use: what the file has once the write-ahead log is copied back."""
        pages, free, size = (self.number(f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size"))
        return (pages - free) * size

    def spent(self) -> dict[str, float]:
        return {}

    def _rows(self, text: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(apsw.Connection(str(self._file), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            connection.set_busy_timeout(10_000)
            return list(connection.execute(text))


class PostgresLog(Log):
    def __init__(self, url: str, *, counted: bool = False) -> None:
        self._url = url
        self._counted = counted

    def stored_bytes(self) -> int:
        return self.number("SELECT pg_database_size(current_database())")

    def spent(self) -> dict[str, float]:
        spent = {"WAL bytes": float(self.number("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"))}
        if self._counted:
            spent |= {"statements": float(self.number(STATEMENTS)), "commits": float(self.number(COMMITS))}
        return spent

    def _rows(self, text: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            return connection.execute(text.encode()).fetchall()


STATEMENTS = """
    SELECT coalesce(sum(s.calls), 0) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
     WHERE d.datname = current_database() AND s.query NOT IN ('BEGIN', 'COMMIT', '')
"""
COMMITS = """
    SELECT coalesce(sum(s.calls), 0) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
     WHERE d.datname = current_database() AND s.query = 'COMMIT'
"""
