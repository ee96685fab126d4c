"""Shipments: orders or purchase orders that travel together."""

from dockbell.domain.permissions import Actor
from dockbell.errors import Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document, goods_owner_document, need_goods_owner, raise_all, visible
from dockbell.warehouse.actions import orders, where
from dockbell.warehouse.documents.times import utc
from dockbell.warehouse.inputs.goods_in import NewShipment
from dockbell.warehouse.rules.order import Status
from dockbell.warehouse.rules.statuses import DEPARTED, SHIPMENT, impossible
from dockbell.warehouse.store import orders as order_store
from dockbell.warehouse.store import places, purchase_orders, shipments

FIRST = 100


def create_shipment(act: Act, new: NewShipment) -> int:
    """With the orders (outbound) or purchase orders (inbound) of one warehouse on it. Making it is no event; its statuses are."""
    act.need_goods_owner(new.goods_owner_id)
    problems: list[Problem] = []
    codes = places.transporters(act.tx)
    if new.transporter_code is not None and new.transporter_code not in codes:
        text = f"There is no transporter {new.transporter_code!r}. There are: {', '.join(codes) or 'none yet'}."
        problems.append(Problem("transporterCode", "transporter", text))
    wrong, ids = ("purchaseOrderIds", new.purchase_order_ids)
    if new.direction == "inbound":
        wrong, ids = "orderIds", new.order_ids
    if ids:
        problems.append(Problem(wrong, "unknown_field", f"An {new.direction} shipment has no {wrong}; leave it out."))
    rows = [order_store.lock_order(act.tx, order_id) for order_id in sorted(set(new.order_ids))]
    rows += [purchase_orders.lock(act.tx, each) for each in sorted(set(new.purchase_order_ids))]
    for number, row in zip([*sorted(set(new.order_ids)), *sorted(set(new.purchase_order_ids))], rows, strict=True):
        field, what = ("orderIds", "order") if new.direction == "outbound" else ("purchaseOrderIds", "purchase order")
        if row is None or row["goods_owner_id"] != new.goods_owner_id:
            problems.append(Problem(field, what.replace(" ", "_"), f"There is no {what} {number}."))
    wanted = where.chosen_warehouse(act.tx, new, problems)
    raise_all(problems)
    warehouse_id = where.need_one_warehouse(act.tx, "shipped", [row for row in rows if row is not None], wanted)
    for row in rows:
        _need_loadable(row, new.direction)
    owner, shipment_number = new.goods_owner_id, new.shipment_order_number
    act.need_free(
        places.SHIPMENT_ID,
        lambda: shipments.shipment_by_number(act.tx, owner, shipment_number),
        "shipment",
        shipment_number,
    )
    (shipment_id,) = places.next_ids(act.tx, places.SHIPMENT_ID)
    shipments.insert_shipment(
        act.tx,
        shipment_id,
        goods_owner_id=new.goods_owner_id,
        direction=new.direction,
        number=new.shipment_order_number,
        transporter=new.transporter_code,
        warehouse_id=warehouse_id,
        country_code=new.country_code,
        status=FIRST,
        now=act.now,
    )
    order_store.put_on_shipment(act.tx, new.order_ids, shipment_id, now=act.now)
    purchase_orders.put_on_shipment(act.tx, new.purchase_order_ids, shipment_id, now=act.now)
    return shipment_id


def _need_loadable(row: Row | None, direction: str) -> None:
    assert row is not None
    if row["shipment_id"] is not None:
        raise impossible(f"{row['number']} is on shipment {row['shipment_id']} already.", "Leave it out.")
    if direction == "outbound" and row["status"] >= Status.SENT:
        raise impossible(f"Order {row['number']} has left already.", "Take orders that were not sent.")


def set_shipment_status(act: Act, shipment_id: int, number: int) -> Document:
    """The number it has already changes nothing. An outbound shipment that departs takes its orders with it: they are sent.

    All of them must be Picked then.
    """
    row = act.own(shipments.lock_shipment(act.tx, shipment_id), "shipment", shipment_id)
    if number == row["status"]:
        return _document(act.tx, row)
    statuses = SHIPMENT[row["direction"]]
    statuses.need_step(f"Shipment {row['number']}", row["status"], number)
    if row["direction"] == "outbound" and number == DEPARTED:
        for order in order_store.orders_on(act.tx, shipment_id):
            if order["status"] < Status.SENT:
                orders.send_order(act, int(order["id"]))
    shipments.set_shipment_status(act.tx, shipment_id, number, now=act.now)
    data = {
        "shipmentId": shipment_id,
        "path": f"/api/v1/shipments/{shipment_id}",
        "byComputer": act.by_computer(),
        "consignee": row["country_code"] and {"countryCode": row["country_code"]},
        "shipmentOrderNumber": row["number"],
    }
    act.tell(
        f"{row['direction']}-shipment.status-changed",
        int(row["goods_owner_id"]),
        data,
        transporter=row["transporter"],
        warehouse=row["warehouse_code"],
        statusFrom=row["status"],
        statusTo=number,
    )
    return get(act.tx, shipment_id)


# --- Looking ---------------------------------------------------------------------------------------------


def _document(tx: Transaction, row: Row) -> Document:
    return {
        "shipmentId": row["id"],
        "shipmentOrderNumber": row["number"],
        "goodsOwner": goods_owner_document(tx, int(row["goods_owner_id"])),
        "direction": row["direction"],
        "shipmentStatus": SHIPMENT[row["direction"]].document(row["status"]),
        "transporterCode": row["transporter"],
        "consignee": row["country_code"] and {"countryCode": row["country_code"]},
        "warehouse": {"id": row["warehouse_id"], "code": row["warehouse_code"], "name": row["warehouse_name"]},
        "createdDate": utc(row["created_at"]),
        "orderIds": [order["id"] for order in order_store.orders_on(tx, int(row["id"]))],
        "purchaseOrderIds": shipments.purchase_orders_on(tx, int(row["id"])),
    }


def get(tx: Transaction, shipment_id: int) -> Document:
    row = shipments.shipment(tx, shipment_id)
    assert row is not None
    return _document(tx, row)


def get_shipment(tx: Transaction, actor: Actor, shipment_id: int) -> Document:
    actor.need("read")
    return _document(tx, visible(shipments.shipment(tx, shipment_id), actor, "shipment", shipment_id))


def list_shipments(
    tx: Transaction, actor: Actor, goods_owner_id: int, *, id_from: int = 0, limit: int = 1_000
) -> list[Document]:
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    return [get(tx, each) for each in shipments.shipment_page(tx, goods_owner_id, id_from=id_from, limit=limit)]
