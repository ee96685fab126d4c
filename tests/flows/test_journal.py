"""What waits for the store shares its next commit, whatever came of the last one."""

import asyncio
import itertools
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dockbell.actions import journal as journal_module
from dockbell.actions.publish import Accepted
from dockbell.errors import Unavailable
from dockbell.store import events
from dockbell.store.database import Database, Transaction
from dockbell.store.events import EventRow
from tests.support.node import a_node, an_event


class SlowStore:
    """Inserts of events that wait for a word, or fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.inserted: list[int] = []
        self.failing: Exception | None = None
        monkeypatch.setattr("dockbell.actions.commit.events", SimpleNamespace(insert=self._insert))

    def _insert(self, tx: Transaction, rows: Sequence[EventRow]) -> set[int]:
        self.inserted.append(len(rows))
        self.begun.set()
        self.go_on.wait(20)
        if self.failing is not None:
            failing, self.failing = self.failing, None
            raise failing
        return events.insert(tx, rows)


async def test_what_comes_while_a_commit_is_under_way_shares_the_next(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_node(database, tmp_path) as node:
        store = SlowStore(monkeypatch)
        first = asyncio.create_task(node.publish())
        await asyncio.to_thread(store.begun.wait)
        others = []
        for count in range(1, 6):  # in turns of the loop of their own
            others.append(asyncio.create_task(node.journal.accept([node.judged(node.event_bytes())])))
            await node.until(lambda: len(node.journal._requests) == count)  # noqa: B023
        store.go_on.set()
        told = [await first, *(verdict for [verdict] in await asyncio.gather(*others))]
        assert all(isinstance(one, Accepted) for one in told)
        assert store.inserted == [1, 5]


async def test_a_commit_that_fails_takes_nobody_along_who_came_meanwhile(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_node(database, tmp_path) as node:
        node.make_webhook()
        store = SlowStore(monkeypatch)
        store.failing = RuntimeError("on purpose")
        first = asyncio.create_task(node.publish())
        await asyncio.to_thread(store.begun.wait)
        second = asyncio.create_task(node.journal.accept([node.judged(node.event_bytes())]))
        await node.until(lambda: node.journal._requests)
        store.go_on.set()
        with pytest.raises(Unavailable, match="nothing was accepted"):
            await first
        [verdict] = await second
        assert isinstance(verdict, Accepted)
        assert verdict.deliveries == 1
        assert store.inserted == [1, 1]
        await node.rest()
        assert node.worker._lanes.places == 0, "the place of the event that was refused is free again"


async def test_events_that_cannot_be_planned_leave_no_place_behind(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_node(database, tmp_path) as node:
        node.make_webhook()
        await node.index.refresh(node.database)
        good = node.judged(node.event_bytes())
        row, count = node.publisher.row, itertools.count(1)

        def once(*given: Any, **named: Any) -> EventRow:
            if next(count) > 1:
                raise RuntimeError("on purpose")
            return row(*given, **named)

        monkeypatch.setattr(node.publisher, "row", once)
        with pytest.raises(Unavailable):
            await node.journal.accept([good, good])
        assert node.worker._lanes.places == 0


async def test_a_repeat_in_the_same_commit_is_told_the_deliveries_of_the_first(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_node(database, tmp_path) as node:
        node.make_webhook()
        await node.index.refresh(node.database)
        store = SlowStore(monkeypatch)
        ahead = asyncio.create_task(node.publish())
        await asyncio.to_thread(store.begun.wait)
        event = node.judged(node.event_bytes(id="same"))
        twice = [asyncio.create_task(node.journal.accept([event])) for _ in range(2)]
        await node.until(lambda: len(node.journal._requests) == 2)
        store.go_on.set()
        await ahead
        [[first], [again]] = await asyncio.gather(*twice)
        assert isinstance(first, Accepted)
        assert isinstance(again, Accepted)
        assert (first.event_id, first.deliveries, first.repeated) == (again.event_id, 1, False)
        assert (again.deliveries, again.repeated) == (1, True)
        await node.rest()
        assert node.worker._lanes.places == 0


async def test_a_store_that_goes_away_while_events_are_matched_again_refuses_them_and_the_journal_goes_on(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_node(database, tmp_path) as node:
        event = node.judged(node.event_bytes())
        node.make_webhook()  # which the index does not know yet

        async def away(_: object) -> None:
            raise Unavailable("The database is away.")

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(node.index, "refresh", away)
            with pytest.raises(Unavailable, match="is away"):
                await node.journal.accept([event])
        [verdict] = await node.journal.accept([event])
        assert isinstance(verdict, Accepted)
        assert verdict.deliveries == 1


async def test_a_journal_that_breaks_tells_all_who_wait_and_begins_nothing_more(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_node(database, tmp_path, working=False) as node:
        store = SlowStore(monkeypatch)

        def broken(*_: object) -> None:
            raise RuntimeError("on purpose")

        monkeypatch.setattr(node.worker, "take", broken)
        first = asyncio.create_task(node.publish())
        await asyncio.to_thread(store.begun.wait)
        second = asyncio.create_task(node.journal.accept([node.judged(node.event_bytes())]))
        await node.until(lambda: node.journal._requests)
        store.go_on.set()
        assert isinstance(await first, Accepted), "it was stored before anything broke"
        with pytest.raises(Unavailable, match="not known"):
            await second


async def test_a_store_that_can_start_no_thread_refuses_and_takes_the_next(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_node(database, tmp_path) as node:

        def refuse(_: object) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(database, "submit_write", refuse)
            with pytest.raises(Unavailable, match="start new thread"):
                await node.journal.accept([node.judged(node.event_bytes())])
        assert isinstance(await node.publish(), Accepted)


async def test_an_answer_that_is_held_back_holds_no_delivery_back(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook().webhook["id"]
        asked: list[set[int]] = []

        def later(wanted_by: Iterable[int]) -> float:
            asked.append(set(wanted_by))
            return 30.0 if len(asked) == 1 else 0.0

        monkeypatch.setattr(node.worker, "answer_after", later)
        first = asyncio.create_task(node.publish())
        await node.until(lambda: node.rows("SELECT 1 AS x FROM deliveries WHERE status = 'delivered'"))
        assert not first.done()
        assert isinstance(await node.publish(), Accepted), "others are answered meanwhile"
        assert asked == [{webhook}, {webhook}]
        first.cancel()


async def test_a_test_event_is_answered_whoever_keeps_the_node_busy(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_node(database, tmp_path) as node:
        made = node.make_webhook().webhook["id"]
        monkeypatch.setattr(node.worker, "answer_after", lambda wanted_by: 30.0)
        await node.index.refresh(database)
        webhook = node.index.state.webhooks[made]
        answering = node.journal.accept([node.judged(node.event_bytes())], test_of=webhook)
        [verdict] = await asyncio.wait_for(answering, 10)
        assert isinstance(verdict, Accepted)


async def test_a_small_commit_right_after_another_waits_for_company(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(journal_module, "COMPANY_S", 2.0)  # well below a publisher's patience
    async with a_node(database, tmp_path, working=False) as node:
        store = SlowStore(monkeypatch)
        store.go_on.set()
        began = asyncio.get_running_loop().time()
        assert isinstance(await node.publish(), Accepted)
        assert asyncio.get_running_loop().time() - began < 2, "who comes alone waits for nothing"
        together = [asyncio.create_task(node.publish())]
        await node.until(lambda: node.journal._is_busy)
        together += [asyncio.create_task(node.publish()) for _ in range(3)]
        assert all(isinstance(one, Accepted) for one in await asyncio.gather(*together))
        assert store.inserted == [1, 4]


async def test_a_commit_of_many_waits_for_nobody(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal_module, "COMPANY_S", 30.0)
    async with a_node(database, tmp_path, working=False) as node:
        assert isinstance(await node.publish(), Accepted)
        many = node.publish_many(*[an_event() for _ in range(journal_module.FEW)])
        assert all(isinstance(one, Accepted) for one in await asyncio.wait_for(many, 20))
