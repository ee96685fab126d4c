"""The rest of the documented routes about articles, purchase orders and invoices."""

import base64
from collections import Counter
from typing import Any

from dockbell.clock import DAY, to_text
from tests.warehouse.caller import Caller, refused
from tests.warehouse.floor import FJORD, TEA, Floor, an_order
from tests.warehouse.hall import FLOOR, Hall

ARTICLES = "/api/v1/articles"
PURCHASES = "/api/v1/purchaseOrders"


def an_article(number: str, **fields: Any) -> dict[str, Any]:
    return {"goodsOwnerId": TEA, "articleNumber": number, "articleName": f"Article {number}", **fields}


async def found(hall: Hall, query: str) -> list[str]:
    rows = await hall.get(f"{ARTICLES}?goodsOwnerId={TEA}&{query}")
    return [row["articleNumber"] for row in rows]


# --- Articles --------------------------------------------------------------------------------------------


async def test_articles_are_found_by_codes_classes_and_stock_limit(hall: Hall):
    classes = {"classes": [{"code": "FOOD"}]}
    await hall.put(ARTICLES, an_article("N-1", productCode='A"1', stockLimit=1, articleClassesInfo=classes))
    await hall.put(ARTICLES, an_article("N-2", productCode="A2", barCodeInfo={"barCode": "731"}, stockLimit=0))
    await hall.put(ARTICLES, an_article("N-3", barCodeInfo={"barCode": "732"}))
    assert await found(hall, "productCode=A%221") == ["N-1"]
    assert await found(hall, "productCodes=A2&productCodes=A%221") == ["N-1", "N-2"]
    assert await found(hall, "productCode=A2&productCodes=A%221") == ["N-1", "N-2"]
    assert await found(hall, "productCode=A") == []
    assert await found(hall, "barCodes=731&barCodes=732") == ["N-2", "N-3"]
    assert await found(hall, "articleClassIds=32") == ["N-1"]
    assert await found(hall, "articleClassIds=31") == []
    assert await found(hall, "onlyArticlesBelowStockLimit=true") == ["N-1"]
    [listed] = await hall.get(f"{ARTICLES}?goodsOwnerId={TEA}&articleNumber=N-1")
    assert listed["classes"] == [{"id": 32, "code": "FOOD", "name": "Food"}]
    known = (await hall.get(f"{ARTICLES}/classes"))["articleClasses"]
    assert [each["code"] for each in known] == ["FRAGILE", "FOOD"]


async def test_an_article_is_changed_by_its_id_with_its_number(floor: Floor, hall: Hall):
    await hall.put(ARTICLES, an_article("N-1"))
    await hall.put(ARTICLES, an_article("N-2"))
    path = f"{ARTICLES}/{await hall.article_id('N-1')}"
    told = hall.listen()
    await hall.put(path, an_article("N-9", articleClassesInfo={"classes": [{"code": "FRAGILE"}]}))
    assert told.one("article.updated")["articleNumber"] == "N-9"
    await hall.put(path, an_article("N-9", articleClassesInfo={"classes": [{"code": "FRAGILE"}]}))
    assert told.types() == ["article.updated"], "what is the same is no change"
    before = floor.everything()
    assert (await hall.call("PUT", path, an_article("N-2"))).body["code"] == "number_taken"
    wrong = an_article(
        "N-9",
        articleClassesInfo={"classes": [{"code": "X"}]},
        structureDefinition={"articleKind": "Structure", "rows": [{"articleNumber": "N-9"}, {"articleNumber": "N-8"}]},
    )
    assert refused(await hall.call("PUT", path, wrong), 422) == [
        ("articleClassesInfo.classes[0].code", "article_class"),
        ("structureDefinition.rows[0].articleNumber", "article"),
        ("structureDefinition.rows[1].articleNumber", "article"),
    ]
    other = {**an_article("F"), "goodsOwnerId": FJORD}
    assert refused(await hall.call("PUT", path, other), 422) == [("goodsOwnerId", "goods_owner")]
    assert floor.everything() == before


async def test_structures_are_listed_by_kind(hall: Hall):
    rows = [{"articleNumber": "TEA-001", "numberOfItems": 2}, {"articleNumber": "TEA-103"}]
    await hall.put(ARTICLES, an_article("SET", structureDefinition={"articleKind": "Structure", "rows": rows}))
    query = f"{ARTICLES}/structureDefinitions?goodsOwnerId={TEA}"
    [kept] = await hall.get(f"{query}&articleKind=Structure")
    tea, tin = await hall.article_id("TEA-001"), await hall.article_id("TEA-103")
    assert kept == {
        "articleSystemId": await hall.article_id("SET"),
        "articleNumber": "SET",
        "articleKind": "Structure",
        "rows": [
            {"articleSystemId": tea, "articleNumber": "TEA-001", "numberOfItems": 2},
            {"articleSystemId": tin, "articleNumber": "TEA-103", "numberOfItems": 1},
        ],
    }
    assert await hall.get(f"{query}&articleKind=Production") == []
    assert await hall.get(f"{ARTICLES}/{kept['articleSystemId']}/structureDefinition") == kept
    assert (await hall.get(f"{ARTICLES}/{tea}/structureDefinition"))["rows"] == []
    assert refused(await hall.call("GET", query), 422) == [("articleKind", "required")]


async def test_dangerous_goods_are_written_told_and_listed(hall: Hall):
    goods = {"unNumber": "1950", "unIsMarineHazard": True, "unLabelNumbers": "2.1"}
    told = hall.listen()
    document = {"goodsOwnerId": TEA, "articleNumber": "TEA-101", "dangerousGoods": goods}
    article_id = (await hall.put(f"{ARTICLES}/dangerousGoods", document))["articleSystemId"]
    await hall.put(f"{ARTICLES}/{article_id}/dangerousGoods", goods)
    assert told.types() == ["article.updated"], "the second is the same"
    kept = await hall.get(f"{ARTICLES}/{article_id}/dangerousGoods")
    assert kept["dangerousGoods"]["unNumber"] == {"unNumber": "1950"}
    assert (kept["dangerousGoods"]["unIsMarineHazard"], kept["dangerousGoods"]["emsCode"]) == (True, None)
    assert await hall.get(f"{ARTICLES}/dangerousGoods?goodsOwnerId={TEA}") == [kept]
    assert await hall.get(f"{ARTICLES}/dangerousGoods?goodsOwnerId={TEA}&articleNumbers=TEA-001") == []
    harmless = await hall.article_id("TEA-001")
    assert (await hall.get(f"{ARTICLES}/{harmless}/dangerousGoods"))["dangerousGoods"] is None
    bad = {**document, "articleNumber": "TEA-000"}
    assert refused(await hall.call("PUT", f"{ARTICLES}/dangerousGoods", bad), 422) == [("articleNumber", "article")]
    assert refused(await hall.call("PUT", f"{ARTICLES}/{harmless}/dangerousGoods", {"unNumber": "x"}), 422) == [
        ("unNumber", "pattern")
    ]


async def test_the_stock_of_an_earlier_moment_is_computed_from_the_ledger(floor: Floor, hall: Hall):
    async def history(moment: int, more: str = "") -> dict[str, Any]:
        query = f"goodsOwnerId={TEA}&stockDate={to_text(moment)}{more}"
        return dict(await hall.get(f"{ARTICLES}/historicalInventory?{query}"))

    async def count(moment: int) -> int:
        rows = (await history(moment))["articles"]
        return int(next((row["numberOfItems"] for row in rows if row["articleNumber"] == "TEA-101"), 0))

    def counts(told: dict[str, Any]) -> Counter[str]:
        return Counter({row["articleNumber"]: row["numberOfItems"] for row in told["articles"]})

    assert (await history(floor.clock.now() - DAY))["articles"] == []
    moments = [floor.clock.now()]
    purchase_order_id = await hall.purchase_order(("TEA-101", 3))
    await hall.receive(purchase_order_id, "1", 3, batch="B-9", locationId=311)
    moments.append(floor.clock.now())
    line = [{"rowNumber": "1", "articleNumber": "TEA-101", "numberOfItems": 100}]
    order_id = await hall.order("allocate", orderLines=line)
    moments.append(floor.clock.now())
    for step in ("pick", "send"):
        await hall.do(f"orders/{order_id}/{step}")
    moments.append(floor.clock.now())
    await hall.do(f"orders/{order_id}/return", lines=[{"rowNumber": "1", "numberOfItems": 40}])
    moments.append(floor.clock.now())
    item = await hall.item("TEA-101")
    adjustment = {"articleItemId": item["articleItemId"], "numberOfItems": -7}
    await hall.do("inventoryAdjustments", goodsOwnerId=TEA, adjustments=[adjustment])
    moments.append(floor.clock.now())
    assert [await count(moment) for moment in moments] == [500, 503, 503, 403, 443, 436]
    [row] = [row for row in (await history(moments[1]))["articles"] if row["articleNumber"] == "TEA-101"]
    assert [(each["batch"], each["numberOfItems"]) for each in row["articleItems"]] == [("", 500), ("B-9", 3)]
    everywhere, *each = [counts(await history(moments[1], of)) for of in ("", "&warehouseId=1", "&warehouseId=2")]
    assert everywhere == each[0] + each[1]
    query = f"{ARTICLES}/historicalInventory?goodsOwnerId={TEA}"
    assert refused(await hall.call("GET", query), 422) == [("stockDate", "required")]
    assert refused(await hall.call("GET", f"{query}&stockDate={to_text(1)}&warehouseId=9"), 422) == [
        ("warehouseId", "warehouse")
    ]


async def test_goods_that_go_to_another_warehouse_are_history_there(floor: Floor, hall: Hall):
    there_now = (await hall.get("/api/v1/warehouses/2/locations"))[0]["locationId"]
    item = await hall.item("TEA-101")
    before = floor.clock.now()
    await hall.do(f"articleItems/{item['articleItemId']}/move", toLocationId=there_now, numberOfItems=4)

    async def there(moment: int, warehouse: int) -> int:
        query = f"goodsOwnerId={TEA}&stockDate={to_text(moment)}&warehouseId={warehouse}"
        rows = (await hall.get(f"{ARTICLES}/historicalInventory?{query}"))["articles"]
        return int(sum(row["numberOfItems"] for row in rows if row["articleNumber"] == "TEA-101"))

    assert [await there(before, each) for each in (1, 2)] == [500, 0]
    assert [await there(floor.clock.now(), each) for each in (1, 2)] == [496, 4]


# --- Purchase orders -------------------------------------------------------------------------------------


async def test_a_purchase_order_posted_is_new_and_one_put_by_its_id_is_changed(floor: Floor, hall: Hall):
    lines = [{"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": 5}]
    document = {"goodsOwnerId": TEA, "purchaseOrderNumber": "PO-1", "purchaseOrderLines": lines}
    made = (await hall.ask("POST", PURCHASES, document))["purchaseOrderId"]
    assert (await hall.call("POST", PURCHASES, document)).body["code"] == "number_taken"
    other = await hall.purchase_order(purchaseOrderNumber="PO-2")
    told = hall.listen()
    changed = {**document, "purchaseOrderNumber": "PO-9", "purchaseOrderLines": [{**lines[0], "numberOfItems": 6}]}
    await hall.put(f"{PURCHASES}/{made}", changed)
    assert told.types() == ["purchase-order-line.changed"]
    kept = await hall.get(f"{PURCHASES}/{made}")
    assert kept["purchaseOrderInfo"]["purchaseOrderNumber"] == "PO-9"
    before = floor.everything()
    taken = await hall.call("PUT", f"{PURCHASES}/{other}", changed)
    assert taken.body["code"] == "number_taken"
    foreign = {**changed, "goodsOwnerId": FJORD}
    assert refused(await hall.call("PUT", f"{PURCHASES}/{made}", foreign), 422) == [("goodsOwnerId", "goods_owner")]
    assert floor.everything() == before


async def test_a_purchase_order_is_changed_field_by_field_until_it_is_received(hall: Hall):
    number = await hall.purchase_order()
    told = hall.listen()
    for field, value in (
        ("purchaseOrderNumber", "PO-7"),
        ("inDate", "2026-03-01"),
        ("advisedDate", "2026-03-02"),
        ("freeText1", "a"),
        ("freeText2", "b"),
        ("freeText3", "c"),
        ("freeBool1", True),
    ):
        await hall.patch(f"{PURCHASES}/{number}/{field}", {field: value})
        assert (await hall.get(f"{PURCHASES}/{number}"))["purchaseOrderInfo"][field] == value
    assert told.types() == []
    refused(await hall.call("PATCH", f"{PURCHASES}/{number}/freeBool1", {"freeBool1": "yes"}), 422)
    await hall.do(f"purchaseOrders/{number}/finish")
    refused(await hall.call("PATCH", f"{PURCHASES}/{number}/advisedDate", {"advisedDate": "2026-03-02"}), 409)


async def test_batches_and_serials_are_advised_line_by_line(floor: Floor, hall: Hall):
    number = await hall.purchase_order(("TEA-001", 10), ("TEA-101", 2))
    path = f"{PURCHASES}/{number}/articleItems"
    first, second = [line["id"] for line in (await hall.get(f"{PURCHASES}/{number}"))["purchaseOrderLines"]]
    told = hall.listen()
    batch = {"purchaseOrderLineId": first, "numberOfItems": 6, "batch": "B-1", "expiryDate": "2027-01-01"}
    serial = {"purchaseOrderLineId": second, "serial": "S-1"}
    await hall.put(path, {"items": [batch, serial]})
    lines = [body["purchaseOrderLineInfo"]["purchaseOrderLineId"] for body in told.each("purchase-order-line.changed")]
    assert lines == [first, second]
    await hall.put(path, {"items": [batch]})
    assert len(told.types()) == 2, "what is the same is no change"
    kept = (await hall.get(f"{PURCHASES}/{number}"))["purchaseOrderLines"]
    assert [[(each["batch"], each["serial"], each["numberOfItems"]) for each in line["advisedArticleItems"]] for line in kept] == [
        [("B-1", "", 6)],
        [("", "S-1", 1)],
    ]  # fmt: skip
    before = floor.everything()
    wrong = [
        {"purchaseOrderLineId": 1},
        {"purchaseOrderLineId": second, "serial": "S-2", "numberOfItems": 2},
        {"purchaseOrderLineId": first, "numberOfItems": 6},
        {"purchaseOrderLineId": first, "numberOfItems": 5},
    ]
    assert refused(await hall.call("PUT", path, {"items": wrong}), 422) == [
        ("items[0].purchaseOrderLineId", "purchase_order_line"),
        ("items[1].serial", "serial"),
        ("items", "quantity"),
    ]
    assert floor.everything() == before
    document = {"goodsOwnerId": TEA, "purchaseOrderNumber": "PO-1"}
    only = [{"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": 10}]
    await hall.put(PURCHASES, {**document, "purchaseOrderLines": only})
    await hall.do(f"purchaseOrders/{number}/finish")
    refused(await hall.call("PUT", path, {"items": [batch]}), 409)


# --- Invoices --------------------------------------------------------------------------------------------


async def test_a_month_is_invoiced_once_by_what_was_done_in_it(floor: Floor, hall: Hall, call: Caller):
    month = to_text(floor.clock.now())[:7]
    early = await call("POST", "/api/v1/warehouse/invoices", {"goodsOwnerId": TEA, "month": month})
    assert refused(early, 422) == [("month", "range")]
    order_id = await hall.order("allocate", "pick", "pack", "send")
    purchase_order_id = await hall.purchase_order(("TEA-001", 7))
    await hall.receive(purchase_order_id, "1", 7)
    await hall.do(f"orders/{order_id}/return", lines=[{"rowNumber": "1", "numberOfItems": 2}])
    floor.clock.advance(31 * DAY)
    await hall.do(f"orders/{order_id}/return", lines=[{"rowNumber": "1", "numberOfItems": 1}])
    made = await hall.ask("POST", "/api/v1/warehouse/invoices", {"goodsOwnerId": TEA, "month": month})
    path = f"/api/v1/invoices/{made['invoiceId']}"
    invoice = await hall.get(path)
    of_order = {
        charge["invoiceArticle"]["code"]: (charge["numberOfItems"], charge["price"])
        for charge in invoice["invoiceCharges"]
        if charge["orderContext"] and charge["orderContext"]["orderId"] == order_id
    }
    assert of_order == {"ORDER": (1, 25.0), "PICK": (8, 3.0), "PARCEL": (1, 12.0), "RETURN": (2, 4.5)}
    [came] = [
        charge
        for charge in invoice["invoiceCharges"]
        if charge["purchaseOrderContext"] and charge["purchaseOrderContext"]["purchaseOrderId"] == purchase_order_id
    ]
    assert (came["invoiceArticle"]["code"], came["numberOfItems"], came["price"]) == ("IN", 7, 1.5)
    total = sum(charge["numberOfItems"] * charge["price"] for charge in invoice["invoiceCharges"])
    assert invoice["invoiceInfo"]["invoiceAmount"] == total
    assert invoice["goodsOwner"] == {"id": TEA, "name": "Nordic Tea AB"}
    charges = await hall.get(f"/api/v1/orders/{order_id}/invoiceCharges")
    assert {(each["invoiceId"], each["invoiceArticle"]["code"]) for each in charges} == {
        (made["invoiceId"], code) for code in of_order
    }
    again = await call("POST", "/api/v1/warehouse/invoices", {"goodsOwnerId": TEA, "month": month})
    assert again.body["code"] == "number_taken"
    await hall.do(f"orders/{order_id}/return", lines=[{"rowNumber": "2", "numberOfItems": 3}])
    assert await hall.get(path) == invoice, "what was invoiced stays"
    empty = await call("POST", "/api/v1/warehouse/invoices", {"goodsOwnerId": TEA, "month": "2025-01"})
    assert empty.body["code"] == "impossible_step"


async def test_invoices_are_listed_by_id_and_date_in_pages(floor: Floor, hall: Hall):
    month = to_text(floor.clock.now())[:7]
    floor.clock.advance(31 * DAY)
    next_month = to_text(floor.clock.now())[:7]
    await hall.order("allocate", "pick", "send")
    first = (await hall.ask("POST", "/api/v1/warehouse/invoices", {"goodsOwnerId": TEA, "month": month}))["invoiceId"]
    floor.clock.advance(31 * DAY)
    between = to_text(floor.clock.now())
    new = {"goodsOwnerId": TEA, "month": next_month}
    second = (await hall.ask("POST", "/api/v1/warehouse/invoices", new))["invoiceId"]

    async def listed(query: str, owner: int = TEA) -> list[int]:
        rows = await hall.get(f"/api/v1/invoices?goodsOwnerId={owner}&{query}")
        return [row["invoiceInfo"]["invoiceId"] for row in rows]

    assert await listed("maxInvoicesToGet=1") == [first]
    assert await listed(f"invoiceIdFrom={first + 1}") == [second]
    assert await listed(f"invoiceIds={second}") == [second]
    assert await listed(f"invoiceDateFrom={between}") == [second]
    assert await listed(f"invoiceDateTo={between}") == [first]
    assert await listed("", FJORD) == []


async def test_the_new_routes_are_open_to_basic_authentication_and_closed_without_a_key(call: Caller):
    key = call.key("read", owners=[TEA])
    basic = "Basic " + base64.b64encode(f"any:{key}".encode()).decode()
    for path in ("invoices", "articles/dangerousGoods", "orders/pickability"):
        target = f"/api/v1/{path}?goodsOwnerId={TEA}"
        assert (await call("GET", target, authorization=basic)).status == 200
        refused(await call("GET", target, authorization=""), 401)
    refused(await call("POST", "/api/v1/orders", an_order(), authorization=f"Bearer {key}"), 403)


async def test_an_article_that_an_open_production_order_takes_or_makes_is_not_deleted(hall: Hall):
    for number in ("SET", "PART"):
        await hall.put(ARTICLES, an_article(number))
    parts = [{"articleNumber": "PART", "numberOfItems": 1}]
    document = {"productionOrderNumber": "MO", "articleNumber": "SET", "numberOfItems": 1, "parts": parts}
    made = (await hall.do("productionOrders", goodsOwnerId=TEA, **document))["productionOrderId"]
    paths = [f"{ARTICLES}/{await hall.article_id(number)}" for number in ("SET", "PART")]
    for path in paths:
        refused(await hall.call("DELETE", path), 409)
    await hall.do(f"productionOrders/{made}/status", productionOrderStatusNumber=900)
    for path in paths:
        await hall.ask("DELETE", path)


async def test_goods_received_onto_a_pallet_lie_where_it_stands(hall: Hall):
    purchase_order = await hall.purchase_order()
    pallet = (await hall.do("palletItems", goodsOwnerId=TEA, labelId="P-1", locationId=900))["palletItemId"]
    told = hall.listen()
    await hall.receive(purchase_order, "1", 3, palletItemId=pallet)
    assert (await hall.item("TEA-001"))["location"] == "BUF-07"
    assert told.all()[-1]["data"]["movement"]["to"]["toLocation"] == "BUF-07"
    line = {"rowNumber": "1", "numberOfItems": 1, "palletItemId": pallet, "locationId": 100}
    answer = await hall.call("POST", f"{FLOOR}/purchaseOrders/{purchase_order}/receive", {"lines": [line]})
    assert refused(answer, 422) == [("lines[0].locationId", "location")]


async def test_a_move_is_a_change_of_stock_to_who_asks_what_changed(hall: Hall):
    """Fewer can be sold once they lie in a place that is locked for sale."""
    article = f"{ARTICLES}/{await hall.article_id('TEA-001')}"
    before = (await hall.get(article))["inventoryInfo"]["sellableNumberOfItems"]
    item = await hall.item("TEA-001")
    hall.floor.clock.advance(DAY)
    changed_since = f"stockInfoChangedFrom={to_text(hall.floor.clock.now())}"
    assert await found(hall, changed_since) == []
    await hall.do(f"articleItems/{item['articleItemId']}/move", toLocationId=940)
    assert (await hall.get(article))["inventoryInfo"]["sellableNumberOfItems"] < before
    assert await found(hall, changed_since) == ["TEA-001"]


async def test_nothing_comes_back_to_an_article_that_was_deleted_until_it_is_made_again(hall: Hall):
    """Neither found in a count nor sent back by a customer: no list would show it."""
    await hall.put(ARTICLES, an_article("X-1"))
    purchase_order = await hall.purchase_order(("X-1", 3))
    await hall.receive(purchase_order, "1", 3)
    await hall.do(f"purchaseOrders/{purchase_order}/finish")
    line = {"rowNumber": "1", "articleNumber": "X-1", "numberOfItems": 2}
    order_id = await hall.order("allocate", "pick", "send", orderLines=[line])
    item, article_id = (await hall.item("X-1"))["articleItemId"], await hall.article_id("X-1")

    def adjusted(count: int) -> dict[str, Any]:
        return {"goodsOwnerId": TEA, "adjustments": [{"articleItemId": item, "numberOfItems": count}]}

    await hall.do("inventoryAdjustments", **adjusted(-1))
    await hall.ask("DELETE", f"{ARTICLES}/{article_id}")
    back = {"lines": [{"rowNumber": "1", "numberOfItems": 2}]}
    for path, body in (("inventoryAdjustments", adjusted(4)), (f"orders/{order_id}/return", back)):
        answer = await hall.call("POST", f"{FLOOR}/{path}", body)
        refused(answer, 409)
        assert answer.body["detail"] == "There is no article X-1 any more: it was deleted."
    await hall.put(ARTICLES, an_article("X-1"))
    await hall.do("inventoryAdjustments", **adjusted(4))
    await hall.do(f"orders/{order_id}/return", **back)
    assert hall.floor.stock("X-1") == (6, 0)


async def test_the_batches_advised_of_a_row_go_when_less_or_something_else_is_to_come(hall: Hall):
    async def advised() -> list[Any]:
        [line] = (await hall.get(f"{PURCHASES}/{purchase_order}"))["purchaseOrderLines"]
        return [(line["advisedNumberOfItems"], item["numberOfItems"]) for item in line["advisedArticleItems"]]

    purchase_order = await hall.purchase_order(("TEA-001", 10))
    [line] = (await hall.get(f"{PURCHASES}/{purchase_order}"))["purchaseOrderLines"]
    item = {"purchaseOrderLineId": line["id"], "numberOfItems": 10, "batch": "B-7"}
    for article, count, left in (("TEA-001", 12, [(12, 10)]), ("TEA-001", 4, []), ("TEA-102", 10, [])):
        await hall.purchase_order(("TEA-001", 10))
        await hall.put(f"{PURCHASES}/{purchase_order}/articleItems", {"items": [item]})
        await hall.purchase_order((article, count))
        assert await advised() == left
