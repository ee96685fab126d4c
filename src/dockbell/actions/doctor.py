"""Examining an installation: collects the facts that `domain.findings` judges. Changes nothing."""

import asyncio
import os
import stat
from pathlib import Path

from dockbell.clock import HOUR, SECOND, Clock, Moment
from dockbell.domain.findings import Facts, Finding, Installation, judge
from dockbell.errors import ConfigError
from dockbell.store import ballast, failing, migrate, people, system, vault
from dockbell.store.database import Database, Transaction

FAILING_FOR = HOUR
MOST_WEBHOOKS = 20


async def findings(database: Database, here: Installation, clock: Clock) -> list[Finding]:
    """Of a running node."""
    now, drift = clock.now(), await asyncio.to_thread(database.clock_offset)
    return await database.read(lambda tx: judge(here, facts(tx, here, database.dialect, now=now, drift=drift)))


def examine(database: Database, here: Installation, clock: Clock) -> list[Finding]:
    """From outside, whether a node runs or not."""
    now, drift = clock.now(), database.clock_offset()
    return database.submit_read(
        lambda tx: judge(here, facts(tx, here, database.dialect, now=now, drift=drift))
    ).result()


def facts(tx: Transaction, here: Installation, dialect: str, *, now: Moment, drift: int) -> Facts:
    known, found = migrate.newest(), migrate.found(tx, dialect)
    if found != known:
        return Facts(known_schema=known, schema=found)
    refused_keys, newest_key = _keys(tx, here)
    due, oldest = system.due(tx, now=now)
    unsent = failing.unsent_mails(tx)
    nodes = [row for row in people.nodes(tx) if row["seen_at"]]
    alive = [row for row in nodes if row["seen_at"] > now - people.NODE_GONE_AFTER]
    return Facts(
        known_schema=known,
        schema=found,
        no_writes=system.why_no_writes(tx, dialect),
        durability=system.durability(tx, dialect),
        sqlite=system.sqlite_version(tx, dialect),
        drift_s=drift / SECOND,
        key_mode=_mode_of(here.key_file),
        refused_keys=refused_keys,
        on_old_keys=sum(n for key, n in vault.rows_by_key(tx).items() if key != newest_key) if newest_key else 0,
        free_bytes=_free_beside(here.database_file),
        ballast_bytes=_ballast_beside(here.database_file),
        due=due,
        oldest_due_s=0.0 if oldest is None else max(0.0, (now - oldest) / SECOND),
        nodes_alive=len(alive),
        nodes_gone=[f"{row['number']} ({row['name']})" for row in nodes if row not in alive],
        unsent_mails=unsent["n"],
        oldest_mail_s=0.0 if unsent["oldest"] is None else max(0.0, (now - unsent["oldest"]) / SECOND),
        failing=[
            (row["id"], row["name"], (now - row["failing_since"]) / SECOND)
            for row in system.failing_webhooks(tx, since=now - FAILING_FOR, limit=MOST_WEBHOOKS)
        ],
        disabled=[
            (row["id"], row["name"], row["disabled_reason"])
            for row in system.webhooks_we_disabled(tx, limit=MOST_WEBHOOKS)
        ],
    )


def _mode_of(key_file: str | None) -> int | None:
    try:
        return None if key_file is None else stat.S_IMODE(Path(key_file).stat().st_mode)
    except OSError:  # that it is not there, or not ours, is found with its keys
        return None


def _keys(tx: Transaction, here: Installation) -> tuple[str | None, str | None]:
    """Why no node could open its secrets; and the key that seals."""
    if here.key_file is None and here.given_keys is None:
        return None, None
    try:
        return None, vault.need_ring(tx, Path(here.key_file or ""), given=here.given_keys)
    except ConfigError as error:
        return error.message, None


def _ballast_beside(database_file: str | None) -> int:
    return 0 if database_file is None else ballast.size_of(Path(f"{database_file}{ballast.NAME}"))


def _free_beside(database_file: str | None) -> int | None:
    if database_file is None:
        return None
    room = os.statvfs(Path(database_file).parent)
    return room.f_bavail * room.f_frsize
