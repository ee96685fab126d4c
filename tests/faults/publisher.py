"""The publisher of a fault run: steady, stubborn, and honest about what it heard."""

import json
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException  # noqa: TID251 - to catch what the client raises

from dockbell.testing.client import ApiError, Client
from tests.faults.processes import pause

TEA, FJORD = 114, 207
THREADS = 4
FIRST_NUMBER = 50_000
ASKED_TWICE = 200
ANSWERED_WITHIN_S = 60.0


@dataclass(slots=True)
class Sent:
    """One event, and what its publisher heard about it."""

    number: int
    goods_owner: int
    transporter: str
    data: str
    document: bytes
    event_ids: set[int] = field(default_factory=set)
    refused: str = ""
    unanswered: int = 0


class Publishers:
    """Threads that publish at a steady rate; each event again with the same id until it is answered 202."""

    def __init__(self, url: str, key: str, *, rate: float, seed: int) -> None:
        self._url = url
        self._key = key
        self._pause_s = THREADS / rate
        self._seed = seed
        self._enough = threading.Event()
        self._given_up = threading.Event()
        self.sent: list[list[Sent]] = [[] for _ in range(THREADS)]
        self._threads = [threading.Thread(target=self._publish_on, args=(place,)) for place in range(THREADS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> list[Sent]:
        """Start no new event; wait until each has its answer, but not for ever."""
        self._enough.set()
        until = time.monotonic() + ANSWERED_WITHIN_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._given_up.set()
        for thread in self._threads:
            thread.join(30)
        return [one for sent in self.sent for one in sent]

    def _publish_on(self, place: int) -> None:
        choose = random.Random(f"{self._seed} {place}")
        client = Client(self._url, self._key, timeout_s=10)
        next_at = time.monotonic()
        while not self._enough.is_set():
            number = FIRST_NUMBER + len(self.sent[place]) * THREADS + place
            one = _an_event(number, choose, self._seed)
            self.sent[place].append(one)
            while not one.event_ids and not one.refused and not self._given_up.is_set():
                try:
                    one.event_ids.add(int(client.post("/api/v1/events", one.document)["eventId"]))
                except ApiError as error:
                    if error.status < 500:
                        one.refused = str(error)
                    one.unanswered += 1
                except (OSError, HTTPException):
                    one.unanswered += 1
                    client.close()
                    client = Client(self._url, self._key, timeout_s=10)
                    pause(0.02)
            next_at = max(next_at + self._pause_s, time.monotonic() - 1)
            self._enough.wait(max(0.0, next_at - time.monotonic()))
        client.close()


def _an_event(number: int, choose: random.Random, seed: int) -> Sent:
    """Data with what a rewriting would change: blanks, the order of fields, 1.10, letters beyond ASCII."""
    goods_owner = choose.choice((TEA, FJORD))
    transporter = choose.choice(("DHL", "PostNord", "Bring", "DSV"))
    lines = ", ".join(f'{{"line":{n},  "quantity": {n}.10}}' for n in range(choose.randrange(12)))
    data = (
        f'{{ "orderStatus": {{"number":400}},"orderNumber" : "SÖ-{number} €",  "orderId": {number}, '
        f'"path": "/api/v1/orders/{number}","lines": [{lines}] }}'
    )
    envelope = {
        "type": "order.picked",
        "goodsOwnerId": goods_owner,
        "id": f"e{seed}-{number}",
        "attributes": {"transporter": transporter},
    }
    document = f'{json.dumps(envelope)[:-1]}, "data": {data}}}'.encode()
    return Sent(number, goods_owner, transporter, data, document)


def ask_again(client: Client, sent: Sequence[Sent], choose: random.Random) -> int:
    """Publish some once more: each must be answered with the id it had. How many were asked."""
    again = [one for one in sent if one.unanswered and one.event_ids]
    again = choose.sample(again, min(ASKED_TWICE, len(again))) + choose.sample(list(sent), min(ASKED_TWICE, len(sent)))
    for one in again:
        if not one.refused:
            one.event_ids.add(int(client.post("/api/v1/events", one.document)["eventId"]))
    return len(again)
