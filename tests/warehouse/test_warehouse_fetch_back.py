"""The REST API that a receiver calls back on: what it finds, how lists are filtered and paged, and what it writes back."""

import base64
from typing import Any

from dockbell.clock import to_text
from tests.warehouse.caller import Caller, refused
from tests.warehouse.floor import TEA, Floor, an_order
from tests.warehouse.hall import Hall


async def test_the_path_of_every_event_that_has_one_answers_as_it_stands(hall: Hall):
    told = hall.listen()
    order_id = await hall.order("allocate", "pick")
    await hall.purchase_order()
    await hall.put("/api/v1/articles", {"goodsOwnerId": TEA, "articleNumber": "TEA-900", "articleName": "Matcha"})
    fields = {"goodsOwnerId": TEA, "direction": "outbound", "shipmentOrderNumber": "S", "orderIds": [order_id]}
    shipment = await hall.do("shipments", **fields)
    await hall.do(f"shipments/{shipment['shipmentId']}/status", shipmentStatusNumber=200)
    parts = [{"articleNumber": "TEA-001", "numberOfItems": 1}]
    made = {"productionOrderNumber": "M", "articleNumber": "TEA-103", "numberOfItems": 1, "parts": parts}
    await hall.do("productionOrders", goodsOwnerId=TEA, **made)
    paths = {event["data"]["path"] for event in told.all() if "path" in event["data"]}
    assert {path.split("/")[3] for path in paths} == {
        "orders", "purchaseOrders", "articles", "shipments", "productionOrders",
    }  # fmt: skip
    key = hall.call.key("read", owners=[TEA])
    reader = f"Basic {base64.b64encode(f'any:{key}'.encode()).decode()}"
    for path in paths:
        answer = await hall.call("GET", path, authorization=reader)
        assert answer.status == 200, path


async def test_orders_are_found_by_what_happened_to_them_and_what_they_hold(floor: Floor, hall: Hall):
    first = await hall.order("allocate", "pick", orderNumber="F1")
    began = to_text(floor.clock.now())
    second = await hall.order("allocate", "pick", orderNumber="F2")
    lines = [{"rowNumber": "1", "articleNumber": "TEA-007", "numberOfItems": 1}]
    third = await hall.order(orderNumber="F3", orderLines=lines)
    await hall.do(f"orders/{second}/pack", parcelNumber="P-77")
    await hall.do(f"orders/{second}/send")
    sent = to_text(floor.clock.now())
    await hall.do(f"orders/{second}/return", lines=[{"rowNumber": "1", "numberOfItems": 1}])
    back = to_text(floor.clock.now())

    async def found(query: str) -> list[int]:
        orders = await hall.get(f"/api/v1/orders?goodsOwnerId={TEA}&orderIdFrom={first}&{query}")
        return [order["orderInfo"]["orderId"] for order in orders]

    assert await found(f"orderCreatedTimeFrom={began}") == [second, third]
    assert await found(f"orderCreatedTimeTo={began}") == [first]
    assert await found(f"orderUpdatedTimeFrom={sent}") == [second]
    assert await found(f"shippedTimeFrom={sent}") == [second]
    assert await found(f"shippedTimeFrom={sent}&shippedTimeTo={began}") == []
    assert await found(f"lastReturnedFrom={back}") == [second]
    assert await found("parcelNumber=P-77") == [second]
    assert await found("articleNumbers=TEA-007") == [third]
    assert await found("onlyOrdersWithOrderLinesToReport=true") == [first, second]
    assert await found("onlyOrdersWithOrderLinesToReport=false") == [first, second, third]


async def test_lists_take_several_numbers_and_find_exactly_those(hall: Hall):
    for number in ("N1", "N2", "N3", "N"):
        await hall.order(orderNumber=number)
        await hall.purchase_order(purchaseOrderNumber=number, inDate=f"2026-03-0{len(number)}")

    async def found(path: str, *names: str) -> list[Any]:
        rows = await hall.get(f"/api/v1/{path}goodsOwnerId={TEA}")
        values = []
        for row in rows:
            value = row
            for name in names:
                value = value[name]
            values.append(value)
        return values

    order, purchase = ("orderInfo", "orderNumber"), ("purchaseOrderInfo", "purchaseOrderNumber")
    assert await found("orders?orderNumbers=N1&orderNumbers=N3&", *order) == ["N1", "N3"]
    assert await found("orders?orderNumbers=N&", *order) == ["N"]
    assert await found("orders?orderNumber=N2&orderNumbers=N&", *order) == ["N2", "N"]
    assert await found("purchaseOrders?purchaseOrderNumbers=N1&purchaseOrderNumbers=N&", *purchase) == ["N1", "N"]
    assert await found("purchaseOrders?inDateFrom=2026-03-02&inDateTo=2026-03-02&", *purchase) == ["N1", "N2", "N3"]
    assert await found("purchaseOrders?articleNumbers=TEA-002&", *purchase) == ["PO-STOCK"]
    both = "articleNumbers=TEA-001&articleNumbers=TEA-002&"
    assert await found(f"articles?{both}", "articleNumber") == ["TEA-001", "TEA-002"]
    assert await found(f"articleItems?{both}", "articleNumber") == ["TEA-001", "TEA-002"]
    assert await found(f"articles/inventoryPerWarehouse?{both}", "articleNumber") == ["TEA-001", "TEA-002"]
    assert await found("articleItems?locationNames=A-01&locationNames=A-02&", "articleNumber") == ["TEA-001", "TEA-002"]
    refused(await hall.call("GET", f"/api/v1/orders?goodsOwnerId={TEA}&orderNumbers=a%1Fb"), 422)


async def test_what_was_reported_is_no_longer_found_as_missing(hall: Hall):
    order_id = await hall.order("allocate", "pick")
    order = await hall.get(f"/api/v1/orders/{order_id}")
    line_ids = [line["id"] for line in order["orderLines"]]

    async def missing() -> bool:
        query = f"goodsOwnerId={TEA}&orderNumber=SO-1001&onlyOrdersWithOrderLinesToReport=true"
        return bool(await hall.get(f"/api/v1/orders?{query}"))

    path = f"/api/v1/orders/{order_id}/lines/{line_ids[0]}/reportedNumberOfItems"
    await hall.patch(path, {"reportedNumberOfItems": 5})
    assert await missing()
    problems = refused(await hall.call("PATCH", path, {"reportedNumberOfItems": 6}), 422)
    assert problems == [("reportedNumberOfItems", "quantity")]
    await hall.patch(f"/api/v1/orders/{order_id}/setReportedNumberOfItemsToPickedNumberOfItems", None)
    assert not await missing()
    lines = (await hall.get(f"/api/v1/orders/{order_id}"))["orderLines"]
    assert [line["reportedNumberOfItems"] for line in lines] == [5, 3]


async def test_an_inventory_is_found_until_it_is_reported(floor: Floor, hall: Hall):
    [item] = await hall.items("TEA-001")
    adjustments = [{"articleItemId": item["articleItemId"], "numberOfItems": -2, "comment": "Dropped"}]
    inventory_id = (await hall.do("inventoryAdjustments", goodsOwnerId=TEA, adjustments=adjustments))["inventoryId"]
    article_id = await hall.article_id("TEA-001")

    async def found(query: str) -> list[dict[str, Any]]:
        return list(await hall.get(f"/api/v1/inventoryAdjustments?goodsOwnerId={TEA}&{query}"))

    [document] = await hall.get(f"/api/v1/inventoryAdjustments/{inventory_id}")
    [line] = document["inventoryAdjustments"]
    assert (document["article"]["articleNumber"], line["numberOfItems"]) == ("TEA-001", -2)
    assert (line["inventoryItemComment"], line["location"], line["batchNumber"]) == ("Dropped", "A-01", "B-2026-01")
    assert await found("isReported=false") == [document]
    await hall.patch(f"/api/v1/inventoryAdjustments/{inventory_id}/articles/{article_id}/setReported", {})
    assert await found("isReported=false") == []
    assert len(await found("isReported=true")) == 1
    later = to_text(floor.clock.now() + 1)
    assert await found(f"from={later}") == []
    assert len(await found(f"toTime={later}")) == 1
    refused(await hall.call("GET", f"/api/v1/inventoryAdjustments?goodsOwnerId={TEA}&isReported=maybe"), 422)


async def test_purchase_orders_are_found_by_status_time_and_page_and_told_with_what_came(floor: Floor, hall: Hall):
    first = await hall.purchase_order(("TEA-001", 10), ("TEA-002", 4), purchaseOrderNumber="P1")
    second = await hall.purchase_order(purchaseOrderNumber="P2")
    await hall.receive(first, "2", 4, batch="B-9", expiryDate="2028-01-31", serial="")
    came = to_text(floor.clock.now())

    async def found(query: str, since: int = first) -> list[int]:
        path = f"/api/v1/purchaseOrders?goodsOwnerId={TEA}&purchaseOrderIdFrom={since}&{query}"
        return [each["purchaseOrderInfo"]["purchaseOrderId"] for each in await hall.get(path)]

    assert await found("") == [first, second]
    assert await found("purchaseOrderNumber=P2") == [second]
    assert await found("purchaseOrderStatusFrom=300") == [first]
    assert await found("purchaseOrderStatusTo=100") == [second]
    assert await found(f"purchaseOrderStatusChangedTimeFrom={came}") == [first]
    assert await found(f"lastReceiveTimeFrom={came}") == [first]
    assert await found("maxPurchaseOrdersToGet=1") == [first]
    assert await found("maxPurchaseOrdersToGet=1", first + 1) == [second]
    order = await hall.get(f"/api/v1/purchaseOrders/{first}")
    assert order["purchaseOrderInfo"]["purchaseOrderStatus"] == {"number": 300, "text": "Inbound"}
    one, two = order["purchaseOrderLines"]
    assert (one["receivedNumberOfItems"], one["articleItems"]) == (0, [])
    [item] = two["articleItems"]
    assert (item["numberOfItems"], item["batchNumber"], item["location"]) == (4, "B-9", "IN-01")
    await hall.do(f"articleItems/{item['originalArticleItemId']}/move", toLocationId=311, numberOfItems=3)
    [item] = (await hall.get(f"/api/v1/purchaseOrders/{first}"))["purchaseOrderLines"][1]["articleItems"]
    assert item["numberOfItems"] == 4, "as it came in, whatever happened since"
    path = f"/api/v1/purchaseOrders/{first}/lines/{two['id']}/reportedNumberOfItems"
    await hall.patch(path, {"reportedNumberOfItems": 4})
    refused(await hall.call("PATCH", path, {"reportedNumberOfItems": 5}), 422)
    assert (await hall.get(f"/api/v1/purchaseOrders/{first}"))["purchaseOrderLines"][1]["reportedNumberOfItems"] == 4


async def test_an_order_is_changed_field_by_field_until_the_warehouse_has_started(hall: Hall):
    order_id = await hall.order()
    changes: list[tuple[str, dict[str, Any], str, Any]] = [
        ("orderNumber", {"orderNumber": "SO-2"}, "orderNumber", "SO-2"),
        ("deliveryDate", {"deliveryDate": "2026-03-01"}, "deliveryDate", "2026-03-01"),
        ("servicePointCode", {"servicePointCode": "77"}, "servicePointCode", "77"),
        ("orderRemark", {"orderRemark": "Ring"}, "orderRemark", "Ring"),
        ("warehouseInstruction", {"warehouseInstruction": "Gift"}, "warehouseInstruction", "Gift"),
        ("freeText1", {"freeText1": "a"}, "freeText1", "a"),
        ("freeText2", {"freeText2": "b"}, "freeText2", "b"),
        ("freeText3", {"freeText3": "c"}, "freeText3", "c"),
        ("waybill", {"waybill": "UA1"}, "wayBill", "UA1"),
        ("returnWaybill", {"returnWaybill": "UA2"}, "returnWayBill", "UA2"),
    ]
    told = hall.listen()
    for path, body, field, value in changes:
        await hall.patch(f"/api/v1/orders/{order_id}/{path}", body)
        assert (await hall.get(f"/api/v1/orders/{order_id}"))["orderInfo"][field] == value
    await hall.patch(f"/api/v1/orders/{order_id}/transporter", {"transporterCode": "Bring"})
    assert (await hall.get(f"/api/v1/orders/{order_id}"))["transporter"]["code"] == "Bring"
    refused(await hall.call("PATCH", f"/api/v1/orders/{order_id}/transporter", {"transporterCode": "X"}), 422)
    assert told.types() == []
    await hall.do(f"orders/{order_id}/allocate")
    for path, body, field, _ in changes:
        answer = await hall.call("PATCH", f"/api/v1/orders/{order_id}/{path}", body)
        assert answer.status == (200 if field in ("wayBill", "returnWayBill") else 409), path
    await hall.do(f"orders/{order_id}/pick")
    await hall.do(f"orders/{order_id}/send")
    assert (await hall.get(f"/api/v1/orders/{order_id}"))["tracking"][0]["waybill"] == "UA1"


async def test_a_number_that_is_taken_is_refused(hall: Hall):
    await hall.order(orderNumber="taken")
    order_id = await hall.order()
    answer = await hall.call("PATCH", f"/api/v1/orders/{order_id}/orderNumber", {"orderNumber": "taken"})
    refused(answer, 409)
    assert answer.body["code"] == "number_taken"
    await hall.purchase_order(purchaseOrderNumber="taken")
    path = f"/api/v1/purchaseOrders/{await hall.purchase_order()}/purchaseOrderNumber"
    refused(await hall.call("PATCH", path, {"purchaseOrderNumber": "taken"}), 409)
    await hall.patch(path, {"purchaseOrderNumber": "free"})


async def test_tracking_is_written_back_by_order_and_by_parcel(hall: Hall):
    order_id = await hall.order("allocate", "pick", "pack")
    [parcel] = await hall.get(f"/api/v1/orders/{order_id}/parcels")
    tracking = [
        {"waybill": "UA1", "trackingUrl": "https://carrier.example/UA1"},
        {"waybill": "UA2", "trackingUrl": None, "isReturn": True},
    ]
    await hall.put(f"/api/v1/orders/{order_id}/orderTracking", {"tracking": tracking})
    path = f"/api/v1/orders/{order_id}/parcels/{parcel['id']}/parcelTracking"
    await hall.put(path, {"trackingUrl": "https://carrier.example/P"})
    told = hall.listen()
    await hall.do(f"orders/{order_id}/send", waybill="UA1")
    body = told.one("order.status-changed")
    assert [(each["waybill"], each["isReturn"]) for each in body["tracking"]] == [("UA1", False), ("UA2", True)]
    assert body["parcels"][0]["tracking"] == {"trackingUrl": "https://carrier.example/P"}
    order = await hall.get(f"/api/v1/orders/{order_id}")
    assert [each["waybill"] for each in order["returnTracking"]] == ["UA2"]
    other = await hall.order(orderNumber="other")
    refused(
        await hall.call("PUT", path.replace(str(order_id), str(other), 1), {"trackingUrl": "https://a.example/"}), 404
    )


async def test_articles_are_found_by_name_stock_and_change(floor: Floor, hall: Hall):
    async def found(query: str) -> list[str]:
        articles = await hall.get(f"/api/v1/articles?goodsOwnerId={TEA}&{query}")
        return [article["articleNumber"] for article in articles]

    floor.clock.advance(1_000_000)
    now = to_text(floor.clock.now())
    await hall.put("/api/v1/articles", {"goodsOwnerId": TEA, "articleNumber": "TEA-900", "articleName": "100% tea_x"})
    await hall.order("allocate")
    assert await found("articleNameContains=teapot") == ["TEA-101"]
    assert await found("articleNameContains=100%25") == ["TEA-900"]
    assert await found("articleNameContains=a_x") == ["TEA-900"]
    assert await found(f"stockInfoChangedFrom={now}") == ["TEA-001", "TEA-102", "TEA-900"]
    assert await found(f"articleDataLastUpdatedFrom={now}") == ["TEA-900"]
    assert "TEA-900" not in await found("onlyArticlesInStock=true")
    old = to_text(floor.clock.now() - 25 * 3_600_000_000)
    problems = refused(await hall.call("GET", f"/api/v1/articles?goodsOwnerId={TEA}&stockInfoChangedFrom={old}"), 422)
    assert problems == [("stockInfoChangedFrom", "range")]


async def test_stock_is_told_by_warehouse_and_by_item(hall: Hall):
    await hall.order("allocate")
    [row] = await hall.get(f"/api/v1/articles/inventoryPerWarehouse?goodsOwnerId={TEA}&articleNumber=TEA-001")
    assert (row["warehouse"]["code"], row["numberOfItems"], row["allocatedNumberOfItems"]) == ("GBG", 500, 5)
    [found] = await hall.get(f"/api/v1/articleItems?goodsOwnerId={TEA}&locationNames=A-09")
    assert found["articleNumber"] == "TEA-102"
    assert [item["numberOfItems"] for item in found["items"]] == [497, 3]


async def test_a_return_is_announced_changed_and_booked_when_it_comes(hall: Hall):
    order_id = await hall.order("allocate", "pick", "send")
    lines = (await hall.get(f"/api/v1/orders/{order_id}"))["orderLines"]
    document = {
        "goodsOwnerId": TEA,
        "returnOrderNumber": "R-1",
        "orderId": order_id,
        "returnOrderLines": [
            {"orderLineId": lines[0]["id"], "numberOfItems": 2, "returnCauseCode": "REGRET"},
            {"orderLineId": lines[1]["id"], "numberOfItems": 1},
        ],
    }
    made = await hall.put("/api/v1/returnOrders", document)
    document["returnOrderLines"] = document["returnOrderLines"][:1]  # type: ignore[index]
    assert (await hall.put("/api/v1/returnOrders", document))["returnOrderId"] == made["returnOrderId"]
    path = f"/api/v1/returnOrders/{made['returnOrderId']}"
    found = await hall.get(path)
    assert found["returnOrderInfo"]["returnOrderStatus"] == {"number": 100, "text": "Notified"}
    assert [line["toBeReturnedNumberOfItems"] for line in found["returnOrderLines"]] == [2]
    back = {"rowNumber": "1", "numberOfItems": 2, "returnCauseCode": "DMG"}
    await hall.do(f"orders/{order_id}/return", lines=[back])
    found = await hall.get(path)
    [line] = found["returnOrderLines"]
    assert found["returnOrderInfo"]["returnOrderStatus"]["number"] == 500
    assert (line["returnedNumberOfItems"], line["returnCause"]["code"]) == (2, "DMG")
    [item] = line["returnedArticleItems"]
    assert (item["numberOfItems"], item["returnCause"]["code"], item["articleItemStatus"]["code"]) == (2, "DMG", "QUAR")
    refused(await hall.call("PUT", "/api/v1/returnOrders", document), 409)
    picked = (await hall.get(f"/api/v1/orders/{order_id}"))["orderLines"][0]["pickedArticleItems"]
    assert [(each["numberOfItems"], each["isReturned"]) for each in picked] == [(3, False), (2, True)]


def a_return(order: dict[str, Any], count: int = 1, place: int = 0) -> dict[str, Any]:
    """The body of PUT /returnOrders: so many of one of the order's lines."""
    return {
        "goodsOwnerId": TEA,
        "returnOrderNumber": "R-1",
        "orderId": order["orderInfo"]["orderId"],
        "returnOrderLines": [{"orderLineId": order["orderLines"][place]["id"], "numberOfItems": count}],
    }


async def test_an_announced_return_stays_with_its_order(hall: Hall):
    numbers = ("SO-1", "SO-2")
    first, second = [
        await hall.get(f"/api/v1/orders/{await hall.order('allocate', 'pick', 'send', orderNumber=number)}")
        for number in numbers
    ]
    made = await hall.put("/api/v1/returnOrders", a_return(first))
    before = await hall.get(f"/api/v1/returnOrders/{made['returnOrderId']}")
    answer = await hall.call("PUT", "/api/v1/returnOrders", a_return(second))
    assert refused(answer, 422) == [("orderId", "order")]
    assert await hall.get(f"/api/v1/returnOrders/{made['returnOrderId']}") == before


async def test_a_return_of_which_a_part_came_can_be_announced_anew(hall: Hall):
    order_id = await hall.order("allocate", "pick", "send")
    order = await hall.get(f"/api/v1/orders/{order_id}")
    path = f"/api/v1/returnOrders/{(await hall.put('/api/v1/returnOrders', a_return(order, 5)))['returnOrderId']}"
    await hall.do(f"orders/{order_id}/return", lines=[{"rowNumber": "1", "numberOfItems": 2}])
    for announced, status in ((3, 100), (2, 500)):
        await hall.put("/api/v1/returnOrders", a_return(order, announced))
        found = await hall.get(path)
        [line] = found["returnOrderLines"]
        assert (line["toBeReturnedNumberOfItems"], line["returnedNumberOfItems"]) == (announced, 2)
        assert found["returnOrderInfo"]["returnOrderStatus"]["number"] == status


async def test_what_is_not_announced_any_more_is_not_waited_for(hall: Hall):
    order_id = await hall.order("allocate", "pick", "send")
    order = await hall.get(f"/api/v1/orders/{order_id}")
    path = f"/api/v1/returnOrders/{(await hall.put('/api/v1/returnOrders', a_return(order, 5)))['returnOrderId']}"
    await hall.do(f"orders/{order_id}/return", lines=[{"rowNumber": "1", "numberOfItems": 2}])
    await hall.put("/api/v1/returnOrders", a_return(order, 1, place=1))
    await hall.do(f"orders/{order_id}/return", lines=[{"rowNumber": "2", "numberOfItems": 1}])
    found = await hall.get(path)
    counts = [(line["toBeReturnedNumberOfItems"], line["returnedNumberOfItems"]) for line in found["returnOrderLines"]]
    assert (counts, found["returnOrderInfo"]["returnOrderStatus"]["number"]) == ([(2, 2), (1, 1)], 500)


async def test_an_order_keeps_the_rows_of_which_a_return_is_announced(hall: Hall):
    order = await hall.get(f"/api/v1/orders/{await hall.order()}")
    await hall.put("/api/v1/returnOrders", a_return(order, place=1))
    first, second = an_order()["orderLines"]
    answer = await hall.call("PUT", "/api/v1/orders", an_order(orderLines=[first]))
    refused(answer, 409)
    assert answer.body["detail"] == "Order SO-1001 cannot lose its rows: return order R-1 announces row 2."
    await hall.put("/api/v1/orders", an_order(orderLines=[second]))


async def test_lists_to_choose_from_are_told_to_every_key(call: Caller):
    for path, part in (
        ("orders/types", {"code": "B2C", "name": "To a consumer"}),
        ("articleItems/statuses", {"id": 2, "code": "QUAR", "name": "Quarantine", "isLocked": True, "isLockedForSale": True}),
        ("purchaseOrders/statuses", {"number": 400, "text": "Deviation"}),
        ("purchaseOrders/types", {"id": 2, "code": "RET", "name": "Return"}),
        ("returnOrders/statuses", {"number": 500, "text": "Returned"}),
        ("returnOrders/returnCauses", {"id": 4, "code": "DMG", "name": "Damaged in transport"}),
        ("productionOrders/statuses", {"number": 400, "text": "Finished"}),
        ("warehouses", {"id": 1, "code": "GBG", "name": "Gothenburg"}),
        ("warehouses/1/zones", {"zoneName": "Goods in"}),
        ("warehouses/locations/types", {"id": 2, "code": "BUFFER", "name": "Buffer"}),
        ("transporterContracts", {"transporterCode": "DHL", "transporterName": "DHL Freight"}),
        ("parcelTypes", {"id": 3, "code": "BOX-M", "name": "Box, medium"}),
        ("warehouse/users", {"userId": 162, "userName": "Omar, picking"}),
        ("warehouse/computers", {"computerId": 7, "computerName": "PACK-03"}),
    ):  # fmt: skip
        answer = await call("GET", f"/api/v1/{path}", authorization=f"Bearer {call.key('read', owners=[TEA])}")
        assert part in answer.body, path
    [first, *_] = (await call("GET", "/api/v1/warehouses/1/locations")).body
    assert (first["locationName"], first["locationTypeId"]) == ("IN-01", 3)
    refused(await call("GET", "/api/v1/warehouses/9/zones"), 404)
