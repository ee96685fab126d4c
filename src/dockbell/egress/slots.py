"""Who may be under way to which address. A request counts at every address it may end up at, until it is connected to one."""

from collections import Counter, deque
from collections.abc import Collection

from dockbell.egress.connection import Job


class AddressSlots:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used: Counter[str] = Counter()
        self._waiting: dict[str, deque[Job]] = {}

    def take(self, job: Job) -> bool:
        """Whether the request may begin; if not, it waits in order and `free` brings it back."""
        for address in job.addresses:
            if self._used[address] >= self._limit:
                self._waiting.setdefault(address, deque()).append(job)
                return False
        for address in job.addresses:
            self._used[address] += 1
        return True

    def has_room(self, address: str) -> bool:
        return self._used[address] < self._limit

    def settle(self, job: Job, address: str) -> list[Job]:
        """The request has ended up at this address: the others' slots are given back. The waiting ones that have taken theirs."""
        if job.addresses == (address,):
            return []
        others = [other for other in job.addresses if other != address]
        if len(others) == len(job.addresses):  # a connection that was kept, to where the name led before
            self._used[address] += 1
        job.addresses = (address,)
        return self._given_back(others)

    def free(self, job: Job) -> list[Job]:
        """Give the slots of an ended request back; the waiting ones that have taken theirs."""
        return self._given_back(job.addresses)

    def _given_back(self, addresses: Collection[str]) -> list[Job]:
        for address in addresses:
            self._used[address] -= 1
            if not self._used[address]:
                del self._used[address]
        if not self._waiting:
            return []
        return [waiting for address in addresses if address in self._waiting for waiting in self._next(address)]

    def give_up_waiting(self) -> list[Job]:
        waiting = [job for jobs in self._waiting.values() for job in jobs]
        self._waiting.clear()
        return waiting

    def _next(self, address: str) -> list[Job]:
        begun = []
        queue = self._waiting.pop(address)
        while queue and self._used[address] < self._limit:
            job = queue.popleft()
            if self.take(job):
                begun.append(job)
        if queue:
            # take() may have put a job back at this address only if it is full, which ends the loop above.
            self._waiting[address] = queue
        return begun
