"""What can be done with pallet items: pallets, and the parcels of orders."""

import json
from typing import Any

from dockbell.domain.permissions import Actor
from dockbell.errors import Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document, chosen, need_goods_owner, no_such, raise_all, taken, visible
from dockbell.warehouse.actions import where
from dockbell.warehouse.documents.times import plain_time
from dockbell.warehouse.inputs.floor import NewPalletItem
from dockbell.warehouse.inputs.orders import NewParcel, ParcelChange, ParcelDetails
from dockbell.warehouse.rules.floor import need_open_pallet
from dockbell.warehouse.rules.order import Status
from dockbell.warehouse.rules.statuses import impossible
from dockbell.warehouse.store import orders, pallets, places, purchase_orders

MEASURES = ("weight", "volume", "length", "width", "height", "loadmeters")
OPEN, CLOSED = (1, "OPEN"), (2, "CLOSED")
PARCEL_TYPE = 3


def create_pallet_item(act: Act, new: NewPalletItem) -> int:
    act.need_goods_owner(new.goods_owner_id)
    problems: list[Problem] = []
    type_id = chosen(
        places.kinds(act.tx, "pallet type"), new.pallet_type_code, "palletTypeCode", "pallet type", problems
    )
    parent = new.parent_pallet_item_id
    if parent is not None and not _is_own(pallets.view(act.tx, parent), new.goods_owner_id):
        problems.append(Problem("parentPalletItemId", "pallet_item", f"There is no pallet item {parent}."))
    purchase_order = None if new.purchase_order_id is None else purchase_orders.view(act.tx, new.purchase_order_id)
    if new.purchase_order_id is not None and not _is_own(purchase_order, new.goods_owner_id):
        text = f"There is no purchase order {new.purchase_order_id}."
        problems.append(Problem("purchaseOrderId", "purchase_order", text))
        purchase_order = None
    location_id = _place_of(act, new, purchase_order, problems)
    raise_all(problems)
    return pallets.insert(
        act.tx,
        goods_owner_id=new.goods_owner_id,
        label=new.label_id,
        serial=new.serial,
        comment=new.comment,
        measures=json.dumps(new.measures.model_dump(exclude_none=True)),
        type_id=type_id,
        location_id=location_id,
        parent_id=parent,
        purchase_order_id=new.purchase_order_id,
        in_at=act.now,
    )


def _place_of(act: Act, new: NewPalletItem, purchase_order: Row | None, problems: list[Problem]) -> int | None:
    """The pallet's purchase order decides about its warehouse, then what was said, then its location."""
    said = where.chosen_warehouse(act.tx, new, problems)
    if problems:
        return None
    warehouse_id = where.FIRST if said is None else said
    if purchase_order is not None:
        warehouse_id = where.need_one_warehouse(act.tx, "received on pallets", [purchase_order], said)
    elif said is None and new.location_id is not None:
        at = places.locations(act.tx, [new.location_id])
        warehouse_id = int(at[new.location_id]["warehouse_id"]) if at else warehouse_id
    found = where.places_in(act.tx, warehouse_id, where.GOODS_IN, [(new.location_id, "locationId")], problems)
    return found[0] if found else None


def _is_own(row: Row | None, goods_owner_id: int) -> bool:
    return row is not None and row["goods_owner_id"] == goods_owner_id


def parcel_for(act: Act, order: Row, number: str | None) -> int:
    """The order's open parcel of that number, or a new one; without a number it gets one of ours."""
    if number is not None:
        found = pallets.lock_open_parcel(act.tx, int(order["id"]), number)
        if found is not None:
            _need_open(found)
            if found["is_return"]:
                raise impossible(
                    f"Parcel {number} is for what comes back: nothing is packed into it.", "Use another one."
                )
            return int(found["id"])
    (parcel_id,) = places.next_ids(act.tx, places.PALLET_ITEM_ID)
    _insert_parcel(act, parcel_id, order, number or f"{order['id']}-{parcel_id}", PARCEL_TYPE)
    return parcel_id


def _insert_parcel(act: Act, parcel_id: int, order: Row, label: str, type_id: int) -> None:
    pallets.insert_as(
        act.tx,
        parcel_id,
        goods_owner_id=order["goods_owner_id"],
        label=label,
        type_id=type_id,
        location_id=where.usual_place(act.tx, int(order["warehouse_id"]), where.PACKING),
        order_id=order["id"],
        tracking_url=places.tracking_url(act.tx, order["transporter"], label),
        in_at=act.now,
    )


def close_pallet_item(act: Act, pallet_item_id: int) -> Document:
    """Nothing more goes into it."""
    row = act.own(pallets.lock_pallet_item(act.tx, pallet_item_id), "pallet item", pallet_item_id)
    _need_open(row)
    return _close(act, pallet_item_id)


def close_parcels_of(act: Act, order_id: int) -> None:
    """Those that go out: what a return parcel is for comes back in it later."""
    for parcel in pallets.parcels_of(act.tx, [order_id]):
        if not parcel["is_closed"] and not parcel["is_return"]:
            _close(act, int(parcel["id"]))


def _close(act: Act, pallet_item_id: int) -> Document:
    pallets.close(act.tx, pallet_item_id)
    row = _view(act.tx, pallet_item_id)
    act.tell(
        "pallet-item.closed",
        int(row["goods_owner_id"]),
        {**_told(row), **act.doers()},
        transporter=row["transporter"],
        warehouse=row["warehouse_code"],
    )
    return _told(row)


def _need_open(row: Row) -> None:
    need_open_pallet(row["label"], is_closed=bool(row["is_closed"]))


def _view(tx: Transaction, pallet_item_id: int) -> Row:
    row = pallets.view(tx, pallet_item_id)
    assert row is not None
    return row


def _told(row: Row) -> Document:
    """The two objects of the event, which the API tells alike."""
    measures: dict[str, Any] = json.loads(row["measures"])
    status_id, status_code = CLOSED if row["is_closed"] else OPEN
    return {
        "palletItem": {
            "palletItemId": row["id"],
            "labelId": row["label"],
            "comment": row["comment"],
            "serial": row["serial"],
            **{name: measures.get(name) for name in MEASURES},
            "location": row["location_id"] and {"locationId": row["location_id"], "locationName": row["location"]},
            "outDate": plain_time(row["out_at"]),
            "inDate": plain_time(row["in_at"]),
            "parentPalletItemId": row["parent_id"],
            "palletType": row["type_id"] and {"palletTypeId": row["type_id"], "palletTypeCode": row["type_code"]},
            "palletItemStatus": {"palletItemStatusId": status_id, "palletItemStatusCode": status_code},
        },
        "palletItemConnections": {
            "order": {"orderId": row["order_id"]},
            "shipment": {"shipmentId": row["shipment"]},
            "purchaseOrder": {"purchaseOrderId": row["purchase_order_id"]},
        },
    }


# --- Parcels: the pallet items of an order -----------------------------------------------------------------


def put_parcel(act: Act, order_id: int, new: NewParcel) -> tuple[int, bool]:
    """The order's parcel of that number, made or changed: its id, and whether it is new. Return labels may come late."""
    order = act.own(orders.lock_order(act.tx, order_id), "order", order_id)
    _need_parcels(order, new.transport_administration_type)
    type_id = _parcel_type(act.tx, new.advanced)
    found = pallets.lock_open_parcel(act.tx, order_id, new.parcel_number)
    if found is not None:
        _change_parcel(act, found, new, type_id)
        return int(found["id"]), False
    (parcel_id,) = places.next_ids(act.tx, places.PALLET_ITEM_ID)
    _insert_parcel(act, parcel_id, order, new.parcel_number, type_id or PARCEL_TYPE)
    _change_parcel(act, _view(act.tx, parcel_id), new, None)
    return parcel_id, True


def change_parcel(act: Act, order_id: int, parcel_id: int, change: ParcelChange) -> None:
    order = act.own(orders.lock_order(act.tx, order_id), "order", order_id)
    row = _parcel(act, order_id, parcel_id)
    kind = change.transport_administration_type or ("Return" if row["is_return"] else "Outbound")
    _need_parcels(order, kind)
    number = change.parcel_number
    if number not in (None, row["label"]) and pallets.lock_open_parcel(act.tx, order_id, number or "") is not None:
        raise taken("parcel", number or "")
    _change_parcel(act, row, change, _parcel_type(act.tx, change.advanced))


def delete_parcel(act: Act, order_id: int, parcel_id: int) -> None:
    """Possible while nothing was packed into it."""
    act.own(orders.lock_order(act.tx, order_id), "order", order_id)
    row = _parcel(act, order_id, parcel_id)
    if uses := pallets.uses(act.tx, parcel_id):
        text = f"Parcel {row['label']} cannot be deleted: {uses} article items or movements are its own."
        raise impossible(text, "It stays.")
    _need_open(row)
    pallets.delete(act.tx, parcel_id)


def _need_parcels(order: Row, kind: str) -> None:
    if order["status"] == Status.CANCELLED or (kind == "Outbound" and order["status"] >= Status.SENT):
        status = Status(order["status"])
        raise impossible(
            f"Order {order['number']} gets no {kind.lower()} parcels: its status is {status:d} {status.text}.",
            "Outbound parcels are written before the order is sent; return parcels until it is cancelled.",
        )


def _parcel(act: Act, order_id: int, parcel_id: int) -> Row:
    row = act.own(pallets.lock_pallet_item(act.tx, parcel_id), "parcel", parcel_id)
    if row["order_id"] != order_id:
        no_such("parcel", parcel_id)
    return row


def _parcel_type(tx: Transaction, details: ParcelDetails | None) -> int | None:
    wanted = None if details is None else details.parcel_type
    if wanted is None:
        return None
    problems: list[Problem] = []
    types = places.kinds(tx, "pallet type")
    type_id = chosen(types, wanted.code, "advanced.parcelType.code", "parcel type", problems)
    if wanted.id is not None and wanted.id not in {row["id"] for row in types.values()}:
        problems.append(Problem("advanced.parcelType.id", "parcel_type", f"There is no parcel type {wanted.id}."))
    raise_all(problems)
    return type_id or wanted.id


def _change_parcel(act: Act, row: Row, change: ParcelChange, type_id: int | None) -> None:
    measures = json.loads(row["measures"])
    if change.advanced is not None:
        measures |= change.advanced.model_dump(exclude={"parcel_type"}, exclude_none=True)
    kind = change.transport_administration_type
    pallets.change(
        act.tx,
        int(row["id"]),
        label=change.parcel_number or row["label"],
        type_id=type_id or row["type_id"],
        is_return=int(row["is_return"] if kind is None else kind == "Return"),
        measures=json.dumps(measures),
    )


def set_parcel_tracking(act: Act, order_id: int, parcel_id: int, url: str | None) -> None:
    _parcel(act, order_id, parcel_id)
    pallets.set_tracking(act.tx, parcel_id, url)


# --- Looking ---------------------------------------------------------------------------------------------


def get_pallet_item(tx: Transaction, actor: Actor, pallet_item_id: int) -> Document:
    actor.need("read")
    row = visible(pallets.view(tx, pallet_item_id), actor, "pallet item", pallet_item_id)
    return {"goodsOwnerId": row["goods_owner_id"], "warehouseCode": row["warehouse_code"], **_told(row)}


def list_pallet_items(
    tx: Transaction, actor: Actor, goods_owner_id: int, *, label: str | None = None, id_from: int, limit: int
) -> list[Document]:
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    rows = pallets.page(tx, goods_owner_id, label=label, id_from=id_from, limit=limit)
    return [{"goodsOwnerId": goods_owner_id, **_told(_view(tx, int(row["id"])))} for row in rows]
