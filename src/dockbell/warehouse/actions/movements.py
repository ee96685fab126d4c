"""Movement orders, of an article item or of a whole pallet item: made, changed, carried out or removed.

Both nouns follow the same rules: what is executed stays as it is, and carrying one out is a move like any other.
"""

from typing import Any, Literal

from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document, chosen, need_goods_owner, raise_all, visible
from dockbell.warehouse.actions import stock, where
from dockbell.warehouse.documents import stock as parts
from dockbell.warehouse.inputs.floor import MovementChange, NewMovement
from dockbell.warehouse.rules.floor import need_on_shelf, need_open_movement
from dockbell.warehouse.rules.statuses import impossible
from dockbell.warehouse.store import articles, items, orders, pallets, places, work

Noun = Literal["movement order", "movement pallet item"]
KINDS = {"movement order": "movement type", "movement pallet item": "pallet movement type"}


def create_movement(act: Act, noun: Noun, new: NewMovement) -> int:
    """Order the item to be moved: the movement's id."""
    act.actor.need("publish")
    thing = _thing(act, noun, new)
    problems: list[Problem] = []
    type_id = chosen(places.kinds(act.tx, KINDS[noun]), new.type_code, "typeCode", "movement type", problems)
    to = places.locations(act.tx, [new.to_location_id]).get(new.to_location_id)
    if to is None:
        problems.append(where.no_location(new.to_location_id, "toLocationId"))
    if new.order_id is not None:
        order = orders.order(act.tx, new.order_id)
        if order is None or order["goods_owner_id"] != thing["goods_owner_id"]:
            problems.append(Problem("orderId", "order", f"There is no order {new.order_id}."))
        elif to is not None and to["warehouse_id"] != order["warehouse_id"]:
            problems.append(where.elsewhere(act.tx, to, int(order["warehouse_id"]), "toLocationId"))
    raise_all(problems)
    if thing["location_id"] == new.to_location_id:
        raise impossible("It is there already.", "Choose another location.")
    (movement_id,) = places.next_ids(act.tx, places.MOVEMENT_ID[noun])
    (work_order_id,) = places.next_ids(act.tx, places.WORK_ORDER_ID)
    work.insert_movement(
        act.tx,
        noun,
        movement_id,
        work_order_id=work_order_id,
        goods_owner_id=thing["goods_owner_id"],
        article_item_id=new.article_item_id,
        pallet_item_id=new.pallet_item_id,
        to_location_id=new.to_location_id,
        type_id=type_id,
        assigned_user_id=new.assigned_user_id,
        order_id=new.order_id,
        now=act.now,
    )
    _tell(act, noun, "created", movement_id)
    return movement_id


def _thing(act: Act, noun: Noun, new: NewMovement) -> Row:
    """What is to be moved: it must be named, and still be here."""
    wanted, other = ("articleItemId", "palletItemId") if noun == "movement order" else ("palletItemId", "articleItemId")
    ids = {"articleItemId": new.article_item_id, "palletItemId": new.pallet_item_id}
    number = ids[wanted]
    problems = []
    if number is None:
        problems.append(Problem(wanted, "required", f"{wanted} is missing."))
    if ids[other] is not None:
        problems.append(Problem(other, "unknown_field", f"A {noun} has no {other}; leave it out."))
    if problems or number is None:
        raise InvalidInput(problems)
    if noun == "movement order":
        item = stock.open_item(act, number)
        need_on_shelf(number, "moved", item["state"])
        return item
    return act.own(pallets.lock_pallet_item(act.tx, number), "pallet item", number)


def change_movement(act: Act, noun: Noun, movement_id: int, change: MovementChange) -> Document:
    """Give it to somebody, mark it started, or send it elsewhere; what is the same is no change."""
    row = _open(act, noun, movement_id, "changed")
    after: dict[str, Any] = {
        "to_location_id": row["to_location_id"] if change.to_location_id is None else change.to_location_id,
        "assigned_user_id": row["assigned_user_id"] if change.assigned_user_id is None else change.assigned_user_id,
        "is_started": bool(row["is_started"]) if change.is_started is None else change.is_started,
    }
    stock.need_location(act, int(after["to_location_id"]))
    if change.to_location_id is not None and row["order_id"] is not None:
        _need_in_warehouse_of(act.tx, int(row["order_id"]), change.to_location_id)
    if after != {name: bool(row[name]) if name == "is_started" else row[name] for name in after}:
        work.change_movement(act.tx, noun, movement_id, **after)
        _tell(act, noun, "updated", movement_id)
    return _document(act.tx, noun, movement_id)


def _need_in_warehouse_of(tx: Transaction, order_id: int, to_location_id: int) -> None:
    order, to = orders.order(tx, order_id), places.locations(tx, [to_location_id])[to_location_id]
    if order is not None and to["warehouse_id"] != order["warehouse_id"]:
        raise InvalidInput([where.elsewhere(tx, to, int(order["warehouse_id"]), "toLocationId")])


def execute_movement(act: Act, noun: Noun, movement_id: int) -> Document:
    """The goods are moved: each article item is told as moved, then the movement as executed."""
    row = _open(act, noun, movement_id, "executed")
    to = int(row["to_location_id"])
    if noun == "movement order":
        stock.move_item(act, int(row["article_item_id"]), to)
    else:
        pallet_id = int(row["pallet_item_id"])
        pallet = pallets.lock_pallet_item(act.tx, pallet_id)
        if pallet is not None and pallet["order_id"] is not None:
            order = orders.order(act.tx, int(pallet["order_id"]))
            assert order is not None
            where.need_stays(act.tx, f"Pallet item {pallet['label']}", to, int(order["warehouse_id"]))
        moving = items.views(act.tx, items.standing_on(act.tx, pallet_id))
        articles.lock_articles(act.tx, [int(item["article_id"]) for item in moving])
        for item_id in items.standing_on(act.tx, pallet_id):
            stock.carry(act, item_id, items.view(act.tx, item_id), to, pallet_item_id=pallet_id)
        pallets.move(act.tx, pallet_id, to)
    work.execute_movement(act.tx, noun, movement_id)
    _tell(act, noun, "executed", movement_id)
    return _document(act.tx, noun, movement_id)


def delete_movement(act: Act, noun: Noun, movement_id: int) -> None:
    _open(act, noun, movement_id, "deleted")
    _tell(act, noun, "deleted", movement_id)
    work.delete_movement(act.tx, noun, movement_id)


def _open(act: Act, noun: Noun, movement_id: int, done: str) -> Row:
    row = act.own(work.lock_movement(act.tx, noun, movement_id), noun, movement_id)
    need_open_movement(noun, movement_id, done, is_executed=bool(row["is_executed"]))
    return row


# --- What is told ----------------------------------------------------------------------------------------


def _tell(act: Act, noun: Noun, what: str, movement_id: int) -> None:
    row = _row(act.tx, noun, movement_id)
    told = _item_told(act, row) if noun == "movement order" else _pallet_told(act, row)
    family = noun.replace(" ", "-")
    data = {**told, **act.doers()}
    act.tell(f"{family}.{what}", int(row["goods_owner_id"]), data, warehouse=row["warehouse_code"])


def _row(tx: Transaction, noun: Noun, movement_id: int) -> Row:
    row = work.movement(tx, noun, movement_id)
    assert row is not None
    return row


def _item_told(act: Act, row: Row) -> dict[str, Any]:
    item = items.view(act.tx, int(row["article_item_id"]))
    pallet = item["pallet_item_id"]
    core = parts.item_core(item)
    return {
        "article": parts.thin_article(item),
        "movement": {
            "workOrderId": row["work_order_id"],
            "movementArticleItemId": row["id"],
            "movementArticleItemTypeId": row["type_id"],
            "isExecuted": bool(row["is_executed"]),
            "assignedUserId": row["assigned_user_id"],
            "isStarted": bool(row["is_started"]),
            "toLocation": parts.typed_place(row["to_location_id"], row["to_location"], row["to_location_type_id"]),
            "movementArticleItemType": row["type_id"] and {"movementArticleItemTypePrio": row["type_rank"]},
        },
        "articleItem": {
            **parts.item_ids(item),
            "currentLocation": parts.typed_place(item["location_id"], item["location"], item["location_type_id"]),
            "serial": core["serial"],
            "batch": core["batch"],
            "numberOfItems": core["numberOfItems"],
            "articleItemPalletItem": pallet and {"palletItemId": pallet, "labelId": item["pallet_label"]},
            "comment": item["comment"],
            "container": item["container"],
        },
        "order": row["order_id"] and {"orderId": row["order_id"]},
    }


def _pallet_told(act: Act, row: Row) -> dict[str, Any]:
    pallet = pallets.view(act.tx, int(row["pallet_item_id"]))
    assert pallet is not None
    return {
        "movement": {
            "workOrderId": row["work_order_id"],
            "movementPalletItemId": row["id"],
            "isExecuted": bool(row["is_executed"]),
            "assignedUserId": row["assigned_user_id"],
            "toLocation": parts.typed_place(row["to_location_id"], row["to_location"], row["to_location_type_id"]),
            "movementPalletItemType": row["type_id"]
            and {"movementPalletItemTypeId": row["type_id"], "movementPalletItemTypeCode": row["type_code"]},
        },
        "palletItem": {
            "palletItemId": pallet["id"],
            "labelId": pallet["label"],
            "serial": pallet["serial"],
            "currentLocation": parts.typed_place(pallet["location_id"], pallet["location"], pallet["location_type_id"]),
        },
    }


# --- Looking ---------------------------------------------------------------------------------------------


def _document(tx: Transaction, noun: Noun, movement_id: int) -> Document:
    row = _row(tx, noun, movement_id)
    return {
        "id": row["id"],
        "workOrderId": row["work_order_id"],
        "goodsOwnerId": row["goods_owner_id"],
        "articleItemId": row["article_item_id"],
        "palletItemId": row["pallet_item_id"],
        "toLocationId": row["to_location_id"],
        "toLocation": row["to_location"],
        "warehouseCode": row["warehouse_code"],
        "typeCode": row["type_code"],
        "assignedUserId": row["assigned_user_id"],
        "isStarted": bool(row["is_started"]),
        "isExecuted": bool(row["is_executed"]),
        "orderId": row["order_id"],
    }


def get_movement(tx: Transaction, actor: Actor, noun: Noun, movement_id: int) -> Document:
    actor.need("read")
    visible(work.movement(tx, noun, movement_id), actor, noun, movement_id)
    return _document(tx, noun, movement_id)


def list_movements(
    tx: Transaction, actor: Actor, noun: Noun, goods_owner_id: int, *, id_from: int = 0, limit: int = 1_000
) -> list[Document]:
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    rows = work.movement_page(tx, noun, goods_owner_id, id_from=id_from, limit=limit)
    return [_document(tx, noun, int(row["id"])) for row in rows]
