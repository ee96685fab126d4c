"""Accepting events: once for each of a publisher's ids, whoever else writes, and stored as they came."""

from functools import partial

import pytest

from dockbell.store import deliveries, events
from dockbell.store.database import ConstraintFailed, Database
from tests.support.rows import FJORD, NOW, TEA, an_event_row, put_deliveries, read, rows_of, write

LARGEST = (1 << 53) - 1


def insert(store: Database, *rows: events.EventRow) -> set[int]:
    found: set[int] = write(store, lambda tx: events.insert(tx, rows))
    return found


def test_an_accepted_event_comes_back_as_it_was(store: Database):
    row = an_event_row(
        LARGEST,
        publisher_id="a-1",
        fingerprint="f",
        attributes='{"transporter": "DHL"}',
        data='{"n": 1E2, "å": "🎉"}',
        test_of=7,
    )
    assert insert(store, row) == {LARGEST}
    found = read(store, lambda tx: events.find(tx, LARGEST))
    assert tuple(found.values()) == (*row.values(), None)  # when its payload was erased
    assert read(store, events.newest_id) == LARGEST


def test_events_without_a_publishers_id_are_all_new(store: Database):
    assert insert(store, an_event_row(1), an_event_row(2)) == {1, 2}
    assert insert(store, an_event_row(3)) == {3}


def test_a_publishers_id_is_accepted_once(store: Database):
    assert insert(store, an_event_row(1, publisher_id="a", fingerprint="x")) == {1}
    assert insert(store, an_event_row(2, publisher_id="a", fingerprint="y"), an_event_row(3, publisher_id="b")) == {3}
    first = read(store, lambda tx: events.by_publisher_id(tx, TEA, "a"))
    assert (first["id"], first["fingerprint"]) == (1, "x")
    assert read(store, lambda tx: events.find(tx, 2)) is None


def test_a_publishers_id_is_accepted_once_within_one_batch(store: Database):
    stored = insert(store, an_event_row(1, publisher_id="a"), an_event_row(2, publisher_id="a"), an_event_row(3))
    assert stored == {1, 3}


def test_a_publishers_id_belongs_to_its_goods_owner(store: Database):
    insert(store, an_event_row(1, publisher_id="a"))
    assert insert(store, an_event_row(2, publisher_id="a", goods_owner_id=FJORD)) == {2}
    assert read(store, lambda tx: events.by_publisher_id(tx, FJORD, "a"))["id"] == 2


def test_a_publishers_id_tells_small_letters_from_capitals(store: Database):
    assert insert(store, an_event_row(1, publisher_id="a"), an_event_row(2, publisher_id="A")) == {1, 2}


def test_eight_writers_with_one_publishers_id_store_one_event(store: Database):
    futures = [
        store.submit_write(partial(events.insert, events=[an_event_row(number, publisher_id="a")]))
        for number in range(1, 9)
    ]
    stored = [future.result(10) for future in futures]
    assert sum(map(len, stored)) == 1
    assert len(rows_of(store, "SELECT id FROM events")) == 1


def test_an_id_that_is_taken_is_refused_loudly(store: Database):
    insert(store, an_event_row(1))
    with pytest.raises(ConstraintFailed):
        insert(store, an_event_row(1))


def test_a_delivery_exists_once_per_event_and_webhook(store: Database):
    put_deliveries(store, 1, [10])
    with pytest.raises(ConstraintFailed):
        write(store, lambda tx: deliveries.insert(tx, [(10, 1, TEA, NOW)]))


def test_what_an_attempt_needs_is_read_for_many_events_at_once(store: Database):
    insert(store, *(an_event_row(number, data=f'{{"n":{number}}}') for number in range(1, 100)))
    found = read(store, lambda tx: events.for_sending(tx, [5, 7, 7, 1234, *range(20, 90)]))
    assert sorted(found) == [5, 7, *range(20, 90)]
    assert all(row["data"] == f'{{"n":{number}}}' for number, row in found.items())
    assert read(store, lambda tx: events.for_sending(tx, [])) == {}


def test_an_empty_store_has_no_newest_event(store: Database):
    assert read(store, events.newest_id) == 0
