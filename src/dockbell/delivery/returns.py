"""What is given back: deliveries leased to this node whose attempts are not made here, or not now.

Nothing was sent with such a lease. Until the store has taken it back, however long it is away, it stays known as this node's:
the heartbeat would write it off as an attempt that was cut off, and the log would tell of one that was never made.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog

from dockbell.actions.commit import Job
from dockbell.clock import Clock, Moment
from dockbell.errors import StorageFull, Unavailable
from dockbell.store import deliveries
from dockbell.store.database import Database, Transaction
from dockbell.store.deliveries import Lease

log = structlog.get_logger()
PAUSE_AFTER_FAILURE_S = 0.5


class Returns:
    def __init__(self, database: Database, clock: Clock, returned: Callable[[Iterable[Lease]], None]) -> None:
        """`returned` is called with those that are this node's no more."""
        self._database = database
        self._clock = clock
        self._returned = returned
        self._waiting: list[tuple[Lease, Moment | None]] = []
        self._being_written: list[tuple[Lease, Moment | None]] = []
        self._writing: asyncio.Task[None] | None = None

    def add(self, jobs: Sequence[Job], *, due_at: Moment | None = None) -> None:
        """Without `due_at` they are due as soon as they are back."""
        self._waiting += [(job.lease, due_at) for job in jobs]
        if self._waiting and self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    def leases(self) -> Iterator[Lease]:
        """Those that are not back yet."""
        yield from (lease for lease, _ in (*self._being_written, *self._waiting))

    async def _write(self) -> None:
        while self._waiting:
            self._being_written, self._waiting = self._waiting, []
            try:
                await self._database.write(self._release)
            except (Unavailable, StorageFull) as error:
                log.error("worker.release_failed", error=str(error), hint="It is tried again.")
                self._waiting[:0], self._being_written = self._being_written, []
                await self._clock.sleep(PAUSE_AFTER_FAILURE_S)
                continue
            except Exception as error:
                log.error(
                    "worker.release_failed", error=str(error), hint="They are taken up again when their leases end."
                )
            back, self._being_written = self._being_written, []
            self._returned(lease for lease, _ in back)
        self._writing = None

    def _release(self, tx: Transaction) -> None:
        now = self._clock.now()
        deliveries.release(tx, [(lease, now if due_at is None else due_at) for lease, due_at in self._being_written])
