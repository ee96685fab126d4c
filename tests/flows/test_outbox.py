"""From a transaction of a warehouse system in its own PostgreSQL to events here, on both databases."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dockbell.actions import outbox as actions
from dockbell.actions.commit import Verdict
from dockbell.actions.outbox import Drain
from dockbell.clock import MINUTE, SECOND, SystemClock
from dockbell.domain.event import NewEvent
from dockbell.errors import Unavailable
from dockbell.store import outbox
from dockbell.store.database import Database
from dockbell.store.outbox import open_outbox
from dockbell.testing.clock import ManualClock
from tests.support.node import TEA, Node, a_node
from tests.support.outbox import a_drain, an_order, drain_of, install_outbox, publish, status, stored_events

PATIENCE_S = 15.0
Wms = psycopg.Connection[Any]


async def test_what_was_committed_arrives_once_and_what_was_rolled_back_never(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path
):
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        publish(wms, **an_order(1))
        assert await drain.drain_once() == 0
        wms.commit()
        publish(wms, **an_order(2))
        wms.rollback()
        publish(wms, **an_order(3))
        publish(wms, **an_order(4))
        wms.commit()
        assert await drain.drain_once() == 3
        assert await drain.drain_once() == 0
        assert stored_events(node) == [("order/1", 1), ("order/3", 1), ("order/4", 1)]
        assert status(outbox_url)["waiting"] == 0


async def test_the_data_arrives_byte_for_byte(database: Database, outbox_url: str, wms: Wms, tmp_path: Path):
    data = '{ "orderId": 7,"orderNumber" : "SÖ-7 €",  "orderStatus": {"number":400}, "weight": 1.10 }'
    publish(wms, f'{{"type": "order.picked", "goodsOwnerId": {TEA},  "data": {data}}}')
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        await drain.drain_once()
        assert [row["data"] for row in node.rows("SELECT data FROM events")] == [data]


async def test_an_event_without_a_time_happened_when_it_was_published(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path
):
    before = SystemClock().now()
    publish(wms)
    publish(wms, occurredAt="2026-02-03T12:07:31Z")
    wms.commit()
    after = SystemClock().now()
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        await drain.drain_once()
        own, said = [row["occurred_at"] for row in node.rows("SELECT occurred_at FROM events ORDER BY id")]
    assert before - SECOND <= own <= after + SECOND
    assert said == 1_770_120_451 * SECOND


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC"])
async def test_a_time_that_no_event_can_have_stops_nothing(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path, moment: str
):
    """Whoever may INSERT may write it: such an event happened when it was accepted."""
    publish(wms, **an_order(1))
    wms.execute("UPDATE dockbell_outbox SET published_at = %s", [moment])
    publish(wms, **an_order(2))
    wms.commit()
    assert status(outbox_url)["waiting"] == 2
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        assert await drain.drain_once() == 2
        assert stored_events(node) == [("order/1", 1), ("order/2", 1)]
        [first, _] = node.rows("SELECT occurred_at, accepted_at FROM events ORDER BY id")
    assert first["occurred_at"] == first["accepted_at"]


async def test_a_transaction_that_commits_late_is_not_lost(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path
):
    """Its number is smaller than one that was drained before: a drain that remembered how far it was would pass it by."""
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        publish(wms, **an_order(1))
        with psycopg.connect(outbox_url) as quicker:
            publish(quicker, **an_order(2))
        assert await drain.drain_once() == 1
        wms.commit()
        assert await drain.drain_once() == 1
        assert stored_events(node) == [("order/2", 1), ("order/1", 1)]


async def test_changes_that_wait_for_one_another_arrive_in_their_order(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path
):
    """The second transaction is the older one by the server's count, and waits for the row that the first has changed."""
    wms.execute("CREATE TABLE orders (id bigint PRIMARY KEY, version int NOT NULL)")
    wms.execute("INSERT INTO orders VALUES (1, 0)")
    wms.commit()

    def change(connection: Wms) -> None:
        row = connection.execute("UPDATE orders SET version = version + 1 WHERE id = 1 RETURNING version").fetchone()
        assert row is not None
        publish(connection, **an_order(1, row[0]))

    def change_and_commit(connection: Wms) -> None:
        change(connection)
        connection.commit()

    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        with psycopg.connect(outbox_url) as older:
            older.execute("SELECT pg_current_xact_id()")
            change(wms)
            waiting = threading.Thread(target=change_and_commit, args=(older,))
            waiting.start()
            assert await drain.drain_once() == 0
            wms.commit()
            waiting.join(PATIENCE_S)
        while await drain.drain_once():
            pass
        assert stored_events(node) == [("order/1", 1), ("order/1", 2)]


async def test_a_crash_between_the_two_commits_adds_nothing(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Crash(BaseException):
        """Ends the transaction in the outbox as the end of the process does."""

    def crash(*_: object) -> None:
        raise Crash

    for number in range(1, 4):
        publish(wms, **an_order(number))
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        with monkeypatch.context() as patch:
            patch.setattr(outbox, "remove", crash)
            with pytest.raises(Crash):
                await drain.drain_once()
        assert len(stored_events(node)) == 3
        assert status(outbox_url)["waiting"] == 3
        publish(wms, **an_order(4))
        wms.commit()
        assert await drain.drain_once() == 4
        assert stored_events(node) == [(f"order/{number}", 1) for number in range(1, 5)]
        assert status(outbox_url) == {"waiting": 0, "oldest": None, "refused": 0, "newest_refused": []}


class AwayOnce:
    """A journal whose store does not answer the first time."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._away = True

    async def accept(self, new: Sequence[NewEvent], *, at_once: bool) -> list[Verdict]:
        if self._away:
            self._away = False
            raise Unavailable("The store does not answer.")
        return await self._node.journal.accept(new, at_once=at_once)


async def test_a_store_that_is_away_refuses_nothing(database: Database, outbox_url: str, wms: Wms, tmp_path: Path):
    publish(wms, **an_order(1))
    wms.commit()
    async with a_node(database, tmp_path) as node:
        away: Any = AwayOnce(node)
        drain = Drain(lambda: open_outbox(outbox_url), database, node.index, node.publisher, away, node.clock)
        with pytest.raises(Unavailable):
            await drain.drain_once()
        assert (status(outbox_url)["waiting"], status(outbox_url)["refused"]) == (1, 0)
        assert await drain.drain_once() == 1
        await drain.close()
        assert stored_events(node) == [("order/1", 1)]


async def test_more_than_one_load_is_drained_in_order(database: Database, outbox_url: str, wms: Wms, tmp_path: Path):
    count = 2 * actions.ROWS_AT_ONCE + 10
    for version in range(1, count + 1):
        publish(wms, **an_order(1, version))
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        assert [await drain.drain_once() for _ in range(4)] == [actions.ROWS_AT_ONCE, actions.ROWS_AT_ONCE, 10, 0]
        assert stored_events(node) == [("order/1", version) for version in range(1, count + 1)]


async def test_while_one_node_drains_no_other_does(database: Database, outbox_url: str, wms: Wms, tmp_path: Path):
    publish(wms, **an_order(1))
    wms.commit()
    other = open_outbox(outbox_url)
    locked, go_on = threading.Event(), threading.Event()

    def hold(tx: Any) -> bool:
        held = outbox.lock(tx)
        locked.set()
        assert go_on.wait(PATIENCE_S)
        return held

    holding = other.submit_write(hold)
    assert locked.wait(PATIENCE_S)
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        assert await drain.drain_once() == 0
        go_on.set()
        assert holding.result(PATIENCE_S)
        other.close()
        assert await drain.drain_once() == 1
        assert stored_events(node) == [("order/1", 1)]


async def test_the_ids_of_a_node_that_takes_over_go_on_whatever_its_clock_says(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path
):
    early, late = ManualClock(), ManualClock()
    late.advance(MINUTE)
    async with (
        a_node(database, tmp_path, clock=late, number=5) as first,
        a_drain(first, outbox_url) as of_first,
        a_node(database, tmp_path, clock=early, number=2) as second,
        a_drain(second, outbox_url) as of_second,
    ):
        for version, drain in enumerate((of_first, of_second, of_first, of_second), start=1):
            publish(wms, **an_order(1, version))
            wms.commit()
            assert await drain.drain_once() == 1
        assert stored_events(first) == [("order/1", version) for version in range(1, 5)]


# --- its life ------------------------------------------------------------------------------------------------------


async def running(node: Node, outbox_url: str) -> AsyncIterator[Drain]:
    drain = drain_of(node, outbox_url)
    task = asyncio.create_task(drain.run())
    try:
        yield drain
    finally:
        drain.stop()
        await asyncio.wait_for(task, PATIENCE_S)


@pytest.mark.slow
async def test_a_commit_wakes_a_drain_at_rest(database: Database, outbox_url: str, wms: Wms, tmp_path: Path):
    def come(node: Node, count: int) -> Callable[[], bool]:
        return lambda: len(stored_events(node)) == count

    async with a_node(database, tmp_path, clock=SystemClock()) as node:
        async for _ in running(node, outbox_url):
            began = 0.0
            for number in (1, 2, 3):  # at the first one its line may not stand yet
                publish(wms, **an_order(number))
                wms.commit()
                began = node.clock.monotonic()
                await node.until(come(node, number))
            assert node.clock.monotonic() - began < actions.LOOK_S / 2


@pytest.mark.slow
async def test_an_outbox_that_is_not_there_yet_hurts_nothing_and_is_drained_when_it_is(
    database: Database, wms_schema: str, tmp_path: Path
):
    async with a_node(database, tmp_path, clock=SystemClock()) as node:
        async for _ in running(node, wms_schema):
            await node.publish(id="by-hand")
            install_outbox(wms_schema)
            with psycopg.connect(wms_schema) as wms:
                publish(wms, **an_order(1))
            await node.until(lambda: len(stored_events(node)) == 2)
