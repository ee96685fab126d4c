"""What can be done with orders. Each function is a part of the caller's transaction: what changes and the events
that tell of it are committed together, or neither is.

Another goods owner's order answers like one that does not exist.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from dockbell.errors import InvalidInput, Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document, chosen, need_same_owner, raise_all, taken
from dockbell.warehouse.actions import carried_out, order_views, pallets, returns, stock, where
from dockbell.warehouse.actions.articles import Lines
from dockbell.warehouse.actions.order_input import ORDER_COLUMNS, columns_and_lines
from dockbell.warehouse.documents.orders import order_payload
from dockbell.warehouse.inputs.orders import NewOrder, ReturnedItems
from dockbell.warehouse.rules import order as rules
from dockbell.warehouse.rules.order import Line, Order, Quantities, Status
from dockbell.warehouse.rules.statuses import impossible
from dockbell.warehouse.store import articles, items, orders, places, work
from dockbell.warehouse.store import pallets as pallet_store

WITH_STATUS = ("order.status-changed", "order.picked")
LINE_COLUMNS = tuple(field.name for field in fields(Line))

# --- Orders: from their creation to their end ------------------------------------------------------------


def create_order(act: Act, new: NewOrder) -> tuple[int, bool]:
    """Create the order, or change the one of that number as long as nothing is allocated: its id, and if it is new.

    Raises InvalidInput with every article, transporter, warehouse, type and class that does not exist.
    """
    found, order_id = _find(act, new.goods_owner_id, new.order_number)
    if found is None:
        _create(act, order_id, new)
    else:
        _change(act, found, new)
    return order_id, found is None


def order_anew(act: Act, new: NewOrder) -> int:
    """Create an order that was not there; raises Conflict if its number is taken."""
    found, order_id = _find(act, new.goods_owner_id, new.order_number)
    if found is not None:
        raise taken("order", new.order_number)
    _create(act, order_id, new)
    return order_id


def change_order(act: Act, order_id: int, new: NewOrder) -> None:
    """Everything about an order that the warehouse has not started on, its number too if no other has it."""
    row, _ = _open(act, order_id)
    need_same_owner(row, new.goods_owner_id)
    if new.order_number != row["number"]:
        _need_free_number(act, new.goods_owner_id, new.order_number)
    _change(act, row, new)


def _find(act: Act, goods_owner_id: int, number: str) -> tuple[Row | None, int]:
    act.need_goods_owner(goods_owner_id)
    return act.found_or_new(places.ORDER_ID, lambda: orders.lock_order_by_number(act.tx, goods_owner_id, number))


def _create(act: Act, order_id: int, new: NewOrder) -> None:
    values, lines = columns_and_lines(act.tx, new)
    values["warehouse_id"] = values["warehouse_id"] or where.FIRST
    orders.insert_order(act.tx, order_id, new.goods_owner_id, values, Status.OPEN, now=act.now)
    _begin(act, order_id, lines)


def _begin(act: Act, order_id: int, lines: Lines) -> None:
    orders.put_lines(act.tx, order_id, lines)
    row = _row(act.tx, order_id)
    _announce(act, row, None, _order(act.tx, row))


def _change(act: Act, found: Row, new: NewOrder) -> None:
    rules.need_changeable(_order(act.tx, found))
    values, lines = columns_and_lines(act.tx, new)
    returns.need_no_return_of(act.tx, found, staying={line[0] for line in lines})
    values["warehouse_id"] = where.need_unmoved(act.tx, "Order", found, values["warehouse_id"])
    orders.change_order(act.tx, int(found["id"]), values, now=act.now)
    orders.put_lines(act.tx, int(found["id"]), lines)


def back_order(act: Act, order_id: int) -> int:
    """A new order of what an order was short of when its picking ended: its id."""
    (new_id,) = places.next_ids(act.tx, places.ORDER_ID)
    row, before = _open(act, order_id)
    short = rules.missing(before)
    lines = {int(line["id"]): line for line in orders.lines_of(act.tx, [order_id])}
    numbers = {line.id: str(lines[line.id]["article_number"]) for line in short}
    gone = set(numbers.values()) - set(articles.hold_by_number(act.tx, int(row["goods_owner_id"]), numbers.values()))
    if gone:
        raise impossible(
            f"Order {before.number} cannot be ordered again: there is no {', '.join(sorted(gone))}.",
            "Make the article again.",
        )
    values = {name: row[name] for name in ORDER_COLUMNS} | {
        "number": f"{row['number'][:80]}-{new_id}",
        "details": row["details"],
    }
    owner = int(row["goods_owner_id"])
    orders.insert_order(act.tx, new_id, owner, values, Status.OPEN, back_order_for=order_id, now=act.now)
    _begin(
        act,
        new_id,
        [(line.row_number, line.article_id, lines[line.id]["comment"], line.ordered - line.picked) for line in short],
    )
    return new_id


def allocate_order(act: Act, order_id: int) -> Document:
    """Set stock of its warehouse aside for the whole order, or refuse."""
    row, before = _open(act, order_id)
    wanted = [line.article_id for line in before.lines]
    articles.lock_articles(act.tx, wanted)
    free = dict.fromkeys(wanted, 0)
    for item in items.for_sale(act.tx, wanted, int(row["warehouse_id"])):
        free[int(item["article_id"])] += int(item["number_of_items"])
    return _finish(act, row, before, rules.allocate(before, free))


def deallocate_order(act: Act, order_id: int, *, quantities: Quantities | None = None) -> Document:
    """Set items free again (by row number; None: all that were not picked)."""
    row, before = _open(act, order_id)
    return _finish(act, row, before, rules.deallocate(before, quantities))


def pick_order(act: Act, order_id: int, *, quantities: Quantities | None = None) -> Document:
    """Take these items (by row number; None: all that are left). The last one makes the order Picked."""
    row, before = _open(act, order_id)
    return _finish(act, row, before, rules.pick(before, quantities))


def pack_order(
    act: Act, order_id: int, *, quantities: Quantities | None = None, parcel_number: str | None = None
) -> Document:
    """Put these picked items into the open parcel of that number, or into a new one."""
    row, before = _open(act, order_id)
    after = rules.pack(before, quantities)
    document = _finish(act, row, before, after, parcel_id=pallets.parcel_for(act, row, parcel_number))
    work.pick_order_packed(act.tx, order_id, now=act.now)
    return document


def send_order(act: Act, order_id: int, *, waybill: str | None = None) -> Document:
    """Hand the goods to the transporter, whose tracking the order then has; its open parcels are closed first.

    Without a waybill it gets the one it was given before, or one of ours.
    """
    row, before = _open(act, order_id)
    after = rules.send(before)
    waybill = waybill or row["waybill"]
    if waybill is None and row["transporter"] is not None:
        waybill = f"{row['transporter']}-{order_id}"
    pallets.close_parcels_of(act, order_id)
    tracking_url = places.tracking_url(act.tx, row["transporter"], waybill)
    orders.ship(act.tx, order_id, waybill, tracking_url, now=act.now)
    pallet_store.leave(act.tx, order_id, now=act.now)
    return _finish(act, row, before, after)


def collect_order(act: Act, order_id: int) -> Document:
    """The consignee has the goods."""
    row, before = _open(act, order_id)
    return _finish(act, row, before, rules.collect(before))


def take_back_order(act: Act, order_id: int, back: list[ReturnedItems]) -> Document:
    """Goods that were sent have come back; each line says why, where they lie now, and in which status."""
    row, before = _open(act, order_id)
    causes, statuses = places.kinds(act.tx, "return cause"), places.item_statuses(act.tx)
    problems: list[Problem] = []
    for place, each in enumerate(back):
        field = f"lines[{place}]"
        chosen(causes, each.return_cause_code, f"{field}.returnCauseCode", "return cause", problems)
        code = each.article_item_status_code
        chosen(statuses, code, f"{field}.articleItemStatusCode", "article item status", problems)
    wanted = [(each.location_id, f"lines[{place}].locationId") for place, each in enumerate(back)]
    at = where.places_in(act.tx, int(row["warehouse_id"]), where.RETURNS, wanted, problems)
    raise_all(problems)
    sums: dict[str, int] = {}
    for each in back:
        sums[each.row_number] = sums.get(each.row_number, 0) + each.number_of_items
    after = rules.take_back(before, sums)
    articles.lock_articles(act.tx, [line.article_id for line in after.lines])
    lines = {line.row_number: line for line in after.lines}
    stock.need_there(act.tx, [lines[row_number].article_id for row_number in sums])
    booked = []
    for each, location_id in zip(back, at, strict=True):
        cause_id = None if each.return_cause_code is None else int(causes[each.return_cause_code]["id"])
        booked.append((lines[each.row_number].id, cause_id, each.number_of_items))
        carried_out.take_back(
            act,
            row,
            lines[each.row_number],
            each.number_of_items,
            cause_id=cause_id,
            status_id=int(statuses[each.article_item_status_code]["id"]),
            location_id=location_id,
        )
    returns.came_back(act, row, booked)
    orders.set_returned(act.tx, order_id, now=act.now)
    return _finish(act, row, before, after)


def print_transport_documents(act: Act, order_id: int) -> Document:
    """Labels and waybill of what was picked; a waybill number is given to it if it has none."""
    row, before = _open(act, order_id)
    rules.need_picked(before)
    if row["waybill"] is None and row["transporter"] is not None:
        orders.set_waybill(act.tx, order_id, f"{row['transporter']}-{order_id}", now=act.now)
    orders.set_printed(act.tx, order_id, now=act.now)
    return order_views.documents_of(act.tx, [_row(act.tx, order_id)])[0]


def cancel_order(act: Act, order_id: int) -> Document:
    """End an order nothing was picked of; what was set aside is free again."""
    row, before = _open(act, order_id)
    return _finish(act, row, before, rules.cancel(before))


def set_order_status(act: Act, order_id: int, number: int) -> Document:
    """The step that leads to this status number; the number it has already changes nothing.

    400 ends picking with what was picked so far, possibly nothing. 320 and 475 are refused: only allocating and taking
    back lead there.
    """
    row, before = _open(act, order_id)
    if number == before.status:
        return order_views.documents_of(act.tx, [row])[0]
    steps: Mapping[int, Callable[[Order], Order]] = {
        Status.OPEN: rules.reopen,
        Status.RELEASED: rules.release,
        Status.PICKED: rules.end_picking,
        Status.COLLECTED: rules.collect,
        Status.CANCELLED: rules.cancel,
    }
    by_goods = {Status.ALLOCATED: "goods must be set aside for it", Status.RETURNED: "goods must come back"}
    if number == Status.SENT:
        return send_order(act, order_id)
    if number in steps:
        return _finish(act, row, before, steps[number](before))
    if number in by_goods:
        step = "allocate" if number == Status.ALLOCATED else "return"
        raise impossible(
            f"Order {before.number} cannot be set to {number} {Status(number).text}: {by_goods[Status(number)]}.",
            f"POST /api/v1/warehouse/orders/{order_id}/{step}",
        )
    known = ", ".join(f"{status:d} {status.text}" for status in Status)
    message = f"There is no order status {number}. Statuses: {known}."
    raise InvalidInput([Problem("orderStatusNumber", "order_status", message)])


def change_columns(act: Act, order_id: int, values: Mapping[str, Any]) -> None:
    """Some columns or details of an order that the warehouse has not started on."""
    row, before = _open(act, order_id)
    rules.need_changeable(before)
    if values.get("number", row["number"]) != row["number"]:
        _need_free_number(act, int(row["goods_owner_id"]), values["number"])
    details = json.loads(row["details"])
    columns = {name: row[name] for name in ORDER_COLUMNS}
    for name, value in values.items():
        if name in columns:
            columns[name] = value
        else:
            details[name] = value
    orders.change_order(act.tx, order_id, {**columns, "details": json.dumps(details)}, now=act.now)


def _need_free_number(act: Act, owner: int, number: str) -> None:
    act.need_free(places.ORDER_ID, lambda: orders.lock_order_by_number(act.tx, owner, number), "order", number)


# --- One step ---------------------------------------------------------------------------------------------


def _open(act: Act, order_id: int) -> tuple[Row, Order]:
    """The order, which nobody else changes before the commit."""
    row = act.own(orders.lock_order(act.tx, order_id), "order", order_id)
    return row, _order(act.tx, row)


def _row(tx: Transaction, order_id: int) -> Row:
    row = orders.order(tx, order_id)
    assert row is not None
    return row


def _order(tx: Transaction, row: Row) -> Order:
    lines = orders.lines_of(tx, [int(row["id"])])
    return Order(
        row["number"],
        Status(row["status"]),
        tuple(Line(**{name: line[name] for name in LINE_COLUMNS}) for line in lines),
    )


def _finish(act: Act, row: Row, before: Order, after: Order, *, parcel_id: int | None = None) -> Document:
    """Store what is different, and publish what that means."""
    order_id = int(row["id"])
    changed = [new for old, new in zip(before.lines, after.lines, strict=True) if old != new]
    if changed:
        carried_out.carry_out(act, row, before, after, parcel_id=parcel_id)
        orders.set_quantities(act.tx, changed)
        articles.change_stock(act.tx, rules.stock_changes(before, after), now=act.now)
    if before.status != after.status:
        orders.set_status(act.tx, order_id, after.status, now=act.now)
        if after.status == Status.PICKED:
            work.pick_order_picked(act.tx, order_id, now=act.now)
        elif after.status < Status.ALLOCATED or after.status == Status.CANCELLED:
            work.leave_pick_order(act.tx, order_id)
    row = _row(act.tx, order_id)
    _announce(act, row, before, after)
    return order_views.documents_of(act.tx, [row])[0]


def _announce(act: Act, row: Row, before: Order | None, after: Order) -> None:
    types = rules.happened(before, after)
    if not types:
        return
    one = [int(row["id"])]
    data = order_payload(
        row,
        after.status,
        act.doers(),
        classes=places.classes_of(act.tx, int(row["goods_owner_id"])),
        parcels=pallet_store.parcels_of(act.tx, one),
        trackings=orders.trackings_of(act.tx, one),
    )
    facts = {
        "transporter": row["transporter"],
        "orderType": row["order_type"],
        "warehouse": places.warehouse(act.tx, int(row["warehouse_id"]))["code"],
    }
    for event_type in types:
        attributes: dict[str, Any] = dict(facts)
        if before is not None and event_type in WITH_STATUS:
            attributes |= {"statusFrom": int(before.status), "statusTo": int(after.status)}
        act.tell(event_type, int(row["goods_owner_id"]), data, **attributes)
