"""The log: found again, paged without gap, and what people do to deliveries."""

import random
import re
from typing import Any, cast

import pytest

from dockbell.actions.deliveries import sought
from dockbell.store import deliveries, delivery_log, events, log_search, people
from dockbell.store.database import Database, Transaction
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
    an_event_row,
    claim,
    close,
    put_deliveries,
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
    close(store, *(a_closing(lease) for lease in claim(store, 2)))
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
    for filters in ({"webhook_id": 2}, {"status": "pending"}, {"webhook_id": 2, "status": "pending"}):
        rows = read(
            store,
            lambda tx: delivery_log.page(tx, goods_owners=owners, **filters, before=(NEWEST, 0), limit=99),  # noqa: B023
        )
        assert {row["goods_owner_id"] for row in rows} == wanted, filters
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


# Which walk a search takes.


def arms_of(store: Database, **filters: Any) -> list[tuple[int | None, int | None, str | None]]:
    """Webhook, goods owner, and whose events are walked, of each arm."""
    found = read(store, lambda tx: log_search.arms(tx, log_search.Search(**filters)))
    return [(arm.webhook_id, arm.goods_owner_id, arm.along) for arm in found]


def put_two_webhooks(store: Database) -> None:
    """Webhook 11 was for moves of Tea and is for counts of Fjord; webhook 12 is for everybody's moves."""
    put_webhook(
        store, 11, event_type="stock.moved", settings=f'{{"eventType": "stock.moved", "goodsOwnerIds": [{TEA}]}}'
    )
    put_webhook(
        store, 11, event_type="stock.counted", settings=f'{{"eventType": "stock.counted", "goodsOwnerIds": [{FJORD}]}}'
    )
    put_webhook(store, 12, event_type="stock.moved", settings='{"eventType": "stock.moved", "goodsOwnerIds": null}')


@pytest.mark.parametrize(
    ("filters", "arms"),
    [
        ({"webhook_id": 11}, [(11, None, None)]),
        ({"webhook_id": 11, "event_type": "stock.moved"}, [(11, None, None)]),
        ({"webhook_id": 11, "event_type": "stock.closed"}, []),
        ({"webhook_id": 11, "goods_owner_id": 33}, []),
        ({"webhook_id": 11, "goods_owner_id": 33, "status": "failed"}, []),
        ({"webhook_id": 11, "goods_owners": [33]}, []),
        ({"webhook_id": 11, "goods_owners": [TEA, FJORD]}, [(11, None, None)]),
        ({"webhook_id": 12, "goods_owners": [33]}, [(12, 33, "goods owner")]),
        ({"webhook_id": 12, "goods_owner_id": 33}, [(12, 33, "goods owner")]),
        ({"webhook_id": 12, "goods_owner_id": 33, "status": "failed"}, [(12, 33, None)]),
        ({"event_type": "stock.moved"}, [(11, None, None), (12, None, None)]),
        ({"event_type": "stock.moved", "goods_owners": [33]}, [(12, 33, "goods owner")]),
        ({"event_type": "stock.moved", "status": "failed"}, [(None, None, None)]),
        ({"event_type": "stock.closed"}, []),
        ({"goods_owners": [TEA], "goods_owner_id": FJORD}, []),
        ({"goods_owners": []}, []),
        ({"goods_owners": [TEA, FJORD]}, [(None, TEA, "goods owner"), (None, FJORD, "goods owner")]),
        ({"goods_owners": [TEA], "code": "2xx"}, [(None, TEA, "goods owner")]),
        ({"status": "delivered", "code": "http_500"}, []),
        ({"status": "failed", "code": "delivered"}, []),
    ],
    ids=str,
)
def test_a_search_walks_where_little_is_passed_by(store: Database, filters: dict[str, Any], arms: list[Any]):
    """What a webhook was never for, and what the reader may not see, is not looked for among millions."""
    put_two_webhooks(store)
    assert sorted(arms_of(store, **filters), key=str) == sorted(arms, key=str)


def test_a_type_with_many_webhooks_is_walked_by_its_events(store: Database, monkeypatch: pytest.MonkeyPatch):
    """Few of a goods owner's events are passed by rather than many of the type, and the other way round."""
    monkeypatch.setattr(log_search, "_MOST_ARMS", 1)
    put_two_webhooks(store)
    assert arms_of(store, event_type="stock.moved") == [(None, None, None)]
    monkeypatch.setattr(events, "_FEW", 0)
    assert arms_of(store, event_type="stock.moved", goods_owner_id=TEA) == [(None, TEA, "goods owner")]
    monkeypatch.setattr(events, "_FEW", 9)
    assert arms_of(store, event_type="stock.moved", goods_owner_id=TEA) == [(None, TEA, "type")]


@pytest.mark.parametrize("most", [1, 2])
def test_further_arms_look_for_nothing_older_than_the_page(store: Database, most: int):
    """Of each of many goods owners a whole page would be read, to show one page of all of them."""
    fill(store)
    asked: list[dict[str, Any]] = []

    class Noting(Explained):
        def all(self, sql: str, /, **params: Any) -> Any:
            asked.append(params)
            return self._tx.all(sql, **params)

    def look(tx: Transaction) -> list[int]:
        rows = delivery_log.page(
            cast(Transaction, Noting(tx)), goods_owners=[FJORD, TEA], before=(NEWEST, 0), limit=most
        )
        return [row["event_id"] for row in rows]

    assert read(store, look) == [60, 60][:most]
    walked = [params for params in asked if "before_event" in params]
    assert [params.get("from_id") for params in walked] == [None, 60 - most]


def test_what_readers_ask_is_planned_for_what_they_look_for(store: Database):
    """PostgreSQL would change to one plan for all goods owners when a connection has run a statement some times."""
    if store.dialect == "postgres":

        def often(tx: Transaction) -> int:
            for _ in range(20):
                delivery_log.page(tx, goods_owners=[TEA], before=(NEWEST, 0), limit=2)
            return int(tx.all("SELECT sum(generic_plans) AS n FROM pg_prepared_statements")[0]["n"])

        assert read(store, often) == 0


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
        (None, set(OBJECTS)),
    ],
)
def test_an_object_is_found_by_key_by_kind_and_number_and_by_number(
    store: Database, about: str | None, wanted: set[int]
):
    rows = [an_event_row(n, object_key=key, object_number=number) for n, (key, number) in OBJECTS.items()]
    write(store, lambda tx: events.insert(tx, rows))
    write(store, lambda tx: deliveries.insert(tx, [(n, 1, TEA, NOW) for n in OBJECTS]))
    assert set(pages_of_events(store, limit=7, about=sought(about))) == wanted
    assert {event_id for event_id, _ in pages_of_deliveries(store, limit=3, about=sought(about))} == wanted


@pytest.mark.parametrize("kind", ["o%", "_rder", "%", "ORDER"])
def test_a_kind_is_taken_literally(store: Database, kind: str):
    write(store, lambda tx: events.insert(tx, [an_event_row(1, object_key="order/1", object_number="7")]))
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
    waiting = read(store, lambda tx: delivery_log.counts(tx, [1], ("pending", "held")))
    assert waiting == {1: {"pending": 3, "held": 1}}


def test_attempts_are_listed_in_the_order_they_were_made(store: Database):
    put_deliveries(store, 1, [10])
    for number in range(12):
        [lease] = claim(store, 1, now=NOW + number)
        close(store, a_failure(lease, again_at=lease.started_at + 1))
    found = read(store, lambda tx: delivery_log.attempts_of(tx, 10, 1))
    assert [row["attempt_no"] for row in found] == list(range(1, 13))


def test_text_of_a_receiver_is_kept_as_it_is(store: Database):
    put_deliveries(store, 1, [10])
    strange = "\x01\x7f% %s :name ' \" \\ 🎉 \ufffd \N{SYMBOL FOR NULL}" * 100
    [lease] = claim(store, 1)
    close(store, a_closing(lease, response_body=strange, response_cut=True))
    [attempt] = read(store, lambda tx: delivery_log.attempts_of(tx, 10, 1))
    assert (attempt["response_body"], attempt["response_cut"]) == (strange, 1)


def test_an_unanswered_attempt_has_no_status(store: Database):
    put_deliveries(store, 1, [10, 11])
    leases = claim(store, 1)
    close(store, *(a_closing(lease, status_code=None, code="dns_not_found") for lease in leases))
    assert [row["status_code"] for row in rows_of(store, "SELECT status_code FROM attempts")] == [None, None]
