"""What people do to webhooks while events come in."""

import asyncio
import json
import threading
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dockbell.actions import audit, deliveries, event_types
from dockbell.actions.publish import Accepted
from dockbell.clock import HOUR
from dockbell.domain.delivery import Answered
from dockbell.domain.permissions import SYSTEM, Actor
from dockbell.errors import Conflict, NotFound
from dockbell.store import backlog, delivery_log, webhooks
from dockbell.store.database import Database, Transaction
from tests.flows.test_retries import headers_of
from tests.support.node import FJORD, TEA, TEA_ONLY, a_node, a_webhook, an_event
from tests.support.rows import put_deliveries, write

# Enabling, disabling, deleting, moving.


async def test_a_disabled_webhook_gets_nothing_new_and_what_waits_is_held(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(500)]) as node:
        webhook = node.make_webhook().webhook["id"]
        waiting = (await node.publish()).event_id
        await node.rest()
        await node.change_webhook(webhook, enabled=False)
        assert await node.status(waiting, webhook) == "held"
        assert (await node.publish()).deliveries == 0
        await node.advance(3 * HOUR)
        assert len(node.sender.requests) == 1


async def test_enabling_sends_what_was_held_at_once(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(500), Answered(200)]) as node:
        webhook = node.make_webhook().webhook["id"]
        held = (await node.publish()).event_id
        await node.rest()
        await node.change_webhook(webhook, enabled=False)
        await node.change_webhook(webhook, enabled=True)
        await node.rest()
        assert await node.status(held, webhook) == "delivered"


async def test_a_failure_in_the_moment_of_disabling_is_held_too(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(500)]) as node:
        webhook = node.make_webhook().webhook["id"]
        node.sender.hold()
        event = (await node.publish()).event_id
        await node.until(lambda: node.sender.requests)
        await node.change_webhook(webhook, enabled=False)
        node.sender.let_go()
        await node.rest()
        assert await node.status(event, webhook) == "held"


async def test_what_waits_in_memory_is_held_when_the_webhook_is_disabled(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(maxConcurrency=1).webhook["id"]
        node.sender.hold()
        events = [(await node.publish()).event_id for _ in range(5)]
        await node.until(lambda: node.sender.requests)
        await node.change_webhook(webhook, enabled=False)
        node.sender.let_go()
        await node.rest()
        assert [await node.status(event, webhook) for event in events] == ["delivered", *["held"] * 4]
        assert [(await node.delivery(event, webhook))["attempts"] for event in events] == [1, 0, 0, 0, 0]
        await node.change_webhook(webhook, enabled=True)
        await node.worker.quiet()
        node.sender.let_go()
        await node.until(lambda: len(node.sender.requests) >= 2)


async def test_a_lowered_cap_holds_for_what_waits_in_memory_too(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(maxConcurrency=4).webhook["id"]
        node.sender.hold()
        await node.publish_many(*[an_event() for _ in range(12)])
        await node.until(lambda: node.sender.held() == 4)
        await node.change_webhook(webhook, maxConcurrency=1)
        node.sender.answer_held()
        assert node.sender.held() == 1
        node.sender.let_go()
        await node.rest()
        assert {row["status"] for row in node.rows("SELECT status FROM deliveries")} == {"delivered"}


async def test_deleting_cancels_what_waits_for_all_to_see(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(500)]) as node:
        webhook = node.make_webhook().webhook["id"]
        waiting = (await node.publish()).event_id
        await node.rest()
        assert await node.delete_webhook(webhook) == 1
        shown = await node.delivery(waiting, webhook)
        assert (shown["status"], shown["webhookName"]) == ("cancelled", "ERP")
        assert shown["endedAt"] is not None
        with pytest.raises(NotFound):
            await node.webhook(webhook)
        assert (await node.publish()).deliveries == 0
        await node.advance(3 * HOUR)
        assert len(node.sender.requests) == 1


async def test_deleting_while_attempts_run_and_wait_leaves_nothing_in_between(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(500)]) as node:
        webhook = node.make_webhook(maxConcurrency=1).webhook["id"]
        node.sender.hold()
        events = [(await node.publish()).event_id for _ in range(4)]
        await node.until(lambda: node.sender.requests)
        await node.delete_webhook(webhook)
        node.sender.let_go()
        await node.rest()
        assert [await node.status(event, webhook) for event in events] == ["cancelled"] * 4
        assert len(node.sender.requests) == 1


async def test_a_retry_goes_to_where_the_webhook_points_now(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(500), Answered(200)]) as node:
        made = node.make_webhook(headers=[{"name": "X-Company-Id", "value": "654"}])
        webhook = made.webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        await node.change_webhook(
            webhook, targetUrl="http://127.0.0.1:8999/new", headers=[{"name": "X-Company-Id", "value": "655"}]
        )
        await node.to_next_attempt()
        old, new = node.sender.requests
        assert (old.url.text, new.url.text) == ("http://127.0.0.1:8999/hook", "http://127.0.0.1:8999/new")
        assert [headers_of(one)["x-company-id"] for one in (old, new)] == ["654", "655"]
        assert old.body == new.body
        assert [attempt["webhookVersion"] for attempt in (await node.delivery(event, webhook))["attemptList"]] == [1, 2]


async def test_moving_to_another_host_does_not_carry_the_password_along(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(
            authentication={"type": "basic", "username": "erp", "password": "correct horse"}
        ).webhook["id"]
        saved = await node.change_webhook(webhook, targetUrl="http://127.0.0.1:9000/hook")
        assert saved.webhook["enabled"] is False
        assert saved.webhook["authentication"] == {"type": "none"}
        assert "credentials were cleared" in saved.webhook["disabledReason"]


GATE_OPENED = {
    "key": "gate.opened", "name": "Gate opened", "family": "Gate", "firesWhen": "a gate opens", "idField": "gateId",
    "schema": {"type": "object"}, "example": {},
}  # fmt: skip


async def test_an_event_type_is_not_deleted_under_a_webhook_that_is_being_made_for_it(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if database.dialect != "postgres":
        pytest.skip("SQLite has one writer")
    async with a_node(database, tmp_path) as node:
        now = node.clock.now()
        write(database, lambda tx: event_types.create(tx, SYSTEM, node.index, GATE_OPENED, now=now))
        await node.index.refresh(database)
        judged, go_on, checked = threading.Event(), threading.Event(), node.webhooks._checked

        def checked_late(*what: Any, **more: Any) -> Any:
            found = checked(*what, **more)
            judged.set()
            assert go_on.wait(10)
            return found

        monkeypatch.setattr(node.webhooks, "_checked", checked_late)
        document = a_webhook(eventType="gate.opened")
        making = database.submit_write(lambda tx: node.webhooks.create(tx, SYSTEM, document, now=now))
        await node.until(judged.is_set)
        deleting = database.submit_write(lambda tx: event_types.delete(tx, SYSTEM, node.index, "gate.opened", now=now))
        waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        await node.until(lambda: deleting.done() or node.rows(waiting))
        go_on.set()
        await asyncio.wrap_future(making)
        with pytest.raises(Conflict, match="Webhooks are for this event type"):
            await asyncio.wrap_future(deleting)


# A webhook that serves a goods owner no more.


async def test_what_waits_for_a_goods_owner_that_is_taken_off_is_cancelled_for_all_to_see(
    database: Database, tmp_path: Path
):
    """U-5: what is one goods owner's must not go to the next one's receiver."""
    async with a_node(database, tmp_path, script=[Answered(500)]) as node:
        webhook = node.make_webhook().webhook["id"]
        waiting = (await node.publish()).event_id
        await node.rest()
        await node.change_webhook(webhook, enabled=False)
        held = await node.status(waiting, webhook)
        await node.change_webhook(webhook, goodsOwnerIds=[FJORD], targetUrl="http://127.0.0.1:8999/fjord", enabled=True)
        await node.advance(3 * HOUR)
        assert len(node.sender.requests) == 1
        shown = await node.delivery(waiting, webhook)
        assert (held, shown["status"], shown["lastCode"]) == ("held", "cancelled", "goods_owner_removed")
        assert shown["endedAt"] is not None
        assert shown["attemptList"][0]["code"] == "http_500"
        [found] = await database.read(lambda tx: deliveries.page(tx, SYSTEM, code="goods_owner_removed"))
        assert found["eventId"] == waiting


async def test_the_audit_trail_tells_each_goods_owner_what_was_cancelled_of_theirs(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(500)] * 3) as node:
        webhook = node.make_webhook(kind="automation", goodsOwnerIds=None).webhook["id"]
        for owner in (TEA, TEA, FJORD):
            await node.publish(goodsOwnerId=owner)
        await node.rest()
        await node.change_webhook(webhook, goodsOwnerIds=[FJORD])
        [row] = await database.read(lambda tx: audit.page(tx, TEA_ONLY, action="deliveries.cancelled"))
        assert (row["object"], row["after"]["goodsOwnerId"], row["after"]["count"]) == (f"webhook/{webhook}", TEA, 2)
        fjord = Actor("k2", "Fjord", frozenset({"read"}), frozenset({FJORD}))
        assert await database.read(lambda tx: audit.page(tx, fjord, action="deliveries.cancelled")) == []
        statuses = node.rows("SELECT goods_owner_id, status FROM deliveries ORDER BY event_id")
        assert [row["status"] for row in statuses] == ["cancelled", "cancelled", "pending"]


async def test_a_change_that_takes_nobody_off_cancels_nothing(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Answered(500)]) as node:
        webhook = node.make_webhook(kind="automation").webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        for owners in ([TEA, FJORD], None):
            await node.change_webhook(webhook, goodsOwnerIds=owners)
            assert await node.status(event, webhook) == "pending"


async def test_what_a_taken_off_goods_owner_once_got_cannot_be_sent_again(database: Database, tmp_path: Path):
    """U-5"""
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook().webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        await node.change_webhook(webhook, goodsOwnerIds=[FJORD])
        with pytest.raises(Conflict, match="does not serve") as refused:
            await node.resend(event, webhook)
        assert (refused.value.status, refused.value.code) == (409, "goods_owner_removed")
        changed = await database.write(
            lambda tx: delivery_log.resend_many(tx, [(event, webhook)], now=node.clock.now())
        )
        assert changed == 0
        await node.rest()
        assert len(node.sender.requests) == 1
        await node.change_webhook(webhook, goodsOwnerIds=[TEA])
        assert (await node.resend(event, webhook))["status"] == "pending"
        await node.rest()
        assert len(node.sender.requests) == 2


async def test_an_attempt_under_way_when_its_goods_owner_is_taken_off_is_the_last_that_is_sent(
    database: Database, tmp_path: Path
):
    """U-5: the second line, for what no change of a webhook could cancel."""
    async with a_node(database, tmp_path, script=[Answered(500)]) as node:
        webhook = node.make_webhook(maxConcurrency=1).webhook["id"]
        node.sender.hold()
        events = [(await node.publish()).event_id for _ in range(3)]
        await node.until(lambda: node.sender.requests)
        await node.change_webhook(webhook, goodsOwnerIds=[FJORD])
        node.sender.let_go()
        await node.rest()
        await node.advance(3 * HOUR)
        assert len(node.sender.requests) == 1
        shown = [await node.delivery(event, webhook) for event in events]
        assert [(each["status"], each["lastCode"]) for each in shown] == [("failed", "goods_owner_removed")] * 3
        assert [attempt["code"] for attempt in shown[0]["attemptList"]] == ["http_500", "goods_owner_removed"]


async def test_a_webhook_that_changes_between_match_and_commit_is_matched_again(database: Database, tmp_path: Path):
    """The journal matched with an old state: what it would store is not what the settings say now."""
    async with a_node(database, tmp_path) as node:
        old = node.make_webhook(name="old").webhook["id"]
        await node.index.refresh(database)
        await node.napping()
        stale = node.index.state
        await database.write(lambda tx: node.webhooks.delete(tx, SYSTEM, old, now=node.clock.now()))
        new = node.make_webhook(name="new").webhook["id"]
        assert node.index.state is stale  # nobody has told this node
        raw = node.event_bytes()
        [verdict] = await node.journal.accept([node.judged(raw)])
        await node.rest()
        assert isinstance(verdict, Accepted)
        assert verdict.deliveries == 1
        assert [row["webhook_id"] for row in node.rows("SELECT webhook_id FROM deliveries")] == [new]
        assert [request.pool[0] for request in node.sender.requests] == [new]
        assert all(lane.places == 0 for lane in node.worker._lanes.values())


# Many at once.


@pytest.mark.parametrize("change", [{"enabled": False}, None], ids=["disabled", "deleted"])
async def test_a_large_backlog_follows_its_webhook_part_by_part(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any] | None
):
    """In one transaction hundreds of thousands would keep every publisher waiting."""
    monkeypatch.setattr(backlog, "AT_ONCE", 2)
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook().webhook["id"]
        put_deliveries(database, webhook, range(10, 17), due_at=node.clock.now() + HOUR)
        await node.napping()  # its heart beats next when the clock moves

        def states() -> Counter[str]:
            return Counter(row["status"] for row in node.rows("SELECT status FROM deliveries"))

        if change is None:
            assert await node.delete_webhook(webhook) == 7
        else:
            await node.change_webhook(webhook, **change)
        follows = "cancelled" if change is None else "held"
        assert states() == {"pending": 5, follows: 2}
        await node.passing(lambda: "pending" not in states())
        assert states() == {follows: 7}
        assert node.sender.requests == []
        if change is not None:
            await node.change_webhook(webhook, enabled=True)
            await node.passing(lambda: set(states()) == {"delivered"})
            order = [int(json.loads(request.body)["webhookEventId"]) for request in node.sender.requests]
            assert order == sorted(order)


async def test_saving_many_webhooks_at_once_unseals_each_as_often_as_saving_one(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """R8"""
    async with a_node(database, tmp_path, working=False) as node:
        opened = 0
        unseal = node.vault.open

        def counted(*args: Any, **named: Any) -> str:
            nonlocal opened
            opened += 1
            return unseal(*args, **named)

        monkeypatch.setattr(node.vault, "open", counted)

        def made(tx: Transaction, count: int) -> list[int]:
            now = node.clock.now()
            return [node.webhooks.create(tx, SYSTEM, a_webhook(), now=now).webhook["id"] for _ in range(count)]

        def switched(tx: Transaction, numbers: list[int], enabled: bool) -> None:
            for number in numbers:
                node.webhooks.switch(tx, SYSTEM, number, enabled=enabled, now=node.clock.now())

        async def costs(count: int) -> tuple[int, int]:
            nonlocal opened
            opened = 0
            numbers = await database.write(lambda tx: made(tx, count))
            saving = opened
            await database.write(lambda tx: switched(tx, numbers, False))
            opened = 0
            await database.write(lambda tx: switched(tx, numbers, True))
            return saving, opened

        one, thirty = await costs(1), await costs(30)
        assert thirty == (30 * one[0], 30 * one[1])


async def test_a_start_with_more_webhooks_than_are_read_at_once_knows_all_of_them(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_node(database, tmp_path) as first:
        made = [first.make_webhook().webhook["id"] for _ in range(5)]
        await first.change_webhook(made[0], name="changed last")
        monkeypatch.setattr(webhooks, "changed_since", partial(webhooks.changed_since, limit=2))
        async with a_node(database, tmp_path, number=1) as second:
            assert {number: webhook.name for number, webhook in second.index.state.webhooks.items()} == {
                number: webhook.name for number, webhook in first.index.state.webhooks.items()
            }
            assert len(second.index.state.webhooks) == 5
