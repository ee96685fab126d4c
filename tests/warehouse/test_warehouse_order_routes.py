"""The rest of the documented routes about orders: made anew or by id, parcels, waybill rows, pickability, back orders."""

from typing import Any

import pytest

from dockbell.clock import DAY, to_text
from tests.warehouse.caller import Caller, refused
from tests.warehouse.floor import FJORD, TEA, Floor, an_order
from tests.warehouse.hall import FLOOR, Hall

ORDERS = "/api/v1/orders"


def with_lines(*lines: tuple[str, int], **fields: Any) -> dict[str, Any]:
    rows = [
        {"rowNumber": str(row), "articleNumber": number, "numberOfItems": count}
        for row, (number, count) in enumerate(lines, 1)
    ]
    return an_order(orderLines=rows, **fields)


async def test_an_order_posted_is_always_a_new_one(floor: Floor, hall: Hall):
    told = hall.listen()
    made = await hall.ask("POST", ORDERS, an_order())
    assert told.types() == ["order.created"]
    before = floor.everything()
    answer = await hall.call("POST", ORDERS, an_order(deliveryDate="2026-09-09"))
    assert (answer.status, answer.body["code"]) == (409, "number_taken")
    assert floor.everything() == before
    assert (await hall.put(ORDERS, an_order()))["orderId"] == made["orderId"]


async def test_an_order_is_changed_by_its_id_with_its_number_until_the_warehouse_has_started(floor: Floor, hall: Hall):
    order_id, other = await hall.order(), await hall.order(orderNumber="SO-2")
    path = f"{ORDERS}/{order_id}"
    told = hall.listen()
    lines_before = [line["id"] for line in (await hall.get(path))["orderLines"]]
    await hall.put(path, with_lines(("TEA-001", 9), orderNumber="SO-9"))
    assert told.types() == []
    order = await hall.get(path)
    assert order["orderInfo"]["orderNumber"] == "SO-9"
    assert [(line["id"], line["orderedNumberOfItems"]) for line in order["orderLines"]] == [(lines_before[0], 9)]
    before = floor.everything()
    assert refused(await hall.call("PUT", path, an_order(orderNumber="SO-2")), 409) == []
    wrong = with_lines(("TEA-000", 1), orderType={"code": "X"}, wayOfDelivery={"code": "X"}, classes=[{"code": "X"}])
    assert refused(await hall.call("PUT", path, wrong), 422) == [
        ("orderType.code", "order_type"),
        ("wayOfDelivery.code", "way_of_delivery"),
        ("classes[0].code", "order_class"),
        ("orderLines[0].articleNumber", "article"),
    ]
    assert refused(await hall.call("PUT", path, an_order(goodsOwnerId=FJORD)), 422) == [("goodsOwnerId", "goods_owner")]
    assert floor.everything() == before
    await hall.do(f"orders/{other}/allocate")
    assert (await hall.call("PUT", f"{ORDERS}/{other}", an_order())).body["code"] == "impossible_step"


async def test_way_of_delivery_market_place_and_classes_are_kept_and_found(hall: Hall):
    place = {"marketPlace": "Shopland", "marketPlaceOrderNumber": "M-1"}
    order_id = await hall.order(
        wayOfDelivery={"code": "HOME"}, marketPlace=place, classes=[{"code": "VIP"}, {"code": "GIFT"}]
    )
    await hall.order(orderNumber="SO-2")
    order = await hall.get(f"{ORDERS}/{order_id}")
    assert order["orderInfo"]["wayOfDelivery"] == {"code": "HOME", "name": "To the door"}
    assert order["orderInfo"]["marketPlace"] == place
    assert [each["code"] for each in order["classes"]] == ["GIFT", "VIP"]
    assert await found(hall, "marketPlace=Shopland") == [order_id]
    assert await found(hall, "marketPlace=Other") == []
    await hall.patch(f"{ORDERS}/{order_id}/orderRemark", {"orderRemark": "x"})
    assert (await hall.get(f"{ORDERS}/{order_id}"))["orderInfo"]["marketPlace"] == place
    assert (await hall.get(f"{ORDERS}/classes"))["orderClasses"][0] == {
        "id": 21,
        "code": "GIFT",
        "name": "Gift wrapping",
    }
    ways = (await hall.get(f"{ORDERS}/wayOfDeliveryTypes"))["wayOfDeliveryTypes"]
    assert [way["code"] for way in ways] == ["HOME", "SERVICEPOINT"]


async def found(hall: Hall, query: str) -> list[int]:
    rows = await hall.get(f"{ORDERS}?goodsOwnerId={TEA}&{query}")
    return [row["orderInfo"]["orderId"] for row in rows]


async def test_orders_are_found_by_serial_also_after_the_item_came_back(hall: Hall):
    purchase_order_id = await hall.purchase_order(("TEA-101", 1))
    await hall.receive(purchase_order_id, "1", 1, serial="S-77", expiryDate="2026-01-01", locationId=311)
    order_id = int((await hall.put(ORDERS, with_lines(("TEA-101", 1))))["orderId"])
    assert await found(hall, "serial=S-77") == []
    await hall.do(f"orders/{order_id}/allocate")
    assert await found(hall, "serial=S-77") == [order_id]
    for step in ("pick", "send"):
        await hall.do(f"orders/{order_id}/{step}")
    await hall.do(f"orders/{order_id}/return", lines=[{"rowNumber": "1", "numberOfItems": 1}])
    assert await found(hall, "serial=S-77") == [order_id]
    assert await found(hall, "serial=S-7") == []


async def test_transport_documents_are_printed_of_what_was_picked(floor: Floor, hall: Hall):
    order_id, other = await hall.order("allocate", "pick"), await hall.order("allocate", orderNumber="SO-2")
    old = set(await found(hall, "onlyIfTransportPrinted=true"))
    refused(await hall.call("POST", f"/api/v1/warehouse/orders/{other}/print", {}), 409)
    order = await hall.do(f"orders/{order_id}/print")
    assert order["orderInfo"]["wayBill"] == f"DHL-{order_id}"
    printed = order["orderInfo"]["transportDocumentsPrinted"]
    assert printed is not None
    assert set(await found(hall, "onlyIfTransportPrinted=true")) - old == {order_id}
    sent = await hall.do(f"orders/{order_id}/send")
    assert sent["orderInfo"]["transportDocumentsPrinted"] == printed


async def test_what_an_order_was_short_of_is_ordered_again(floor: Floor, hall: Hall):
    order_id = await hall.order("allocate")
    refused(await hall.call("POST", f"/api/v1/warehouse/orders/{order_id}/backOrder", {}), 409)
    await hall.do(f"orders/{order_id}/pick", lines=[{"rowNumber": "1", "numberOfItems": 2}])
    await hall.patch(f"{ORDERS}/{order_id}/orderStatus", {"orderStatusNumber": 400})
    told = hall.listen()
    made = await hall.do(f"orders/{order_id}/backOrder")
    assert told.types() == ["order.created"]
    order = await hall.get(f"{ORDERS}/{made['orderId']}")
    assert [(line["rowNumber"], line["orderedNumberOfItems"]) for line in order["orderLines"]] == [("1", 3), ("2", 3)]
    assert order["orderInfo"]["advanced"] == {"backOrderInfo": {"backOrderForOrderId": order_id}}
    assert order["consignee"] == (await hall.get(f"{ORDERS}/{order_id}"))["consignee"]
    assert await found(hall, f"backOrderForOrderId={order_id}") == [made["orderId"]]
    full = await hall.order("allocate", "pick", orderNumber="SO-2")
    refused(await hall.call("POST", f"/api/v1/warehouse/orders/{full}/backOrder", {}), 409)


async def test_parcels_are_written_before_an_order_leaves_and_return_parcels_after_that(hall: Hall):
    order_id = await hall.order("allocate", "pick")
    path = f"{ORDERS}/{order_id}/parcels"
    new = {"parcelNumber": "P-1", "advanced": {"parcelType": {"code": "EUR"}, "weight": 2.5}}
    parcel_id = (await hall.put(path, new))["parcelId"]
    assert (await hall.put(path, {"parcelNumber": "P-1"}))["parcelId"] == parcel_id
    await hall.put(f"{path}/{parcel_id}", {"parcelNumber": "P-2"})
    assert (await hall.get(f"{path}/{parcel_id}"))["parcelNumber"] == "P-2"
    pallet = (await hall.get(f"/api/v1/warehouse/palletItems/{parcel_id}"))["palletItem"]
    assert (pallet["palletType"]["palletTypeCode"], pallet["weight"]) == ("EUR", 2.5)
    other = (await hall.put(path, {"parcelNumber": "P-3"}))["parcelId"]
    assert (await hall.call("PUT", f"{path}/{other}", {"parcelNumber": "P-2"})).body["code"] == "number_taken"
    both = {"parcelNumber": "P-4", "advanced": {"parcelType": {"id": 99, "code": "X"}}}
    assert refused(await hall.call("PUT", path, both), 422) == [
        ("advanced.parcelType.code", "parcel_type"),
        ("advanced.parcelType.id", "parcel_type"),
    ]
    await hall.ask("DELETE", f"{path}/{other}")
    refused(await hall.call("GET", f"{path}/{other}"), 404)
    await hall.do(f"orders/{order_id}/pack", parcelNumber="P-2")
    refused(await hall.call("DELETE", f"{path}/{parcel_id}"), 409)
    await hall.do(f"orders/{order_id}/send")
    refused(await hall.call("PUT", path, {"parcelNumber": "P-5"}), 409)
    refused(await hall.call("PUT", f"{path}/{parcel_id}", {"parcelNumber": "P-5"}), 409)
    await hall.put(path, {"parcelNumber": "R-1", "transportAdministrationType": "Return"})
    assert [(each["parcelNumber"], each["isReturnParcel"]) for each in await hall.get(path)] == [
        ("P-2", False),
        ("R-1", True),
    ]


async def test_a_return_parcel_stays_behind_when_its_order_is_sent(hall: Hall):
    """It is neither told as closed nor charged as sent, and nothing that goes out is packed into it."""
    order_id = await hall.order("allocate", "pick")
    path = f"{ORDERS}/{order_id}/parcels"
    label = {"parcelNumber": "R-1", "transportAdministrationType": "Return"}
    parcel_id = (await hall.put(path, label))["parcelId"]
    answer = await hall.call("POST", f"{FLOOR}/orders/{order_id}/pack", {"parcelNumber": "R-1"})
    refused(answer, 409)
    await hall.do(f"orders/{order_id}/pack", parcelNumber="P-1")
    told = hall.listen()
    await hall.do(f"orders/{order_id}/send")
    assert told.one("pallet-item.closed")["palletItem"]["labelId"] == "P-1"
    pallet = (await hall.get(f"{FLOOR}/palletItems/{parcel_id}"))["palletItem"]
    assert (pallet["outDate"], pallet["palletItemStatus"]["palletItemStatusCode"]) == (None, "OPEN")
    month = to_text(hall.floor.clock.now())[:7]
    hall.floor.clock.advance(40 * DAY)
    await hall.ask("POST", f"{FLOOR}/invoices", {"goodsOwnerId": TEA, "month": month})
    charges = await hall.get(f"{ORDERS}/{order_id}/invoiceCharges")
    assert [each["numberOfItems"] for each in charges if each["invoiceArticle"]["code"] == "PARCEL"] == [1]
    await hall.ask("DELETE", f"{path}/{parcel_id}")


async def test_a_waybill_that_is_there_twice_is_refused_and_neither_is_lost(hall: Hall):
    order_id = await hall.order("allocate", "pick")
    path = f"{ORDERS}/{order_id}/orderTracking"
    await hall.put(path, {"tracking": [{"waybill": "W-0"}]})
    both = [{"waybill": "W-1", "trackingUrl": "https://dhl.example/W-1"}, {"waybill": "W-1", "isReturn": True}]
    assert refused(await hall.call("PUT", path, {"tracking": both}), 422) == [("tracking[1].waybill", "duplicate")]
    assert [each["waybill"] for each in (await hall.get(f"{ORDERS}/{order_id}"))["tracking"]] == ["W-0"]


async def test_waybill_rows_are_written_one_by_one_or_all_at_once(floor: Floor, hall: Hall):
    order_id = await hall.order()
    path = f"{ORDERS}/{order_id}/wayBillRows"
    row = {"numberOfPackages": 2, "parcelType": {"code": "BOX-M"}, "weight": 3.5, "comment": "fragile"}
    row_id = (await hall.ask("POST", path, row))["wayBillRowId"]
    [kept] = await hall.get(path)
    assert kept == {
        "wayBillRowId": row_id,
        "numberOfPackages": 2,
        "approvedNumberOfPackages": None,
        "weight": 3.5,
        "volume": None,
        "length": None,
        "width": None,
        "height": None,
        "loadMeters": None,
        "comment": "fragile",
        "category": None,
        "parcelType": {"code": "BOX-M", "name": "Box, medium"},
    }
    await hall.patch(f"{path}/{row_id}", {**row, "numberOfPackages": 3, "approvedNumberOfPackages": 1})
    [kept] = await hall.get(path)
    assert (kept["wayBillRowId"], kept["numberOfPackages"], kept["approvedNumberOfPackages"]) == (row_id, 3, 1)
    other = await hall.order(orderNumber="SO-2")
    refused(await hall.call("DELETE", f"{ORDERS}/{other}/wayBillRows/{row_id}"), 404)
    bad = [{**row, "parcelType": {"code": "X"}}, {**row, "parcelType": {"code": "Y"}}]
    assert refused(await hall.call("PUT", path, {"wayBillRows": bad}), 422) == [
        ("wayBillRows[0].parcelType.code", "parcel_type"),
        ("wayBillRows[1].parcelType.code", "parcel_type"),
    ]
    await hall.put(path, {"wayBillRows": [row, {**row, "parcelType": {"code": "EUR"}}]})
    assert [each["parcelType"]["code"] for each in await hall.get(path)] == ["BOX-M", "EUR"]
    await hall.ask("DELETE", f"{path}/{(await hall.get(path))[0]['wayBillRowId']}")
    assert len(await hall.get(path)) == 1
    await hall.do(f"orders/{order_id}/cancel")
    refused(await hall.call("POST", path, row), 409)


async def verdicts(hall: Hall, ids: list[int]) -> list[str]:
    wanted = "&".join(f"orderIds={order_id}" for order_id in ids)
    answer = await hall.get(f"{ORDERS}/pickability?goodsOwnerId={TEA}&{wanted}")
    return [result["orderPickability"]["pickability"] for result in answer["pickabilityResults"]]


async def test_orders_are_pickable_in_turn_by_what_is_free_and_what_is_on_its_way(hall: Hall):
    counts = (300, 150, 100, 600)  # 500 are there
    ids = [
        int((await hall.put(ORDERS, with_lines(("TEA-103", count), orderNumber=f"P{count}")))["orderId"])
        for count in counts
    ]
    old = await hall.get(f"{ORDERS}?goodsOwnerId={TEA}")
    before = sum(
        line["orderedNumberOfItems"]
        for order in old
        if order["orderInfo"]["orderId"] not in ids and order["orderInfo"]["orderStatus"]["number"] <= 300
        for line in order["orderLines"]
        if line["article"]["articleNumber"] == "TEA-103"
    )
    assert 0 < before < 50, "the demonstration's own orders come first"
    assert await verdicts(hall, ids) == ["ByPriority", "ByPriority", "NotByPriority", "NotOk"]
    assert set(await found(hall, "pickable=NotOk")) & set(ids) == {ids[3]}
    assert set(await found(hall, "pickable=NotPickable")) & set(ids) == set(ids[2:])
    assert set(await found(hall, "pickable=All")) & set(ids) == set(ids[:2])
    assert await found(hall, f"pickable=All&orderNumber=P{counts[0]}") == [ids[0]]
    for number, count, date in (("PO-A", 100, "2026-12-01"), ("PO-B", 1000, "2026-12-24")):
        await hall.purchase_order(("TEA-103", count), purchaseOrderNumber=number, inDate=date)
    answer = await hall.get(f"{ORDERS}/pickability?goodsOwnerId={TEA}&orderIds={ids[2]}&orderIds={ids[3]}")
    assert [each["orderPickability"]["expectedPickable"] for each in answer["pickabilityResults"]] == [
        {"expectedInDate": "2026-12-01", "isPickableByAdvised": True},
        {"expectedInDate": "2026-12-24", "isPickableByAdvised": True},
    ]
    await hall.do(f"orders/{ids[0]}/allocate")
    assert await verdicts(hall, ids) == ["NothingToAllocate", "ByPriority", "NotByPriority", "NotOk"]
    booked = await hall.get(f"{ORDERS}/pickability?goodsOwnerId={TEA}&onlyBookedOrders=true&orderIdFrom={ids[0]}")
    assert [each["orderInfo"]["orderId"] for each in booked["pickabilityResults"]] == ids[1:]
    await hall.do(f"orders/{ids[2]}/cancel")
    await hall.do(f"orders/{ids[3]}/cancel")
    assert await verdicts(hall, [ids[1]]) == ["Ok"]


@pytest.mark.parametrize("query", ["pickable=Perhaps", "backOrderForOrderId=x", "onlyIfTransportPrinted=1"])
async def test_a_list_is_not_asked_for_what_it_has_not(call: Caller, query: str):
    refused(await call("GET", f"{ORDERS}?goodsOwnerId={TEA}&{query}"), 422)


async def test_everything_wrong_with_a_query_is_said_at_once(call: Caller):
    query = "orderCreatedTimeFrom=yesterday&shippedTimeTo=2026-13-01T00:00:00Z&maxOrdersToGet=0&orderIdFrom=-1"
    assert refused(await call("GET", f"{ORDERS}?goodsOwnerId={TEA}&{query}"), 422) == [
        ("orderCreatedTimeFrom", "moment"),
        ("shippedTimeTo", "moment"),
        ("orderIdFrom", "number"),
        ("maxOrdersToGet", "range"),
    ]
