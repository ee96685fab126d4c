"""Retention and erasure on both databases: what goes, what stays, and that what went is nowhere to be found."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import apsw
import msgspec
import pytest

from dockbell.actions import bulk
from dockbell.actions import deliveries as actions
from dockbell.actions import retention as acting
from dockbell.actions.retention import Retention
from dockbell.clock import DAY, HOUR, SECOND
from dockbell.domain.ids import EventIds
from dockbell.domain.permissions import SYSTEM, Actor
from dockbell.errors import Conflict, InvalidInput, NotAllowed, NotFound
from dockbell.store import checkpoints, deliveries, delivery_log, events, failing, retention, webhook_hours
from dockbell.store.database import Database, Transaction, open_database
from dockbell.store.migrate import migrate
from dockbell.store.objects import Sought
from dockbell.store.webhook_hours import Count, Health
from dockbell.testing.clock import ManualClock
from tests.support.rows import (
    FJORD,
    NOW,
    TEA,
    Explained,
    a_closing,
    a_failure,
    an_event_row,
    claim,
    close,
    put_deliveries,
    put_goods_owners,
    put_webhook,
    read,
    rows_of,
    write,
)

MARK = "Anna-Lind-Storgatan-5"
OLD = NOW - 40 * DAY
PATIENCE_S = 30.0


class Awake(ManualClock):
    """Does not wait: pauses are for others, and here there are none."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)  # noqa: TID251


@pytest.fixture
def ids() -> EventIds:
    return EventIds(0)


def an_old_delivery(database: Database, ids: EventIds, at: int = OLD, status: str = "delivered", **fields: Any) -> int:
    """An event of that moment whose delivery to webhook 1 has come to this status, with an attempt; its id."""
    event_id = ids.next(at)
    text = '{"name": "' + MARK + '"}'
    row = an_event_row(event_id, accepted_at=at, data=text, attributes='{"transporter": "' + MARK + '"}', **fields)
    write(database, lambda tx: events.insert(tx, [row]))
    write(database, lambda tx: deliveries.insert(tx, [(event_id, 1, row.goods_owner_id, at)]))
    [lease] = [each for each in claim(database, 1, now=at) if each.event_id == event_id]
    if status == "sending":
        return event_id
    exchange = {"request_headers": f"x: {MARK}", "response_body": MARK, "response_headers": MARK, "detail": MARK}
    closing = (
        a_failure(lease, again_at=NOW + DAY, **exchange)
        if status in ("pending", "held")
        else a_closing(lease, next_status=status, **exchange)
    )
    close(database, closing)
    if status == "held":
        held = "UPDATE deliveries SET status = 'held', ended_at = :at WHERE event_id = :id"
        write(database, lambda tx: tx.run(held, id=event_id, at=at))
    return event_id


@pytest.fixture
def store(database: Database) -> Database:
    put_goods_owners(database)
    put_webhook(database, 1, goods_owners=None, max_concurrency=10_000, settings='{"goodsOwnerIds": null}')
    write(database, lambda tx: tx.run("UPDATE counters SET value = :now WHERE name = 'attempts counted to'", now=NOW))
    return database


def kept(database: Database) -> set[int]:
    return {row["id"] for row in rows_of(database, "SELECT id FROM events")}


async def retain(database: Database, days: int = 30, payload_days: int | None = None) -> int:
    return await Retention(database, Awake(NOW), days=days, payload_days=payload_days).once()


@pytest.mark.parametrize("status", ["delivered", "failed", "cancelled"])
async def test_r11_what_ended_long_ago_is_deleted_with_its_attempts(
    store: Database, ids: EventIds, status: str
) -> None:
    an_old_delivery(store, ids, status=status)
    young = an_old_delivery(store, ids, at=NOW - 29 * DAY)
    assert await retain(store) == 1
    assert kept(store) == {young}
    assert {row["event_id"] for row in rows_of(store, "SELECT event_id FROM deliveries")} == {young}
    assert {row["event_id"] for row in rows_of(store, "SELECT event_id FROM attempts")} == {young}


@pytest.mark.parametrize("status", ["pending", "sending", "held"])
async def test_r11_what_is_live_is_never_deleted_however_old(store: Database, ids: EventIds, status: str) -> None:
    live = an_old_delivery(store, ids, status=status)
    assert await retain(store, payload_days=1) == 0
    assert kept(store) == {live}
    [row] = rows_of(store, "SELECT data FROM events")
    assert MARK in row["data"]


async def test_r11_what_ended_lately_stays_though_its_event_is_old(store: Database, ids: EventIds) -> None:
    event_id = an_old_delivery(store, ids)
    write(store, lambda tx: delivery_log.resend(tx, event_id, 1, status="pending", now=NOW - DAY))
    [lease] = claim(store, 1, now=NOW - DAY)
    close(store, a_closing(lease))
    assert await retain(store) == 0
    assert kept(store) == {event_id}


async def test_r11_an_event_that_nobody_wanted_goes_too(store: Database, ids: EventIds) -> None:
    row = an_event_row(ids.next(OLD), accepted_at=OLD)
    write(store, lambda tx: events.insert(tx, [row]))
    assert await retain(store) == 1
    assert kept(store) == set()


async def test_r11_attempts_are_counted_before_they_go(store: Database, ids: EventIds) -> None:
    an_old_delivery(store, ids)
    write(store, lambda tx: tx.run("UPDATE counters SET value = :at WHERE name = 'attempts counted to'", at=OLD))
    assert await retain(store) == 0


async def test_r11_off_means_off(store: Database, ids: EventIds) -> None:
    an_old_delivery(store, ids)
    assert await retain(store, days=0) == 0


async def test_r11_many_go_in_batches_and_live_ones_between_stay(store: Database, ids: EventIds) -> None:
    rows = [an_event_row(ids.next(OLD + n), accepted_at=OLD) for n in range(1_200)]
    write(store, lambda tx: events.insert(tx, rows))
    write(store, lambda tx: deliveries.insert(tx, [(row.id, 1, TEA, NOW + DAY) for row in rows[::100]]))
    assert await retain(store) == 1_188
    assert kept(store) == {row.id for row in rows[::100]}


async def test_r11_what_was_live_is_met_again_a_day_later(store: Database, ids: EventIds) -> None:
    rows = [an_event_row(ids.next(OLD + n), accepted_at=OLD) for n in range(501)]
    write(store, lambda tx: events.insert(tx, rows))
    write(store, lambda tx: deliveries.insert(tx, [(rows[0].id, 1, TEA, NOW)]))
    clock = Awake(NOW)
    keeping = Retention(store, clock, days=30)
    assert await keeping.once() == 500
    write(store, lambda tx: delivery_log.cancel(tx, rows[0].id, 1, now=OLD))
    assert await keeping.once() == 0
    clock.advance(DAY)
    assert await keeping.once() == 1


def hours_kept(store: Database) -> list[tuple[int, int]]:
    rows = rows_of(store, "SELECT webhook_id, hour_at FROM webhook_hours ORDER BY webhook_id, hour_at")
    return [(row["webhook_id"], row["hour_at"]) for row in rows]


async def test_hours_that_nobody_reads_any_more_go_and_those_of_a_webhook_that_fails_stay(store: Database) -> None:
    hours = [NOW - NOW % HOUR - days * DAY for days in (9, 3, 1)]
    began, before_that = hours[0] + HOUR // 2, hours[0] - HOUR
    health = {1: Health(NOW, NOW, None), 2: Health(NOW, None, began)}

    def put(tx: Transaction) -> None:
        webhook_hours.add(tx, [Count(each, at, 0, 0, 1) for each in (1, 2) for at in (before_that, *hours)])
        webhook_hours._put_health(tx, health)

    write(store, put)
    await retain(store, days=0)
    assert len(hours_kept(store)) == 8
    await retain(store)
    assert hours_kept(store) == [(1, hours[2]), *((2, at) for at in hours)]
    assert read(store, lambda tx: failing.failed_since(tx, 2, began)) == 3
    write(store, lambda tx: failing.forget_failing(tx, 2))
    await retain(store)
    assert hours_kept(store) == [(1, hours[2]), (2, hours[2])]


async def test_hours_go_in_batches_and_never_before_they_were_counted(store: Database) -> None:
    old = NOW - NOW % HOUR - 100 * DAY
    write(store, lambda tx: webhook_hours.add(tx, [Count(1, old + n * HOUR, 0, 1, 0) for n in range(1_200)]))
    write(store, lambda tx: tx.run("UPDATE counters SET value = :at WHERE name = 'attempts counted to'", at=old))
    await retain(store)
    assert len(hours_kept(store)) == 1_200
    write(store, lambda tx: tx.run("UPDATE counters SET value = :at WHERE name = 'attempts counted to'", at=NOW))
    await retain(store)
    assert hours_kept(store) == []


async def test_bulk_runs_that_ended_long_ago_go(store: Database) -> None:
    def begun(at: int, *, ended: bool) -> str:
        run = write(store, lambda tx: bulk.begin(tx, SYSTEM, "cancel", now=at))
        if ended:
            assert not write(store, lambda tx: bulk.next_batch(tx, run["id"], now=at))
        return str(run["id"])

    old, under_way, young = begun(OLD, ended=True), begun(OLD, ended=False), begun(NOW - 29 * DAY, ended=True)
    await retain(store, days=0)
    assert {row["id"] for row in rows_of(store, "SELECT id FROM bulk_runs")} == {old, under_way, young}
    await retain(store)
    assert {row["id"] for row in rows_of(store, "SELECT id FROM bulk_runs")} == {under_way, young}


async def test_s5_payloads_go_sooner_than_the_log(store: Database, ids: EventIds) -> None:
    old = an_old_delivery(store, ids, at=NOW - 10 * DAY)
    an_old_delivery(store, ids, at=NOW - 2 * DAY)
    assert await retain(store, payload_days=7) == 1
    assert await retain(store, payload_days=7) == 0, "what was erased is erased again"
    view = store.submit_read(lambda tx: actions.get(tx, SYSTEM, f"{old}-1")).result()
    assert (view["status"], view["data"], view["erasedAt"] is None) == ("delivered", "{}", False)
    [attempt] = view["attemptList"]
    assert (attempt["code"], attempt["requestHeaders"], attempt["responseBody"]) == ("delivered", "", "")


async def test_s5_what_was_erased_is_not_sent_again(store: Database, ids: EventIds) -> None:
    old = an_old_delivery(store, ids, at=NOW - 10 * DAY)
    await retain(store, payload_days=7)
    with pytest.raises(Conflict) as refused:
        write(store, lambda tx: actions.resend(tx, SYSTEM, f"{old}-1", now=NOW))
    assert refused.value.code == "payload_erased"
    assert write(store, lambda tx: delivery_log.resend_many(tx, [(old, 1)], now=NOW)) == 0


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)  # SQLite has one writer
def test_s5_what_is_erased_while_many_are_resent_is_not_sent_again(
    store: Database, ids: EventIds, open_again: Callable[[], Database]
) -> None:
    old = [an_old_delivery(store, ids, at=NOW - DAY - n * SECOND) for n in range(2)]
    another = open_again()
    erased, go_on, never = threading.Event(), threading.Event(), threading.Event()

    def erase_slowly(tx: Transaction) -> None:
        acting._erase_batch(tx, of_tea(tx), NOW)
        erased.set()
        assert go_on.wait(PATIENCE_S)

    def one_waits() -> bool:
        waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return bool(rows_of(store, waiting))

    erasing = store.submit_write(erase_slowly)
    assert erased.wait(PATIENCE_S)
    resending = another.submit_write(lambda tx: delivery_log.resend_many(tx, [(each, 1) for each in old], now=NOW))
    while not one_waits():
        assert not resending.done()
        never.wait(0.01)
    go_on.set()
    erasing.result(PATIENCE_S)
    assert resending.result(PATIENCE_S) == 0
    assert {row["status"] for row in rows_of(store, "SELECT status FROM deliveries")} == {"delivered"}


@pytest.mark.parametrize("how", ["deleted", "erased"])
async def test_s5_nothing_of_it_is_left_in_the_files(tmp_path: Path, ids: EventIds, how: str) -> None:
    store = open_database(str(tmp_path / "data.sqlite"))
    migrate(store, now=1)
    put_goods_owners(store)
    put_webhook(store, 1, goods_owners=None, max_concurrency=10_000)
    write(store, lambda tx: tx.run("UPDATE counters SET value = :now WHERE name = 'attempts counted to'", now=NOW))
    for n in range(60):
        an_old_delivery(store, ids, at=OLD + n * SECOND, object_key=f"order/{n}")
    large = an_event_row(ids.next(OLD + 70 * SECOND), accepted_at=OLD, data='{"x": "' + (MARK + " ") * 4_000 + '"}')
    write(store, lambda tx: events.insert(tx, [large]))

    def files() -> bytes:
        return b"".join(file.read_bytes() for file in tmp_path.glob("data.sqlite*"))

    assert files().count(MARK.encode()) > 4_000
    assert await retain(store, days=30 if how == "deleted" else 0, payload_days=7) == 61
    assert files().count(MARK.encode()) == 0
    store.close()


@asynccontextmanager
async def a_file_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Database, Any]]:
    """A SQLite database, and somebody else's connection to it on which a transaction is open."""
    monkeypatch.setattr(checkpoints, "EMPTY_TRIES", 2)
    monkeypatch.setattr(checkpoints, "EMPTY_TIMEOUT_MS", 10)
    monkeypatch.setattr(checkpoints, "EMPTY_PAUSE_S", 0.05)
    store = open_database(str(tmp_path / "data.sqlite"))
    migrate(store, now=1)
    put_goods_owners(store)
    put_webhook(store, 1, goods_owners=None, max_concurrency=10_000)
    write(store, lambda tx: tx.run("UPDATE counters SET value = :now WHERE name = 'attempts counted to'", now=NOW))
    an_old_delivery(store, EventIds(0), at=OLD, object_key="order/7")
    reader = apsw.Connection(str(tmp_path / "data.sqlite"))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchall()
    try:
        yield store, reader
    finally:
        reader.close()
        store.close()


def marked(tmp_path: Path) -> bool:
    return any(MARK.encode() in file.read_bytes() for file in tmp_path.glob("data.sqlite*"))


async def test_who_erases_is_told_that_the_log_still_holds_it_while_somebody_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_file_that_is_read(tmp_path, monkeypatch) as (store, reader):
        done = await erase(store, TEA, None)
        assert (done.events, done.in_log, marked(tmp_path)) == (1, True, True)
        reader.execute("COMMIT")
        done = await erase(store, TEA, None)
        assert (done.events, done.in_log, marked(tmp_path)) == (0, False, False)


async def test_a_node_empties_the_log_in_its_next_round_when_somebody_read_in_this(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_file_that_is_read(tmp_path, monkeypatch) as (store, reader):
        keeper = Retention(store, Awake(NOW), days=0, payload_days=7)
        assert (await keeper.once(), marked(tmp_path)) == (1, True)
        reader.execute("COMMIT")
        assert (await keeper.once(), marked(tmp_path)) == (0, False)


async def test_s5_a_file_that_is_mostly_free_gets_smaller(tmp_path: Path, ids: EventIds) -> None:
    store = open_database(str(tmp_path / "data.sqlite"))
    migrate(store, now=1)
    write(store, lambda tx: tx.run("UPDATE counters SET value = :now WHERE name = 'attempts counted to'", now=NOW))
    rows = [an_event_row(ids.next(OLD + n), accepted_at=OLD, data="x" * 20_000) for n in range(1_000)]
    write(store, lambda tx: events.insert(tx, rows))
    store.empty_log()
    before = (tmp_path / "data.sqlite").stat().st_size
    await retain(store)
    assert before > 20_000_000
    assert (tmp_path / "data.sqlite").stat().st_size < 2_000_000
    store.close()


async def erase(store: Database, owner: int | None, about: str | None, actor: Actor = SYSTEM) -> acting.Erased:
    return await acting.erase(store, actor, Awake(NOW), goods_owner_id=owner, about=about)


def of_tea(tx: Transaction) -> Sequence[int]:
    return retention.of_subject(tx, goods_owner_id=TEA, about=None, after=0, limit=10).ids


def with_payload(store: Database) -> set[int]:
    return {row["id"] for row in rows_of(store, "SELECT id FROM events WHERE erased_at IS NULL")}


async def test_s5_the_payloads_of_one_goods_owner_are_erased_and_no_others(store: Database, ids: EventIds) -> None:
    for n in range(3):
        an_old_delivery(store, ids, at=NOW - n * SECOND - DAY)
    other = an_old_delivery(store, ids, at=NOW - DAY, goods_owner_id=FJORD)
    done = await erase(store, TEA, None)
    assert (done.events, done.cancelled, done.under_way, done.more) == (3, 0, 0, False)
    assert with_payload(store) == {other}
    assert (await erase(store, TEA, None)).events == 0
    left = [row for row in rows_of(store, "SELECT * FROM attempts") if MARK in str(row)]
    assert {row["event_id"] for row in left} == {other}


async def test_what_to_erase_is_looked_for_among_the_readers(
    store: Database, ids: EventIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a goods owner millions may be erased already: whoever passes them by must not keep publishers waiting."""
    an_old_delivery(store, ids, at=NOW - DAY)
    looked = []

    def look(tx: Transaction, **subject: Any) -> Any:
        try:
            tx.run("UPDATE counters SET value = value")
        except Exception as refused:
            looked.append(type(refused).__name__)
        return of_subject(tx, **subject) if store.dialect == "sqlite" else retention.Chosen([], None)

    of_subject = retention.of_subject
    monkeypatch.setattr(retention, "of_subject", look)
    await erase(store, TEA, None)
    assert looked in (["ReadOnlyError"], ["ReadOnlySqlTransaction"])


@pytest.mark.parametrize("about", [None, Sought("order/50163")])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_erasing_a_goods_owner_never_walks_over_everybodys_events(store: Database, about: Sought | None) -> None:
    """SQLite's plans are the same however much is stored, as it has no statistics."""

    def steps(tx: Transaction) -> list[str]:
        explained = Explained(tx)
        retention.of_subject(cast(Transaction, explained), goods_owner_id=FJORD, about=about, after=0, limit=500)
        return explained.steps

    assert "events_of_goods_owner (goods_owner_id=?" in read(store, steps)[0]


@pytest.mark.parametrize("about", ["order/50163", "order/SO-7", "order SO-7", "SO-7"])
async def test_s5_the_payloads_about_one_object_are_erased_everywhere(
    store: Database, ids: EventIds, about: str
) -> None:
    an_old_delivery(store, ids, at=NOW - DAY, object_key="order/50163", object_number="SO-7")
    an_old_delivery(store, ids, at=NOW - SECOND, object_key="order/50163", object_number="SO-7")
    other = an_old_delivery(store, ids, at=NOW - DAY, object_key="order/50164", object_number="SO-8")
    assert (await erase(store, None, about)).events == 2
    assert with_payload(store) == {other}


@pytest.mark.parametrize(("about", "left"), [("customer 17", 1), ("customer/17", 2), ("Customer 17", 2), ("note 5", 2)])
async def test_s5_a_key_or_a_number_with_a_blank_is_erased_as_it_was_written(
    store: Database, ids: EventIds, about: str, left: int
) -> None:
    keys = ("customer 17", None), ("customer/17", None), ("Customer 17", "note 5")
    for n, (key, number) in enumerate(keys):
        an_old_delivery(store, ids, at=NOW - DAY - n * SECOND, object_key=key, object_number=number)
    assert (await erase(store, None, about)).events == 3 - left
    assert len(with_payload(store)) == left


async def test_s5_what_waits_is_cancelled_and_what_is_being_sent_is_left_for_the_next_time(
    store: Database, ids: EventIds
) -> None:
    waiting = an_old_delivery(store, ids, at=NOW - 3 * SECOND, status="pending")
    held = an_old_delivery(store, ids, at=NOW - 2 * SECOND, status="held")
    sending = an_old_delivery(store, ids, at=NOW - SECOND, status="sending")
    done = await erase(store, TEA, None)
    assert (done.events, done.cancelled, done.under_way) == (2, 2, 1)
    assert with_payload(store) == {sending}
    rows = {row["event_id"]: row for row in rows_of(store, "SELECT * FROM deliveries")}
    assert [(rows[each]["status"], rows[each]["last_code"]) for each in (waiting, held)] == [
        ("cancelled", "payload_erased")
    ] * 2
    assert rows[sending]["status"] == "sending"


async def test_s5_an_outcome_that_comes_after_the_erasure_brings_nothing_back(store: Database) -> None:
    put_deliveries(store, 1, [10])
    [slept] = claim(store, 1)
    write(store, lambda tx: deliveries.rescue(tx, now=slept.until + 1))
    [lease] = claim(store, 1, now=slept.until + 2)
    close(store, a_closing(lease))
    assert (await erase(store, TEA, None)).events == 1
    late = a_closing(slept, request_headers=MARK, response_headers=MARK, response_body=MARK, detail=MARK)
    close(store, late)
    assert [row["code"] for row in rows_of(store, "SELECT * FROM attempts ORDER BY attempt_no")] == ["delivered"] * 2
    assert MARK not in str(rows_of(store, "SELECT * FROM attempts"))


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)  # SQLite has one writer
def test_outcomes_and_an_erasure_that_meet_do_not_wait_for_each_other(
    store: Database, open_again: Callable[[], Database]
) -> None:
    """Publishers wait for the commit that has the outcomes: the second after which PostgreSQL ends a deadlock is theirs."""
    put_deliveries(store, 1, [10, 11])
    leases = claim(store, 1)
    late = a_closing(msgspec.structs.replace(leases[1], lease_no=99))
    another, looking = open_again(), open_again()
    ended, go_on, never = threading.Event(), threading.Event(), threading.Event()
    tries = {"closing": 0, "erasing": 0}

    class Slowly:
        """Has the delivery, and looks at the events once the erasure waits for that."""

        def __init__(self, tx: Transaction) -> None:
            self._tx = tx

        def all(self, sql: str, /, **more: Any) -> Any:
            if "FOR SHARE OF e" in sql:
                ended.set()
                assert go_on.wait(PATIENCE_S)
            return self._tx.all(sql, **more)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._tx, name)

    def close_slowly(tx: Transaction) -> None:
        tries["closing"] += 1
        assert deliveries.close(cast(Transaction, Slowly(tx)), [a_closing(leases[0]), late]) == 1

    def erase_now(tx: Transaction) -> acting.Erased:
        tries["erasing"] += 1
        return acting._erase_batch(tx, of_tea(tx), NOW)

    closing = store.submit_write(close_slowly)
    assert ended.wait(PATIENCE_S)
    erasing = another.submit_write(erase_now)
    waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not rows_of(looking, waiting):
        assert not erasing.done()
        never.wait(0.01)
    go_on.set()
    closing.result(PATIENCE_S)
    assert erasing.result(PATIENCE_S).events == 1
    assert tries == {"closing": 1, "erasing": 1}


async def test_s5_the_audit_trail_tells_that_something_was_erased_and_not_what(store: Database, ids: EventIds) -> None:
    an_old_delivery(store, ids, at=NOW - DAY)
    await erase(store, TEA, None)
    rows = rows_of(store, "SELECT action, object, after FROM audit ORDER BY id")
    assert [row["action"] for row in rows] == ["erasure.began", "erasure.ended"]
    assert '"events": 1' in rows[1]["after"]
    assert MARK not in str(rows)


@pytest.mark.parametrize("about", ["", " "])
async def test_a_key_that_says_nothing_erases_nothing_of_the_goods_owner(
    store: Database, ids: EventIds, about: str
) -> None:
    """A script whose variable is empty means one object, and would erase them all."""
    kept = an_old_delivery(store, ids, at=NOW - DAY, object_key="order/50163")
    with pytest.raises(InvalidInput):
        await erase(store, TEA, about)
    assert with_payload(store) == {kept}


async def test_s5_only_administrators_of_everything_erase(store: Database) -> None:
    for actor in (
        Actor("key/1", "x", frozenset({"manage"}), None),
        Actor("key/2", "x", frozenset({"admin"}), frozenset({TEA})),
    ):
        with pytest.raises(NotAllowed):
            await erase(store, TEA, None, actor)
    with pytest.raises(InvalidInput):
        await erase(store, None, " ")
    with pytest.raises(NotFound):
        await erase(store, 999, None)
    assert rows_of(store, "SELECT id FROM audit") == []
