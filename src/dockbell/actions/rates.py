"""How fast a key may publish: a bucket of tokens for each, in this node's memory.

A bucket holds what may come in a second and fills up steadily. An array takes as many tokens as it has events; it may leave
the bucket in debt, so that a long array is possible, and is paid for by waiting. Each node has its own buckets: with N nodes
a key may publish N times as fast.
"""

import math

from dockbell.clock import Clock
from dockbell.errors import TooMuch

MOST_REMEMBERED = 10_000


class Rates:
    def __init__(self, clock: Clock, a_second: int = 0) -> None:
        """`a_second` 0: no limit."""
        self._clock = clock
        self._a_second = a_second
        self._buckets: dict[str, tuple[float, float]] = {}
        """What is in it, and when it was."""

    def need(self, key: str, count: int = 1) -> None:
        """Take so many tokens; raises TooMuch when there is none, having taken nothing."""
        if not self._a_second:
            return
        now = self._clock.monotonic()
        tokens, at = self._buckets.get(key, (float(self._a_second), now))
        tokens = min(float(self._a_second), tokens + (now - at) * self._a_second)
        if tokens < 1:
            raise TooMuch(
                f"This key publishes more than {self._a_second:,} events a second; nothing was accepted.",
                retry_after_s=max(1, math.ceil((1 - tokens) / self._a_second)),
                code="rate_limit",
                hint="Publish the events again later, or ask the operator to raise limits.events_per_second.",
            )
        if len(self._buckets) >= MOST_REMEMBERED:
            self._buckets.clear()
        self._buckets[key] = (tokens - count, now)
