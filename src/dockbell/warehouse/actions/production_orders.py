"""Production orders: sets put together. Finishing one takes its parts from stock and puts what was made there."""

from dockbell.domain.permissions import Actor
from dockbell.errors import Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document, chosen, goods_owner_document, need_goods_owner, raise_all, visible
from dockbell.warehouse.actions import inventories, stock, where
from dockbell.warehouse.documents.times import utc
from dockbell.warehouse.inputs.goods_in import NewProductionOrder
from dockbell.warehouse.rules.allocation import taken_from
from dockbell.warehouse.rules.statuses import FINISHED, PRODUCTION_ORDER, impossible
from dockbell.warehouse.store import articles, items, places
from dockbell.warehouse.store import production_orders as store

OPEN = 200
CAUSE = "PROD"


def create_production_order(act: Act, new: NewProductionOrder) -> int:
    act.need_goods_owner(new.goods_owner_id)
    problems: list[Problem] = []
    kind = new.production_order_type
    type_id = chosen(
        places.kinds(act.tx, "production order type"),
        None if kind is None else kind.code,
        "productionOrderType.code",
        "production order type",
        problems,
    )
    numbers = [new.article_number, *(part.article_number for part in new.parts)]
    fields = ["articleNumber", *(f"parts[{place}].articleNumber" for place in range(len(new.parts)))]
    known = articles.hold_by_number(act.tx, new.goods_owner_id, numbers)
    for number, field in zip(numbers, fields, strict=True):
        if number not in known:
            text = f"Goods owner {new.goods_owner_id} has no article {number!r}; make it first."
            problems.append(Problem(field, "article", text))
    if len(set(numbers)) < len(numbers):
        problems.append(Problem("parts", "duplicate", "Each article once, and what is made is no part of itself."))
    warehouse_id = where.chosen_warehouse(act.tx, new, problems) or where.FIRST
    raise_all(problems)
    owner, number = new.goods_owner_id, new.production_order_number
    act.need_free(
        places.PRODUCTION_ORDER_ID, lambda: store.by_number(act.tx, owner, number), "production order", number
    )
    (production_order_id,) = places.next_ids(act.tx, places.PRODUCTION_ORDER_ID)
    store.insert(
        act.tx,
        production_order_id,
        goods_owner_id=new.goods_owner_id,
        number=new.production_order_number,
        type_id=type_id,
        warehouse_id=warehouse_id,
        article_id=known[new.article_number],
        number_of_items=new.number_of_items,
        status=OPEN,
        now=act.now,
    )
    parts = [(known[part.article_number], part.number_of_items) for part in new.parts]
    store.insert_parts(act.tx, production_order_id, parts)
    _tell(act, "production-order.created", production_order_id)
    return production_order_id


def set_production_order_status(act: Act, production_order_id: int, number: int) -> Document:
    """The number it has already changes nothing."""
    row = act.own(store.lock(act.tx, production_order_id), "production order", production_order_id)
    if number != row["status"]:
        PRODUCTION_ORDER.need_step(f"Production order {row['number']}", row["status"], number)
        if number == FINISHED:
            _make(act, row)
        store.set_status(act.tx, production_order_id, number, now=act.now)
        change = {"statusFrom": int(row["status"]), "statusTo": number}
        _tell(act, "production-order.status-changed", production_order_id, **change)
    return _document(act.tx, _row(act.tx, production_order_id))


def _make(act: Act, row: Row) -> None:
    """Parts out, made items in, all in its warehouse and as inventory transactions: stock never changes untold."""
    here = int(row["warehouse_id"])
    parts = store.parts_of(act.tx, int(row["id"]))
    articles.lock_articles(act.tx, [int(row["article_id"]), *(int(part["article_id"]) for part in parts)])
    free = {int(part["article_id"]): items.for_sale(act.tx, [int(part["article_id"])], here) for part in parts}
    short = []
    for part in parts:
        wanted = int(part["number_of_items"]) * int(row["number_of_items"])
        there = sum(int(item["number_of_items"]) for item in free[int(part["article_id"])])
        if wanted > there:
            short.append(f"{wanted} of {part['article_number']} are needed and {there} are free")
    if short:
        raise impossible(f"Production order {row['number']} cannot be finished: {'; '.join(short)}.", "Wait for goods.")
    inventory_id = inventories.begin(act, int(row["goods_owner_id"]), comment=f"Production order {row['number']}")
    cause, place = places.kinds(act.tx, "adjustment cause")[CAUSE], 0
    for part in parts:
        wanted = int(part["number_of_items"]) * int(row["number_of_items"])
        for item_id, taken, _ in list(taken_from(free[int(part["article_id"])], wanted)):
            place += 1
            item = items.view(act.tx, item_id)
            inventories.adjust_item(act, inventory_id, place, item, -taken, cause=cause, comment="")
    made = items.insert(
        act.tx,
        article_id=row["article_id"],
        location_id=where.usual_place(act.tx, here, where.SHELF),
        status_id=1,
        number_of_items=row["number_of_items"],
        in_at=act.now,
    )
    stock.add(act, made, int(row["article_id"]), int(row["number_of_items"]))
    inventories.tell(act, inventory_id, place + 1, made, int(row["number_of_items"]), cause=cause, comment="")


def _tell(act: Act, event_type: str, production_order_id: int, **attributes: int) -> None:
    row = _row(act.tx, production_order_id)
    data = {
        "productionOrderId": production_order_id,
        "productionOrderNumber": row["number"],
        "path": f"/api/v1/productionOrders/{production_order_id}",
        "productionOrderStatus": {"number": row["status"]},
        "productionOrderType": row["type_id"]
        and {"productionOrderTypeId": row["type_id"], "productionOrderTypeCode": row["type_code"]},
    }
    act.tell(event_type, int(row["goods_owner_id"]), data, warehouse=row["warehouse_code"], **attributes)


# --- Looking ---------------------------------------------------------------------------------------------


def _row(tx: Transaction, production_order_id: int) -> Row:
    row = store.view(tx, production_order_id)
    assert row is not None
    return row


def _document(tx: Transaction, row: Row) -> Document:
    return {
        "productionOrderId": row["id"],
        "productionOrderNumber": row["number"],
        "goodsOwner": goods_owner_document(tx, int(row["goods_owner_id"])),
        "productionOrderStatus": PRODUCTION_ORDER.document(row["status"]),
        "productionOrderTypeCode": row["type_code"],
        "warehouse": {"id": row["warehouse_id"], "code": row["warehouse_code"], "name": row["warehouse_name"]},
        "article": {
            "articleSystemId": row["article_id"],
            "articleNumber": row["article_number"],
            "articleName": row["article_name"],
        },
        "numberOfItems": row["number_of_items"],
        "createdDate": utc(row["created_at"]),
        "parts": [
            {
                "articleSystemId": part["article_id"],
                "articleNumber": part["article_number"],
                "numberOfItems": part["number_of_items"],
            }
            for part in store.parts_of(tx, int(row["id"]))
        ],
    }


def get_production_order(tx: Transaction, actor: Actor, production_order_id: int) -> Document:
    actor.need("read")
    row = visible(store.view(tx, production_order_id), actor, "production order", production_order_id)
    return _document(tx, row)


def list_production_orders(
    tx: Transaction, actor: Actor, goods_owner_id: int, *, id_from: int = 0, limit: int = 1_000
) -> list[Document]:
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    return [_document(tx, _row(tx, each)) for each in store.page(tx, goods_owner_id, id_from=id_from, limit=limit)]
