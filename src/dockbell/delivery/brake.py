"""The brake: publishers are answered later while the node itself is what is behind.

Accepting an event costs less than delivering it, so publishers who send the next one when the last was answered send faster
than is delivered. Memory fills, what finds no place in it goes through the store twice, and that makes the node slower
still. So while more waits in memory than keeps the sender busy, and the node computes rather than waits for receivers, an
answer that is ready (the events are on disk) is given later, by the time it takes to deliver what is too much. That falls on
those whose webhooks have more than their share of it. See docs/decisions/0012-brake.md.
"""

import time
from collections.abc import Callable, Iterable

from dockbell.delivery.lanes import Lanes

ENOUGH = 2_000
"""Deliveries in memory that keep the sender busy; more only wait longer."""
LONGEST_S = 0.5
LOOKED_EVERY_S = 0.1
BUSY = 0.6
"""Of one core: the interpreter's lock gives a node hardly more than one."""


class Brake:
    def __init__(
        self,
        lanes: Lanes,
        clock: Callable[[], float] = time.monotonic,
        computed: Callable[[], float] = time.process_time,
    ) -> None:
        self._lanes = lanes
        self._clock = clock
        self._computed = computed
        self._looked_at, self._computed_before = clock(), computed()
        self._ended = 0
        self._ended_a_s = 0.0
        """Zero while the node is not busy."""

    def ended(self, count: int) -> None:
        """So many attempts ended, and are on disk."""
        self._ended += count
        now = self._clock()
        passed = now - self._looked_at
        if passed >= LOOKED_EVERY_S:
            computed = self._computed()
            is_busy = computed - self._computed_before >= BUSY * passed
            self._ended_a_s = self._ended / passed if is_busy else 0.0
            self._looked_at, self._computed_before, self._ended = now, computed, 0

    def seconds(self, webhook_ids: Iterable[int]) -> float:
        """How much later to answer whoever published for these webhooks."""
        too_many = self._lanes.places - ENOUGH
        if too_many <= 0 or not self._ended_a_s:
            return 0.0
        share = ENOUGH // max(1, self._lanes.in_use)
        lanes = (self._lanes.get(webhook_id) for webhook_id in webhook_ids)
        if not any(lane is not None and lane.is_quick() and lane.places > share for lane in lanes):
            return 0.0
        return min(LONGEST_S, too_many / self._ended_a_s)
