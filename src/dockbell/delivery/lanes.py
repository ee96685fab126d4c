"""Lanes: what one node holds in memory for each webhook, waiting or in flight, and how much that is of all it may hold."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from dockbell.actions.commit import Job
from dockbell.clock import SECOND
from dockbell.domain.shares import Owners, Shares
from dockbell.domain.webhook import Webhook

AHEAD = 256
"""Deliveries of one webhook that may wait in memory behind those in flight, while its receiver is quick."""
MOST_IN_MEMORY = 8_192
"""Deliveries of all webhooks together, in flight or waiting; some 3 kB each. What finds no place waits in the store."""
QUICK = SECOND


@dataclass(slots=True)
class Lane:
    """One webhook's share: what waits in memory, what is in flight, how quick its receiver was."""

    owners: Owners = None
    """Whose share of the node's it counts in."""
    known_as: Owners = None
    """The webhook's own set of them, as it was last seen."""
    waiting: deque[Job] = field(default_factory=deque)
    places: int = 0
    in_flight: int = 0
    last_took: int = 0
    """From when the last delivery got its place until it was answered, and of that the receiver alone:"""
    answered_in: int = 0
    stands_in_line: bool = False

    def is_quick(self) -> bool:
        return self.answered_in < QUICK

    def ahead(self) -> int:
        """How many may wait in memory behind those in flight."""
        return AHEAD if self.last_took < QUICK else 0

    def take_out(self) -> list[Job]:
        """What waits, but for tests: a person waits for theirs."""
        waiting, self.waiting = self.waiting, deque(job for job in self.waiting if job.event.test)
        return [job for job in waiting if not job.event.test]


class Lanes(dict[int, Lane]):
    """By webhook, with the shares that goods owners have of memory and of the node's slots."""

    def __init__(self, slots: Shares) -> None:
        super().__init__()
        self.slots = slots
        self._shares = Shares(MOST_IN_MEMORY)
        self.overflow = 0
        """Deliveries that wait in the store for this node alone, because they found no place."""
        self._overflow: dict[int, int] = {}
        self._same: dict[Owners, Owners] = {}
        """One set for all that are equal: comparing long ones each time would be dear."""

    def __missing__(self, webhook_id: int) -> Lane:
        self[webhook_id] = lane = Lane()
        return lane

    def of(self, webhook: Webhook) -> Lane:
        """The webhook's lane, made if there is none yet."""
        lane = self.get(webhook.id)
        if lane is None:
            self[webhook.id] = lane = Lane(self._same.setdefault(webhook.goods_owners, webhook.goods_owners))
            lane.known_as = webhook.goods_owners
        elif lane.known_as is not webhook.goods_owners and not lane.stands_in_line:
            self._count_anew(lane, webhook.goods_owners)
        return lane

    def _count_anew(self, lane: Lane, owners: Owners) -> None:
        """The webhook was changed, and may be another goods owner's now."""
        lane.known_as, owners = owners, self._same.setdefault(owners, owners)
        if owners is not lane.owners:
            for shares, count in ((self._shares, lane.places), (self.slots, lane.in_flight)):
                shares.take(lane.owners, -count)
                shares.take(owners, count)
            lane.owners = owners

    @property
    def places(self) -> int:
        """Of all lanes together."""
        return self._shares.taken

    def room(self, lane: Lane) -> int:
        """How many more places it may have as far as the node's memory goes."""
        return self._shares.room(lane.owners)

    def take_place(self, lane: Lane, count: int) -> None:
        """`count` is negative where places are given back."""
        lane.places += count
        self._shares.take(lane.owners, count)

    def held(self) -> set[int]:
        """Webhooks that have a place here, or something in the store that waits for this node."""
        in_memory = {webhook_id for webhook_id, lane in self.items() if lane.places}
        return in_memory | {webhook_id for webhook_id, count in self._overflow.items() if count}

    def are_full(self) -> bool:
        return not self._shares.free()

    # What overflows. It is told roughly: of what is due only the store knows whose it is.

    def overflow_of(self, webhook_id: int) -> int:
        return self._overflow.get(webhook_id, 0)

    def overflows(self, webhook_id: int) -> None:
        self._overflow[webhook_id] = self.overflow_of(webhook_id) + 1
        self.overflow += 1

    def took_back(self, webhook_id: int, count: int) -> None:
        count = min(count, self.overflow_of(webhook_id))
        if count:
            self._overflow[webhook_id] -= count
            self.overflow -= count

    def overflow_is_of(self, due: Iterable[int]) -> None:
        """Of no other webhooks is anything due."""
        for webhook_id in self._overflow.keys() - set(due):
            self.overflow -= self._overflow.pop(webhook_id)
