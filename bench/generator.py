"""The load: keeps a number of connections busy with distinct events and counts every answer.

Each connection sends its next request when the last one was answered (a closed loop), the goods owners taking turns.
At the end the answers of what is under way are waited for, so that sent and answered are the same number.

    python -m bench.generator '{"port": 8420, "connections": 64, ...}'    prints one JSON object; see `Order`
"""

import array
import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from typing import Any, cast

import msgspec
import uvloop

ENDS_WITHIN_S = 30.0
FIRST_NUMBER = 100_000_000
LATENCIES_KEPT = 1_000_000


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """What to send, where to, and for how long."""

    port: int
    paths: list[str]
    goods_owners: list[int]
    """One for each path; they take turns."""
    run: str
    """Part of every event's id, so that two loads never send the same one."""
    seconds: float
    expected_status: int
    most_requests: int
    key: str | None = None
    connections: int = 64
    events_a_request: int = 1


class Load:
    """The shared part of all connections: what comes next, and what came back."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.numbers = itertools.count(FIRST_NUMBER)
        self.turns = itertools.cycle(range(len(order.paths)))
        self.texts = [event_text(owner, order.run) for owner in order.goods_owners]
        self.heads = [_head(order, path, self._length(place)) for place, path in enumerate(order.paths)]
        self.good = f"HTTP/1.1 {order.expected_status} ".encode()
        self.answered = 0
        self.bad: Counter[str] = Counter()
        self.latencies = array.array("f")
        self.stop_at = 0.0
        self.sent = 0

    def next_request(self) -> bytes:
        place = next(self.turns)
        self.sent += 1
        text, count = self.texts[place], self.order.events_a_request
        if count == 1:
            number = next(self.numbers)
            return self.heads[place] + text % (number, number, number, number)
        numbers = [next(self.numbers) for _ in range(count)]
        events = [text % (number, number, number, number) for number in numbers]
        return b"%b[%b]" % (self.heads[place], b",".join(events))

    def _length(self, place: int) -> int:
        one = len(self.texts[place] % ((FIRST_NUMBER,) * 4))  # numbers have nine digits: every event is as long
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
    """One connection that is never idle until the time is over."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._rest = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class, not a subclass

    def begin(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._load.next_request())

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
        load, now = self._load, time.perf_counter()
        if data.startswith(load.good):
            load.answered += 1
            load.latencies.append(now - self._began)
        else:
            load.bad[data[:12].decode("latin-1") + " " + data.partition(b"\r\n\r\n")[2][:200].decode("latin-1")] += 1
        if now >= load.stop_at or load.sent >= load.order.most_requests:
            self.ended.set_result(None)
            self._transport.close()
        else:
            self._began = now
            self._transport.write(load.next_request())


def _length_of(data: bytes, head: int) -> int:
    lower = data[:head].lower()
    at = lower.find(b"content-length:")
    if at < 0:
        raise ValueError(f"an answer without Content-Length: {data[:head]!r}")
    return int(lower[at + 15 :].split(b"\r\n", 1)[0])


async def drive(order: Order) -> dict[str, Any]:
    """Send for `order.seconds`, await the last answers, and tell what happened."""
    load = Load(order)
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    for _ in range(order.connections):
        _, connection = await loop.create_connection(lambda: Connection(load), "127.0.0.1", order.port)
        connections.append(connection)
    cpu_before = time.process_time()
    began_at, began = time.time(), time.perf_counter()
    load.stop_at = began + order.seconds
    for connection in connections:
        connection.begin()
    _, late = await asyncio.wait([each.ended for each in connections], timeout=order.seconds + ENDS_WITHIN_S)
    if late:
        load.bad["no answer"] += len(late)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu_before
    ordered = sorted(load.latencies)
    return {
        "began_at": began_at,
        "seconds": took,
        "cpu_seconds": cpu,
        "requests": load.answered,
        "events": load.answered * order.events_a_request,
        "bad": dict(load.bad.most_common(5)),
        "event_bytes": load._length(0) // order.events_a_request,  # noqa: SLF001
        "p50_ms": 1000 * ordered[len(ordered) // 2] if ordered else None,
        "p99_ms": 1000 * ordered[len(ordered) * 99 // 100] if ordered else None,
    }


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(drive(msgspec.json.decode(sys.argv[1], type=Order)))))
