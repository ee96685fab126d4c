"""Return orders: announced by the goods owner's system, or made by the warehouse when goods come back unannounced.

Their statuses have no event of their own: what comes back is told as `article.returned`.
"""

from collections.abc import Collection, Mapping
from typing import Any

from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document, chosen, goods_owner_document, need_goods_owner, raise_all, visible
from dockbell.warehouse.documents import stock as parts
from dockbell.warehouse.documents.times import utc
from dockbell.warehouse.inputs.common import LARGEST_ID
from dockbell.warehouse.inputs.goods_in import NewReturnOrder
from dockbell.warehouse.rules.statuses import RETURN_ORDER, impossible
from dockbell.warehouse.store import items, orders, places
from dockbell.warehouse.store import returns as store

NOTIFIED, RETURNED = 100, 500
EVERYTHING: Mapping[str, Any] = {
    "number": None, "order_number": None, "status_from": 0, "status_to": LARGEST_ID, "returned_from": 0, "id_from": 0,
    "limit": 1_000,
}  # fmt: skip


def put_return_order(act: Act, new: NewReturnOrder) -> tuple[int, bool]:
    """Announce what a customer sends back, or change that before all of it came: its id, and whether it is new."""
    act.need_goods_owner(new.goods_owner_id)
    problems: list[Problem] = []
    causes = places.kinds(act.tx, "return cause")
    order = orders.lock_order(act.tx, new.order_id)  # its lines stay until the commit
    if order is None or order["goods_owner_id"] != new.goods_owner_id:
        problems.append(Problem("orderId", "order", f"There is no order {new.order_id}."))
        order = None
    known = {} if order is None else {int(line["id"]): line for line in orders.lines_of(act.tx, [new.order_id])}
    lines = []
    for place, line in enumerate(new.return_order_lines):
        field = f"returnOrderLines[{place}]"
        code = line.return_cause_code
        cause_id = chosen(causes, code, f"{field}.returnCauseCode", "return cause", problems)
        if order is not None and line.order_line_id not in known:
            text = f"Order {order['number']} has no line {line.order_line_id}."
            problems.append(Problem(f"{field}.orderLineId", "order_line", text))
        lines.append((line.order_line_id, cause_id, line.number_of_items))
    if len({line[0] for line in lines}) < len(lines):
        problems.append(Problem("returnOrderLines", "duplicate", "Each line of the order once."))
    raise_all(problems)
    owner, number = new.goods_owner_id, new.return_order_number
    found, return_order_id = act.found_or_new(
        places.RETURN_ORDER_ID, lambda: store.lock_by_number(act.tx, owner, number)
    )
    if found is None:
        _insert(act, return_order_id, owner, number, new.order_id, new)
        _put_lines(act, return_order_id, lines)
        return return_order_id, True
    if found["order_id"] != new.order_id:
        text = f"Return order {number} is of order {found['order_id']} and stays so; write that id, or choose another number."
        raise InvalidInput([Problem("orderId", "order", text)])
    RETURN_ORDER.need(f"Return order {found['number']}", found["status"], "changed", (NOTIFIED,))
    store.change(act.tx, return_order_id, comment=new.comment, in_date=new.in_date)
    _put_lines(act, return_order_id, lines)
    _end_if_all_is_here(act, return_order_id)
    return return_order_id, False


def _insert(act: Act, return_order_id: int, owner: int, number: str, order_id: int, new: NewReturnOrder | None) -> None:
    store.insert(
        act.tx,
        return_order_id,
        goods_owner_id=owner,
        number=number,
        order_id=order_id,
        comment=new and new.comment,
        in_date=new and new.in_date,
        status=NOTIFIED,
        now=act.now,
    )


def _put_lines(act: Act, return_order_id: int, lines: list[tuple[int, int | None, int]]) -> None:
    for order_line_id, cause_id, count in lines:
        store.put_line(act.tx, return_order_id, order_line_id, cause_id=cause_id, to_be_returned=count, returned=0)


def came_back(act: Act, order: Row, lines: list[tuple[int, int | None, int]]) -> None:
    """Book (line, cause, items) on the order's open return order, or on a new one: it is Returned when all is here."""
    row = store.lock_open_of(act.tx, int(order["id"]))
    if row is None:
        (return_order_id,) = places.next_ids(act.tx, places.RETURN_ORDER_ID)
        number = f"R-{order['number'][:80]}-{return_order_id}"
        _insert(act, return_order_id, int(order["goods_owner_id"]), number, int(order["id"]), None)
    else:
        return_order_id = int(row["id"])
    for order_line_id, cause_id, count in lines:
        store.put_line(act.tx, return_order_id, order_line_id, cause_id=cause_id, to_be_returned=count, returned=count)
    store.set_returned(act.tx, return_order_id, now=act.now)
    _end_if_all_is_here(act, return_order_id)


def _end_if_all_is_here(act: Act, return_order_id: int) -> None:
    if all(line["returned"] >= line["to_be_returned"] for line in store.lines_of(act.tx, return_order_id)):
        store.set_status(act.tx, return_order_id, RETURNED, now=act.now)


def need_no_return_of(tx: Transaction, order: Row, *, staying: Collection[str]) -> None:
    """Raise Conflict if a return is announced of one of the order's rows, other than these."""
    announced = [row for row in store.announced_of(tx, int(order["id"])) if row["row_number"] not in staying]
    if announced:
        which = "; ".join(f"return order {row['number']} announces row {row['row_number']}" for row in announced)
        raise impossible(f"Order {order['number']} cannot lose its rows: {which}.", "Keep those rows.")


def set_return_order_status(act: Act, return_order_id: int, number: int) -> None:
    row = act.own(store.lock(act.tx, return_order_id), "return order", return_order_id)
    if number != row["status"]:
        RETURN_ORDER.need_step(f"Return order {row['number']}", row["status"], number)
        store.set_status(act.tx, return_order_id, number, now=act.now)


# --- Looking ---------------------------------------------------------------------------------------------


def get_return_order(tx: Transaction, actor: Actor, return_order_id: int) -> Document:
    actor.need("read")
    visible(store.view(tx, return_order_id), actor, "return order", return_order_id)
    return _document(tx, return_order_id)


def list_return_orders(tx: Transaction, actor: Actor, goods_owner_id: int, **wanted: Any) -> list[Document]:
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    return [_document(tx, each) for each in store.page(tx, goods_owner_id, **{**EVERYTHING, **wanted})]


def _document(tx: Transaction, return_order_id: int) -> Document:
    row = store.view(tx, return_order_id)
    assert row is not None
    lines = store.lines_of(tx, return_order_id)
    back = items.views(tx, items.ids_of_lines(tx, [int(line["order_line_id"]) for line in lines]))
    warehouse = places.warehouse(tx, int(row["warehouse_id"]))
    return {
        "goodsOwner": goods_owner_document(tx, int(row["goods_owner_id"])),
        "returnOrderInfo": {
            "returnOrderId": row["id"],
            "returnOrderNumber": row["number"],
            "comment": row["comment"],
            "inDate": row["in_date"],
            "createdDate": utc(row["created_at"]),
            "returnOrderStatus": RETURN_ORDER.document(row["status"]),
            "warehouse": parts.warehouse(warehouse),
            "returnOrderArrivalTime": utc(row["last_returned_at"]),
        },
        "customerOrderInfo": {"orderId": row["order_id"], "orderNumber": row["order_number"]},
        "returnOrderLines": [
            {
                "returnOrderLineId": line["order_line_id"],
                "customerOrderLine": {"id": line["order_line_id"], "rowNumber": line["row_number"]},
                "article": {
                    "articleSystemId": line["article_id"],
                    "articleNumber": line["article_number"],
                    "articleName": line["article_name"],
                },
                "returnCause": line["cause_id"] and {"code": line["cause_code"], "name": line["cause_name"]},
                "toBeReturnedNumberOfItems": line["to_be_returned"],
                "returnedNumberOfItems": line["returned"],
                "returnedArticleItems": [
                    _returned_item(item) for item in back if item["returned_line_id"] == line["order_line_id"]
                ],
            }
            for line in lines
        ],
    }


def _returned_item(item: Row) -> Document:
    return {
        "articleItemId": item["id"],
        "numberOfItems": item["number_of_items"],
        "batch": item["batch"],
        "serial": item["serial"],
        "returnTime": utc(item["returned_at"]),
        "returnComment": item["comment"],
        "returnCause": parts.return_cause(item),
        "articleItemStatus": {"code": item["status_code"], "name": item["status_name"]},
        "isReturnRemovedByInventory": item["state"] == "gone",
    }
