"""The engine under load, at its end, and after a crash."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from dockbell.actions.commit import Job
from dockbell.actions.publish import Accepted
from dockbell.clock import HOUR, MINUTE, SECOND
from dockbell.delivery import brake as brake_module
from dockbell.delivery import lanes as lanes_module
from dockbell.domain.delivery import Answered, Outcome, Unanswered
from dockbell.errors import Unavailable
from dockbell.store.database import Database, Transaction, Work
from dockbell.store.deliveries import rescue
from dockbell.store.sqlite import SqliteDatabase
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


async def test_a_webhook_whose_url_is_refused_by_todays_rules_fails_with_the_reason(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(targetUrl="http://127.0.0.1:8999/hook").webhook["id"]
        node.index._addresses = type(node.addresses)(allow_loopback=False)
        node.index.state = type(node.index)(node.index._built_in, node.vault, node.addresses).state
        event = (await node.publish()).event_id
        await node.rest()
        shown = await node.delivery(event, webhook)
        assert (shown["status"], shown["lastCode"]) == ("failed", "url_refused")
        assert shown["attemptList"][0]["detail"]
        assert node.sender.requests == []


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


# What is known and what is not.


async def test_r3_an_outcome_keeps_its_lease_until_it_is_on_disk(database: Database, tmp_path: Path):
    """However long the store takes: else this very node would write its own attempt off and make another."""
    async with a_node(database, tmp_path) as node:
        node.make_webhook()
        node.sender.hold()
        await node.publish()
        await node.until(lambda: node.sender.held() == 1)
        (lease,) = node.worker._ours()
        node.sender.answer_held()
        on_disk = "SELECT 1 AS one FROM deliveries WHERE status = 'delivered'"
        looks = []

        def is_ours_until_on_disk() -> bool:
            looks.append(lease in list(node.worker._ours()) or bool(node.rows(on_disk)))
            return bool(node.rows(on_disk))

        await node.until(is_ours_until_on_disk)
        assert len(looks) > 1
        assert all(looks)
        await node.rest()
        assert list(node.worker._ours()) == []


async def sent_once(node: Node) -> None:
    """What was published is delivered, each by one request, and nothing was written off meanwhile."""
    await node.passing(lambda: not node.rows("SELECT 1 AS one FROM deliveries WHERE status <> 'delivered' LIMIT 1"))
    assert {row["code"] for row in node.rows("SELECT code FROM attempts")} == {"delivered"}
    [deliveries] = node.rows("SELECT count(*) AS n FROM deliveries")
    assert len(node.sender.requests) == deliveries["n"]


def a_minute_passes(node: Node) -> None:
    """Enough for every lease to end."""
    assert isinstance(node.clock, ManualClock)
    node.clock.advance(MINUTE)


async def heart_beats(node: Node) -> asyncio.Task[None]:
    """The heartbeat has looked, and what it writes is written or, on SQLite, waits for what the store writes."""
    beat = asyncio.create_task(node.worker._heartbeat._beat(is_round=False))
    waits = node.database._jobs.qsize if isinstance(node.database, SqliteDatabase) else beat.done
    before = waits()
    await node.until(lambda: waits() > before)
    return beat


async def test_r3_a_commit_whose_answer_outlasts_its_leases_is_sent_once(database: Database, tmp_path: Path):
    """The store hangs, or the machine is paused, in that very moment."""
    async with a_node(database, tmp_path) as node:
        node.make_webhook()
        await node.napping()
        on_disk, go_on, written = threading.Event(), threading.Event(), node.journal._written

        def written_late(done: Future[None]) -> None:
            on_disk.set()
            assert go_on.wait(20)
            written(done)

        node.journal._written = written_late  # type: ignore[method-assign]
        publishing = asyncio.create_task(node.publish())
        await node.until(on_disk.is_set)
        a_minute_passes(node)
        beat = await heart_beats(node)
        go_on.set()
        await asyncio.gather(publishing, beat)
        await sent_once(node)


async def test_r3_what_was_leased_behind_a_store_that_hangs_is_sent_once(database: Database, tmp_path: Path):
    """Also what came after the heartbeat had looked, and is written before it."""
    async with a_node(database, tmp_path) as node:
        node.make_webhook()
        await node.napping()
        await node.index.refresh(database)
        hangs, go_on = threading.Event(), threading.Event()

        def hang(_: Transaction) -> None:
            hangs.set()
            assert go_on.wait(20)

        hanging = database.submit_write(hang)
        await node.until(hangs.is_set)
        publishing = [asyncio.create_task(node.journal.accept([node.judged(node.event_bytes())]))]
        await node.until(lambda: node.journal._is_busy or publishing[0].done())
        beat = await heart_beats(node)
        publishing.append(asyncio.create_task(node.journal.accept([node.judged(node.event_bytes())])))
        await node.until(lambda: publishing[1].done() or len(node.journal._requests) == 2)
        a_minute_passes(node)
        go_on.set()
        await asyncio.gather(beat, asyncio.wrap_future(hanging), *publishing)
        await sent_once(node)


async def test_r3_a_claim_whose_answer_outlasts_its_leases_is_sent_once(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path, script=[Unanswered("timeout"), Answered(200)]) as node:
        webhook = node.make_webhook(retryPolicy={"name": "own", "stepsInSeconds": [60] * 5}).webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        leased, go_on = node.hear_late_of_claims()
        a_minute_passes(node)  # the retry is due
        await leased.wait()
        a_minute_passes(node)
        await node.worker._heartbeat._beat(is_round=False)
        go_on.set()
        await node.advance(SECOND)
        shown = await node.delivery(event, webhook)
        assert [attempt["code"] for attempt in shown["attemptList"]] == ["timeout", "delivered"]
        assert len(node.sender.requests) == 2


async def test_a_store_that_hangs_is_told_as_one_that_refuses(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        await node.napping()
        hangs, go_on, write = threading.Event(), threading.Event(), database.submit_write

        def hang(work: Work[Any]) -> Future[Any]:
            def late(tx: Transaction) -> Any:
                hangs.set()
                assert go_on.wait(20)
                return work(tx)

            return write(late)

        database.submit_write = hang  # type: ignore[method-assign]

        def told() -> list[str]:
            return [refused.message for refused in [node.worker.refused] if refused is not None]

        a_minute_passes(node)
        await node.until(hangs.is_set)
        assert told() == []
        a_minute_passes(node)
        assert told() == ["The store has not taken a write for 60 seconds."]
        go_on.set()
        await node.until(lambda: told() == [])


@pytest.mark.parametrize("is_extended", [False, True], ids=["before its first beat", "and its heart beats first"])
async def test_r3_what_waited_in_a_node_that_slept_is_left_to_whoever_took_it_over(
    database: Database, tmp_path: Path, is_extended: bool
):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(maxConcurrency=1).webhook["id"]
        node.sender.hold()
        first, second = [(await node.publish()).event_id for _ in range(2)]
        await node.until(lambda: node.sender.held() == 1)
        assert [job.lease.event_id for job in node.worker._lanes[webhook].waiting] == [second]
        a_minute_passes(node)  # it sleeps: nothing of it runs, and another node takes over
        now = node.clock.now()
        database.submit_write(lambda tx: rescue(tx, now=now, leased_until=now)).result()
        if is_extended:
            await node.worker._heartbeat._beat(is_round=False)
        node.sender.let_go()
        await node.advance(SECOND)  # its heart beats
        sent = [request.headers for request in node.sender.requests]
        assert len(sent) == 3, "the first one twice: when it fell asleep, that was under way"
        shown = await node.delivery(second, webhook)
        assert (shown["status"], [each["code"] for each in shown["attemptList"]]) == (
            "delivered",
            ["interrupted", "delivered"],
        )
        assert (await node.status(first, webhook)) == "delivered"
        assert all(lane.places == lane.in_flight == 0 for lane in node.worker._lanes.values())


@pytest.mark.parametrize("away", [False, True], ids=["it slept", "its store was away"])
async def test_what_nobody_took_over_is_sent_with_the_first_beat_and_no_other_attempt_is_told_of(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: bool
):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(maxConcurrency=1).webhook["id"]
        node.sender.hold()
        first, *others = [(await node.publish()).event_id for _ in range(20)]
        await node.until(lambda: node.sender.held() == 1)
        await node.napping()
        asked: list[object] = []

        def refuse(work: object) -> Future[None]:
            asked.append(work)
            refused: Future[None] = Future()
            refused.set_exception(Unavailable("The store is away."))
            return refused

        if away:
            monkeypatch.setattr(database, "submit_write", refuse)
        a_minute_passes(node)
        node.sender.let_go()
        if away:
            await node.napping()
            assert len(asked) < 10, "not each of them asks a store that is away"
            assert node.worker._lanes[webhook].places == 20
            monkeypatch.undo()
        await node.worker._heartbeat._beat(is_round=False)
        for _ in range(3):
            await node.advance(SECOND)
        assert len(node.sender.requests) == 20
        for event in (first, *others):
            shown = await node.delivery(event, webhook)
            assert (shown["status"], [each["code"] for each in shown["attemptList"]]) == ("delivered", ["delivered"])
        assert all(lane.places == lane.in_flight == 0 for lane in node.worker._lanes.values())


async def test_what_is_being_given_back_is_not_written_off_meanwhile(database: Database, tmp_path: Path):
    """Its lease may have run out: the heartbeat, if it comes first, must know that nothing was sent with it."""
    async with a_node(database, tmp_path, script=[Answered(500)]) as node:
        webhook = node.make_webhook(maxConcurrency=10).webhook["id"]
        node.sender.hold()
        *_, last = [(await node.publish()).event_id for _ in range(11)]
        await node.until(lambda: node.sender.held() == 10)
        await node.napping()
        a_minute_passes(node)  # both at once: its heart beats, and
        node.sender.answer_held()  # the receiver turns out to be ill, so that the last one is given back
        assert not node.worker._lanes[webhook].waiting
        await node.worker.quiet()
        shown = await node.delivery(last, webhook)
        assert (shown["status"], shown["attempts"], shown["attemptList"]) == ("pending", 0, [])


async def test_r4_a_kept_connection_that_had_ended_is_an_attempt_of_its_own_and_no_failure(
    database: Database, tmp_path: Path
):
    ended = Unanswered("connection_ended")
    async with a_node(database, tmp_path, script=[ended, Answered(200)]) as node:
        webhook = node.make_webhook(retryPolicy={"name": "none"}).webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        shown = await node.delivery(event, webhook)
        assert [attempt["code"] for attempt in shown["attemptList"]] == ["connection_ended", "delivered"]


async def test_r4_what_was_resent_may_meet_a_connection_that_had_ended_as_well(database: Database, tmp_path: Path):
    """Counted by its attempts, a delivery that had been resent four times failed at once."""
    answers = [Answered(200)] * 5 + [Unanswered("connection_ended"), Answered(200)]
    async with a_node(database, tmp_path, script=answers) as node:
        webhook = node.make_webhook(retryPolicy={"name": "none"}).webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        for _ in range(5):
            await node.resend(event, webhook)
            await node.rest()
        shown = await node.delivery(event, webhook)
        assert [attempt["code"] for attempt in shown["attemptList"]][-2:] == ["connection_ended", "delivered"]
        assert node.worker._met_ended == {}


async def test_r4_a_receiver_that_ends_one_kept_connection_after_the_other_has_failed(
    database: Database, tmp_path: Path
):
    async with a_node(database, tmp_path, script=[Unanswered("connection_ended")] * 9) as node:
        webhook = node.make_webhook(retryPolicy={"name": "none"}).webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        shown = await node.delivery(event, webhook)
        assert [attempt["code"] for attempt in shown["attemptList"]] == ["connection_ended"] * 3 + ["connection_reset"]
        assert shown["status"] == "failed"


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
