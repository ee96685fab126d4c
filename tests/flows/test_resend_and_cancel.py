"""Deliveries that are sent again, or cancelled."""

import asyncio
import threading
from functools import partial
from pathlib import Path

import pytest

from dockbell.actions import bulk, deliveries
from dockbell.clock import HOUR, MINUTE
from dockbell.domain.delivery import Answered
from dockbell.domain.permissions import SYSTEM
from dockbell.errors import Conflict, NotFound
from dockbell.store.database import Database, Transaction
from tests.flows.test_retries import headers_of
from tests.support.node import FJORD, TEA_ONLY, a_node
from tests.support.rows import put_deliveries, write


async def test_what_a_run_resends_while_its_webhook_is_enabled_is_sent(database: Database, tmp_path: Path):
    """The run saw the webhook disabled, and whoever enabled it did not see what the run had held."""
    if database.dialect != "postgres":
        pytest.skip("SQLite has one writer")
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(enabled=False).webhook["id"]
        put_deliveries(database, webhook, [1, 2])
        write(database, lambda tx: tx.run("UPDATE deliveries SET status = 'failed', ended_at = 1"))
        run = write(database, lambda tx: bulk.begin(tx, SYSTEM, "resend", now=node.clock.now(), webhook_id=webhook))
        done, go_on = threading.Event(), threading.Event()

        def a_batch(tx: Transaction) -> None:
            bulk.next_batch(tx, run["id"], now=node.clock.now(), batch=1)
            done.set()
            assert go_on.wait(10)

        running = database.submit_write(a_batch)
        await node.until(done.is_set)
        await node.change_webhook(webhook, enabled=True)  # commits while the batch has not
        go_on.set()
        await asyncio.wrap_future(running)
        await node.passing(
            lambda: [row["status"] for row in node.rows("SELECT status FROM deliveries")] == ["delivered"] * 2
        )


@pytest.mark.parametrize("first", [Answered(200), Answered(410)])
async def test_a_delivery_can_be_sent_again_whatever_came_of_it(database: Database, tmp_path: Path, first: Answered):
    async with a_node(database, tmp_path, script=[first, Answered(500), Answered(200)]) as node:
        webhook = node.make_webhook(retryPolicy={"name": "one-day"}).webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        await node.change_webhook(webhook, enabled=True)
        await node.advance(30 * HOUR)  # the first round's day is over; a new round has its own
        assert (await node.resend(event, webhook))["status"] == "pending"
        await node.rest()
        assert await node.status(event, webhook) == "pending"
        [row] = node.rows("SELECT due_at FROM deliveries")
        assert row["due_at"] == node.clock.now() + MINUTE
        await node.to_next_attempt()
        shown = await node.delivery(event, webhook)
        assert (shown["status"], shown["attempts"]) == ("delivered", 3)
        assert {headers_of(request)["webhook-id"] for request in node.sender.requests} == {f"{event}-{webhook}"}


async def test_a_resend_of_a_disabled_webhooks_delivery_is_held_until_it_is_enabled(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook().webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        await node.change_webhook(webhook, enabled=False)
        assert (await node.resend(event, webhook))["status"] == "held"
        await node.rest()
        assert len(node.sender.requests) == 1
        await node.change_webhook(webhook, enabled=True)
        await node.rest()
        assert len(node.sender.requests) == 2


async def test_a_deleted_webhooks_delivery_cannot_be_sent_again(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook().webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        await node.delete_webhook(webhook)
        with pytest.raises(Conflict) as refused:
            await node.resend(event, webhook)
        assert (refused.value.status, refused.value.code) == (409, "webhook_deleted")


async def test_nothing_is_resent_or_cancelled_in_the_middle_of_an_attempt(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook().webhook["id"]
        node.sender.hold()
        event = (await node.publish()).event_id
        await node.until(lambda: node.sender.requests)
        with pytest.raises(Conflict, match="under way"):
            await node.resend(event, webhook)
        with pytest.raises(Conflict, match="sending"):
            await node.cancel(event, webhook)
        node.sender.let_go()
        await node.rest()
        assert await node.status(event, webhook) == "delivered"


async def test_a_cancelled_delivery_is_not_attempted_again_but_can_be_resent(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(500), Answered(200)]) as node:
        webhook = node.make_webhook().webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        assert (await node.cancel(event, webhook))["status"] == "cancelled"
        await node.advance(3 * HOUR)
        assert len(node.sender.requests) == 1
        with pytest.raises(Conflict, match="only one that waits"):
            await node.cancel(event, webhook)
        await node.resend(event, webhook)
        await node.rest()
        assert await node.status(event, webhook) == "delivered"


async def test_another_goods_owners_delivery_is_as_good_as_unknown(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(goodsOwnerIds=[FJORD]).webhook["id"]
        event = (await node.publish(goodsOwnerId=FJORD)).event_id
        await node.rest()
        known, unknown = f"{event}-{webhook}", f"{event}-999"
        answers = set()
        for text in (known, unknown):
            for action in (deliveries.resend, deliveries.cancel):
                with pytest.raises(NotFound) as refused:
                    await database.write(partial(action, actor=TEA_ONLY, text_id=text, now=node.clock.now()))
                answers.add(refused.value.message.replace(text, "ID"))
            with pytest.raises(NotFound) as refused:
                await database.read(partial(deliveries.get, actor=TEA_ONLY, text_id=text))
            answers.add(refused.value.message.replace(text, "ID"))
        assert len(answers) == 1
        assert await database.read(lambda tx: deliveries.page(tx, TEA_ONLY)) == []
