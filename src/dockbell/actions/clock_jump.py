"""A clock that was set: intervals keep their length.

On SQLite the one program that serves the file moves everything that waits by the jump, then follows the clock: a jump ahead
makes no storm of retries, a jump back lets nothing wait. On PostgreSQL nodes follow the database's clock and go on evenly
between two looks at it, so setting a node's clock changes nothing.
"""

import asyncio

import structlog

from dockbell.clock import SECOND, SystemClock
from dockbell.store.clock_jump import move_under_way, move_waiting
from dockbell.store.database import Database

log = structlog.get_logger()
A_BATCH = 1_000
JUMP = 2 * SECOND
SETTLE_S = 0.5
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
    if by < 0:
        # Before anything is moved: what is due earlier by then must not be due by the old clock. Outcomes that were
        # decided by the old clock are on disk a moment later, and are moved too.
        clock.step(by)
        await clock.sleep(SETTLE_S)
    if alone:
        await database.write(lambda tx: move_under_way(tx, by=by))
        after: tuple[int, int] | None = (0, 0)
        while after is not None:
            after = await database.write(lambda tx, after=after: move_waiting(tx, by=by, after=after, limit=A_BATCH))  # type: ignore[misc]
    if by > 0:  # after everything was moved: it must not be due in between
        clock.step(by)
    return by
