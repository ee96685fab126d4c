"""A webhook that keeps the order of each object, over real connections: a receiver that fails, and a node that is killed."""

import random
import threading
from collections import defaultdict
from itertools import count
from pathlib import Path

import pytest

from dockbell.testing.client import Client
from dockbell.testing.receiver import Receiver, Visit
from tests.support.node import an_event
from tests.support.program import Node, make_webhook, until

OBJECTS = 9
EVENTS = 54


class Moody:
    """Answers a quarter of all requests with 500, and each a moment late, so that a kill finds some of them under way."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._never = threading.Event()

    def __call__(self, visit: Visit) -> None:
        while visit.request():
            self._never.wait(self._chance.random() / 50)
            visit.answer(self._chance.choice([200, 200, 200, 500]))


def are_delivered(client: Client) -> bool:
    return len(client.get("/api/v1/deliveries?status=delivered&limit=200")["items"]) == EVENTS


@pytest.mark.slow
def test_no_object_is_overtaken_though_the_receiver_fails_and_the_node_is_killed(
    tmp_path: Path, database_url: str
) -> None:
    numbers, accepted = count(), dict[int, int]()
    with Receiver(Moody(seed=7)) as receiver:
        key = ""
        for kills in range(3):
            with Node(tmp_path, database_url) as node:
                if not key:
                    key = node.keys[0]
                    make_webhook(
                        node.client(key), receiver.url, keepOrder=True, timeoutInSeconds=1,
                        retryPolicy={"name": "own", "stepsInSeconds": [1] * 20},
                    )  # fmt: skip
                client = node.client(key)
                for _ in range(EVENTS // 3):
                    number = next(numbers)
                    told = client.post("/api/v1/events", an_event(key=f"order/{number % OBJECTS}"))
                    accepted[told["eventId"]] = number
                seen = len(receiver.requests)
                if kills < 2:
                    until(lambda seen=seen: len(receiver.requests) > seen + 3, "some more requests")  # type: ignore[misc]
                    node.kill()
                else:
                    until(lambda client=client: are_delivered(client), "all are delivered")  # type: ignore[misc]
        arrived = defaultdict[int, list[int]](list)
        for request in receiver.requests:
            event_id = int(str(request.header("webhook-id")).partition("-")[0])
            arrived[accepted[event_id] % OBJECTS].append(event_id)
        assert len(accepted) == EVENTS
        for events in arrived.values():
            assert events == sorted(events), "an event came after a later one about the same object"
