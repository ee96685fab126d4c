"""How much may wait for one goods owner, so that one who publishes without end fills nobody else's disk.

Counting what waits for each event would cost more than the event. So what waits is counted every few seconds, off the hot
path, by a walk over an index; publishing only looks whether the goods owner is among those that are full. What this allows
beyond the ceiling, on each node: what is published in the seconds between two counts. The count is begun early when a fifth of the ceiling
was put into the store since the last, and a count never takes more than a tenth of the time.

It holds for what is published over HTTP. An event inside a transaction of the warehouse's own, and the outbox, are not refused: there
the business has already happened.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from dockbell.clock import Clock
from dockbell.domain.event_json import LARGEST_EVENT_BYTES
from dockbell.errors import TooMuch
from dockbell.store import backlog
from dockbell.store.database import Database, Transaction

log = structlog.get_logger()
COUNTED_EVERY_S = 5.0
SHARE_OF_TIME = 10


class Ceiling:
    def __init__(self, database: Database, clock: Clock, *, deliveries: int = 100_000, mebibytes: int = 1024) -> None:
        self._database = database
        self._clock = clock
        self._deliveries = deliveries
        self._bytes = mebibytes << 20
        self._full: frozenset[int] = frozenset()
        self._more = 0
        self._early: asyncio.Event = asyncio.Event()

    def need(self, goods_owner_id: int) -> None:
        """Raises TooMuch while too much waits for that goods owner."""
        if goods_owner_id in self._full:
            raise TooMuch(
                f"Too much waits to be delivered for goods owner {goods_owner_id}; nothing was accepted.",
                retry_after_s=int(COUNTED_EVERY_S),
                code="queue_full",
                hint="See which webhooks fail. Mend or disable them, or ask the operator to raise limits.queued_deliveries.",
            )

    def waits(self, count: int = 1) -> None:
        """So many deliveries were stored to wait, instead of being sent at once."""
        self._more += count
        if self._more >= self._deliveries // 5:
            self._early.set()

    async def run(self) -> None:
        """Count for ever."""
        while True:
            began = self._clock.monotonic()
            try:
                await self.count()
            except Exception as error:  # noqa: BLE001 - the last count stands until the store is back
                log.error("ceiling.not_counted", error=str(error))  # noqa: TRY400
            at_least = SHARE_OF_TIME * (self._clock.monotonic() - began)
            if at_least:
                await self._clock.sleep(at_least)
            await _either(self._clock.sleep, max(0.0, COUNTED_EVERY_S - at_least), self._early)

    async def count(self) -> None:
        self._more = 0
        self._early.clear()
        self._full = await self._database.read(self._count)

    def _count(self, tx: Transaction) -> frozenset[int]:
        full = set()
        for goods_owner_id, waiting in backlog.waiting_by_owner(tx).items():
            # The bytes are asked for only where so many events could come to that much.
            if waiting >= self._deliveries or (
                waiting * LARGEST_EVENT_BYTES >= self._bytes
                and backlog.bytes_waiting(tx, goods_owner_id, most=self._deliveries) >= self._bytes
            ):
                full.add(goods_owner_id)
        return frozenset(full)


async def _either(sleep: Callable[[float], Coroutine[Any, Any, None]], seconds: float, event: asyncio.Event) -> None:
    """Until the time has passed or the event comes."""
    waiting: list[asyncio.Task[Any]] = [asyncio.create_task(sleep(seconds)), asyncio.create_task(event.wait())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
