"""A clock that was set: intervals keep their length.

On SQLite the one program that serves the file moves everything that waits by the jump and follows the clock in one transaction: a
jump ahead makes no storm of retries, a jump back lets nothing wait, and what was decided by the old clock and is written later is
moved as it is written (`Reading.jumped`). On PostgreSQL nodes follow the database's clock and go on evenly between two looks at
it, so setting a node's clock changes nothing; of what the database's clock noted while it was ahead they bring back the webhooks'
health, which would stay as it is until then.
"""

import asyncio

import structlog

from dockbell.clock import SECOND, SystemClock
from dockbell.store.backlog import TOPIC
from dockbell.store.clock_jump import move
from dockbell.store.database import Database, Transaction
from dockbell.store.webhook_hours import bring_back

log = structlog.get_logger()
JUMP = 2 * SECOND
NOTICEABLE = SECOND // 10
"""Less than this is what measuring over a network makes of no difference."""


async def follow(database: Database, clock: SystemClock, *, alone: bool) -> int:
    """Set `clock` as its source is now; by how much it jumped, 0 if it did not. `alone`: nobody else serves the database."""
    by = clock.behind(await asyncio.to_thread(database.clock_offset))
    if abs(by) < NOTICEABLE:
        return 0
    if abs(by) < JUMP:
        clock.step(by)
        return 0
    log.warning(
        "clock.jumped", seconds=round(by / SECOND, 1), hint="Who sets the clock? A time server moves it gently."
    )
    if alone:
        before = clock.read().jumped
        try:
            await database.write(lambda tx: _set(tx, clock, by))
        except Exception:
            clock.jump(before - clock.read().jumped)  # nothing was moved: it is tried again
            raise
    else:
        clock.jump(by)
        await database.write(lambda tx: bring_back(tx, clock.now()))
    # Whoever looked meanwhile found nothing due for long, and would sleep until then.
    await database.write(lambda tx: tx.wake(TOPIC))
    return by


def _set(tx: Transaction, clock: SystemClock, by: int) -> None:
    """In the thread of all other writes: what is on disk is moved here, and whatever is written later sees that the clock jumped."""
    move(tx, by=by, now=clock.now())
    clock.jump(by)
