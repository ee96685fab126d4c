"""The warehouse's REST API: fetching back, steps, keys, goods owners, and every wrong request refused in one shape."""

import base64
import json
from typing import Any

import pytest

from dockbell.clock import to_text
from dockbell.warehouse.actions import orders
from dockbell.warehouse.api.server import LARGEST_BODY_BYTES
from tests.warehouse.caller import Caller, refused
from tests.warehouse.floor import FJORD, TEA, BrokenPublisher, Floor, an_order


async def test_the_whole_order_is_fetched_back_from_the_path_an_event_names(floor: Floor, call: Caller):
    put = await call("PUT", "/api/v1/orders", an_order(orderRemark="Ring twice", referenceNumber="R-1"))
    order_id = put.body["orderId"]
    assert (put.status, put.body) == (200, {"orderId": order_id, "message": "The order was created."})
    created = to_text(floor.clock.now())
    for step in ("allocate", "pick"):
        assert (await call("POST", f"/api/v1/warehouse/orders/{order_id}/{step}")).status == 200
    packing = {"lines": [{"rowNumber": "1", "numberOfItems": 4.0}], "parcelNumber": "0037"}
    await call("POST", f"/api/v1/warehouse/orders/{order_id}/pack", packing)
    sent = await call("POST", f"/api/v1/warehouse/orders/{order_id}/send", {"waybill": "UA65SE"})
    fetched = await call("GET", floor.events(order_id)[-1]["data"]["path"])
    assert fetched.body == sent.body
    items = [line.pop("pickedArticleItems") for line in fetched.body["orderLines"]]
    assert [[(item["numberOfItems"], item["packedTime"], item["location"]) for item in each] for each in items] == [
        [(1, None, "A-01"), (4, created, "A-01")],
        [(3, None, "A-09")],
    ]
    assert items[0][1]["parcel"]["parcelNumber"] == "0037"
    ids = [line.pop("id") for line in fetched.body["orderLines"]] + [fetched.body["parcels"][0].pop("id")]
    articles = [line["article"].pop("articleSystemId") for line in fetched.body["orderLines"]]
    assert all(isinstance(each, int) for each in ids + articles)
    assert fetched.body == {
        "goodsOwner": {"id": TEA, "name": "Nordic Tea AB"},
        "orderInfo": {
            "orderId": order_id,
            "orderNumber": "SO-1001",
            "goodsOwnerOrderId": None,
            "consigneeOrderNumber": None,
            "referenceNumber": "R-1",
            "salesCode": None,
            "orderRemark": "Ring twice",
            "deliveryInstruction": None,
            "servicePointCode": None,
            "freeText1": None,
            "freeText2": None,
            "freeText3": None,
            "warehouseInstruction": None,
            "emailNotification": None,
            "orderType": {"code": "B2C", "name": "To a consumer"},
            "deliveryDate": "2026-02-05",
            "createdDate": created,
            "shippedTime": created,
            "wayBill": "UA65SE",
            "returnWayBill": None,
            "orderStatus": {"number": 450, "text": "Sent"},
            "orderedNumberOfItems": 8,
            "allocatedNumberOfItems": 8,
            "pickedNumberOfItems": 8,
            "wayOfDelivery": None,
            "marketPlace": None,
            "transportDocumentsPrinted": created,
            "warehouse": {"id": 1, "code": "GBG", "name": "Gothenburg"},
            "advanced": {"backOrderInfo": None},
        },
        "consignee": an_order()["consignee"]
        | dict.fromkeys(("address2", "address3", "countryStateCode", "remark", "doorCode")),
        "parcels": [
            {
                "parcelNumber": "0037",
                "isReturnParcel": False,
                "tracking": {"trackingUrl": "https://tracking.example/dhl/0037"},
            },
        ],
        "orderLines": [
            {
                "rowNumber": row,
                "article": {"articleNumber": number, "articleName": name, "productCode": None},
                "comment": None,
                "orderedNumberOfItems": items,
                "allocatedNumberOfItems": items,
                "pickedNumberOfItems": items,
                "packedNumberOfItems": packed,
                "returnedNumberOfItems": 0,
                "reportedNumberOfItems": None,
            }
            for row, number, name, items, packed in (
                ("1", "TEA-001", "Earl Grey, loose, 100 g", 5, 4),
                ("2", "TEA-102", "Tea strainer, steel", 3, 0),
            )
        ],
        "transporter": {"transporterName": "DHL Freight", "name": "DHL Freight", "code": "DHL", "serviceCode": None},
        "tracking": [
            {"trackingUrl": "https://tracking.example/dhl/UA65SE", "waybill": "UA65SE", "created": created},
        ],
        "returnTracking": [],
        "classes": [],
        "shipmentInfo": None,
    }


async def test_orders_are_listed_by_number_status_time_and_page(floor: Floor, call: Caller):
    ids = [floor.create(orderNumber=f"L{number}") for number in range(4)]
    floor.do(orders.allocate_order, ids[1])
    changed = to_text(floor.clock.now())
    floor.do(orders.allocate_order, ids[3])

    async def listed(query: str, first: int = ids[0]) -> list[int]:
        answer = await call("GET", f"/api/v1/orders?goodsOwnerId={TEA}&orderIdFrom={first}&{query}")
        return [order["orderInfo"]["orderId"] for order in answer.body]

    assert await listed("") == ids
    assert await listed("orderNumber=L2") == [ids[2]]
    assert await listed("orderStatusFrom=300") == [ids[1], ids[3]]
    assert await listed("orderStatusTo=319") == [ids[0], ids[2]]
    assert await listed("orderStatusTo=320") == ids
    assert await listed(f"orderStatusFrom=300&orderStatusChangedTimeFrom={changed}") == [ids[1], ids[3]]
    later = changed.replace("Z", "").removesuffix("000") + "001Z"
    assert await listed(f"orderStatusFrom=300&orderStatusChangedTimeFrom={later}") == [ids[3]]
    assert await listed("maxOrdersToGet=2") == ids[:2]
    assert await listed("maxOrdersToGet=2", first=ids[1] + 1) == ids[2:]


async def test_statuses_are_told_with_their_numbers(call: Caller):
    answer = await call("GET", "/api/v1/orders/statuses")
    assert [status["number"] for status in answer.body] == [200, 300, 320, 400, 450, 475, 500, 1000]
    assert answer.body[0]["text"] == "Open"


async def test_a_status_is_set_where_that_is_allowed_and_refused_elsewhere(floor: Floor, call: Caller):
    order_id = floor.create()
    path = f"/api/v1/orders/{order_id}/orderStatus"
    assert (await call("PATCH", path, {"orderStatusNumber": 300})).body["message"].endswith("300 Released.")
    answer = await call("PATCH", path, {"orderStatusNumber": 450})
    refused(answer, 409)
    assert answer.body["code"] == "impossible_step"
    assert "300 Released" in answer.body["detail"]
    refused(await call("PATCH", path, {"orderStatusNumber": 425}), 422)
    assert floor.types(order_id) == ["order.created", "order.status-changed"]


async def test_a_floor_action_tells_who_did_it_and_takes_single_items(floor: Floor, call: Caller):
    order_id = floor.bring_to(320)
    lines = [{"rowNumber": "1", "numberOfItems": 2}, {"rowNumber": "1", "numberOfItems": 3}]
    answer = await call("POST", f"/api/v1/warehouse/orders/{order_id}/pick", {"lines": lines})
    assert [line["pickedNumberOfItems"] for line in answer.body["orderLines"]] == [5, 0]
    doer = {"byUser": {"userId": 9}, "byComputer": {"computerId": 2, "computerName": None}}
    await call("POST", f"/api/v1/warehouse/orders/{order_id}/pick", doer)
    data = floor.events(order_id)[-1]["data"]
    assert {"byUser": data["byUser"], "byComputer": data["byComputer"]} == doer
    await call("POST", f"/api/v1/warehouse/orders/{order_id}/send")
    answer = await call("POST", f"/api/v1/warehouse/orders/{order_id}/collect", {})
    assert answer.body["orderInfo"]["orderStatus"] == {"number": 500, "text": "Collected"}
    refused(await call("POST", f"/api/v1/warehouse/orders/{order_id}/cancel"), 409)


async def test_articles_are_made_changed_and_fetched_with_their_stock(floor: Floor, call: Caller):
    new = {"goodsOwnerId": TEA, "articleNumber": "TEA-900", "articleName": "Matcha", "barCodeInfo": {"barCode": "735"}}
    made = await call("PUT", "/api/v1/articles", new)
    assert made.body["message"] == "The article was created."
    again = await call("PUT", "/api/v1/articles", new | {"articleName": "Matcha, 30 g"})
    assert again.body == {**made.body, "message": "The article was changed."}
    fetched = (await call("GET", f"/api/v1/articles/{made.body['articleSystemId']}")).body
    assert (fetched["articleName"], fetched["barCodeInfo"]) == ("Matcha, 30 g", {"barCode": "735"})
    floor.bring_to(320)
    [earl] = (await call("GET", f"/api/v1/articles?goodsOwnerId={TEA}&articleNumber=TEA-001")).body
    assert earl["inventoryInfo"] == {
        "numberOfItems": 500,
        "sellableNumberOfItems": 495,
        "numberOfBookedItems": 3,
        "numberOfLockedItems": 0,
        "toReceiveNumberOfItems": 0,
        "allocatedNumberOfItems": 5,
        "lockedForSaleNumberOfItems": 0,
        "pickedToBeCollectedNumberOfItems": 0,
        "lastInDate": earl["articleDataLastUpdated"],
    }
    page = await call("GET", f"/api/v1/articles?goodsOwnerId={FJORD}&maxArticlesToGet=3")
    assert [article["articleNumber"] for article in page.body] == ["FO-1000", "FO-1001", "FO-2000"]


async def test_both_ways_of_sending_the_key_open_the_door_and_none_or_a_wrong_one_does_not(floor: Floor, call: Caller):
    order_id = floor.create()
    path = f"/api/v1/orders/{order_id}"
    basic = base64.b64encode(f"anything:{call.admin}".encode()).decode()
    for good in (f"Bearer {call.admin}", f"Basic {basic}"):
        assert (await call("GET", path, authorization=good)).status == 200
    for bad in ("", "Bearer whk_nobody", "Basic !", f"Bearer {call.admin[:-1]}"):
        answer = await call("GET", path, authorization=bad)
        refused(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Basic ")
    # Without a key not even the body is looked at.
    refused(await call("PUT", "/api/v1/orders", b"{", authorization=""), 401)


async def test_another_goods_owners_order_answers_like_one_that_does_not_exist(floor: Floor, call: Caller):
    order_id = floor.create()
    article = floor.order(order_id)["orderLines"][0]["article"]["articleSystemId"]
    fjord = f"Bearer {call.key('read', 'publish', owners=[FJORD])}"
    before = floor.everything()
    requests: list[tuple[str, str, Any]] = [
        ("GET", "/api/v1/orders/{}", None),
        ("PATCH", "/api/v1/orders/{}/orderStatus", {"orderStatusNumber": 1000}),
        *(("POST", f"/api/v1/warehouse/orders/{{}}/{step}", {}) for step in
          ("allocate", "pick", "pack", "send", "collect", "cancel")),
    ]  # fmt: skip
    for method, path, body in requests:
        foreign = await call(method, path.format(order_id), body, authorization=fjord)
        unknown = await call(method, path.format(999_999), body, authorization=fjord)
        refused(foreign, 404)
        assert json.dumps(foreign.body).replace(str(order_id), "999999") == json.dumps(unknown.body)
    refused(await call("GET", f"/api/v1/articles/{article}", authorization=fjord), 404)
    refused(await call("GET", f"/api/v1/orders?goodsOwnerId={TEA}", authorization=fjord), 404)
    refused(await call("GET", f"/api/v1/articles?goodsOwnerId={TEA}", authorization=fjord), 404)
    refused(await call("PUT", "/api/v1/orders", an_order(), authorization=fjord), 404)
    new = {"goodsOwnerId": TEA, "articleNumber": "TEA-001", "articleName": "Stolen"}
    refused(await call("PUT", "/api/v1/articles", new, authorization=fjord), 404)
    assert floor.everything() == before
    own = await call("GET", f"/api/v1/orders?goodsOwnerId={FJORD}", authorization=fjord)
    assert {order["goodsOwner"]["id"] for order in own.body} == {FJORD}


async def test_a_key_may_do_what_its_scopes_say(floor: Floor, call: Caller):
    order_id = floor.create()
    reader, publisher = (f"Bearer {call.key(scope)}" for scope in ("read", "publish"))
    path = f"/api/v1/warehouse/orders/{order_id}/allocate"
    refused(await call("POST", path, authorization=reader), 403)
    refused(await call("GET", f"/api/v1/orders/{order_id}", authorization=publisher), 403)
    assert (await call("POST", path, authorization=publisher)).status == 200
    assert (await call("GET", f"/api/v1/orders/{order_id}", authorization=reader)).status == 200


async def test_everything_wrong_with_an_order_is_said_at_once(floor: Floor, call: Caller):
    before = floor.everything()
    line = {"rowNumber": 1, "articleNumber": "TEA-001", "numberOfItems": 0.5, "colour": "red"}
    body = an_order(orderNumber="", deliveryDate="2026-02-30", orderLines=[line], speed=3)
    del body["consignee"]["city"]
    problems = refused(await call("PUT", "/api/v1/orders", body), 422)
    assert sorted(problems) == [
        ("consignee.city", "required"),
        ("deliveryDate", "date"),
        ("orderLines[0].colour", "unknown_field"),
        ("orderLines[0].numberOfItems", "type"),
        ("orderLines[0].rowNumber", "type"),
        ("orderNumber", "length"),
        ("speed", "unknown_field"),
    ]
    assert floor.everything() == before


NOT_STORABLE: tuple[dict[str, Any], ...] = (
    {"orderNumber": "a\x00b"},
    {"orderNumber": "a\ud800b"},
    {"orderRemark": "a\x00b"},
    {"orderRemark": "a\ud800b"},
    {"orderNumber": "x" * 101},
    {"orderNumber": " 12"},
    {"orderNumber": None},
    {"goodsOwnerId": True},
    {"goodsOwnerId": "114"},
    {"goodsOwnerId": 2**63},
    {"goodsOwnerId": 10**400},
    {"goodsOwnerId": -1},
    {"goodsOwnerId": float("nan")},
    {"orderLines": []},
    {"orderLines": {}},
    {"orderLines": None},
    {"orderLines": [{"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": float("inf")}]},
    {"orderLines": [{"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": 1e300}]},
    {"orderLines": [{"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": 10**30}]},
    {"consignee": "Anna"},
    {"deliveryDate": "tomorrow"},
    {"deliveryDate": 20260205},
    {"transporter": "DHL"},
    {"a\ud800": 1},
    {"orderType": []},
)


async def test_what_cannot_be_kept_is_refused_never_a_bug(call: Caller):
    for fields in NOT_STORABLE:
        assert refused(await call("PUT", "/api/v1/orders", an_order(**fields)), 422), fields


NO_ORDERS = (
    (b"", 422),
    (b"null", 422),
    (b"[]", 422),
    (b'"text"', 422),
    (b"{", 400),
    (b"\xff\xfe{}", 400),
    (b'{"orderNumber": "\xff"}', 400),
    (b"[" * 100_000, 400),
    (b'{"goodsOwnerId": ' + b"9" * 5_000 + b"}", 400),
    (b" " * (LARGEST_BODY_BYTES + 1), 413),
)


async def test_a_body_that_is_no_order_is_refused_never_a_bug(call: Caller):
    for body, status in NO_ORDERS:
        refused(await call("PUT", "/api/v1/orders", body), status)


QUESTIONS = (
    "",
    "goodsOwnerId=",
    "goodsOwnerId=abc",
    "goodsOwnerId=-1",
    "goodsOwnerId=+114",
    "goodsOwnerId=1_1",
    "goodsOwnerId=%D9%A1",
    "goodsOwnerId=99999999999999999999",
    "goodsOwnerId=114&maxOrdersToGet=0",
    "goodsOwnerId=114&maxOrdersToGet=1001",
    "goodsOwnerId=114&orderNumber=a%00b",
    "goodsOwnerId=114&colour=red",
    "goodsOwnerId=114&orderStatusChangedTimeFrom=yesterday",
    "goodsOwnerId=114&orderStatusChangedTimeFrom=2026-02-03T12:00:00",
)


async def test_a_question_that_makes_no_sense_is_refused_with_the_parameter(call: Caller):
    for query in QUESTIONS:
        assert refused(await call("GET", f"/api/v1/orders?{query}"), 422), query


async def test_two_wrong_parameters_are_both_named(call: Caller):
    problems = refused(await call("GET", "/api/v1/orders?orderIdFrom=x&colour=red"), 422)
    assert sorted(field for field, _ in problems) == ["colour", "goodsOwnerId", "orderIdFrom"]


NOT_THERE = (
    ("GET", "/api/v1/orders/abc", 422),
    ("GET", "/api/v1/orders/99999999999999999999999", 422),
    ("GET", "/api/v1/orders/9007199254740992", 422),
    ("GET", "/api/v1/orders/9007199254740991", 404),
    ("GET", "/api/v1/articles/1", 404),
    ("GET", "/api/v1/orders?goodsOwnerId=1", 404),
    ("GET", "/api/v1/pallets", 404),
    ("DELETE", "/api/v1/orders", 405),
    ("POST", "/api/v1/warehouse/orders/1/steal", 404),
)


async def test_what_is_not_there_is_refused_in_the_same_shape(call: Caller):
    for method, path, status in NOT_THERE:
        refused(await call(method, path), status)
    answer = await call("DELETE", "/api/v1/orders")
    assert answer.headers["allow"] == "GET, POST, PUT"
    assert answer.body["hint"] == "Possible: GET, POST, PUT."


@pytest.mark.slow
async def test_a_bug_answers_in_the_same_shape_and_tells_nothing_of_itself(floor: Floor):
    floor.publisher = BrokenPublisher(floor.publisher)
    call = Caller(floor)
    with pytest.raises(RuntimeError, match="broken on purpose"):  # for the server's log, after the answer
        await call("PUT", "/api/v1/orders", an_order())
    answer = call.answer()
    refused(answer, 500)
    assert answer.body["code"] == "internal_error"
    assert "on purpose" not in json.dumps(answer.body)


async def test_full_paths_are_answered_below_a_mount_too(floor: Floor, call: Caller):
    order_id = floor.create()
    answer = await call("GET", f"/api/v1/orders/{order_id}", root_path="/api/v1/orders")
    assert answer.body["orderInfo"]["orderId"] == order_id


async def test_the_openapi_document_names_every_path(call: Caller):
    document = (await call("GET", "/api/v1/warehouse/openapi.json")).body
    assert "/api/v1/orders/{orderId}" in document["paths"]
    assert "/api/v1/warehouse/orders/{orderId}/pick" in document["paths"]


@pytest.mark.parametrize(
    "said",
    [(b"sec-fetch-site", b"cross-site"), (b"sec-fetch-site", b"same-site"), (b"origin", b"https://evil.example")],
)
async def test_another_site_moves_nothing_with_what_a_browser_sends_along(
    call: Caller, said: tuple[bytes, bytes]
) -> None:
    order_id = (await call("PUT", "/api/v1/orders", an_order())).body["orderId"]
    answer = await call("POST", f"/api/v1/warehouse/orders/{order_id}/allocate", more=[said])
    refused(answer, 403)
    assert (await call("GET", f"/api/v1/orders/{order_id}", more=[said])).status == 200


async def test_no_answer_is_kept_or_read_as_something_else(call: Caller) -> None:
    put = await call("PUT", "/api/v1/orders", an_order())
    for answer in (put, await call("GET", "/api/v1/orders/1", authorization="")):
        assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
