"""The engine under load, at its end, and after a crash."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from dockbell.actions.commit import Job
from dockbell.actions.publish import Accepted
from dockbell.clock import HOUR, MINUTE, SECOND
from dockbell.delivery import brake as brake_module
from dockbell.delivery import lanes as lanes_module
from dockbell.domain.delivery import Answered, Outcome
from dockbell.errors import Unavailable
from dockbell.store.database import Database
from dockbell.store.deliveries import rescue
from dockbell.testing.clock import ManualClock
from tests.support.node import FJORD, TEA, Node, a_node, an_event


def in_flight(node: Node, webhook: int) -> int:
    return sum(attempt.job.webhook.id == webhook for attempt in node.worker._in_flight.values())


# Fairness.


async def test_a_node_never_has_more_in_flight_than_it_has_slots_and_serves_all_webhooks_in_turn(
    database: Database, tmp_path: Path
):
    async with a_node(database, tmp_path) as node:
        webhooks = [node.make_webhook(name=f"number {n}").webhook["id"] for n in range(6)]
        node.worker._slots.count = 3
        node.sender.hold()
        await node.publish_many(*[an_event() for _ in range(10)])
        served: list[int] = []
        for _ in range(20):
            await node.until(lambda: node.sender.held() == 3)
            served += [request.pool[0] for request in node.sender.requests[-3:]]
            node.sender.answer_held()
        await node.rest()
        assert set(served[:24]) == set(webhooks)
        assert {row["n"] for row in node.rows("SELECT count(*) AS n FROM attempts GROUP BY webhook_id")} == {10}


@pytest.mark.parametrize("cap", [1, 3, 8])
async def test_a_webhook_never_has_more_in_flight_than_it_may(database: Database, tmp_path: Path, cap: int):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(maxConcurrency=cap).webhook["id"]
        node.sender.hold()
        await node.publish_many(*[an_event() for _ in range(60)])
        seen = 0
        for _ in range(1000):
            await node.passing(lambda: node.sender.held() == min(cap, 60 - seen))  # noqa: B023
            assert in_flight(node, webhook) <= cap
            seen += node.sender.held()
            node.sender.answer_held()
            if seen == 60:
                break
        await node.rest()
        assert len({request.headers for request in node.sender.requests}) == 60
        assert {row["status"] for row in node.rows("SELECT status FROM deliveries")} == {"delivered"}


async def test_one_slow_receiver_keeps_no_one_else_waiting(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        slow = node.make_webhook(name="slow").webhook["id"]
        quick = node.make_webhook(name="quick", goodsOwnerIds=[FJORD]).webhook["id"]
        node.sender.hold(lambda request: request.pool[0] == slow)
        await node.publish_many(*[an_event() for _ in range(200)])
        await node.publish_many(*[an_event(goodsOwnerId=FJORD) for _ in range(200)])
        done = "SELECT count(*) AS n FROM deliveries WHERE webhook_id = :w AND status = 'delivered'"
        await node.passing(lambda: node.rows(done, w=quick)[0]["n"] == 200)
        assert in_flight(node, slow) == 4
        node.sender.let_go()
        await node.rest()


async def test_r5_one_goods_owners_hanging_receivers_leave_slots_and_memory_to_the_others(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Forty webhooks with sixteen attempts each would fill a node of 64 slots, and a memory of 200 places, many times over."""
    monkeypatch.setattr(lanes_module, "MOST_IN_MEMORY", 200)
    async with a_node(database, tmp_path) as node:
        node.worker._slots.count = 64
        greedy = {node.make_webhook(name=f"hangs {n}", maxConcurrency=16).webhook["id"] for n in range(40)}
        well = node.make_webhook(name="well", goodsOwnerIds=[FJORD]).webhook["id"]
        node.sender.hold(lambda request: request.pool[0] in greedy)
        await node.publish_many(*[an_event() for _ in range(20)])
        await node.until(lambda: node.sender.held() >= 48)
        await node.napping()
        assert node.sender.held() == 48
        assert node.worker._lanes.places <= 150
        for _ in range(3):
            await node.publish_many(*[an_event(goodsOwnerId=FJORD) for _ in range(10)])
        done = "SELECT count(*) AS n FROM deliveries WHERE webhook_id = :w AND status = 'delivered'"
        await node.until(lambda: node.rows(done, w=well)[0]["n"] == 30, what="the other goods owner to be served")
        assert node.sender.held() == 48
        node.sender.let_go()
        await node.rest()
        assert {row["status"] for row in node.rows("SELECT status FROM deliveries")} == {"delivered"}


async def test_who_waits_for_a_slot_gets_one_though_others_never_run_out_of_work(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        node.worker._slots.count = 1
        busy = node.make_webhook(name="busy", maxConcurrency=1).webhook["id"]
        patient = node.make_webhook(name="patient", goodsOwnerIds=[FJORD]).webhook["id"]
        node.sender.hold()
        await node.publish_many(*[an_event() for _ in range(100)])
        await node.until(lambda: node.sender.held() == 1)
        await node.publish(goodsOwnerId=FJORD)
        await node.until(lambda: node.worker._lanes[patient].waiting)
        for _ in range(3):
            node.sender.answer_held()
        assert [request.pool[0] for request in node.sender.requests].count(patient) == 1
        assert [request.pool[0] for request in node.sender.requests].count(busy) >= 2
        node.sender.let_go()
        await node.rest()


@pytest.mark.parametrize("bound", ["AHEAD", "MOST_IN_MEMORY"])
async def test_what_finds_no_room_in_memory_is_delivered_all_the_same_and_in_order(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str
):
    monkeypatch.setattr(lanes_module, bound, 16)
    async with a_node(database, tmp_path) as node:
        node.make_webhook(maxConcurrency=1)
        events = [(await node.publish()).event_id for _ in range(120)]
        await node.rest()
        sent = [int(row["event_id"]) for row in node.rows("SELECT event_id FROM attempts ORDER BY event_id")]
        assert sent == events
        assert len(node.sender.requests) == 120


async def test_what_was_for_a_url_that_todays_rules_refuse_goes_to_the_new_one(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(targetUrl="http://127.0.0.1:8999/hook").webhook["id"]
        node.index._addresses = type(node.addresses)(allow_loopback=False)
        node.index.state = type(node.index)(node.index._built_in, node.vault, node.addresses).state
        event = (await node.publish()).event_id
        await node.rest()
        shown = await node.delivery(event, webhook)
        assert (shown["status"], shown["lastCode"]) == ("pending", "url_refused")
        assert shown["attemptList"][0]["detail"]
        assert node.sender.requests == []
        await node.change_webhook(webhook, targetUrl="https://hooks.example.com/mended")
        assert await node.to_next_attempt()
        assert await node.status(event, webhook) == "delivered"
        assert [request.url.text for request in node.sender.requests] == ["https://hooks.example.com/mended"]


async def test_an_outcome_that_nobody_waits_for_is_dropped(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        node.make_webhook()
        await node.publish()
        await node.rest()
        node.worker.outcomes([((1, 1, 1), Answered(200))])
        await node.rest()
        assert len(node.rows("SELECT 1 AS one FROM attempts")) == 1


# Ends.


async def test_a_node_that_stops_ends_what_is_in_flight_and_gives_back_the_rest(database: Database, tmp_path: Path):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as node:
        webhook = node.make_webhook(maxConcurrency=2).webhook["id"]
        node.sender.hold()
        await node.publish_many(*[an_event() for _ in range(10)])
        await node.until(lambda: node.sender.held() == 2)
        stopping = asyncio.ensure_future(node.worker.stop())
        await node.until(lambda: not any(lane.waiting for lane in node.worker._lanes.values()))
        assert not stopping.done()
        node.sender.let_go()
        await stopping
        assert clock.now() == ManualClock().now()  # it did not wait for the grace to pass
        by_status = {
            row["status"]: row["n"] for row in node.rows("SELECT status, count(*) AS n FROM deliveries GROUP BY 1")
        }
        assert by_status == {"delivered": 2, "pending": 8}
        assert {row["attempts"] for row in node.rows("SELECT attempts FROM deliveries WHERE status = 'pending'")} == {0}
        assert len(node.sender.requests) == 2
        node.journal.stop()
        with pytest.raises(Unavailable, match="stopping"):
            await node.publish()
    async with a_node(database, tmp_path, clock=clock, number=1) as next_node:
        await next_node.rest()
        assert len(next_node.sender.requests) == 8
        assert {row["code"] for row in next_node.rows("SELECT code FROM attempts")} == {"delivered"}
        assert len(next_node.rows("SELECT 1 AS one FROM attempts WHERE webhook_id = :w", w=webhook)) == 10


async def test_an_event_accepted_in_the_moment_of_stopping_is_given_back_too(database: Database, tmp_path: Path):
    """Its delivery was born leased to a worker that takes nothing more."""
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook().webhook["id"]
        await node.index.refresh(database)
        await node.napping()
        hand_over = node.worker.take
        late: list[Sequence[Job]] = []
        node.worker.take = late.append  # type: ignore[method-assign, assignment]
        [accepted] = await node.journal.accept([node.judged(node.event_bytes())])
        stopping = asyncio.ensure_future(node.worker.stop())
        await node.until(lambda: node.worker._stopping)
        for jobs in late:
            hand_over(jobs)
        await stopping
        shown = await node.delivery(accepted.event_id, webhook)  # type: ignore[union-attr]
        assert (shown["status"], shown["attempts"], shown["attemptList"]) == ("pending", 0, [])
        assert node.sender.requests == []


async def test_what_is_in_flight_when_a_node_stops_keeps_its_lease_until_it_ends(database: Database, tmp_path: Path):
    """Or another node would take it up while it is still being sent, in a grace that is longer than a lease."""
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as node:
        node.make_webhook(timeoutInSeconds=5)
        node.sender.hold()
        await node.publish()
        await node.until(lambda: node.sender.held() == 1)
        await node.napping()
        stopping = asyncio.ensure_future(node.worker.stop(grace_s=100_000))
        await node.until(lambda: node.worker._stopping and clock.sleepers() >= 1)
        lease = "SELECT lease_until FROM deliveries WHERE status = 'sending'"
        for _ in range(12):  # a store that is slow must have written before time goes on
            soon = clock.now() + 5 * SECOND
            await node.passing(lambda soon=soon: clock.now() >= soon, step=SECOND)  # type: ignore[misc]
            await node.passing(
                lambda: [row for row in node.rows(lease) if row["lease_until"] > clock.now() + 5 * SECOND],
                step=SECOND // 10,
            )
        node.sender.let_go()
        await stopping
        assert [row["status"] for row in node.rows("SELECT status FROM deliveries")] == ["delivered"]


async def test_the_grace_of_a_stop_ends_and_what_was_cut_short_is_made_again(database: Database, tmp_path: Path):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as node:
        webhook = node.make_webhook().webhook["id"]
        node.sender.hold()
        event = (await node.publish()).event_id
        await node.until(lambda: node.sender.held() == 1)
        await node.napping()
        stopping = asyncio.ensure_future(node.worker.stop(grace_s=20))
        await node.until(lambda: node.worker._stopping and clock.sleepers() >= 1)
        await node.passing(stopping.done, step=SECOND)
    await after_a_crash(database, tmp_path, clock, event, webhook, codes=["interrupted", "delivered"])


async def test_an_attempt_that_outlives_its_lease_and_the_one_made_instead_both_end(database: Database, tmp_path: Path):
    """The late outcome changes nothing but the log, and the webhook's places are all free again."""
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as node:
        webhook = node.make_webhook().webhook["id"]
        node.sender.hold()
        event = (await node.publish()).event_id
        await node.until(lambda: node.sender.held() == 1)
        await database.write(lambda tx: rescue(tx, now=clock.now() + HOUR))
        clock.advance(HOUR)
        await node.passing(lambda: node.sender.held() == 2)
        assert in_flight(node, webhook) == 2
        node.sender.answer_with(Answered(500))
        node.sender.let_go()
        await node.rest()
        shown = await node.delivery(event, webhook)
        assert (shown["status"], shown["attempts"]) == ("delivered", 2)
        assert all(lane.places == lane.in_flight == 0 for lane in node.worker._lanes.values())


# Crashes.


async def after_a_crash(
    database: Database,
    folder: Path,
    clock: ManualClock,
    event: int,
    webhook: int,
    *,
    codes: list[str],
    outcome: Outcome | None = None,
) -> None:
    """Another node starts; the dead one's lease runs out; what was under way shows and is made again."""
    script = [] if outcome is None else [outcome]
    async with a_node(database, folder, clock=clock, number=1, script=script) as node:
        await node.passing(lambda: node.rows("SELECT ended_at FROM deliveries")[0]["ended_at"] is not None, step=SECOND)
        await node.rest()
        shown = await node.delivery(event, webhook)
        assert [attempt["code"] for attempt in shown["attemptList"]] == codes
        assert [attempt["attemptNo"] for attempt in shown["attemptList"]] == list(range(1, len(codes) + 1))
        assert len(node.sender.requests) == 1


@pytest.mark.parametrize("policy", ["none", "one-day"])
@pytest.mark.parametrize("outcome", [Answered(200), Answered(410)], ids=["delivered", "failed"])
async def test_an_attempt_that_a_crash_cut_off_shows_as_interrupted_and_is_made_again(
    database: Database, tmp_path: Path, policy: str, outcome: Answered
):
    """Also without retries: nobody knows whether the receiver got it, and at least once is the promise."""
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as node:
        webhook = node.make_webhook(retryPolicy={"name": policy}).webhook["id"]
        node.sender.hold()
        event = (await node.publish()).event_id
        await node.until(lambda: node.sender.held() == 1)
        body = node.sender.requests[0].body
        shown = await node.delivery(event, webhook)
        assert (shown["status"], shown["attemptList"][0]["code"]) == ("sending", "sending")
    assert body
    codes = ["interrupted", "delivered" if outcome.status == 200 else "http_410"]
    await after_a_crash(database, tmp_path, clock, event, webhook, codes=codes, outcome=outcome)


async def test_a_lease_is_extended_only_when_its_attempt_outlives_its_timeout(database: Database, tmp_path: Path):
    """Or what a node that dies was sending would wait for so much longer."""
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as node:
        node.make_webhook(timeoutInSeconds=5)
        node.sender.hold()
        await node.publish()
        await node.until(lambda: node.sender.held() == 1)
        ends = "SELECT lease_until FROM deliveries"
        [first] = node.rows(ends)
        for passed in range(1, 9):
            await node.napping()
            clock.advance(SECOND)
            await node.napping()
            assert (node.rows(ends) == [first]) == (passed <= 5), passed
        node.sender.let_go()
        await node.rest()


async def test_a_living_node_keeps_the_leases_of_slow_attempts(database: Database, tmp_path: Path):
    """Two nodes: the second must not take over what the first still works on, however long it takes."""
    clock = ManualClock()
    async with (
        a_node(database, tmp_path, clock=clock) as slow,
        a_node(database, tmp_path, clock=clock, number=1) as other,
    ):
        webhook = slow.make_webhook().webhook["id"]
        slow.sender.hold()
        event = (await slow.publish()).event_id
        await slow.until(lambda: slow.sender.held() == 1)
        for _ in range(24):
            await slow.until(lambda: clock.sleepers() >= 4, what="both nodes' regular looks")
            clock.advance(5 * SECOND)
        slow.sender.let_go()
        await slow.rest()
        assert other.sender.requests == []
        shown = await slow.delivery(event, webhook)
        assert [attempt["code"] for attempt in shown["attemptList"]] == ["delivered"]


async def test_two_nodes_share_the_work_and_do_none_of_it_twice(database: Database, tmp_path: Path):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock) as one, a_node(database, tmp_path, clock=clock, number=1) as two:
        one.make_webhook(maxConcurrency=64)
        one.make_webhook(kind="automation", goodsOwnerIds=[TEA, FJORD], maxConcurrency=3)
        await asyncio.gather(*(node.publish_many(*[an_event() for _ in range(60)]) for node in (one, two)))
        await one.passing(lambda: not one.rows("SELECT 1 AS one FROM deliveries WHERE status <> 'delivered' LIMIT 1"))
        assert len(one.sender.requests) + len(two.sender.requests) == 240
        assert len({row["event_id"] for row in one.rows("SELECT event_id FROM attempts")}) == 120


async def test_a_node_that_was_away_for_hours_finds_what_is_due(database: Database, tmp_path: Path):
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock, script=[Answered(500)]) as node:
        webhook = node.make_webhook().webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
    clock.advance(5 * HOUR)
    async with a_node(database, tmp_path, clock=clock, number=1) as node:
        await node.rest()
        assert await node.status(event, webhook) == "delivered"


async def test_a_webhook_with_no_node_working_keeps_everything_pending(database: Database, tmp_path: Path):
    """A node that only accepts: what it cannot send is there for the next one."""
    clock = ManualClock()
    async with a_node(database, tmp_path, clock=clock, working=False) as node:
        webhook = node.make_webhook().webhook["id"]
        await node.worker.stop()
        event = (await node.publish()).event_id
        assert await node.status(event, webhook) == "pending"
    clock.advance(MINUTE)
    async with a_node(database, tmp_path, clock=clock, number=1) as node:
        await node.rest()
        assert await node.status(event, webhook) == "delivered"


# The brake.


async def test_publishers_are_held_back_while_the_node_is_behind_and_then_no_more(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The real brake behind the real worker; only what it takes for much, and for busy, is less here."""
    for name, value in {"ENOUGH": 20, "BUSY": 0.0, "LOOKED_EVERY_S": 0.0, "LONGEST_S": 30.0}.items():
        monkeypatch.setattr(brake_module, name, value)
    async with a_node(database, tmp_path) as node:
        node.make_webhook(maxConcurrency=64)
        node.make_webhook(goodsOwnerIds=[FJORD])
        await node.publish_many(an_event(), an_event(goodsOwnerId=FJORD))
        await node.rest()
        node.sender.hold()
        await node.publish_many(*[an_event() for _ in range(150)])
        await node.until(lambda: node.sender.held() == 64)
        await node.publish(goodsOwnerId=FJORD)  # which ends a commit, so that the brake looks
        waiting = asyncio.create_task(node.publish())
        stored = "SELECT count(*) AS n FROM events"
        await node.until(lambda: node.rows(stored)[0]["n"] == 154)
        for _ in range(2):
            assert isinstance(await node.publish(goodsOwnerId=FJORD), Accepted), "who has less does not wait"
        assert not waiting.done(), "it is on disk, and not answered yet"
        node.sender.let_go()
        await node.rest()
        assert isinstance(await asyncio.wait_for(node.publish(), 10), Accepted)
        waiting.cancel()
