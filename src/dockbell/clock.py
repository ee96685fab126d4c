"""The one place where time comes from, so that tests can move it.

A moment is an integer: microseconds since 1970 in UTC. The documented payloads carry more digits
than milliseconds, both databases keep integers alike, and integers compare without time zones.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

Moment = int
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    def now(self) -> Moment:
        """Wall-clock time: when something happened or is due."""

    def monotonic(self) -> float:
        """Seconds that only ever grow: for measuring how long something took."""

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock, moved by `offset` microseconds: nodes that share a PostgreSQL follow its clock."""

    def __init__(self, offset: int = 0) -> None:
        self._offset = offset

    def follow(self, offset: int) -> None:
        """Be moved by so much from now on."""
        self._offset = offset

    def now(self) -> Moment:
        return time.time_ns() // 1000 + self._offset

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
