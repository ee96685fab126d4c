"""What is due is claimed beside publishers: they wait for short claims, and for none where there is nothing to claim."""

from pathlib import Path
from typing import Any

import pytest

from dockbell.clock import HOUR
from dockbell.delivery.claims import CLAIM_AT_ONCE, WEBHOOKS_A_CLAIM
from dockbell.store import deliveries, events
from dockbell.store.database import Database, Transaction, Work
from dockbell.testing.clock import ManualClock
from tests.support.node import TEA, Node, a_node, an_event
from tests.support.rows import an_event_row


async def with_due(node: Node, database: Database, clock: ManualClock, *, webhooks: int, each: int) -> list[int]:
    """Webhooks with so many deliveries that are due each, oldest first."""
    made = [node.make_webhook(name=f"number {n}", maxConcurrency=64).webhook["id"] for n in range(webhooks)]

    def put(tx: Transaction) -> None:
        events.insert(tx, [an_event_row(number) for number in range(1, each + 1)])
        for webhook in made:
            deliveries.insert(tx, [(number, webhook, TEA, clock.now() - HOUR) for number in range(1, each + 1)])

    await database.write(put)
    await node.index.refresh(database)
    return made


async def test_a_claim_takes_little_while_publishers_wait_for_the_store(database: Database, tmp_path: Path):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock, working=False) as node:
        other = node.make_webhook(name="other", eventType="inventory.performed").webhook["id"]
        made = await with_due(node, database, clock, webhooks=10, each=100)
        claims = node.worker._claims

        leases, *_ = await claims.claim()
        assert {lease.webhook_id for lease in leases} == set(made[:WEBHOOKS_A_CLAIM])

        await node.publish(type="inventory.performed")
        leases, *_ = await claims.claim()
        assert [lease.webhook_id for lease in leases] == [made[WEBHOOKS_A_CLAIM]] * CLAIM_AT_ONCE

        leases, *_ = await claims.claim()
        assert len({lease.webhook_id for lease in leases}) > 1, "nobody published since the last claim"

        await node.publish(type="inventory.performed")
        await node.publish()
        leases, *_ = await claims.claim()
        assert len({lease.webhook_id for lease in leases}) > 1, (
            "the second one's deliveries wait behind what is claimed"
        )
        assert other not in {lease.webhook_id for lease in leases}


async def test_where_nothing_may_be_claimed_nothing_is_written(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock, working=False) as node:
        [webhook] = await with_due(node, database, clock, webhooks=1, each=5)
        claims = node.worker._claims
        await node.worker._gates.write(database)
        submit, written = type(database).submit_write, 0

        def counting(itself: Database, work: Work[Any]) -> Any:
            nonlocal written
            written += 1
            return submit(itself, work)

        monkeypatch.setattr(type(database), "submit_write", counting)
        with monkeypatch.context() as shut:
            shut.setattr(node.worker._gates, "room", lambda _webhook, _busy: 0)
            for _ in range(3):
                assert (await claims.claim())[0] == []
        assert written == 0
        leases, rows, *_ = await claims.claim()
        assert [lease.webhook_id for lease in leases] == [webhook] * 5
        assert sorted(rows) == [1, 2, 3, 4, 5]
        assert written == 1


def hold_elsewhere(database: Database, clock: ManualClock, webhooks: list[int]) -> None:
    """Another node leases as much as each webhook's receiver is to get at once, and is not heard of again."""

    def take(tx: Transaction) -> None:
        for webhook in webhooks:
            until = clock.now() + HOUR
            deliveries.claim_due(tx, webhook_id=webhook, now=clock.now(), lease_until=until, node=99, limit=64)

    database.submit_write(take).result()


async def test_fresh_events_do_not_wait_behind_what_another_node_holds(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock, working=False) as node:
        held, free = await with_due(node, database, clock, webhooks=2, each=70)
        hold_elsewhere(database, clock, [held])
        claims, behind = node.worker._claims, list[set[int]]()
        lease = claims._lease

        def while_leasing(*arguments: Any) -> Any:
            behind.append(set(claims.behind))
            return lease(*arguments)

        monkeypatch.setattr(claims, "_lease", while_leasing)
        for _ in range(3):
            leases, *_ = await claims.claim()
            assert {lease.webhook_id for lease in leases} <= {free}
            fresh = node.worker.reserve(node.index.state.webhooks[held], now=clock.now())
            assert fresh is not None
            node.worker.unreserve(held)
        assert behind == [{held, free}, {free}, {free}], "known after the first time, and while it is asked again"


async def test_webhooks_whose_places_are_taken_keep_no_other_waiting(database: Database, tmp_path: Path):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock, working=False) as node:
        *full, elsewhere, free = await with_due(node, database, clock, webhooks=22, each=66)
        hold_elsewhere(database, clock, [elsewhere])
        for webhook in full:
            for _ in range(64):
                node.worker._lanes.take_place(node.worker._lanes.of(node.index.state.webhooks[webhook]), 1)
        node.worker._lanes._shares.count = 100_000
        leases, *_ = await node.worker._claims.claim()
        assert {lease.webhook_id for lease in leases} == {free}


async def test_what_finds_no_place_is_told_to_the_brake_until_it_was_taken_back(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        node.make_webhook(maxConcurrency=64)
        lanes = node.worker._lanes
        lanes._shares.count = 20
        node.sender.hold()
        await node.publish_many(*[an_event() for _ in range(60)])
        await node.until(lambda: node.sender.held() >= 15)
        await node.publish_many(*[an_event() for _ in range(60)])
        assert lanes.overflow >= 60
        node.sender.let_go()
        await node.rest()
        assert lanes.overflow == 0


async def test_what_is_claimed_and_what_is_no_longer_due_overflows_no_more(database: Database, tmp_path: Path):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock, working=False) as node:
        [webhook] = await with_due(node, database, clock, webhooks=1, each=100)
        lanes = node.worker._lanes
        for _ in range(100):
            lanes.overflows(webhook)
            lanes.overflows(webhook + 1)  # that another node has claimed
        leases, *_ = await node.worker._claims.claim()
        assert len(leases) == CLAIM_AT_ONCE
        assert lanes.overflow == lanes.overflow_of(webhook) == 100 - CLAIM_AT_ONCE


async def test_what_waits_for_its_receiver_does_not_overflow_the_node(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        node.make_webhook(maxConcurrency=2)
        node.sender.hold()
        for _ in range(3):
            await node.publish_many(*[an_event() for _ in range(100)])
            await node.until(lambda: node.sender.held() == 2)
        assert node.rows("SELECT count(*) AS n FROM deliveries WHERE status = 'pending'")[0]["n"] >= 40
        assert node.worker._lanes.overflow == 0
        node.sender.let_go()
        await node.rest()
