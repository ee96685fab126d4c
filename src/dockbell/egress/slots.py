"""Who may be under way to which address. A request counts at every address it may end up at, until it is connected to one.

Many goods owners may send to one address, a load balancer of a large host's. Its slots are shared out among them, and what
waits goes on goods owner by goods owner: the slow receiver of one takes no other's turn.
"""

from collections import deque
from collections.abc import Collection

from dockbell.domain.shares import Owners, Shares
from dockbell.egress.connection import Job


class AddressSlots:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used: dict[str, Shares] = {}
        self._waiting: dict[str, dict[Owners, deque[Job]]] = {}
        """By address and by goods owners, those whose turn is next first."""

    def take(self, job: Job) -> bool:
        """Whether the request may begin; if not, it waits in order and `free` brings it back."""
        owners = job.request.goods_owners
        for address in job.addresses:
            if not self.has_room(address, owners):
                self._waiting.setdefault(address, {}).setdefault(owners, deque()).append(job)
                return False
        for address in job.addresses:
            self._take_at(address, owners)
        return True

    def has_room(self, address: str, owners: Owners) -> bool:
        used = self._used.get(address)
        return used is None or used.room(owners) > 0

    def settle(self, job: Job, address: str) -> list[Job]:
        """The request has ended up at this address: the others' slots are given back. The waiting ones that have taken theirs."""
        if job.addresses == (address,):
            return []
        others = [other for other in job.addresses if other != address]
        if len(others) == len(job.addresses):  # a connection that was kept, to where the name led before
            self._take_at(address, job.request.goods_owners)
        job.addresses = (address,)
        return self._given_back(others, job.request.goods_owners)

    def free(self, job: Job) -> list[Job]:
        """Give the slots of an ended request back; the waiting ones that have taken theirs."""
        return self._given_back(job.addresses, job.request.goods_owners)

    def give_up_waiting(self) -> list[Job]:
        waiting = [job for by_owners in self._waiting.values() for jobs in by_owners.values() for job in jobs]
        self._waiting.clear()
        return waiting

    def _take_at(self, address: str, owners: Owners) -> None:
        used = self._used.get(address)
        if used is None:
            used = self._used[address] = Shares(self._limit)
        used.take(owners)

    def _given_back(self, addresses: Collection[str], owners: Owners) -> list[Job]:
        for address in addresses:
            used = self._used[address]
            used.take(owners, -1)
            if not used.taken:
                del self._used[address]
        if not self._waiting:
            return []
        return [waiting for address in addresses if address in self._waiting for waiting in self._next(address)]

    def _next(self, address: str) -> list[Job]:
        """Those of the waiting that there is room for, one of each goods owner's in turn."""
        begun = []
        waiting = self._waiting.pop(address)
        while (owners := next((each for each in waiting if self.has_room(address, each)), None)) is not None:
            jobs = waiting.pop(owners)
            job = jobs.popleft()
            if jobs:  # behind everybody else
                waiting[owners] = jobs
            if self.take(job):  # else it waits at another address of its own
                begun.append(job)
        if waiting:
            self._waiting[address] = waiting
        return begun
