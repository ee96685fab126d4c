"""Webhooks in the store: who sees a change or a webhook, and which version was the one at a moment."""

from typing import Any

from dockbell.store import webhooks
from dockbell.store.database import Database, Transaction
from tests.support.rows import FJORD, NOW, SECOND, TEA, put_webhook, read, rows_of, write

LATER = NOW + 60 * SECOND


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
        "keeps_order",
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
