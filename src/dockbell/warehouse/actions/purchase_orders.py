"""What can be done with purchase orders: from their creation to the last item received."""

import json
from typing import Any

from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, Problem
from dockbell.store import people
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import (
    Act,
    Document,
    chosen,
    need_goods_owner,
    need_same_owner,
    no_such,
    raise_all,
    taken,
    visible,
)
from dockbell.warehouse.actions import stock, where
from dockbell.warehouse.actions.articles import Lines, ordered_lines
from dockbell.warehouse.documents.purchase_orders import line_payload, order_document, order_payload
from dockbell.warehouse.inputs.common import LARGEST_ID
from dockbell.warehouse.inputs.goods_in import PURCHASE_ORDER_DETAILS, AdvisedItem, NewPurchaseOrder, ReceivedItems
from dockbell.warehouse.rules.floor import need_open_pallet
from dockbell.warehouse.rules.statuses import (
    BEFORE_GOODS,
    OPEN_FOR_GOODS,
    PURCHASE_ORDER,
    is_received,
    need_purchase_order_step,
)
from dockbell.warehouse.store import articles, items, pallets, places
from dockbell.warehouse.store import purchase_orders as store

NOTIFIED, INBOUND, DEVIATION, RECEIVED = 100, 300, 400, 500
ALONE = {"purchaseOrderNumber": "number", "inDate": "in_date"}
COLUMNS = (
    "number", "goods_owner_purchase_order_id", "supplier", "supplier_name", "type_id", "warehouse_id", "is_return",
    "in_date", "class_ids", "details",
)  # fmt: skip
ADVISED = ("number_of_items", "serial", "batch", "expiry_date", "comment", "container")
EVERYTHING = {
    "number": None, "status_from": 0, "status_to": LARGEST_ID, "status_changed_from": 0, "received_from": 0,
    "received_to": LARGEST_ID, "in_date_from": "", "in_date_to": "9999", "article_number": None, "id_from": 0, "limit": 1_000,
}  # fmt: skip

# --- Purchase orders: from their creation to their end -----------------------------------------------------


def put_purchase_order(act: Act, new: NewPurchaseOrder) -> tuple[int, bool]:
    """Create it, or change the one of that number as long as nothing came in: its id, and whether it is new."""
    found, purchase_order_id = _find(act, new)
    if found is None:
        _create(act, purchase_order_id, new)
    else:
        _change(act, found, new)
    return purchase_order_id, found is None


def order_anew(act: Act, new: NewPurchaseOrder) -> int:
    """Create one that was not there; raises Conflict if its number is taken."""
    found, purchase_order_id = _find(act, new)
    if found is not None:
        raise taken("purchase order", new.purchase_order_number)
    _create(act, purchase_order_id, new)
    return purchase_order_id


def change_purchase_order(act: Act, purchase_order_id: int, new: NewPurchaseOrder) -> None:
    """Everything about one that nothing came in on, its number too if no other has it."""
    row = _open(act, purchase_order_id)
    need_same_owner(row, new.goods_owner_id)
    _need_free_number(act, row, new.purchase_order_number)
    _change(act, row, new)


def change_field(act: Act, purchase_order_id: int, field: str, value: Any) -> None:
    """One of those that can be changed alone, by its name in the API."""
    row = _open(act, purchase_order_id)
    which, details = f"Purchase order {row['number']}", json.loads(row["details"])
    if field == "purchaseOrderNumber":
        PURCHASE_ORDER.need(which, row["status"], "renumbered", BEFORE_GOODS)
        _need_free_number(act, row, value)
    PURCHASE_ORDER.need(which, row["status"], "changed", OPEN_FOR_GOODS)
    values = {name: row[name] for name in COLUMNS}
    if field in ALONE:
        values[ALONE[field]] = value
    else:
        values["details"] = json.dumps(details | {field: value})
    store.change(act.tx, purchase_order_id, values, now=act.now)


def _find(act: Act, new: NewPurchaseOrder) -> tuple[Row | None, int]:
    act.need_goods_owner(new.goods_owner_id)
    owner, number = new.goods_owner_id, new.purchase_order_number
    return act.found_or_new(places.PURCHASE_ORDER_ID, lambda: store.lock_by_number(act.tx, owner, number))


def _need_free_number(act: Act, row: Row, number: str) -> None:
    """Its own is free to it."""
    owner = int(row["goods_owner_id"])
    if number != row["number"]:
        act.need_free(
            places.PURCHASE_ORDER_ID, lambda: store.lock_by_number(act.tx, owner, number), "purchase order", number
        )


def _create(act: Act, purchase_order_id: int, new: NewPurchaseOrder) -> None:
    values, lines = _checked(act.tx, new)
    values["warehouse_id"] = values["warehouse_id"] or where.FIRST
    store.insert(act.tx, purchase_order_id, new.goods_owner_id, values, NOTIFIED, now=act.now)
    store.insert_lines(act.tx, purchase_order_id, lines)
    _tell(act, "purchase-order.created", purchase_order_id)
    for line in store.lines_of(act.tx, purchase_order_id):
        _tell_line(act, "purchase-order-line.created", purchase_order_id, line, createdWithPurchaseOrder=True)


def _change(act: Act, found: Row, new: NewPurchaseOrder) -> None:
    PURCHASE_ORDER.need(f"Purchase order {found['number']}", found["status"], "changed", BEFORE_GOODS)
    values, lines = _checked(act.tx, new)
    values["warehouse_id"] = where.need_unmoved(act.tx, "Purchase order", found, values["warehouse_id"])
    store.change(act.tx, int(found["id"]), values, now=act.now)
    _change_lines(act, int(found["id"]), lines)


def _change_lines(act: Act, purchase_order_id: int, lines: Lines) -> None:
    """A row that stays keeps its id, and what was advised of it unless less or another article is to come; each line that is
    new, different or gone is told."""
    known = {row["row_number"]: row for row in store.lines_of(act.tx, purchase_order_id)}
    wanted = {line[0]: line for line in lines}
    for row_number, row in known.items():
        if row_number not in wanted:
            store.drop_advised(act.tx, int(row["id"]))
            store.delete_line(act.tx, int(row["id"]))
            _tell_line(act, "purchase-order-line.deleted", purchase_order_id, row)
        elif wanted[row_number][1:] != (row["article_id"], row["comment"], row["advised"]):
            _, article_id, comment, advised = wanted[row_number]
            if article_id != row["article_id"] or advised < row["advised"]:
                store.drop_advised(act.tx, int(row["id"]))  # batches and serials were of what is not coming any more
            store.change_line(act.tx, int(row["id"]), article_id, comment, advised)
            [line] = [each for each in store.lines_of(act.tx, purchase_order_id) if each["id"] == row["id"]]
            _tell_line(act, "purchase-order-line.changed", purchase_order_id, line)
    fresh = store.insert_lines(act.tx, purchase_order_id, [line for line in lines if line[0] not in known])
    for line in store.lines_of(act.tx, purchase_order_id):
        if line["id"] in fresh:
            _tell_line(act, "purchase-order-line.created", purchase_order_id, line, createdWithPurchaseOrder=False)


def receive(act: Act, purchase_order_id: int, received: list[ReceivedItems]) -> Document:
    """Goods came in: each line becomes an article item. The first ones bring the purchase order to 300 Inbound."""
    row = _open(act, purchase_order_id)
    which = f"Purchase order {row['number']}"
    PURCHASE_ORDER.need(which, row["status"], "received on", OPEN_FOR_GOODS)
    lines = {line["row_number"]: line for line in store.lines_of(act.tx, purchase_order_id)}
    statuses = places.item_statuses(act.tx)
    problems: list[Problem] = []
    on = _held_pallets(act.tx, {each.pallet_item_id for each in received})
    for place, each in enumerate(received):
        if each.row_number not in lines:
            text = f"There is no row {each.row_number[:40]!r}; there are {', '.join(list(lines)[:20])}."
            problems.append(Problem(f"lines[{place}].rowNumber", "row_number", text))
        field = f"lines[{place}].articleItemStatusCode"
        chosen(statuses, each.article_item_status_code, field, "article item status", problems)
        _need_own_serial(each, f"lines[{place}].serial", problems)
        pallet = on.get(each.pallet_item_id)
        if each.pallet_item_id is not None and (pallet is None or pallet["goods_owner_id"] != row["goods_owner_id"]):
            text = f"There is no pallet item {each.pallet_item_id}."
            problems.append(Problem(f"lines[{place}].palletItemId", "pallet_item", text))
        elif pallet is not None and pallet["warehouse_id"] not in (None, row["warehouse_id"]):
            text = f"Pallet item {each.pallet_item_id} stands in another warehouse, {pallet['warehouse_code']}."
            problems.append(Problem(f"lines[{place}].palletItemId", "other_warehouse", text))
        elif pallet is not None and each.location_id not in (None, pallet["location_id"]):
            text = f"Pallet item {each.pallet_item_id} stands in {pallet['location']}; leave the location out."
            problems.append(Problem(f"lines[{place}].locationId", "location", text))
    wanted = [
        (
            on[each.pallet_item_id]["location_id"] if each.pallet_item_id in on else each.location_id,
            f"lines[{place}].locationId",
        )
        for place, each in enumerate(received)
    ]
    at = where.places_in(act.tx, int(row["warehouse_id"]), where.GOODS_IN, wanted, problems)
    raise_all(problems)
    for pallet in on.values():
        need_open_pallet(pallet["label"], is_closed=bool(pallet["is_closed"]))
    articles.lock_articles(act.tx, [lines[each.row_number]["article_id"] for each in received])
    if row["status"] < INBOUND:
        _set_status(act, row, INBOUND)
    for each, location_id in zip(received, at, strict=True):
        line = lines[each.row_number]
        item_id = items.insert(
            act.tx,
            article_id=line["article_id"],
            location_id=location_id,
            status_id=statuses[each.article_item_status_code]["id"],
            serial=each.serial,
            batch=each.batch,
            expiry_date=each.expiry_date,
            comment=each.comment,
            container=each.container,
            number_of_items=each.number_of_items,
            purchase_order_line_id=line["id"],
            pallet_item_id=each.pallet_item_id,
            in_at=act.now,
        )
        store.receive(act.tx, int(line["id"]), purchase_order_id, each.number_of_items, now=act.now)
        stock.add(act, item_id, int(line["article_id"]), each.number_of_items, "received")
        stock.tell_inbound(act, item_id)
    return document_of(act.tx, purchase_order_id)


def _held_pallets(tx: Transaction, wanted: set[int | None]) -> dict[int | None, Row]:
    """Those that there are: until the commit nobody closes, moves or deletes them."""
    ids = sorted(each for each in wanted if each is not None)
    held = [each for each in ids if pallets.lock_pallet_item(tx, each) is not None]
    return {each: row for each in held if (row := pallets.view(tx, each)) is not None}


def finish(act: Act, purchase_order_id: int) -> Document:
    """Nothing more comes: 500 Received if everything is as advised, otherwise 400 Deviation."""
    row = _open(act, purchase_order_id)
    PURCHASE_ORDER.need(f"Purchase order {row['number']}", row["status"], "finished", OPEN_FOR_GOODS)
    exact = all(line["received"] == line["advised"] for line in store.lines_of(act.tx, purchase_order_id))
    _set_status(act, row, RECEIVED if exact else DEVIATION)
    return document_of(act.tx, purchase_order_id)


def set_purchase_order_status(act: Act, purchase_order_id: int, number: int) -> Document:
    """The number it has already changes nothing; what came in cannot be cancelled."""
    row = _open(act, purchase_order_id)
    if number != row["status"]:
        which = f"Purchase order {row['number']}"
        need_purchase_order_step(which, int(row["status"]), number, _received(act.tx, purchase_order_id))
        _set_status(act, row, number)
    return document_of(act.tx, purchase_order_id)


def advise_items(act: Act, purchase_order_id: int, advised: list[AdvisedItem]) -> None:
    """The lines named have these batches and serials, whatever was advised before; each line that is different is told."""
    row = _open(act, purchase_order_id)
    PURCHASE_ORDER.need(f"Purchase order {row['number']}", row["status"], "advised", OPEN_FOR_GOODS)
    lines = {int(line["id"]): line for line in store.lines_of(act.tx, purchase_order_id)}
    by_line: dict[int, list[AdvisedItem]] = {}
    problems: list[Problem] = []
    for place, each in enumerate(advised):
        by_line.setdefault(each.purchase_order_line_id, []).append(each)
        if each.purchase_order_line_id not in lines:
            text = f"Purchase order {row['number']} has no line {each.purchase_order_line_id}."
            problems.append(Problem(f"items[{place}].purchaseOrderLineId", "purchase_order_line", text))
        _need_own_serial(each, f"items[{place}].serial", problems)
    for line_id, items_of_line in by_line.items():
        count = sum(each.number_of_items for each in items_of_line)
        if line_id in lines and count > lines[line_id]["advised"]:
            text = f"Row {lines[line_id]['row_number']}: {count} items are more than the {lines[line_id]['advised']} advised."
            problems.append(Problem("items", "quantity", text))
    raise_all(problems)
    before = store.advised_of(act.tx, purchase_order_id)
    for line_id, items_of_line in by_line.items():
        wanted = [
            (each.number_of_items, each.serial, each.batch, each.expiry_date, each.comment, each.container)
            for each in items_of_line
        ]
        known = [tuple(item[name] for name in ADVISED) for item in before if item["purchase_order_line_id"] == line_id]
        if wanted != known:
            store.put_advised(act.tx, line_id, wanted)
            _tell_line(act, "purchase-order-line.changed", purchase_order_id, lines[line_id])


def _need_own_serial(each: AdvisedItem | ReceivedItems, field: str, problems: list[Problem]) -> None:
    if each.serial and each.number_of_items != 1:
        text = f"Serial number {each.serial[:40]!r} is one item's, not {each.number_of_items}'s."
        problems.append(Problem(field, "serial", text))


def set_reported(act: Act, purchase_order_id: int, line_id: int, count: int) -> None:
    """The goods owner's system knows of so many received items."""
    _open(act, purchase_order_id)
    lines = {int(line["id"]): line for line in store.lines_of(act.tx, purchase_order_id)}
    if line_id not in lines:
        no_such("purchase order line", line_id)
    if count > lines[line_id]["received"]:
        text = f"{count} items cannot be reported: {lines[line_id]['received']} were received."
        raise InvalidInput([Problem("reportedNumberOfItems", "quantity", text)])
    store.set_reported(act.tx, line_id, count)


# --- One step --------------------------------------------------------------------------------------------


def _open(act: Act, purchase_order_id: int) -> Row:
    return act.own(store.lock(act.tx, purchase_order_id), "purchase order", purchase_order_id)


def _set_status(act: Act, row: Row, status: int) -> None:
    purchase_order_id, before = int(row["id"]), int(row["status"])
    store.set_status(act.tx, purchase_order_id, status, now=act.now)
    change = {"statusFrom": before, "statusTo": status}
    _tell(act, "purchase-order.status-changed", purchase_order_id, **change)
    if is_received(before, status, _received(act.tx, purchase_order_id)):
        _tell(act, "purchase-order.received", purchase_order_id, **change)


def _received(tx: Transaction, purchase_order_id: int) -> int:
    return sum(int(line["received"]) for line in store.lines_of(tx, purchase_order_id))


def _tell(act: Act, event_type: str, purchase_order_id: int, **attributes: Any) -> None:
    row = _view(act.tx, purchase_order_id)
    data = order_payload(row, classes_of(act.tx, row))
    owner = int(row["goods_owner_id"])
    act.tell(event_type, owner, data, supplier=row["supplier"], warehouse=row["warehouse_code"], **attributes)


def _tell_line(act: Act, event_type: str, purchase_order_id: int, line: Row, **attributes: Any) -> None:
    row = _view(act.tx, purchase_order_id)
    facts = {"articleNumber": line["article_number"], "warehouse": row["warehouse_code"]}
    act.tell(event_type, int(row["goods_owner_id"]), line_payload(row, line), **facts, **attributes)


def _checked(tx: Transaction, new: NewPurchaseOrder) -> tuple[dict[str, Any], Lines]:
    """Its columns and lines, if everything they refer to exists."""
    problems: list[Problem] = []
    classes = places.kinds(tx, "purchase order class")
    type_id = chosen(
        places.kinds(tx, "purchase order type"),
        None if new.purchase_order_type is None else new.purchase_order_type.code,
        "purchaseOrderType.code",
        "purchase order type",
        problems,
    )
    class_ids = [
        chosen(classes, each.code, f"purchaseOrderClasses[{place}].code", "purchase order class", problems)
        for place, each in enumerate(new.purchase_order_classes)
    ]
    warehouse_id = where.chosen_warehouse(tx, new, problems)
    lines = ordered_lines(tx, new.goods_owner_id, "purchaseOrderLines", new.purchase_order_lines, problems)
    raise_all(problems)
    plain = new.model_dump(by_alias=True, mode="json")
    values = {
        "number": new.purchase_order_number,
        "goods_owner_purchase_order_id": new.goods_owner_purchase_order_id,
        "supplier": new.supplier_info and new.supplier_info.supplier_number,
        "supplier_name": new.supplier_info and new.supplier_info.supplier_name,
        "type_id": type_id,
        "warehouse_id": warehouse_id,
        "is_return": int(new.purchase_order_is_return_type),
        "in_date": new.in_date,
        "class_ids": json.dumps(class_ids),
        "details": json.dumps({name: plain[name] for name in PURCHASE_ORDER_DETAILS}),
    }
    return values, lines


# --- Looking ---------------------------------------------------------------------------------------------


def _view(tx: Transaction, purchase_order_id: int) -> Row:
    row = store.view(tx, purchase_order_id)
    assert row is not None
    return row


def classes_of(tx: Transaction, row: Row) -> list[Row]:
    wanted = json.loads(row["class_ids"])
    return [each for each in places.kinds(tx, "purchase order class").values() if each["id"] in wanted]


def document_of(tx: Transaction, purchase_order_id: int) -> Document:
    row = _view(tx, purchase_order_id)
    lines = store.lines_of(tx, purchase_order_id)
    came = items.views(tx, items.ids_received(tx, [int(line["id"]) for line in lines]))
    owner = people.goods_owner(tx, int(row["goods_owner_id"]))
    assert owner is not None
    advised = store.advised_of(tx, purchase_order_id)
    return order_document(
        row, owner=owner["name"], lines=lines, came=came, advised=advised, classes=classes_of(tx, row)
    )


def get_purchase_order(tx: Transaction, actor: Actor, purchase_order_id: int) -> Document:
    actor.need("read")
    visible(store.view(tx, purchase_order_id), actor, "purchase order", purchase_order_id)
    return document_of(tx, purchase_order_id)


def list_purchase_orders(tx: Transaction, actor: Actor, goods_owner_id: int, **wanted: Any) -> list[Document]:
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    return [document_of(tx, each) for each in store.page(tx, goods_owner_id, **{**EVERYTHING, **wanted})]
