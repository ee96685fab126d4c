"""Articles, article items and places, in the shapes that the event families and the API have for them.

An item's row is one of `store.items.views`. Payloads write quantities as decimals and times without a zone.
"""

import json
from collections.abc import Sequence
from typing import Any

from dockbell.store.database import Row
from dockbell.warehouse.documents.times import utc
from dockbell.warehouse.inputs.articles import ARTICLE_DETAILS

Part = dict[str, Any]


def bar_code(details: str) -> str | None:
    codes: dict[str, str | None] | None = json.loads(details).get("barCodeInfo")
    return None if codes is None else codes.get("barCode")


def date_and_time(date: str | None) -> str | None:
    """A date as it was entered, as the date-time that payloads have."""
    return date if date is None or "T" in date else f"{date}T00:00:00"


# --- Parts of payloads -----------------------------------------------------------------------------------


def thin_article(item: Row) -> Part:
    return {"articleSystemId": item["article_id"], "articleNumber": item["article_number"]}


def article(item: Row) -> Part:
    return {**thin_article(item), "barCode": bar_code(item["article_details"])}


def item_ids(item: Row) -> Part:
    return {"articleItemId": item["id"], "originalArticleItemId": item["original_id"]}


def item_core(item: Row, number_of_items: int | None = None) -> Part:
    """Ids, serial, batch, expiry and quantity; the quantity is the item's own unless said."""
    return {
        **item_ids(item),
        "serial": item["serial"],
        "batch": item["batch"],
        "expiryDate": date_and_time(item["expiry_date"]),
        "numberOfItems": float(item["number_of_items"] if number_of_items is None else number_of_items),
    }


def short_status(item: Row) -> Part:
    return {
        "articleItemStatusId": item["status_id"],
        "articleItemStatusCode": item["status_code"],
        "isStatusLocked": bool(item["status_locked"]),
        "isStatusLockedForSale": bool(item["status_locked_for_sale"]),
    }


def item_status(item: Row) -> Part:
    short = short_status(item)
    return {
        "articleItemStatusId": short.pop("articleItemStatusId"),
        "articleItemStatusCode": short.pop("articleItemStatusCode"),
        "articleItemStatusName": item["status_name"],
        **short,
    }


def place(item: Row) -> Part | None:
    """Name and id, as the picking family has it."""
    return item["location_id"] and {"location": item["location"], "locationId": item["location_id"]}


def warehouse_of(item: Row) -> Part | None:
    return item["warehouse_id"] and {
        "warehouseId": item["warehouse_id"],
        "warehouseCode": item["warehouse_code"],
        "warehouseName": item["warehouse_name"],
    }


def end_of_way(location: Row, way: str) -> Part:
    """Where goods came `from` or went `to`; the row is a location's."""
    return {
        f"{way}LocationId": location["id"],
        f"{way}Location": location["name"],
        "isLocationLocked": bool(location["is_locked"]),
        "isLocationLockedForSale": bool(location["is_locked_for_sale"]),
        "aisle": {"aisleName": location["aisle"], "zone": {"zoneName": location["zone"]}},
    }


def typed_place(location_id: int | None, name: str | None, type_id: int | None) -> Part | None:
    """A place with the kind of place it is, as movements have it."""
    if location_id is None:
        return None
    return {"locationId": location_id, "location": name, "locationType": {"locationTypeId": type_id}}


def came_on(item: Row) -> Part | None:
    """The purchase order an item came on, with its line."""
    return item["purchase_order_id"] and {
        "purchaseOrderId": item["purchase_order_id"],
        "purchaseOrderNumber": item["purchase_order_number"],
        "purchaseOrderLine": {"id": item["purchase_order_line_id"], "rowNumber": item["purchase_order_row"]},
    }


# --- Documents of the API --------------------------------------------------------------------------------


def warehouse(row: Row) -> Part:
    return {"id": row["id"], "code": row["code"], "name": row["name"]}


def article_document(row: Row, sums: Row, classes: Sequence[Row]) -> Part:
    """An article as `GET /articles/{articleSystemId}` tells it."""
    details = json.loads(row["details"])
    items, allocated = row["number_of_items"], row["allocated"]
    return {
        "goodsOwner": {"id": row["goods_owner_id"], "name": row["goods_owner_name"]},
        "articleSystemId": row["id"],
        "articleNumber": row["number"],
        "articleName": row["name"],
        **{name: details.get(name) for name in ARTICLE_DETAILS},
        "classes": [{"id": each["id"], "code": each["code"], "name": each["name"]} for each in classes],
        "isActive": True,
        "articleDataLastUpdated": utc(row["changed_at"]),
        "inventoryInfo": {
            "numberOfItems": items,
            "sellableNumberOfItems": items - allocated - sums["locked_for_sale"],
            "numberOfBookedItems": sums["booked"],
            "numberOfLockedItems": sums["locked"],
            "toReceiveNumberOfItems": sums["to_receive"],
            "allocatedNumberOfItems": allocated,
            "lockedForSaleNumberOfItems": sums["locked_for_sale"],
            "pickedToBeCollectedNumberOfItems": sums["picked"],
            "lastInDate": utc(sums["last_in"]),
        },
    }


def shelf_item(item: Row) -> Part:
    """One of an article's items, as `GET /articleItems` tells it."""
    return {
        "articleItemId": item["id"],
        "originalArticleItemId": item["original_id"],
        "batch": item["batch"],
        "container": item["container"],
        "expiryDate": date_and_time(item["expiry_date"]),
        "isLocked": bool(item["status_locked"] or item["location_locked"]),
        "isLockedForSale": bool(item["status_locked_for_sale"] or item["location_locked_for_sale"]),
        "isAllocated": item["state"] == "allocated",
        "location": item["location"],
        "numberOfItems": item["number_of_items"],
        "serial": item["serial"],
        "status": {"code": item["status_code"], "name": item["status_name"]},
        "comment": item["comment"],
        "warehouse": item["warehouse_id"]
        and {"id": item["warehouse_id"], "code": item["warehouse_code"], "name": item["warehouse_name"]},
        "inDate": utc(item["in_at"]),
    }


def picked_item(item: Row, order_line_id: int) -> Part:
    """An item picked for this order line, whether or not it came back; since then it may have been sold again."""
    is_returned = item["returned_line_id"] == order_line_id
    return {
        "articleItemId": item["id"],
        "originalArticleItemId": item["original_id"],
        "numberOfItems": item["number_of_items"],
        "inDate": utc(item["in_at"]),
        "serial": item["serial"],
        "batchNumber": item["batch"],
        "container": item["container"],
        "isPicked": item["picked_at"] is not None,
        "isReturned": is_returned,
        "expiryDate": date_and_time(item["expiry_date"]),
        "returnDate": utc(item["returned_at"]) if is_returned else None,
        "pickedTime": utc(item["picked_at"]),
        "packedTime": utc(item["packed_at"]),
        "returnCause": return_cause(item) if is_returned else None,
        "location": item["location"],
        "locationTypeCode": item["location_type_code"],
        "zoneName": item["zone"],
        "articleItemStatus": {"code": item["status_code"], "name": item["status_name"]},
        "parcel": item["pallet_item_id"] and {"id": item["pallet_item_id"], "parcelNumber": item["pallet_label"]},
    }


def return_cause(item: Row) -> Part | None:
    return item["return_cause_id"] and {
        "id": item["return_cause_id"],
        "code": item["return_cause_code"],
        "name": item["return_cause_name"],
    }


def received_item(item: Row) -> Part:
    """An item that a purchase order brought, as it came in."""
    return {
        "originalArticleItemId": item["original_id"],
        "numberOfItems": item["received"],
        "inDate": utc(item["in_at"]),
        "serial": item["serial"],
        "batchNumber": item["batch"],
        "expiryDate": date_and_time(item["expiry_date"]),
        "location": item["location"],
        "articleItemStatus": {"code": item["status_code"], "name": item["status_name"]},
    }
