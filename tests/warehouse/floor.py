"""The warehouse as tests use it: short words for its steps, and a look at what they left in the database."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dockbell.actions.index import Index
from dockbell.actions.publish import Accepted, Publisher
from dockbell.clock import Moment
from dockbell.domain.addresses import AddressPolicy
from dockbell.domain.catalog import load_catalog
from dockbell.domain.ids import EventIds
from dockbell.domain.permissions import SYSTEM, Actor
from dockbell.store.database import Database, Transaction
from dockbell.store.events import newest_id
from dockbell.store.vault import open_vault
from dockbell.testing.clock import ManualClock
from dockbell.warehouse.act import Act
from dockbell.warehouse.actions import order_views, orders
from dockbell.warehouse.demo_data import ANNA, FJORD, TEA, load_demo
from dockbell.warehouse.inputs.common import NOBODY, Step, read
from dockbell.warehouse.inputs.orders import NewOrder
from dockbell.warehouse.store import articles

__all__ = ["FJORD", "OF_FJORD", "OF_TEA", "TEA", "BrokenPublisher", "Floor", "an_order"]

CATALOG = load_catalog()
OF_TEA = Actor("tea", "Nordic Tea's own key", frozenset({"read", "publish"}), frozenset({TEA}))
OF_FJORD = Actor("fjord", "Fjord Outdoor's own key", frozenset({"read", "publish"}), frozenset({FJORD}))


STATEMENTS = {
    "wms_articles": "SELECT * FROM wms_articles ORDER BY id",
    "wms_advised_items": "SELECT * FROM wms_advised_items ORDER BY purchase_order_line_id, place",
    "wms_article_classes": "SELECT * FROM wms_article_classes ORDER BY article_id, class_id",
    "wms_charges": "SELECT * FROM wms_charges ORDER BY id",
    "wms_invoices": "SELECT * FROM wms_invoices ORDER BY id",
    "wms_stock_changes": "SELECT * FROM wms_stock_changes ORDER BY made_at, article_id, reason, number_of_items, batch",
    "wms_waybill_rows": "SELECT * FROM wms_waybill_rows ORDER BY id",
    "wms_article_items": "SELECT * FROM wms_article_items ORDER BY id",
    "wms_files": "SELECT * FROM wms_files ORDER BY id",
    "wms_inventories": "SELECT * FROM wms_inventories ORDER BY id",
    "wms_inventory_lines": "SELECT * FROM wms_inventory_lines ORDER BY inventory_id, place",
    "wms_movements": "SELECT * FROM wms_movements ORDER BY noun, id",
    "wms_orders": "SELECT * FROM wms_orders ORDER BY id",
    "wms_order_lines": "SELECT * FROM wms_order_lines ORDER BY id",
    "wms_pallet_items": "SELECT * FROM wms_pallet_items ORDER BY id",
    "wms_pick_orders": "SELECT * FROM wms_pick_orders ORDER BY id",
    "wms_pick_order_orders": "SELECT * FROM wms_pick_order_orders ORDER BY order_id",
    "wms_production_orders": "SELECT * FROM wms_production_orders ORDER BY id",
    "wms_purchase_orders": "SELECT * FROM wms_purchase_orders ORDER BY id",
    "wms_purchase_order_lines": "SELECT * FROM wms_purchase_order_lines ORDER BY id",
    "wms_return_orders": "SELECT * FROM wms_return_orders ORDER BY id",
    "wms_return_order_lines": "SELECT * FROM wms_return_order_lines ORDER BY return_order_id, order_line_id",
    "wms_shipments": "SELECT * FROM wms_shipments ORDER BY id",
    "wms_trackings": "SELECT * FROM wms_trackings ORDER BY order_id, waybill",
    "events": "SELECT * FROM events ORDER BY id",
    "deliveries": "SELECT * FROM deliveries ORDER BY event_id, webhook_id",
}


class BrokenPublisher(Publisher):
    """Publishes, and then breaks: whatever was written before must go too."""

    def __init__(self, inner: Publisher) -> None:
        self._inner = inner

    def publish(self, tx: Transaction, actor: Actor, event: Mapping[str, Any] | bytes, *, now: Moment) -> Accepted:
        self._inner.publish(tx, actor, event, now=now)
        raise RuntimeError("broken on purpose")


class Floor:
    """Each step is one transaction of its own, a second after the one before."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.clock = ManualClock()
        self.index = Index(CATALOG, open_vault(folder / "key", database), AddressPolicy(allow_loopback=True))
        self.publisher: Publisher = Publisher(self.index, EventIds(0, newest=self.read(newest_id)), system="demo3pl")
        self.write(lambda tx: load_demo(tx, self.publisher, self.clock.now()))

    def write(self, work: Callable[[Transaction], Any]) -> Any:
        return self.database.submit_write(work).result()

    def read(self, work: Callable[[Transaction], Any]) -> Any:
        return self.database.submit_read(work).result()

    def create(self, actor: Actor = SYSTEM, **fields: Any) -> int:
        new = read(NewOrder, an_order(**fields))
        self.clock.advance(1_000_000)
        order_id, _ = self.write(lambda tx: orders.create_order(self.act(tx, actor), new))
        return int(order_id)

    def act(self, tx: Transaction, actor: Actor = SYSTEM, by: Step = NOBODY) -> Act:
        return Act(tx, self.publisher, actor, self.clock.now(), by)

    def do(self, step: Callable[..., Any], *args: Any, actor: Actor = SYSTEM, by: Step = NOBODY, **options: Any) -> Any:
        self.clock.advance(1_000_000)
        return self.write(lambda tx: step(self.act(tx, actor, by), *args, **options))

    def bring_to(self, status: int, **fields: Any) -> int:
        """A new order brought to this status the usual way."""
        order_id = self.create(**fields)
        if status == 300:
            self.do(orders.set_order_status, order_id, 300)
        if status == 1000:
            self.do(orders.cancel_order, order_id)
        steps = {
            320: orders.allocate_order,
            400: orders.pick_order,
            450: orders.send_order,
            500: orders.collect_order,
        }
        for reached, step in steps.items():
            if status not in (300, 1000) and reached <= status:
                self.do(step, order_id)
        return order_id

    def order(self, order_id: int, actor: Actor = SYSTEM) -> dict[str, Any]:
        return dict(self.read(lambda tx: order_views.get_order(tx, actor, order_id)))

    def order_id(self, number: str, owner: int = TEA) -> int:
        [order] = self.read(lambda tx: order_views.list_orders(tx, SYSTEM, owner, number=number))
        return int(order["orderInfo"]["orderId"])

    def events(self, order_id: int | None = None, family: str = "order.") -> list[dict[str, Any]]:
        """In the order of their ids, with attributes and data read; of an order, those of one family."""
        rows = self.read(lambda tx: tx.all("SELECT * FROM events ORDER BY id"))
        return [
            {**row, "attributes": json.loads(row["attributes"]), "data": json.loads(row["data"])}
            for row in rows
            if order_id is None or (row["object_key"] == f"order/{order_id}" and row["event_type"].startswith(family))
        ]

    def types(self, order_id: int) -> list[str]:
        return [event["event_type"] for event in self.events(order_id)]

    def stock(self, number: str, owner: int = TEA) -> tuple[int, int]:
        """Items on the shelves, and how many of them are set aside."""
        [row] = self.read(lambda tx: articles.article_page(tx, owner, number=number, limit=1))
        return int(row["number_of_items"]), int(row["allocated"])

    def everything(self) -> dict[str, list[Any]]:
        """All rows that a step could have changed, events among them."""
        return {name: self.rows(sql) for name, sql in STATEMENTS.items()}

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.read(lambda tx: tx.all(sql))]


def an_order(**fields: Any) -> dict[str, Any]:
    """The body of PUT /orders: 5 and 3 items for a consumer, by DHL."""
    names = ("customerNumber", "name", "address1", "postCode", "city", "countryCode")
    return {
        "goodsOwnerId": TEA,
        "orderNumber": "SO-1001",
        "deliveryDate": "2026-02-05",
        "consignee": dict(zip(names, ANNA, strict=True)),
        "transporter": {"transporterCode": "DHL"},
        "orderType": {"code": "B2C"},
        "orderLines": [
            {"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": 5},
            {"rowNumber": "2", "articleNumber": "TEA-102", "numberOfItems": 3},
        ],
        **fields,
    }
