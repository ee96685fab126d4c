"""Claims: what is due in the store is looked for, and leased to this node.

Only retries, what found no place in memory and what other nodes left behind come this way. What is due is looked for among
the readers; leasing alone is a write. On SQLite that is what publishers wait for, so it is a short one while there are any.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dockbell.actions.index import Index
from dockbell.clock import SECOND, Moment
from dockbell.delivery.brake import ENOUGH
from dockbell.delivery.gates import Gates
from dockbell.delivery.heartbeat import LEASE_MARGIN
from dockbell.delivery.lanes import Lane, Lanes
from dockbell.delivery.shares import OF_WHAT_IS_FREE, Owners, Shares
from dockbell.delivery.turns import Turns
from dockbell.domain.webhook import Webhook
from dockbell.store import deliveries, events
from dockbell.store.database import Database, Row, Transaction
from dockbell.store.deliveries import Lease

WEBHOOKS_A_LOOK = 1_000
WEBHOOKS_A_PLAN = 32
WEBHOOKS_A_CLAIM = 8
WEBHOOKS_BETWEEN_PUBLISHERS = 1
CLAIM_AT_ONCE = 32


def lease_end(webhook: Webhook, now: Moment) -> Moment:
    return now + int(webhook.timeout_s * SECOND) + LEASE_MARGIN


@dataclass(frozen=True, slots=True)
class _Wanted:
    webhook: Webhook
    limit: int
    ahead: int


class Claims:
    """One node's. All but the transactions happens in the loop's thread."""

    def __init__(
        self, database: Database, index: Index, gates: Gates, lanes: Lanes, slots: Shares, *, node: int
    ) -> None:
        self._database = database
        self._index = index
        self._gates = gates
        self._lanes = lanes
        self._slots = slots
        self._node = node
        self._turns = Turns()
        self.behind: set[int] = set()
        """Webhooks with something due in the store: what is new for them waits there as well, behind it."""
        self._lacks_memory = False
        """Something that is due was left in the store for want of a place."""
        self.published = False
        """Since the last claim: somebody waits for the store."""

    def is_worth_a_look(self) -> bool:
        """There is room again for what lacked it. A look for each place given back would cost more than it gains."""
        return self._lacks_memory and self._lanes.places < ENOUGH

    async def claim(self, now: Moment) -> tuple[list[Lease], dict[int, Row], Moment | None]:
        """What is leased now, the events of it, and when the next delivery is due."""
        # Some room though all slots are taken: who has nothing in memory yet must get into the line for them.
        room = 0 if self._lanes.are_full() else max(self._slots.free(), CLAIM_AT_ONCE)
        if room <= 0:
            self._lacks_memory = True
            return [], {}, now
        await self._gates.write(self._database)
        await self._index.refresh(self._database)
        due, next_due = await self._database.read(lambda tx: self._look(tx, now))
        wanted = self._plan(due, room)
        if not wanted:
            return [], {}, next_due
        most = WEBHOOKS_BETWEEN_PUBLISHERS if self.published else WEBHOOKS_A_CLAIM
        self.published = False
        leases, rows, in_vain = await self._database.write(lambda tx: self._lease(tx, wanted, now, room, most))
        for webhook_id in dict.fromkeys(lease.webhook_id for lease in leases):
            self._turns.served(self._index.state.webhooks[webhook_id])
        for webhook in in_vain:
            # Leases of a node that died can take all of a webhook's places: fresh events do not wait behind those.
            if self._places(webhook) < webhook.max_concurrency:
                self.behind.discard(webhook.id)
        return leases, rows, next_due

    def _look(self, tx: Transaction, now: Moment) -> tuple[list[int], Moment | None]:
        due = deliveries.webhooks_with_due(tx, now=now, after=self._turns.after, limit=WEBHOOKS_A_LOOK)
        return due, deliveries.next_due_at(tx)

    def _plan(self, due: Sequence[int], room: int) -> list[_Wanted]:
        """For whom to claim how much at most, those first whose turn it is."""
        webhooks = self._index.state.webhooks
        order = self._turns.in_order(due, webhooks, full=len(due) == WEBHOOKS_A_LOOK)
        self.behind, self._lacks_memory = set(order), False
        wanted: list[_Wanted] = []
        planned = Counter[Owners]()
        for webhook_id in order:
            if len(wanted) == WEBHOOKS_A_PLAN:
                break
            webhook = webhooks[webhook_id]
            lane = self._lanes.get(webhook_id) or Lane(owners=webhook.goods_owners)
            of_memory = self._lanes.room(lane) - (1 + OF_WHAT_IS_FREE) * planned[webhook.goods_owners]
            limit = min(CLAIM_AT_ONCE, room, self._gates.room(webhook, lane.places), of_memory)
            # What waits in the store is not to be what keeps publishers waiting, nor to be asked for in vain.
            is_enough = lane.places > 0 and self._lanes.places >= ENOUGH
            if (limit <= 0 or is_enough) and webhook.enabled:
                self._lacks_memory = self._lacks_memory or is_enough or of_memory <= 0
                continue
            planned[webhook.goods_owners] += max(0, limit)
            # Nothing is known yet of a receiver that has not answered.
            wanted.append(_Wanted(webhook, limit, lane.ahead() if lane.last_took else 0))
        return wanted

    def _lease(
        self, tx: Transaction, wanted: Iterable[_Wanted], now: Moment, room: int, most: int
    ) -> tuple[list[Lease], dict[int, Row], list[Webhook]]:
        """What could be leased for the first `most` webhooks that have any, and those before them that had none."""
        leases: list[Lease] = []
        in_vain: list[Webhook] = []
        for each in wanted:
            if most == 0 or len(leases) >= room:
                break
            found = deliveries.claim_due(
                tx,
                webhook_id=each.webhook.id,
                now=now,
                lease_until=lease_end(each.webhook, now),
                node=self._node,
                limit=min(each.limit, room - len(leases)),
                ahead=each.ahead,
            )
            leases += found
            if found:
                most -= 1
            else:
                in_vain.append(each.webhook)
        return leases, events.for_sending(tx, [lease.event_id for lease in leases]), in_vain

    def _places(self, webhook: Webhook) -> int:
        lane = self._lanes.get(webhook.id)
        return 0 if lane is None else lane.places
