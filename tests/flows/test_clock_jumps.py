"""Clocks that are set: what waits keeps its intervals, whichever way the clock went."""

from typing import Any

import pytest

from dockbell.actions.clock_jump import follow
from dockbell.actions.retention import Retention
from dockbell.clock import DAY, HOUR, SECOND, SystemClock
from dockbell.store import deliveries, events
from dockbell.store.database import Database
from dockbell.store.postgres import PostgresDatabase
from tests.support.rows import (
    NOW,
    a_failure,
    an_event_row,
    claim,
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
    write(database, lambda tx: deliveries.close(tx, [a_failure(lease, again_at=NOW + due_in)]))


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
