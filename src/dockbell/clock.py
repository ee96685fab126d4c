"""The one place where time comes from, so that tests can move it.

A moment is an integer: microseconds since 1970 in UTC. The documented payloads carry more digits
than milliseconds, both databases keep integers alike, and integers compare without time zones.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

Moment = int
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
FURTHEST_AHEAD = MINUTE
"""Nodes' clocks may differ by so much. What is said to be still later was noted by a clock that was wrong."""
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Reading(NamedTuple):
    now: Moment
    jumped: int
    """By how much the clock was set until then. Who kept a moment from before moves it by the difference."""

    def unset(self) -> Moment:
        """By the clock as it was before anyone set it: so readings compare."""
        return self.now - self.jumped


class Clock(Protocol):
    def now(self) -> Moment:
        """Wall-clock time: when something happened or is due."""

    def read(self) -> Reading: ...

    def monotonic(self) -> float:
        """Seconds that only ever grow: for measuring how long something took."""

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock, moved by `offset` microseconds: nodes that share a PostgreSQL follow its clock.

    It goes on evenly: when somebody sets the machine's clock, it stays as it is until `step` or `jump` is called, so
    that whoever looks after what is due can act first.
    """

    def __init__(self, offset: int = 0) -> None:
        self._set = Reading(self._wall() + offset - self._steady(), 0)
        """How far it is ahead of the steady clock. In one piece: threads read it while another sets it."""

    def now(self) -> Moment:
        return self._steady() + self._set.now

    def read(self) -> Reading:
        ahead, jumped = self._set
        return Reading(self._steady() + ahead, jumped)

    def behind(self, offset: int = 0) -> int:
        """How far the machine's clock, moved by `offset`, is ahead of this one."""
        return self._wall() + offset - self.now()

    def step(self, by: int) -> None:
        """Correct it by so little that nobody need know."""
        ahead, jumped = self._set
        self._set = Reading(ahead + by, jumped)

    def jump(self, by: int) -> None:
        ahead, jumped = self._set
        self._set = Reading(ahead + by, jumped + by)

    def _wall(self) -> Moment:
        return time.time_ns() // 1000

    def _steady(self) -> int:
        """Microseconds that nobody sets, and that pass while the machine sleeps too."""
        return time.clock_gettime_ns(_STEADY) // 1000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def to_datetime(moment: Moment) -> datetime:
    return _EPOCH + timedelta(microseconds=moment)


def to_moment(when: datetime) -> Moment:
    return (when - _EPOCH) // timedelta(microseconds=1)


def to_text(moment: Moment) -> str:
    """ISO 8601 in UTC, as the API writes times: `2026-02-03T12:07:31.441231Z`."""
    return to_datetime(moment).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
