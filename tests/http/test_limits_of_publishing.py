"""How fast and how much one may publish, and what a store that is slow answers: nothing that was accepted is lost."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from dockbell.actions.ceiling import Ceiling
from dockbell.actions.rates import Rates
from dockbell.clock import SECOND
from dockbell.errors import TooMuch
from dockbell.store import events
from dockbell.store.database import Database, Transaction
from dockbell.store.events import EventRow
from dockbell.testing.clock import ManualClock
from dockbell.web.server import build_app
from tests.support.asgi import Api
from tests.support.parts import Server, a_server
from tests.support.rows import FJORD, TEA

EVENTS = "/api/v1/events"


def an_event(owner: int = TEA, **fields: object) -> dict[str, object]:
    return {"type": "test.anything", "goodsOwnerId": owner, "data": {"a": 1}, **fields}


def with_limits(server: Server, *, rates: Rates | None = None, ceiling: Ceiling | None = None) -> Api:
    """The same parts behind another application, asked with the administrator's key."""
    parts = replace(server.parts, ceiling=ceiling, rates=rates or server.parts.rates)
    return Api(build_app(parts), server.admin.key)


# A rate for each key.


def test_u9_a_key_gets_its_rate_and_no_more_and_loses_nothing_by_asking_in_vain():
    clock = ManualClock()
    rates = Rates(clock, 50)
    accepted, told = 0, set()
    for _ in range(10_000):  # a thousand a second, for ten seconds
        clock.advance(SECOND // 1_000)
        try:
            rates.need("one")
            accepted += 1
        except TooMuch as refused:
            told.add((refused.code, refused.retry_after_s))
    assert 545 <= accepted <= 551  # a second's worth at once, and fifty a second after that
    assert told == {("rate_limit", 1)}
    rates.need("another")


def test_u9_an_array_longer_than_the_rate_is_possible_and_paid_for_by_waiting():
    clock = ManualClock()
    rates = Rates(clock, 50)
    rates.need("one", 1_000)
    with pytest.raises(TooMuch) as refused:
        rates.need("one")
    assert refused.value.retry_after_s == 20
    clock.advance(19 * SECOND)
    with pytest.raises(TooMuch):
        rates.need("one")
    clock.advance(1 * SECOND + SECOND // 50)
    rates.need("one")


async def test_u9_too_fast_a_key_hears_429_and_when_to_come_again_and_others_are_heard(database, tmp_path: Path):
    async with a_server(database, tmp_path) as server:
        clock = ManualClock()
        api = with_limits(server, rates=Rates(clock, 5))
        other = Api(api.app, server.make_key(["publish"], None))
        statuses = [(await api.post(EVENTS, an_event())).status for _ in range(8)]
        assert statuses == [202] * 5 + [429] * 3
        reply = await api.post(EVENTS, an_event())
        assert (reply.code, reply.headers["retry-after"]) == ("rate_limit", "1")
        assert (await api.post(EVENTS, [an_event()] * 3)).code == "rate_limit"
        assert (await other.post(EVENTS, an_event())).status == 202
        clock.advance(SECOND)
        assert (await api.post(EVENTS, an_event())).status == 202
        assert len(stored(server)) == 7


def stored(server: Server) -> Sequence[object]:
    return server.parts.database.submit_read(lambda tx: tx.all("SELECT id FROM events")).result()


# A ceiling for each goods owner.


async def test_u9_a_goods_owner_for_whom_too_much_waits_is_refused_and_others_are_not(database, tmp_path: Path):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(eventType="test.anything")
        ceiling = Ceiling(database, server.parts.clock, deliveries=10)
        api = with_limits(server, ceiling=ceiling)
        assert (await api.post(EVENTS, [an_event()] * 9)).status == 202
        await ceiling.count()
        assert (await api.post(EVENTS, an_event())).status == 202
        await ceiling.count()
        reply = await api.post(EVENTS, an_event())
        assert (reply.status, reply.code, reply.headers["retry-after"]) == (429, "queue_full", "5")
        results = (await api.post(EVENTS, [an_event(), an_event(FJORD)])).document["results"]
        assert [(each["status"], each.get("code")) for each in results] == [(429, "queue_full"), (202, None)]
        assert (await api.post(EVENTS, an_event(FJORD))).status == 202
        assert len(stored(server)) == 12
        await database.write(lambda tx: tx.run("UPDATE deliveries SET status = 'delivered' WHERE webhook_id > 0"))
        await ceiling.count()
        assert (await api.post(EVENTS, an_event())).status == 202
        assert made["id"]


async def test_u9_much_data_that_waits_is_too_much_too(database, tmp_path: Path):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(eventType="test.anything")
        await server.make_webhook(eventType="test.anything", name="the same events once more")
        ceiling = Ceiling(database, server.parts.clock, mebibytes=1)
        api = with_limits(server, ceiling=ceiling)
        big = an_event(data={"a": "x" * 200_000})
        for _ in range(5):
            assert (await api.post(EVENTS, big)).status == 202
        await ceiling.count()
        assert (await api.post(EVENTS, big)).status == 202  # each event counts once, for however many webhooks
        await ceiling.count()
        assert (await api.post(EVENTS, big)).code == "queue_full"


async def test_u9_what_waits_is_counted_early_when_much_comes_and_else_every_five_seconds(database, tmp_path: Path):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(eventType="test.anything")
        clock = ManualClock()
        ceiling = Ceiling(database, clock, deliveries=1_000)
        counted = 0
        count = ceiling.count

        async def counting() -> None:
            nonlocal counted
            await count()
            counted += 1

        ceiling.count = counting  # type: ignore[method-assign]
        running = asyncio.create_task(ceiling.run())

        async def until(number: int) -> None:
            for _ in range(2_000):
                clock.advance(0)
                await database.read(lambda tx: tx.one("SELECT 1 AS one"))
                if counted >= number and clock.sleepers():
                    return
            raise AssertionError(f"counted {counted} times")

        await until(1)
        ceiling.waits(199)
        clock.advance(4 * SECOND)
        await database.read(lambda tx: tx.one("SELECT 1 AS one"))
        assert counted == 1
        ceiling.waits(1)
        await until(2)
        clock.advance(5 * SECOND)
        await until(3)
        running.cancel()


# A slow store.


async def test_r8_a_store_that_hangs_answers_503_in_time_and_keeps_what_it_wrote_all_the_same(
    database: Database, tmp_path: Path
):
    async with a_server(database, tmp_path) as server:
        server.parts.journal._patience_s = 0.3
        holds, go_on = threading.Event(), threading.Event()

        def hang(tx: Transaction) -> None:
            tx.run("UPDATE counters SET value = value")
            holds.set()
            go_on.wait(20)

        blocked = database.submit_write(hang)
        await asyncio.to_thread(holds.wait)
        first = asyncio.create_task(server.admin.post(EVENTS, an_event(id="first")))
        begun = database.dialect == "postgres"
        await _until(lambda: server.parts.journal._commit if begun else server.parts.journal._is_busy)
        second = asyncio.create_task(server.admin.post(EVENTS, an_event(id="second")))
        replies = await asyncio.gather(first, second)
        assert not blocked.done()
        assert [(reply.status, reply.headers["retry-after"]) for reply in replies] == [(503, "5")] * 2
        # SQLite has one writer, so that the commit has not begun; PostgreSQL waits for a lock in the midst of it.
        assert [reply.code for reply in replies] == ["store_unknown" if begun else "store_slow", "store_slow"]
        go_on.set()
        again = [await server.admin.post(EVENTS, an_event(id=name)) for name in ("first", "second")]
        assert [reply.document["repeated"] for reply in again] == [begun, False]
        assert len(stored(server)) == 2


async def test_r8_a_commit_that_takes_long_answers_503_in_time_and_keeps_what_it_wrote_all_the_same(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with a_server(database, tmp_path) as server:
        server.parts.journal._patience_s = 0.3
        holds, go_on = threading.Event(), threading.Event()

        def slow(tx: Transaction, rows: Sequence[EventRow]) -> set[int]:
            stored = events.insert(tx, rows)
            holds.set()
            go_on.wait(20)
            return stored

        monkeypatch.setattr("dockbell.actions.commit.events", SimpleNamespace(insert=slow))
        first = asyncio.create_task(server.admin.post(EVENTS, an_event(id="first")))
        await asyncio.to_thread(holds.wait)
        second = asyncio.create_task(server.admin.post(EVENTS, an_event(id="second")))
        replies = await asyncio.gather(first, second)
        assert [reply.code for reply in replies] == ["store_unknown", "store_slow"]
        go_on.set()
        again = [await server.admin.post(EVENTS, an_event(id=name)) for name in ("first", "second")]
        assert [reply.document["repeated"] for reply in again] == [True, False]
        assert len(stored(server)) == 2


async def _until(holds) -> None:
    for _ in range(5_000):
        if holds():
            return
        await asyncio.to_thread(threading.Event().wait, 0.002)
    raise AssertionError("waited in vain")
