"""What one commit of the journal stores, and how: events, their deliveries, outcomes of attempts."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import structlog

from dockbell.actions.index import State
from dockbell.actions.publish import Accepted, repeated
from dockbell.actions.webhooks import Webhooks
from dockbell.clock import Moment, Reading
from dockbell.domain.event import Event, NewEvent
from dockbell.domain.permissions import SYSTEM
from dockbell.domain.webhook import Webhook
from dockbell.errors import Conflict, DockbellError, StorageFull, StoreRefused, Unavailable
from dockbell.store import backlog, counters, deliveries, events, turns
from dockbell.store.database import Transaction
from dockbell.store.deliveries import Closing, Lease
from dockbell.store.events import EventRow
from dockbell.store.webhook_hours import COUNTED_TO

log = structlog.get_logger()
LEFT_OUT = "What came of this attempt could not be stored and is left out:"
SAME_ID = "Send them again with the same id or Idempotency-Key: what was stored is not stored twice."
GONE = "The receiver answered 410 Gone, which asks for no more webhooks."

Verdict = Accepted | DockbellError
Told = list[Verdict] | DockbellError
"""A verdict for each event of a request, or why none of them was stored."""


class Job(msgspec.Struct, frozen=True, gc=False):
    """A leased delivery with everything an attempt needs."""

    lease: Lease
    event: Event
    webhook: Webhook
    jumped: int = 0
    """By how much the clock had been set when the lease was made."""


class Request(msgspec.Struct, gc=False):
    """Events that came together, with what will be stored of them."""

    events: Sequence[NewEvent]
    answer: Callable[[Told], None]
    test_of: Webhook | None
    since: float
    at_once: bool
    """Whether the answer is given as soon as it is known, however far behind the node is."""
    webhooks_no: int = 0
    """Of the webhooks that they were matched with."""
    jumped: int = 0
    """By how much the clock had been set when this was planned."""
    rows: list[EventRow] = []
    waiting: list[tuple[int, int, int, Moment]] = []
    """Deliveries that found no room in memory."""
    jobs: list[Job] = []
    """Those that did: they are born leased."""

    def wanted_by(self) -> Iterator[int]:
        """The webhooks that have to be sent something of it."""
        yield from (job.webhook.id for job in self.jobs)
        yield from (webhook_id for _, webhook_id, _, _ in self.waiting)

    def tell(self, told: Told) -> None:
        """Answer whoever waits; only the first answer counts."""
        answer, self.answer = self.answer, _nobody
        try:
            answer(told)
        except Exception:
            # One connection that cannot be written to must not keep the answers of all others from being given.
            log.exception("journal.not_told")


def leasing_since(requests: Iterable[Request]) -> Reading | None:
    """When the first of their leases was made."""
    first = [request.jobs[0] for request in requests if request.jobs]
    return min((Reading(job.lease.started_at, job.jumped) for job in first), key=Reading.unset, default=None)


def telling(answer: asyncio.Future[list[Verdict]]) -> Callable[[Told], None]:
    """Gives what is told to whoever awaits `answer`."""

    def tell(told: Told) -> None:
        if answer.done():  # whoever asked may have hung up; the events are kept all the same
            return
        if isinstance(told, DockbellError):
            answer.set_exception(told)
        else:
            answer.set_result(told)

    return tell


def _nobody(_: Told) -> None:
    """Whoever asked was told."""


class Commit(msgspec.Struct, gc=False):
    """What one commit writes, and the verdicts of events that were not new."""

    requests: list[Request]
    closings: list[Closing]
    repeats: dict[int, Verdict]


class Stale(Exception):
    """Webhooks were changed since the state that events of this commit were matched with."""


def write(tx: Transaction, commit: Commit, state: State, *, webhooks: Webhooks, node: int, at: Reading) -> None:
    """Store all of it. Raises Stale; may be called again after it failed."""
    commit.repeats.clear()
    _follow_clock(commit, at.jumped)
    pinned = counters.pinned(tx, *([counters.WEBHOOKS_CHANGED] if commit.requests else ()), COUNTED_TO)
    if commit.requests:
        if any(request.webhooks_no != pinned[counters.WEBHOOKS_CHANGED] for request in commit.requests):
            raise Stale
        _write_events(tx, commit, state, node)
    if commit.closings:
        deliveries.close(tx, commit.closings, counted_to=pinned[COUNTED_TO])
        ended = [closing.lease for closing in commit.closings if closing.next_status != "pending"]
        keys = _in_order(((lease.event_id, lease.webhook_id) for lease in ended), state)
        turns.leave(tx, keys, now=at.now)
        for closing in commit.closings:
            if closing.deactivate_webhook:
                webhooks.deactivate(
                    tx, SYSTEM, closing.lease.webhook_id, GONE, now=closing.ended_at, version=closing.webhook_version
                )


def _in_order(keys: Iterable[tuple[int, int]], state: State) -> list[tuple[int, int]]:
    """Those (event, webhook) whose webhook keeps the order of each object."""
    known = state.webhooks
    return [key for key in keys if (webhook := known.get(key[1])) is not None and webhook.keeps_order]


def _follow_clock(commit: Commit, jumped: int) -> None:
    """Move what was planned before the clock was set: all that is stored already was moved then."""
    for request in commit.requests:
        if by := jumped - request.jumped:
            request.jumped = jumped
            request.waiting = [
                (event, webhook, owner, due_at + by) for event, webhook, owner, due_at in request.waiting
            ]
            request.jobs = [
                msgspec.structs.replace(job, lease=_moved(job.lease, by), jumped=jumped) for job in request.jobs
            ]
    commit.closings = [
        msgspec.structs.replace(closing, due_at=closing.due_at + by, ended_at=closing.ended_at + by, jumped=jumped)
        if (by := jumped - closing.jumped)
        else closing
        for closing in commit.closings
    ]


def _moved(lease: Lease, by: int) -> Lease:
    return msgspec.structs.replace(
        lease, until=lease.until + by, started_at=lease.started_at + by, first_attempt_at=lease.first_attempt_at + by
    )


def _write_events(tx: Transaction, commit: Commit, state: State, node: int) -> None:
    rows = [row for request in commit.requests for row in request.rows]
    waiting = [one for request in commit.requests for one in request.waiting]
    leases = [job.lease for request in commit.requests for job in request.jobs]
    stored = events.insert(tx, rows)
    if len(stored) < len(rows):
        waiting = [one for one in waiting if one[0] in stored]
        leases = [lease for lease in leases if lease.event_id in stored]
    deliveries.insert(tx, waiting, leases=leases, node=node)
    if waiting:
        turns.wait(tx, _in_order(((event_id, webhook_id) for event_id, webhook_id, _, _ in waiting), state))
        tx.wake(backlog.TOPIC)
    if len(stored) < len(rows):  # a repeat may be of an event of this very commit: its deliveries count
        sources = [new for request in commit.requests for new in request.events]
        for row, new in zip(rows, sources, strict=True):
            if row.id not in stored:
                commit.repeats[row.id] = _repeat_verdict(tx, new)


def _repeat_verdict(tx: Transaction, event: NewEvent) -> Verdict:
    try:
        return repeated(tx, event)
    except Conflict as conflict:
        return conflict


def verdicts(request: Request, commit: Commit) -> list[Verdict]:
    """How many deliveries each event has, or what became of it that was not new."""
    if len(request.rows) == 1:
        counts = {request.rows[0].id: len(request.jobs) + len(request.waiting)}
    else:
        counts = Counter(job.lease.event_id for job in request.jobs)
        counts.update(waiting[0] for waiting in request.waiting)
    return [commit.repeats.get(row.id) or Accepted(row.id, counts[row.id]) for row in request.rows]


def without_words(closing: Closing, error: BaseException) -> Closing | None:
    """The outcome with nothing in it that came from outside; what is next for the delivery stays. None if it is that already."""
    if closing.detail.startswith(LEFT_OUT):
        return None
    return msgspec.structs.replace(
        closing, detail=f"{LEFT_OUT} {type(error).__name__}.", address="", request_headers="", response_headers="",
        response_body="", response_cut=False, deactivate_webhook=False,
    )  # fmt: skip


def as_told(error: BaseException) -> DockbellError:
    """What publishers are told. What the store calls away may have been stored in the moment it went."""
    if isinstance(error, StorageFull):
        return error
    if isinstance(error, Unavailable):
        return Unavailable(error.message, hint=SAME_ID)
    return StoreRefused("The store failed; nothing was accepted.", hint=SAME_ID)


def too_slow() -> Unavailable:
    return Unavailable(
        "The store does not keep up; nothing was accepted.", code="store_slow", hint="Try again in a few seconds."
    )


def not_known() -> Unavailable:
    text = "The store does not answer; whether the events were stored is not known."
    return Unavailable(text, code="store_unknown", hint=SAME_ID)
