"""The Test button."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dockbell.actions.pace import Pace
from dockbell.actions.test_event import send_test_event
from dockbell.clock import SECOND
from dockbell.domain.delivery import Answered
from dockbell.domain.permissions import SYSTEM, Actor
from dockbell.errors import InvalidInput, NotFound
from dockbell.store.database import Database
from tests.flows.test_retries import headers_of
from tests.support.node import FJORD, TEA, TEA_ONLY, Node, a_node


async def send_one(node: Node, webhook: int, *, actor: Actor = SYSTEM, **fields: Any) -> dict[str, Any]:
    return await send_test_event(
        node.database,
        node.index,
        node.journal,
        node.webhooks,
        node.clock,
        actor,
        webhook,
        pace=Pace(node.clock),
        **fields,
    )


async def result_of_test(node: Node, webhook: int, *, actor: Actor = SYSTEM, **fields: Any) -> dict[str, Any]:
    """The result of a test, while the clock goes on (whoever waits for it looks again and again)."""
    task = asyncio.ensure_future(send_one(node, webhook, actor=actor, **fields))
    await node.passing(task.done, step=SECOND // 50)
    return await task


async def test_a_test_event_is_marked_and_goes_to_its_webhook_alone(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook().webhook["id"]
        node.make_webhook(name="other")
        result = await result_of_test(node, webhook)
        assert (result["status"], result["test"], result["webhookId"]) == ("delivered", True, webhook)
        [request] = node.sender.requests
        assert headers_of(request)["dockbell-test"] == "true"
        assert request.pool == (webhook, TEA)
        assert await node.why(result["eventId"]) == {webhook: "delivered"}


async def test_a_test_stands_in_the_history_of_an_order_only_if_it_is_about_that_order(
    database: Database, tmp_path: Path
):
    """The catalog's example carries an order id, which may well be somebody's."""
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook().webhook["id"]
        example = await result_of_test(node, webhook)
        event = (await node.publish()).event_id
        await node.rest()
        again = await result_of_test(node, webhook, past_event_id=event)
        assert (example["object"], example["number"]) == (None, None)
        assert again["object"] is not None
        assert again["object"] == (await node.delivery(event, webhook))["object"]


async def test_a_disabled_webhook_can_be_tested(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(enabled=False).webhook["id"]
        assert (await result_of_test(node, webhook))["status"] == "delivered"
        assert (await node.webhook(webhook))["enabled"] is False


async def test_a_test_that_fails_is_not_tried_again(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(500, body=b"no such order")]) as node:
        webhook = node.make_webhook().webhook["id"]
        result = await result_of_test(node, webhook)
        assert result["status"] == "failed"
        assert result["attemptList"][0]["responseBody"] == "no such order"
        assert not await node.to_next_attempt()


async def test_a_test_that_meets_410_does_not_switch_the_webhook_off(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(410)]) as node:
        webhook = node.make_webhook().webhook["id"]
        await result_of_test(node, webhook)
        assert (await node.webhook(webhook))["enabled"] is True


async def test_a_past_event_can_be_sent_as_a_test(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(filters={"transporters": ["DHL"]}).webhook["id"]
        past = await node.publish(attributes={"transporter": "UPS"})
        assert past.deliveries == 0
        result = await result_of_test(node, webhook, past_event_id=past.event_id)
        assert result["status"] == "delivered"
        assert result["eventId"] != past.event_id
        [row] = node.rows("SELECT data FROM events WHERE id = :id", id=past.event_id)
        assert result["data"] == row["data"]


async def test_a_test_of_what_is_not_ones_own_answers_as_if_it_were_not_there(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        theirs = node.make_webhook(goodsOwnerIds=[FJORD]).webhook["id"]
        mine = node.make_webhook().webhook["id"]
        past = await node.publish(goodsOwnerId=FJORD)
        with pytest.raises(NotFound):
            await send_one(node, theirs, actor=TEA_ONLY)
        with pytest.raises(NotFound):
            await send_one(node, mine, actor=TEA_ONLY, past_event_id=past.event_id)
        with pytest.raises(InvalidInput):
            await send_one(node, mine, past_event_id=past.event_id)
        await node.rest()
        assert {request.pool for request in node.sender.requests} == {(theirs, FJORD)}


async def test_a_test_goes_out_though_the_webhooks_queue_is_long(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(maxConcurrency=2).webhook["id"]
        node.sender.hold()
        await node.publish_many(*[node.event_document() for _ in range(100)])
        await node.until(lambda: len(node.sender.requests) == 2)
        waiting = asyncio.ensure_future(result_of_test(node, webhook))
        await node.until(lambda: any(job.event.test for job in node.worker._lanes[webhook].waiting))
        node.sender.let_go()
        assert (await waiting)["status"] == "delivered"
        assert "dockbell-test" in headers_of(node.sender.requests[2])
        await node.rest()
        assert len(node.sender.requests) == 101
