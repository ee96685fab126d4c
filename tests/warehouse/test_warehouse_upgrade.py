"""A warehouse from before items were told apart: its stock, orders and parcels are all there afterwards."""

from collections.abc import Callable
from typing import Any

import pytest

from dockbell.store import migrate as migrations
from dockbell.store.database import Database
from dockbell.store.migrate import migrate, steps
from dockbell.warehouse.store import ledger

OLD = 5
ROWS = """
INSERT INTO goods_owners (id, name, created_at) VALUES (114, 'Nordic Tea AB', 1);
INSERT INTO wms_articles (id, goods_owner_id, number, name, details, number_of_items, allocated, created_at, changed_at)
  VALUES (3001, 114, 'TEA-001', 'Earl Grey', '{}', 90, 12, 1, 1);
INSERT INTO wms_orders (id, goods_owner_id, number, delivery_date, consignee, details, status, status_changed_at,
                        created_at, changed_at)
  VALUES (50163, 114, 'waits', '2026-02-05', '{}', '{}', 320, 2, 2, 2), (50164, 114, 'picked', '2026-02-05', '{}', '{}', 400, 3, 3, 3);
INSERT INTO wms_order_lines (id, order_id, row_number, article_id, ordered, allocated, picked, packed)
  VALUES (700001, 50163, '1', 3001, 15, 15, 3, 0), (700002, 50164, '1', 3001, 7, 7, 7, 4);
INSERT INTO wms_parcels (id, order_id, number, is_return, tracking_url) VALUES (9001, 50164, '0037', 0, 'https://t.example/0037')
"""


def test_stock_orders_and_parcels_are_carried_over(open_again: Callable[[], Database], monkeypatch: pytest.MonkeyPatch):
    database = open_again()
    monkeypatch.setattr(migrations, "steps", lambda: [step for step in steps() if step[0] <= OLD])
    migrate(database, now=1)
    monkeypatch.undo()
    for statement in ROWS.split(";\n"):
        database.submit_write(lambda tx, sql=statement: tx.run(sql)).result()  # type: ignore[misc]
    migrate(database, now=2)

    def look(sql: str) -> list[dict[str, Any]]:
        return [dict(row) for row in database.submit_read(lambda tx: tx.all(sql)).result()]

    items = look("SELECT state, number_of_items, order_line_id, location_id FROM wms_article_items ORDER BY state, id")
    assert [tuple(item.values()) for item in items] == [
        ("allocated", 12, 700001, 311),
        ("free", 78, None, 311),
        ("packed", 4, 700002, None),
        ("picked", 3, 700001, None),
        ("picked", 3, 700002, None),
    ]
    [stock] = database.submit_read(ledger.stock).result()
    assert (stock["number_of_items"], stock["allocated"]) == (stock["items"], stock["items_allocated"]) == (90, 12)
    assert stock["booked"] == 90, "the ledger begins with what lies there"
    [parcel] = look("SELECT id, goods_owner_id, label, order_id, tracking_url, is_closed FROM wms_pallet_items")
    assert tuple(parcel.values()) == (9001, 114, "0037", 50164, "https://t.example/0037", 0)
