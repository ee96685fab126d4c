"""The publisher of a fault run: steady, stubborn, and honest about what it heard."""

import json
import random
import threading
import time
from collections import Counter
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
HANGS_AFTER_S = 15.0


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


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request met: a status, or the name of what went wrong."""

    at: float
    """On the monotonic clock, when the request began."""
    took_s: float
    what: int | str
    hint: str = ""
    """The code of a problem document."""


class Publishers:
    """Threads that publish at a steady rate; each event again with the same id until it is answered 202.

    With several addresses a thread goes on to the next whenever one does not answer as it should.
    """

    def __init__(self, urls: Sequence[str], key: str, *, rate: float, seed: int) -> None:
        self._urls = urls
        self._key = key
        self._pause_s = THREADS / rate
        self._seed = seed
        self._enough = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._given_up = threading.Event()
        self.sent: list[list[Sent]] = [[] for _ in range(THREADS)]
        self._alone: list[Sent] = []
        self._answers: list[list[Answer]] = [[] for _ in range(THREADS)]
        self._threads = [threading.Thread(target=self._publish_on, args=(place,)) for place in range(THREADS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def pause(self) -> None:
        """Publish nothing more until `go_on` or `finish`; what is under way is still asked for."""
        self._going.clear()

    def go_on(self) -> None:
        self._going.set()

    def turn_to(self, urls: Sequence[str]) -> None:
        """Publish there from now on."""
        self._urls = list(urls)

    def finish(self) -> list[Sent]:
        """Start no new event; wait until each has its answer, but not for ever."""
        self._enough.set()
        self._going.set()
        until = time.monotonic() + ANSWERED_WITHIN_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._given_up.set()
        for thread in self._threads:
            thread.join(30)
        return [one for sent in [*self.sent, self._alone] for one in sent]

    def answers(self, since: float = 0.0, until: float = float("inf")) -> list[Answer]:
        """Those of requests that began within the time."""
        return [one for some in self._answers for one in list(some) if since <= one.at < until]

    def kinds(self, since: float = 0.0, until: float = float("inf")) -> Counter[int | str]:
        return Counter(one.what for one in self.answers(since, until))

    def slowest_s(self, since: float = 0.0) -> float:
        return max((one.took_s for one in self.answers(since)), default=0.0)

    def publish(self, goods_owner: int) -> Answer:
        """One more event, once; whoever has no answer then is asked for it by nobody."""
        number = FIRST_NUMBER - 1 - len(self._alone)
        one = an_event(number, random.Random(f"{self._seed} {number}"), self._seed, goods_owner)
        self._alone.append(one)
        client = self._client(0)
        try:
            return ask(client, one)
        finally:
            client.close()

    def _publish_on(self, place: int) -> None:
        choose = random.Random(f"{self._seed} {place}")
        turn = place
        urls = self._urls
        client = self._client(turn)
        next_at = time.monotonic()
        while not self._enough.is_set():
            if urls is not self._urls:
                urls = self._urls
                client.close()
                client = self._client(turn)
            number = FIRST_NUMBER + len(self.sent[place]) * THREADS + place
            one = an_event(number, choose, self._seed)
            self.sent[place].append(one)
            while not one.event_ids and not one.refused and not self._given_up.is_set():
                answer = ask(client, one)
                self._answers[place].append(answer)
                if answer.what != 202:
                    client.close()
                    turn += 1
                    client = self._client(turn)
                    pause(0.02)
            next_at = max(next_at + self._pause_s, time.monotonic() - 1)
            self._enough.wait(max(0.0, next_at - time.monotonic()))
            self._going.wait()
        client.close()

    def _client(self, turn: int) -> Client:
        return Client(self._urls[turn % len(self._urls)], self._key, timeout_s=HANGS_AFTER_S)


def ask(client: Client, one: Sent) -> Answer:
    """Publish it; what came of it is noted in `one` too."""
    began = time.monotonic()
    what: int | str
    hint = ""
    try:
        one.event_ids.add(int(client.post("/api/v1/events", one.document)["eventId"]))
        what = 202
    except ApiError as error:
        what, hint = error.status, str((error.document or {}).get("code", ""))
        if error.status < 500 and error.status != 429:
            one.refused = str(error)
        one.unanswered += 1
    except (OSError, HTTPException) as error:
        what = type(error).__name__
        one.unanswered += 1
    return Answer(began, time.monotonic() - began, what, hint)


def an_event(number: int, choose: random.Random, seed: int, goods_owner: int | None = None) -> Sent:
    """Data with what a rewriting would change: blanks, the order of fields, 1.10, letters beyond ASCII."""
    goods_owner = goods_owner or choose.choice((TEA, FJORD))
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
