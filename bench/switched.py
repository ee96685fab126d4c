"""`python -m bench.switched <part> serve`: a Dockbell with one of its ideas switched off, to see what it is worth.

Not a way to run Dockbell, so not a setting: the parts are exchanged from outside before the node is put together.
"""

import queue
import sys
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import Any

from dockbell import app as wiring
from dockbell import cli
from dockbell.actions import journal
from dockbell.clock import Moment
from dockbell.delivery.worker import Worker
from dockbell.domain.delivery import Answered, Outcome, Timings, Unanswered
from dockbell.domain.request import OutgoingRequest
from dockbell.domain.webhook import Webhook

THREADS = 64


def each_request_alone() -> None:
    """Every request has a commit of its own."""
    _set(journal, "EVENTS_A_COMMIT", 1)


def each_outcome_alone() -> None:
    """Every outcome waits for its turn to be in a commit, one in each."""
    _set(journal, "CLOSINGS_A_COMMIT", 1)


def nothing_handed_over() -> None:
    """No delivery is born leased: each is stored, and found again by looking for what is due."""
    _set(wiring, "Worker", ClaimsAll)


def plain_sender() -> None:
    """http.client of the standard library in 64 threads, instead of libcurl. It judges no address and resolves no name,
    so it does less than the sender it stands for.
    """
    _set(wiring, "Sender", PlainSender)


PARTS: dict[str, Callable[[], None]] = {
    "each-request-alone": each_request_alone,
    "each-outcome-alone": each_outcome_alone,
    "nothing-handed-over": nothing_handed_over,
    "plain-sender": plain_sender,
}


def _set(where: object, name: str, value: object) -> None:
    """Refuses what is not there: a switch that switches nothing would measure nothing."""
    if not hasattr(where, name):
        raise SystemExit(f"{where} has no {name} any more; bench/switched.py must follow")
    setattr(where, name, value)


class ClaimsAll(Worker):
    def reserve(self, webhook: Webhook, *, now: Moment, at_once: bool = False) -> Moment | None:
        if at_once:
            return super().reserve(webhook, now=now, at_once=at_once)
        self._behind.add(webhook.id)
        return None


class PlainSender:
    """What one writes without thinking of speed: a pool of threads, each with its kept connections."""

    def __init__(self, *_: object, deliver: Callable[[list[tuple[object, Outcome]]], None], **__: object) -> None:
        self._deliver = deliver
        self._waiting: queue.SimpleQueue[tuple[object, OutgoingRequest] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(THREADS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def submit(self, token: object, request: OutgoingRequest) -> None:
        self._waiting.put((token, request))

    def close_pool(self, pool: tuple[int, int]) -> None:
        pass

    def close(self, timeout_s: float = 0.0) -> None:  # noqa: ARG002
        for _ in self._threads:
            self._waiting.put(None)

    def _run(self) -> None:
        kept: dict[tuple[int, int], HTTPConnection] = {}
        while (job := self._waiting.get()) is not None:
            token, request = job
            self._deliver([(token, _sent(request, kept))])


def _sent(request: OutgoingRequest, kept: dict[tuple[int, int], HTTPConnection]) -> Outcome:
    began = time.perf_counter()
    connection = kept.get(request.pool)
    if connection is None:
        connection = kept[request.pool] = HTTPConnection(request.url.host, request.url.port, timeout=request.timeout_s)
    try:
        connection.request("POST", request.url.target, body=request.body, headers=dict(map(_header, request.headers)))
        answer = connection.getresponse()
        body = answer.read(65_536)
    except (OSError, HTTPException) as error:
        kept.pop(request.pool).close()
        return Unanswered("connect_failed", str(error))
    spent = round(1e6 * (time.perf_counter() - began))
    head = "\n".join(f"{name}: {value}" for name, value in answer.getheaders()).encode()
    return Answered(answer.status, head, body, address=request.url.host, timings=Timings(first_byte=spent, total=spent))


def _header(line: Any) -> tuple[str, str]:
    text = line.decode("latin-1") if isinstance(line, bytes) else line
    name, _, value = text.partition(":")
    return name, value.strip()


if __name__ == "__main__":
    PARTS[sys.argv.pop(1)]()
    cli.main()
