"""The brake: publishers are answered later while the node itself is what is behind.

Accepting an event costs less than delivering it, so publishers who send the next one when the last was answered send faster
than is delivered. Memory fills, what finds no place in it goes through the store twice, and that makes the node slower
still. So while more waits in memory than keeps the sender busy, and the node computes rather than waits for receivers, an
answer that is ready (the events are on disk) is given later, by the time it takes to deliver what is too much. That falls on
those whose webhooks have more than their share of it, the more of it the longer. What found no place for that reason counts as
well: once a webhook has something in the store all that is new for it goes there, and memory alone would look empty. See
docs/decisions/0012-brake.md.
"""

import time
from collections.abc import Callable, Iterable

from dockbell.delivery.lanes import Lanes

ENOUGH = 2_000
"""Deliveries waiting in memory that keep the sender busy; more only wait longer."""
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
        self._is_on = False
        self._not_behind = 0
        """What does not wait for the node: it waits for slow receivers, or is under way."""
        self._share = 0.0

    def ended(self, count: int) -> None:
        """So many attempts ended, and are on disk."""
        self._ended += count
        now = self._clock()
        passed = now - self._looked_at
        if passed >= LOOKED_EVERY_S:
            computed = self._computed()
            is_busy = computed - self._computed_before >= BUSY * passed
            self._ended_a_s = max(1, self._ended) / passed
            self._looked_at, self._computed_before, self._ended = now, computed, 0
            self._is_on = is_busy and self._lanes.places + self._lanes.overflow > ENOUGH
            if self._is_on:
                self._look_at_lanes()

    def _look_at_lanes(self) -> None:
        quick = [webhook_id for webhook_id in self._lanes.held() if self._is_quick(webhook_id)]
        self._not_behind = self._lanes.places + self._lanes.overflow - sum(map(self._behind, quick))
        self._share = ENOUGH / max(1, len(quick))

    def seconds(self, webhook_ids: Iterable[int]) -> float:
        """How much later to answer whoever published for these webhooks."""
        too_many = self._lanes.places + self._lanes.overflow - self._not_behind - ENOUGH
        if not self._is_on or too_many <= 0:
            return 0.0
        most = max((self._behind(webhook_id) for webhook_id in webhook_ids), default=0)
        if most <= self._share:
            return 0.0
        return min(LONGEST_S, too_many / self._ended_a_s) * (1 - self._share / most)

    def _behind(self, webhook_id: int) -> int:
        """Deliveries of it that wait for the node."""
        lane = self._lanes.get(webhook_id)
        if not self._is_quick(webhook_id):
            return 0
        in_memory = 0 if lane is None else lane.places - lane.in_flight
        return in_memory + self._lanes.overflow_of(webhook_id)

    def _is_quick(self, webhook_id: int) -> bool:
        lane = self._lanes.get(webhook_id)
        return lane is None or lane.is_quick()
