"""What a step of an order means for article items: which of them are allocated, picked, packed or come back.

The rules decide by line and quantity; here they are carried out, item by item, and each item is told once.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from dockbell.store.database import Row
from dockbell.warehouse.act import Act, Document
from dockbell.warehouse.documents import stock
from dockbell.warehouse.rules.allocation import taken_from
from dockbell.warehouse.rules.order import Line, Order
from dockbell.warehouse.store import articles, items, stock_changes

FLAGS = {
    "article.allocated": "isAllocated",
    "article.picked": "isPicked",
    "article.packed": "isPacked",
    "article.returned": "isReturned",
    "article.deallocated": "isDeleted",
}


def carry_out(act: Act, row: Row, before: Order, after: Order, *, parcel_id: int | None = None) -> None:
    """Everything but what comes back, for which each line has its own cause and place."""
    pairs = [(old, new) for old, new in zip(before.lines, after.lines, strict=True) if old != new]
    articles.lock_articles(act.tx, [new.article_id for _, new in pairs])
    for old, new in pairs:
        _allocate(act, row, new, new.allocated - old.allocated)
        _deallocate(act, row, new, old.allocated - new.allocated)
        _pick(act, row, new, new.picked - old.picked)
        if new.packed > old.packed:
            assert parcel_id is not None
            _pack(act, row, new, new.packed - old.packed, parcel_id)


def _allocate(act: Act, row: Row, line: Line, count: int) -> None:
    if count > 0:
        for item_id, _ in _parts(act, items.for_sale(act.tx, [line.article_id], int(row["warehouse_id"])), count):
            items.allocate(act.tx, item_id, line.id)
            _tell(act, "article.allocated", row, line, item_id)


def _deallocate(act: Act, row: Row, line: Line, count: int) -> None:
    if count > 0:
        for item_id, _ in _parts(act, items.of_line(act.tx, line.id, ["allocated"]), count):
            items.deallocate(act.tx, item_id)
            _tell(act, "article.deallocated", row, line, item_id)


def _pick(act: Act, row: Row, line: Line, count: int) -> None:
    if count > 0:
        for item_id, taken in _parts(act, items.of_line(act.tx, line.id, ["allocated"]), count):
            items.pick(act.tx, item_id, now=act.now)
            stock_changes.book(act.tx, item_id, "picked", -taken, order_id=int(row["id"]), now=act.now)
            _tell(act, "article.picked", row, line, item_id)


def _pack(act: Act, row: Row, line: Line, count: int, parcel_id: int) -> None:
    for item_id, _ in _parts(act, items.of_line(act.tx, line.id, ["picked"]), count):
        items.pack(act.tx, item_id, parcel_id, now=act.now)
        _tell(act, "article.packed", row, line, item_id)


def take_back(
    act: Act, row: Row, line: Line, count: int, *, cause_id: int | None, status_id: int, location_id: int
) -> None:
    """So many of the line's items lie in the returns again; the caller holds their articles."""
    for item_id, back in _parts(act, items.of_line(act.tx, line.id, ["picked", "packed"]), count):
        items.take_back(act.tx, item_id, cause_id=cause_id, status_id=status_id, location_id=location_id, now=act.now)
        stock_changes.book(act.tx, item_id, "returned", back, order_id=int(row["id"]), now=act.now)
        _tell(act, "article.returned", row, line, item_id)


def _parts(act: Act, found: Iterable[Row], count: int) -> Iterator[tuple[int, int]]:
    """So many of these items, and how many each is; one that is taken only in part is split first."""
    for item_id, taken, whole in list(taken_from(found, count)):
        yield item_id if whole else items.split(act.tx, item_id, taken), taken


def _tell(act: Act, event_type: str, row: Row, line: Line, item_id: int) -> None:
    item = items.view(act.tx, item_id)
    parcel: Document | None = None
    if item["pallet_item_id"] is not None and event_type == "article.packed":
        parcel = {"palletItemId": item["pallet_item_id"], "palletItemLabelId": item["pallet_label"]}
    cause = stock.return_cause(item) if event_type == "article.returned" else None
    data: dict[str, Any] = {
        **{flag: each == event_type for each, flag in FLAGS.items()},
        "article": stock.article(item),
        "articleItem": {
            **stock.item_core(item),
            "location": stock.place(item),
            "returnCause": cause
            and {
                "returnCauseId": cause["id"],
                "returnCauseCode": cause["code"],
                "returnCauseName": cause["name"],
            },
            "orderPalletItem": parcel,
        },
        **act.doers(),
        "order": {
            "orderId": row["id"],
            "orderNumber": row["number"],
            "orderLine": {"orderLineId": line.id, "rowNumber": line.row_number, "parentOrderLine": None},
        },
    }
    act.tell(
        event_type,
        int(row["goods_owner_id"]),
        data,
        transporter=row["transporter"],
        orderType=row["order_type"],
        warehouse=item["warehouse_code"],
    )
