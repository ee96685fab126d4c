"""Turns: who of an object's deliveries may be claimed, and that what is due at a wrong moment is found and set right."""

from collections.abc import Sequence
from typing import Any

import pytest

from dockbell.store import backlog, deliveries, delivery_log, events, turns
from dockbell.store.backlog import FAR
from dockbell.store.database import Database, Transaction
from tests.support.rows import (
    FJORD,
    NOW,
    SECOND,
    TEA,
    a_closing,
    a_failure,
    an_event_row,
    claim,
    close,
    put_goods_owners,
    put_webhook,
    read,
    rows_of,
    save_webhook,
    write,
)

LATER = NOW + 60 * SECOND


@pytest.fixture
def store(database: Database) -> Database:
    """With webhook 1, which keeps the order of each object."""
    put_goods_owners(database)
    put_webhook(database, 1, keeps_order=1, goods_owners=(TEA, FJORD))
    return database


def put(store: Database, *event_ids: int, key: str | None = "order/1", owner: int = TEA, **fields: Any) -> None:
    """Events about one object, each with a delivery that is due."""

    def work(tx: Transaction) -> None:
        events.insert(tx, [an_event_row(each, object_key=key, goods_owner_id=owner, **fields) for each in event_ids])
        deliveries.insert(tx, [(each, 1, owner, NOW) for each in event_ids])
        turns.wait(tx, [(each, 1) for each in event_ids])

    write(store, work)


def claimed(store: Database) -> list[int]:
    return [lease.event_id for lease in claim(store, 1, now=LATER)]


def make_due(store: Database, *event_ids: int, due_at: int = NOW) -> None:
    for each in event_ids:
        write(
            store,
            lambda tx, each=each: tx.run("UPDATE deliveries SET due_at = :d WHERE event_id = :e", d=due_at, e=each),
        )


def due_now(store: Database) -> list[int]:
    return [
        row["event_id"]
        for row in rows_of(store, "SELECT event_id FROM deliveries WHERE due_at < :far ORDER BY 1", far=FAR)
    ]


def settle(store: Database) -> list[int]:
    """The events of what was astray."""
    strays, last = read(store, lambda tx: turns.astray(tx, after=turns.NOWHERE))
    assert last is None
    write(store, lambda tx: turns.settle(tx, strays, now=NOW))
    assert read(store, lambda tx: turns.astray(tx, after=turns.NOWHERE)) == ([], None)
    return [turn.event_id for turn in strays]


def leave(store: Database, *event_ids: int) -> None:
    write(store, lambda tx: turns.leave(tx, [(each, 1) for each in event_ids], now=NOW))


def test_the_first_of_an_object_is_due_and_those_behind_it_are_not(store: Database):
    put(store, 10, 12)
    put(store, 11, key="order/2")
    assert due_now(store) == [10, 11]
    assert claimed(store) == [10, 11]


def test_what_is_due_before_its_turn_is_not_claimed(store: Database):
    put(store, 10, 12)
    make_due(store, 12)
    assert claimed(store) == [10]
    assert claimed(store) == []


def test_the_same_object_of_another_goods_owner_waits_for_nothing(store: Database):
    put(store, 10)
    put(store, 11, owner=FJORD)
    assert claimed(store) == [10, 11]


def test_what_is_about_no_object_and_a_test_wait_for_nothing(store: Database):
    put(store, 10, 11, key=None)
    put(store, 12, 13, test_of=1)
    assert claimed(store) == [10, 11, 12, 13]


def test_who_has_ended_lets_the_next_come_forward_and_nobody_else(store: Database):
    put(store, 10, 11, 12)
    [lease] = claim(store, 1)
    close(store, a_closing(lease))
    leave(store, 10)
    assert due_now(store) == [10, 11]
    assert claimed(store) == [11]


def test_who_will_be_tried_again_keeps_its_turn(store: Database):
    put(store, 10, 11)
    [lease] = claim(store, 1)
    close(store, a_failure(lease, again_at=NOW + SECOND))
    leave(store, 10)
    assert due_now(store) == [10]
    assert claimed(store) == [10]


def test_what_is_released_still_waits_for_its_turn(store: Database):
    put(store, 10, 11)
    for enabled in (0, 1):
        write(
            store, lambda tx, enabled=enabled: save_webhook(tx, 1, enabled=enabled, keeps_order=1, goods_owners=(TEA,))
        )
        write(store, lambda tx: backlog.follow(tx, 1, now=NOW))
    assert due_now(store) == [10]
    assert claimed(store) == [10]


def test_where_one_was_cancelled_the_next_is_found(store: Database):
    put(store, 10, 11, 12)
    write(store, lambda tx: delivery_log.cancel(tx, 10, 1, now=NOW))
    assert settle(store) == [10]
    assert claimed(store) == [11]


def test_one_that_nobody_let_come_forward_is_found(store: Database):
    """As when its transaction and that of the one before did not see each other."""
    put(store, 10, 11)
    make_due(store, 10, due_at=FAR)
    assert settle(store) == [10]
    assert claimed(store) == [10]


def test_one_that_is_due_too_early_is_found(store: Database):
    put(store, 10, 11, 12)
    make_due(store, 12)
    assert settle(store) == [12]
    assert due_now(store) == [10]


def test_a_webhook_that_keeps_no_order_any_more_sends_all(store: Database):
    put(store, 10, 11, 12)
    write(store, lambda tx: save_webhook(tx, 1, keeps_order=0, goods_owners=(TEA,)))
    assert settle(store) == [10, 11, 12]
    assert claimed(store) == [10, 11, 12]
    assert rows_of(store, "SELECT * FROM turns") == []


def test_what_was_deleted_with_its_event_is_let_go_of(store: Database):
    put(store, 10, 11)
    write(store, lambda tx: tx.run("DELETE FROM deliveries WHERE event_id = 10"))
    assert settle(store) == [10]
    assert claimed(store) == [11]


def test_what_is_resent_goes_before_what_is_behind_it(store: Database):
    put(store, 10, 11)
    close(store, *[a_closing(lease) for lease in claim(store, 1)])
    leave(store, 10)
    write(store, lambda tx: delivery_log.resend(tx, 10, 1, status="pending", now=NOW))
    assert settle(store) == [11]
    assert claimed(store) == [10]


def test_many_turns_are_looked_through_in_portions(store: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(turns, "A_LOOK", 2)
    for number in range(3):
        put(store, 10 + number, 20 + number, key=f"order/{number}")
    make_due(store, 22)
    seen: Sequence[Any] = []
    after: turns.Turn | None = turns.NOWHERE
    looks = 0
    while after is not None:
        strays, after = read(store, lambda tx, after=after: turns.astray(tx, after=after))
        seen, looks = [*seen, *strays], looks + 1
    assert ([turn.event_id for turn in seen], looks) == ([22], 4)


def test_it_is_told_which_delivery_another_waits_for(store: Database):
    put(store, 10, 11, 12)
    assert [read(store, lambda tx, e=each: turns.first_before(tx, e, 1)) for each in (10, 11, 12)] == [None, 10, 10]
