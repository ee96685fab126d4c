"""One connection to a receiver: it carries one request at a time and is kept for the next of its pool."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Protocol, cast

import msgspec

from dockbell.domain.delivery import HEAD_KEPT, Answered, Outcome, Timings, Unanswered
from dockbell.domain.request import OutgoingRequest
from dockbell.egress import outcomes
from dockbell.egress.answer import Answer, NotHttp

# A connection that is idle longer, or older, is not used again: names move.
IDLE_S = 60
LIFETIME_S = 300


@dataclass(slots=True, eq=False)
class Pool:
    """The connections of one webhook and goods owner to one host and port."""

    idle: list["Connection"] = field(default_factory=list)
    in_flight: int = 0
    closed: bool = False


class Job(msgspec.Struct, eq=False):
    """One request on its way: what to send, where to, for whom, and how far it is."""

    token: object
    request: OutgoingRequest
    submitted: float
    pool: Pool
    addresses: tuple[str, ...] = ()
    dns_us: int = 0
    connect_us: int = 0
    tls_us: int = 0
    began: float = 0.0
    ends_by: float = 0.0
    """When it is given up: by the deadline for connecting, of the attempt, or for a body whose head is here."""
    address: str = ""
    """The one it is connected to."""
    is_shaking_hands: bool = False
    connecting: asyncio.Task[None] | None = None
    connection: "Connection | None" = None

    def timings(self, now: float, first_byte_us: int = 0) -> Timings:
        total_us = self.dns_us + int((now - self.began) * 1_000_000)
        return Timings(self.dns_us, self.connect_us, self.tls_us, first_byte_us, total_us)


class Owner(Protocol):
    """Who hears what becomes of a connection."""

    def will_write(self, connection: "Connection") -> None:
        """Let it write when its turn comes."""

    def ended(self, job: Job, outcome: Outcome) -> None: ...

    def free(self, connection: "Connection") -> None:
        """It can carry another request."""

    def lost(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    __slots__ = (
        "_answer", "_body_limit", "_body_timeout_s", "_first_byte_at", "_has_asked", "_is_lost", "_owner", "_sent_at", "_was_kept",
        "address", "job", "opened_at", "pool", "transport",
    )  # fmt: skip

    def __init__(self, owner: Owner, pool: Pool, address: str, *, body_limit: int, body_timeout_s: float) -> None:
        self._owner = owner
        self._body_limit = body_limit
        self._body_timeout_s = body_timeout_s
        self._answer: Answer
        self._sent_at = self._first_byte_at = 0.0
        self._has_asked = self._was_kept = self._is_lost = False
        self.pool = pool
        self.address = address
        self.opened_at = time.monotonic()
        self.job: Job | None = None
        self.transport: asyncio.Transport | None = None

    def is_usable(self, now: float) -> bool:
        return self.transport is not None and not self.transport.is_closing() and now - self.opened_at < LIFETIME_S

    def carry(self, job: Job, now: float) -> None:
        """Send the job's request; the owner hears what came of it."""
        assert self.transport is not None
        self.job = job
        job.connection, job.address = self, self.address
        job.ends_by = job.began + job.request.timeout_s - job.dns_us / 1_000_000
        self._answer = Answer(self._body_limit)
        self._sent_at, self._first_byte_at = now, 0.0
        if self._is_lost:  # in the moment between connecting and now
            self.connection_lost(ConnectionResetError("The receiver closed the connection at once."))
        else:
            self._owner.will_write(self)

    def write(self) -> None:
        """The owner's word that the job's request may go out; the job may be over by now."""
        if self.job is not None and not self._is_lost and self.transport is not None:
            self._has_asked = True
            self.transport.write(bytes_of(self.job.request))

    def give_up(self, reason: str, detail: str) -> None:
        """The job must end now. What has come of a body counts, if its head is here."""
        if self._answer.head is not None:
            self._end_answered(is_cut=True, is_last=True)
        else:
            self._end_without(reason, detail)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class, not a subclass

    def data_received(self, data: bytes) -> None:
        if not self._has_asked:  # it must not be taken for the answer to the next request
            self.abort()
            return
        job, answer = self.job, self._answer
        assert job is not None
        if not self._first_byte_at:
            self._first_byte_at = time.monotonic()
        had_head = answer.head is not None
        try:
            is_complete = answer.feed(data)
        except NotHttp as fault:
            self._end_without("protocol_error", str(fault))
            return
        if is_complete:
            self._end_answered(is_cut=answer.cut, is_last=answer.is_last)
        elif answer.head is not None and not had_head:
            job.ends_by = min(job.ends_by, time.monotonic() + self._body_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        job = self.job
        if job is not None:
            answer = self._answer
            if answer.head is not None:
                whole = exc is None and answer.ends_with_connection()
                self._end_answered(is_cut=not whole, is_last=True)
            else:
                timings = job.timings(time.monotonic())
                was_idle = self._was_kept and not answer.has_begun
                ended = outcomes.ended_idle if was_idle else outcomes.broken_off
                self._end(job, ended(exc, self.address, timings), is_last=True)
        self._owner.lost(self)

    def _end_answered(self, *, is_cut: bool, is_last: bool) -> None:
        job, answer, now = self.job, self._answer, time.monotonic()
        assert job is not None
        assert answer.head is not None
        head = answer.head
        first_byte_us = int((self._first_byte_at - self._sent_at) * 1_000_000)
        outcome = Answered(
            head.status,
            head.raw if len(head.raw) <= HEAD_KEPT else head.raw[:HEAD_KEPT],
            bytes(answer.body),
            is_cut,
            head.retry_after,
            self.address,
            job.timings(now, first_byte_us),
        )
        self._end(job, outcome, is_last=is_last)

    def _end_without(self, reason: str, detail: str) -> None:
        assert self.job is not None
        timings = self.job.timings(time.monotonic())
        self._end(self.job, outcomes.without_answer(reason, detail, self.address, timings), is_last=True)

    def _end(self, job: Job, outcome: Answered | Unanswered, *, is_last: bool) -> None:
        self.job = None
        self._has_asked = False
        job.connection = None
        if is_last:
            self.abort()
        else:
            self._was_kept = True
            self._owner.free(self)
        self._owner.ended(job, outcome)


def bytes_of(request: OutgoingRequest) -> bytes:
    """The request as it goes out, but for nothing: what is not in it is not sent."""
    url = request.url
    host = f"[{url.host}]" if ":" in url.host else url.host
    port = "" if url.port == (443 if url.scheme == "https" else 80) else f":{url.port}"
    lines = b"\r\n".join([line if isinstance(line, bytes) else line.encode() for line in request.headers])
    return b"POST %b HTTP/1.1\r\nHost: %b%b\r\n%b\r\nContent-Length: %d\r\n\r\n%b" % (
        url.target.encode(), host.encode(), port.encode(), lines, len(request.body), request.body,
    )  # fmt: skip
