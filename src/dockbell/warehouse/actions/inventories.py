"""Inventory adjustments: corrections by hand, counts, and returned goods taken out."""

from collections.abc import Sequence

from dockbell.clock import Moment
from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document, chosen, need_goods_owner, no_such, visible
from dockbell.warehouse.actions import stock
from dockbell.warehouse.documents import stock as parts
from dockbell.warehouse.documents.times import utc
from dockbell.warehouse.inputs.common import LARGEST_ID
from dockbell.warehouse.inputs.floor import Adjustment, NewInventory
from dockbell.warehouse.rules.floor import COUNTABLE, need_on_shelf
from dockbell.warehouse.rules.statuses import impossible
from dockbell.warehouse.store import articles, inventories, items, orders, places


def adjust(act: Act, new: NewInventory) -> int:
    """One inventory with all its adjustments, or none of it: its id. Only free items can be adjusted."""
    act.need_goods_owner(new.goods_owner_id)
    causes = places.kinds(act.tx, "adjustment cause")
    problems: list[Problem] = []
    there = {int(item["id"]): item for item in items.views(act.tx, [each.article_item_id for each in new.adjustments])}
    for place, each in enumerate(new.adjustments):
        field = f"adjustments[{place}]"
        code = each.inventory_adjustment_cause_code
        chosen(causes, code, f"{field}.inventoryAdjustmentCauseCode", "inventory adjustment cause", problems)
        if (each.number_of_items is None) == (each.counted_number_of_items is None):
            text = "Write either numberOfItems (how many came or went) or countedNumberOfItems (how many there are)."
            problems.append(Problem(f"{field}.numberOfItems", "required", text))
        found = there.get(each.article_item_id)
        if found is None or found["goods_owner_id"] != new.goods_owner_id:
            text = f"Goods owner {new.goods_owner_id} has no article item {each.article_item_id}."
            problems.append(Problem(f"{field}.articleItemId", "article_item", text))
    if problems:
        raise InvalidInput(problems)
    # All at once and in one order: two inventories of the same articles never wait for each other.
    articles.lock_articles(act.tx, [int(item["article_id"]) for item in there.values()])
    inventory_id = begin(act, new.goods_owner_id, is_count=new.is_count_inventory, comment=new.comment)
    for place, each in enumerate(new.adjustments, 1):
        item = stock.open_item(act, each.article_item_id)
        code = each.inventory_adjustment_cause_code
        cause = None if code is None else causes[code]
        adjust_item(act, inventory_id, place, item, _difference(item, each), cause=cause, comment=each.comment)
    return inventory_id


def begin(act: Act, goods_owner_id: int, *, is_count: bool = False, comment: str = "") -> int:
    (inventory_id,) = places.next_ids(act.tx, places.INVENTORY_ID)
    inventories.insert(act.tx, inventory_id, goods_owner_id, is_count=is_count, comment=comment, now=act.now)
    return inventory_id


def adjust_item(
    act: Act, inventory_id: int, place: int, item: Row, difference: int, *, cause: Row | None, comment: str
) -> None:
    """So many items more or fewer. No difference is no transaction."""
    need_on_shelf(int(item["id"]), "adjusted", item["state"], COUNTABLE)
    left = int(item["number_of_items"]) + difference
    if left < 0:
        raise impossible(
            f"{-difference} of article item {item['id']} cannot be taken out: there are {item['number_of_items']}.",
            "Take out fewer.",
        )
    if difference > 0:
        stock.need_there(act.tx, [int(item["article_id"])])
    if difference:
        items.set_number(act.tx, int(item["id"]), left)
        stock.add(act, int(item["id"]), int(item["article_id"]), difference)
        tell(act, inventory_id, place, int(item["id"]), difference, cause=cause, comment=comment)


def _difference(item: Row, wanted: Adjustment) -> int:
    if wanted.number_of_items is not None:
        return wanted.number_of_items
    assert wanted.counted_number_of_items is not None
    return wanted.counted_number_of_items - int(item["number_of_items"])


def tell(
    act: Act, inventory_id: int, place: int, item_id: int, difference: int, *, cause: Row | None, comment: str
) -> None:
    """Keep the transaction and publish it."""
    inventory, item = inventories.inventory(act.tx, inventory_id), items.view(act.tx, item_id)
    assert inventory is not None
    line = item["returned_line_id"] if difference < 0 else None
    returned_order = None if line is None else orders.order_of_line(act.tx, int(line))
    inventories.insert_line(
        act.tx,
        inventory_id,
        place,
        article_id=item["article_id"],
        article_item_id=item_id,
        number_of_items=difference,
        cause_id=cause and cause["id"],
        comment=comment,
        returned_order_id=returned_order,
    )
    data = {
        "transaction": {
            "transactionNumberOfItems": float(difference),
            "inventoryAdjustmentCause": cause and {"id": cause["id"], "code": cause["code"]},
            "returnRemovedByOrder": returned_order and {"orderId": returned_order},
            "inventoryTransactionComment": comment,
        },
        "inventory": {
            "inventoryId": inventory_id,
            "isCountInventory": bool(inventory["is_count"]),
            "inventoryComment": inventory["comment"],
        },
        "article": parts.article(item),
        "articleItem": {
            **parts.item_core(item),
            "articleItemStatus": parts.item_status(item),
            "articleItemComment": item["comment"],
        },
        **act.doers(),
        "purchaseOrder": parts.came_on(item),
        "location": {
            "location": item["location"],
            "locationId": item["location_id"],
            "isLocked": bool(item["location_locked"]),
            "isLockedForSale": bool(item["location_locked_for_sale"]),
            "warehouse": parts.warehouse_of(item),
        },
    }
    act.tell("inventory.performed", int(item["goods_owner_id"]), data, locationType=item["location_type_id"])


def set_reported(act: Act, inventory_id: int, article_id: int, *, is_reported: bool) -> None:
    """The goods owner's system has booked this article's part of the inventory, or takes that back."""
    act.own(inventories.inventory(act.tx, inventory_id), "inventory adjustment", inventory_id)
    moment = act.now if is_reported else None
    if not inventories.set_reported(act.tx, inventory_id, article_id, moment):
        no_such("article", article_id)


# --- Looking ---------------------------------------------------------------------------------------------


def get_inventory(tx: Transaction, actor: Actor, inventory_id: int) -> list[Document]:
    actor.need("read")
    row = visible(inventories.inventory(tx, inventory_id), actor, "inventory adjustment", inventory_id)
    return _documents(tx, int(row["goods_owner_id"]), inventory_id=inventory_id)


def list_inventories(
    tx: Transaction,
    actor: Actor,
    goods_owner_id: int,
    *,
    since: Moment = 0,
    until: Moment = LARGEST_ID,
    is_reported: bool | None = None,
    limit: int = 1_000,
) -> list[Document]:
    """Adjusted articles, each with its transactions."""
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    return _documents(tx, goods_owner_id, since=since, until=until, is_reported=is_reported, limit=limit)


def _documents(
    tx: Transaction,
    goods_owner_id: int,
    *,
    inventory_id: int | None = None,
    since: Moment = 0,
    until: Moment = LARGEST_ID,
    is_reported: bool | None = None,
    limit: int = 1_000,
) -> list[Document]:
    rows = inventories.lines(
        tx,
        goods_owner_id,
        inventory_id=inventory_id,
        since=since,
        until=until,
        is_reported=None if is_reported is None else int(is_reported),
        limit=limit,
    )
    views = {int(view["id"]): view for view in items.views(tx, [int(row["article_item_id"]) for row in rows])}
    return _by_article(rows, views)


def _by_article(rows: Sequence[Row], views: dict[int, Row]) -> list[Document]:
    found: dict[int, Document] = {}
    for row in rows:
        item = views[int(row["article_item_id"])]
        article = {**parts.thin_article(item), "articleName": item["article_name"]}
        document = found.setdefault(int(row["article_id"]), {"article": article, "inventoryAdjustments": []})
        document["inventoryAdjustments"].append(
            {
                "inventoryId": row["inventory_id"],
                "numberOfItems": row["number_of_items"],
                "inventoryTime": utc(row["created_at"]),
                "articleItemComment": item["comment"],
                "inventoryItemComment": row["comment"],
                "inventoryAdjustmentCause": row["cause_id"]
                and {"id": row["cause_id"], "code": row["cause_code"], "name": row["cause_name"]},
                "location": item["location"],
                "batchNumber": item["batch"],
                "serial": item["serial"],
                "articleItemStatus": {"code": item["status_code"], "name": item["status_name"]},
                "expiryDate": parts.date_and_time(item["expiry_date"]),
                "warehouse": parts.warehouse_of(item),
                "isReported": row["reported_at"] is not None,
            }
        )
    return list(found.values())
