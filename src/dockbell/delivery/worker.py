"""The worker: makes the attempts of one node.

Jobs come from two sides: born leased from the journal, or claimed from the store when they are due
(retries, overflow, what other nodes left behind). Each webhook has its own short queue in memory and its
own cap of attempts in flight, so that a slow receiver keeps no one else waiting.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from dockbell.actions.commit import Job
from dockbell.actions.index import Index
from dockbell.clock import SECOND, Clock, Moment, Reading
from dockbell.delivery.attempt import ClosesAttempts, Sender, close_attempt, close_broken, request_for
from dockbell.delivery.brake import Brake
from dockbell.delivery.claims import Claims, lease_end
from dockbell.delivery.gates import Gates
from dockbell.delivery.heartbeat import Heartbeat, Key, key_of
from dockbell.delivery.lanes import Lane, Lanes
from dockbell.delivery.line import Line
from dockbell.delivery.returns import Returns
from dockbell.domain.delivery import Answered, NotSent, Outcome, Unanswered, code_of
from dockbell.domain.event import Event
from dockbell.domain.shares import Shares
from dockbell.domain.webhook import Webhook
from dockbell.errors import Unavailable
from dockbell.store import backlog
from dockbell.store.database import Database
from dockbell.store.deliveries import Closing, Lease

log = structlog.get_logger()
LONGEST_NAP_S = 60.0
BUSY_NAP_S = 1.0
SHORTEST_NAP_S = 0.05
"""Half of what a slowed receiver may get at once (BURST_S) is there again by then."""
LOOKING_AT_MOST = 4
"""Naps are so many times as long as a look took: with many webhooks behind, looking is dear."""
ENDED_AT_MOST = 3
"""So often in a row a delivery may meet a kept connection that has ended before that is the receiver's failure."""
MOST_MET = 10_000


@dataclass(slots=True)
class _Attempt:
    job: Job
    shown_headers: str
    began: Moment


class Worker:
    def __init__(
        self,
        database: Database,
        index: Index,
        clock: Clock,
        *,
        node: int,
        slots: int = 512,
        jitter: Callable[[], float] = random.random,
        waits: Callable[[], None] = lambda: None,
    ) -> None:
        self._waits = waits
        self._database = database
        self._index = index
        self._clock = clock
        self._node = node
        self._slots = Shares(slots)
        self._jitter = jitter
        self._gates = Gates(clock, node)
        self._lanes = Lanes(self._slots)
        self._brake = Brake(self._lanes)
        self._line = Line(self._slots)
        self._claims = Claims(database, index, clock, self._gates, self._lanes, self._slots, node=node)
        self._heartbeat = Heartbeat(
            database, clock, self._gates, self._ours, self._knows_until, self._beaten, node=node
        )
        self._returns = Returns(database, clock, self._returned)
        self._in_flight: dict[object, _Attempt] = {}
        self._met_ended: dict[tuple[int, int], int] = {}
        """Deliveries that met a kept connection which had ended at their last attempt, and how often in a row."""
        self._given_back = 0
        self._look = asyncio.Event()
        self._quiet = asyncio.Event()
        self._claiming: Reading | None = None
        """Since when, if something is being claimed."""
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop
        self._sender: Sender
        self._journal: ClosesAttempts

    def attach(self, sender: Sender, journal: ClosesAttempts) -> None:
        """Tell the worker who sends and who writes; both need the worker to be made first."""
        self._sender = sender
        self._journal = journal

    # The dispatcher's side, called by the journal.

    def reserve(self, webhook: Webhook, *, now: Moment, at_once: bool = False) -> Moment | None:
        lane = self._lanes.of(webhook)
        room = min(webhook.max_concurrency + lane.ahead() - lane.places, self._lanes.room(lane))
        full, gate = webhook.id in self._claims.behind or room <= 0, self._gates.room(webhook, lane.places)
        if self._stopping or ((full or not gate) and not at_once):
            self._claims.behind.add(webhook.id)
            self._claims.turned_away = True
            if gate and lane.is_quick() and lane.in_flight < webhook.max_concurrency:
                self._lanes.overflows(webhook.id)  # it waits for this node; else, for its receiver
            self._waits()
            return None
        self._claims.placed = True
        self._gates.take(webhook.id)
        self._lanes.take_place(lane, 1)
        return lease_end(webhook, now)

    def unreserve(self, webhook_id: int) -> None:
        self._lanes.take_place(self._lanes[webhook_id], -1)
        self._tell_quiet()

    def answer_after(self, webhook_ids: Iterable[int]) -> float:
        return self._brake.seconds(webhook_ids)

    def take(self, jobs: Sequence[Job]) -> None:
        if self._stopping:  # they were leased in the moment it was asked to stop
            self._returns.add(jobs)
            return
        for job in jobs:
            lane = self._lanes.of(job.webhook)
            if job.event.test:  # a person waits for its result
                lane.waiting.appendleft(job)
            elif self._gates.is_shut(job.webhook.id):  # since its place was given out
                self._returns.add([job], due_at=self._gates.opens_at(job.webhook.id))
                continue
            else:
                lane.waiting.append(job)
            self._start(lane)
        self._start_next_in_line()

    def closed(self, closings: Sequence[Closing]) -> None:
        self._given_back += len(closings)
        for closing in closings:
            lane = self._lanes[closing.lease.webhook_id]
            self._lanes.take_place(lane, -1)
            if closing.next_status == "pending" or closing.lease.webhook_id in self._claims.behind:
                self._look.set()
            if lane.places == 0 and not lane.waiting and len(self._lanes) > 10_000:
                del self._lanes[closing.lease.webhook_id]
        self._look_for_who_lacks_memory()
        self._brake.ended(len(closings))
        self._tell_quiet()

    # The sender's side, called on the loop thread.

    def outcomes(self, batch: Iterable[tuple[object, Outcome]]) -> None:
        """Attempts that ended; each is decided on and given to the journal."""
        at = self._clock.read()
        now = at.now
        for token, heard in batch:
            attempt = self._in_flight.pop(token, None)
            if attempt is None:
                continue
            lane = self._lanes[attempt.job.webhook.id]
            lane.in_flight -= 1
            self._slots.take(lane.owners, -1)
            lane.last_took, lane.answered_in = now - attempt.job.lease.started_at, now - attempt.began
            is_plain = isinstance(heard, Answered) and not self._met_ended
            outcome = heard if is_plain else self._unless_too_often(attempt.job.lease, heard)
            if not attempt.job.event.test and self._gates.note(attempt.job.webhook, outcome):
                self._hold_back(lane, attempt.job.webhook.id)
            try:
                self._end(attempt.job, outcome, attempt.shown_headers, at)
            except Exception as error:
                # One outcome that cannot be decided on must not take the rest of the batch along.
                log.exception("attempt.not_closed", event_id=attempt.job.event.id, webhook_id=attempt.job.webhook.id)
                self._journal.close(close_broken(attempt.job, error, node=self._node, at=at))
            self._start(lane)
        self._start_next_in_line()

    def _unless_too_often(self, lease: Lease, outcome: Outcome) -> Outcome:
        """The outcome; that a kept connection had ended only so often in a row: a receiver that always does that fails."""
        delivery = lease.event_id, lease.webhook_id
        met = self._met_ended.pop(delivery, 0)
        if code_of(outcome) != "connection_ended":
            return outcome
        if met == ENDED_AT_MOST:
            return Unanswered("connection_reset", "The receiver ended one kept connection after the other.")
        if len(self._met_ended) >= MOST_MET:  # what other nodes went on with is never asked for here
            self._met_ended.clear()
        self._met_ended[delivery] = met + 1
        return outcome

    # The worker's own life.

    async def run(self) -> None:
        """Claim what is due until stopped, and keep the leases of what is in flight then until it has ended."""
        self._loop = asyncio.get_running_loop()
        self._database.listen(backlog.TOPIC, self._woken)
        beating = asyncio.create_task(self._heartbeat.run())
        try:
            while not self._stopping:
                self._look.clear()
                self._claiming = self._clock.read()
                try:
                    claimed, nap_s = await self._claim_round()
                finally:
                    self._claiming = None
                    self._tell_quiet()
                if not claimed:
                    await self._nap(nap_s)
            await self.quiet()
        finally:
            beating.cancel()

    @property
    def refused(self) -> Unavailable | None:
        """Why the store takes no writes from this node; None while it does."""
        return self._heartbeat.refused

    async def stop(self, *, grace_s: float = 20.0) -> None:
        """Claim nothing more, let what is in flight end, give back what was never sent."""
        self._stopping = True
        self._look.set()
        for lane in list(self._lanes.values()):
            unsent = list(lane.waiting)
            lane.waiting.clear()
            self._returns.add(unsent)
        deadline = asyncio.create_task(self._clock.sleep(grace_s))
        waiting = asyncio.create_task(self.quiet())
        await asyncio.wait({deadline, waiting}, return_when=asyncio.FIRST_COMPLETED)
        for task in (deadline, waiting):
            task.cancel()
        if self._in_flight:
            log.warning("worker.cut_short", attempts=len(self._in_flight), hint="They will show as interrupted.")

    async def quiet(self) -> None:
        """Returns when nothing is in flight or being claimed, and every outcome is on disk."""
        while self._claiming or any(lane.places for lane in list(self._lanes.values())):
            self._quiet.clear()
            await self._quiet.wait()

    def _start(self, lane: Lane) -> None:
        """Begin what the lane may; where there is no slot for it, it stands in line."""
        while self._may_start(lane):
            if not self._line.may_pass(lane) and not lane.waiting[0].event.test:  # a person waits for a test's result
                self._line.stand(lane)
                return
            self._start_one(lane)

    def _start_next_in_line(self) -> None:
        """One attempt each in turn, so that whoever has much to do leaves slots to the others."""
        while (lane := self._line.next()) is not None:
            if self._may_start(lane):
                self._start_one(lane)
            if self._may_start(lane):
                self._line.stand(lane)

    def _may_start(self, lane: Lane) -> bool:
        if not lane.waiting or self._stopping:
            return False
        job = lane.waiting[0]
        webhook = job.webhook
        if lane.in_flight >= self._index.state.webhooks.get(webhook.id, webhook).max_concurrency:
            return False
        # If not, the node slept, or the store did: another may make this attempt. The next beat tells.
        return self._heartbeat.holds(job, self._clock.read())

    def _beaten(self, lost: set[Key]) -> None:
        """It is known anew which leases run: what waited for that begins, and what another took over is let go of."""
        for lane in [lane for lane in self._lanes.values() if lane.waiting]:
            ours = [job for job in lane.waiting if key_of(job.lease) not in lost] if lost else lane.waiting
            if len(ours) < len(lane.waiting):
                self._lanes.take_place(lane, len(ours) - len(lane.waiting))
                lane.waiting = deque(ours)
                self._look.set()  # there is room again
            self._start(lane)
        self._start_next_in_line()
        self._tell_quiet()

    def _start_one(self, lane: Lane) -> None:
        job = lane.waiting.popleft()
        # An attempt goes to where the webhook points now, not to where it did when the event came.
        webhook = self._index.state.webhooks.get(job.webhook.id, job.webhook)
        if webhook is not job.webhook:
            job = msgspec.structs.replace(job, webhook=webhook)
        if webhook.enabled or job.event.test:
            self._attempt(job, lane)
        else:
            self._returns.add([job, *lane.take_out()])

    def _attempt(self, job: Job, lane: Lane) -> None:
        at = self._clock.read()
        try:
            request, shown = request_for(job, self._index.state, at.now)
        except Exception as error:
            log.error("attempt.not_built", event_id=job.event.id, webhook_id=job.webhook.id, error=str(error))
            self._end(job, NotSent("internal_error", str(error)), "", at)
            return
        if isinstance(request, NotSent):
            self._end(job, request, shown, at)
            return
        lane.in_flight += 1
        self._slots.take(lane.owners)
        # With the lease's number: a delivery whose lease was lost may be claimed here again while its first attempt still runs.
        token = key_of(job.lease)
        self._in_flight[token] = _Attempt(job, shown, at.now)
        self._sender.submit(token, request)

    def _end(self, job: Job, outcome: Outcome, shown_headers: str, at: Reading) -> None:
        self._journal.close(
            close_attempt(job, outcome, shown_headers, node=self._node, at=at, jitter=self._jitter()),
        )

    def _hold_back(self, lane: Lane, webhook_id: int) -> None:
        """The receiver ails: what waits for it in memory waits in the store, and no retry is spent on waiting."""
        self._claims.behind.add(webhook_id)
        self._returns.add(lane.take_out(), due_at=self._gates.opens_at(webhook_id))

    def _returned(self, leases: Iterable[Lease]) -> None:
        for lease in leases:
            self._lanes.take_place(self._lanes[lease.webhook_id], -1)
        self._tell_quiet()

    def _woken(self) -> None:
        """Called in whichever thread committed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._look.set)

    def _tell_quiet(self) -> None:
        self._quiet.set()

    def _look_for_who_lacks_memory(self) -> None:
        if self._claims.is_worth_a_look():
            self._look.set()

    async def _nap(self, seconds: float) -> None:
        """Until something was woken, or `seconds` have passed."""
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        looking = asyncio.ensure_future(self._look.wait())
        try:
            await asyncio.wait({sleeping, looking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            looking.cancel()

    async def _claim_round(self) -> tuple[int, float]:
        """Claim something of what is due; how much was claimed, and how long nothing will be."""
        before, began = self._given_back, time.monotonic()
        try:
            leases, rows, next_due, jumped = await self._claims.claim()
        except Exception as error:
            log.error("worker.claim_failed", error=str(error))
            return 0, BUSY_NAP_S
        jobs = []
        for lease in leases:
            row = rows[lease.event_id]
            event = Event(
                row["id"], row["goods_owner_id"], row["event_type"], row["accepted_at"], row["head"], row["data"],
                row["test_of"] is not None,
            )  # fmt: skip
            jobs.append(Job(lease, event, self._index.state.webhooks[lease.webhook_id], jumped))
            self._lanes.take_place(self._lanes.of(jobs[-1].webhook), 1)
            self._gates.take(lease.webhook_id)
        if self._given_back != before:  # while the claim did not know yet that it would lack any
            self._look_for_who_lacks_memory()
        self.take(jobs)
        if next_due is None:
            return len(jobs), LONGEST_NAP_S
        wait_s = (next_due - self._clock.now()) / SECOND
        took_s = time.monotonic() - began
        busy_s = min(BUSY_NAP_S, max(SHORTEST_NAP_S, LOOKING_AT_MOST * took_s, self._claims.slowed_s))
        return len(jobs), min(LONGEST_NAP_S, wait_s) if wait_s > 0 else busy_s

    def _ours(self) -> Iterator[Lease]:
        yield from (attempt.job.lease for attempt in self._in_flight.values())
        yield from (job.lease for lane in list(self._lanes.values()) for job in lane.waiting)
        yield from self._returns.leases()
        yield from self._journal.unwritten()

    def _knows_until(self) -> Reading:
        """Of what was leased to this node before then, all that is not over is among `_ours`."""
        began = (self._claiming, self._journal.leasing_since())
        return min([self._clock.read(), *(each for each in began if each is not None)], key=Reading.unset)
