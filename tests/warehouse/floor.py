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
from dockbell.store.vault import open_vault
from dockbell.testing.clock import ManualClock
from dockbell.warehouse import actions, store
from dockbell.warehouse.demo_data import ANNA, FJORD, TEA, load_demo
from dockbell.warehouse.inputs import NewOrder, read

__all__ = ["FJORD", "OF_FJORD", "OF_TEA", "TEA", "BrokenPublisher", "Floor", "an_order"]

CATALOG = load_catalog()
OF_TEA = Actor("tea", "Nordic Tea's own key", frozenset({"read", "publish"}), frozenset({TEA}))
OF_FJORD = Actor("fjord", "Fjord Outdoor's own key", frozenset({"read", "publish"}), frozenset({FJORD}))


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
        self.publisher: Publisher = Publisher(self.index, EventIds(0), system="demo3pl")
        self.write(lambda tx: load_demo(tx, self.publisher, self.clock.now()))

    def write(self, work: Callable[[Transaction], Any]) -> Any:
        return self.database.submit_write(work).result()

    def read(self, work: Callable[[Transaction], Any]) -> Any:
        return self.database.submit_read(work).result()

    def create(self, actor: Actor = SYSTEM, **fields: Any) -> int:
        new = read(NewOrder, an_order(**fields))
        self.clock.advance(1_000_000)
        now = self.clock.now()
        order_id, _ = self.write(lambda tx: actions.create_order(tx, self.publisher, actor, new, now=now))
        return int(order_id)

    def do(self, step: Callable[..., Any], order_id: int, *args: Any, actor: Actor = SYSTEM, **options: Any) -> Any:
        self.clock.advance(1_000_000)
        now = self.clock.now()
        return self.write(lambda tx: step(tx, self.publisher, actor, order_id, *args, now=now, **options))

    def bring_to(self, status: int, **fields: Any) -> int:
        """A new order brought to this status the usual way."""
        order_id = self.create(**fields)
        if status == 300:
            self.do(actions.set_order_status, order_id, 300)
        if status == 1000:
            self.do(actions.cancel_order, order_id)
        steps = {
            320: actions.allocate_order,
            400: actions.pick_order,
            450: actions.send_order,
            500: actions.collect_order,
        }
        for reached, step in steps.items():
            if status not in (300, 1000) and reached <= status:
                self.do(step, order_id)
        return order_id

    def order(self, order_id: int, actor: Actor = SYSTEM) -> dict[str, Any]:
        return dict(self.read(lambda tx: actions.get_order(tx, actor, order_id)))

    def order_id(self, number: str, owner: int = TEA) -> int:
        [order] = self.read(lambda tx: actions.list_orders(tx, SYSTEM, owner, number=number))
        return int(order["orderInfo"]["orderId"])

    def events(self, order_id: int | None = None) -> list[dict[str, Any]]:
        """In the order of their ids, with attributes and data read."""
        rows = self.read(lambda tx: tx.all("SELECT * FROM events ORDER BY id"))
        return [
            {**row, "attributes": json.loads(row["attributes"]), "data": json.loads(row["data"])}
            for row in rows
            if order_id is None or row["object_key"] == f"order/{order_id}"
        ]

    def types(self, order_id: int) -> list[str]:
        return [event["event_type"] for event in self.events(order_id)]

    def stock(self, number: str, owner: int = TEA) -> tuple[int, int]:
        """Items on the shelves, and how many of them are set aside."""
        [row] = self.read(lambda tx: store.article_page(tx, owner, number=number, id_from=0, limit=1))
        return int(row["number_of_items"]), int(row["allocated"])

    def everything(self) -> dict[str, list[Any]]:
        """All rows that a step could have changed, events among them."""
        statements = {
            "wms_articles": "SELECT * FROM wms_articles ORDER BY id",
            "wms_orders": "SELECT * FROM wms_orders ORDER BY id",
            "wms_order_lines": "SELECT * FROM wms_order_lines ORDER BY id",
            "wms_parcels": "SELECT * FROM wms_parcels ORDER BY id",
            "wms_trackings": "SELECT * FROM wms_trackings ORDER BY order_id, waybill",
            "events": "SELECT * FROM events ORDER BY id",
            "deliveries": "SELECT * FROM deliveries ORDER BY event_id, webhook_id",
        }
        return {name: self.rows(sql) for name, sql in statements.items()}

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
