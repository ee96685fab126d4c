"""The journal: collects accepted events and closed attempts and writes both in one commit.

The next commit begins as soon as the last one returned, so under load hundreds of requests and
attempts share one fsync, and at rest a single event does not wait for company. An event's answer is
given only after the commit. Deliveries that find a free slot are born leased to this node and handed to
the dispatcher in memory: the usual delivery is never looked up in the database again.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import structlog

from dockbell.actions.index import Index, State
from dockbell.actions.publish import Accepted, Publisher, matching, repeated
from dockbell.actions.webhooks import Webhooks
from dockbell.clock import Clock, Moment
from dockbell.domain.event import Event, NewEvent
from dockbell.domain.permissions import SYSTEM
from dockbell.domain.webhook import Webhook
from dockbell.errors import Conflict, DockbellError, Unavailable
from dockbell.store import counters, deliveries, events
from dockbell.store.database import Database, Transaction
from dockbell.store.deliveries import Closing, Lease
from dockbell.store.futures import awaited
from dockbell.store.webhook_hours import COUNTED_TO

log = structlog.get_logger()
EVENTS_A_COMMIT = 500
CLOSINGS_A_COMMIT = 1_000
LONGEST_QUEUE = 20_000
PAUSE_AFTER_FAILURE_S = 0.5
PATIENCE_S = 5.0
"""So long a publisher waits for its answer."""
GONE = "The receiver answered 410 Gone, which asks for no more webhooks."

LEFT_OUT = "What came of this attempt could not be stored and is left out:"
SAME_ID = "Send them again with the same id or Idempotency-Key: what was stored is not stored twice."

Verdict = Accepted | DockbellError
Told = list[Verdict] | DockbellError
"""A verdict for each event of a request, or why none of them was stored."""


class Job(msgspec.Struct, frozen=True, gc=False):
    """A leased delivery with everything an attempt needs."""

    lease: Lease
    event: Event
    webhook: Webhook


class Dispatcher(Protocol):
    """Who makes the attempts; all calls on the loop thread."""

    def reserve(self, webhook: Webhook, *, now: Moment, at_once: bool = False) -> Moment | None:
        """A place for one attempt, as the lease's end; None if the delivery must wait in the store.

        `at_once` (a person waits for a test's result) always gets one.
        """

    def unreserve(self, webhook_id: int) -> None: ...

    def take(self, jobs: Sequence[Job]) -> None:
        """Attempt these; each has a place."""

    def closed(self, closings: Sequence[Closing]) -> None:
        """The outcomes are on disk."""


class _Request(msgspec.Struct, gc=False):
    events: Sequence[NewEvent]
    answer: Callable[[Told], None]
    test_of: Webhook | None
    since: float


@dataclass(slots=True)
class _Plan:
    """What one commit will store."""

    state: State
    requests: list[_Request]
    rows: list[events.EventRow] = field(default_factory=list)
    sources: list[NewEvent] = field(default_factory=list)
    waiting: dict[int, list[tuple[int, int, int, Moment]]] = field(default_factory=dict)
    jobs: dict[int, list[Job]] = field(default_factory=dict)
    closings: list[Closing] = field(default_factory=list)


class _Stale(Exception):
    """Webhooks were changed since the state this plan was matched with."""


class Journal:
    def __init__(
        self,
        database: Database,
        index: Index,
        publisher: Publisher,
        webhooks: Webhooks,
        clock: Clock,
        dispatcher: Dispatcher,
        *,
        node: int,
        need_room: Callable[[], None] = lambda: None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._need_room = need_room
        self._patience_s = patience_s
        self._writing: Sequence[_Request] = ()
        self._watch: asyncio.TimerHandle | None = None
        self._database = database
        self._index = index
        self._publisher = publisher
        self._webhooks = webhooks
        self._clock = clock
        self._dispatcher = dispatcher
        self._node = node
        self._requests: list[_Request] = []
        self._queued = 0
        self._closings: list[Closing] = []
        self._stored: tuple[_Plan, dict[int, Verdict]] | None = None
        """The commit that came back last, until the next is on its way: so the store need not wait for answers."""
        self._closings_a_commit = CLOSINGS_A_COMMIT
        self._being_closed: Sequence[Closing] = ()
        self._work = asyncio.Event()
        self._stopping = False

    async def accept(self, new: Sequence[NewEvent], *, test_of: Webhook | None = None) -> list[Verdict]:
        """Store events and their deliveries; returns after the commit, one verdict each.

        With `test_of` the event goes to that webhook alone, marked as a test.
        """
        answer: asyncio.Future[list[Verdict]] = asyncio.get_running_loop().create_future()

        def tell(told: Told) -> None:
            if answer.done():  # whoever asked may have hung up; the events are kept all the same
                return
            if isinstance(told, DockbellError):
                answer.set_exception(told)
            else:
                answer.set_result(told)

        self.submit(new, tell, test_of=test_of)
        return await answer

    def submit(
        self, new: Sequence[NewEvent], answer: Callable[[Told], None], *, test_of: Webhook | None = None
    ) -> None:
        """Store events and their deliveries; `answer` is called after the commit. Raises Unavailable."""
        if self._stopping:
            raise Unavailable("Dockbell is stopping; nothing is accepted any more.", hint="Try again in a few seconds.")
        if self._queued >= LONGEST_QUEUE:
            raise Unavailable("The store does not keep up; nothing was accepted.", hint="Try again in a few seconds.")
        self._need_room()
        loop = asyncio.get_running_loop()
        self._requests.append(_Request(new, answer, test_of, loop.time()))
        if self._watch is None:
            self._watch = loop.call_later(self._patience_s / 5, self._lose_patience)
        self._queued += len(new)
        self._work.set()

    def close(self, closing: Closing) -> None:
        """Write an outcome with the next commit."""
        self._closings.append(closing)
        self._work.set()

    def unwritten(self) -> Iterator[Lease]:
        """The leases of what was closed and is not on disk yet."""
        yield from (closing.lease for closing in self._being_closed)
        yield from (closing.lease for closing in self._closings)

    async def run(self) -> None:
        """Commit until `stop` was called and nothing is left."""
        while not (self._stopping and not self._requests and not self._closings):
            await self._work.wait()
            self._work.clear()
            while self._requests or self._closings:
                await self._commit_once()
            self._tell_stored()

    def stop(self) -> None:
        """Accept nothing more; what was taken is still written."""
        self._stopping = True
        self._work.set()

    def _lose_patience(self) -> None:
        """Tell those who have waited too long for the store; what is queued is dropped, what is being written is not ours any more."""
        loop = asyncio.get_running_loop()
        late = loop.time() - self._patience_s
        queued = [request for request in self._requests if request.since <= late]
        self._requests = [request for request in self._requests if request.since > late]
        self._queued -= sum(len(request.events) for request in queued)
        for request in queued:
            _tell(
                request,
                Unavailable(
                    "The store does not keep up; nothing was accepted.",
                    code="store_slow",
                    hint="Try again in a few seconds.",
                ),
            )
        for request in [request for request in self._writing if request.since <= late]:
            text = "The store does not answer; whether the events were stored is not known."
            _tell(request, Unavailable(text, code="store_unknown", hint=SAME_ID))
            request.answer = _nobody
        waiting = self._requests or self._writing
        self._watch = loop.call_later(self._patience_s / 5, self._lose_patience) if waiting else None

    async def _commit_once(self) -> None:
        # While it is looked for what the store refuses among the outcomes, nobody's events are refused along with it.
        looking = bool(self._closings) and self._closings_a_commit < CLOSINGS_A_COMMIT
        requests = self._writing = [] if looking else self._take_requests()
        count = self._closings_a_commit
        closings, self._closings = self._closings[:count], self._closings[count:]
        self._being_closed = closings
        while True:
            plan = _Plan(self._index.state, requests, closings=closings)
            try:
                self._fill(plan)
                writing = self._database.submit_write(lambda tx, plan=plan: self._write(tx, plan))  # type: ignore[misc]
                self._tell_stored()  # while the store is at work
                self._stored = (plan, await awaited(writing))
            except _Stale:
                self._give_back(plan)
                await self._index.refresh(self._database)
                continue
            except Exception as error:  # noqa: BLE001 - every waiter must hear of it, and the journal goes on
                self._writing = ()
                self._tell_stored()
                self._give_back(plan)
                await self._fail(plan, error)
            else:
                self._writing = ()
                self._being_closed = ()
                self._closings_a_commit = min(CLOSINGS_A_COMMIT, 2 * self._closings_a_commit)
            return

    def _tell_stored(self) -> None:
        """Answer the last commit's events and hand its deliveries on, if that was not done yet."""
        if self._stored is not None:
            (plan, repeats), self._stored = self._stored, None
            self._answer(plan, repeats)
            self._dispatcher.closed(plan.closings)

    def _take_requests(self) -> list[_Request]:
        taken, count = 0, 0
        while taken < len(self._requests) and (
            count == 0 or count + len(self._requests[taken].events) <= EVENTS_A_COMMIT
        ):
            count += len(self._requests[taken].events)
            taken += 1
        requests, self._requests = self._requests[:taken], self._requests[taken:]
        self._queued -= count
        return requests

    def _fill(self, plan: _Plan) -> None:
        now = self._clock.now()
        for request in plan.requests:
            for new in request.events:
                row = self._publisher.row(new, now=now, test_of=request.test_of.id if request.test_of else None)
                plan.rows.append(row)
                plan.sources.append(new)
                wanted = [request.test_of] if request.test_of else matching(new, plan.state)
                self._plan_deliveries(plan, row, wanted, now)

    def _plan_deliveries(self, plan: _Plan, row: events.EventRow, wanted: list[Webhook], now: Moment) -> None:
        if not wanted:
            return
        test = row.test_of is not None
        event = Event(row.id, row.goods_owner_id, row.event_type, row.accepted_at, row.head, row.data, test)
        waiting, jobs = plan.waiting.setdefault(row.id, []), plan.jobs.setdefault(row.id, [])
        for webhook in wanted:
            until = self._dispatcher.reserve(webhook, now=now, at_once=test)
            if until is None:
                waiting.append((row.id, webhook.id, row.goods_owner_id, now))
            else:
                lease = Lease(row.id, webhook.id, row.goods_owner_id, 1, 1, until, now, now, 0)
                jobs.append(Job(lease, event, webhook))

    def _write(self, tx: Transaction, plan: _Plan) -> dict[int, Verdict]:
        """Everything of one commit; the verdicts of events that were not new."""
        repeats: dict[int, Verdict] = {}
        pinned = counters.pinned(tx, *([counters.WEBHOOKS_CHANGED] if plan.rows else ()), COUNTED_TO)
        if plan.rows:
            if pinned[counters.WEBHOOKS_CHANGED] != plan.state.webhooks_no:
                raise _Stale
            stored = events.insert(tx, plan.rows)
            for row, new in zip(plan.rows, plan.sources, strict=True):
                if row.id not in stored:
                    repeats[row.id] = _repeat_verdict(tx, new)
            waiting = [one for event_id, some in plan.waiting.items() if event_id in stored for one in some]
            leases = [job.lease for event_id, jobs in plan.jobs.items() if event_id in stored for job in jobs]
            deliveries.insert(tx, waiting, leases=leases, node=self._node)
            if waiting:
                tx.wake(deliveries.TOPIC)
        if plan.closings:
            deliveries.close(tx, plan.closings, counted_to=pinned[COUNTED_TO])
            for closing in plan.closings:
                if closing.deactivate_webhook:
                    self._webhooks.deactivate(tx, SYSTEM, closing.lease.webhook_id, GONE, now=closing.ended_at)
        return repeats

    def _answer(self, plan: _Plan, repeats: dict[int, Verdict]) -> None:
        verdicts = iter(
            repeats.get(row.id) or Accepted(row.id, len(plan.waiting.get(row.id, ())) + len(plan.jobs.get(row.id, ())))
            for row in plan.rows
        )
        for request in plan.requests:
            _tell(request, [next(verdicts) for _ in request.events])
        born = [job for event_id, jobs in plan.jobs.items() if event_id not in repeats for job in jobs]
        for event_id in repeats:
            for job in plan.jobs.get(event_id, ()):
                self._dispatcher.unreserve(job.webhook.id)
        self._dispatcher.take(born)

    def _give_back(self, plan: _Plan) -> None:
        for jobs in plan.jobs.values():
            for job in jobs:
                self._dispatcher.unreserve(job.webhook.id)

    def _without_words(self, closing: Closing, error: Exception) -> list[Closing]:
        """An outcome that the store refuses, once without what came from outside, and then not at all."""
        if not closing.detail.startswith(LEFT_OUT):
            return [_says_nothing(closing, error)]
        lease = closing.lease
        log.error("attempt.not_closed", event_id=lease.event_id, webhook_id=lease.webhook_id, error=str(error))
        self._dispatcher.closed([closing])
        return []

    async def _fail(self, plan: _Plan, error: Exception) -> None:
        """Refuse the events (nothing of them is stored) and keep the outcomes for the next commit."""
        shown = error if isinstance(error, DockbellError) else Unavailable("The store failed; nothing was accepted.")
        log.error("journal.commit_failed", error=str(error), events=len(plan.rows), closings=len(plan.closings))
        for request in plan.requests:
            _tell(request, shown)
        if plan.closings and not isinstance(error, DockbellError):  # not away or full: there is something it refuses
            self._closings_a_commit = max(1, len(plan.closings) // 2)
            if len(plan.closings) == 1 and not plan.rows:
                plan.closings = self._without_words(plan.closings[0], error)
        self._closings, self._being_closed = plan.closings + self._closings, ()
        if plan.closings:
            await self._clock.sleep(PAUSE_AFTER_FAILURE_S)


def _says_nothing(closing: Closing, error: Exception) -> Closing:
    """The outcome with nothing in it that came from outside; what is next for the delivery stays."""
    return msgspec.structs.replace(
        closing, detail=f"{LEFT_OUT} {type(error).__name__}.", address="", request_headers="", response_headers="",
        response_body="", response_cut=False,
    )  # fmt: skip


def _nobody(_: Told) -> None:
    """Whoever asked was told."""


def _tell(request: _Request, told: Told) -> None:
    try:
        request.answer(told)
    except Exception:
        # One connection that cannot be written to must not keep the answers of all others from being given.
        log.exception("journal.not_told")


def _repeat_verdict(tx: Transaction, event: NewEvent) -> Verdict:
    try:
        return repeated(tx, event)
    except Conflict as conflict:
        return conflict
