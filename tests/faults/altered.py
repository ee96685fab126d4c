"""Dockbell with something changed from outside, for crashes at chosen points and for controls that must do harm.

    FAULTS_ALTERED="crash:before_commit:7 synchronous_normal" python -m tests.faults.altered serve

The product has no hooks for this: what is named here is replaced in the running program alone. A name that is no longer there
ends the program at once, so that no scenario goes on proving nothing.
"""

import functools
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from dockbell import app, cli
from dockbell.actions import journal
from dockbell.delivery import worker
from dockbell.store import deliveries, migrate, people, postgres, retention, sqlite, vault

VARIABLE = "FAULTS_ALTERED"
FENCE = "AND deliveries.lease_until <> 0 AND deliveries.lease_no = r.lease_no"


def altered(*alterations: str) -> dict[str, str]:
    """The environment that asks for them."""
    return {VARIABLE: " ".join(alterations)}


def watched(*alterations: str) -> dict[str, str]:
    """The same, of a program that is looked into: what root may anyway, and others only where its memory is left open."""
    return altered(*alterations, *(() if os.geteuid() == 0 else ("memory_open",)))


# --- crashes at chosen points --------------------------------------------------------------------------------------


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _wrap(owner: Any, name: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    setattr(owner, name, functools.wraps(getattr(owner, name))(around(getattr(owner, name))))


def _at(owner: Any, name: str, nth: int, *, after: bool, counts: Callable[..., bool] = lambda *_, **__: True) -> None:
    """End the program at the nth call that counts: when it begins, or when it returns."""
    seen = 0

    def around(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal seen
            seen += counts(*args, **kwargs)
            if seen == nth and not after:
                _die()
            result = original(*args, **kwargs)
            if seen == nth and after:
                _die()
            return result

        return call

    _wrap(owner, name, around)


def _has_events(_first: Any, commit: Any, **_: Any) -> bool:
    return bool(commit.requests)


def _has_chosen(_tx: Any, ids: Any) -> bool:
    return bool(ids)


def _has_claimed(_worker: Any, jobs: Any) -> bool:
    return any(job.lease.attempt_no > 1 for job in jobs)


def _has_delivered(_worker: Any, batch: Any) -> bool:
    return any(getattr(outcome, "status", None) == 200 for _, outcome in batch)


POINTS: dict[str, Callable[[int], None]] = {
    "between_statements": lambda nth: _at(deliveries, "insert", nth, after=False),
    "before_commit": lambda nth: _at(journal, "write", nth, after=True, counts=_has_events),
    "after_commit_before_202": lambda nth: _at(journal.Journal, "_answer", nth, after=False, counts=_has_events),
    "after_claim": lambda nth: _at(worker.Worker, "take", nth, after=False, counts=_has_claimed),
    "after_send_before_record": lambda nth: _at(worker.Worker, "outcomes", nth, after=False, counts=_has_delivered),
    "before_closing_commit": lambda nth: _at(deliveries, "close", nth, after=True),
    "mid_migration": lambda nth: _at(migrate, "_apply", nth, after=False),
    "mid_migration_step": lambda nth: _at(migrate, "statements_of", nth, after=True),
    "mid_retention": lambda nth: _at(retention, "delete", nth, after=True, counts=_has_chosen),
    "mid_rotation": lambda nth: _at(vault.Vault, "reseal", nth, after=True),
}
"""Where Dockbell can be made to end; the number is which time."""


# --- controls ------------------------------------------------------------------------------------------------------


def _synchronous_normal() -> None:
    def around(connect: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, **sized: Any) -> Any:
            connection = connect(self, **sized)
            connection.execute("PRAGMA synchronous = NORMAL")
            return connection

        return call

    _wrap(sqlite.SqliteDatabase, "_connect", around)


def _unfenced() -> None:
    """Late outcomes are written whoever holds the lease."""
    for transaction in (sqlite.SqliteTransaction, postgres.PostgresTransaction):

        def around(execute: Callable[..., Any]) -> Callable[..., Any]:
            def call(self: Any, sql: str, *args: Any) -> Any:
                return execute(self, _without_fence(sql), *args)

            return call

        _wrap(transaction, "_execute", around)


def _without_fence(sql: str) -> str:
    if "next_status" not in sql or "UPDATE deliveries" not in sql:
        return sql
    assert FENCE in sql, "the statement that closes attempts is written otherwise now"
    return sql.replace(FENCE, "")


def _node_gone_after(seconds: str) -> None:
    """So that a node's number goes to another after seconds instead of an hour."""
    people.NODE_GONE_AFTER = people.NUMBER_KEPT_FOR = int(float(seconds) * 1_000_000)


def _next_version() -> None:
    """One step of the schema more: a column and an index, as a release may add them."""

    def around(steps: Callable[..., Any]) -> Callable[..., Any]:
        def call() -> Any:
            added = (
                "ALTER TABLE events ADD COLUMN of_next_version BIGINT;\nCREATE INDEX of_next ON events (accepted_at);\n"
            )
            known = steps()
            return [*known, (known[-1][0] + 1, "of_the_next_version.sql", added)]

        return call

    _wrap(migrate, "steps", around)


def _resolver(port: str) -> None:
    """Names are asked of a name server on this machine's own port."""
    from dnslib import QTYPE, DNSRecord

    def ask(host: str, _port: int, **_: Any) -> list[Any]:
        answers: list[Any] = []
        for kind, family in (("A", socket.AF_INET), ("AAAA", socket.AF_INET6)):
            raw = DNSRecord.question(host, kind).send("127.0.0.1", int(port), timeout=5)
            told = [record for record in DNSRecord.parse(raw).rr if QTYPE[record.rtype] == kind]
            answers += [(family, socket.SOCK_STREAM, 6, "", (str(record.rdata), _port)) for record in told]
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return answers

    socket.getaddrinfo = ask  # type: ignore[assignment]


def _memory_open() -> None:
    """Other processes of this user see its memory and what it has open."""
    _wrap(app, "keep_memory_private", lambda _: lambda: False)


CONTROLS: dict[str, Callable[..., None]] = {
    "synchronous_normal": _synchronous_normal,
    "unfenced": _unfenced,
    "node_gone_after": _node_gone_after,
    "next_version": _next_version,
    "resolver": _resolver,
    "memory_open": _memory_open,
}


def main() -> None:
    for alteration in os.environ.get(VARIABLE, "").split():
        kind, *rest = alteration.split(":")
        if kind == "crash":
            POINTS[rest[0]](int(rest[1]))
        else:
            CONTROLS[kind](*rest)
    sys.argv[0] = "dockbell"
    cli.main()


if __name__ == "__main__":
    main()
