"""Clocks that are set: what waits keeps its intervals, whichever way the clock went."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dockbell.actions import failing, statistics
from dockbell.actions.clock_jump import follow
from dockbell.actions.retention import Retention
from dockbell.clock import DAY, HOUR, MINUTE, SECOND, SystemClock
from dockbell.domain.delivery import Answered
from dockbell.store import backlog, clock_jump, deliveries, events
from dockbell.store import failing as failing_store
from dockbell.store.database import Database, Transaction, open_database
from dockbell.store.postgres import PostgresDatabase
from dockbell.store.webhook_hours import Health
from dockbell.testing.clock import ManualClock
from tests.support.node import Node, a_node
from tests.support.rows import (
    NOW,
    a_failure,
    an_event_row,
    claim,
    close,
    put_deliveries,
    put_goods_owners,
    put_webhook,
    rows_of,
    the_delivery,
    write,
)


class SetClock(SystemClock):
    """A machine whose clock the test sets and whose time the test lets pass."""

    def __init__(self) -> None:
        self.wall = NOW
        self.passed = 0
        super().__init__()

    def _wall(self) -> int:
        return self.wall

    def _steady(self) -> int:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.let_pass(int(seconds * SECOND))

    def let_pass(self, span: int) -> None:
        self.wall += span
        self.passed += span


@pytest.fixture
def store(database: Database) -> Database:
    put_goods_owners(database)
    put_webhook(database, 1)
    return database


def a_retry(database: Database, event_id: int, *, due_in: int) -> None:
    """A delivery whose first attempt, an hour ago, failed."""
    put_deliveries(database, 1, [event_id], due_at=NOW - HOUR)
    [lease] = claim(database, 1, now=NOW - HOUR)
    close(database, a_failure(lease, again_at=NOW + due_in))


async def on_a_node(database: Database, clock: SetClock, *, alone: bool = True) -> int:
    """As SQLite's, whose clock is the machine's."""
    if isinstance(database, PostgresDatabase):
        database.clock_offset = lambda: 0  # type: ignore[method-assign]
    return await follow(database, clock, alone=alone)


def test_r9_the_clock_goes_on_evenly_until_it_is_told() -> None:
    clock = SetClock()
    clock.wall += DAY
    assert clock.now() == NOW
    clock.let_pass(SECOND)
    assert clock.now() == NOW + SECOND
    assert clock.behind() == DAY
    clock.step(DAY)
    assert clock.now() == clock.wall


@pytest.mark.parametrize("jump", [HOUR, -HOUR, DAY, -DAY, 40 * 365 * DAY, 3 * SECOND, -3 * SECOND])
async def test_r9_retries_keep_their_interval_and_their_day(store: Database, jump: int) -> None:
    for event_id in range(1, 6):
        a_retry(store, event_id, due_in=event_id * SECOND * 60)
    clock = SetClock()
    clock.wall += jump
    assert await on_a_node(store, clock) == jump
    assert clock.now() == NOW + jump
    for event_id in range(1, 6):
        row = the_delivery(store, event_id)
        assert row["due_at"] - clock.now() == event_id * SECOND * 60
        assert clock.now() - row["first_attempt_at"] == HOUR


async def test_r9_all_that_waits_is_moved_once_also_when_it_is_much(store: Database) -> None:
    rows = [an_event_row(event_id) for event_id in range(1, 2_501)]
    write(store, lambda tx: events.insert(tx, rows))
    write(store, lambda tx: deliveries.insert(tx, [(row.id, 1, 114, NOW) for row in rows]))
    clock = SetClock()
    clock.wall += DAY
    await on_a_node(store, clock)
    [told] = rows_of(store, "SELECT min(due_at) AS least, max(due_at) AS most FROM deliveries")
    assert (told["least"], told["most"]) == (NOW + DAY, NOW + DAY)


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_r9_nothing_is_due_while_the_clock_follows(store: Database, jump: int) -> None:
    a_retry(store, 1, due_in=60 * SECOND)
    clock = SetClock()
    due_early: list[int] = []
    submit_write = store.submit_write

    def look_in_between(work: Any) -> Any:
        done = submit_write(work)
        done.result()
        if the_delivery(store, 1)["due_at"] <= clock.now():
            due_early.append(clock.now())
        return done

    store.submit_write = look_in_between  # type: ignore[method-assign]
    clock.wall += jump
    await on_a_node(store, clock)
    assert not due_early
    assert the_delivery(store, 1)["due_at"] == clock.now() + 60 * SECOND


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_r9_workers_look_again_when_the_clock_has_followed(store: Database, jump: int) -> None:
    a_retry(store, 1, due_in=SECOND)
    clock = SetClock()
    heard: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def hear() -> None:
        with suppress(RuntimeError):  # what PostgreSQL tells may come when the test is over
            loop.call_soon_threadsafe(heard.put_nowait, clock.behind())

    store.listen(backlog.TOPIC, hear)
    clock.wall += jump
    await on_a_node(store, clock)
    async with asyncio.timeout(10):
        while await heard.get():
            pass


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """Where one program alone moves what waits."""
    opened = open_database(str(tmp_path / "data.sqlite"))
    yield opened
    opened.close()


@asynccontextmanager
async def while_it_is_set(node: Node, by: int) -> AsyncIterator[None]:
    """What is read from the clock meanwhile is read from the old one, and written by the new one."""
    clock, go_on = node.clock, threading.Event()
    assert isinstance(clock, ManualClock)

    def set_clock(tx: Transaction) -> None:
        assert go_on.wait(10)
        clock_jump.move(tx, by=by, now=clock.now())
        clock.jump(by)

    setting = node.database.submit_write(set_clock)
    try:
        yield
    finally:
        go_on.set()
        await asyncio.wrap_future(setting)


MINUTES = {"name": "own", "stepsInSeconds": [60] * 5}


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_r9_an_outcome_that_was_decided_by_the_old_clock_is_moved_as_it_is_written(
    sqlite: Database, tmp_path: Path, jump: int
) -> None:
    async with a_node(sqlite, tmp_path, script=[Answered(500)]) as node:
        webhook = node.make_webhook(retryPolicy=MINUTES).webhook["id"]
        node.sender.hold()
        event = (await node.publish()).event_id
        await node.until(node.sender.held)
        async with while_it_is_set(node, jump):
            node.sender.answer_held()
        await node.worker.quiet()
        [row] = node.rows("SELECT * FROM deliveries")
        assert (row["status"], row["attempts"], row["failures"]) == ("pending", 1, 1)
        assert row["due_at"] == node.clock.now() + MINUTE
        assert row["first_attempt_at"] == node.clock.now()
        node.sender.let_go()
        for _ in range(4):
            assert (await node.status(event, webhook)) == "pending"
            await node.to_next_attempt()
        assert (await node.delivery(event, webhook))["attempts"] == 5


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_r9_an_attempt_that_began_by_the_old_clock_is_ours_by_the_new_one(
    sqlite: Database, tmp_path: Path, jump: int
) -> None:
    """Neither its lease nor its age is another for it, whether its event was stored before the clock was set or after."""
    clock = ManualClock()
    async with a_node(sqlite, tmp_path, clock=clock, script=[Answered(500)]) as node:
        node.make_webhook(retryPolicy=MINUTES, maxConcurrency=64)
        node.sender.hold()
        before = (await node.publish()).event_id
        await node.until(lambda: node.sender.held() == 1)
        beat = node.worker._heartbeat._beat
        async with asyncio.TaskGroup() as tasks, while_it_is_set(node, jump):
            planned = tasks.create_task(node.publish())
            await node.until(
                lambda: (
                    node.sender.held() == 2 or node.journal._requests or node.journal._is_busy
                ),  # PostgreSQL has written it
            )
            tasks.create_task(beat(is_round=False))
        await node.until(lambda: node.sender.held() == 2)
        await beat(is_round=False)
        rows = node.rows("SELECT * FROM deliveries ORDER BY event_id")
        assert {row["event_id"] for row in rows} == {before, planned.result().event_id}
        for row in rows:
            assert (row["status"], row["attempts"]) == ("sending", 1)
            assert row["first_attempt_at"] == node.clock.now()
            assert 0 < row["lease_until"] - node.clock.now() <= 60 * SECOND
        for _ in range(8):
            clock.advance(10 * SECOND)
            await beat(is_round=False)
        assert node.rows("SELECT DISTINCT status, attempts FROM deliveries") == [{"status": "sending", "attempts": 1}]
        node.sender.answer_held()
        await node.worker.quiet()
        for row in node.rows("SELECT * FROM deliveries"):
            assert (row["status"], row["due_at"]) == ("pending", node.clock.now() + MINUTE)


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_what_was_claimed_in_the_moment_a_clock_was_set_keeps_its_lease(
    sqlite: Database, tmp_path: Path, jump: int
) -> None:
    """The heartbeat hears of it with a lease by the old clock, that on disk is by the new one."""
    clock = ManualClock()
    async with a_node(sqlite, tmp_path, clock=clock, script=[Answered(500)]) as node:
        webhook = node.make_webhook(retryPolicy=MINUTES).webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        node.sender.hold()
        leased, go_on = node.hear_late_of_claims()
        clock.advance(MINUTE)
        await leased.wait()
        async with while_it_is_set(node, jump):
            pass
        await node.worker._heartbeat._beat(is_round=False)
        go_on.set()
        await node.until(lambda: node.sender.held() == 1)
        for _ in range(8):
            clock.advance(10 * SECOND)
            await node.worker._heartbeat._beat(is_round=False)
        shown = await node.delivery(event, webhook)
        assert [attempt["code"] for attempt in shown["attemptList"]] == ["http_500", "sending"]


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "not counted yet"])
async def test_a_webhook_has_not_failed_for_days_because_a_clock_was_set(
    sqlite: Database, tmp_path: Path, counted: bool
) -> None:
    """A virtual machine that was paused over a week, say: its clock is set as it goes on."""
    clock = ManualClock()
    async with a_node(sqlite, tmp_path, clock=clock, script=[Answered(500)]) as node:
        webhook = node.make_webhook(retryPolicy=MINUTES).webhook["id"]
        await node.publish()
        await node.rest()
        if counted:
            await node.advance(MINUTE // 2)
            await statistics.roll_up(sqlite, now=clock.now())
        async with while_it_is_set(node, 7 * DAY):
            pass
        await node.to_next_attempt()
        await node.advance(MINUTE // 2)
        await statistics.roll_up(sqlite, now=clock.now())
        assert node.rows("SELECT tried_at - failing_since AS failed_for FROM webhook_health") == [
            {"failed_for": MINUTE}
        ]
        assert not await sqlite.write(
            lambda tx: failing.look(tx, node.webhooks, now=clock.now(), disable_after_days=5, mailing=False)
        )
        assert (await node.webhook(webhook))["enabled"]


async def health_of(node: Node, webhook: int) -> Health:
    await statistics.roll_up(node.database, now=node.clock.now())
    found = await node.database.read(lambda tx: statistics.of_webhooks(tx, [webhook], now=node.clock.now()))
    health = found[webhook].health
    assert health is not None
    return health


async def test_nobody_is_told_that_a_webhook_fails_which_delivered_after_the_clock_was_set_back(
    sqlite: Database, tmp_path: Path
) -> None:
    async with a_node(sqlite, tmp_path, script=[Answered(500), Answered(200)]) as node:
        webhook = node.make_webhook(retryPolicy=MINUTES, email="a@example.com").webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        async with while_it_is_set(node, -HOUR):
            pass
        await node.to_next_attempt()
        assert (await node.status(event, webhook)) == "delivered"
        for _ in range(6):  # until the clock has passed what it showed before
            await node.advance(20 * MINUTE)
            await node.database.write(
                lambda tx: failing.look(tx, node.webhooks, now=node.clock.now(), disable_after_days=5, mailing=True)
            )
            assert (await health_of(node, webhook)).failing_since is None
        assert node.rows("SELECT subject FROM mails") == []
        assert node.rows("SELECT sum(delivered) AS good, sum(failed) AS bad FROM webhook_hours") == [
            {"good": 1, "bad": 1}
        ]


async def test_failing_is_seen_after_a_clock_that_was_ahead_came_back(sqlite: Database, tmp_path: Path) -> None:
    async with a_node(sqlite, tmp_path, script=[Answered(200), Answered(500)]) as node:
        webhook = node.make_webhook(retryPolicy=MINUTES).webhook["id"]
        async with while_it_is_set(node, 365 * DAY):
            pass
        await node.publish()
        await node.rest()
        await node.advance(MINUTE)
        async with while_it_is_set(node, -365 * DAY):
            pass
        assert (await health_of(node, webhook)).tried_at <= node.clock.now()
        await node.advance(SECOND)
        await node.publish()
        await node.rest()
        assert (await health_of(node, webhook)).failing_since == node.clock.now()


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_an_outcome_by_the_old_clock_is_none_of_the_days_between(
    sqlite: Database, tmp_path: Path, jump: int
) -> None:
    async with a_node(sqlite, tmp_path, script=[Answered(500), Answered(200)]) as node:
        webhook = node.make_webhook(retryPolicy=MINUTES).webhook["id"]
        await node.publish()
        await node.rest()
        await node.advance(MINUTE // 2)
        node.sender.hold()
        await node.publish()
        await node.until(node.sender.held)
        async with while_it_is_set(node, jump):
            node.sender.answer_held()
            await node.until(lambda: node.journal._closings or node.journal._is_busy)
        await node.worker.quiet()
        now = node.clock.now()
        assert await health_of(node, webhook) == Health(now, now, None)


async def test_where_others_serve_the_database_health_does_not_lie_ahead_either(store: Database) -> None:
    row = (1, NOW + DAY, NOW + DAY - 2 * HOUR, NOW + DAY - HOUR)
    write(store, lambda tx: tx.run(f"INSERT INTO webhook_health VALUES {row}"))
    clock = SetClock()
    clock.wall -= DAY
    await on_a_node(store, clock, alone=False)
    [found] = rows_of(store, "SELECT tried_at, delivered_at, failing_since FROM webhook_health")
    now = clock.now()
    assert tuple(found.values()) == (now, now - 2 * HOUR, now - HOUR)


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_a_mail_waits_no_longer_because_a_clock_was_set(store: Database, jump: int) -> None:
    clock = SetClock()
    to = "integrator@example.com"
    write(
        store,
        lambda tx: failing_store.put_mail(
            tx, webhook_id=1, recipient=to, subject="", body="", now=NOW, due_at=NOW + HOUR
        ),
    )
    clock.wall += jump
    await on_a_node(store, clock)
    clock.let_pass(HOUR - 1)
    due = {"lease_until": clock.now() + HOUR, "limit": 5}
    assert write(store, lambda tx: failing_store.claim_mails(tx, now=clock.now(), **due)) == []
    clock.let_pass(1)
    assert len(write(store, lambda tx: failing_store.claim_mails(tx, now=clock.now(), **due))) == 1


async def test_r9_a_clock_whose_jump_cannot_be_stored_stays_as_it_was(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_retry(store, 1, due_in=SECOND)
    clock = SetClock()
    clock.wall += DAY
    jump = clock.jump

    def jump_and_fail(by: int) -> None:
        jump(by)
        monkeypatch.undo()
        raise OSError("disk I/O error")

    monkeypatch.setattr(clock, "jump", jump_and_fail)
    with pytest.raises(OSError, match="disk I/O error"):
        await on_a_node(store, clock)
    assert clock.behind() == DAY
    assert the_delivery(store, 1)["due_at"] == NOW + SECOND
    assert await on_a_node(store, clock) == DAY
    assert the_delivery(store, 1)["due_at"] == NOW + DAY + SECOND


async def test_r9_leases_run_as_long_as_before(store: Database) -> None:
    put_deliveries(store, 1, [1])
    [lease] = claim(store, 1)
    clock = SetClock()
    clock.wall += DAY
    await on_a_node(store, clock)
    row = the_delivery(store, 1)
    assert row["lease_until"] - clock.now() == lease.until - NOW
    assert row["first_attempt_at"] == clock.now()


async def test_r9_what_does_not_wait_stays_as_it_is(store: Database) -> None:
    a_retry(store, 1, due_in=SECOND)
    write(store, lambda tx: tx.run("UPDATE deliveries SET status = 'failed', ended_at = :at", at=NOW))
    before = the_delivery(store, 1)
    clock = SetClock()
    clock.wall += DAY
    await on_a_node(store, clock)
    assert the_delivery(store, 1) == before


async def test_r9_a_small_difference_is_followed_without_a_word(store: Database) -> None:
    a_retry(store, 1, due_in=SECOND)
    clock = SetClock()
    clock.wall += 2 * SECOND - 1
    assert await on_a_node(store, clock) == 0
    assert clock.now() == clock.wall
    assert the_delivery(store, 1)["due_at"] == NOW + SECOND
    clock.wall += SECOND // 20
    await on_a_node(store, clock)
    assert clock.behind() == SECOND // 20


async def test_r9_where_others_serve_the_database_nothing_is_moved(store: Database) -> None:
    a_retry(store, 1, due_in=SECOND)
    clock = SetClock()
    clock.wall += DAY
    await on_a_node(store, clock, alone=False)
    assert the_delivery(store, 1)["due_at"] == NOW + SECOND


async def test_r9_a_node_on_postgresql_follows_the_databases_clock_and_not_its_own(fresh_schema: str) -> None:
    database = PostgresDatabase(fresh_schema)
    try:
        offset = database.clock_offset()
        clock = SystemClock(offset)

        class Moved(SystemClock):
            def _wall(self) -> int:
                return super()._wall() + DAY

        moved: Any = Moved(offset - DAY)
        assert abs(moved.now() - clock.now()) < SECOND
        before = moved.now()
        database.clock_offset = lambda: offset - DAY  # type: ignore[method-assign]
        assert await follow(database, moved, alone=False) == 0
        assert abs(moved.now() - before) < SECOND
    finally:
        database.close()


async def test_r9_a_clock_that_ran_ahead_deletes_nothing_for_a_day(store: Database) -> None:
    write(store, lambda tx: events.insert(tx, [an_event_row(1, accepted_at=1)]))
    write(store, lambda tx: tx.run("UPDATE counters SET value = :now WHERE name = 'attempts counted to'", now=NOW))
    clock = SetClock()
    keeping = Retention(store, clock, days=30)
    clock.monotonic = lambda: clock.passed / SECOND  # type: ignore[method-assign]
    keeping.wait(DAY)
    assert await keeping.once() == 0
    clock.let_pass(DAY)
    assert await keeping.once() == 1
