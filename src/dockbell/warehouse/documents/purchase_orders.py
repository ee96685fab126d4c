"""Purchase orders as the API and events tell them."""

import json
from collections.abc import Sequence
from typing import Any

from dockbell.store.database import Row
from dockbell.warehouse.documents import stock
from dockbell.warehouse.documents.orders import ordered_article
from dockbell.warehouse.documents.times import utc
from dockbell.warehouse.inputs.goods_in import PURCHASE_ORDER_DETAILS
from dockbell.warehouse.rules.statuses import PURCHASE_ORDER


def order_payload(row: Row, classes: Sequence[Row]) -> dict[str, Any]:
    """The data of the family's events: thin, the rest is fetched from `path`."""
    return {
        "purchaseOrderId": row["id"],
        "purchaseOrderNumber": row["number"],
        "path": f"/api/v1/purchaseOrders/{row['id']}",
        "purchaseOrderStatus": {"number": row["status"]},
        "purchaseOrderType": type_of(row),
        "purchaseOrderClasses": [{"id": each["id"], "code": each["code"], "name": each["name"]} for each in classes],
        "goodsOwnerPurchaseOrderId": row["goods_owner_purchase_order_id"],
    }


def type_of(row: Row) -> dict[str, Any] | None:
    return row["type_id"] and {"purchaseOrderTypeId": row["type_id"], "purchaseOrderTypeCode": row["type_code"]}


def line_payload(row: Row, line: Row) -> dict[str, Any]:
    return {
        "purchaseOrderInfo": {
            "purchaseOrderId": row["id"],
            "purchaseOrderNumber": row["number"],
            "purchaseOrderStatus": {"number": row["status"]},
        },
        "purchaseOrderLineInfo": {"purchaseOrderLineId": line["id"]},
    }


def order_document(
    row: Row, *, owner: str, lines: Sequence[Row], came: Sequence[Row], advised: Sequence[Row], classes: Sequence[Row]
) -> dict[str, Any]:
    """A purchase order as `GET /purchaseOrders/{purchaseOrderId}` tells it; `came` are the items it brought, `advised` those that were announced."""
    details = json.loads(row["details"])
    return {
        "goodsOwner": {"id": row["goods_owner_id"], "name": owner},
        "supplierInfo": row["supplier"] and {"supplierNumber": row["supplier"], "supplierName": row["supplier_name"]},
        "purchaseOrderInfo": {
            "purchaseOrderId": row["id"],
            "purchaseOrderNumber": row["number"],
            "goodsOwnerPurchaseOrderId": row["goods_owner_purchase_order_id"],
            **{name: details.get(name) for name in PURCHASE_ORDER_DETAILS if name != "container"},
            "purchaseOrderStatus": PURCHASE_ORDER.document(row["status"]),
            "purchaseOrderType": row["type_id"] and {"code": row["type_code"], "name": row["type_name"]},
            "inDate": row["in_date"],
            "createdDate": utc(row["created_at"]),
            "lastReceiveTime": utc(row["last_received_at"]),
            "warehouse": {"id": row["warehouse_id"], "code": row["warehouse_code"], "name": row["warehouse_name"]},
            "advanced": {
                "container": details.get("container"),
                "purchaseOrderIsReturnType": bool(row["is_return"]),
            },
        },
        "purchaseOrderLines": [
            {
                "id": line["id"],
                "rowNumber": line["row_number"],
                "article": ordered_article(line),
                "comment": line["comment"],
                "advisedNumberOfItems": line["advised"],
                "receivedNumberOfItems": line["received"],
                "reportedNumberOfItems": line["reported"],
                "articleItems": [
                    stock.received_item(item) for item in came if item["purchase_order_line_id"] == line["id"]
                ],
                "advisedArticleItems": [
                    _advised_item(item) for item in advised if item["purchase_order_line_id"] == line["id"]
                ],
            }
            for line in lines
        ],
        "classes": [{"code": each["code"], "name": each["name"]} for each in classes],
        "shipmentInfo": row["shipment_id"] and {"shipmentId": row["shipment_id"]},
    }


def _advised_item(item: Row) -> dict[str, Any]:
    return {
        "numberOfItems": item["number_of_items"],
        "serial": item["serial"],
        "batch": item["batch"],
        "expiryDate": stock.date_and_time(item["expiry_date"]),
        "comment": item["comment"],
        "container": item["container"],
    }
