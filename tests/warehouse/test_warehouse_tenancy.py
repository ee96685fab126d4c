"""Whatever a key asks for: what belongs to another goods owner answers like what does not exist, and nothing changes."""

import json
import re
from typing import Any

import pytest

from dockbell.clock import DAY, to_text
from tests.warehouse.caller import Caller, refused
from tests.warehouse.floor import FJORD, TEA, Floor, an_order
from tests.warehouse.hall import Hall

UNKNOWN = 987_654_321
FILE = {"fileName": "label.pdf", "mimeType": "application/pdf", "fileDataBase64": "JVBERi0="}
FREE = re.compile(
    r"/api/v1/((orders|purchaseOrders|returnOrders|shipments|productionOrders|articleItems)/statuses|(orders|purchaseOrders)/types"
    r"|(orders|articles)/classes|orders/wayOfDeliveryTypes"
    r"|returnOrders/returnCauses|warehouses.*|transporterContracts|parcelTypes|warehouse/(users|computers))"
)
"""Lists that are the same for everybody with a key."""
ITEM_LINE = {"rowNumber": "1", "numberOfItems": 1}
PACKAGES = {"numberOfPackages": 1, "parcelType": {"code": "BOX-M"}}
BODIES: dict[str, Any] = {
    "patch /api/v1/orders/{orderId}/orderStatus": {"orderStatusNumber": 1000},
    "patch /api/v1/orders/{orderId}/orderNumber": {"orderNumber": "Mine"},
    "patch /api/v1/orders/{orderId}/deliveryDate": {"deliveryDate": "2026-02-05"},
    "patch /api/v1/orders/{orderId}/servicePointCode": {"servicePointCode": "1"},
    "patch /api/v1/orders/{orderId}/orderRemark": {"orderRemark": "1"},
    "patch /api/v1/orders/{orderId}/warehouseInstruction": {"warehouseInstruction": "1"},
    "patch /api/v1/orders/{orderId}/freeText1": {"freeText1": "1"},
    "patch /api/v1/orders/{orderId}/freeText2": {"freeText2": "1"},
    "patch /api/v1/orders/{orderId}/freeText3": {"freeText3": "1"},
    "patch /api/v1/orders/{orderId}/transporter": {"transporterCode": "DHL"},
    "patch /api/v1/orders/{orderId}/waybill": {"waybill": "1"},
    "patch /api/v1/orders/{orderId}/returnWaybill": {"returnWaybill": "1"},
    "put /api/v1/orders/{orderId}/orderTracking": {"tracking": []},
    "put /api/v1/orders/{orderId}/parcels/{parcelId}/parcelTracking": {"trackingUrl": None},
    "put /api/v1/orders/{orderId}": an_order(goodsOwnerId=FJORD),
    "put /api/v1/orders/{orderId}/parcels": {"parcelNumber": "1"},
    "put /api/v1/orders/{orderId}/parcels/{parcelId}": {"parcelNumber": "1"},
    "put /api/v1/orders/{orderId}/wayBillRows": {"wayBillRows": []},
    "post /api/v1/orders/{orderId}/wayBillRows": PACKAGES,
    "patch /api/v1/orders/{orderId}/wayBillRows/{wayBillRowId}": PACKAGES,
    "put /api/v1/articles/{articleSystemId}": {"goodsOwnerId": FJORD, "articleNumber": "F", "articleName": "Mine"},
    "put /api/v1/articles/{articleSystemId}/dangerousGoods": {"unNumber": "1950"},
    "put /api/v1/purchaseOrders/{purchaseOrderId}": {
        "goodsOwnerId": FJORD,
        "purchaseOrderNumber": "Mine",
        "purchaseOrderLines": [{"rowNumber": "1", "articleNumber": "FO-1000", "numberOfItems": 1}],
    },
    "put /api/v1/purchaseOrders/{purchaseOrderId}/articleItems": {"items": [{"purchaseOrderLineId": 1}]},
    "patch /api/v1/purchaseOrders/{purchaseOrderId}/advisedDate": {"advisedDate": "2026-02-05"},
    "patch /api/v1/purchaseOrders/{purchaseOrderId}/freeBool1": {"freeBool1": True},
    **{
        f"patch /api/v1/purchaseOrders/{{purchaseOrderId}}/freeText{number}": {f"freeText{number}": "1"}
        for number in (1, 2, 3)
    },
    "patch /api/v1/orders/{orderId}/lines/{orderLineId}/reportedNumberOfItems": {"reportedNumberOfItems": 0},
    "post /api/v1/warehouse/orders/{orderId}/return": {"lines": [ITEM_LINE]},
    "post /api/v1/warehouse/articleItems/{articleItemId}/move": {"toLocationId": 900},
    "post /api/v1/warehouse/articleItems/{articleItemId}/status": {"articleItemStatusCode": "QUAR"},
    "patch /api/v1/purchaseOrders/{purchaseOrderId}/purchaseOrderStatus": {"purchaseOrderStatusNumber": 900},
    "patch /api/v1/purchaseOrders/{purchaseOrderId}/purchaseOrderNumber": {"purchaseOrderNumber": "Mine"},
    "patch /api/v1/purchaseOrders/{purchaseOrderId}/inDate": {"inDate": "2026-02-05"},
    "patch /api/v1/purchaseOrders/{purchaseOrderId}/lines/{purchaseOrderLineId}/reportedNumberOfItems": {
        "reportedNumberOfItems": 0
    },
    "post /api/v1/warehouse/purchaseOrders/{purchaseOrderId}/receive": {"lines": [ITEM_LINE]},
    "post /api/v1/warehouse/shipments/{shipmentId}/status": {"shipmentStatusNumber": 200},
    "post /api/v1/warehouse/productionOrders/{productionOrderId}/status": {"productionOrderStatusNumber": 300},
    "patch /api/v1/returnOrders/{returnOrderId}/returnOrderStatus": {"returnOrderStatusNumber": 500},
    "patch /api/v1/warehouse/movementOrders/{movementId}": {"assignedUserId": 1},
    "patch /api/v1/warehouse/movementPalletItems/{movementId}": {"assignedUserId": 1},
    **{
        f"put /api/v1/{noun}/{{objectId}}/files": FILE for noun in ("orders", "purchaseOrders", "shipments", "articles")
    },
}
NEEDED = {
    "/api/v1/articles/historicalInventory": {"stockDate": "2030-01-01T00:00:00Z"},
    "/api/v1/articles/structureDefinitions": {"articleKind": "Structure"},
}
LINES = [{"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": 1}]
MADE: dict[str, Any] = {
    "put /api/v1/orders": an_order(),
    "post /api/v1/orders": an_order(),
    "put /api/v1/articles/dangerousGoods": {
        "goodsOwnerId": TEA,
        "articleNumber": "TEA-001",
        "dangerousGoods": {"unNumber": "1950"},
    },
    "post /api/v1/purchaseOrders": {"goodsOwnerId": TEA, "purchaseOrderNumber": "PO-1", "purchaseOrderLines": LINES},
    "post /api/v1/warehouse/invoices": {"goodsOwnerId": TEA, "month": "2025-01"},
    "put /api/v1/articles": {"goodsOwnerId": TEA, "articleNumber": "TEA-001", "articleName": "Stolen"},
    "put /api/v1/purchaseOrders": {"goodsOwnerId": TEA, "purchaseOrderNumber": "PO-1", "purchaseOrderLines": LINES},
    "put /api/v1/returnOrders": {
        "goodsOwnerId": TEA,
        "returnOrderNumber": "R-1",
        "orderId": 1,
        "returnOrderLines": [{"orderLineId": 1, "numberOfItems": 1}],
    },
    "post /api/v1/warehouse/inventoryAdjustments": {
        "goodsOwnerId": TEA,
        "adjustments": [{"articleItemId": 1, "numberOfItems": 1}],
    },
    "post /api/v1/warehouse/shipments": {"goodsOwnerId": TEA, "direction": "inbound", "shipmentOrderNumber": "S"},
    "post /api/v1/warehouse/productionOrders": {
        "goodsOwnerId": TEA,
        "productionOrderNumber": "M",
        "articleNumber": "TEA-001",
        "numberOfItems": 1,
        "parts": [{"articleNumber": "TEA-002", "numberOfItems": 1}],
    },
    "post /api/v1/warehouse/palletItems": {"goodsOwnerId": TEA, "labelId": "P"},
}
"""Making something for a goods owner that the key does not see."""


async def teas(hall: Hall) -> dict[str, int]:
    """One of everything, all Nordic Tea's: ids by the names of the paths' parameters."""
    order_id = await hall.order("allocate", "pick", "pack", "send")
    await hall.do(f"orders/{order_id}/return", lines=[ITEM_LINE])
    order = await hall.get(f"/api/v1/orders/{order_id}")
    purchase_order_id = await hall.purchase_order()
    await hall.receive(purchase_order_id, "1", 1)
    [line] = (await hall.get(f"/api/v1/purchaseOrders/{purchase_order_id}"))["purchaseOrderLines"]
    item_id = (await hall.item("TEA-001"))["articleItemId"]
    other = await hall.order("allocate", orderNumber="SO-2")
    pallet = (await hall.do("palletItems", goodsOwnerId=TEA, labelId="P"))["palletItemId"]
    adjustment = {"articleItemId": item_id, "numberOfItems": 1}
    production = MADE["post /api/v1/warehouse/productionOrders"]
    [returned] = await hall.get(f"/api/v1/returnOrders?goodsOwnerId={TEA}")
    row = await hall.ask("POST", f"/api/v1/orders/{order_id}/wayBillRows", PACKAGES)
    made = {
        "orderId": order_id,
        "wayBillRowId": row["wayBillRowId"],
        "orderLineId": order["orderLines"][0]["id"],
        "parcelId": order["parcels"][0]["id"],
        "purchaseOrderId": purchase_order_id,
        "purchaseOrderLineId": line["id"],
        "articleSystemId": await hall.article_id("TEA-001"),
        "articleItemId": item_id,
        "palletItemId": pallet,
        "pickOrderId": (await hall.do("pickOrders", orderIds=[other]))["pickOrderId"],
        "movement order": (await hall.do("movementOrders", articleItemId=item_id, toLocationId=900))["movementId"],
        "movement pallet item": (await hall.do("movementPalletItems", palletItemId=pallet, toLocationId=900))[
            "movementId"
        ],
        "inventoryId": (await hall.do("inventoryAdjustments", goodsOwnerId=TEA, adjustments=[adjustment]))[
            "inventoryId"
        ],
        "shipmentId": (await hall.do("shipments", goodsOwnerId=TEA, direction="inbound", shipmentOrderNumber="S"))[
            "shipmentId"
        ],
        "productionOrderId": (await hall.do("productionOrders", **production))["productionOrderId"],
        "returnOrderId": returned["returnOrderInfo"]["returnOrderId"],
        "fileId": (await hall.put(f"/api/v1/orders/{order_id}/files", FILE))["fileId"],
    }
    month = to_text(hall.floor.clock.now())[:7]
    hall.floor.clock.advance(31 * DAY)
    invoice = await hall.ask("POST", "/api/v1/warehouse/invoices", {"goodsOwnerId": TEA, "month": month})
    return {**made, "invoiceId": invoice["invoiceId"]}


def ids_for(path: str, ids: dict[str, int]) -> dict[str, int]:
    of = {"orders": "orderId", "purchaseOrders": "purchaseOrderId", "shipments": "shipmentId"}
    more = {"objectId": ids[of.get(path.split("/")[3], "articleSystemId")]}
    more["movementId"] = ids["movement order" if "movementOrders" in path else "movement pallet item"]
    return ids | more


async def routes_of(call: Caller) -> list[tuple[str, str, dict[str, Any]]]:
    document = (await call("GET", "/api/v1/warehouse/openapi.json")).body
    return [
        (method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


@pytest.mark.slow
async def test_another_goods_owners_things_answer_like_those_that_do_not_exist(floor: Floor, call: Caller, hall: Hall):
    ids = await teas(hall)
    fjord = f"Bearer {call.key('read', 'publish', owners=[FJORD])}"
    before = floor.everything()
    tried = 0
    for method, path, _ in await routes_of(call):
        names = re.findall(r"{(\w+)}", path)
        route = f"{method} {path}"
        if not names or FREE.fullmatch(path):
            continue
        known = ids_for(path, ids)
        body = BODIES.get(route, {} if method == "post" else None)
        foreign = await call(
            method.upper(), path.format(**{name: known[name] for name in names}), body, authorization=fjord
        )
        unknown = await call(method.upper(), path.format(**dict.fromkeys(names, UNKNOWN)), body, authorization=fjord)
        assert foreign.status == unknown.status == 404, (route, foreign.status, unknown.status, foreign.body)
        assert {name: foreign.body[name] for name in ("code", "title")} == {
            name: unknown.body[name] for name in ("code", "title")
        }, route
        same = json.dumps(foreign.body)
        for name in names:
            same = same.replace(str(known[name]), str(UNKNOWN))
        assert same == json.dumps(unknown.body), route
        tried += 1
    assert tried > 60
    assert floor.everything() == before


async def test_lists_and_makings_for_another_goods_owner_are_refused(floor: Floor, call: Caller):
    fjord = f"Bearer {call.key('read', 'publish', owners=[FJORD])}"
    before = floor.everything()
    listed = 0
    for method, path, operation in await routes_of(call):
        if method == "get" and any(each["name"] == "goodsOwnerId" for each in operation.get("parameters", ())):
            more = "".join(f"&{name}={value}" for name, value in NEEDED.get(path, {}).items())
            refused(await call("GET", f"{path}?goodsOwnerId={TEA}{more}", authorization=fjord), 404)
            own = await call("GET", f"{path}?goodsOwnerId={FJORD}{more}", authorization=fjord)
            assert own.status == 200
            assert "TEA-0" not in json.dumps(own.body)
            assert str(TEA) not in re.findall(r'"goodsOwnerId": (\d+)', json.dumps(own.body))
            listed += 1
    for route, body in MADE.items():
        method, path = route.split()
        refused(await call(method.upper(), path, body, authorization=fjord), 404)
    assert listed >= 16
    assert floor.everything() == before


async def test_what_a_thing_refers_to_must_be_the_same_goods_owners(floor: Floor, call: Caller, hall: Hall):
    """A key for both goods owners cannot mix their goods either."""
    order_id = floor.create()
    [item] = await hall.items("TEA-001")
    [fjords] = floor.rows(f"SELECT id FROM wms_orders WHERE goods_owner_id = {FJORD} AND number = '3001'")
    pallet = (await hall.do("palletItems", goodsOwnerId=FJORD, labelId="P"))["palletItemId"]
    purchase_order_id = await hall.purchase_order()
    before = floor.everything()
    mixed: list[tuple[str, Any]] = [
        ("pickOrders", {"orderIds": [order_id, fjords["id"]]}),
        ("movementOrders", {"articleItemId": item["articleItemId"], "toLocationId": 900, "orderId": fjords["id"]}),
        ("inventoryAdjustments", {"goodsOwnerId": FJORD, "adjustments": [{"articleItemId": item["articleItemId"], "numberOfItems": 1}]}),
        ("shipments", {"goodsOwnerId": FJORD, "direction": "outbound", "shipmentOrderNumber": "S", "orderIds": [order_id]}),
        ("palletItems", {"goodsOwnerId": TEA, "labelId": "Q", "parentPalletItemId": pallet}),
        ("palletItems", {"goodsOwnerId": FJORD, "labelId": "Q", "purchaseOrderId": purchase_order_id}),
        (f"purchaseOrders/{purchase_order_id}/receive", {"lines": [{**ITEM_LINE, "palletItemId": pallet}]}),
    ]  # fmt: skip
    for path, body in mixed:
        refused(await call("POST", f"/api/v1/warehouse/{path}", body), 422)
    assert floor.everything() == before
