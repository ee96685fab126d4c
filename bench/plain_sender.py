"""`python -m bench.plain_sender serve`: a Dockbell that sends with http.client of the standard library, from 64 threads.

What one writes without thinking of speed, to see what the product's own sender is worth. It judges no address, resolves
no name and knows no TLS, so it does less. The other ideas are switched off by bench/switched.py.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException

from dockbell import app, cli
from dockbell.domain.delivery import Answered, Outcome, Timings, Unanswered
from dockbell.domain.request import OutgoingRequest

THREADS = 64


class PlainSender:
    """What one writes without thinking of speed: a pool of threads, each with its kept connections."""

    def __init__(self, *_: object, deliver: Callable[[list[tuple[object, Outcome]]], None], **__: object) -> None:
        self._loop = asyncio.get_running_loop()
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

    async def close(self, timeout_s: float = 0.0) -> None:  # noqa: ARG002
        for _ in self._threads:
            self._waiting.put(None)

    def _run(self) -> None:
        kept: dict[tuple[int, int], HTTPConnection] = {}
        while (job := self._waiting.get()) is not None:
            token, request = job
            self._loop.call_soon_threadsafe(self._deliver, [(token, _sent(request, kept))])


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


def _header(line: bytes | str) -> tuple[str, str]:
    text = line.decode("latin-1") if isinstance(line, bytes) else line
    name, _, value = text.partition(":")
    return name, value.strip()


if __name__ == "__main__":
    app.Sender = PlainSender  # type: ignore[assignment,attr-defined]
    cli.main()
