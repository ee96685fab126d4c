"""Notices when the wall clock steps, and keeps next attempts as far away as they were.

A clock that was a day ahead and is set right must not leave deliveries waiting for tomorrow, and one that jumps ahead must not
make everything due at once. The monotonic clock, which never steps, tells a step from time that passed.
"""

import asyncio
from collections.abc import Callable

import structlog

from dockbell.clock import SECOND, Clock
from dockbell.store import planned
from dockbell.store.database import Database

log = structlog.get_logger()
LOOKS_EVERY_S = 1.0
STEP = 2 * SECOND
"""Less is a clock being slowed or quickened, and moves no plan worth mentioning."""


class ClockWatch:
    """`set_right` is for a node of several: its clock follows the database's again, and the plans of all are left alone."""

    def __init__(self, database: Database, clock: Clock, *, set_right: Callable[[], None] | None = None) -> None:
        self._database = database
        self._clock = clock
        self._set_right = set_right

    async def run(self) -> None:
        """Look until cancelled."""
        wall, steady = self._clock.now(), self._clock.monotonic()
        while True:
            await self._clock.sleep(LOOKS_EVERY_S)
            step = self._clock.now() - wall - int((self._clock.monotonic() - steady) * SECOND)
            if abs(step) <= STEP:
                continue
            try:
                await self._follow(step)
            except Exception as error:
                log.error("clock.not_followed", error=str(error))  # looked at again in a second
                continue
            wall, steady = self._clock.now(), self._clock.monotonic()

    async def _follow(self, step: int) -> None:
        moved = 0
        if self._set_right is None:
            now = self._clock.now()
            moved = await self._database.write(lambda tx: planned.move(tx, by=step, now=now))
        else:
            await asyncio.to_thread(self._set_right)
        log.warning(
            "clock.stepped", seconds=round(step / SECOND), moved=moved, hint="Is the machine's time kept by NTP?"
        )
