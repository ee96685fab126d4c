"""A receiver that ails is left alone and comes back gently; nobody else waits for it, and no retry is spent on waiting."""

import asyncio
import itertools
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from dockbell.clock import HOUR, MINUTE, SECOND
from dockbell.domain.delivery import Answered, Unanswered
from dockbell.domain.filters import Filter
from dockbell.store import deliveries, events
from dockbell.store.database import Database, Transaction
from dockbell.store.events import EventRow
from dockbell.testing.clock import ManualClock
from tests.support.node import FJORD, TEA, Node, a_node, an_event
from tests.support.rows import an_event_row

EVERY_SECOND = {"name": "own", "stepsInSeconds": [1] * 50}
DOWN = Unanswered("connect_refused", "Connection refused")


async def fails_until_held_back(node: Node, webhook: int, *, count: int = 40) -> None:
    node.sender.answer_with(DOWN)
    await node.publish_many(*[an_event() for _ in range(count)])
    await node.until(
        lambda: node.worker._gates.room(node.index.state.webhooks[webhook], 0) == 0, what="the breaker to open"
    )
    await node.worker.quiet()


def sent_to(node: Node, webhook: int) -> int:
    return sum(request.pool[0] == webhook for request in node.sender.requests)


async def test_r5_a_receiver_that_is_down_gets_a_probe_now_and_then_and_no_retry_is_spent_on_waiting(
    database: Database, tmp_path: Path
):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as node:
        webhook = node.make_webhook(retryPolicy=EVERY_SECOND, maxConcurrency=4).webhook["id"]
        began = clock.now()
        await fails_until_held_back(node, webhook)
        assert 10 <= sent_to(node, webhook) <= 13
        await node.passing(lambda: clock.now() >= began + 10 * MINUTE, step=SECOND)
        # Half a minute, one, two, four, eight: five probes at most in ten minutes, where each second would have been one.
        assert 3 <= sent_to(node, webhook) - 13 <= 5
        made = node.rows("SELECT sum(attempts) AS n, max(attempts) AS most FROM deliveries")[0]
        assert made["n"] == sent_to(node, webhook)
        assert {row["status"] for row in node.rows("SELECT DISTINCT status FROM deliveries")} == {"pending"}


async def test_r5_what_had_a_place_when_the_breaker_opened_waits_with_the_rest(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_node(database, tmp_path) as node:
        number = node.make_webhook(retryPolicy=EVERY_SECOND).webhook["id"]
        await node.index.refresh(database)
        begun, go_on = threading.Event(), threading.Event()

        def slowly(tx: Transaction, rows: Sequence[EventRow]) -> set[int]:
            begun.set()
            go_on.wait(20)
            return events.insert(tx, rows)

        monkeypatch.setattr("dockbell.actions.commit.events", SimpleNamespace(insert=slowly))
        async with asyncio.TaskGroup() as publishing:
            publishing.create_task(node.publish_many(*[an_event() for _ in range(20)]))
            await asyncio.to_thread(begun.wait)
            for _ in range(10):
                node.worker._gates.note(node.index.state.webhooks[number], DOWN)
            go_on.set()
        await node.worker.quiet()
        assert node.sender.requests == []
        assert node.rows("SELECT DISTINCT status, failures FROM deliveries") == [{"status": "pending", "failures": 0}]


async def test_r6_a_receiver_that_is_back_gets_everything_beginning_with_one_at_a_time(
    database: Database, tmp_path: Path
):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as node:
        webhook = node.make_webhook(retryPolicy=EVERY_SECOND, maxConcurrency=8).webhook["id"]
        await fails_until_held_back(node, webhook, count=60)
        node.sender.answer_with(Answered(200))
        node.sender.hold()
        at_once: list[int] = []
        for _ in range(100):
            await node.passing(lambda: node.sender.held() or not left(node), step=SECOND)
            if not node.sender.held():
                break
            await node.napping()
            at_once.append(node.sender.held())
            node.sender.answer_held()
            await node.worker.quiet()
        assert at_once[:4] == [1, 2, 4, 8]
        assert max(at_once) == 8
        assert left(node) == 0


def left(node: Node) -> int:
    return int(node.rows("SELECT count(*) AS n FROM deliveries WHERE status <> 'delivered'")[0]["n"])


async def test_r6_who_asks_for_patience_is_met_more_slowly_and_gets_everything(database: Database, tmp_path: Path):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as node:
        webhook = node.make_webhook(retryPolicy=EVERY_SECOND, maxConcurrency=4).webhook["id"]
        node.sender.answer_with(Answered(429))
        await node.publish_many(*[an_event() for _ in range(40)])
        await node.until(
            lambda: node.worker._gates.room(node.index.state.webhooks[webhook], 0) == 0, what="the rate to be halved"
        )
        await node.worker.quiet()
        first = sent_to(node, webhook)
        assert first <= 8
        began = clock.now()
        await node.passing(lambda: clock.now() >= began + 10 * SECOND, step=SECOND // 10)
        assert sent_to(node, webhook) - first <= 10
        assert (await node.webhook(webhook))["heldBack"]["state"] == "slowed"
        node.sender.answer_with(Answered(200))
        await node.passing(lambda: left(node) == 0, step=SECOND)


async def test_r6_who_asked_for_patience_gets_its_requests_one_by_one_and_not_by_the_second(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Slowed down to thirty a second: three in each tenth, where the node looks at what is due once a second otherwise."""
    # On a crowded machine a look takes long, and the worker would nap the longer for it.
    monkeypatch.setattr("dockbell.delivery.worker.LOOKING_AT_MOST", 0)
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as node:
        webhook = node.make_webhook(retryPolicy=EVERY_SECOND, maxConcurrency=16).webhook["id"]
        await node.publish_many(*[an_event() for _ in range(60)])
        await node.until(lambda: left(node) == 0)
        node.sender.answer_with(Answered(429), Answered(200))
        await node.publish_many(*[an_event() for _ in range(120)])
        await node.until(lambda: node.worker._gates.next_in_s(webhook) < 1)
        await node.worker.quiet()
        seen = [sent_to(node, webhook)]
        for _ in range(20):
            for _ in range(2):
                await node.napping()  # or time would pass while a claim is under way, and less be sent in it
                clock.advance(SECOND // 20)
            seen.append(sent_to(node, webhook))
        in_a_tenth = [after - before for before, after in itertools.pairwise(seen)]
        assert max(in_a_tenth) <= 8
        assert sum(in_a_tenth) >= 40


async def test_r5_while_one_receiver_is_down_another_webhook_of_the_owner_is_served(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        down = node.make_webhook(retryPolicy=EVERY_SECOND).webhook["id"]
        await fails_until_held_back(node, down)
        well = node.make_webhook(name="well").webhook["id"]
        node.sender.answer_with(Answered(200))
        await node.publish_many(*[an_event() for _ in range(50)])
        await node.until(lambda: sent_to(node, well) == 50)
        assert sent_to(node, down) <= 13


async def test_r5_the_webhook_and_a_waiting_delivery_say_that_they_are_held_back_and_why(
    database: Database, tmp_path: Path
):
    clock = ManualClock()
    async with (
        a_node(database, tmp_path, clock=clock) as node,
        a_node(database, tmp_path, clock=clock, number=1) as two,
    ):
        webhook = node.make_webhook(retryPolicy=EVERY_SECOND).webhook["id"]
        assert (await node.webhook(webhook))["heldBack"] is None
        await fails_until_held_back(node, webhook)
        await node.until(lambda: node.rows("SELECT 1 AS one FROM breakers"), what="it to be written down")
        told = (await two.webhook(webhook))["heldBack"]  # whichever node is asked
        assert (told["state"], told["lastCode"], told["nodes"]) == ("open", "connect_refused", 1)
        assert told["reason"] == "The receiver failed ten times in a row."
        assert told["nextProbeAt"] > told["since"]
        [event] = node.rows("SELECT event_id FROM deliveries WHERE attempts = 0 LIMIT 1")
        shown = await two.delivery(event["event_id"], webhook)
        assert (shown["status"], shown["heldBack"], shown["attemptList"]) == ("pending", told, [])
        node.sender.answer_with(Answered(200))
        two.sender.answer_with(Answered(200))
        await node.passing(lambda: left(node) == 0, step=SECOND)
        # The other node may have sent all there was to send, so that this one had nothing to probe with.
        await node.passing(lambda: not node.rows("SELECT 1 AS one FROM breakers"), step=10 * SECOND)
        assert (await two.webhook(webhook))["heldBack"] is None


async def test_r5_who_changes_the_webhook_need_not_wait_for_the_probe(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(retryPolicy=EVERY_SECOND).webhook["id"]
        await fails_until_held_back(node, webhook)
        await node.change_webhook(webhook, timeoutInSeconds=5)
        node.sender.answer_with(Answered(200))
        event = (await node.publish()).event_id
        await node.passing(lambda: node.rows(STATUS, e=event)[0]["status"] == "delivered")
        await node.passing(lambda: not node.rows("SELECT 1 AS one FROM breakers"))


STATUS = "SELECT status FROM deliveries WHERE event_id = :e"


async def test_r5_of_a_webhook_that_is_deleted_only_what_explains_it_stays_in_memory(
    database: Database, tmp_path: Path
):
    """One goods owner's key could make and delete webhooks until the memory was full."""
    async with a_node(database, tmp_path) as node:
        node.sender.answer_with(Answered(500))
        conditions = [{"field": "data.orderId", "operator": "isNot", "value": 1}]
        header = {"name": "X-Long", "value": "x" * 1_000}
        webhook = node.make_webhook(filters={"conditions": conditions}, headers=[header]).webhook["id"]
        await node.publish()
        await node.rest()
        assert set(node.worker._gates._breakers) == {webhook}
        await node.delete_webhook(webhook)
        kept = node.index.state.webhooks[webhook]
        assert (kept.deleted, kept.own_headers, kept.masked_headers, kept.filter) == (True, (), (), Filter())
        await node.to_next_attempt()
        await node.worker._claims.claim()
        assert not node.worker._gates._breakers
        assert not node.worker._gates._versions


async def test_r5_what_a_node_knew_is_forgotten_when_it_starts_anew(database: Database, tmp_path: Path):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as node:
        webhook = node.make_webhook(retryPolicy=EVERY_SECOND).webhook["id"]
        await fails_until_held_back(node, webhook)
        await node.until(lambda: node.rows("SELECT 1 AS one FROM breakers"))
    async with a_node(database, tmp_path, clock=clock) as node:
        await node.passing(lambda: left(node) == 0, step=SECOND)
        assert (await node.webhook(webhook))["heldBack"] is None


async def test_r5_a_test_event_goes_out_though_deliveries_are_held_back(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(retryPolicy=EVERY_SECOND).webhook["id"]
        await fails_until_held_back(node, webhook)
        before = sent_to(node, webhook)
        node.sender.answer_with(Answered(200))
        await node.index.refresh(database)
        await node.journal.accept([node.judged(node.event_bytes())], test_of=node.index.state.webhooks[webhook])
        await node.until(lambda: sent_to(node, webhook) == before + 1)


# Turns.


def backlog(database: Database, webhooks: list[int], count: int, *, first: int, due_at: int) -> None:
    """So many deliveries of each webhook that have been due for long."""

    def put(tx: Transaction) -> None:
        ids = range(first, first + count)
        for at in range(0, count, 1000):
            events.insert(tx, [an_event_row(number) for number in ids[at : at + 1000]])
        for webhook in webhooks:
            for at in range(0, count, 1000):
                deliveries.insert(tx, [(number, webhook, TEA, due_at) for number in ids[at : at + 1000]])

    database.submit_write(put).result()


async def test_r5_a_goods_owner_with_100000_due_deliveries_does_not_keep_another_waiting_beyond_one_turn(
    database: Database, tmp_path: Path
):
    """Counted in claims: of 100 webhooks with 1,000 due deliveries each, at most one round is claimed before."""
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock, working=False) as node:
        noisy = [node.make_webhook(name=f"noisy {n}", maxConcurrency=64).webhook["id"] for n in range(100)]
        backlog(database, noisy, 1000, first=1, due_at=clock.now() - HOUR)
        late = node.make_webhook(name="late", goodsOwnerIds=[FJORD]).webhook["id"]
        await node.index.refresh(database)
        node.worker._slots.count = 64
        node.sender.hold()
        for _ in range(3):
            await node.worker._claim_round()
        fresh = await node.publish(goodsOwnerId=FJORD)
        await database.write(
            lambda tx: tx.run(
                "UPDATE deliveries SET status = 'pending', lease_until = 0, due_at = :now WHERE webhook_id = :late",
                now=clock.now(),
                late=late,
            )
        )
        before = claimed(node)
        order: list[int] = []
        for _ in range(20):
            leases, *_ = await node.worker._claims.claim()
            order += [lease.webhook_id for lease in leases]
            if late in order:
                break
        assert order.index(late) <= 32, "more than one turn of the other goods owner came before"
        assert claimed(node) - before <= 64 + 1
        assert fresh.deliveries == 1


def claimed(node: Node) -> int:
    return int(node.rows("SELECT count(*) AS n FROM deliveries WHERE lease_no > 0")[0]["n"])


async def test_r5_webhooks_of_one_goods_owner_take_turns_too(database: Database, tmp_path: Path):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock, working=False) as node:
        made = [node.make_webhook(name=f"number {n}", maxConcurrency=64).webhook["id"] for n in range(10)]
        backlog(database, made, 200, first=1, due_at=clock.now() - HOUR)
        node.worker._slots.count = 32
        order: list[int] = []
        for _ in range(10):
            leases, *_ = await node.worker._claims.claim()
            order += sorted({lease.webhook_id for lease in leases})
        assert sorted(order) == made, "each webhook has one turn before any has two"


async def test_r5_who_has_nothing_in_memory_gets_a_slot_though_others_keep_all_of_them_busy(
    database: Database, tmp_path: Path
):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as node:
        node.worker._slots.count = 4
        busy = [node.make_webhook(name=f"busy {n}", maxConcurrency=4).webhook["id"] for n in range(3)]
        retrying = node.make_webhook(name="retrying", goodsOwnerIds=[FJORD], retryPolicy=EVERY_SECOND).webhook["id"]
        node.sender.answer_with(Answered(500), Answered(200))
        await node.publish(goodsOwnerId=FJORD)
        await node.rest()
        node.sender.hold()
        await node.publish_many(*[an_event() for _ in range(200)])
        for _ in range(6):
            await node.napping()
            clock.advance(SECOND)
            await node.napping()
            assert node.sender.held() >= 3, "one goods owner has three of four, and the other one the rest"
            node.sender.answer_held()
        assert sent_to(node, retrying) == 2
        assert sum(sent_to(node, each) for each in busy) < 200
        node.sender.let_go()
        await node.rest()
