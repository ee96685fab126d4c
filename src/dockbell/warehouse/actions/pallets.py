"""What can be done with pallet items: pallets, and the parcels of orders."""

import json
from typing import Any

from dockbell.domain.permissions import Actor
from dockbell.errors import Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document, chosen, need_goods_owner, raise_all, visible
from dockbell.warehouse.actions import where
from dockbell.warehouse.documents.times import plain_time
from dockbell.warehouse.inputs.floor import NewPalletItem
from dockbell.warehouse.rules.floor import need_open_pallet
from dockbell.warehouse.store import pallets, places, purchase_orders

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
            return int(found["id"])
    (parcel_id,) = places.next_ids(act.tx, places.PALLET_ITEM_ID)
    label = number or f"{order['id']}-{parcel_id}"
    pallets.insert_as(
        act.tx,
        parcel_id,
        goods_owner_id=order["goods_owner_id"],
        label=label,
        type_id=PARCEL_TYPE,
        location_id=where.usual_place(act.tx, int(order["warehouse_id"]), where.PACKING),
        order_id=order["id"],
        tracking_url=places.tracking_url(act.tx, order["transporter"], label),
        in_at=act.now,
    )
    return parcel_id


def close_pallet_item(act: Act, pallet_item_id: int) -> Document:
    """Nothing more goes into it."""
    row = act.own(pallets.lock_pallet_item(act.tx, pallet_item_id), "pallet item", pallet_item_id)
    _need_open(row)
    return _close(act, pallet_item_id)


def close_parcels_of(act: Act, order_id: int) -> None:
    for parcel in pallets.parcels_of(act.tx, [order_id]):
        if not parcel["is_closed"]:
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


def set_parcel_tracking(act: Act, order_id: int, parcel_id: int, url: str | None) -> None:
    row = act.own(pallets.lock_pallet_item(act.tx, parcel_id), "parcel", parcel_id)
    if row["order_id"] != order_id:
        visible(None, act.actor, "parcel", parcel_id)
    pallets.set_tracking(act.tx, parcel_id, url)


# --- Looking ---------------------------------------------------------------------------------------------


def get_pallet_item(tx: Transaction, actor: Actor, pallet_item_id: int) -> Document:
    actor.need("read")
    row = visible(pallets.view(tx, pallet_item_id), actor, "pallet item", pallet_item_id)
    return {"goodsOwnerId": row["goods_owner_id"], "warehouseCode": row["warehouse_code"], **_told(row)}


def list_pallet_items(
    tx: Transaction, actor: Actor, goods_owner_id: int, *, label: str | None, id_from: int, limit: int
) -> list[Document]:
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    rows = pallets.page(tx, goods_owner_id, label=label, id_from=id_from, limit=limit)
    return [{"goodsOwnerId": goods_owner_id, **_told(_view(tx, int(row["id"])))} for row in rows]
