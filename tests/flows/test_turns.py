"""A webhook that keeps the order of each object: the next is sent when the one before has ended, and never earlier."""

import random
from collections import defaultdict
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dockbell.clock import MINUTE, SECOND
from dockbell.domain.delivery import Answered, Unanswered
from dockbell.domain.permissions import SYSTEM
from dockbell.domain.request import OutgoingRequest
from dockbell.store.database import Database
from dockbell.testing.clock import ManualClock
from tests.support.node import FJORD, TEA, Node, a_node, an_event

FAILS = Unanswered("connect_refused", "Connection refused")
TWO_TRIES = {"name": "own", "stepsInSeconds": [60]}


def sent(node: Node) -> list[int]:
    """The events of the requests, in the order in which they were made."""
    return [event_of(request) for request in node.sender.requests]


def event_of(request: OutgoingRequest) -> int:
    lines = [line if isinstance(line, str) else line.decode() for line in request.headers]
    [told] = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("webhook-id:")]
    return int(told.partition("-")[0])


async def publish(node: Node, *keys: str, **fields: Any) -> list[int]:
    return [(await node.publish(key=key, **fields)).event_id for key in keys]


def make_ordered(node: Node, **fields: Any) -> int:
    return int(node.make_webhook(keepOrder=True, **fields).webhook["id"])


async def test_the_next_is_sent_when_the_one_before_was_delivered(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = make_ordered(node)
        node.sender.hold()
        first, second, other, third = await publish(node, "order/1", "order/1", "order/2", "order/1")
        await node.until(lambda: node.sender.held() == 2)
        assert sorted(sent(node)) == [first, other]
        waiting = await node.delivery(third, webhook)
        assert (waiting["status"], waiting["nextAttemptAt"], waiting["attempts"]) == ("pending", None, 0)
        assert waiting["waitsFor"] == f"{first}-{webhook}"
        assert (await node.delivery(first, webhook))["waitsFor"] is None
        for one in (second, third):
            node.sender.answer_held()
            await node.until(lambda one=one: one in sent(node))  # type: ignore[misc]
        node.sender.let_go()
        await node.rest()
        assert [event for event in sent(node) if event != other] == [first, second, third]
        assert node.rows("SELECT * FROM turns") == []


async def test_without_the_setting_and_without_an_object_nothing_waits(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        node.make_webhook()
        make_ordered(node, name="ordered")
        node.sender.hold()
        await publish(node, "order/1", "order/1")
        await node.until(lambda: node.sender.held() == 3)
        assert len(node.rows("SELECT * FROM turns")) == 2


async def test_one_that_fails_keeps_those_behind_it_waiting_until_it_is_given_up(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[FAILS]) as node:
        webhook = make_ordered(node, retryPolicy=TWO_TRIES)
        first, second = await publish(node, "order/1", "order/1")
        await node.rest()
        assert sent(node) == [first]
        await node.advance(MINUTE)
        await node.rest()
        assert sent(node) == [first, first, second]
        assert [await node.status(event, webhook) for event in (first, second)] == ["failed", "pending"]


async def test_the_same_object_of_two_goods_owners_is_two(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        make_ordered(node, kind="automation", goodsOwnerIds=[TEA, FJORD])
        node.sender.hold()
        await publish(node, "order/1")
        await publish(node, "order/1", goodsOwnerId=FJORD)
        await node.until(lambda: node.sender.held() == 2)


async def test_two_webhooks_do_not_wait_for_each_other(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        make_ordered(node)
        make_ordered(node, name="another")
        node.sender.hold()
        await publish(node, "order/1", "order/1")
        await node.until(lambda: node.sender.held() == 2)
        assert len(set(sent(node))) == 1


async def test_what_is_cancelled_lets_those_behind_it_go_on(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[FAILS, Answered(200)]) as node:
        webhook = make_ordered(node)
        first, second, third = await publish(node, "order/1", "order/1", "order/1")
        await node.rest()
        await node.cancel(second, webhook)
        await node.cancel(first, webhook)
        await node.passing(lambda: third in sent(node))
        assert sent(node) == [first, third]


async def test_held_deliveries_are_released_in_their_order(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[FAILS, Answered(200)]) as node:
        webhook = make_ordered(node)
        events = await publish(node, "order/1", "order/1", "order/1")
        await node.rest()
        await node.change_webhook(webhook, enabled=False)
        assert {row["status"] for row in node.rows("SELECT status FROM deliveries")} == {"held"}
        await node.change_webhook(webhook, enabled=True)
        await node.passing(lambda: events[-1] in sent(node))
        assert sent(node) == [events[0], *events]


async def test_a_webhook_that_keeps_order_no_more_sends_what_waited(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[FAILS, Answered(200)]) as node:
        webhook = make_ordered(node)
        events = await publish(node, "order/1", "order/1", "order/1")
        await node.rest()
        await node.change_webhook(webhook, keepOrder=False)
        await node.passing(lambda: set(sent(node)) == set(events))
        await node.passing(lambda: not node.rows("SELECT * FROM turns"))


async def test_what_is_sent_again_waits_for_what_is_before_it(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = make_ordered(node)
        first, second = await publish(node, "order/1", "order/1")
        await node.rest()
        await node.change_webhook(webhook, enabled=False)
        for event in (second, first):
            await node.resend(event, webhook)
        await node.change_webhook(webhook, enabled=True)
        await node.passing(lambda: len(sent(node)) == 4)
        assert sent(node) == [first, second, first, second]


async def test_what_was_missed_is_sent_in_its_order(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = make_ordered(node)
        await node.change_webhook(webhook, enabled=False)
        events = await publish(node, *["order/1"] * 5)
        await node.change_webhook(webhook, enabled=True)
        node.sender.hold()
        await node.send_missed(webhook)
        for count in range(1, 6):
            await node.until(lambda count=count: len(sent(node)) == count)  # type: ignore[misc]
            assert node.sender.held() == 1
            node.sender.answer_held()
        assert sent(node) == events


async def test_what_is_published_inside_a_transaction_waits_too(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        make_ordered(node)
        node.sender.hold()

        def three(tx: Any) -> list[int]:
            now = node.clock.now()
            return [node.publisher.publish(tx, SYSTEM, an_event(key="order/1"), now=now).event_id for _ in range(3)]

        events = await database.write(three)
        for count in range(1, 4):
            await node.until(lambda count=count: len(sent(node)) == count)  # type: ignore[misc]
            assert node.sender.held() == 1
            node.sender.answer_held()
        assert sent(node) == events


async def test_a_node_that_starts_anew_goes_on_in_the_order(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        make_ordered(node)
        node.sender.hold()
        first, second, third = await publish(node, "order/1", "order/1", "order/1")
        await node.until(lambda: sent(node) == [first])
        clock = node.clock
    async with a_node(database, tmp_path, clock=clock, number=1) as other:
        await other.passing(lambda: third in sent(other), step=SECOND)
        assert sent(other) == [first, second, third]


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_fails_no_object_is_overtaken(database: Database, tmp_path: Path, seed: int):
    """Two nodes share the work where the database lets them; each answer is success or failure by chance."""
    chance = random.Random(seed)
    script = [Answered(chance.choice([200, 200, 200, 500])) for _ in range(300)] + [Answered(200)]
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(a_node(database, tmp_path, script=script))
        nodes = [node]
        if database.dialect == "postgres":
            nodes.append(await stack.enter_async_context(a_node(database, tmp_path, clock=node.clock, number=1)))
        clock = node.clock
        assert isinstance(clock, ManualClock)
        make_ordered(node, retryPolicy={"name": "own", "stepsInSeconds": [1] * 8})
        accepted = defaultdict[str, list[int]](list)
        for _ in range(60):
            key = f"order/{chance.randrange(6)}"
            accepted[key] += await publish(chance.choice(nodes), key)
            clock.advance(SECOND // 100)  # in the same moment two nodes' ids are in any order
        left = "SELECT * FROM deliveries WHERE status IN ('pending', 'sending')"
        await node.passing(lambda: not node.rows(left))
        ended = {row["event_id"]: (row["started"], row["ended"]) for row in node.rows(
            "SELECT event_id, min(started_at) AS started, max(ended_at) AS ended FROM attempts GROUP BY event_id")}  # fmt: skip
        for events in accepted.values():
            for before, after in pairwise(events):
                assert ended[before][1] <= ended[after][0], f"{after} began before {before} had ended"
        assert node.rows("SELECT * FROM turns") == []
