"""From a transaction of a warehouse system in its own PostgreSQL to events here, on both databases."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dockbell.actions import outbox as actions
from dockbell.actions.commit import Verdict
from dockbell.actions.outbox import Drain
from dockbell.actions.publish import judge
from dockbell.clock import MINUTE, SECOND, SystemClock
from dockbell.domain.event import NewEvent
from dockbell.errors import Unavailable
from dockbell.store import events as stored
from dockbell.store import outbox, people
from dockbell.store.database import Database
from dockbell.store.events import EventRow
from dockbell.store.outbox import open_outbox
from dockbell.testing.clock import ManualClock
from tests.support.node import TEA, Node, a_node, an_event
from tests.support.outbox import a_drain, drain_of, erase, install_outbox, publish, retry, status

NOBODY = 999
PATIENCE_S = 15.0
Wms = psycopg.Connection[Any]


@pytest.fixture
def address(wms_schema: str) -> str:
    install_outbox(wms_schema)
    return wms_schema


@pytest.fixture
def wms(address: str) -> Iterator[Wms]:
    with psycopg.connect(address) as connection:
        yield connection
        connection.rollback()


def an_order(number: int, version: int = 1) -> dict[str, Any]:
    data = {**an_event()["data"], "orderId": number, "orderNumber": f"SO-{number}", "customFieldVersion": version}
    return {"key": f"order/{number}", "attributes": {"version": version}, "data": data}


def events(node: Node) -> list[tuple[str, int]]:
    """Object and version of each, in the order of their ids."""
    rows = node.rows("SELECT object_key, attributes FROM events ORDER BY id")
    return [(row["object_key"], json.loads(row["attributes"]).get("version")) for row in rows]


async def test_what_was_committed_arrives_once_and_what_was_rolled_back_never(
    database: Database, address: str, wms: Wms, tmp_path: Path
):
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
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
        assert events(node) == [("order/1", 1), ("order/3", 1), ("order/4", 1)]
        assert status(address)["waiting"] == 0


async def test_the_data_arrives_byte_for_byte(database: Database, address: str, wms: Wms, tmp_path: Path):
    data = '{ "orderId": 7,"orderNumber" : "SÖ-7 €",  "orderStatus": {"number":400}, "weight": 1.10 }'
    publish(wms, f'{{"type": "order.picked", "goodsOwnerId": {TEA},  "data": {data}}}')
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        await drain.drain_once()
        assert [row["data"] for row in node.rows("SELECT data FROM events")] == [data]


async def test_an_event_without_a_time_happened_when_it_was_published(
    database: Database, address: str, wms: Wms, tmp_path: Path
):
    before = SystemClock().now()
    publish(wms)
    publish(wms, occurredAt="2026-02-03T12:07:31Z")
    wms.commit()
    after = SystemClock().now()
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        await drain.drain_once()
        own, said = [row["occurred_at"] for row in node.rows("SELECT occurred_at FROM events ORDER BY id")]
    assert before - SECOND <= own <= after + SECOND
    assert said == 1_770_120_451 * SECOND


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC"])
async def test_a_time_that_no_event_can_have_stops_nothing(
    database: Database, address: str, wms: Wms, tmp_path: Path, moment: str
):
    """Whoever may INSERT may write it: such an event happened when it was accepted."""
    publish(wms, **an_order(1))
    wms.execute("UPDATE dockbell_outbox SET published_at = %s", [moment])
    publish(wms, **an_order(2))
    wms.commit()
    assert status(address)["waiting"] == 2
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        assert await drain.drain_once() == 2
        assert events(node) == [("order/1", 1), ("order/2", 1)]
        [first, _] = node.rows("SELECT occurred_at, accepted_at FROM events ORDER BY id")
    assert first["occurred_at"] == first["accepted_at"]


async def test_a_transaction_that_commits_late_is_not_lost(database: Database, address: str, wms: Wms, tmp_path: Path):
    """Its number is smaller than one that was drained before: a drain that remembered how far it was would pass it by."""
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        publish(wms, **an_order(1))
        with psycopg.connect(address) as quicker:
            publish(quicker, **an_order(2))
        assert await drain.drain_once() == 1
        wms.commit()
        assert await drain.drain_once() == 1
        assert events(node) == [("order/2", 1), ("order/1", 1)]


async def test_changes_that_wait_for_one_another_arrive_in_their_order(
    database: Database, address: str, wms: Wms, tmp_path: Path
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

    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        with psycopg.connect(address) as older:
            older.execute("SELECT pg_current_xact_id()")
            change(wms)
            waiting = threading.Thread(target=change_and_commit, args=(older,))
            waiting.start()
            assert await drain.drain_once() == 0
            wms.commit()
            waiting.join(PATIENCE_S)
        while await drain.drain_once():
            pass
        assert events(node) == [("order/1", 1), ("order/1", 2)]


async def test_a_crash_between_the_two_commits_adds_nothing(
    database: Database, address: str, wms: Wms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Crash(BaseException):
        """Ends the transaction in the outbox as the end of the process does."""

    def crash(*_: object) -> None:
        raise Crash

    for number in range(1, 4):
        publish(wms, **an_order(number))
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        with monkeypatch.context() as patch:
            patch.setattr(outbox, "remove", crash)
            with pytest.raises(Crash):
                await drain.drain_once()
        assert len(events(node)) == 3
        assert status(address)["waiting"] == 3
        publish(wms, **an_order(4))
        wms.commit()
        assert await drain.drain_once() == 4
        assert events(node) == [(f"order/{number}", 1) for number in range(1, 5)]
        assert status(address) == {"waiting": 0, "oldest": None, "refused": 0, "newest_refused": []}


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


async def test_a_store_that_is_away_refuses_nothing(database: Database, address: str, wms: Wms, tmp_path: Path):
    publish(wms, **an_order(1))
    wms.commit()
    async with a_node(database, tmp_path) as node:
        away: Any = AwayOnce(node)
        drain = Drain(lambda: open_outbox(address), database, node.index, node.publisher, away, node.clock)
        with pytest.raises(Unavailable):
            await drain.drain_once()
        assert (status(address)["waiting"], status(address)["refused"]) == (1, 0)
        assert await drain.drain_once() == 1
        await drain.close()
        assert events(node) == [("order/1", 1)]


def a_long_event() -> str:
    return json.dumps(an_event(attributes={"note": "x" * 300_000}))


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (json.dumps({**an_event(), "type": "order.pickd"}), "Did you mean 'order.picked'?"),
        (json.dumps(an_event(data={})), "data"),
        (json.dumps(an_event(goodsOwnerId=NOBODY)), f"There is no goods owner {NOBODY}. [goods_owner]"),
        (json.dumps(an_event(orderId=5)), "There is no field 'orderId'"),
        ('{"type": "order.picked", "type": "order.created", "data": {}}', "body_duplicate_key"),
        (json.dumps(an_event(key="\0")), "body_"),
        ("[]", "An event must be a JSON object."),
        ("5", "An event must be a JSON object."),
        ("null", "An event must be a JSON object."),
        (a_long_event(), "bytes; at most 262144 are allowed"),
    ],
    ids=["type", "data", "owner", "field", "twice", "nul", "list", "number", "null", "long"],
)
async def test_an_event_that_is_refused_is_set_aside_with_the_reason_and_stops_no_other(
    database: Database, address: str, wms: Wms, tmp_path: Path, event: str, reason: str
):
    publish(wms, **an_order(1))
    publish(wms, event)
    publish(wms, **an_order(2))
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        assert await drain.drain_once() == 3
        assert await drain.drain_once() == 0
        assert events(node) == [("order/1", 1), ("order/2", 1)]
    told = status(address)
    assert (told["waiting"], told["refused"]) == (0, 1)
    assert reason in told["newest_refused"][0]["reason"]
    assert told["newest_refused"][0]["number"] == 2


@pytest.fixture
def latin_address(postgres_url: str) -> Iterator[str]:
    """An outbox in a database whose encoding has few letters."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE latin_wms ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
        try:
            latin = postgres_url.replace(f"/{admin.info.dbname}", "/latin_wms")
            install_outbox(latin)
            yield latin
        finally:
            admin.execute("DROP DATABASE latin_wms WITH (FORCE)")


async def test_a_reason_with_letters_that_the_outboxs_database_lacks_stops_no_other(
    database: Database, latin_address: str, tmp_path: Path
):
    with psycopg.connect(latin_address) as wms:
        publish(wms, **an_order(1))
        publish(wms, json.dumps({**an_event(), "type": "złota.kawa"}))
        publish(wms, json.dumps({**an_event(), "type": "för.många"}))
        publish(wms, **an_order(2))
    async with a_node(database, tmp_path) as node, a_drain(node, latin_address) as drain:
        assert await drain.drain_once() == 4
        assert events(node) == [("order/1", 1), ("order/2", 1)]
    told = status(latin_address)
    assert (told["waiting"], told["refused"]) == (0, 2)
    swedish, polish = (refused["reason"] for refused in told["newest_refused"])
    assert polish.startswith("type: 'z\\u0142ota.kawa' is not in the catalog.")
    assert swedish.startswith("type: 'f\\xf6r.m\\xe5nga' is not in the catalog.")


async def test_a_reason_keeps_its_letters_where_the_outboxs_database_has_them_all(
    database: Database, address: str, wms: Wms, tmp_path: Path
):
    publish(wms, json.dumps({**an_event(), "type": "złota.kawa"}))
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        assert await drain.drain_once() == 1
    [refused] = status(address)["newest_refused"]
    assert refused["reason"].startswith("type: 'złota.kawa' is not in the catalog.")


async def test_an_event_that_is_too_long_is_not_even_fetched(address: str, wms: Wms):
    publish(wms)
    wms.commit()
    opened = open_outbox(address)
    [row] = opened.submit_read(lambda tx: outbox.waiting(tx, limit=5, largest_bytes=10)).result()
    opened.close()
    assert row["event"] is None
    assert row["bytes"] == len(json.dumps(an_event()))


async def test_a_bug_of_ours_sets_one_event_aside_and_goes_on(
    database: Database, address: str, wms: Wms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):

    def broken(raw: bytes, *rest: Any, **more: Any) -> NewEvent:
        return 1 // 0 if b"SO-1" in raw else judge(raw, *rest, **more)  # type: ignore[return-value]

    monkeypatch.setattr("dockbell.actions.outbox.judge", broken)
    publish(wms, **an_order(1))
    publish(wms, **an_order(2))
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        await drain.drain_once()
        assert events(node) == [("order/2", 1)]
    assert "ZeroDivisionError" in status(address)["newest_refused"][0]["reason"]


async def test_what_the_store_refuses_is_set_aside_and_stops_no_other(
    database: Database, address: str, wms: Wms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    insert = stored.insert

    def picky(tx: Any, rows: Sequence[EventRow]) -> set[int]:
        if any(row.object_number in ("SO-3", "SO-4") for row in rows):
            raise ValueError("no room for this one")
        return insert(tx, rows)

    monkeypatch.setattr(stored, "insert", picky)
    for number in range(1, 8):
        publish(wms, **an_order(number))
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        assert await drain.drain_once() == 7
        assert events(node) == [(f"order/{number}", 1) for number in (1, 2, 5, 6, 7)]
        assert (status(address)["waiting"], status(address)["refused"]) == (0, 2)
        monkeypatch.undo()
        retry(address)
        assert await drain.drain_once() == 2
        assert events(node)[-2:] == [("order/3", 1), ("order/4", 1)]


async def test_a_store_that_refuses_everything_is_not_right_itself_and_nothing_is_set_aside(
    database: Database, address: str, wms: Wms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: Any) -> set[int]:
        raise ValueError("no room for any")

    monkeypatch.setattr(stored, "insert", refuse)
    for number in (1, 2, 3):
        publish(wms, **an_order(number))
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        with pytest.raises(Unavailable, match="The store failed"):
            await drain.drain_once()
        assert (status(address)["waiting"], status(address)["refused"]) == (3, 0)
        monkeypatch.undo()
        assert await drain.drain_once() == 3
        assert events(node) == [("order/1", 1), ("order/2", 1), ("order/3", 1)]


async def test_an_id_that_another_event_has_is_set_aside_and_the_same_event_again_adds_nothing(
    database: Database, address: str, wms: Wms, tmp_path: Path
):
    publish(wms, **an_order(1), id="pick-1")
    publish(wms, **an_order(1), id="pick-1")
    publish(wms, **an_order(2), id="pick-1")
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        await drain.drain_once()
        assert events(node) == [("order/1", 1)]
    [refused] = status(address)["newest_refused"]
    assert refused["number"] == 3
    assert refused["event"].startswith('{"type": "order.picked"')
    assert "[event_id_reused]" in refused["reason"]


async def test_what_was_set_aside_is_accepted_once_its_reason_is_mended(
    database: Database, address: str, wms: Wms, tmp_path: Path
):
    publish(wms, **an_order(1), goodsOwnerId=NOBODY)
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        await drain.drain_once()
        assert events(node) == []
        await database.write(lambda tx: people.put_goods_owner(tx, NOBODY, "Nobody Ltd", now=1))
        assert await drain.drain_once() == 0
        assert retry(address) == 1
        assert await drain.drain_once() == 1
        assert events(node) == [("order/1", 1)]
    assert status(address)["refused"] == 0


async def test_more_than_one_load_is_drained_in_order(database: Database, address: str, wms: Wms, tmp_path: Path):
    count = 2 * actions.ROWS_AT_ONCE + 10
    for version in range(1, count + 1):
        publish(wms, **an_order(1, version))
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        assert [await drain.drain_once() for _ in range(4)] == [actions.ROWS_AT_ONCE, actions.ROWS_AT_ONCE, 10, 0]
        assert events(node) == [("order/1", version) for version in range(1, count + 1)]


async def test_while_one_node_drains_no_other_does(database: Database, address: str, wms: Wms, tmp_path: Path):
    publish(wms, **an_order(1))
    wms.commit()
    other = open_outbox(address)
    locked, go_on = threading.Event(), threading.Event()

    def hold(tx: Any) -> bool:
        held = outbox.lock(tx)
        locked.set()
        assert go_on.wait(PATIENCE_S)
        return held

    holding = other.submit_write(hold)
    assert locked.wait(PATIENCE_S)
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        assert await drain.drain_once() == 0
        go_on.set()
        assert holding.result(PATIENCE_S)
        other.close()
        assert await drain.drain_once() == 1
        assert events(node) == [("order/1", 1)]


async def test_the_ids_of_a_node_that_takes_over_go_on_whatever_its_clock_says(
    database: Database, address: str, wms: Wms, tmp_path: Path
):
    early, late = ManualClock(), ManualClock()
    late.advance(MINUTE)
    async with (
        a_node(database, tmp_path, clock=late, number=5) as first,
        a_drain(first, address) as of_first,
        a_node(database, tmp_path, clock=early, number=2) as second,
        a_drain(second, address) as of_second,
    ):
        for version, drain in enumerate((of_first, of_second, of_first, of_second), start=1):
            publish(wms, **an_order(1, version))
            wms.commit()
            assert await drain.drain_once() == 1
        assert events(first) == [("order/1", version) for version in range(1, 5)]


# --- its life ------------------------------------------------------------------------------------------------------


async def running(node: Node, address: str) -> AsyncIterator[Drain]:
    drain = drain_of(node, address)
    task = asyncio.create_task(drain.run())
    try:
        yield drain
    finally:
        drain.stop()
        await asyncio.wait_for(task, PATIENCE_S)


@pytest.mark.slow
async def test_a_commit_wakes_a_drain_at_rest(database: Database, address: str, wms: Wms, tmp_path: Path):
    async with a_node(database, tmp_path, clock=SystemClock()) as node:
        async for _ in running(node, address):
            began = 0.0
            for number in (1, 2, 3):  # at the first one its line may not stand yet
                publish(wms, **an_order(number))
                wms.commit()
                began = node.clock.monotonic()
                await node.until(lambda number=number: len(events(node)) == number)  # type: ignore[misc]
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
            await node.until(lambda: len(events(node)) == 2)


async def test_what_was_set_aside_is_erased_however_its_json_is_written(
    database: Database, address: str, wms: Wms, tmp_path: Path
):
    """As Python's `json` and PHP's `json_encode` write it when nothing else is said."""
    swedish = json.dumps({**an_event(**an_order(1)), "type": "order.pickd"}).replace("SO-1", "S\\u00d6-1")
    with_slash = json.dumps({**an_event(**an_order(2)), "type": "order.pickd"}).replace("SO-2", "A\\/2\\nB")
    publish(wms, swedish)
    publish(wms, with_slash)
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        await drain.drain_once()
    assert status(address)["refused"] == 2
    assert [erase(address, about=about) for about in ("S-1", "SÖ-1", "A/2")] == [0, 1, 1]
    assert status(address)["refused"] == 0


async def test_erasing_a_goods_owner_leaves_what_is_anothers_whatever_numbers_are_in_it(
    database: Database, address: str, wms: Wms, tmp_path: Path
):
    of_nobody = {**an_event(goodsOwnerId=NOBODY), "data": {**an_event()["data"], "orderId": TEA}}
    publish(wms, json.dumps(of_nobody))
    publish(wms, json.dumps({**an_event(), "type": "order.pickd"}))
    publish(wms, json.dumps({**an_event(), "type": "order.pickd", "goodsOwnerId": str(TEA)}))
    publish(wms, "[" * 2_000 + str(TEA) + "]" * 2_000)
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, address) as drain:
        await drain.drain_once()
    assert status(address)["refused"] == 4
    assert erase(address, goods_owner_id=TEA) == 3
    [left] = status(address)["newest_refused"]
    assert left["number"] == 1


def test_s5_an_erasure_that_does_not_reach_the_outbox_says_what_is_left():
    with pytest.raises(Unavailable) as refused:
        actions.erase_away(lambda: open_outbox("postgresql://wms@127.0.0.1:1/wms"), goods_owner_id=TEA, about=None)
    assert "erased here, but not in what the outbox has set aside" in refused.value.message
    assert "dockbell outbox status" in refused.value.hint
