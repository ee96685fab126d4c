"""Claims: what is due in the store is looked for, and leased to this node.

Only retries, what found no place in memory and what other nodes left behind come this way. What is due is looked for among
the readers; leasing alone is a write. On SQLite that is what publishers wait for, so little is leased at once beside them.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dockbell.actions.index import Index
from dockbell.clock import SECOND, Clock, Moment
from dockbell.delivery.brake import ENOUGH
from dockbell.delivery.gates import Gates
from dockbell.delivery.heartbeat import LEASE_MARGIN
from dockbell.delivery.lanes import Lane, Lanes
from dockbell.delivery.turns import Turns
from dockbell.domain.shares import OF_WHAT_IS_FREE, Owners, Shares
from dockbell.domain.webhook import Webhook
from dockbell.store import deliveries, events
from dockbell.store.database import Database, Row, Transaction
from dockbell.store.deliveries import Lease

WEBHOOKS_A_LOOK = 1_000
WEBHOOKS_A_CLAIM = 8
CLAIM_AT_ONCE = 32
"""Of one webhook; and of all together beside publishers whose events need no claim."""


def lease_end(webhook: Webhook, now: Moment) -> Moment:
    return now + int(webhook.timeout_s * SECOND) + LEASE_MARGIN


@dataclass(frozen=True, slots=True)
class _Wanted:
    webhook: Webhook
    limit: int
    of_memory: int
    """How many places its goods owners may have before this claim."""
    ahead: int


class Claims:
    """One node's. All but the transactions happens in the loop's thread."""

    def __init__(
        self, database: Database, index: Index, clock: Clock, gates: Gates, lanes: Lanes, slots: Shares, *, node: int
    ) -> None:
        self._database = database
        self._index = index
        self._clock = clock
        self._gates = gates
        self._lanes = lanes
        self._slots = slots
        self._node = node
        self._turns = Turns()
        self._webhooks_no = -1
        self.behind: set[int] = set()
        """Webhooks with something due in the store: what is new for them waits there as well, behind it."""
        self._held_elsewhere: set[int] = set()
        """Those of which nothing can be leased, though they have room here. A node that died may hold all that they may have
        under way: fresh events do not wait behind that."""
        self.slowed_s = math.inf
        """So soon a slowed receiver may get one more of what is due."""
        self._lacks_memory = False
        """Something that is due was left in the store for want of a place."""
        self.placed = self.turned_away = False
        """Since the last claim events found places in memory, or went to the store behind what is due."""

    def is_worth_a_look(self) -> bool:
        """There is room again for what lacked it. A look for each place given back would cost more than it gains."""
        return self._lacks_memory and self._lanes.places < ENOUGH

    async def claim(self) -> tuple[list[Lease], dict[int, Row], Moment | None, int]:
        """What is leased now, the events of it, when the next delivery is due, and by how much the clock had been set then."""
        now, jumped = self._clock.read()
        # Some room though all slots are taken: who has nothing in memory yet must get into the line for them.
        room = 0 if self._lanes.are_full() else max(self._slots.free(), CLAIM_AT_ONCE)
        if room <= 0:
            self._lacks_memory, self.slowed_s = True, math.inf
            return [], {}, now, jumped
        await self._gates.write(self._database)
        await self._index.refresh(self._database)
        state = self._index.state
        if state.webhooks_no != self._webhooks_no:
            self._webhooks_no = state.webhooks_no
            self._gates.forget_deleted(state.webhooks)
        due, next_due = await self._database.read(lambda tx: self._look(tx, now))
        wanted = self._plan(due, room)
        if not wanted:
            return [], {}, next_due, jumped
        # Publishers wait for this write. Where their own events are what is due, they are served best by clearing it away.
        most = min(room, CLAIM_AT_ONCE) if self.placed and not self.turned_away else room
        self.placed = self.turned_away = False
        leases, rows, in_vain, jumped = await self._database.write(lambda tx: self._lease(tx, wanted, most))
        for webhook_id, count in Counter(lease.webhook_id for lease in leases).items():
            self._turns.served(self._index.state.webhooks[webhook_id])
            self._lanes.took_back(webhook_id, count)
            self._held_elsewhere.discard(webhook_id)
        self._held_elsewhere |= in_vain
        self.behind -= in_vain
        return leases, rows, next_due, jumped

    def _look(self, tx: Transaction, now: Moment) -> tuple[list[int], Moment | None]:
        due = deliveries.webhooks_with_due(tx, now=now, after=self._turns.after, limit=WEBHOOKS_A_LOOK)
        return due, deliveries.next_due_at(tx)

    def _plan(self, due: Sequence[int], room: int) -> list[_Wanted]:
        """For whom to claim how much at most, those first whose turn it is."""
        webhooks = self._index.state.webhooks
        order = self._turns.in_order(due, webhooks, full=len(due) == WEBHOOKS_A_LOOK)
        self._held_elsewhere &= set(order)
        if len(due) < WEBHOOKS_A_LOOK:
            self._lanes.overflow_is_of(due)
        self.behind, self._lacks_memory, self.slowed_s = set(order) - self._held_elsewhere, False, math.inf
        wanted: list[_Wanted] = []
        for webhook_id in order:
            webhook = webhooks[webhook_id]
            lane = self._lanes.get(webhook_id) or Lane(owners=webhook.goods_owners)
            of_memory = self._lanes.room(lane)
            # Nothing is known yet of a receiver that has not answered.
            ahead = lane.ahead() if lane.last_took else 0
            has_room = lane.places < webhook.max_concurrency + ahead  # else the next one that ends looks again
            limit = min(CLAIM_AT_ONCE, room, self._gates.room(webhook, lane.places)) if has_room else 0
            # What waits in the store is not to be what keeps publishers waiting, nor to be asked for in vain.
            is_enough = lane.places > 0 and self._lanes.places >= ENOUGH
            if (min(limit, of_memory) <= 0 or is_enough) and webhook.enabled:
                self._lacks_memory = self._lacks_memory or is_enough or of_memory <= 0
                if has_room:
                    self.slowed_s = min(self.slowed_s, self._gates.next_in_s(webhook_id))
                continue
            wanted.append(_Wanted(webhook, limit, of_memory, ahead))
        return wanted

    def _lease(
        self, tx: Transaction, wanted: Iterable[_Wanted], most: int
    ) -> tuple[list[Lease], dict[int, Row], set[int], int]:
        """At most `most` deliveries of a few webhooks, and those webhooks before them that others hold all places of."""
        now, jumped = self._clock.read()  # here, where it is set: a lease by the old clock would be over at once
        leases: list[Lease] = []
        claimed = Counter[Owners]()
        served, in_vain = 0, set[int]()
        for each in wanted:
            if len(leases) >= most or served == WEBHOOKS_A_CLAIM:
                break
            of_memory = each.of_memory - (1 + OF_WHAT_IS_FREE) * claimed[each.webhook.goods_owners]
            if of_memory <= 0 and each.webhook.enabled:
                continue
            found = deliveries.claim_due(
                tx,
                webhook_id=each.webhook.id,
                now=now,
                lease_until=lease_end(each.webhook, now),
                node=self._node,
                limit=min(each.limit, of_memory, most - len(leases)),
                ahead=each.ahead,
            )
            leases += found
            claimed[each.webhook.goods_owners] += len(found)
            if found:
                served += 1
            else:
                in_vain.add(each.webhook.id)
        return leases, events.for_sending(tx, [lease.event_id for lease in leases]), in_vain, jumped
