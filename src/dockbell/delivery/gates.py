"""The gates of one node: one for each webhook whose receiver failed lately, and none for the others.

A gate says how many attempts may begin, and hears what they met (`dockbell.domain.breaker`). Each node has its own: what
one node learnt of a receiver the others learn by themselves, so with N nodes a receiver that is down meets N probes.
A webhook that is changed begins anew. What is held back is written to the store when it changes, so that every node's pages can tell of it.
"""

import math
from collections.abc import Mapping

from dockbell.clock import SECOND, Clock, Moment
from dockbell.domain.breaker import NO_LIMIT, Breaker, Held, Meter
from dockbell.domain.delivery import Answered, Outcome
from dockbell.domain.webhook import Webhook
from dockbell.store import breakers
from dockbell.store.database import Database, Transaction

MOST_METERS = 10_000


class Gates:
    def __init__(self, clock: Clock, node: int) -> None:
        self._clock = clock
        self._node = node
        self._breakers: dict[int, Breaker] = {}
        self._well: dict[int, Meter] = {}
        """How many a second each receiver answers well, so that a breaker does not begin with nothing."""
        self._versions: dict[int, int] = {}
        """Of each breaker's webhook: whoever changed it may have mended what was wrong."""
        self._written: dict[int, Held] = {}
        self._begun = False

    def room(self, webhook: Webhook, busy: int) -> int:
        """How many attempts may begin, when `busy` are under way or about to be."""
        breaker = self._breakers.get(webhook.id)
        if breaker is None:
            return NO_LIMIT
        if webhook.version > self._versions[webhook.id]:
            self._forget(webhook.id)
            return NO_LIMIT
        return breaker.room(self._clock.monotonic(), busy)

    def next_in_s(self, webhook_id: int) -> float:
        """How soon there is rate for one more, if its receiver is slowed down; infinite if it does not wait for that."""
        breaker = self._breakers.get(webhook_id)
        return math.inf if breaker is None else breaker.next_in_s(self._clock.monotonic())

    def is_shut(self, webhook_id: int) -> bool:
        """True while no attempt is to be made, not even a probe."""
        held = self._held(webhook_id)
        return held is not None and held.probe_at is not None and self._clock.monotonic() < held.probe_at

    def take(self, webhook_id: int) -> None:
        """One attempt is about to begin."""
        if (breaker := self._breakers.get(webhook_id)) is not None:
            breaker.take()

    def note(self, webhook: Webhook, outcome: Outcome) -> bool:
        """Hear of an attempt's outcome; True if what waits in memory must go back to the store."""
        now = self._clock.monotonic()
        if webhook.id not in self._breakers and isinstance(outcome, Answered) and 200 <= outcome.status <= 299:
            self._meter(webhook.id, now).count(now)
            return False
        breaker = self._breakers.get(webhook.id)
        if breaker is None:
            breaker = self._breakers[webhook.id] = Breaker(now, self._meter(webhook.id, now))
            self._versions[webhook.id] = webhook.version
        if webhook.version < self._versions[webhook.id]:
            return False
        held_back = breaker.note(outcome, now, cap=webhook.max_concurrency)
        if breaker.is_forgotten():
            self._forget(webhook.id)
        return held_back

    def forget_deleted(self, webhooks: Mapping[int, Webhook]) -> None:
        """Of `webhooks` as they are now; what a receiver once met it with is of no use to a webhook that is gone."""
        for webhook_id in [each for each in self._breakers if webhooks[each].deleted]:
            self._forget(webhook_id)

    def opens_at(self, webhook_id: int) -> Moment:
        """When an attempt may be made again: now, unless the breaker is open."""
        held, now = self._held(webhook_id), self._clock.now()
        return now if held is None or held.probe_at is None else max(now, self._wall(held.probe_at))

    async def write(self, database: Database) -> None:
        """Tell the store what changed since it was last told."""
        now = self._clock.monotonic()
        held: dict[int, Held] = {}
        for webhook_id, breaker in self._breakers.items():
            breaker.settle(now)
            if (one := breaker.held()) is not None:
                held[webhook_id] = one
        if held == self._written and self._begun:
            return
        rows: list[breakers.HeldBack] = [
            (
                webhook_id, self._node, one.state, self._wall(one.since), one.reason, one.code,
                None if one.probe_at is None else self._wall(one.probe_at),
            )
            for webhook_id, one in held.items()
            if self._written.get(webhook_id) != one
        ]  # fmt: skip
        gone = [(webhook_id, self._node) for webhook_id in self._written if webhook_id not in held]
        begun = self._begun

        def put(tx: Transaction) -> None:
            if not begun:
                breakers.forget_node(tx, self._node)
            breakers.put(tx, rows, gone)

        await database.write(put)
        self._written, self._begun = held, True

    def _forget(self, webhook_id: int) -> None:
        del self._breakers[webhook_id], self._versions[webhook_id]

    def _held(self, webhook_id: int) -> Held | None:
        breaker = self._breakers.get(webhook_id)
        return None if breaker is None else breaker.held()

    def _meter(self, webhook_id: int, now: float) -> Meter:
        meter = self._well.get(webhook_id)
        if meter is None:
            if len(self._well) >= MOST_METERS:
                self._well.clear()
            meter = self._well[webhook_id] = Meter(now)
        return meter

    def _wall(self, seconds: float) -> Moment:
        return self._clock.now() + int((seconds - self._clock.monotonic()) * SECOND)
