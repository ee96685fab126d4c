"""The heartbeat of a node: keeps the leases of its attempts, takes over those that ran out, tells that the node lives. Each few
seconds it goes on with what somebody has to do and nobody waits for.

Leases are looked at every second, so that the work of a node that died goes on within its lease and two seconds.
"""

from collections.abc import Callable, Iterable
from functools import partial

import structlog

from dockbell.actions import bulk, statistics
from dockbell.actions.commit import Job
from dockbell.clock import SECOND, Clock, Moment, Reading
from dockbell.delivery.gates import Gates
from dockbell.errors import Unavailable
from dockbell.store import backlog, deliveries, people, turns
from dockbell.store.database import Database, Transaction
from dockbell.store.deliveries import Lease

log = structlog.get_logger()
LEASE_MARGIN = 10 * SECOND
BEAT_S = 1.0
ROUND_S = 5.0
CATCH_UP_S = 1.0
LOOKS_AT_TURNS = 10
HANGS_S = 20.0
"""What a beat writes takes milliseconds, and seconds behind a long write."""
Key = tuple[int, int, int]
"""A lease's event, webhook and number."""


def key_of(lease: Lease) -> Key:
    return lease.event_id, lease.webhook_id, lease.lease_no


class Heartbeat:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        gates: Gates,
        ours: Callable[[], Iterable[Lease]],
        knows_until: Callable[[], Reading],
        told: Callable[[set[Key]], None],
        *,
        node: int,
    ) -> None:
        """`ours` are the leases of everything that is not over: waiting, in flight, or ended or given back and not yet on disk.

        It has them all that were made before `knows_until`: nobody heard yet of what is being written. `told` is called after
        each beat, with those that are not ours any more; of all others it is known again that they run.
        """
        self._database = database
        self._clock = clock
        self._gates = gates
        self._ours = ours
        self._knows_until = knows_until
        self._told = told
        self._node = node
        self._refused: Unavailable | None = None
        self._writes_since: float | None = None
        """By the monotonic clock, while a beat's write is with the store."""
        self._extended: dict[Key, Moment] = {}
        """How far those leases run that were extended: each is written again only when it comes to its end again. A lost one
        runs no further than 0."""
        self._jumped = 0
        """By how much the clock had been set then."""
        self._turns_after = turns.NOWHERE

    def holds(self, job: Job, at: Reading) -> bool:
        """Whether its lease still runs, as far as is known here: what does not, another node may have taken over."""
        until = self._extended.get(key_of(job.lease))
        return at.unset() < (job.lease.until - job.jumped if until is None else until - self._jumped)

    @property
    def refused(self) -> Unavailable | None:
        """Why the store did not take the last beat, which is a write like any other, or takes none now; None while it does."""
        waits_s = 0.0 if self._writes_since is None else self._clock.monotonic() - self._writes_since
        if waits_s > HANGS_S:
            return Unavailable(
                f"The store has not taken a write for {waits_s:.0f} seconds.",
                hint="Does its disk or its server hang, or another program hold its lock?",
            )
        return self._refused

    async def run(self) -> None:
        next_round = self._clock.monotonic()
        while True:
            is_round = self._clock.monotonic() >= next_round
            if is_round:
                next_round = self._clock.monotonic() + ROUND_S
            try:
                await self._beat(is_round=is_round)
                self._refused = None
            except Exception as error:
                if isinstance(error, Unavailable):
                    self._refused = error
                log.error("worker.tick_failed", error=str(error))
            await self._clock.sleep(BEAT_S)

    async def _beat(self, *, is_round: bool) -> None:
        ours = {key_of(lease): lease for lease in self._ours()}
        known = self._knows_until()
        self._writes_since = self._clock.monotonic()
        try:
            at, self._extended = await self._database.write(
                lambda tx: self._look_at_leases(tx, ours, known_until=known, is_round=is_round)
            )
        finally:
            self._writes_since = None
        self._jumped = at.jumped
        self._told({key for key, until in self._extended.items() if not until})
        if is_round:
            await self._gates.write(self._database)
            await statistics.roll_up(self._database, now=at.now)
            await bulk.take_up(self._database, self._clock)
            await self._catch_up()
            await self._settle_turns()

    async def _catch_up(self) -> None:
        """Let what was left behind by a change follow it, a second at a time: leases are to be looked at again."""
        until = self._clock.monotonic() + CATCH_UP_S
        for webhook in await self._database.read(backlog.left_behind):
            changed = backlog.AT_ONCE
            while changed == backlog.AT_ONCE and self._clock.monotonic() < until:
                following = partial(backlog.follow, webhook_id=webhook, now=self._clock.now())
                changed = await self._database.write(following)

    async def _settle_turns(self) -> None:
        """Go on through the turns, some of them in each round."""
        for _ in range(LOOKS_AT_TURNS):
            strays, last = await self._database.read(partial(turns.astray, after=self._turns_after))
            if strays:
                await self._database.write(partial(turns.settle, strays=strays, now=self._clock.now()))
            self._turns_after = last or turns.NOWHERE
            if last is None:
                return

    def _look_at_leases(
        self, tx: Transaction, ours: dict[Key, Lease], *, known_until: Reading, is_round: bool
    ) -> tuple[Reading, dict[Key, Moment]]:
        """When it was, and how far those leases run that were extended."""
        at = self._clock.read()  # here, where it is set: by the old clock leases would be over that are not
        now, until = at.now, at.now + 4 * LEASE_MARGIN
        if at.jumped == self._jumped:
            known = {key: until for key, until in self._extended.items() if key in ours}
            # Those that have outlived their timeout. Were others extended too, a node that dies would keep its work so much longer.
            # One from later than now was made before the clock was set back, and heard of since.
            ends = {key: known.get(key, 0 if each.started_at > now else each.until) for key, each in ours.items()}
            ending = {key: lease for key, lease in ours.items() if ends[key] < now + LEASE_MARGIN}
        else:  # what is known of them is by the old clock
            known, ending = {}, ours
        kept = deliveries.extend(tx, ending.values(), until=until)
        # Not those that ran out since: this may have waited for a commit that made leases of ours and outlasted them.
        rescued = deliveries.rescue(tx, now=now, leased_until=known_until.unset() + at.jumped)
        if rescued:
            log.warning("lease.expired", deliveries=rescued)
        if is_round:
            people.see_node(tx, self._node, now=now)
        return at, known | {key: until if key in kept else 0 for key in ending}
