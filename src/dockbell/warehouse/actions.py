"""What can be done with orders. Each function is a part of the caller's transaction: what changes and the events
that tell of it are committed together, or neither is.

Changing needs the scope `publish`, because each change publishes; looking needs `read`. Another goods owner's order
answers like one that does not exist.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NoReturn

from dockbell.actions.publish import Publisher
from dockbell.clock import Moment, to_text
from dockbell.domain.permissions import Actor, no_such_goods_owner
from dockbell.errors import Conflict, InvalidInput, NotFound, Problem
from dockbell.store import people
from dockbell.store.database import Row, Transaction
from dockbell.warehouse import documents, model, store
from dockbell.warehouse.inputs import LARGEST_ID, NOBODY, ORDER_DETAILS, NewOrder, Step
from dockbell.warehouse.model import Line, Order, Quantities, Status

WITH_STATUS = ("order.status-changed", "order.picked")
LINE_COLUMNS = tuple(field.name for field in fields(Line))
MOST_ROWS = 1_000
Document = dict[str, Any]
"""An order as `GET /orders/{orderId}` tells it; each step answers with the order after it."""

# --- Orders: from their creation to their end ------------------------------------------------------------


def create_order(
    tx: Transaction, publisher: Publisher, actor: Actor, new: NewOrder, *, now: Moment, by: Step = NOBODY
) -> tuple[int, bool]:
    """Create the order, or change the one of that number as long as nothing is allocated: its id, and if it is new.

    Raises InvalidInput with every article, transporter and order type that does not exist.
    """
    actor.need("publish")
    need_goods_owner(tx, actor, new.goods_owner_id)
    values, lines = _checked(tx, new)
    found = store.lock_order_by_number(tx, new.goods_owner_id, new.order_number)
    if found is None:
        # Whoever takes an id waits for the one before to commit, so a second look sees the same order made meanwhile.
        (order_id,) = store.next_ids(tx, store.ORDER_ID)
        found = store.lock_order_by_number(tx, new.goods_owner_id, new.order_number)
        if found is None:
            store.insert_order(tx, order_id, new.goods_owner_id, values, Status.OPEN, now=now)
            store.put_lines(tx, order_id, lines)
            row = _row(tx, order_id)
            _announce(tx, publisher, actor, row, None, _order(tx, row), by=by, now=now)
            return order_id, True
    order_id = int(found["id"])
    model.need_changeable(_order(tx, found))
    store.change_order(tx, order_id, values, now=now)
    store.put_lines(tx, order_id, lines)
    return order_id, False


def allocate_order(
    tx: Transaction, publisher: Publisher, actor: Actor, order_id: int, *, now: Moment, by: Step = NOBODY
) -> Document:
    """Set stock aside for the whole order, or refuse."""
    row, before = _open(tx, actor, order_id)
    after = model.allocate(before, store.lock_free_stock(tx, order_id))
    return _finish(tx, publisher, actor, row, before, after, by=by, now=now)


def pick_order(
    tx: Transaction,
    publisher: Publisher,
    actor: Actor,
    order_id: int,
    *,
    now: Moment,
    quantities: Quantities | None = None,
    by: Step = NOBODY,
) -> Document:
    """Take these items (by row number; None: all that are left). The last one makes the order Picked."""
    row, before = _open(tx, actor, order_id)
    return _finish(tx, publisher, actor, row, before, model.pick(before, quantities), by=by, now=now)


def pack_order(
    tx: Transaction,
    publisher: Publisher,
    actor: Actor,
    order_id: int,
    *,
    now: Moment,
    quantities: Quantities | None = None,
    parcel_number: str | None = None,
    by: Step = NOBODY,
) -> Document:
    """Put these picked items into one new parcel; without a number it gets one of ours."""
    row, before = _open(tx, actor, order_id)
    after = model.pack(before, quantities)
    (parcel_id,) = store.next_ids(tx, store.PARCEL_ID)
    number = parcel_number or f"{order_id}-{parcel_id}"
    store.insert_parcel(tx, parcel_id, order_id, number, _tracking_url(tx, row, number))
    return _finish(tx, publisher, actor, row, before, after, by=by, now=now)


def send_order(
    tx: Transaction,
    publisher: Publisher,
    actor: Actor,
    order_id: int,
    *,
    now: Moment,
    waybill: str | None = None,
    by: Step = NOBODY,
) -> Document:
    """Hand the goods to the transporter, whose tracking the order then has. Without a waybill it gets one of ours."""
    row, before = _open(tx, actor, order_id)
    after = model.send(before)
    if waybill is None and row["transporter"] is not None:
        waybill = f"{row['transporter']}-{order_id}"
    store.ship(tx, order_id, waybill, _tracking_url(tx, row, waybill), now=now)
    return _finish(tx, publisher, actor, row, before, after, by=by, now=now)


def collect_order(
    tx: Transaction, publisher: Publisher, actor: Actor, order_id: int, *, now: Moment, by: Step = NOBODY
) -> Document:
    """The consignee has the goods."""
    row, before = _open(tx, actor, order_id)
    return _finish(tx, publisher, actor, row, before, model.collect(before), by=by, now=now)


def cancel_order(
    tx: Transaction, publisher: Publisher, actor: Actor, order_id: int, *, now: Moment, by: Step = NOBODY
) -> Document:
    """End an order nothing was picked of; what was set aside is free again."""
    row, before = _open(tx, actor, order_id)
    return _finish(tx, publisher, actor, row, before, model.cancel(before), by=by, now=now)


def set_order_status(
    tx: Transaction, publisher: Publisher, actor: Actor, order_id: int, number: int, *, now: Moment, by: Step = NOBODY
) -> Document:
    """The step that leads to this status number; the number it has already changes nothing.

    400 ends picking with what was picked so far, possibly nothing. 320 is refused: only allocating leads there.
    """
    row, before = _open(tx, actor, order_id)
    if number == before.status:
        return _views(tx, [row])[0]
    match number:
        case Status.OPEN:
            after = model.reopen(before)
        case Status.RELEASED:
            after = model.release(before)
        case Status.PICKED:
            after = model.end_picking(before)
        case Status.SENT:
            return send_order(tx, publisher, actor, order_id, now=now, by=by)
        case Status.COLLECTED:
            after = model.collect(before)
        case Status.CANCELLED:
            after = model.cancel(before)
        case Status.ALLOCATED:
            raise Conflict(
                f"Order {before.number} cannot be set to 320 Allocated: goods must be set aside for it.",
                code="impossible_step",
                hint=f"POST /api/v1/warehouse/orders/{order_id}/allocate",
            )
        case _:
            known = ", ".join(f"{status:d} {status.text}" for status in Status)
            message = f"There is no order status {number}. Statuses: {known}."
            raise InvalidInput([Problem("orderStatusNumber", "order_status", message)])
    return _finish(tx, publisher, actor, row, before, after, by=by, now=now)


def _checked(tx: Transaction, new: NewOrder) -> tuple[dict[str, Any], list[tuple[str, int, str | None, int]]]:
    """The order's columns and lines, if everything they refer to exists."""
    problems = []
    transporters, order_types = store.transporters(tx), store.order_types(tx)
    transporter = None if new.transporter is None else new.transporter.transporter_code
    order_type = None if new.order_type is None else new.order_type.code
    if transporter is not None and transporter not in transporters:
        problems.append(_unknown("transporter.transporterCode", "transporter", transporter, transporters))
    if order_type is not None and order_type not in order_types:
        problems.append(_unknown("orderType.code", "order type", order_type, order_types))
    articles = store.articles_by_number(tx, new.goods_owner_id, (line.article_number for line in new.order_lines))
    rows: set[str] = set()
    for place, line in enumerate(new.order_lines):
        if line.article_number not in articles:
            text = f"Goods owner {new.goods_owner_id} has no article {line.article_number!r}; make it first."
            problems.append(Problem(f"orderLines[{place}].articleNumber", "article", text))
        if line.row_number in rows:
            text = f"There are two rows {line.row_number!r}; give each its own number."
            problems.append(Problem(f"orderLines[{place}].rowNumber", "duplicate", text))
        rows.add(line.row_number)
    if problems:
        raise InvalidInput(problems)
    plain = new.model_dump(by_alias=True, mode="json")
    values = {
        "number": new.order_number,
        "goods_owner_order_id": new.goods_owner_order_id,
        "consignee_order_number": new.consignee_order_number,
        "transporter": transporter,
        "transporter_service": new.transporter and new.transporter.transporter_service_code,
        "order_type": order_type,
        "delivery_date": new.delivery_date,
        "consignee": json.dumps(plain["consignee"]),
        "details": json.dumps({name: plain[name] for name in ORDER_DETAILS}),
    }
    return values, [
        (line.row_number, articles[line.article_number], line.comment, line.number_of_items) for line in new.order_lines
    ]


def _unknown(field: str, what: str, code: str, known: Mapping[str, Row]) -> Problem:
    text = f"There is no {what} {code!r}. There are: {', '.join(known) or 'none yet'}."
    return Problem(field, what.replace(" ", "_"), text)


# --- One step ---------------------------------------------------------------------------------------------


def _open(tx: Transaction, actor: Actor, order_id: int) -> tuple[Row, Order]:
    """The order, which nobody else changes before the commit."""
    actor.need("publish")
    row = store.lock_order(tx, order_id)
    if row is None or not actor.sees(row["goods_owner_id"]):
        no_such("order", order_id)
    return row, _order(tx, row)


def _row(tx: Transaction, order_id: int) -> Row:
    row = store.order(tx, order_id)
    assert row is not None
    return row


def _order(tx: Transaction, row: Row) -> Order:
    lines = store.lines_of(tx, [int(row["id"])])
    return Order(
        row["number"],
        Status(row["status"]),
        tuple(Line(**{name: line[name] for name in LINE_COLUMNS}) for line in lines),
    )


def _finish(
    tx: Transaction, publisher: Publisher, actor: Actor, row: Row, before: Order, after: Order, *, by: Step, now: Moment
) -> Document:
    """Store what is different, and publish what that means."""
    changed = [new for old, new in zip(before.lines, after.lines, strict=True) if old != new]
    if changed:
        store.set_quantities(tx, changed)
        store.change_stock(tx, model.stock_changes(before, after))
    if before.status != after.status:
        store.set_status(tx, int(row["id"]), after.status, now=now)
    _announce(tx, publisher, actor, row, before, after, by=by, now=now)
    return _views(tx, [_row(tx, int(row["id"]))])[0]


def _announce(
    tx: Transaction,
    publisher: Publisher,
    actor: Actor,
    row: Row,
    before: Order | None,
    after: Order,
    *,
    by: Step,
    now: Moment,
) -> None:
    types = model.happened(before, after)
    if not types:
        return
    one = [int(row["id"])]
    data = documents.order_payload(
        row,
        after.status,
        by,
        classes=store.classes_of(tx, int(row["goods_owner_id"])),
        parcels=store.parcels_of(tx, one),
        trackings=store.trackings_of(tx, one),
    )
    facts = {"transporter": row["transporter"], "orderType": row["order_type"]}
    for event_type in types:
        attributes: dict[str, Any] = dict(facts)
        if before is not None and event_type in WITH_STATUS:
            attributes |= {"statusFrom": int(before.status), "statusTo": int(after.status)}
        event = {
            "type": event_type,
            "goodsOwnerId": int(row["goods_owner_id"]),
            "occurredAt": to_text(now),
            "attributes": attributes,
            "data": data,
        }
        publisher.publish(tx, actor, event, now=now)


def _tracking_url(tx: Transaction, row: Row, number: str | None) -> str | None:
    if row["transporter"] is None or number is None:
        return None
    return str(store.transporters(tx)[row["transporter"]]["tracking_url"]).replace("{number}", number)


# --- Looking ----------------------------------------------------------------------------------------------


def get_order(tx: Transaction, actor: Actor, order_id: int) -> Document:
    actor.need("read")
    row = store.order(tx, order_id)
    if row is None or not actor.sees(row["goods_owner_id"]):
        no_such("order", order_id)
    return _views(tx, [row])[0]


def list_orders(
    tx: Transaction,
    actor: Actor,
    goods_owner_id: int,
    *,
    number: str | None = None,
    status_from: int = 0,
    status_to: int = LARGEST_ID,
    status_changed_from: Moment = 0,
    id_from: int = 0,
    limit: int = MOST_ROWS,
) -> list[Document]:
    """Orders by id, from `id_from` on: the next page begins at the last id plus one."""
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    rows = store.order_page(
        tx,
        goods_owner_id,
        number=number,
        status_from=status_from,
        status_to=status_to,
        status_changed_from=status_changed_from,
        id_from=id_from,
        limit=limit,
    )
    return _views(tx, rows)


def _views(tx: Transaction, rows: Sequence[Row]) -> list[Document]:
    ids = [int(row["id"]) for row in rows]
    names = {int(owner["id"]): str(owner["name"]) for owner in people.goods_owners(tx)}
    lines, parcels = _by_order(store.lines_of(tx, ids)), _by_order(store.parcels_of(tx, ids))
    trackings = _by_order(store.trackings_of(tx, ids))
    transporters, order_types = store.transporters(tx), store.order_types(tx)
    return [
        documents.order_document(
            row,
            owner=names[int(row["goods_owner_id"])],
            lines=lines[int(row["id"])],
            parcels=parcels[int(row["id"])],
            trackings=trackings[int(row["id"])],
            transporters=transporters,
            order_types=order_types,
        )
        for row in rows
    ]


def _by_order(rows: Iterable[Row]) -> Mapping[int, list[Row]]:
    groups = defaultdict[int, list[Row]](list)
    for row in rows:
        groups[int(row["order_id"])].append(row)
    return groups


# --- Who may see what --------------------------------------------------------------------------------------


def need_goods_owner(tx: Transaction, actor: Actor, goods_owner_id: int) -> None:
    actor.need_goods_owner(goods_owner_id)
    if people.goods_owner(tx, goods_owner_id) is None:
        raise no_such_goods_owner(goods_owner_id)


def no_such(what: str, number: int) -> NoReturn:
    raise NotFound(f"There is no {what} {number}.", code=what, hint=f"GET /api/v1/{what}s?goodsOwnerId=... lists them.")
