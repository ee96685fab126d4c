"""Events and the log: accepted once, found again, paged without gap, and what people do to deliveries."""

import random
import re
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest

from dockbell.actions.deliveries import sought
from dockbell.domain.ids import NODES
from dockbell.errors import ConfigError
from dockbell.store import deliveries, delivery_log, events, people, webhooks
from dockbell.store.database import ConstraintFailed, Database, Transaction
from dockbell.store.objects import Sought
from tests.support.rows import (
    FJORD,
    NOW,
    SECOND,
    TEA,
    UNTOUCHED,
    Explained,
    a_closing,
    a_failure,
    a_lease,
    an_event_row,
    claim,
    put_deliveries,
    put_goods_owners,
    put_webhook,
    read,
    rows_of,
    states,
    the_delivery,
    with_states,
    write,
)

LATER = NOW + 60 * SECOND
NEWEST = 1 << 62
LARGEST = (1 << 53) - 1


@pytest.fixture
def store(database: Database) -> Database:
    put_goods_owners(database)
    put_webhook(database, 1)
    put_webhook(database, 2)
    return database


def insert(store: Database, *rows: events.EventRow) -> set[int]:
    found: set[int] = write(store, lambda tx: events.insert(tx, rows))
    return found


# Accepting.


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


# Pages.


def pages_of_deliveries(store: Database, *, limit: int, **filters: Any) -> list[tuple[int, int]]:
    before, found = (NEWEST, 0), []
    filters = {"goods_owners": None, **filters}
    for _ in range(200):
        rows = read(store, lambda tx: delivery_log.page(tx, before=before, limit=limit, **filters))  # noqa: B023
        found += [(row["event_id"], row["webhook_id"]) for row in rows]
        if len(rows) < limit:
            return found
        before = found[-1]
    raise AssertionError("the pages do not end")


def pages_of_events(store: Database, *, limit: int = 7, **filters: Any) -> list[int]:
    before, found = NEWEST, []
    filters = {"goods_owners": None, **filters}
    for _ in range(200):
        rows = read(store, lambda tx: events.page(tx, before=before, limit=limit, **filters))  # noqa: B023
        found += [row["id"] for row in rows]
        if len(rows) < limit:
            return found
        before = found[-1]
    raise AssertionError("the pages do not end")


def fill(store: Database) -> list[tuple[int, int]]:
    """Events 1 to 60 to webhook 1, every third also to webhook 2; newest first."""

    def work(tx: Transaction) -> None:
        events.insert(tx, [an_event_row(n, goods_owner_id=FJORD if n % 5 == 0 else TEA) for n in range(1, 61)])
        wanted = [
            (n, w, FJORD if n % 5 == 0 else TEA, NOW) for n in range(1, 61) for w in ((1, 2) if n % 3 == 0 else (1,))
        ]
        random.Random(3).shuffle(wanted)
        deliveries.insert(tx, wanted)

    write(store, work)
    return [(n, w) for n in range(60, 0, -1) for w in ((2, 1) if n % 3 == 0 else (1,))]


@pytest.mark.parametrize("limit", [1, 2, 7, 80, 100])
def test_pages_of_deliveries_have_neither_gap_nor_repeat(store: Database, limit: int):
    everything = fill(store)
    assert pages_of_deliveries(store, limit=limit) == everything


@pytest.mark.parametrize("limit", [1, 2, 7, 80, 100])
def test_pages_stay_whole_while_new_events_come_in(store: Database, limit: int):
    everything = fill(store)
    first = read(store, lambda tx: delivery_log.page(tx, goods_owners=None, before=(NEWEST, 0), limit=limit))
    put_deliveries(store, 1, [1000, 1001])
    last = (first[-1]["event_id"], first[-1]["webhook_id"])
    rest = read(store, lambda tx: delivery_log.page(tx, goods_owners=None, before=last, limit=1000))
    assert [(row["event_id"], row["webhook_id"]) for row in [*first, *rest]] == everything


def test_each_filter_of_the_log_does_what_it_says(store: Database):
    everything = fill(store)
    write(store, lambda tx: deliveries.close(tx, [a_closing(lease) for lease in claim_now(tx, 2)]))
    closed = {(row["event_id"], 2) for row in rows_of(store, "SELECT event_id FROM attempts")}
    assert len(closed) == 4
    assert pages_of_deliveries(store, limit=9, webhook_id=2) == [pair for pair in everything if pair[1] == 2]
    assert pages_of_deliveries(store, limit=9, goods_owner_id=FJORD) == [
        pair for pair in everything if pair[0] % 5 == 0
    ]
    assert set(pages_of_deliveries(store, limit=9, status="delivered")) == closed
    assert set(pages_of_deliveries(store, limit=9, code="delivered")) == closed
    assert pages_of_deliveries(store, limit=9, event_type="order.created") == []
    assert pages_of_deliveries(store, limit=9, event_type="order.picked") == everything
    assert pages_of_deliveries(store, limit=9, from_id=41) == [pair for pair in everything if pair[0] >= 41]
    both = pages_of_deliveries(store, limit=9, webhook_id=2, goods_owner_id=FJORD, status="pending")
    assert both == [pair for pair in everything if pair[1] == 2 and pair[0] % 5 == 0 and pair not in closed]


def claim_now(tx: Transaction, webhook_id: int) -> list[deliveries.Lease]:
    return deliveries.claim_due(tx, webhook_id=webhook_id, now=NOW, lease_until=LATER, node=0, limit=32)


@pytest.mark.parametrize(
    ("owners", "wanted"),
    [
        (None, {TEA, FJORD}),
        ([TEA], {TEA}),
        ([FJORD], {FJORD}),
        ([TEA, FJORD], {TEA, FJORD}),
        ([], set()),
        ([11, 14, 1140], set()),
    ],
)
def test_a_goods_owner_sees_only_their_own(store: Database, owners: list[int] | None, wanted: set[int]):
    """11, 14 and 1140 are parts of 114 or hold it: a set of goods owners is compared whole."""
    fill(store)
    rows = read(store, lambda tx: delivery_log.page(tx, goods_owners=owners, before=(NEWEST, 0), limit=100))
    assert {row["goods_owner_id"] for row in rows} == wanted
    rows = read(
        store, lambda tx: delivery_log.page(tx, goods_owners=owners, webhook_id=2, before=(NEWEST, 0), limit=99)
    )
    assert {row["goods_owner_id"] for row in rows} == wanted
    rows = read(store, lambda tx: events.page(tx, goods_owners=owners, before=NEWEST, limit=100))
    assert {row["goods_owner_id"] for row in rows} == wanted
    rows = read(store, lambda tx: people.goods_owners(tx, visible=owners))
    assert {row["id"] for row in rows} == wanted


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_pages_of_events_have_neither_gap_nor_repeat(store: Database, limit: int):
    fill(store)
    assert pages_of_events(store, limit=limit) == list(range(60, 0, -1))
    assert pages_of_events(store, limit=limit, from_id=50) == list(range(60, 49, -1))
    assert pages_of_events(store, limit=limit, event_type="order.created") == []


@pytest.mark.parametrize(
    ("owners", "few", "index"),
    [
        (None, 1, "events_of_type"),
        ([TEA], 1, "events_of_goods_owner"),
        ([TEA], 1_000, "events_of_type"),
        ([TEA, FJORD], 1_000, "events_of_type"),
    ],
)
def test_events_of_a_rare_type_are_found_without_walking_over_all(
    store: Database, monkeypatch: pytest.MonkeyPatch, owners: list[int] | None, few: int, index: str
):
    """A goods owner's are found among their own or among those of the type; PostgreSQL knows how many there are of each."""
    monkeypatch.setattr(events, "_FEW", few)
    steps: list[str] = []

    def look(tx: Transaction) -> None:
        rare = (4_000, 4_001, 4_999)
        events.insert(tx, [an_event_row(n, event_type="rare" if n in rare else "common") for n in range(1, 5_000)])
        if store.dialect == "postgres":
            tx.run("ANALYZE events")
        explained = Explained(tx)
        found = events.page(
            cast(Transaction, explained), goods_owners=owners, event_type="rare", before=NEWEST, limit=2
        )
        assert [row["id"] for row in found] == [4_999, 4_001]
        steps.extend(explained.steps)

    write(store, look)
    walks = [step for step in steps if re.search("SCAN|SEARCH", step, re.IGNORECASE) and "COVERING" not in step]
    assert any(index in step or (store.dialect == "postgres" and "events_of" in step) for step in walks), steps
    assert not any(re.search("Seq Scan|SCAN e|_pkey", step) for step in walks), steps


# Searching an object.

OBJECTS = {
    1: ("order/50163", "SO-1001"),
    2: ("order/50164", "50163"),
    3: ("purchase-order/50163", "PO-9"),
    4: ("purchase-order/7", "50163"),
    5: ("order/50%", "50%"),
    6: ("order/50_63", "50_63"),
    7: ("order/a\\b", "a\\b"),
    8: ("order/so-1001", "so-1001"),
    9: ("Order/1", "SO-1001"),
    10: (None, None),
    20: ("customer 17", None),
    21: ("customer/17", None),
    22: ("place/5", "customer 18"),
}


@pytest.mark.parametrize(
    ("about", "wanted"),
    [
        ("order/50163", {1, 2}),
        ("order 50163", {1, 2}),
        ("purchase-order 50163", {3, 4}),
        ("50163", {2, 4}),
        ("SO-1001", {1, 9}),
        ("order SO-1001", {1}),
        ("order/SO-1001", {1}),
        ("so-1001", {8}),
        ("50%", {5}),
        ("order 50%", {5}),
        ("%", set()),
        ("order %", set()),
        ("50_63", {6}),
        ("order/50_63", {6}),
        ("a\\b", {7}),
        ("order a\\b", {7}),
        ("ord%r 50163", set()),
        ("customer 17", {20, 21}),
        ("customer/17", {21}),
        ("customer 18", {22}),
        ("customer/18", set()),
        ("' OR 1=1 --", set()),
        ("", set(OBJECTS)),
        (None, set(OBJECTS)),
    ],
)
def test_an_object_is_found_by_key_by_kind_and_number_and_by_number(
    store: Database, about: str | None, wanted: set[int]
):
    insert(store, *(an_event_row(n, object_key=key, object_number=number) for n, (key, number) in OBJECTS.items()))
    write(store, lambda tx: deliveries.insert(tx, [(n, 1, TEA, NOW) for n in OBJECTS]))
    assert set(pages_of_events(store, limit=7, about=sought(about))) == wanted
    assert {event_id for event_id, _ in pages_of_deliveries(store, limit=3, about=sought(about))} == wanted


@pytest.mark.parametrize("kind", ["o%", "_rder", "%", "ORDER"])
def test_a_kind_is_taken_literally(store: Database, kind: str):
    insert(store, an_event_row(1, object_key="order/1", object_number="7"))
    write(store, lambda tx: deliveries.insert(tx, [(1, 1, TEA, NOW)]))
    about = Sought(f"{kind}/7", kind, "7")
    assert pages_of_events(store, limit=7, about=about) == []
    assert pages_of_deliveries(store, limit=3, about=about) == []


# What people do.


def test_one_delivery_can_be_cancelled_while_it_waits(store: Database):
    with_states(store)
    answers = [write(store, lambda tx, n=n: delivery_log.cancel(tx, n, 1, now=LATER)) for n in range(10, 16)]
    assert answers == [True, False, False, False, True, False]
    assert states(store, 2) == UNTOUCHED


def test_a_resend_starts_a_new_round_unless_an_attempt_is_under_way(store: Database):
    with_states(store)
    write(
        store, lambda tx: tx.run("UPDATE deliveries SET failures = 3, first_attempt_at = 5, ended_at = 6, attempts = 4")
    )
    answers = [
        write(store, lambda tx, n=n: delivery_log.resend(tx, n, 1, status="pending", now=LATER)) for n in range(10, 16)
    ]
    assert answers == [True, False, True, True, True, True]
    row = the_delivery(store, 12)
    assert (row["status"], row["due_at"], row["failures"], row["attempts"]) == ("pending", LATER, 0, 4)
    assert (row["first_attempt_at"], row["ended_at"]) == (None, None)
    assert states(store, 2) == UNTOUCHED


def test_what_is_not_delivered_is_counted_by_webhook_and_status(store: Database):
    with_states(store)
    put_deliveries(store, 1, [20, 21])
    found = read(store, lambda tx: delivery_log.counts(tx, [1, 2, 99]))
    assert found[1] == {"pending": 3, "sending": 1, "failed": 1, "held": 1, "cancelled": 1}
    assert found[2] == {"pending": 1, "sending": 1, "failed": 1, "held": 1, "cancelled": 1}
    assert 99 not in found


def test_attempts_are_listed_in_the_order_they_were_made(store: Database):
    put_deliveries(store, 1, [10])
    for number in range(12):
        [lease] = claim(store, 1, now=NOW + number)
        write(store, lambda tx, lease=lease: deliveries.close(tx, [a_failure(lease, again_at=lease.started_at + 1)]))
    found = read(store, lambda tx: delivery_log.attempts_of(tx, 10, 1))
    assert [row["attempt_no"] for row in found] == list(range(1, 13))


def test_text_of_a_receiver_is_kept_as_it_is(store: Database):
    put_deliveries(store, 1, [10])
    strange = "\x01\x7f% %s :name ' \" \\ 🎉 \ufffd \N{SYMBOL FOR NULL}" * 100
    write(
        store,
        lambda tx: deliveries.close(tx, [a_closing(claim_now(tx, 1)[0], response_body=strange, response_cut=True)]),
    )
    [attempt] = read(store, lambda tx: delivery_log.attempts_of(tx, 10, 1))
    assert (attempt["response_body"], attempt["response_cut"]) == (strange, 1)


def test_an_unanswered_attempt_has_no_status(store: Database):
    put_deliveries(store, 1, [10, 11])
    leases = claim(store, 1)
    write(
        store,
        lambda tx: deliveries.close(tx, [a_closing(lease, status_code=None, code="dns_not_found") for lease in leases]),
    )
    assert [row["status_code"] for row in rows_of(store, "SELECT status_code FROM attempts")] == [None, None]


# Webhooks.


def test_a_change_of_a_webhook_is_seen_by_whoever_asks_since(store: Database):
    newest = max(row["changed_no"] for row in rows_of(store, "SELECT changed_no FROM webhooks"))
    assert read(store, lambda tx: webhooks.changed_since(tx, newest)) == []
    put_webhook(store, 1, name="renamed")
    [row] = read(store, lambda tx: webhooks.changed_since(tx, newest))
    assert (row["id"], row["name"], row["version"]) == (1, "renamed", 2)
    assert [row["id"] for row in read(store, lambda tx: webhooks.changed_since(tx, 0))] == [2, 1]
    assert [row["id"] for row in read(store, lambda tx: webhooks.changed_since(tx, 0, limit=1))] == [2]


def test_goods_owners_of_a_webhook_are_replaced_whole(store: Database):
    put_webhook(store, 1, kind="automation", goods_owners=(TEA, FJORD))
    assert read(store, lambda tx: webhooks.goods_owners_of(tx, 1)) == [TEA, FJORD]
    put_webhook(store, 1, goods_owners=(FJORD,))
    assert read(store, lambda tx: webhooks.goods_owners_of(tx, 1)) == [FJORD]
    assert read(store, lambda tx: webhooks.goods_owners_of(tx, 2)) == [TEA]


def test_a_list_of_webhooks_shows_a_goods_owner_only_those_that_serve_no_one_else(store: Database):
    put_webhook(store, 3, goods_owners=(FJORD,))
    put_webhook(store, 4, kind="automation", goods_owners=(TEA, FJORD))
    put_webhook(store, 5, kind="automation", goods_owners=None)
    put_webhook(store, 6, enabled=0, event_type="order.created")
    put_webhook(store, 7, enabled=0, deleted_at=NOW)

    def listed(**filters: Any) -> list[int]:
        return [row["id"] for row in read(store, lambda tx: webhooks.page(tx, **{"goods_owners": None, **filters}))]

    assert listed() == [1, 2, 3, 4, 5, 6]
    assert listed(goods_owners=[TEA]) == [1, 2, 6]
    assert listed(goods_owners=[FJORD]) == [3]
    assert listed(goods_owners=[TEA, FJORD]) == [1, 2, 3, 4, 6]
    assert listed(goods_owners=[]) == []
    assert listed(goods_owner_id=FJORD) == [3, 4, 5]
    assert listed(enabled=False) == [6]
    assert listed(event_type="order.created") == [6]
    assert listed(after=2, limit=2) == [3, 4]


def test_the_version_of_a_webhook_at_a_moment_is_the_last_one_before_it(store: Database):
    for since, name in ((NOW + 10, '{"n":2}'), (NOW + 20, '{"n":3}')):
        write(store, lambda tx, since=since, name=name: _change_at(tx, since, name))

    def version_at(moment: int) -> object:
        rows = read(store, lambda tx: webhooks.versions_at(tx, event_id=0, event_type="order.picked", moment=moment))
        return next(row["version"] for row in rows if row["id"] == 1)

    found = [version_at(moment) for moment in (NOW - 1, NOW, NOW + 9, NOW + 10, NOW + 19, NOW + 20, LATER)]
    assert found == [None, 1, 1, 2, 2, 3, 3]


def _change_at(tx: Transaction, since: int, settings: str) -> None:
    before = webhooks.find(tx, 1)
    assert before is not None
    names = (
        "id",
        "kind",
        "name",
        "event_type",
        "enabled",
        "disabled_reason",
        "secrets",
        "max_concurrency",
        "created_at",
        "deleted_at",
    )
    values = {name: before[name] for name in names}
    webhooks.save(
        tx,
        values={**values, "version": before["version"] + 1, "settings": settings},
        goods_owners=(TEA,),
        actor="a",
        now=since,
    )


# Nodes.


def test_a_node_takes_the_first_number_that_nobody_uses(database: Database):
    def join(now: int) -> int:
        return int(write(database, lambda tx: people.join_node(tx, name="n", now=now)))

    assert [join(NOW), join(NOW), join(NOW)] == [0, 1, 2]
    write(database, lambda tx: people.leave_node(tx, 1, joined_at=NOW))
    assert join(NOW) == 1
    write(database, lambda tx: people.see_node(tx, 2, now=NOW + people.NUMBER_KEPT_FOR))
    assert join(NOW + people.NUMBER_KEPT_FOR) == 0
    assert a_lease(1, 1).lease_no == 1


def test_a_node_whose_database_was_away_keeps_its_number_unless_there_is_no_other(database: Database):
    """The first who joins after a failover sees nobody alive; with the number of one that lives both would make the same ids."""

    def join(now: int) -> int:
        return int(write(database, lambda tx: people.join_node(tx, name="n", now=now)))

    for number in range(3):
        assert join(NOW + number) == number
    back = NOW + 2 * people.NODE_GONE_AFTER
    assert [join(back) for _ in range(NODES - 3)] == list(range(3, NODES))
    assert [join(back), join(back), join(back)] == [0, 1, 2]
    with pytest.raises(ConfigError, match="in use"):
        join(back + people.NODE_GONE_AFTER - 1)


def test_a_program_that_was_silent_for_long_learns_that_its_number_is_anothers(database: Database):
    def keeps(joined_at: int) -> bool:
        return bool(write(database, lambda tx: people.keep_node(tx, 0, joined_at=joined_at, now=LATER)))

    assert write(database, lambda tx: people.join_node(tx, name="silent", now=NOW)) == 0
    assert keeps(NOW)
    later = LATER + people.NUMBER_KEPT_FOR
    assert write(database, lambda tx: people.join_node(tx, name="next", now=later)) == 0
    assert not keeps(NOW)
    assert keeps(later)
    write(database, lambda tx: people.leave_node(tx, 0, joined_at=NOW))
    assert write(database, lambda tx: people.join_node(tx, name="third", now=LATER)) == 1


def test_two_nodes_that_start_together_get_two_numbers(database: Database, open_again: Callable[[], Database]):
    another = open_again()
    joined, go_on = threading.Event(), threading.Event()

    def slowly(tx: Transaction) -> int:
        number = people.join_node(tx, name="first", now=NOW)
        joined.set()
        assert go_on.wait(10)
        return number

    first = database.submit_write(slowly)
    assert joined.wait(10)
    second = another.submit_write(lambda tx: people.join_node(tx, name="second", now=NOW))
    with pytest.raises(TimeoutError):
        second.result(0.1)
    go_on.set()
    assert (first.result(10), second.result(10)) == (0, 1)


def test_the_last_node_number_is_followed_by_words(database: Database):
    def work(tx: Transaction) -> None:
        for _ in range(65):
            people.join_node(tx, name="n", now=NOW)

    with pytest.raises(ConfigError, match="All 64 node numbers are in use"):
        write(database, work)
