"""What a node knows of its attempts: which are its own, which may be another's by now, and what came of them."""

import asyncio
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from dockbell.clock import MINUTE, SECOND
from dockbell.domain.delivery import Answered, Unanswered
from dockbell.errors import Unavailable
from dockbell.store.database import Database, Transaction, Work
from dockbell.store.deliveries import rescue
from dockbell.store.sqlite import SqliteDatabase
from dockbell.testing.clock import ManualClock
from tests.support.node import Node, a_node


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


def refusing(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The store is away until that is undone; what it was asked to write."""
    asked: list[object] = []

    def refuse(work: object) -> Future[None]:
        asked.append(work)
        refused: Future[None] = Future()
        refused.set_exception(Unavailable("The store is away."))
        return refused

    monkeypatch.setattr(database, "submit_write", refuse)
    return asked


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


async def test_a_store_that_hangs_is_told_as_one_that_refuses(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_node(database, tmp_path) as node:
        await node.napping()
        hangs, go_on, write = threading.Event(), threading.Event(), database.submit_write

        def hang(work: Work[Any]) -> Future[Any]:
            def late(tx: Transaction) -> Any:
                hangs.set()
                assert go_on.wait(20)
                return work(tx)

            return write(late)

        monkeypatch.setattr(database, "submit_write", hang)

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
        asked = refusing(database, monkeypatch) if away else []
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


async def test_what_is_given_back_while_the_store_is_away_is_given_back_when_it_is_there_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_node(database, tmp_path, script=[Answered(500)]) as node:
        webhook = node.make_webhook(maxConcurrency=10).webhook["id"]
        node.sender.hold()
        *_, last = [(await node.publish()).event_id for _ in range(11)]
        await node.until(lambda: node.sender.held() == 10)
        await node.napping()
        refusing(database, monkeypatch)
        a_minute_passes(node)  # its lease ends, and
        node.sender.answer_held()  # the receiver turns out to be ill, so that the last one is given back
        assert not node.worker._lanes[webhook].waiting
        await node.napping()
        monkeypatch.undo()
        for _ in range(3):
            await node.advance(SECOND)
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
