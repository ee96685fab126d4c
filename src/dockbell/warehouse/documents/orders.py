"""Orders as the API and events tell them, made from rows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dockbell.clock import to_text
from dockbell.store.database import Row
from dockbell.warehouse.documents import stock
from dockbell.warehouse.documents.times import utc
from dockbell.warehouse.inputs.orders import ORDER_DETAILS
from dockbell.warehouse.rules.order import Status


def status_document(status: int) -> dict[str, Any]:
    return {"number": int(status), "text": Status(status).text}


def ordered_article(line: Row) -> dict[str, Any]:
    """The article of an order's or purchase order's line."""
    return {
        "articleSystemId": line["article_id"],
        "articleNumber": line["article_number"],
        "articleName": line["article_name"],
        "productCode": json.loads(line["article_details"]).get("productCode"),
    }


def order_document(
    order: Row, *, owner: str, lines: Sequence[Row], parcels: Sequence[Row], trackings: Sequence[Row],
    picked: Sequence[Row], transporters: Mapping[str, Row], order_types: Mapping[str, Row], warehouse: Row,
    ways: Mapping[str, Any], classes: Sequence[dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    """An order as `GET /orders/{orderId}` tells it."""
    details = json.loads(order["details"])
    code = order["transporter"]
    return {
        "goodsOwner": {"id": order["goods_owner_id"], "name": owner},
        "orderInfo": {
            "orderId": order["id"],
            "orderNumber": order["number"],
            "goodsOwnerOrderId": order["goods_owner_order_id"],
            "consigneeOrderNumber": order["consignee_order_number"],
            **{name: details.get(name) for name in ORDER_DETAILS},
            "orderType": dict(order_types[order["order_type"]]) if order["order_type"] else None,
            "deliveryDate": order["delivery_date"],
            "createdDate": to_text(order["created_at"]),
            "wayOfDelivery": ways[order["way_of_delivery"]] if order["way_of_delivery"] else None,
            "marketPlace": order["market_place"]
            and {"marketPlace": order["market_place"], "marketPlaceOrderNumber": order["market_place_number"]},
            "shippedTime": None if order["shipped_at"] is None else to_text(order["shipped_at"]),
            "wayBill": order["waybill"],
            "returnWayBill": order["return_waybill"],
            "orderStatus": status_document(order["status"]),
            "orderedNumberOfItems": sum(line["ordered"] for line in lines),
            "allocatedNumberOfItems": sum(line["allocated"] for line in lines),
            "pickedNumberOfItems": sum(line["picked"] for line in lines),
            "transportDocumentsPrinted": utc(order["printed_at"]),
            "warehouse": stock.warehouse(warehouse),
            "advanced": {"backOrderInfo": order["back_order_for"] and {"backOrderForOrderId": order["back_order_for"]}},
        },
        "consignee": json.loads(order["consignee"]),
        "parcels": [parcel_document(parcel) for parcel in parcels],
        "orderLines": [
            {
                "id": line["id"],
                "rowNumber": line["row_number"],
                "article": ordered_article(line),
                "comment": line["comment"],
                "orderedNumberOfItems": line["ordered"],
                "allocatedNumberOfItems": line["allocated"],
                "pickedNumberOfItems": line["picked"],
                "packedNumberOfItems": line["packed"],
                "returnedNumberOfItems": line["returned"],
                "reportedNumberOfItems": line["reported"],
                "pickedArticleItems": [stock.picked_item(item, line["id"]) for item in picked if _belongs(item, line)],
            }
            for line in lines
        ],
        "transporter": code
        and {
            "transporterName": transporters[code]["name"],
            "name": transporters[code]["name"],
            "code": code,
            "serviceCode": order["transporter_service"],
        },
        "tracking": [_tracking(row) for row in trackings if not row["is_return"]],
        "returnTracking": [_tracking(row) for row in trackings if row["is_return"]],
        "classes": [each for each in classes if each["id"] in json.loads(order["class_ids"])],
        "shipmentInfo": None if order["shipment_id"] is None else {"shipmentId": order["shipment_id"]},
    }


def order_payload(
    order: Row,
    status: int,
    doers: Mapping[str, Any],
    *,
    classes: Sequence[Row],
    parcels: Sequence[Row],
    trackings: Sequence[Row],
) -> dict[str, Any]:
    """The data of the order family's events: thin, the rest is fetched from `path`."""
    return {
        "orderId": order["id"],
        "orderNumber": order["number"],
        "goodsOwnerOrderId": order["goods_owner_order_id"],
        "consigneeOrderNumber": order["consignee_order_number"],
        "path": f"/api/v1/orders/{order['id']}",
        **doers,
        "orderStatus": {"number": int(status)},
        "currentShipmentId": order["shipment_id"],
        "goodsOwnerClasses": [{"id": row["id"], "code": row["code"], "name": row["name"]} for row in classes],
        "tracking": [
            {"trackingUrl": row["tracking_url"], "waybill": row["waybill"], "isReturn": bool(row["is_return"])}
            for row in trackings
        ],
        "parcels": [parcel_document(parcel) for parcel in parcels],
    }


def _belongs(item: Row, line: Row) -> bool:
    return line["id"] in (item["order_line_id"], item["returned_line_id"])


def _tracking(row: Row) -> dict[str, Any]:
    return {"trackingUrl": row["tracking_url"], "waybill": row["waybill"], "created": to_text(row["created_at"])}


def parcel_document(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "parcelNumber": row["label"],
        "isReturnParcel": bool(row["is_return"]),
        "tracking": None if row["tracking_url"] is None else {"trackingUrl": row["tracking_url"]},
    }
