"""A clock that stands still until a test moves it."""

import asyncio
import heapq
import itertools

from dockbell.clock import SECOND, Moment, Reading

START = 1_795_500_000 * SECOND
"""2026-11-24T06:00:00Z"""


class ManualClock:
    def __init__(self, now: Moment = START) -> None:
        self._now = now
        self._began = now
        self._jumped = 0
        self._sleepers: list[tuple[Moment, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> Moment:
        return self._now

    def read(self) -> Reading:
        return Reading(self._now, self._jumped)

    def monotonic(self) -> float:
        return (self._now - self._jumped - self._began) / SECOND

    def jump(self, by: int) -> None:
        """Be set; who sleeps sleeps as long as before."""
        self._now += by
        self._jumped += by
        self._sleepers = [(at + by, order, future) for at, order, future in self._sleepers]

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + int(seconds * SECOND), next(self._order), future))
        await future

    def sleepers(self) -> int:
        """How many wait for this clock to be moved."""
        return sum(not future.done() for _, _, future in self._sleepers)

    def advance(self, span: int) -> None:
        """Move on by `span` microseconds, waking in order whoever slept until then."""
        self.move_to(self._now + span)

    def move_to(self, moment: Moment) -> None:
        while self._sleepers and self._sleepers[0][0] <= moment:
            at, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            if not future.done():
                future.set_result(None)
        self._now = max(self._now, moment)
