"""Each event type about orders happens by doing what a warehouse does, and its body is exactly the documented one."""

from typing import Any

import pytest

from dockbell.clock import to_text
from tests.warehouse.hall import DOERS, NOBODY, Hall

FLAGS = ("isAllocated", "isPicked", "isPacked", "isReturned", "isDeleted")


def an_order_body(order_id: int, status: int, **more: Any) -> dict[str, Any]:
    return {
        "orderId": order_id,
        "orderNumber": "SO-1001",
        "goodsOwnerOrderId": "6f2c",
        "consigneeOrderNumber": "PO-77",
        "path": f"/api/v1/orders/{order_id}",
        **DOERS,
        "orderStatus": {"number": status},
        "currentShipmentId": None,
        "goodsOwnerClasses": [{"id": 3, "code": "B2C", "name": "Web shops"}],
        "tracking": [],
        "parcels": [],
        **more,
    }


NAMES = {"goodsOwnerOrderId": "6f2c", "consigneeOrderNumber": "PO-77"}
ONE_LINE = {**NAMES, "orderLines": [{"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": 5}]}
FACTS = {"transporter": "DHL", "orderType": "B2C", "warehouse": "GBG"}


async def test_order_created(hall: Hall):
    told = hall.listen()
    order_id = await hall.order(**NAMES)
    assert told.types() == ["order.created"]
    assert told.one("order.created") == an_order_body(order_id, 200, **NOBODY)
    assert told.attributes("order.created") == FACTS


async def test_order_status_changed(hall: Hall):
    order_id = await hall.order("allocate", "pick", "pack", **ONE_LINE)
    [parcel] = await hall.get(f"/api/v1/orders/{order_id}/parcels")
    told = hall.listen()
    await hall.do(f"orders/{order_id}/send", waybill="UA65SE")
    assert told.types() == ["pallet-item.closed", "order.status-changed"]
    url = "https://tracking.example/dhl/UA65SE"
    assert told.one("order.status-changed") == an_order_body(
        order_id,
        450,
        tracking=[{"trackingUrl": url, "waybill": "UA65SE", "isReturn": False}],
        parcels=[parcel],
    )
    assert told.attributes("order.status-changed") == {**FACTS, "statusFrom": 400, "statusTo": 450}


async def test_order_picked(hall: Hall):
    order_id = await hall.order("allocate", **ONE_LINE)
    told = hall.listen()
    await hall.do(f"orders/{order_id}/pick")
    assert told.types() == ["article.picked", "order.status-changed", "order.picked"]
    assert told.one("order.picked") == an_order_body(order_id, 400)
    assert told.attributes("order.picked") == {**FACTS, "statusFrom": 320, "statusTo": 400}


async def an_article_item_body(hall: Hall, order_id: int, flag: str, **item: Any) -> dict[str, Any]:
    order = await hall.get(f"/api/v1/orders/{order_id}")
    line = order["orderLines"][0]
    return {
        **{each: each == flag for each in FLAGS},
        "article": {
            "articleSystemId": line["article"]["articleSystemId"],
            "articleNumber": "TEA-001",
            "barCode": "730011400000",
        },
        "articleItem": {
            "serial": "",
            "batch": "B-2026-01",
            "expiryDate": "2027-11-25T00:00:00",
            "numberOfItems": 5.0,
            "location": {"location": "A-01", "locationId": 400},
            "returnCause": None,
            "orderPalletItem": None,
            **item,
        },
        **DOERS,
        "order": {
            "orderId": order_id,
            "orderNumber": "SO-1001",
            "orderLine": {"orderLineId": line["id"], "rowNumber": "1", "parentOrderLine": None},
        },
    }


async def test_article_allocated(hall: Hall):
    order_id = await hall.order(**ONE_LINE)
    [whole] = await hall.items("TEA-001")
    told = hall.listen()
    await hall.do(f"orders/{order_id}/allocate")
    assert told.types() == ["article.allocated", "order.status-changed"]
    rest, part = await hall.items("TEA-001")
    assert (rest["articleItemId"], rest["numberOfItems"], rest["isAllocated"]) == (whole["articleItemId"], 495, False)
    assert (part["numberOfItems"], part["isAllocated"]) == (5, True)
    ids = {"articleItemId": part["articleItemId"], "originalArticleItemId": whole["articleItemId"]}
    assert told.one("article.allocated") == await an_article_item_body(hall, order_id, "isAllocated", **ids)
    assert told.attributes("article.allocated") == FACTS


async def test_article_picked(hall: Hall):
    order_id = await hall.order("allocate", **ONE_LINE)
    whole, part = await hall.items("TEA-001")
    told = hall.listen()
    await hall.do(f"orders/{order_id}/pick", lines=[{"rowNumber": "1", "numberOfItems": 5}])
    ids = {"articleItemId": part["articleItemId"], "originalArticleItemId": whole["articleItemId"]}
    assert told.one("article.picked") == await an_article_item_body(hall, order_id, "isPicked", **ids)


async def test_article_packed(hall: Hall):
    order_id = await hall.order("allocate", "pick", **ONE_LINE)
    [picked] = (await hall.get(f"/api/v1/orders/{order_id}"))["orderLines"][0]["pickedArticleItems"]
    told = hall.listen()
    await hall.do(f"orders/{order_id}/pack", parcelNumber="0037")
    assert told.types() == ["article.packed"]
    [parcel] = await hall.get(f"/api/v1/orders/{order_id}/parcels")
    body = await an_article_item_body(
        hall,
        order_id,
        "isPacked",
        articleItemId=picked["articleItemId"],
        originalArticleItemId=picked["originalArticleItemId"],
        orderPalletItem={"palletItemId": parcel["id"], "palletItemLabelId": "0037"},
    )
    assert told.one("article.packed") == body


async def test_article_returned(hall: Hall):
    order_id = await hall.order("allocate", "pick", "send", **ONE_LINE)
    [picked] = (await hall.get(f"/api/v1/orders/{order_id}"))["orderLines"][0]["pickedArticleItems"]
    told = hall.listen()
    line = {"rowNumber": "1", "numberOfItems": 2, "returnCauseCode": "DMG"}
    await hall.do(f"orders/{order_id}/return", lines=[line])
    assert told.types() == ["article.returned"]
    back = await hall.item("TEA-001")
    assert (back["location"], back["status"]["code"], back["numberOfItems"]) == ("RET-01", "QUAR", 2)
    body = await an_article_item_body(
        hall,
        order_id,
        "isReturned",
        articleItemId=back["articleItemId"],
        originalArticleItemId=picked["originalArticleItemId"],
        numberOfItems=2.0,
        location={"location": "RET-01", "locationId": 940},
        returnCause={"returnCauseId": 4, "returnCauseCode": "DMG", "returnCauseName": "Damaged in transport"},
    )
    assert told.one("article.returned") == body


async def test_article_deallocated(hall: Hall):
    order_id = await hall.order("allocate", **ONE_LINE)
    whole, part = await hall.items("TEA-001")
    told = hall.listen()
    await hall.do(f"orders/{order_id}/deallocate")
    assert told.types() == ["article.deallocated", "order.status-changed"]
    ids = {"articleItemId": part["articleItemId"], "originalArticleItemId": whole["articleItemId"]}
    assert told.one("article.deallocated") == await an_article_item_body(hall, order_id, "isDeleted", **ids)
    assert told.attributes("order.status-changed")["statusTo"] == 300


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/warehouse/orders/{}/cancel", None),
        ("DELETE", "/api/v1/orders/{}", None),
        ("PATCH", "/api/v1/orders/{}/orderStatus", {"orderStatusNumber": 1000}),
        ("PATCH", "/api/v1/orders/{}/orderStatus", {"orderStatusNumber": 400}),
    ],
)
async def test_an_allocation_is_told_as_removed_from_whatever_path_that_comes(
    hall: Hall, method: str, path: str, body: Any
):
    order_id = await hall.order("allocate")
    told = hall.listen()
    await hall.ask(method, path.format(order_id), body)
    assert told.types() == ["article.deallocated", "article.deallocated", "order.status-changed"]


async def a_pick_order(hall: Hall) -> tuple[int, int]:
    order_id = await hall.order("allocate", **ONE_LINE)
    return order_id, int((await hall.do("pickOrders", orderIds=[order_id]))["pickOrderId"])


def a_pick_order_body(pick_order_id: int, **more: Any) -> dict[str, Any]:
    return {
        "pickOrder": {
            "pickOrderId": pick_order_id,
            "isStarted": False,
            "isExecuted": False,
            "isCreated": True,
            "pickStarted": None,
            "pickFinished": None,
            "packStarted": None,
            "packFinished": None,
            "pickOrderType": {"pickOrderTypeId": 1, "pickOrderTypeCode": "SINGLE"},
            **more,
        },
        **DOERS,
    }


def plain(hall: Hall) -> str:
    """Now, as payloads write it."""
    return to_text(hall.floor.clock.now())[:19]


async def test_pick_order_created(hall: Hall):
    order_id = await hall.order("allocate")
    told = hall.listen()
    made = await hall.do("pickOrders", orderIds=[order_id])
    assert told.types() == ["pick-order.created"]
    assert told.one("pick-order.created") == a_pick_order_body(made["pickOrderId"])
    assert told.attributes("pick-order.created") == {"warehouse": "GBG"}


async def test_pick_order_started(hall: Hall):
    _, pick_order_id = await a_pick_order(hall)
    told = hall.listen()
    await hall.do(f"pickOrders/{pick_order_id}/start")
    assert told.types() == ["pick-order.started"]
    body = a_pick_order_body(pick_order_id, isStarted=True, pickStarted=plain(hall))
    assert told.one("pick-order.started") == body


async def test_pick_order_executed(hall: Hall):
    order_id, pick_order_id = await a_pick_order(hall)
    await hall.do(f"pickOrders/{pick_order_id}/start")
    started = plain(hall)
    told = hall.listen()
    await hall.do(f"pickOrders/{pick_order_id}/execute")
    assert told.types() == ["article.picked", "order.status-changed", "order.picked", "pick-order.executed"]
    assert told.one("pick-order.executed") == a_pick_order_body(
        pick_order_id, isStarted=True, isExecuted=True, pickStarted=started, pickFinished=plain(hall)
    )
    order = await hall.get(f"/api/v1/orders/{order_id}")
    assert order["orderInfo"]["orderStatus"]["number"] == 400
