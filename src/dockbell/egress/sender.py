"""The sender: takes requests and gives back what each attempt met. The only way out of this process.

Promises: every submitted request gets exactly one outcome; at most `per_address_limit` requests are under way to one
address at a time, whoever they belong to; a connection is shared by nobody but one webhook and goods owner; what goes
wrong with one request is that request's outcome and nobody else's.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from dockbell.domain.delivery import Outcome, Unanswered
from dockbell.domain.request import OutgoingRequest
from dockbell.egress import outcomes
from dockbell.egress.connecting import connect, tls_context
from dockbell.egress.connection import IDLE_S, Connection, Job, Pool
from dockbell.egress.guard import Guard, Judge, Question, Resolver, Verdict, question_of
from dockbell.egress.slots import AddressSlots

Deliver = Callable[[list[tuple[object, Outcome]]], None]
TICK_S = 0.1
IDLE_TICK_S = 5.0
STANDSTILL_S = 1.0
ALLOWED_S = 5.0
"""After a standstill, for reading what came meanwhile. Half of what a lease has over its attempt's time."""
MOST_KEPT = 2_048
_INTERRUPTED = "The sender was stopped before this request had its answer."
_log = logging.getLogger("dockbell.egress")


class Sender:
    """Sends POSTs on the event loop it is started on; all calls on that loop's thread.

    `deliver` is called with what ended since the loop last turned. Durations are in seconds. `ca_file` is a PEM bundle;
    without one the system's is taken, and where there is none, ConfigError is raised. `resolver` replaces the operating
    system's name lookup. `kept` is how many connections may be open for the next request without one under way.
    """

    def __init__(
        self,
        policy: Judge,
        *,
        deliver: Deliver,
        resolver: Resolver | None = None,
        ca_file: str | None = None,
        connect_timeout_s: float = 10.0,
        body_timeout_s: float = 5.0,
        response_body_limit: int = 64 * 1024,
        per_address_limit: int = 16,
        dns_cache_s: float = 10.0,
        kept: int = MOST_KEPT,
    ) -> None:
        self._deliver = deliver
        self._connect_timeout_s = connect_timeout_s
        self._body_timeout_s = body_timeout_s
        self._body_limit = response_body_limit
        self._tls = tls_context(ca_file)
        self._guard = Guard(policy, self._on_answer, resolver=resolver, cache_s=dns_cache_s)
        self._asking: dict[Question, list[Job]] = {}
        self._slots = AddressSlots(per_address_limit)
        self._pools: dict[tuple[tuple[int, int], str, str, int], Pool] = {}
        self._under_way: set[Job] = set()
        self._kept: dict[Connection, float] = {}
        """Idle connections and since when, the longest idle first."""
        self._most_kept = max(16, min(MOST_KEPT, kept))
        self._writing: list[Connection] = []
        self._ended: list[tuple[object, Outcome]] = []
        self._loop: asyncio.AbstractEventLoop
        self._ticking: asyncio.TimerHandle | None = None
        self._ticks_within = self._ticks_at = 0.0
        self._next_cleaning = 0.0
        self._all_ended = asyncio.Event()
        self._open = True

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    def submit(self, token: object, request: OutgoingRequest) -> None:
        """Send one request; `deliver` gets its outcome under this token. RuntimeError once the sender is closed."""
        if not self._open:
            raise RuntimeError("The sender is closed and takes no more requests.")
        job = Job(token, request, time.monotonic(), self._pool_of(request))
        try:
            self._admit(job)
        except Exception as error:
            _log.exception("egress.admit_failed")
            self._settle(job, outcomes.without_answer("internal_error", f"{type(error).__name__}: {error}"))

    def close_pool(self, pool: tuple[int, int]) -> None:
        """Later requests of this webhook and goods owner open connections of their own."""
        for key in [key for key in self._pools if key[0] == pool]:
            self._drop(key)

    async def close(self, timeout_s: float = 0.0) -> None:
        """Stop: what has not begun is `interrupted` at once, what is under way gets `timeout_s` to end."""
        self._open = False
        waiting = [job for jobs in self._asking.values() for job in jobs] + self._slots.give_up_waiting()
        self._asking.clear()
        for job in waiting:
            self._settle(job, Unanswered("interrupted", _INTERRUPTED))
        if self._under_way and timeout_s > 0:
            self._all_ended.clear()
            await asyncio.wait({asyncio.ensure_future(self._all_ended.wait())}, timeout=timeout_s)
        connecting = [job.connecting for job in self._under_way if job.connecting is not None]
        for job in list(self._under_way):
            self._give_up(job, "interrupted", _INTERRUPTED)
        self._hand_over()
        await asyncio.gather(*connecting, return_exceptions=True)
        for connection in list(self._kept):
            connection.abort()  # a TLS receiver need not be waited for
        for key in list(self._pools):
            self._drop(key)
        if self._ticking is not None:
            self._ticking.cancel()
        self._guard.close()
        for _ in range(2):  # what was aborted is closed on the loop's next turns, and a loop must not end before
            await asyncio.sleep(0)  # noqa: TID251

    # Where to.

    def _admit(self, job: Job) -> None:
        verdict = self._guard.known(job.request)
        if verdict is not None:
            self._enter(job, verdict)
            return
        question = question_of(job.request)
        if (others := self._asking.get(question)) is not None:
            others.append(job)
            return
        self._asking[question] = [job]
        self._guard.ask(question)
        self._tick_within(TICK_S)

    def _on_answer(self, question: Question, verdict: Verdict) -> None:
        """Called in a lookup thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take_answer, question, verdict)

    def _take_answer(self, question: Question, verdict: Verdict) -> None:
        now = time.monotonic()
        for job in self._asking.pop(question, ()):
            job.dns_us = int((now - job.submitted) * 1_000_000)
            self._enter(job, verdict)

    def _enter(self, job: Job, verdict: Verdict) -> None:
        if not isinstance(verdict, tuple):
            self._settle(job, verdict)
            return
        job.addresses = verdict
        if self._slots.take(job):
            self._begin(job)

    # Under way.

    def _begin(self, job: Job) -> None:
        if not self._open:  # it got its turn a moment before the sender was closed
            self._settle(job, Unanswered("interrupted", _INTERRUPTED))
            self._slots.free(job)
            return
        job.began = now = time.monotonic()
        pool = job.pool
        if pool.closed:  # while the request waited
            pool = job.pool = self._pool_of(job.request)
        pool.in_flight += 1
        self._under_way.add(job)
        self._tick_within(TICK_S)
        connection = self._usable(pool, job, now)
        if connection is None:
            self._open_for(job, pool, now)
        else:
            self._settle_at(job, connection)
            connection.carry(job, now)

    def _settle_at(self, job: Job, connection: Connection) -> None:
        for next_job in self._slots.settle(job, connection.address):
            self._loop.call_soon(self._begin, next_job)

    def _pool_of(self, request: OutgoingRequest) -> Pool:
        url = request.url
        key = (request.pool, url.scheme, url.host, url.port)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool()
        return pool

    def _usable(self, pool: Pool, job: Job, now: float) -> Connection | None:
        """A connection of the pool that was kept, to an address that may be connected to now."""
        while pool.idle:
            connection = pool.idle.pop()
            del self._kept[connection]
            request = job.request
            if connection.is_usable(now) and (
                connection.address in job.addresses
                or (
                    self._slots.has_room(connection.address, request.goods_owners)
                    and self._guard.may_connect(connection.address, request.url.port, request.goods_owners)
                )
            ):
                return connection
            connection.close()
        return None

    def _open_for(self, job: Job, pool: Pool, now: float) -> None:
        job.ends_by = min(now + self._connect_timeout_s, job.began + job.request.timeout_s - job.dns_us / 1_000_000)
        job.connecting = self._loop.create_task(self._connect(job, pool))

    async def _connect(self, job: Job, pool: Pool) -> None:
        def connection_to(address: str) -> Connection:
            return Connection(self, pool, address, body_limit=self._body_limit, body_timeout_s=self._body_timeout_s)

        try:
            connection = await connect(job, connection_to, self._tls, self._guard.may_connect)
            job.connecting = None
            if isinstance(connection, Connection):
                self._settle_at(job, connection)
                connection.carry(job, time.monotonic())
            else:
                self.ended(job, connection)
        except Exception as error:
            _log.exception("egress.connecting_failed")
            self.ended(job, outcomes.without_answer("internal_error", f"{type(error).__name__}: {error}"))

    def _tick_within(self, seconds: float) -> None:
        """Look at deadlines and idle connections soon; while nothing is under way, that has time."""
        if self._ticking is not None:
            if self._ticks_within <= seconds:
                return
            self._ticking.cancel()
        self._ticks_within = seconds
        self._ticks_at = time.monotonic() + seconds
        self._ticking = self._loop.call_later(seconds, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        now = time.monotonic()
        if (late_s := now - self._ticks_at) > STANDSTILL_S:
            self._allow_for(late_s, now)
        for job in [job for job in self._under_way if now >= job.ends_by]:
            self._give_up_late(job)
        self._give_up_lookups(now)
        if now >= self._next_cleaning:
            self._next_cleaning = now + IDLE_TICK_S
            self._close_idle(now)
        if self._under_way or self._asking:
            self._tick_within(TICK_S)
        elif self._pools:
            self._tick_within(IDLE_TICK_S)

    def _allow_for(self, late_s: float, now: float) -> None:
        """This process stood still (a paused machine, a blocked loop): what came meanwhile is not read yet, and was in time.

        Not for longer than leases allow for.
        """
        for job in self._under_way:
            job.ends_by = max(job.ends_by, min(job.ends_by + late_s, now + ALLOWED_S))
        for job in [job for jobs in self._asking.values() for job in jobs]:
            job.submitted += min(late_s, ALLOWED_S)

    def _close_idle(self, now: float) -> None:
        while self._kept and now - next(iter(self._kept.values())) > IDLE_S:
            self._close_oldest()
        for key in [key for key, pool in self._pools.items() if not pool.idle and not pool.in_flight]:
            self._drop(key)

    def _give_up_late(self, job: Job) -> None:
        if job.connecting is None:
            self._give_up(job, "timeout", f"No complete answer after {job.request.timeout_s:g} s.")
        elif job.is_shaking_hands:
            self._give_up(job, "tls_timeout", "The TLS handshake was not over in time.")
        else:
            self._give_up(job, "connect_timeout", "The connection did not come about in time.")

    def _give_up(self, job: Job, reason: str, detail: str) -> None:
        if job.connection is not None:
            job.connection.give_up(reason, detail)
            return
        if job.connecting is not None:
            job.connecting.cancel()
        self.ended(job, outcomes.without_answer(reason, detail, job.address, job.timings(time.monotonic())))

    def _give_up_lookups(self, now: float) -> None:
        for question, jobs in list(self._asking.items()):
            late = [job for job in jobs if now - job.submitted >= min(self._connect_timeout_s, job.request.timeout_s)]
            for job in late:
                detail = f"No answer about {question[0]} after {now - job.submitted:.0f} s."
                self._settle(job, Unanswered("dns_timeout", detail))
            self._asking[question] = [job for job in jobs if job not in late]
            if not self._asking[question]:
                del self._asking[question]

    # What connections tell.

    def will_write(self, connection: Connection) -> None:
        # Requests that are made together go out together: to wake a receiver for each costs more than to send to it.
        if not self._writing:
            self._loop.call_soon(self._write)
        self._writing.append(connection)

    def _write(self) -> None:
        writing, self._writing = self._writing, []
        for connection in writing:
            connection.write()

    def ended(self, job: Job, outcome: Outcome) -> None:
        self._under_way.discard(job)
        job.pool.in_flight -= 1
        self._settle(job, outcome)
        for next_job in self._slots.free(job):
            self._begin(next_job)
        if not self._under_way:
            self._all_ended.set()

    def free(self, connection: Connection) -> None:
        if connection.pool.closed or not self._open:
            connection.close()
            return
        connection.pool.idle.append(connection)
        self._kept[connection] = time.monotonic()
        if len(self._kept) > self._most_kept:
            self._close_oldest()

    def lost(self, connection: Connection) -> None:
        if connection in self._kept:
            self._forget(connection)

    def _close_oldest(self) -> None:
        oldest = next(iter(self._kept))
        self._forget(oldest)
        oldest.close()

    def _forget(self, connection: Connection) -> None:
        del self._kept[connection]
        connection.pool.idle.remove(connection)

    def _drop(self, key: tuple[tuple[int, int], str, str, int]) -> None:
        pool = self._pools.pop(key)
        pool.closed = True
        for connection in pool.idle:
            del self._kept[connection]
            connection.close()
        pool.idle.clear()

    # Outcomes.

    def _settle(self, job: Job, outcome: Outcome) -> None:
        if not self._ended:
            self._loop.call_soon(self._hand_over)
        self._ended.append((job.token, outcome))

    def _hand_over(self) -> None:
        if not self._ended:
            return
        batch, self._ended = self._ended, []
        try:
            self._deliver(batch)
        except Exception:
            _log.exception("egress.outcomes_not_taken count=%d", len(batch))
