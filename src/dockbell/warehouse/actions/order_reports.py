"""What other systems write back to an order: waybill, tracking, transporter, how much they know of.

None of it is an event; the next one tells it.
"""

from collections.abc import Mapping, Sequence

from dockbell.errors import InvalidInput, Problem
from dockbell.store.database import Row
from dockbell.warehouse.act import Act, known_code, no_such, raise_all
from dockbell.warehouse.actions.orders import change_columns
from dockbell.warehouse.inputs.orders import NewTracking
from dockbell.warehouse.rules.order import Status
from dockbell.warehouse.rules.statuses import impossible
from dockbell.warehouse.store import orders, places

COLUMNS = {"orderNumber": "number", "deliveryDate": "delivery_date"}


def change_field(act: Act, order_id: int, field: str, value: str) -> None:
    """One of those that can be changed alone, by its name in the API."""
    if field == "waybill":
        set_waybill(act, order_id, value)
    elif field == "returnWaybill":
        set_return_waybill(act, order_id, value)
    else:
        change_columns(act, order_id, {COLUMNS.get(field, field): value})


def set_transporter(act: Act, order_id: int, code: str, service: str | None) -> None:
    problems: list[Problem] = []
    known_code(places.transporters(act.tx), code, "transporterCode", "transporter", problems)
    raise_all(problems)
    change_columns(act, order_id, {"transporter": code, "transporter_service": service})


def set_waybill(act: Act, order_id: int, waybill: str) -> None:
    """Also after the order was sent: transport systems are late now and then."""
    own_living(act, order_id)
    orders.set_waybill(act.tx, order_id, waybill, now=act.now)


def set_return_waybill(act: Act, order_id: int, waybill: str) -> None:
    own_living(act, order_id)
    orders.set_return_waybill(act.tx, order_id, waybill, now=act.now)


def put_trackings(act: Act, order_id: int, trackings: Sequence[NewTracking]) -> None:
    """These are the order's tracking, whatever it had before."""
    own_living(act, order_id)
    waybills = [each.waybill for each in trackings]
    raise_all(
        [
            Problem(f"tracking[{place}].waybill", "duplicate", f"Waybill {waybill} is there twice; write it once.")
            for place, waybill in enumerate(waybills)
            if waybill in waybills[:place]
        ]
    )
    orders.drop_trackings(act.tx, order_id)
    for each in trackings:
        orders.put_tracking(act.tx, order_id, each.waybill, each.tracking_url, is_return=each.is_return, now=act.now)


def set_reported(act: Act, order_id: int, reported: Mapping[int, int] | None) -> None:
    """The goods owner's system knows of so many picked items, by line; None: of all of them."""
    own_living(act, order_id)
    lines = {int(line["id"]): line for line in orders.lines_of(act.tx, [order_id])}
    if reported is None:
        reported = {line_id: int(line["picked"]) for line_id, line in lines.items()}
    for line_id, count in reported.items():
        if line_id not in lines:
            no_such("order line", line_id)
        if count > lines[line_id]["picked"]:
            text = f"{count} items cannot be reported: {lines[line_id]['picked']} were picked."
            raise InvalidInput([Problem("reportedNumberOfItems", "quantity", text)])
    orders.set_reported(act.tx, reported)


def own_living(act: Act, order_id: int) -> Row:
    """The order, locked, unless it is cancelled."""
    row = act.own(orders.lock_order(act.tx, order_id), "order", order_id)
    if row["status"] == Status.CANCELLED:
        raise impossible(f"Order {row['number']} cannot be changed: it is cancelled.", "Order anew.")
    return row
