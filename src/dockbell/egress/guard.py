"""The address guard: every name is resolved here, and every answer is judged before anything is opened.

Promises: one lookup per attempt at most; a single refused answer refuses the whole attempt, nothing is filtered;
all refusals read alike, so nobody can map a network by our messages; a name server that hangs costs one lookup thread
for each of its names and no more than its goods owner's share of them, not everybody's.
"""

import logging
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol

from dockbell.domain.addresses import plainly
from dockbell.domain.delivery import NotSent, Unanswered
from dockbell.domain.request import OutgoingRequest

Resolver = Callable[[str, int], list[str]]
"""Host and port to addresses; raises OSError if there are none. Called in a lookup thread, so it may block."""

Question = tuple[str, int, frozenset[int]]
"""Host, port and the goods owners who ask: what one owner may reach says nothing about another."""
Verdict = tuple[str, ...] | NotSent | Unanswered
"""The addresses that may be connected to, or why there are none."""
Found = list[str] | Unanswered
"""What a lookup found, before anybody judged it."""

DENIED = NotSent(
    "egress_denied_address",
    "The target URL leads to an address this installation does not send to. "
    "Use a public address, or ask the administrator for a rule in egress.allow.",
)
ANSWERS_USED = 16
_LOOKUP_THREADS = 16
_LOOKUPS_PER_OWNER = 4
_CACHE_SIZE = 4096
_log = logging.getLogger("dockbell.egress")


class Judge(Protocol):
    """What the guard needs of `dockbell.domain.addresses.AddressPolicy`."""

    def judge(self, address: str, port: int, goods_owners: frozenset[int] | None) -> str | None:
        """None if these goods owners may connect there, otherwise the reason in words."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name as the operating system sees them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for _, _, _, _, address in found]


class Guard:
    """Answers who may be connected to. `answered` is called from a lookup thread once a question has its verdict."""

    def __init__(
        self,
        policy: Judge,
        answered: Callable[[Question, Verdict], None],
        *,
        resolver: Resolver | None = None,
        cache_s: float = 10.0,
    ) -> None:
        self._policy = policy
        self._answered = answered
        self._resolver = resolver or resolve
        self._cache_s = cache_s
        # Only answers that passed are kept, and only for those they were judged for.
        self._judged: dict[Question, tuple[float, tuple[str, ...]]] = {}
        self._lookups = _Lookups(self._look_up, self._answer)

    def known(self, request: OutgoingRequest) -> Verdict | None:
        """The verdict if no lookup is needed: a literal address, or an answer that was judged a moment ago."""
        question = question_of(request)
        cached = self._judged.get(question)
        if cached is not None:
            if cached[0] > time.monotonic():
                return cached[1]
            self._judged.pop(question, None)
        if request.url.is_literal:
            return self._remember(question, self._judge(question, [request.url.host]))
        return None

    def ask(self, question: Question) -> None:
        """Look a name up in the background; `answered` gets the verdict."""
        self._lookups.put(question)

    def may_connect(self, address: str, port: int, goods_owners: frozenset[int]) -> bool:
        """The last gate, asked with the very address about to be connected."""
        return self._policy.judge(address, port, goods_owners) is None

    def close(self) -> None:
        self._lookups.close()

    def _look_up(self, host: str, port: int) -> Found:
        try:
            return self._resolver(host, port)
        except Exception as error:
            # Also UnicodeError and ValueError: a malformed answer is the name server's fault, not ours.
            return Unanswered("dns_error", f"Looking up {host} failed: {printable(str(error))}")

    def _answer(self, question: Question, found: Found) -> None:
        verdict = found if isinstance(found, Unanswered) else self._judge(question, found)
        self._answered(question, self._remember(question, verdict))

    def _judge(self, question: Question, answers: list[str]) -> Verdict:
        host, port, goods_owners = question
        if not answers:
            return Unanswered("dns_error", f"{host} has no address.")
        for address in dict.fromkeys(answers):
            if (reason := self._policy.judge(address, port, goods_owners)) is not None:
                _log.info("egress.denied host=%s port=%d reason=%s", host, port, printable(reason))
                return DENIED
        # In one spelling: what is under way to an address is counted by its text.
        return tuple(dict.fromkeys(plainly(address) for address in answers))[:ANSWERS_USED]

    def _remember(self, question: Question, verdict: Verdict) -> Verdict:
        if isinstance(verdict, tuple):
            while len(self._judged) >= _CACHE_SIZE:
                self._judged.pop(next(iter(self._judged), question), None)
            self._judged[question] = (time.monotonic() + self._cache_s, verdict)
        return verdict


def question_of(request: OutgoingRequest) -> Question:
    return request.url.host, request.url.port, request.goods_owners


def printable(text: str, limit: int = 200) -> str:
    """Foreign text for a log or a page: one line, shortened."""
    return "".join(character if character.isprintable() else "?" for character in text[:limit])


class _Lookups:
    """A few daemon threads, started on need; no goods owner holds more than a quarter of them.

    A name is looked up once at a time, for all who ask meanwhile: many goods owners may send to one that hangs.
    Daemons, because getaddrinfo() cannot be interrupted and a stop must not wait for a silent name server.
    """

    def __init__(self, look_up: Callable[[str, int], Found], answer: Callable[[Question, Found], None]) -> None:
        self._look_up = look_up
        self._answer = answer
        self._waiting: deque[Question] = deque()
        self._running: Counter[frozenset[int]] = Counter()
        self._names: set[tuple[str, int]] = set()
        self._threads = 0
        self._free = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, question: Question) -> None:
        with self._changed:
            self._waiting.append(question)
            if self._free < len(self._waiting) and self._threads < _LOOKUP_THREADS:
                self._start_thread()
            self._changed.notify()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name=f"dockbell-lookup-{self._threads + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # what waits is looked up by one that runs, or that the next question starts
            _log.warning("egress.no_thread threads=%d reason=%s", self._threads, error)
        else:
            self._threads += 1

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        while (question := self._next()) is not None:
            found = self._look_up(question[0], question[1])
            for each in self._end(question):
                try:
                    self._answer(each, found)
                except Exception:
                    _log.exception("egress.lookup_failed host=%s", question[0])

    def _next(self) -> Question | None:
        with self._changed:
            self._free += 1
            try:
                while not self._closed:
                    for question in self._waiting:
                        if self._running[question[2]] < _LOOKUPS_PER_OWNER and question[:2] not in self._names:
                            self._waiting.remove(question)
                            self._running[question[2]] += 1
                            self._names.add(question[:2])
                            return question
                    self._changed.wait()
                return None
            finally:
                self._free -= 1

    def _end(self, question: Question) -> list[Question]:
        """All who asked for this name until now."""
        with self._changed:
            others = [each for each in self._waiting if each[:2] == question[:2]]
            self._waiting = deque(each for each in self._waiting if each[:2] != question[:2])
            self._names.discard(question[:2])
            self._running[question[2]] -= 1
            self._running += Counter()  # drops the zeros
            self._changed.notify()
        return [question, *others]
