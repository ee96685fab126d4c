"""The run that sends what was missed: in order and in batches, beside erasures, deletions, switches and other runs."""

import asyncio
import json
import threading
from typing import Any

import pytest

from dockbell.actions import bulk, missed
from dockbell.actions import retention as erasing
from dockbell.clock import DAY, HOUR, SECOND, Clock, to_text
from dockbell.domain.ids import first_id_at
from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput
from dockbell.store import deliveries, events, retention
from dockbell.store import missed as store_missed
from dockbell.testing.clock import ManualClock
from tests.support.rows import (
    FJORD,
    NOW,
    TEA,
    Explained,
    an_event_row,
    claim,
    put_deliveries,
    put_goods_owners,
    put_webhook,
    read,
    rows_of,
    save_webhook,
    write,
)

ADMIN = Actor("user/1", "Admin", frozenset({"admin"}), None, "user")
PATIENCE_S = 30.0


def settings(**fields: Any) -> str:
    return json.dumps({"eventType": "order.picked", "goodsOwnerIds": [TEA], "filters": {}, **fields})


@pytest.fixture
def store(database):
    put_goods_owners(database)
    put_webhook(database, 1, settings=settings())
    return database


def put_events(database, ids, **fields):
    write(database, lambda tx: events.insert(tx, [an_event_row(each, **fields) for each in ids]))


def run_to_its_end(database, run: str) -> None:
    while write(database, lambda tx: bulk.next_batch(tx, run, now=NOW)):
        pass


def begin(database, *, since=NOW - DAY, until=None, actor=ADMIN):
    return write(database, lambda tx: bulk.begin_missed(tx, actor, 1, since=since, until=until, now=NOW))


def made(database) -> list[tuple[int, str]]:
    found = rows_of(database, "SELECT event_id, status FROM deliveries WHERE webhook_id = 1 ORDER BY event_id")
    return [(row["event_id"], row["status"]) for row in found]


def test_a_run_sends_nothing_of_goods_owners_that_were_not_its_actors(store):
    """The webhook may be given to more goods owners while the run of one of them goes on."""
    of_tea = Actor("user/2", "Tea", frozenset({"manage"}), frozenset({TEA}), "user")
    base = first_id_at(NOW - HOUR)
    put_events(store, [base + 1])
    put_events(store, [base + 2], goods_owner_id=FJORD)
    run = begin(store, actor=of_tea)
    put_webhook(store, 1, goods_owners=None, settings=settings(goodsOwnerIds=None))
    run_to_its_end(store, run["id"])
    assert made(store) == [(base + 1, "pending")]


def test_a_run_goes_on_in_batches_the_oldest_first_and_ends_where_it_began(store, monkeypatch):
    monkeypatch.setattr(missed, "WALKED_AT_ONCE", 7)
    monkeypatch.setattr(missed, "JUDGED_AT_ONCE", 3)
    ids = [first_id_at(NOW - HOUR) + each for each in range(40)]
    put_events(store, ids)
    write(store, lambda tx: deliveries.insert(tx, [(each, 1, TEA, NOW) for each in ids[5:15]]))
    run = begin(store)
    put_events(store, [ids[-1] + 10])  # accepted after the run began
    seen = []
    while write(store, lambda tx: bulk.next_batch(tx, run["id"], now=NOW)):
        now_made = {event for event, _ in made(store)} - set(ids[5:15])
        assert now_made == set(sorted(set(ids) - set(ids[5:15]))[: len(now_made)]), "out of order"
        seen.append(len(now_made))
    assert len(seen) >= 10
    assert [event for event, _ in made(store)] == ids
    ended = read(store, lambda tx: bulk.get(tx, ADMIN, run["id"]))
    assert (ended["state"], ended["changed"], ended["leftOut"]) == ("done", 30, 0)


def test_what_is_before_the_first_event_of_a_common_type_is_not_walked_through(store):
    """A batch and a count are a moment's work only if millions of other types' events are passed by."""
    ids = [first_id_at(NOW - HOUR) + each for each in range(4_000)]
    put_events(store, ids[:2_000], event_type="order.created")
    put_events(store, ids[2_000:])
    write(store, lambda tx: tx.run("ANALYZE events" if store.dialect == "postgres" else "SELECT 1"))

    def steps(tx):
        explained = Explained(tx)
        store_missed.walk(explained, 1, "order.picked", after=0, before=ids[-1], limit=400)
        return " ".join(explained.steps)

    plan = read(store, steps)
    assert "events_of_type" in plan, plan
    assert "events_pkey" not in plan
    assert store.dialect == "postgres" or "(event_type=? AND id>? AND id<?)" in plan


def test_of_large_events_a_batch_judges_few(store):
    """On SQLite all publishers wait for it."""
    ids = [first_id_at(NOW - HOUR) + each for each in range(9)]
    put_events(store, ids, data=json.dumps({"text": "x" * 260_000}))
    run = begin(store)
    write(store, lambda tx: bulk.next_batch(tx, run["id"], now=NOW))
    assert made(store) == [(each, "pending") for each in ids[:4]]
    run_to_its_end(store, run["id"])
    assert made(store) == [(each, "pending") for each in ids]
    ended = read(store, lambda tx: bulk.get(tx, ADMIN, run["id"]))
    assert (ended["changed"], ended["leftOut"]) == (9, 0)


async def test_runs_take_turns_so_that_who_begins_many_keeps_nobody_waiting(store, monkeypatch):
    monkeypatch.setattr(missed, "WALKED_AT_ONCE", 2)
    put_events(store, [first_id_at(NOW - HOUR) + each for each in range(8)])
    runs = [begin(store)["id"] for _ in range(3)]

    class Watched:
        """Counts the batches that the others' writes are queued behind."""

        at_once = most = batches = 0

        async def write(self, work):
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            self.batches += 1
            try:
                return await store.write(work)
            finally:
                self.at_once -= 1

        async def read(self, work):
            return await store.read(work)

    watched: Any = Watched()
    for run in runs:
        bulk.go_on(watched, ManualClock(NOW), run)
    await asyncio.gather(*(task for (of, _), task in bulk._running.items() if of is watched))
    assert (watched.most, watched.batches) == (1, 15)
    assert {read(store, lambda tx, run=run: bulk.get(tx, ADMIN, run))["state"] for run in runs} == {"done"}


def test_only_what_is_between_the_moments_is_sent(store):
    ids = [first_id_at(NOW - hours * HOUR) for hours in (5, 4, 3, 2)]
    put_events(store, ids)
    run = begin(store, since=NOW - 4 * HOUR, until=NOW - 3 * HOUR)
    run_to_its_end(store, run["id"])
    assert [event for event, _ in made(store)] == ids[1:3]


def test_a_webhook_that_is_deleted_meanwhile_ends_the_run(store):
    put_events(store, [first_id_at(NOW - HOUR)])
    run = begin(store)
    put_webhook(store, 1, settings=settings(), enabled=0, deleted_at=NOW)
    assert not write(store, lambda tx: bulk.next_batch(tx, run["id"], now=NOW))
    assert made(store) == []


def test_the_audit_trail_tells_who_sent_what(store):
    put_events(store, [first_id_at(NOW - HOUR)])
    run = begin(store)
    run_to_its_end(store, run["id"])
    began, ended = rows_of(store, "SELECT action, actor, after FROM audit ORDER BY id")
    assert (began["action"], ended["action"]) == ("deliveries.missed_sent", "deliveries.missed_sent.ended")
    assert json.loads(began["after"]) == {"webhookId": 1, "from": to_text(NOW - DAY), "to": to_text(NOW)}
    assert json.loads(ended["after"]) == {"changed": 1, "leftOut": 0}


def test_what_cannot_be_counted_in_time_is_said_to_be_more(store, monkeypatch):
    class Slow(ManualClock):
        """Each look at it takes 0.4 s."""

        def monotonic(self) -> float:
            self.advance(400_000)
            return super().monotonic()

    monkeypatch.setattr(missed, "WALKED_AT_ONCE", 5)
    put_events(store, [first_id_at(NOW - HOUR) + each for each in range(40)])

    def counted(clock: Clock) -> Any:
        return read(store, lambda tx: missed.count(tx, ADMIN, 1, since=NOW - DAY, until=None, clock=clock))

    assert counted(ManualClock(NOW)) == missed.Counted(40, all_of_them=True)
    in_time = counted(Slow(NOW))
    assert 0 < in_time.events < 40
    assert not in_time.all_of_them


def test_when_it_was_disabled_last_is_known_for_some_days_after_it_is_enabled_again(store):
    assert read(store, lambda tx: missed.off_since(tx, 1, now=NOW)) is None
    known = []
    for moment, enabled in ((1, 1), (2, 0), (3, 1), (4, 0), (5, 0), (6, 1), (7, 1)):
        write(
            store,
            lambda tx, m=moment, e=enabled: tx.run(
                """
                INSERT INTO webhook_versions (webhook_id, version, since, actor, enabled, deleted, settings)
                VALUES (1, :version, :since, 'system', :enabled, 0, '{}')
                """,
                version=m + 1,
                since=NOW + m,
                enabled=e,
            ),
        )
        known.append(read(store, lambda tx: missed.off_since(tx, 1, now=NOW + DAY)))
    assert known == [None, NOW + 2, NOW + 2, NOW + 4, NOW + 4, NOW + 4, NOW + 4]
    assert read(store, lambda tx: missed.off_since(tx, 1, now=NOW + 8 * DAY)) is None


async def test_a_run_pauses_while_much_waits_and_goes_on_as_it_is_sent(store, monkeypatch):
    """All at once would fill the goods owner's queue, and its publishers would be refused because somebody clicked."""
    monkeypatch.setattr(missed, "MOST_WAITING", 4)
    monkeypatch.setattr(missed, "JUDGED_AT_ONCE", 2)
    ids = [first_id_at(NOW - HOUR) + each for each in range(9)]
    put_events(store, ids)
    run, clock = begin(store), ManualClock(NOW)
    bulk.go_on(store, clock, run["id"])

    async def paused() -> list[int]:
        for _ in range(1_000):
            if clock.sleepers():
                break
            await store.read(lambda tx: tx.one("SELECT 1 AS one"))
        return [event for event, status in made(store) if status == "pending"]

    assert await paused() == ids[:4]
    clock.advance(SECOND)
    assert await paused() == ids[:4]
    write(store, lambda tx: tx.run("UPDATE deliveries SET status = 'delivered'"))
    clock.advance(SECOND)
    assert await paused() == ids[4:8]
    write(store, lambda tx: tx.run("UPDATE deliveries SET status = 'delivered'"))
    clock.advance(SECOND)
    [task] = bulk._running.values()
    await task
    assert [event for event, _ in made(store)] == ids
    assert read(store, lambda tx: bulk.get(tx, ADMIN, run["id"]))["state"] == "done"


def test_what_is_held_makes_no_run_pause(store, monkeypatch):
    monkeypatch.setattr(missed, "MOST_WAITING", 1)
    put_webhook(store, 1, settings=settings(), enabled=0)
    put_events(store, [first_id_at(NOW - HOUR) + each for each in range(3)])
    run = begin(store)
    run_to_its_end(store, run["id"])
    assert not read(store, lambda tx: bulk._pauses(tx, run["id"]))
    assert {status for _, status in made(store)} == {"held"}


def test_without_a_beginning_nothing_is_meant(store):
    with pytest.raises(InvalidInput):
        begin(store, since=None)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)  # SQLite has one writer
@pytest.mark.parametrize("how", ["erase", "delete"])
def test_what_is_missed_is_neither_erased_nor_deleted_while_it_is_sent(store, open_again, how):
    """Nor is it sent when it went first: an erased payload must not go out, nor a delivery be left without its event."""
    old = first_id_at(NOW - 40 * DAY)
    put_events(store, [old], accepted_at=NOW - 40 * DAY)
    run = begin(store, since=NOW - 50 * DAY)
    another = open_again()
    sent, go_on, never = threading.Event(), threading.Event(), threading.Event()

    def send_slowly(tx):
        bulk.next_batch(tx, run["id"], now=NOW)
        sent.set()
        assert go_on.wait(PATIENCE_S)

    def one_waits():
        waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return bool(rows_of(store, waiting))

    def remove(tx):
        if how == "erase":
            of_tea = retention.of_subject(tx, goods_owner_id=TEA, about=None, after=0, limit=10)
            return erasing._erase_batch(tx, of_tea.ids, NOW)
        chosen = retention.ended(
            tx, after=0, before_id=first_id_at(NOW - DAY), ended_before=NOW - DAY, limit=10, whole=False
        )
        return retention.delete(tx, chosen.ids)

    sending = store.submit_write(send_slowly)
    assert sent.wait(PATIENCE_S)
    removing = another.submit_write(remove)
    while not one_waits():
        assert not removing.done()
        never.wait(0.01)
    go_on.set()
    sending.result(PATIENCE_S)
    removing.result(PATIENCE_S)
    [event] = rows_of(store, "SELECT erased_at FROM events")
    if how == "erase":
        assert event["erased_at"] is not None
        assert made(store) == [(old, "cancelled")]
    else:
        assert made(store) == [(old, "pending")]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)  # SQLite has one writer
def test_while_events_are_judged_the_webhook_is_sent_to_and_can_be_switched_off(store, open_again):
    """A batch follows the next: a webhook that each held from its beginning would hardly be sent anything meanwhile."""
    base = first_id_at(NOW - HOUR)
    put_events(store, [base + 1, base + 2])
    run = begin(store)
    put_deliveries(store, 1, [base + 100])
    judging, go_on = threading.Event(), threading.Event()

    class Slowly:
        def __init__(self, tx):
            self._tx = tx

        def all(self, sql, /, **more):
            found = self._tx.all(sql, **more)
            if "e.attributes" in sql:
                judging.set()
                assert go_on.wait(PATIENCE_S)
            return found

        def __getattr__(self, name):
            return getattr(self._tx, name)

    another = open_again()
    sending = another.submit_write(lambda tx: bulk.next_batch(Slowly(tx), run["id"], now=NOW))
    assert judging.wait(PATIENCE_S)
    assert [lease.event_id for lease in claim(store, 1)] == [base + 100]
    store.submit_write(lambda tx: save_webhook(tx, 1, settings=settings(), enabled=0)).result(PATIENCE_S)
    go_on.set()
    assert sending.result(PATIENCE_S), "what was judged by another version is judged again"
    run_to_its_end(store, run["id"])
    assert made(store) == [(base + 1, "held"), (base + 2, "held"), (base + 100, "sending")]
    ended = read(store, lambda tx: bulk.get(tx, ADMIN, run["id"]))
    assert (ended["changed"], ended["leftOut"]) == (2, 0)
