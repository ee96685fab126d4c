"""Each event type about purchase orders, goods in and moves happens by doing it, and its body is the documented one."""

from typing import Any

import pytest

from dockbell.domain.filters import Facts, Filter
from tests.warehouse.floor import TEA
from tests.warehouse.hall import DOERS, Hall

DETAILS: dict[str, Any] = {
    "purchaseOrderType": {"code": "STD"},
    "purchaseOrderClasses": [{"code": "SEA"}],
    "goodsOwnerPurchaseOrderId": "erp-4711",
    "supplierInfo": {"supplierNumber": "S-20"},
}
FACTS = {"supplier": "S-20", "warehouse": "GBG"}
IN_01 = {"isLocationLocked": False, "isLocationLockedForSale": False}
OK = {
    "articleItemStatusId": 1,
    "articleItemStatusCode": "OK",
    "articleItemStatusName": "Available",
    "isStatusLocked": False,
    "isStatusLockedForSale": False,
}


def a_body(purchase_order_id: int, status: int) -> dict[str, Any]:
    return {
        "purchaseOrderId": purchase_order_id,
        "purchaseOrderNumber": "PO-1",
        "path": f"/api/v1/purchaseOrders/{purchase_order_id}",
        "purchaseOrderStatus": {"number": status},
        "purchaseOrderType": {"purchaseOrderTypeId": 1, "purchaseOrderTypeCode": "STD"},
        "purchaseOrderClasses": [{"id": 5, "code": "SEA", "name": "Sea freight"}],
        "goodsOwnerPurchaseOrderId": "erp-4711",
    }


async def test_purchase_order_created(hall: Hall):
    told = hall.listen()
    purchase_order_id = await hall.purchase_order(**DETAILS)
    assert told.types() == ["purchase-order.created", "purchase-order-line.created"]
    assert told.one("purchase-order.created") == a_body(purchase_order_id, 100)
    assert told.attributes("purchase-order.created") == FACTS


async def test_purchase_order_status_changed(hall: Hall):
    purchase_order_id = await hall.purchase_order(**DETAILS)
    told = hall.listen()
    await hall.patch(f"/api/v1/purchaseOrders/{purchase_order_id}/purchaseOrderStatus", status(200))
    assert told.types() == ["purchase-order.status-changed"]
    assert told.one("purchase-order.status-changed") == a_body(purchase_order_id, 200)
    assert told.attributes("purchase-order.status-changed") == {**FACTS, "statusFrom": 100, "statusTo": 200}


def status(number: int) -> dict[str, int]:
    return {"purchaseOrderStatusNumber": number}


async def test_purchase_order_received(hall: Hall):
    purchase_order_id = await hall.purchase_order(**DETAILS)
    await hall.receive(purchase_order_id, "1", 10)
    told = hall.listen()
    await hall.do(f"purchaseOrders/{purchase_order_id}/finish")
    assert told.types() == ["purchase-order.status-changed", "purchase-order.received"]
    assert told.one("purchase-order.received") == a_body(purchase_order_id, 500)
    assert told.attributes("purchase-order.received") == {**FACTS, "statusFrom": 300, "statusTo": 500}


async def test_from_400_on_it_counts_as_received_once_and_only_with_an_item(hall: Hall):
    path = "/api/v1/purchaseOrders/{}/purchaseOrderStatus"
    empty = await hall.purchase_order(purchaseOrderNumber="empty")
    partly = await hall.purchase_order(purchaseOrderNumber="partly")
    await hall.receive(partly, "1", 1)
    told = hall.listen()
    await hall.patch(path.format(empty), status(400))
    await hall.patch(path.format(empty), status(500))
    assert told.types() == ["purchase-order.status-changed"] * 2
    told = hall.listen()
    await hall.do(f"purchaseOrders/{partly}/finish")
    assert told.attributes("purchase-order.received")["statusTo"] == 400
    await hall.patch(path.format(partly), status(500))
    assert told.types().count("purchase-order.received") == 1


def a_line_body(purchase_order_id: int, line_id: int) -> dict[str, Any]:
    return {
        "purchaseOrderInfo": {
            "purchaseOrderId": purchase_order_id,
            "purchaseOrderNumber": "PO-1",
            "purchaseOrderStatus": {"number": 100},
        },
        "purchaseOrderLineInfo": {"purchaseOrderLineId": line_id},
    }


async def line_ids(hall: Hall, purchase_order_id: int) -> list[int]:
    order = await hall.get(f"/api/v1/purchaseOrders/{purchase_order_id}")
    return [line["id"] for line in order["purchaseOrderLines"]]


async def test_purchase_order_line_created(hall: Hall):
    purchase_order_id = await hall.purchase_order()
    told = hall.listen()
    await hall.purchase_order(("TEA-001", 10), ("TEA-002", 4))
    _, second = await line_ids(hall, purchase_order_id)
    assert told.types() == ["purchase-order-line.created"]
    assert told.one("purchase-order-line.created") == a_line_body(purchase_order_id, second)
    facts = {"articleNumber": "TEA-002", "warehouse": "GBG"}
    assert told.attributes("purchase-order-line.created") == {**facts, "createdWithPurchaseOrder": False}


async def test_lines_that_come_with_their_purchase_order_say_so_and_the_setting_decides(hall: Hall):
    told = hall.listen()
    await hall.purchase_order(("TEA-001", 10), ("TEA-002", 4))
    lines = [event for event in told.all() if event["event_type"] == "purchase-order-line.created"]
    assert [event["attributes"]["createdWithPurchaseOrder"] for event in lines] == [True, True]
    facts = Facts(lines[0]["data"], lines[0]["attributes"])
    assert Filter().objection(facts) is not None
    assert Filter(with_purchase_order=True).objection(facts) is None


async def test_purchase_order_line_changed(hall: Hall):
    purchase_order_id = await hall.purchase_order(("TEA-001", 10), ("TEA-002", 4))
    _, second = await line_ids(hall, purchase_order_id)
    told = hall.listen()
    await hall.purchase_order(("TEA-001", 10), ("TEA-002", 6))
    assert told.types() == ["purchase-order-line.changed"]
    assert told.one("purchase-order-line.changed") == a_line_body(purchase_order_id, second)
    assert told.attributes("purchase-order-line.changed") == {"articleNumber": "TEA-002", "warehouse": "GBG"}


async def test_purchase_order_line_deleted(hall: Hall):
    purchase_order_id = await hall.purchase_order(("TEA-001", 10), ("TEA-002", 4))
    _, second = await line_ids(hall, purchase_order_id)
    told = hall.listen()
    await hall.purchase_order(("TEA-001", 10))
    assert told.types() == ["purchase-order-line.deleted"]
    assert told.one("purchase-order-line.deleted") == a_line_body(purchase_order_id, second)
    assert await line_ids(hall, purchase_order_id) != [second]


def an_inbound_body(item: dict[str, Any], article_id: int, **more: Any) -> dict[str, Any]:
    return {
        "isReceive": True,
        "isMove": False,
        "article": {"articleSystemId": article_id, "articleNumber": "TEA-001", "barCode": "730011400000"},
        "movement": {
            "from": None,
            "to": {
                "toLocationId": 100,
                "toLocation": "IN-01",
                **IN_01,
                "aisle": {"aisleName": "IN", "zone": {"zoneName": "Goods in"}},
            },
        },
        "articleItem": {
            "articleItemId": item["articleItemId"],
            "originalArticleItemId": item["articleItemId"],
            "serial": "",
            "batch": "B-9",
            "expiryDate": "2028-01-31T00:00:00",
            "numberOfItems": 10.0,
            "articleItemStatus": OK,
            "inDate": item["inDate"][:19],
        },
        **DOERS,
        "purchaseOrder": None,
        **more,
    }


async def test_inbound_performed(hall: Hall):
    purchase_order_id = await hall.purchase_order(**DETAILS)
    [line_id] = await line_ids(hall, purchase_order_id)
    told = hall.listen()
    await hall.receive(purchase_order_id, "1", 10, batch="B-9", expiryDate="2028-01-31")
    assert told.types() == ["purchase-order.status-changed", "inbound.performed"]
    on = {
        "purchaseOrderId": purchase_order_id,
        "purchaseOrderNumber": "PO-1",
        "purchaseOrderLine": {"id": line_id, "rowNumber": "1", "reportedNumberOfItems": None},
        "purchaseOrderType": {"purchaseOrderTypeId": 1, "purchaseOrderTypeCode": "STD"},
    }
    item, article_id = await hall.item("TEA-001"), await hall.article_id("TEA-001")
    assert told.one("inbound.performed") == an_inbound_body(item, article_id, purchaseOrder=on)
    facts = {"warehouse": "GBG", "locationTypeFrom": None, "locationTypeTo": 3}
    assert told.attributes("inbound.performed") == facts


async def test_returns_on_a_purchase_order_of_return_type_come_as_inbound(hall: Hall):
    fields = {"purchaseOrderType": {"code": "RET"}, "purchaseOrderIsReturnType": True}
    purchase_order_id = await hall.purchase_order(**fields)
    order = await hall.get(f"/api/v1/purchaseOrders/{purchase_order_id}")
    assert order["purchaseOrderInfo"]["advanced"]["purchaseOrderIsReturnType"] is True
    told = hall.listen()
    await hall.receive(purchase_order_id, "1", 2, articleItemStatusCode="DMG")
    assert told.types() == ["purchase-order.status-changed", "inbound.performed"]
    body = told.one("inbound.performed")
    assert body["purchaseOrder"]["purchaseOrderType"] == {"purchaseOrderTypeId": 2, "purchaseOrderTypeCode": "RET"}
    assert body["articleItem"]["articleItemStatus"]["isStatusLockedForSale"] is True


async def test_move_performed(hall: Hall):
    purchase_order_id = await hall.purchase_order(**DETAILS)
    [line_id] = await line_ids(hall, purchase_order_id)
    await hall.receive(purchase_order_id, "1", 10, batch="B-9", expiryDate="2028-01-31")
    await hall.patch(
        f"/api/v1/purchaseOrders/{purchase_order_id}/lines/{line_id}/reportedNumberOfItems",
        {"reportedNumberOfItems": 10},
    )
    item, article_id = await hall.item("TEA-001"), await hall.article_id("TEA-001")
    told = hall.listen()
    await hall.do(f"articleItems/{item['articleItemId']}/move", toLocationId=311)
    assert told.types() == ["move.performed"]
    movement = {
        "from": {
            "fromLocationId": 100,
            "fromLocation": "IN-01",
            **IN_01,
            "aisle": {"aisleName": "IN", "zone": {"zoneName": "Goods in"}},
        },
        "to": {
            "toLocationId": 311,
            "toLocation": "A15",
            **IN_01,
            "aisle": {"aisleName": "A", "zone": {"zoneName": "Picking"}},
        },
    }
    on = {
        "purchaseOrderId": purchase_order_id,
        "purchaseOrderNumber": "PO-1",
        "purchaseOrderLine": {"id": line_id, "rowNumber": "1", "reportedNumberOfItems": 10.0},
        "purchaseOrderType": {"purchaseOrderTypeId": 1, "purchaseOrderTypeCode": "STD"},
    }
    more = {"isReceive": False, "isMove": True, "movement": movement, "purchaseOrder": on}
    assert told.one("move.performed") == an_inbound_body(item, article_id, **more)
    assert told.attributes("move.performed") == {"warehouse": "GBG", "locationTypeFrom": 3, "locationTypeTo": 1}
    assert (await hall.item("TEA-001"))["location"] == "A15"


async def test_a_part_that_is_moved_becomes_an_item_of_its_own(hall: Hall):
    [whole] = await hall.items("TEA-001")
    told = hall.listen()
    await hall.do(f"articleItems/{whole['articleItemId']}/move", toLocationId=311, numberOfItems=20)
    body = told.one("move.performed")
    assert body["articleItem"]["numberOfItems"] == 20.0
    assert body["articleItem"]["originalArticleItemId"] == whole["articleItemId"]
    assert [item["numberOfItems"] for item in await hall.items("TEA-001")] == [480, 20]


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
async def test_shipment_status_changed(hall: Hall, direction: str):
    """Both types: the inbound one carries a purchase order, the outbound one an order."""
    if direction == "inbound":
        load: dict[str, Any] = {"purchaseOrderIds": [await hall.purchase_order()]}
    else:
        load = {"orderIds": [await hall.order("allocate", "pick")]}
    made = await hall.do(
        "shipments",
        goodsOwnerId=TEA,
        direction=direction,
        shipmentOrderNumber="SHP-1",
        transporterCode="Bring",
        countryCode="SE",
        **load,
    )
    shipment_id = made["shipmentId"]
    told = hall.listen()
    await hall.do(f"shipments/{shipment_id}/status", shipmentStatusNumber=200)
    key = f"{direction}-shipment.status-changed"
    assert told.types() == [key]
    assert told.one(key) == {
        "shipmentId": shipment_id,
        "path": f"/api/v1/shipments/{shipment_id}",
        "byComputer": DOERS["byComputer"],
        "consignee": {"countryCode": "SE"},
        "shipmentOrderNumber": "SHP-1",
    }
    facts = {"transporter": "Bring", "warehouse": "GBG", "statusFrom": 100, "statusTo": 200}
    assert told.attributes(key) == facts


async def test_a_shipment_that_departs_sends_its_orders_and_each_is_told_once(hall: Hall):
    order_id = await hall.order("allocate", "pick")
    fields = {"goodsOwnerId": TEA, "direction": "outbound", "shipmentOrderNumber": "SHP-1", "orderIds": [order_id]}
    shipment_id = (await hall.do("shipments", **fields))["shipmentId"]
    for number in (200, 300):
        await hall.do(f"shipments/{shipment_id}/status", shipmentStatusNumber=number)
    told = hall.listen()
    await hall.do(f"shipments/{shipment_id}/status", shipmentStatusNumber=400)
    assert told.types() == ["order.status-changed", "outbound-shipment.status-changed"]
    body = told.one("order.status-changed")
    assert (body["orderStatus"]["number"], body["currentShipmentId"]) == (450, shipment_id)
    [found] = await hall.get(f"/api/v1/orders?goodsOwnerId={TEA}&shipmentId={shipment_id}")
    assert found["orderInfo"]["orderId"] == order_id


def a_production_order(**fields: Any) -> dict[str, Any]:
    return {
        "goodsOwnerId": TEA,
        "productionOrderNumber": "MO-801",
        "articleNumber": "TEA-103",
        "numberOfItems": 4,
        "parts": [{"articleNumber": "TEA-001", "numberOfItems": 2}, {"articleNumber": "TEA-102", "numberOfItems": 1}],
        "productionOrderType": {"code": "KIT"},
        **fields,
    }


def a_production_body(production_order_id: int, number: int) -> dict[str, Any]:
    return {
        "productionOrderId": production_order_id,
        "productionOrderNumber": "MO-801",
        "path": f"/api/v1/productionOrders/{production_order_id}",
        "productionOrderStatus": {"number": number},
        "productionOrderType": {"productionOrderTypeId": 1, "productionOrderTypeCode": "KIT"},
    }


async def test_production_order_created(hall: Hall):
    told = hall.listen()
    made = await hall.do("productionOrders", **a_production_order())
    assert told.types() == ["production-order.created"]
    assert told.one("production-order.created") == a_production_body(made["productionOrderId"], 200)
    assert told.attributes("production-order.created") == {"warehouse": "GBG"}


async def test_production_order_status_changed(hall: Hall):
    production_order_id = (await hall.do("productionOrders", **a_production_order()))["productionOrderId"]
    told = hall.listen()
    await hall.do(f"productionOrders/{production_order_id}/status", productionOrderStatusNumber=300)
    assert told.types() == ["production-order.status-changed"]
    assert told.one("production-order.status-changed") == a_production_body(production_order_id, 300)
    facts = {"warehouse": "GBG", "statusFrom": 200, "statusTo": 300}
    assert told.attributes("production-order.status-changed") == facts


async def test_what_production_uses_and_makes_is_told_as_inventory(hall: Hall):
    production_order_id = (await hall.do("productionOrders", **a_production_order()))["productionOrderId"]
    path = f"productionOrders/{production_order_id}/status"
    await hall.do(path, productionOrderStatusNumber=300)
    told = hall.listen()
    await hall.do(path, productionOrderStatusNumber=400)
    assert told.types() == [*["inventory.performed"] * 3, "production-order.status-changed"]
    moved = [
        (body["article"]["articleNumber"], body["transaction"]["transactionNumberOfItems"])
        for body in told.each("inventory.performed")
    ]
    assert moved == [("TEA-001", -8.0), ("TEA-102", -4.0), ("TEA-103", 4.0)]
    stock = [hall.floor.stock(number) for number in ("TEA-001", "TEA-102", "TEA-103")]
    assert stock == [(492, 0), (496, 0), (504, 0)]


async def test_file_attached(hall: Hall):
    shipment = await hall.do("shipments", goodsOwnerId=TEA, direction="inbound", shipmentOrderNumber="SHP-1")
    things = {
        "order": ("orders", await hall.order(), "orderId"),
        "purchaseOrder": ("purchaseOrders", await hall.purchase_order(), "purchaseOrderId"),
        "shipment": ("shipments", shipment["shipmentId"], "shipmentId"),
    }
    file = {"fileName": "label.pdf", "mimeType": "application/pdf", "fileDataBase64": "JVBERi0="}
    for name, (resource, number, id_field) in things.items():
        told = hall.listen()
        made = await hall.put(f"/api/v1/{resource}/{number}/files", file)
        assert told.types() == ["file.attached"]
        assert told.one("file.attached") == {
            "fileId": made["fileId"],
            "fileName": "label.pdf",
            "mimeType": "application/pdf",
            "context": {**dict.fromkeys(things), name: {id_field: number}},
        }
        [fetched] = await hall.get(f"/api/v1/{resource}/{number}/files")
        assert fetched == {**file, "fileId": made["fileId"], id_field: number}
        assert (await hall.put(f"/api/v1/{resource}/{number}/files", file))["fileId"] == made["fileId"]
        assert told.types() == ["file.attached"], "the same bytes again are no change"
        await hall.put(f"/api/v1/{resource}/{number}/files", {**file, "fileDataBase64": "JVBERi1B"})
        assert told.types() == ["file.attached"] * 2


async def test_a_file_of_an_article_is_kept_and_not_told(hall: Hall):
    article_id = await hall.article_id("TEA-001")
    told = hall.listen()
    file = {"fileName": "tin.png", "mimeType": "image/png", "fileDataBase64": "iVBORw0="}
    made = await hall.put(f"/api/v1/articles/{article_id}/files", file)
    assert told.types() == []
    path = f"/api/v1/articles/{article_id}/files/{made['fileId']}"
    assert (await hall.get(path))["fileName"] == "tin.png"
