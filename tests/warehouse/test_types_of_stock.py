"""Each event type about articles, stock, movements and pallets happens by doing it, and its body is the documented one."""

from pathlib import Path
from typing import Any

import pytest

from tests.warehouse.floor import CATALOG, TEA
from tests.warehouse.hall import DOERS, Hall

NEW = {
    "goodsOwnerId": TEA,
    "articleNumber": "TEA-900",
    "articleName": "Matcha",
    "articleGroup": {"code": "TEA"},
    "articleCategory": {"code": "GREEN"},
}
FACTS = {"articleGroup": "TEA", "articleCategory": "GREEN"}


def an_article_body(article_id: int) -> dict[str, Any]:
    return {"articleSystemId": article_id, "articleNumber": "TEA-900", "path": f"/api/v1/articles/{article_id}"}


async def test_article_created(hall: Hall):
    told = hall.listen()
    made = await hall.put("/api/v1/articles", NEW)
    assert told.types() == ["article.created"]
    assert told.one("article.created") == an_article_body(made["articleSystemId"])
    assert told.attributes("article.created") == FACTS


async def test_article_updated(hall: Hall):
    made = await hall.put("/api/v1/articles", NEW)
    told = hall.listen()
    await hall.put("/api/v1/articles", NEW)
    assert told.types() == [], "the same data again is no change"
    await hall.put("/api/v1/articles", {**NEW, "barCodeInfo": {"barCode": "735"}})
    assert told.types() == ["article.updated"]
    assert told.one("article.updated") == an_article_body(made["articleSystemId"])
    assert told.attributes("article.updated") == FACTS


async def test_article_deleted(hall: Hall):
    made = await hall.put("/api/v1/articles", NEW)
    path = f"/api/v1/articles/{made['articleSystemId']}"
    told = hall.listen()
    await hall.ask("DELETE", path)
    assert told.types() == ["article.deleted"]
    assert told.one("article.deleted") == an_article_body(made["articleSystemId"])
    assert told.attributes("article.deleted") == FACTS
    assert (await hall.call("GET", path)).status == 404
    assert (await hall.call("DELETE", path)).status == 404
    await hall.put("/api/v1/articles", NEW)
    assert told.types() == ["article.deleted", "article.created"]


async def test_an_article_that_is_in_stock_or_waited_for_is_not_deleted(hall: Hall):
    before = hall.floor.everything()
    refused = await hall.call("DELETE", f"/api/v1/articles/{await hall.article_id('TEA-001')}")
    assert (refused.status, refused.body["code"]) == (409, "impossible_step")
    assert "500 items lie in stock" in refused.body["detail"]
    assert hall.floor.everything() == before
    made = await hall.put("/api/v1/articles", NEW)
    await hall.purchase_order(("TEA-900", 1))
    refused = await hall.call("DELETE", f"/api/v1/articles/{made['articleSystemId']}")
    assert (refused.status, "1 lines of open" in refused.body["detail"]) == (409, True)


def the_place() -> dict[str, Any]:
    return {"warehouseId": 1, "warehouseCode": "GBG", "warehouseName": "Gothenburg"}


async def the_purchase_order(hall: Hall) -> tuple[int, int]:
    """Of the demo's stock: its id, and its first line's."""
    [order] = await hall.get(f"/api/v1/purchaseOrders?goodsOwnerId={TEA}&purchaseOrderNumber=PO-STOCK")
    return order["purchaseOrderInfo"]["purchaseOrderId"], order["purchaseOrderLines"][0]["id"]


async def test_inventory_performed(hall: Hall):
    [item] = await hall.items("TEA-001")
    article_id, (purchase_order_id, line_id) = await hall.article_id("TEA-001"), await the_purchase_order(hall)
    told = hall.listen()
    adjustment = {
        "articleItemId": item["articleItemId"],
        "numberOfItems": -2,
        "inventoryAdjustmentCauseCode": "BROKEN",
        "comment": "Dropped on floor",
    }
    made = await hall.do(
        "inventoryAdjustments", goodsOwnerId=TEA, comment="Daily corrections", adjustments=[adjustment]
    )
    assert told.types() == ["inventory.performed"]
    assert told.one("inventory.performed") == {
        "transaction": {
            "transactionNumberOfItems": -2.0,
            "inventoryAdjustmentCause": {"id": 6, "code": "BROKEN"},
            "returnRemovedByOrder": None,
            "inventoryTransactionComment": "Dropped on floor",
        },
        "inventory": {
            "inventoryId": made["inventoryId"],
            "isCountInventory": False,
            "inventoryComment": "Daily corrections",
        },
        "article": {"articleSystemId": article_id, "articleNumber": "TEA-001", "barCode": "730011400000"},
        "articleItem": {
            "articleItemId": item["articleItemId"],
            "originalArticleItemId": item["articleItemId"],
            "serial": "",
            "batch": "B-2026-01",
            "expiryDate": "2027-11-25T00:00:00",
            "numberOfItems": 498.0,
            "articleItemStatus": {
                "articleItemStatusId": 1,
                "articleItemStatusCode": "OK",
                "articleItemStatusName": "Available",
                "isStatusLocked": False,
                "isStatusLockedForSale": False,
            },
            "articleItemComment": "",
        },
        **DOERS,
        "purchaseOrder": {
            "purchaseOrderId": purchase_order_id,
            "purchaseOrderNumber": "PO-STOCK",
            "purchaseOrderLine": {"id": line_id, "rowNumber": "1"},
        },
        "location": {
            "location": "A-01",
            "locationId": 400,
            "isLocked": False,
            "isLockedForSale": False,
            "warehouse": the_place(),
        },
    }
    assert told.attributes("inventory.performed") == {"locationType": 1}
    assert hall.floor.stock("TEA-001") == (498, 0)


async def test_a_count_tells_the_difference_and_none_if_there_is_none(hall: Hall):
    [item] = await hall.items("TEA-001")
    counted = {"articleItemId": item["articleItemId"], "inventoryAdjustmentCauseCode": "COUNT"}
    count = {"goodsOwnerId": TEA, "isCountInventory": True}
    told = hall.listen()
    await hall.do("inventoryAdjustments", adjustments=[{**counted, "countedNumberOfItems": 500}], **count)
    assert told.types() == []
    await hall.do("inventoryAdjustments", adjustments=[{**counted, "countedNumberOfItems": 503}], **count)
    body = told.one("inventory.performed")
    assert (body["transaction"]["transactionNumberOfItems"], body["inventory"]["isCountInventory"]) == (3.0, True)


async def test_returned_goods_that_are_taken_out_name_the_order_they_came_back_from(hall: Hall):
    order_id = await hall.order("allocate", "pick", "send")
    await hall.do(f"orders/{order_id}/return", lines=[{"rowNumber": "1", "numberOfItems": 1}])
    back = await hall.item("TEA-001")
    told = hall.listen()
    adjustment = {
        "articleItemId": back["articleItemId"],
        "numberOfItems": -1,
        "inventoryAdjustmentCauseCode": "RETURN",
    }
    await hall.do("inventoryAdjustments", goodsOwnerId=TEA, adjustments=[adjustment])
    assert told.one("inventory.performed")["transaction"]["returnRemovedByOrder"] == {"orderId": order_id}
    [found] = await hall.get(f"/api/v1/returnOrders?goodsOwnerId={TEA}&customerOrderNumbers=SO-1001")
    [item] = found["returnOrderLines"][0]["returnedArticleItems"]
    assert item["isReturnRemovedByInventory"] is True


async def test_article_item_status_changed(hall: Hall):
    [item] = await hall.items("TEA-001")
    article_id, (purchase_order_id, line_id) = await hall.article_id("TEA-001"), await the_purchase_order(hall)
    told = hall.listen()
    path = f"articleItems/{item['articleItemId']}/status"
    await hall.do(path, articleItemStatusCode="OK")
    assert told.types() == [], "the status it has already is no change"
    await hall.do(path, articleItemStatusCode="QUAR")
    assert told.types() == ["article-item.status-changed"]
    assert told.one("article-item.status-changed") == {
        "article": {"articleSystemId": article_id, "articleNumber": "TEA-001"},
        "articleItem": {
            "articleItemId": item["articleItemId"],
            "originalArticleItemId": item["articleItemId"],
            "currentLocation": {"locationId": 400, "location": "A-01", "warehouse": the_place()},
            "numberOfItems": 500.0,
            "purchaseOrderInfo": {
                "purchaseOrderId": purchase_order_id,
                "purchaseOrderNumber": "PO-STOCK",
                "purchaseOrderLineId": line_id,
                "purchaseOrderStatus": {"number": 500},
            },
        },
        "previousVersion": {
            "articleItemStatus": {
                "articleItemStatusId": 1,
                "articleItemStatusCode": "OK",
                "isStatusLocked": False,
                "isStatusLockedForSale": False,
            },
            "serial": "",
            "batch": "B-2026-01",
        },
        "newVersion": {
            "articleItemStatus": {
                "articleItemStatusId": 2,
                "articleItemStatusCode": "QUAR",
                "isStatusLocked": True,
                "isStatusLockedForSale": True,
            },
            "serial": "",
            "batch": "B-2026-01",
        },
        **DOERS,
    }
    assert told.attributes("article-item.status-changed") == {"locationType": 1}


async def test_what_is_in_quarantine_is_not_for_sale(hall: Hall):
    [item] = await hall.items("TEA-001")
    await hall.do(f"articleItems/{item['articleItemId']}/status", articleItemStatusCode="QUAR")
    [article] = await hall.get(f"/api/v1/articles?goodsOwnerId={TEA}&articleNumber=TEA-001")
    info = article["inventoryInfo"]
    assert (info["numberOfItems"], info["sellableNumberOfItems"], info["numberOfLockedItems"]) == (500, 0, 500)
    order_id = await hall.order()
    refused = await hall.call("POST", f"/api/v1/warehouse/orders/{order_id}/allocate")
    assert "row 1 needs 5 items and 0 are free" in refused.body["detail"]


# --- Movements -------------------------------------------------------------------------------------------


async def a_movement(hall: Hall) -> tuple[int, dict[str, Any]]:
    """A movement order for the serving of an order, from picking place to picking place: its id and the item."""
    [item] = await hall.items("TEA-001")
    order_id = await hall.order(orderNumber="SO-9")
    fields = {"articleItemId": item["articleItemId"], "toLocationId": 900, "typeCode": "REPLENISH"}
    made = await hall.do("movementOrders", **fields, orderId=order_id)
    return int(made["movementId"]), {**item, "orderId": order_id}


async def a_movement_body(hall: Hall, movement_id: int, item: dict[str, Any], **movement: Any) -> dict[str, Any]:
    found = await hall.call("GET", f"/api/v1/warehouse/movementOrders/{movement_id}")
    work_order_id = found.body.get("workOrderId", movement.pop("workOrderId", None))
    here = {"locationId": 400, "location": "A-01", "locationType": {"locationTypeId": 1}}
    return {
        "article": {"articleSystemId": await hall.article_id("TEA-001"), "articleNumber": "TEA-001"},
        "movement": {
            "workOrderId": work_order_id,
            "movementArticleItemId": movement_id,
            "movementArticleItemTypeId": 1,
            "isExecuted": False,
            "assignedUserId": None,
            "isStarted": False,
            "toLocation": {"locationId": 900, "location": "BUF-07", "locationType": {"locationTypeId": 2}},
            "movementArticleItemType": {"movementArticleItemTypePrio": 2},
            **{name: value for name, value in movement.items() if name != "at"},
        },
        "articleItem": {
            "articleItemId": item["articleItemId"],
            "originalArticleItemId": item["articleItemId"],
            "currentLocation": movement.get("at", here),
            "serial": "",
            "batch": "B-2026-01",
            "numberOfItems": 500.0,
            "articleItemPalletItem": None,
            "comment": "",
            "container": "",
        },
        **DOERS,
        "order": {"orderId": item["orderId"]},
    }


async def test_movement_order_created(hall: Hall):
    told = hall.listen()
    movement_id, item = await a_movement(hall)
    assert told.types() == ["order.created", "movement-order.created"]
    assert told.one("movement-order.created") == await a_movement_body(hall, movement_id, item)
    assert told.attributes("movement-order.created") == {"warehouse": "GBG"}


async def test_movement_order_updated(hall: Hall):
    movement_id, item = await a_movement(hall)
    told = hall.listen()
    change = {"byUser": {"userId": 162}, "byComputer": {"computerId": 7}, "assignedUserId": 164, "isStarted": True}
    await hall.patch(f"/api/v1/warehouse/movementOrders/{movement_id}", change)
    await hall.patch(f"/api/v1/warehouse/movementOrders/{movement_id}", change)
    assert told.types() == ["movement-order.updated"], "the same again is no change"
    body = await a_movement_body(hall, movement_id, item, assignedUserId=164, isStarted=True)
    assert told.one("movement-order.updated") == body


async def test_movement_order_executed(hall: Hall):
    movement_id, item = await a_movement(hall)
    told = hall.listen()
    await hall.do(f"movementOrders/{movement_id}/execute")
    assert told.types() == ["move.performed", "movement-order.executed"]
    there = {"locationId": 900, "location": "BUF-07", "locationType": {"locationTypeId": 2}}
    body = await a_movement_body(hall, movement_id, item, isStarted=True, isExecuted=True, at=there)
    assert told.one("movement-order.executed") == body
    assert told.one("move.performed")["movement"]["to"]["toLocation"] == "BUF-07"


async def test_movement_order_deleted(hall: Hall):
    movement_id, item = await a_movement(hall)
    body = await a_movement_body(hall, movement_id, item)
    told = hall.listen()
    doers = {"byUser": {"userId": 162}, "byComputer": {"computerId": 7}}
    await hall.ask("DELETE", f"/api/v1/warehouse/movementOrders/{movement_id}", doers)
    assert told.types() == ["movement-order.deleted"]
    assert told.one("movement-order.deleted") == body
    assert (await hall.call("GET", f"/api/v1/warehouse/movementOrders/{movement_id}")).status == 404


async def a_pallet(hall: Hall) -> int:
    """With 30 items of tea on it."""
    fields = {"goodsOwnerId": TEA, "labelId": "PAL-1", "serial": "S-1", "comment": "Fragile"}
    measures = {"weight": 320, "length": 1.2, "width": 0.8}
    made = await hall.do("palletItems", **fields, measures=measures)
    purchase_order_id = await hall.purchase_order(("TEA-001", 30))
    await hall.receive(purchase_order_id, "1", 30, palletItemId=made["palletItemId"])
    return int(made["palletItemId"])


async def a_pallet_movement(hall: Hall, pallet_id: int) -> int:
    made = await hall.do("movementPalletItems", palletItemId=pallet_id, toLocationId=900, typeCode="PUTAWAY")
    return int(made["movementId"])


async def a_pallet_movement_body(hall: Hall, movement_id: int, pallet_id: int, **movement: Any) -> dict[str, Any]:
    found = await hall.get(f"/api/v1/warehouse/movementPalletItems/{movement_id}")
    here = {"locationId": 100, "location": "IN-01", "locationType": {"locationTypeId": 3}}
    return {
        "movement": {
            "workOrderId": found["workOrderId"],
            "movementPalletItemId": movement_id,
            "isExecuted": False,
            "assignedUserId": None,
            "toLocation": {"locationId": 900, "location": "BUF-07", "locationType": {"locationTypeId": 2}},
            "movementPalletItemType": {"movementPalletItemTypeId": 1, "movementPalletItemTypeCode": "PUTAWAY"},
            **{name: value for name, value in movement.items() if name != "at"},
        },
        "palletItem": {
            "palletItemId": pallet_id,
            "labelId": "PAL-1",
            "serial": "S-1",
            "currentLocation": movement.get("at", here),
        },
        **DOERS,
    }


async def test_movement_pallet_item_created(hall: Hall):
    pallet_id = await a_pallet(hall)
    told = hall.listen()
    movement_id = await a_pallet_movement(hall, pallet_id)
    assert told.types() == ["movement-pallet-item.created"]
    body = await a_pallet_movement_body(hall, movement_id, pallet_id)
    assert told.one("movement-pallet-item.created") == body
    assert told.attributes("movement-pallet-item.created") == {"warehouse": "GBG"}


async def test_movement_pallet_item_updated(hall: Hall):
    pallet_id = await a_pallet(hall)
    movement_id = await a_pallet_movement(hall, pallet_id)
    told = hall.listen()
    change = {"byUser": {"userId": 162}, "byComputer": {"computerId": 7}, "assignedUserId": 164}
    await hall.patch(f"/api/v1/warehouse/movementPalletItems/{movement_id}", change)
    assert told.types() == ["movement-pallet-item.updated"]
    body = await a_pallet_movement_body(hall, movement_id, pallet_id, assignedUserId=164)
    assert told.one("movement-pallet-item.updated") == body


async def test_movement_pallet_item_executed(hall: Hall):
    pallet_id = await a_pallet(hall)
    movement_id = await a_pallet_movement(hall, pallet_id)
    told = hall.listen()
    await hall.do(f"movementPalletItems/{movement_id}/execute")
    assert told.types() == ["move.performed", "movement-pallet-item.executed"]
    there = {"locationId": 900, "location": "BUF-07", "locationType": {"locationTypeId": 2}}
    body = await a_pallet_movement_body(hall, movement_id, pallet_id, isExecuted=True, at=there)
    assert told.one("movement-pallet-item.executed") == body
    moved = told.one("move.performed")
    assert (moved["articleItem"]["numberOfItems"], moved["movement"]["to"]["toLocationId"]) == (30.0, 900)


async def test_movement_pallet_item_deleted(hall: Hall):
    pallet_id = await a_pallet(hall)
    movement_id = await a_pallet_movement(hall, pallet_id)
    body = await a_pallet_movement_body(hall, movement_id, pallet_id)
    told = hall.listen()
    doers = {"byUser": {"userId": 162}, "byComputer": {"computerId": 7}}
    await hall.ask("DELETE", f"/api/v1/warehouse/movementPalletItems/{movement_id}", doers)
    assert told.types() == ["movement-pallet-item.deleted"]
    assert told.one("movement-pallet-item.deleted") == body


async def test_pallet_item_closed(hall: Hall):
    pallet_id = await a_pallet(hall)
    began = (await hall.get(f"/api/v1/warehouse/palletItems/{pallet_id}"))["palletItem"]["inDate"]
    told = hall.listen()
    await hall.do(f"palletItems/{pallet_id}/close")
    assert told.types() == ["pallet-item.closed"]
    assert told.one("pallet-item.closed") == {
        "palletItem": {
            "palletItemId": pallet_id,
            "labelId": "PAL-1",
            "comment": "Fragile",
            "serial": "S-1",
            "weight": 320.0,
            "volume": None,
            "length": 1.2,
            "width": 0.8,
            "height": None,
            "loadmeters": None,
            "location": {"locationId": 100, "locationName": "IN-01"},
            "outDate": None,
            "inDate": began,
            "parentPalletItemId": None,
            "palletType": {"palletTypeId": 1, "palletTypeCode": "EUR"},
            "palletItemStatus": {"palletItemStatusId": 2, "palletItemStatusCode": "CLOSED"},
        },
        "palletItemConnections": {
            "order": {"orderId": None},
            "shipment": {"shipmentId": None},
            "purchaseOrder": {"purchaseOrderId": None},
        },
        **DOERS,
    }
    assert told.attributes("pallet-item.closed") == {"transporter": None, "warehouse": "GBG"}
    refused = await hall.call("POST", f"/api/v1/warehouse/palletItems/{pallet_id}/close")
    assert (refused.status, refused.body["code"]) == (409, "impossible_step")


@pytest.mark.parametrize("how", ["by hand", "by sending"])
async def test_a_parcel_is_told_as_closed_once_with_its_order_and_transporter(hall: Hall, how: str):
    order_id = await hall.order("allocate", "pick", "pack")
    [parcel] = await hall.get(f"/api/v1/orders/{order_id}/parcels")
    told = hall.listen()
    if how == "by hand":
        await hall.do(f"palletItems/{parcel['id']}/close")
    await hall.do(f"orders/{order_id}/send")
    body = told.one("pallet-item.closed")
    assert body["palletItem"]["palletItemId"] == parcel["id"]
    assert body["palletItemConnections"]["order"] == {"orderId": order_id}
    assert told.attributes("pallet-item.closed")["transporter"] == "DHL"


def test_every_type_of_the_catalog_has_a_test_here_that_is_named_after_it():
    """A type that is added without a test of its own would otherwise go unseen."""
    text = "".join(file.read_text("utf-8") for file in Path(__file__).parent.glob("test_types_of_*.py"))
    shipment = "_shipment_status_changed"
    wanted = {each.key.replace(".", "_").replace("-", "_") for each in CATALOG}
    names = {name if not name.endswith(shipment) else shipment[1:] for name in wanted}
    assert [name for name in sorted(names) if f"async def test_{name}(" not in text] == []
