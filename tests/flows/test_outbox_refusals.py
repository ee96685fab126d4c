"""What the outbox sets aside: with the reason, without stopping the others, until it is mended or erased; on both databases."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dockbell.actions import outbox as actions
from dockbell.actions.publish import judge
from dockbell.domain.event import NewEvent
from dockbell.errors import Unavailable
from dockbell.store import events as stored
from dockbell.store import outbox, people
from dockbell.store.database import Database
from dockbell.store.events import EventRow
from dockbell.store.outbox import open_outbox
from tests.support.node import TEA, a_node, an_event
from tests.support.outbox import a_drain, an_order, erase, install_outbox, publish, retry, status, stored_events

NOBODY = 999
Wms = psycopg.Connection[Any]


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
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path, event: str, reason: str
):
    publish(wms, **an_order(1))
    publish(wms, event)
    publish(wms, **an_order(2))
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        assert await drain.drain_once() == 3
        assert await drain.drain_once() == 0
        assert stored_events(node) == [("order/1", 1), ("order/2", 1)]
    told = status(outbox_url)
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
        assert stored_events(node) == [("order/1", 1), ("order/2", 1)]
    told = status(latin_address)
    assert (told["waiting"], told["refused"]) == (0, 2)
    swedish, polish = (refused["reason"] for refused in told["newest_refused"])
    assert polish.startswith("type: 'z\\u0142ota.kawa' is not in the catalog.")
    assert swedish.startswith("type: 'f\\xf6r.m\\xe5nga' is not in the catalog.")


async def test_a_reason_keeps_its_letters_where_the_outboxs_database_has_them_all(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path
):
    publish(wms, json.dumps({**an_event(), "type": "złota.kawa"}))
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        assert await drain.drain_once() == 1
    [refused] = status(outbox_url)["newest_refused"]
    assert refused["reason"].startswith("type: 'złota.kawa' is not in the catalog.")


async def test_an_event_that_is_too_long_is_not_even_fetched(outbox_url: str, wms: Wms):
    publish(wms)
    wms.commit()
    opened = open_outbox(outbox_url)
    [row] = opened.submit_read(lambda tx: outbox.waiting(tx, limit=5, largest_bytes=10)).result()
    opened.close()
    assert row["event"] is None
    assert row["bytes"] == len(json.dumps(an_event()))


async def test_a_bug_of_ours_sets_one_event_aside_and_goes_on(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(raw: bytes, *rest: Any, **more: Any) -> NewEvent:
        if b"SO-1" in raw:
            raise ZeroDivisionError
        return judge(raw, *rest, **more)

    monkeypatch.setattr("dockbell.actions.outbox.judge", broken)
    publish(wms, **an_order(1))
    publish(wms, **an_order(2))
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        await drain.drain_once()
        assert stored_events(node) == [("order/2", 1)]
    assert "ZeroDivisionError" in status(outbox_url)["newest_refused"][0]["reason"]


async def test_what_the_store_refuses_is_set_aside_and_stops_no_other(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        assert await drain.drain_once() == 7
        assert stored_events(node) == [(f"order/{number}", 1) for number in (1, 2, 5, 6, 7)]
        assert (status(outbox_url)["waiting"], status(outbox_url)["refused"]) == (0, 2)
        monkeypatch.undo()
        retry(outbox_url)
        assert await drain.drain_once() == 2
        assert stored_events(node)[-2:] == [("order/3", 1), ("order/4", 1)]


async def test_a_store_that_refuses_everything_is_not_right_itself_and_nothing_is_set_aside(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: Any) -> set[int]:
        raise ValueError("no room for any")

    monkeypatch.setattr(stored, "insert", refuse)
    for number in (1, 2, 3):
        publish(wms, **an_order(number))
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        with pytest.raises(Unavailable, match="The store failed"):
            await drain.drain_once()
        assert (status(outbox_url)["waiting"], status(outbox_url)["refused"]) == (3, 0)
        monkeypatch.undo()
        assert await drain.drain_once() == 3
        assert stored_events(node) == [("order/1", 1), ("order/2", 1), ("order/3", 1)]


async def test_an_id_that_another_event_has_is_set_aside_and_the_same_event_again_adds_nothing(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path
):
    publish(wms, **an_order(1), id="pick-1")
    publish(wms, **an_order(1), id="pick-1")
    publish(wms, **an_order(2), id="pick-1")
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        await drain.drain_once()
        assert stored_events(node) == [("order/1", 1)]
    [refused] = status(outbox_url)["newest_refused"]
    assert refused["number"] == 3
    assert refused["event"].startswith('{"type": "order.picked"')
    assert "[event_id_reused]" in refused["reason"]


async def test_what_was_set_aside_is_accepted_once_its_reason_is_mended(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path
):
    publish(wms, **an_order(1), goodsOwnerId=NOBODY)
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        await drain.drain_once()
        assert stored_events(node) == []
        await database.write(lambda tx: people.put_goods_owner(tx, NOBODY, "Nobody Ltd", now=1))
        assert await drain.drain_once() == 0
        assert retry(outbox_url) == 1
        assert await drain.drain_once() == 1
        assert stored_events(node) == [("order/1", 1)]
    assert status(outbox_url)["refused"] == 0


async def test_what_was_set_aside_is_erased_however_its_json_is_written(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path
):
    """As Python's `json` and PHP's `json_encode` write it when nothing else is said."""
    swedish = json.dumps({**an_event(**an_order(1)), "type": "order.pickd"}).replace("SO-1", "S\\u00d6-1")
    with_slash = json.dumps({**an_event(**an_order(2)), "type": "order.pickd"}).replace("SO-2", "A\\/2\\nB")
    publish(wms, swedish)
    publish(wms, with_slash)
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        await drain.drain_once()
    assert status(outbox_url)["refused"] == 2
    assert [erase(outbox_url, about=about) for about in ("S-1", "SÖ-1", "A/2")] == [0, 1, 1]
    assert status(outbox_url)["refused"] == 0


async def test_erasing_a_goods_owner_leaves_what_is_anothers_whatever_numbers_are_in_it(
    database: Database, outbox_url: str, wms: Wms, tmp_path: Path
):
    of_nobody = {**an_event(goodsOwnerId=NOBODY), "data": {**an_event()["data"], "orderId": TEA}}
    publish(wms, json.dumps(of_nobody))
    publish(wms, json.dumps({**an_event(), "type": "order.pickd"}))
    publish(wms, json.dumps({**an_event(), "type": "order.pickd", "goodsOwnerId": str(TEA)}))
    publish(wms, "[" * 2_000 + str(TEA) + "]" * 2_000)
    wms.commit()
    async with a_node(database, tmp_path) as node, a_drain(node, outbox_url) as drain:
        await drain.drain_once()
    assert status(outbox_url)["refused"] == 4
    assert erase(outbox_url, goods_owner_id=TEA) == 3
    [left] = status(outbox_url)["newest_refused"]
    assert left["number"] == 1


def test_s5_an_erasure_that_does_not_reach_the_outbox_says_what_is_left():
    with pytest.raises(Unavailable) as refused:
        actions.erase_away(lambda: open_outbox("postgresql://wms@127.0.0.1:1/wms"), goods_owner_id=TEA, about=None)
    assert "erased here, but not in what the outbox has set aside" in refused.value.message
    assert "dockbell outbox status" in refused.value.hint
