"""What waits for a webhook is as the webhook is: held, due or cancelled; a part of it at once, the rest later."""

import re
from collections.abc import Callable

import pytest

from dockbell.store import backlog
from dockbell.store.database import Database, Transaction
from tests.support.rows import (
    NOW,
    SECOND,
    UNTOUCHED,
    Explained,
    claim,
    put_deliveries,
    put_webhook,
    read,
    states,
    the_delivery,
    with_states,
    write,
)

LATER = NOW + 60 * SECOND


def follow(store: Database) -> int:
    return int(write(store, lambda tx: backlog.follow(tx, 1, now=LATER)))


def test_what_waits_for_a_disabled_webhook_is_held_and_nothing_else(store: Database):
    with_states(store)
    put_webhook(store, 1, enabled=0)
    assert follow(store) == 1
    assert states(store, 1) == ["held", "sending", "delivered", "failed", "held", "cancelled"]
    assert states(store, 2) == UNTOUCHED


def test_what_was_held_is_due_since_its_webhook_was_enabled(store: Database):
    """Else what came since would overtake it."""
    with_states(store)
    write(store, lambda tx: tx.run("UPDATE deliveries SET due_at = :due_at WHERE event_id = 14", due_at=LATER + SECOND))
    assert follow(store) == 1
    assert states(store, 1) == ["pending", "sending", "delivered", "failed", "pending", "cancelled"]
    assert the_delivery(store, 14)["due_at"] == NOW
    assert states(store, 2) == UNTOUCHED


def test_what_waits_for_a_deleted_webhook_or_is_held_is_cancelled(store: Database):
    with_states(store)
    assert read(store, lambda tx: backlog.of_webhook(tx, 1)) == 2
    put_webhook(store, 1, enabled=0, deleted_at=NOW)
    assert follow(store) == 2
    assert states(store, 1) == ["cancelled", "sending", "delivered", "failed", "cancelled", "cancelled"]
    assert the_delivery(store, 10)["ended_at"] == LATER
    assert states(store, 2) == UNTOUCHED


@pytest.mark.parametrize(
    ("webhook", "status"),
    [({}, "held"), ({"enabled": 0}, "pending"), ({"enabled": 0, "deleted_at": NOW}, "held"),
     ({"enabled": 0, "deleted_at": NOW}, "pending")],
)  # fmt: skip
def test_what_is_left_behind_is_found_until_it_has_followed(
    store: Database, monkeypatch: pytest.MonkeyPatch, webhook: dict[str, int], status: str
):
    monkeypatch.setattr(backlog, "AT_ONCE", 2)
    put_deliveries(store, 1, range(10, 15))
    write(store, lambda tx: tx.run("UPDATE deliveries SET status = :status", status=status))
    put_webhook(store, 1, **webhook)
    followed = []
    while read(store, backlog.left_behind) == [1]:
        followed.append(follow(store))
    assert followed == [2, 2, 1]


def test_the_oldest_are_released_first(store: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(backlog, "AT_ONCE", 2)
    put_deliveries(store, 1, range(10, 14))
    write(store, lambda tx: tx.run("UPDATE deliveries SET status = 'held'"))
    follow(store)
    assert states(store, 1) == ["pending", "pending", "held", "held"]


def test_what_another_transaction_has_in_hand_is_left_for_later(store: Database, open_again: Callable[[], Database]):
    """A change of a webhook waits for no attempt, and no attempt for the change of a webhook."""
    if store.dialect != "postgres":
        pytest.skip("SQLite has one writer")
    other = open_again()
    put_deliveries(store, 1, [10, 11])
    put_webhook(store, 1, enabled=0)

    def while_one_is_locked(tx: Transaction) -> int:
        tx.all("SELECT 1 FROM deliveries WHERE event_id = 10 FOR UPDATE")
        return follow(other)

    assert write(store, while_one_is_locked) == 1
    assert follow(store) == 1


def test_whoever_claims_for_a_disabled_webhook_lets_them_follow_part_by_part(
    store: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backlog, "AT_ONCE", 2)
    put_deliveries(store, 1, [10, 11, 12])
    put_webhook(store, 1, enabled=0)
    assert claim(store, 1) == []
    assert sorted(states(store, 1)) == ["held", "held", "pending"]


def test_each_webhook_is_looked_up_in_an_index_however_much_waits_for_others(store: Database):
    """PostgreSQL took a walk over everything for each of them, because much of it is pending."""
    put_deliveries(store, 1, range(10, 2_000))
    explained: list[Explained] = []

    def look(tx: Transaction) -> None:
        if store.dialect == "postgres":
            tx.run("ANALYZE deliveries")
        explained.append(Explained(tx))
        assert backlog.left_behind(explained[0]) == []

    write(store, look)
    [plan] = ["\n".join(each.steps) for each in explained]
    assert "deliveries_due" in plan, plan
    assert not re.search("Seq Scan on deliveries|SCAN d\\b", plan), plan
