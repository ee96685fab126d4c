"""Which orders could be picked with the goods that are there, and when the others can be."""

from collections.abc import Mapping, Sequence
from typing import Any

from dockbell.domain.permissions import Actor
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Document, need_goods_owner
from dockbell.warehouse.actions import order_views
from dockbell.warehouse.documents.orders import ordered_article, status_document
from dockbell.warehouse.rules.pickability import ANSWERS, Arrival, Need, Outlook, outlooks, worst
from dockbell.warehouse.store import items, orders, stock_changes

WAITING = (200, 300)


def list_pickability(
    tx: Transaction, actor: Actor, goods_owner_id: int, *, only_booked: bool = False, **wanted: Any
) -> Document:
    """A page of orders; `only_booked` are those that still wait for goods."""
    if only_booked:
        wanted |= {"status_from": WAITING[0], "status_to": WAITING[-1]}
    rows = order_views.page_of(tx, actor, goods_owner_id, **wanted)
    lines = orders.lines_of(tx, [int(row["id"]) for row in rows])
    by_line = _outlooks(tx, goods_owner_id, lines)
    results = []
    for row in rows:
        own = [line for line in lines if line["order_id"] == row["id"]]
        results.append(
            {
                "orderInfo": {
                    "orderId": row["id"],
                    "orderNumber": row["number"],
                    "goodsOwnerOrderId": row["goods_owner_order_id"],
                    "orderStatus": status_document(row["status"]),
                },
                "orderPickability": _document(worst(by_line[int(line["id"])] for line in own)),
                "orderLines": [_line(line, by_line[int(line["id"])]) for line in own],
            }
        )
    return {"pickabilityResults": results}


def list_orders(
    tx: Transaction, actor: Actor, goods_owner_id: int, *, pickable: str | None = None, **wanted: Any
) -> list[Document]:
    """As `order_views.list_orders`; of those that wait for goods, what `pickable` asks for."""
    if pickable is None:
        return order_views.list_orders(tx, actor, goods_owner_id, **wanted)
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    lines = orders.lines_of(tx, orders.waiting(tx, goods_owner_id))
    by_line, by_order = _outlooks(tx, goods_owner_id, ()), dict[int, list[Outlook]]()
    for line in lines:
        by_order.setdefault(int(line["order_id"]), []).append(by_line[int(line["id"])])
    ids = [order_id for order_id, of in by_order.items() if worst(of).verdict in ANSWERS[pickable]]
    return order_views.list_orders(tx, actor, goods_owner_id, **wanted, ids=ids) if ids else []


def _outlooks(tx: Transaction, goods_owner_id: int, more: Sequence[Row]) -> Mapping[int, Outlook]:
    """Of all lines that wait, because they take from each other; and of `more`, which may wait for nothing."""
    waiting = orders.lines_of(tx, orders.waiting(tx, goods_owner_id))
    known = {line["id"] for line in waiting}
    found: dict[int, Outlook] = {}
    for warehouse_id in {int(line["warehouse_id"]) for line in (*waiting, *more)}:
        needs = [
            _need(line, int(line["ordered"]) - int(line["allocated"]))
            for line in sorted(waiting, key=_first)
            if line["warehouse_id"] == warehouse_id
        ]
        needs += [_need(line, 0) for line in more if line["warehouse_id"] == warehouse_id and line["id"] not in known]
        found |= outlooks(needs, *_goods(tx, {need.article_id for need in needs if need.count}, warehouse_id))
    return found


def _goods(tx: Transaction, wanted: set[int], warehouse_id: int) -> tuple[dict[int, int], list[Arrival]]:
    """What of these articles is free in the warehouse, and what is announced for it."""
    free: dict[int, int] = {}
    for item in items.for_sale(tx, wanted, warehouse_id):
        article = int(item["article_id"])
        free[article] = free.get(article, 0) + int(item["number_of_items"])
    return free, [
        Arrival(int(row["article_id"]), int(row["number_of_items"]), row["in_date"])
        for row in stock_changes.on_its_way(tx, wanted, warehouse_id)
    ]


def _first(line: Row) -> tuple[int, int]:
    return int(line["order_id"]), int(line["id"])


def _need(line: Row, count: int) -> Need:
    return Need(int(line["order_id"]), int(line["id"]), int(line["article_id"]), count)


def _line(line: Row, outlook: Outlook) -> Document:
    return {
        "id": line["id"],
        "rowNumber": line["row_number"],
        "article": ordered_article(line),
        "orderedNumberOfItems": line["ordered"],
        "allocatedNumberOfItems": line["allocated"],
        "pickedNumberOfItems": line["picked"],
        "orderLinePickability": _document(outlook),
    }


def _document(outlook: Outlook) -> Document:
    return {
        "pickability": outlook.verdict,
        "expectedPickable": {"expectedInDate": outlook.in_date, "isPickableByAdvised": outlook.by_advised},
    }
