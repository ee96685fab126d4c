"""What happens to article items outside orders: they come in, are moved, change their status.

Each function tells what it did; whoever calls them holds the article's row.
"""

from collections.abc import Iterable
from typing import Any

from dockbell.errors import InvalidInput, Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document
from dockbell.warehouse.actions import where
from dockbell.warehouse.documents import stock as parts
from dockbell.warehouse.documents.times import plain_time
from dockbell.warehouse.rules.floor import FREE, need_on_shelf
from dockbell.warehouse.rules.order import StockChange
from dockbell.warehouse.rules.statuses import impossible
from dockbell.warehouse.store import articles, items, places, stock_changes
from dockbell.warehouse.store.stock_changes import Reason


def open_item(act: Act, item_id: int) -> Row:
    """The item, whose article's stock nobody else changes before the commit."""
    found = items.views(act.tx, [item_id])
    act.own(found[0] if found else None, "article item", item_id)
    articles.lock_articles(act.tx, [int(found[0]["article_id"])])
    return items.view(act.tx, item_id)


def need_there(tx: Transaction, article_ids: Iterable[int]) -> None:
    """Nothing comes onto the shelves of an article that was deleted, where nobody would find it; the caller holds the rows."""
    deleted = articles.numbers_of_deleted(tx, article_ids)
    if deleted:
        raise impossible(
            f"There is no article {', '.join(deleted)} any more: it was deleted.", "Make the article again."
        )


def add(act: Act, item_id: int, article_id: int, count: int, reason: Reason = "adjusted") -> None:
    """So many of the item more (or fewer) lie on the shelves."""
    articles.change_stock(act.tx, {article_id: StockChange(count, 0)}, now=act.now)
    stock_changes.book(act.tx, item_id, reason, count, now=act.now)


# --- In and about ----------------------------------------------------------------------------------------


def tell_inbound(act: Act, item_id: int) -> None:
    item = items.view(act.tx, item_id)
    _tell_way(act, "inbound.performed", item, None)


def move_item(act: Act, item_id: int, to_location_id: int, *, number_of_items: int | None = None) -> Document:
    """All of it, or so many as an item of their own. Where it lies already it need not be moved to."""
    item = open_item(act, item_id)
    need_on_shelf(item_id, "moved", item["state"])
    need_location(act, to_location_id)
    if item["location_id"] == to_location_id:
        raise impossible(f"Article item {item_id} lies in {item['location']} already.", "Choose another location.")
    if number_of_items is not None and number_of_items > item["number_of_items"]:
        raise impossible(
            f"{number_of_items} of article item {item_id} cannot be moved: there are {item['number_of_items']}.",
            "Move fewer, or leave the number out to move all.",
        )
    whole = number_of_items in (None, item["number_of_items"])
    moved_id = item_id if whole else items.split(act.tx, item_id, number_of_items or 0)
    return carry(act, moved_id, item, to_location_id, pallet_item_id=None)


def carry(act: Act, item_id: int, before: Row, to_location_id: int, *, pallet_item_id: int | None) -> Document:
    """The move itself, with the pallet it stands on or without."""
    if before["state"] == "allocated":
        where.need_stays(act.tx, f"Article item {before['id']}", to_location_id, int(before["warehouse_id"]))
    count, leaves = int(items.view(act.tx, item_id)["number_of_items"]), before["warehouse_id"]
    [to] = places.locations(act.tx, [to_location_id]).values()
    if to["warehouse_id"] != leaves:
        stock_changes.book(act.tx, item_id, "moved", -count, now=act.now)
    items.move(act.tx, item_id, to_location_id, pallet_item_id=pallet_item_id)
    if to["warehouse_id"] != leaves:
        stock_changes.book(act.tx, item_id, "moved", count, now=act.now)
    # What can be sold may be another number now: places are locked, and belong to warehouses.
    articles.change_stock(act.tx, {int(before["article_id"]): StockChange(0, 0)}, now=act.now)
    item = items.view(act.tx, item_id)
    _tell_way(act, "move.performed", item, before["location_id"])
    return parts.shelf_item(item)


def need_location(act: Act, location_id: int, field: str = "toLocationId") -> None:
    if not places.locations(act.tx, [location_id]):
        raise InvalidInput([where.no_location(location_id, field)])


def _tell_way(act: Act, event_type: str, item: Row, came_from: int | None) -> None:
    ends = places.locations(act.tx, [each for each in (came_from, item["location_id"]) if each is not None])
    start = None if came_from is None else ends[came_from]
    end = ends[int(item["location_id"])]
    on = parts.came_on(item)
    if on is not None:
        reported = item["purchase_order_reported"]
        on["purchaseOrderLine"]["reportedNumberOfItems"] = None if reported is None else float(reported)
        on["purchaseOrderType"] = item["purchase_order_type_id"] and {
            "purchaseOrderTypeId": item["purchase_order_type_id"],
            "purchaseOrderTypeCode": item["purchase_order_type_code"],
        }
    data: dict[str, Any] = {
        "isReceive": event_type == "inbound.performed",
        "isMove": event_type == "move.performed",
        "article": parts.article(item),
        "movement": {
            "from": start and parts.end_of_way(start, "from"),
            "to": parts.end_of_way(end, "to"),
        },
        "articleItem": {
            **parts.item_core(item),
            "articleItemStatus": parts.item_status(item),
            "inDate": plain_time(item["in_at"]),
        },
        **act.doers(),
        "purchaseOrder": on,
    }
    act.tell(
        event_type,
        int(item["goods_owner_id"]),
        data,
        warehouse=item["warehouse_code"],
        locationTypeFrom=start and start["type_id"],
        locationTypeTo=end["type_id"],
    )


# --- Status ----------------------------------------------------------------------------------------------


def set_item_status(act: Act, item_id: int, code: str) -> Document:
    """Free items alone have a status to decide on; the one it has already changes nothing."""
    before = open_item(act, item_id)
    need_on_shelf(item_id, "given another status", before["state"], FREE)
    statuses = places.item_statuses(act.tx)
    if code not in statuses:
        text = f"There is no article item status {code!r}. There are: {', '.join(statuses)}."
        raise InvalidInput([Problem("articleItemStatusCode", "article_item_status", text)])
    if statuses[code]["id"] != before["status_id"]:
        items.set_status(act.tx, item_id, int(statuses[code]["id"]))
        articles.change_stock(act.tx, {int(before["article_id"]): StockChange(0, 0)}, now=act.now)
        _tell_status(act, before, items.view(act.tx, item_id))
    return parts.shelf_item(items.view(act.tx, item_id))


def _tell_status(act: Act, before: Row, after: Row) -> None:
    order = after["purchase_order_id"]
    data = {
        "article": parts.thin_article(after),
        "articleItem": {
            **parts.item_ids(after),
            "currentLocation": after["location_id"]
            and {
                "locationId": after["location_id"],
                "location": after["location"],
                "warehouse": parts.warehouse_of(after),
            },
            "numberOfItems": float(after["number_of_items"]),
            "purchaseOrderInfo": order
            and {
                "purchaseOrderId": order,
                "purchaseOrderNumber": after["purchase_order_number"],
                "purchaseOrderLineId": after["purchase_order_line_id"],
                "purchaseOrderStatus": {"number": after["purchase_order_status"]},
            },
        },
        "previousVersion": _version(before),
        "newVersion": _version(after),
        **act.doers(),
    }
    owner = int(after["goods_owner_id"])
    act.tell("article-item.status-changed", owner, data, locationType=after["location_type_id"])


def _version(item: Row) -> Document:
    return {"articleItemStatus": parts.short_status(item), "serial": item["serial"], "batch": item["batch"]}
