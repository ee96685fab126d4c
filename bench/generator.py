"""The load: sends distinct events over a number of connections, the goods owners taking turns, and counts every answer.

Without a `rate` each connection sends its next request when the last one was answered (a closed loop). With one, requests
become due at that pace whether or not answers come; one that finds no connection free waits, and its time runs meanwhile.
At the end the answers of what is under way are waited for, so that sent and answered are the same number.

    python -m bench.generator '{"port": 8420, "connections": 64, ...}'    prints one JSON object; see `Order`
"""

import array
import asyncio
import itertools
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import uvloop

ENDS_WITHIN_S = 30.0
PACE_S = 0.001


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """What to send, where to, and for how long."""

    ports: list[int]
    """Connections are shared out among them."""
    paths: list[str]
    goods_owners: list[int]
    """One for each path; they take turns."""
    run: str
    """Part of every event's id, so that two loads never send the same one."""
    seconds: float
    expected_status: int
    most_requests: int
    first_number: int
    """Of the orders; each event has the next one, all with nine digits."""
    times: str | None = None
    """A file for when each request was sent and when it was answered, as doubles: first all the former, then the latter."""
    rate: float | None = None
    """Requests per second."""
    key: str | None = None
    connections: int = 64
    events_a_request: int = 1


class Load:
    """The shared part of all connections: what comes next, and what came back."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.numbers = itertools.count(order.first_number)
        self.turns = itertools.cycle(range(len(order.paths)))
        self.texts = [event_text(owner, order.run) for owner in order.goods_owners]
        self.heads = [_head(order, path, self._length(place)) for place, path in enumerate(order.paths)]
        self.good = f"HTTP/1.1 {order.expected_status} ".encode()
        self.answered = 0
        self.bad: Counter[str] = Counter()
        self.sent_at = array.array("d")
        self.answered_at = array.array("d")
        self.stop_at = 0.0

    @property
    def sent(self) -> int:
        return len(self.sent_at)

    def next_request(self, due_at: float) -> bytes:
        place = next(self.turns)
        self.sent_at.append(due_at)
        self.answered_at.append(0.0)
        text, count = self.texts[place], self.order.events_a_request
        if count == 1:
            number = next(self.numbers)
            return self.heads[place] + text % (number, number, number, number)
        numbers = [next(self.numbers) for _ in range(count)]
        events = [text % (number, number, number, number) for number in numbers]
        return b"%b[%b]" % (self.heads[place], b",".join(events))

    def length_of_event(self) -> int:
        return self._length(0) // self.order.events_a_request

    def _length(self, place: int) -> int:
        one = len(
            self.texts[place] % ((self.order.first_number,) * 4)
        )  # numbers have nine digits: every event is as long
        count = self.order.events_a_request
        return one if count == 1 else count * one + count + 1


def event_text(owner: int, run: str) -> bytes:
    """An order.picked event of about 500 bytes, valid by the catalog, with four places for its number."""
    event = {
        "type": "order.picked",
        "goodsOwnerId": owner,
        "id": f"{run}-{owner}-%d",
        "attributes": {"transporter": "DHL", "orderType": "B2C", "statusFrom": 300, "statusTo": 400},
        "data": {
            "orderId": "%d",
            "orderNumber": "SO-%d",
            "goodsOwnerOrderId": "6f2c-1001",
            "consigneeOrderNumber": "PO-77",
            "path": "/api/v1/orders/%d",
            "byUser": {"userId": 162},
            "byComputer": {"computerId": 7, "computerName": "PACK-03"},
            "orderStatus": {"number": 400},
            "currentShipmentId": None,
            "goodsOwnerClasses": [{"id": 3, "code": "B2C", "name": "Web shops"}],
            "tracking": [],
            "parcels": [],
        },
    }
    return json.dumps(event, separators=(",", ":")).replace('"orderId":"%d"', '"orderId":%d').encode()


def _head(order: Order, path: str, length: int) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", f"Content-Length: {length}"]
    if order.key is not None:
        lines.append(f"Authorization: Bearer {order.key}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Connection(asyncio.Protocol):
    """One connection; after each answer it asks for the next request."""

    def __init__(self, load: Load, freed: Callable[["Connection"], None]) -> None:
        self._load = load
        self._freed = freed
        self._rest = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class, not a subclass

    def send(self, due_at: float) -> None:
        self._number = self._load.sent
        self._transport.write(self._load.next_request(due_at))

    def end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        head = data.find(b"\r\n\r\n")
        if head < 0 or len(data) < head + 4 + _length_of(data, head):
            self._rest = data
            return
        self._rest = b""
        self._answer_came(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self._load.bad[f"connection lost: {exc}"] += 1
            self.ended.set_result(None)

    def _answer_came(self, data: bytes) -> None:
        load = self._load
        load.answered_at[self._number] = time.monotonic()
        if data.startswith(load.good):
            load.answered += 1
        else:
            load.bad[data[:12].decode("latin-1") + " " + data.partition(b"\r\n\r\n")[2][:200].decode("latin-1")] += 1
        self._freed(self)


class ClosedLoop:
    """No connection is idle until the time is over."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def begin(self, connections: list[Connection]) -> None:
        for connection in connections:
            connection.send(time.monotonic())

    def freed(self, connection: Connection) -> None:
        now = time.monotonic()
        if now >= self._load.stop_at or self._load.sent >= self._load.order.most_requests:
            connection.end()
        else:
            connection.send(now)


class Paced:
    """So many requests become due in each second."""

    def __init__(self, load: Load, rate: float) -> None:
        self._load = load
        self._rate = rate
        self._due: deque[float] = deque()
        self._due_so_far = 0
        self._idle: list[Connection] = []
        self._open = 0

    def begin(self, connections: list[Connection]) -> None:
        self._idle = list(connections)
        self._open = len(connections)
        self._began = time.monotonic()
        self._beat()

    def freed(self, connection: Connection) -> None:
        if self._due:
            connection.send(self._due.popleft())
        elif time.monotonic() >= self._load.stop_at:
            connection.end()
        else:
            self._idle.append(connection)

    def _beat(self) -> None:
        now = time.monotonic()
        if now >= self._load.stop_at:
            for connection in self._idle:
                connection.end()
            return
        due_by_now = min(int((now - self._began) * self._rate), self._load.order.most_requests)
        for _ in range(due_by_now - self._due_so_far):
            if self._idle:
                self._idle.pop().send(now)
            else:
                self._due.append(now)
        self._due_so_far = due_by_now
        asyncio.get_running_loop().call_later(PACE_S, self._beat)


def _length_of(data: bytes, head: int) -> int:
    lower = data[:head].lower()
    at = lower.find(b"content-length:")
    if at < 0:
        raise ValueError(f"an answer without Content-Length: {data[:head]!r}")
    return int(lower[at + 15 :].split(b"\r\n", 1)[0])


async def drive(order: Order) -> dict[str, Any]:
    """Send for `order.seconds`, await the last answers, and tell what happened."""
    load = Load(order)
    pace = ClosedLoop(load) if order.rate is None else Paced(load, order.rate)
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    for number in range(order.connections):
        port = order.ports[number % len(order.ports)]
        _, connection = await loop.create_connection(lambda: Connection(load, pace.freed), "127.0.0.1", port)
        connections.append(connection)
    cpu_before = time.process_time()
    began_at, began = time.time(), time.monotonic()
    load.stop_at = began + order.seconds
    pace.begin(connections)
    _, late = await asyncio.wait([each.ended for each in connections], timeout=order.seconds + ENDS_WITHIN_S)
    if late:
        load.bad["no answer"] += len(late)
    took, cpu = time.monotonic() - began, time.process_time() - cpu_before
    if order.times is not None:
        Path(order.times).write_bytes(load.sent_at.tobytes() + load.answered_at.tobytes())
    return {
        "began_at": began_at,
        "seconds": took,
        "cpu_seconds": cpu,
        "requests": load.answered,
        "events": load.answered * order.events_a_request,
        "bad": dict(load.bad.most_common(5)),
        "event_bytes": load.length_of_event(),
    }


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(drive(msgspec.json.decode(sys.argv[1], type=Order)))))
