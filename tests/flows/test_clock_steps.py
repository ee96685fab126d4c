"""The wall clock is set: what was planned stays as far away as it was."""

import asyncio
from pathlib import Path

import pytest

from dockbell.clock import DAY, MINUTE, SECOND, Moment
from dockbell.delivery.clock_watch import LOOKS_EVERY_S, ClockWatch
from dockbell.domain.delivery import Answered, Unanswered
from dockbell.store.database import Database
from dockbell.testing.clock import ManualClock
from tests.support.node import Node, a_node

REFUSED = Unanswered("connect_refused", "Connection refused")


class SteppingClock(ManualClock):
    """Its wall-clock time can be set; its monotonic time and those who sleep do not notice."""

    stepped = 0

    def now(self) -> Moment:
        return super().now() + self.stepped


async def a_failed_delivery(node: Node) -> tuple[int, int]:
    webhook = node.make_webhook(retryPolicy={"name": "one-day"}).webhook["id"]
    event = (await node.publish()).event_id
    await node.rest()
    assert (await node.delivery(event, webhook))["attempts"] == 1
    node.sender.answer_with(Answered(200))
    return event, webhook


@pytest.mark.parametrize("step", [-DAY, DAY, -MINUTE, 30 * DAY])
async def test_a_next_attempt_is_as_far_away_after_a_step_as_it_was_before(
    database: Database, tmp_path: Path, step: int
):
    clock = SteppingClock()
    async with a_node(database, tmp_path, clock=clock, script=[REFUSED]) as node:
        event, webhook = await a_failed_delivery(node)
        planned = node.rows("SELECT due_at FROM deliveries")[0]["due_at"]
        watching = asyncio.create_task(ClockWatch(database, clock).run())
        await node.until(lambda: clock.sleepers() >= 3, what="the watch to sleep")
        clock.stepped = step
        clock.advance(int(LOOKS_EVERY_S * SECOND))
        await node.until(lambda: node.rows("SELECT due_at FROM deliveries")[0]["due_at"] == planned + step)
        watching.cancel()
        assert (await node.delivery(event, webhook))["attempts"] == 1
        began = clock.monotonic()
        await node.passing(lambda: node.rows("SELECT status FROM deliveries")[0]["status"] == "delivered", step=SECOND)
        assert 57 <= clock.monotonic() - began <= 62


async def test_a_clock_that_is_a_little_off_moves_nothing(database: Database, tmp_path: Path):
    clock = SteppingClock()
    async with a_node(database, tmp_path, clock=clock, script=[REFUSED]) as node:
        await a_failed_delivery(node)
        planned = node.rows("SELECT due_at FROM deliveries")[0]["due_at"]
        watching = asyncio.create_task(ClockWatch(database, clock).run())
        for _ in range(3):
            await node.until(lambda: clock.sleepers() >= 3, what="the watch to sleep")
            clock.stepped += SECOND // 2
            clock.advance(int(LOOKS_EVERY_S * SECOND))
        await node.napping()
        assert node.rows("SELECT due_at FROM deliveries")[0]["due_at"] == planned
        watching.cancel()


async def test_the_clock_of_one_node_among_several_is_set_right_and_the_plans_are_left_alone(
    database: Database, tmp_path: Path
):
    clock = SteppingClock()
    async with a_node(database, tmp_path, clock=clock, script=[REFUSED]) as node:
        await a_failed_delivery(node)
        planned = node.rows("SELECT due_at FROM deliveries")[0]["due_at"]

        def set_right() -> None:
            clock.stepped = 0

        watching = asyncio.create_task(ClockWatch(database, clock, set_right=set_right).run())
        await node.until(lambda: clock.sleepers() >= 3, what="the watch to sleep")
        clock.stepped = -DAY
        clock.advance(int(LOOKS_EVERY_S * SECOND))
        await node.until(lambda: clock.stepped == 0, what="the clock to be set right")
        assert node.rows("SELECT due_at FROM deliveries")[0]["due_at"] == planned
        watching.cancel()
