"""The sender: a thread that takes requests and gives back what each attempt met. The only way out of this process.

Promises: every submitted request gets exactly one outcome; at most `per_address_limit` requests are under way to one
address at a time, whoever they belong to; what goes wrong with one request is that request's outcome and nobody
else's.
"""

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

from dockbell.domain.delivery import Outcome, Unanswered
from dockbell.domain.request import OutgoingRequest
from dockbell.egress import outcomes
from dockbell.egress.exchange import Job
from dockbell.egress.guard import Guard, Judge, Question, Resolver, Verdict, question_of
from dockbell.egress.transfers import TICK_S, Transfers
from dockbell.errors import ConfigError

Deliver = Callable[[list[tuple[object, Outcome]]], None]
_INTERRUPTED = "The sender was stopped before this request had its answer."
_log = logging.getLogger("dockbell.egress")


class Sender:
    """Sends POSTs from a thread of its own. `deliver` is called in that thread, with many outcomes at once.

    Durations are in seconds. `ca_file` is a PEM bundle; without one the system's is taken,
    and where there is none, ConfigError is raised. `resolver` replaces the operating system's name lookup.
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
    ) -> None:
        self._deliver = deliver
        self._dns_timeout_s = connect_timeout_s
        # Requests, and the pools to close, in the order they were asked for.
        self._inbox: deque[Job | tuple[int, int]] = deque()
        self._answers: deque[tuple[Question, Verdict]] = deque()
        self._asking: dict[Question, list[Job]] = {}
        self._slots = _AddressSlots(per_address_limit)
        self._ended: list[tuple[Job, Outcome]] = []
        self._guard = Guard(policy, self._on_answer, resolver=resolver, cache_s=dns_cache_s)
        self._transfers = Transfers(
            self._guard.may_connect,
            ca_file=ca_file or find_ca_file(),
            connect_timeout_s=connect_timeout_s,
            body_timeout_s=body_timeout_s,
            response_body_limit=response_body_limit,
        )
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._transfers.watch(self._wake_fd)
        self._woken = False
        self._stop_at: float | None = None
        self._next_dns_check = 0.0
        self._thread = threading.Thread(target=self._run, name="dockbell-sender", daemon=True)
        # Held while the inbox closes, so that no request falls between the thread's last look and its end.
        self._door = threading.Lock()
        self._open = True

    @property
    def retried_at_once(self) -> int:
        """How many requests went out twice because a kept-alive connection had died without one byte of answer."""
        return self._transfers.retried_at_once

    def start(self) -> None:
        self._thread.start()

    def submit(self, token: object, request: OutgoingRequest) -> None:
        """Queue one request; `deliver` gets its outcome under this token. May be called from any thread.

        Raises RuntimeError once the sender is closed.
        """
        with self._door:
            if not self._open:
                raise RuntimeError("The sender is closed and takes no more requests.")
            self._inbox.append(Job(token, request, time.monotonic()))
        self._wake()

    def close_pool(self, pool: tuple[int, int]) -> None:
        """Later requests of this webhook and goods owner open connections of their own."""
        self._inbox.append(pool)
        self._wake()

    def close(self, timeout_s: float = 0.0) -> None:
        """Stop: what has not begun is `interrupted` at once, what is under way gets `timeout_s` to end."""
        with self._door:
            self._open = False
            self._stop_at = time.monotonic() + timeout_s
        self._wake()
        if self._thread.ident is None:
            self._run()
        elif self._thread is not threading.current_thread():
            self._thread.join(timeout_s + 5.0)

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            try:
                os.eventfd_write(self._wake_fd, 1)
            except OSError:
                _log.debug("egress.woken_after_the_end")

    def _on_answer(self, question: Question, verdict: Verdict) -> None:
        self._answers.append((question, verdict))
        self._wake()

    def _run(self) -> None:
        running = True
        while running:
            try:
                running = self._turn()
            except Exception as error:
                # A bug, or libcurl itself in disorder: nothing of the present round can be trusted.
                _log.exception("egress.turn_failed")
                self._abort("internal_error", f"{type(error).__name__}: {error}")
            self._hand_over()
        self._guard.close()
        self._transfers.close()
        os.close(self._wake_fd)

    def _turn(self) -> bool:
        """One round: take what came in, let libcurl work, settle what ended. False when all is over."""
        self._settle(self._transfers.turn(self._longest_wait()))
        self._woken = False  # before looking into the inbox: whoever adds from now on wakes us again
        self._take_answers()
        self._take_inbox()
        now = time.monotonic()
        if self._asking and now >= self._next_dns_check:
            self._next_dns_check = now + TICK_S
            self._give_up_lookups(now)
        if self._stop_at is None:
            return True
        self._interrupt_waiting()
        if len(self._transfers) and now >= self._stop_at:
            self._abort("interrupted", _INTERRUPTED)
        return len(self._transfers) > 0 or bool(self._inbox)

    def _longest_wait(self) -> float | None:
        if self._inbox or self._answers:
            return 0.0
        if self._stop_at is not None:
            return max(0.0, self._stop_at - time.monotonic()) if len(self._transfers) else 0.0
        # Once a minute even when idle, for the connections that have become too old.
        return TICK_S if self._asking else 60.0

    def _take_inbox(self) -> None:
        # Only what is there now: a publisher that submits without pause must not keep libcurl waiting.
        for _ in range(len(self._inbox)):
            what = self._inbox.popleft()
            if not isinstance(what, Job):
                self._transfers.close_pool(what)
            elif self._stop_at is not None:
                self._ended.append((what, Unanswered("interrupted", _INTERRUPTED)))
            else:
                self._admit(what)

    def _admit(self, job: Job) -> None:
        try:
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
        except Exception as error:
            _log.exception("egress.admit_failed")
            self._ended.append((job, outcomes.without_answer("internal_error", f"{type(error).__name__}: {error}")))

    def _take_answers(self) -> None:
        while self._answers:
            question, verdict = self._answers.popleft()
            now = time.monotonic()
            for job in self._asking.pop(question, ()):
                job.dns_us = int((now - job.submitted) * 1_000_000)
                self._enter(job, verdict)

    def _give_up_lookups(self, now: float) -> None:
        for question, jobs in list(self._asking.items()):
            late = [job for job in jobs if now - job.submitted >= min(self._dns_timeout_s, job.request.timeout_s)]
            for job in late:
                detail = f"No answer about {question[0]} after {now - job.submitted:.0f} s."
                self._ended.append((job, Unanswered("dns_timeout", detail)))
            self._asking[question] = [job for job in jobs if job not in late]
            if not self._asking[question]:
                del self._asking[question]

    def _enter(self, job: Job, verdict: Verdict) -> None:
        if not isinstance(verdict, tuple):
            self._ended.append((job, verdict))
            return
        job.addresses = verdict
        if self._slots.take(job):
            self._transfers.begin(job)

    def _settle(self, ended: list[tuple[Job, Outcome]]) -> None:
        """What ended makes room for what waits."""
        for job, _ in ended:
            for next_job in self._slots.free(job):
                self._transfers.begin(next_job)
        self._ended.extend(ended)

    def _interrupt_waiting(self) -> None:
        waiting = [job for jobs in self._asking.values() for job in jobs] + self._slots.give_up_waiting()
        self._asking.clear()
        self._ended.extend((job, Unanswered("interrupted", _INTERRUPTED)) for job in waiting)

    def _abort(self, reason: str, detail: str) -> None:
        ended = self._transfers.abort_all(reason, detail)
        self._ended.extend(ended)
        for job, _ in ended:
            for next_job in self._slots.free(job):
                self._transfers.begin(next_job)

    def _hand_over(self) -> None:
        if not self._ended:
            return
        batch: list[tuple[object, Outcome]] = [(job.token, outcome) for job, outcome in self._ended]
        self._ended = []
        try:
            self._deliver(batch)
        except Exception:
            _log.exception("egress.outcomes_not_taken count=%d", len(batch))


class _AddressSlots:
    """Who may be under way to which address. A request counts at every address it may end up at."""

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

    def free(self, job: Job) -> list[Job]:
        """Give the slots of an ended request back; the waiting ones that have taken theirs."""
        for address in job.addresses:
            self._used[address] -= 1
            if not self._used[address]:
                del self._used[address]
        return [waiting for address in job.addresses if address in self._waiting for waiting in self._next(address)]

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


def find_ca_file() -> str:
    """The certificates that the operating system trusts."""
    for path in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"):
        if Path(path).is_file():
            return path
    raise ConfigError(
        "No CA bundle was found, so no https receiver could be trusted.",
        hint="Install the package ca-certificates, or name a PEM file in egress.ca_file.",
    )
