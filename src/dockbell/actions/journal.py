"""The journal: collects accepted events and closed attempts and writes both in one commit.

The next commit begins as soon as the last one returned, so under load hundreds of requests and
attempts share one fsync. If little waits then, it waits a moment for company; at rest a single event
does not. An event's answer is given only after the commit, and later still while its webhooks keep the
node behind. Deliveries that find a free slot are born leased to this node and handed to the dispatcher in
memory: the usual delivery is never looked up in the database again.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import structlog

from dockbell.actions.commit import (
    Commit,
    Job,
    Request,
    Stale,
    Told,
    Verdict,
    as_told,
    leasing_since,
    not_known,
    telling,
    too_slow,
    verdicts,
    without_words,
    write,
)
from dockbell.actions.dispatcher import Dispatcher
from dockbell.actions.index import Index
from dockbell.actions.publish import Publisher, matching, waits_its_turn
from dockbell.actions.webhooks import Webhooks
from dockbell.clock import Clock, Moment, Reading
from dockbell.domain.event import Event, NewEvent
from dockbell.domain.webhook import Webhook
from dockbell.errors import DockbellError, StorageFull, Unavailable
from dockbell.store.database import Database, Transaction
from dockbell.store.deliveries import Closing, Lease
from dockbell.store.events import EventRow

log = structlog.get_logger()
EVENTS_A_COMMIT = 500
CLOSINGS_A_COMMIT = 1_000
FEW = 16
COMPANY_S = 0.001
"""A commit costs what ten events do: right after another, one of fewer than FEW events and outcomes waits so long for more. On
SQLite other writers wait along."""
LONGEST_QUEUE = 20_000
PAUSE_AFTER_FAILURE_S = 0.5
PATIENCE_S = 5.0
"""So long a publisher waits for its answer."""


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
        self._watch: asyncio.TimerHandle | None = None
        self._database = database
        self._index = index
        self._publisher = publisher
        self._webhooks = webhooks
        self._clock = clock
        self._dispatcher = dispatcher
        self._node = node
        self._loop: asyncio.AbstractEventLoop
        self._begins_soon = self._stopping = False
        self._news = asyncio.Event()
        # What the store's thread takes when its next commit begins. Both threads hold the lock for it.
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._closings: list[Closing] = []
        self._queued = 0
        self._closings_a_commit = CLOSINGS_A_COMMIT
        self._requests_a_commit = EVENTS_A_COMMIT
        self._is_busy = False
        """A commit is with the store, or one that failed is not dealt with yet."""
        self._commit: Commit | None = None
        self._ended: deque[tuple[Commit, BaseException | None]] = deque()
        """Commits that nobody was told of yet, and what they failed with."""
        self._written_at = 0.0
        self._never_set = threading.Event()  # to wait in the store's thread by a clock that nobody sets
        self._is_broken = False

    async def accept(
        self, new: Sequence[NewEvent], *, test_of: Webhook | None = None, at_once: bool = False
    ) -> list[Verdict]:
        """Store events, with `test_of` as tests for that webhook alone; one verdict each, after the commit."""
        answer: asyncio.Future[list[Verdict]] = asyncio.get_running_loop().create_future()
        self.submit(new, telling(answer), test_of=test_of, at_once=at_once or test_of is not None)
        return await answer

    def submit(
        self,
        new: Sequence[NewEvent],
        answer: Callable[[Told], None],
        *,
        test_of: Webhook | None = None,
        at_once: bool = False,
    ) -> None:
        """Store events and their deliveries; `answer` is called after the commit, `at_once` without being held back. Raises Unavailable."""
        if self._stopping:
            raise Unavailable("Dockbell is stopping; nothing is accepted any more.", hint="Try again in a few seconds.")
        if self._queued >= LONGEST_QUEUE:
            raise too_slow()
        self._need_room()
        self._loop = asyncio.get_running_loop()
        request = self._planned(Request(new, answer, test_of, self._loop.time(), at_once))
        with self._lock:
            self._requests.append(request)
            self._queued += len(new)
        if self._watch is None:
            self._watch = self._loop.call_later(self._patience_s / 5, self._lose_patience)
        self._begin_soon()

    def close(self, closing: Closing) -> None:
        """Write an outcome with the next commit."""
        self._loop = asyncio.get_running_loop()
        with self._lock:
            self._closings.append(closing)
        self._begin_soon()

    def unwritten(self) -> list[Lease]:
        """The leases of what was closed and is not on disk yet."""
        with self._lock:
            being_written = self._commit.closings if self._commit is not None else []
            return [closing.lease for closing in (*being_written, *self._closings)]

    def leasing_since(self) -> Reading | None:
        """When the first lease was made of what is not handed to the dispatcher yet: not written, or not heard of."""
        with self._lock:
            return leasing_since(self._under_way() + self._requests)

    async def run(self) -> None:
        """Tell what came of each commit until `stop` was called and nothing is left."""
        try:
            while not (self._stopping and self._has_nothing()):
                await self._news.wait()
                self._news.clear()
                while self._ended:
                    await self._hear(*self._ended[0])
                    self._ended.popleft()
        except Exception:
            self._break_off()
            raise

    def stop(self) -> None:
        """Accept nothing more; what was taken is still written."""
        self._stopping = True
        self._news.set()

    # From request to commit, on the loop's thread.

    def _planned(self, request: Request) -> Request:
        """With its rows, and a place or a row for each delivery."""
        state, (now, jumped), test_of = self._index.state, self._clock.read(), request.test_of
        request.webhooks_no, request.jumped = state.webhooks_no, jumped
        request.rows, request.waiting, request.jobs = [], [], []
        try:
            for event in request.events:
                row = self._publisher.row(event, now=now, test_of=test_of.id if test_of else None)
                request.rows.append(row)
                self._plan_deliveries(request, row, [test_of] if test_of else matching(event, state), now)
        except Exception as error:
            self._give_back(request)
            log.exception("journal.not_planned")
            raise as_told(error) from error
        return request

    def _plan_deliveries(self, request: Request, row: EventRow, wanted: list[Webhook], now: Moment) -> None:
        if not wanted:
            return
        test = row.test_of is not None
        event = Event(row.id, row.goods_owner_id, row.event_type, row.accepted_at, row.head, row.data, test)
        for webhook in wanted:
            until = None if waits_its_turn(webhook, row) else self._dispatcher.reserve(webhook, now=now, at_once=test)
            if until is None:
                request.waiting.append((row.id, webhook.id, row.goods_owner_id, now))
            else:
                lease = Lease(row.id, webhook.id, row.goods_owner_id, 1, 1, until, now, now, 0)
                request.jobs.append(Job(lease, event, webhook, request.jumped))

    def _begin_soon(self) -> None:
        """Begin a commit with all that comes in this turn of the loop; one under way begins the next itself."""
        if not self._is_busy and not self._begins_soon:
            self._begins_soon = True
            self._loop.call_soon(self._begin_now)

    def _begin_now(self) -> None:
        self._begins_soon = False
        self._begin()

    def _give_back(self, request: Request) -> None:
        for job in request.jobs:
            self._dispatcher.unreserve(job.webhook.id)

    def _lose_patience(self) -> None:
        """Tell those who have waited too long for the store; what is queued is dropped, what is being written is not ours any more."""
        late = self._loop.time() - self._patience_s
        with self._lock:
            queued = [request for request in self._requests if request.since <= late]
            self._requests = [request for request in self._requests if request.since > late]
            self._queued -= sum(len(request.events) for request in queued)
            being_written = self._commit.requests if self._commit is not None else []
        for request in queued:
            self._give_back(request)
            request.tell(too_slow())
        for request in [request for request in being_written if request.since <= late]:
            request.tell(not_known())
        waiting = self._requests or being_written
        self._watch = self._loop.call_later(self._patience_s / 5, self._lose_patience) if waiting else None

    # The commit, in a thread of the store's.

    def _begin(self) -> None:
        """Give the store its next commit, unless it has one or there is nothing to write. In any thread."""
        with self._lock:
            if self._is_broken or self._is_busy or not (self._requests or self._closings):
                return
            self._is_busy = True
        try:
            writing = self._database.submit_write(self._write)
        except RuntimeError as refused:  # no thread can be started
            writing = Future()
            writing.set_exception(Unavailable(f"The store takes nothing: {refused}"))
        writing.add_done_callback(self._written)

    def _write(self, tx: Transaction) -> None:
        just_written = time.monotonic() - self._written_at < COMPANY_S
        if just_written and self._commit is None and self._queued + len(self._closings) < FEW:
            self._never_set.wait(COMPANY_S)
        write(tx, self._taken(), self._index.state, webhooks=self._webhooks, node=self._node, at=self._clock.read())

    def _taken(self) -> Commit:
        """What waits now: taken when the store begins, so that as much as possible shares the commit."""
        with self._lock:
            if self._commit is None:  # the store may begin anew with the same
                # While it is looked for what the store refuses, outcomes and events go apart: of a busy node's there are always both.
                outcomes_alone = bool(self._closings) and self._closings_a_commit < CLOSINGS_A_COMMIT
                events_alone = bool(self._requests) and self._requests_a_commit < EVENTS_A_COMMIT and not outcomes_alone
                count = 0 if events_alone else self._closings_a_commit
                closings, self._closings = self._closings[:count], self._closings[count:]
                self._commit = Commit([] if outcomes_alone else self._take_requests(), closings, {})
            return self._commit

    def _take_requests(self) -> list[Request]:
        taken, count = 0, 0
        while taken < min(len(self._requests), self._requests_a_commit) and (
            count == 0 or count + len(self._requests[taken].events) <= EVENTS_A_COMMIT
        ):
            count += len(self._requests[taken].events)
            taken += 1
        requests, self._requests = self._requests[:taken], self._requests[taken:]
        self._queued -= count
        return requests

    def _written(self, done: Future[None]) -> None:
        """The store goes on with what has come meanwhile, before anyone hears of what it wrote."""
        error = done.exception()
        commit = self._taken()  # if it failed before it began, that is for all who wait
        self._written_at = time.monotonic()
        with self._lock:
            self._ended.append((commit, error))
            if error is None:
                self._commit, self._is_busy = None, False
        if error is None:
            self._begin()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    # After the commit, on the loop's thread.

    async def _hear(self, commit: Commit, error: BaseException | None) -> None:
        if error is None:
            self._answer(commit)
        elif isinstance(error, Stale):
            try:
                await self._index.refresh(self._database)
            except Exception as away:  # noqa: BLE001 - as when the commit itself fails
                await self._fail(commit, away, by_content=False)
            else:
                self._plan_again(commit)
        else:
            await self._fail(commit, error, by_content=not isinstance(error, Unavailable | StorageFull))

    def _answer(self, commit: Commit) -> None:
        """Tell the publishers, and hand the deliveries on."""
        if commit.closings:
            self._closings_a_commit = min(CLOSINGS_A_COMMIT, 2 * self._closings_a_commit)
        if commit.requests:
            self._requests_a_commit = min(EVENTS_A_COMMIT, 2 * self._requests_a_commit)
        self._dispatcher.closed(commit.closings)  # first: their places are free
        born: list[Job] = []
        for request in commit.requests:
            told = verdicts(request, commit)
            if not request.at_once and (after_s := self._dispatcher.answer_after(request.wanted_by())):
                self._loop.call_later(after_s, request.tell, told)
            else:
                request.tell(told)
            born += request.jobs
        if commit.repeats:
            for job in born:
                if job.lease.event_id in commit.repeats:
                    self._dispatcher.unreserve(job.webhook.id)
            born = [job for job in born if job.lease.event_id not in commit.repeats]
        self._dispatcher.take(born)

    def _plan_again(self, commit: Commit) -> None:
        """Match the events with the webhooks as they are now, and let them be first in the next commit."""
        for request in commit.requests:
            self._give_back(request)
        again = []
        for request in commit.requests:
            try:
                again.append(self._planned(request))
            except DockbellError as error:
                request.tell(error)
        with self._lock:
            self._requests[:0] = again
            self._queued += sum(len(request.events) for request in again)
            self._closings[:0] = commit.closings
        self._go_on()

    def _without_words(self, closing: Closing, error: BaseException) -> list[Closing]:
        """An outcome that the store refuses, once without what came from outside, and then not at all."""
        if (bare := without_words(closing, error)) is not None:
            return [bare]
        lease = closing.lease
        log.error("attempt.not_closed", event_id=lease.event_id, webhook_id=lease.webhook_id, error=str(error))
        self._dispatcher.closed([closing])
        return []

    async def _fail(self, commit: Commit, error: BaseException, *, by_content: bool) -> None:
        """Refuse the events (nothing of them is stored) and keep the outcomes for the next commit.

        `by_content`: one of the requests or outcomes may be what the store refuses, and is looked for.
        """
        requests, closings = commit.requests, commit.closings
        log.error("journal.commit_failed", error=str(error), requests=len(requests), closings=len(closings))
        commit.requests = []
        kept: list[Request] = []
        if by_content and len(requests) + bool(closings) > 1:
            kept, requests = requests, []
            self._requests_a_commit = max(1, len(kept) // 2)
        for request in requests:
            self._give_back(request)
            request.tell(as_told(error))
        if closings:
            if by_content:
                self._closings_a_commit = max(1, len(closings) // 2)
                if len(closings) == 1 and not kept:
                    closings = self._without_words(closings[0], error)
            if not kept:
                await self._clock.sleep(PAUSE_AFTER_FAILURE_S)
        with self._lock:
            self._requests[:0] = kept
            self._queued += sum(len(request.events) for request in kept)
            self._closings[:0] = closings
        self._go_on()

    def _break_off(self) -> None:
        """The journal ends by a mistake: nothing more is written, and whoever waits hears that nothing is known."""
        with self._lock:
            self._is_broken = True
            waiting, self._requests = self._under_way() + self._requests, []
        for request in waiting:
            request.tell(not_known())

    def _under_way(self) -> list[Request]:
        """Those of commits that nobody was told of yet. Whoever asks holds the lock."""
        commits = [commit for commit, _ in self._ended] + ([self._commit] if self._commit is not None else [])
        return [request for commit in commits for request in commit.requests]

    def _go_on(self) -> None:
        """The commit is dealt with: begin the next. In any thread."""
        with self._lock:
            self._commit, self._is_busy = None, False
        self._begin()

    def _has_nothing(self) -> bool:
        with self._lock:
            return not (self._is_busy or self._requests or self._closings or self._ended)
