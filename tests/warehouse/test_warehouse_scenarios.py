"""What integrators build on webhooks, end to end: a real Dockbell, a real receiver, which calls back and writes back.

The receiver's systems are a few lines each, as an integrator would write them: they know the body that came, a key of
their own and nothing else.
"""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockbell.actions.access import create_key
from dockbell.clock import to_text
from dockbell.domain.permissions import SYSTEM
from dockbell.testing.client import ApiError, Client
from dockbell.warehouse.day import Day
from dockbell.warehouse.simulation import run_day
from tests.support.program import until
from tests.support.site import Site, a_site
from tests.warehouse.floor import CATALOG, FJORD, TEA
from tests.warehouse.told import problems

pytestmark = pytest.mark.slow
FLOOR = "/api/v1/warehouse"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with a_site(tmp_path) as up:
        yield up


@pytest.fixture
def partner(site: Site) -> Iterator[Callable[..., "Partner"]]:
    """Makes systems outside, by the event type they want to hear of."""
    made: list[Partner] = []

    def make(event_type: str, **fields: Any) -> Partner:
        made.append(Partner(site, event_type, **fields))
        return made[-1]

    yield make
    for each in made:
        each.api.close()


class Partner:
    """A system outside: hears of events at its own path, and has a key for its goods owners."""

    def __init__(self, site: Site, event_type: str, *, owners: tuple[int, ...] = (TEA,), **fields: Any) -> None:
        self.site = site
        self.path = f"/partner/{event_type}/{'-'.join(map(str, owners))}"
        kind = {"kind": "regular"} if len(owners) == 1 else {"kind": "automation"}
        target = site.receiver_url + self.path
        site.make_webhook(eventType=event_type, goodsOwnerIds=list(owners), targetUrl=target, **kind, **fields)
        key = site.write(
            lambda tx: create_key(
                tx, SYSTEM, label="partner", scopes=["read", "publish"], goods_owners=list(owners), expires_at=None,
                now=site.store.clock.now(),
            )
        )  # fmt: skip
        self.api = Client(site.url, key.key)

    def came(self, count: int = 1) -> list[dict[str, Any]]:
        """The bodies, once there are so many."""

        def look() -> list[dict[str, Any]] | None:
            found = [json.loads(each.body) for each in self.site.inspector.received if each.path == self.path]
            return found if len(found) >= count else None

        found = until(look, f"{count} request(s) at {self.path}")
        assert found is not None
        assert len(found) == count
        return found


def step(site: Site, path: str, **body: Any) -> Any:
    return site.api.post(f"{FLOOR}/{path}", body)


def sent_order(site: Site, number: str, **fields: Any) -> int:
    order_id = site.new_order(number, **fields)
    site.do(order_id, "allocate", "pick", "pack", "send")
    return order_id


def test_1_the_customer_gets_one_mail_with_the_tracking_link_when_the_order_is_sent(
    site: Site, partner: Callable[..., Partner]
):
    shop = partner("order.status-changed", filters={"statuses": [{"to": 450}]})
    body = {
        "goodsOwnerId": TEA,
        "orderNumber": "S1",
        "deliveryDate": "2030-01-31",
        "consignee": {
            "customerNumber": "1", "name": "Anna", "address1": "Storgatan 5", "postCode": "411 38", "city": "Göteborg",
            "countryCode": "SE",
        },
        "emailNotification": {"toBeNotified": True, "value": "anna@example.com"},
        "transporter": {"transporterCode": "DHL"},
        "orderLines": [{"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": 1}],
    }  # fmt: skip
    order_id = shop.api.put("/api/v1/orders", body)["orderId"]
    site.do(order_id, "allocate", "pick", "send")
    [delivery] = [row for row in site.deliveries() if row["object"] == f"order/{order_id}"]
    shop.came()
    site.api.post(f"/api/v1/deliveries/{delivery['id']}/resend", {})  # a duplicate, as any receiver must expect
    mails: dict[int, tuple[str, str]] = {}
    for event in shop.came(2):
        order = shop.api.get(event["path"])
        mail = order["orderInfo"]["emailNotification"]["value"], event["tracking"][0]["trackingUrl"]
        mails.setdefault(event["webhookEventId"], mail)
    assert list(mails.values()) == [("anna@example.com", f"https://tracking.example/dhl/DHL-{order_id}")]


def test_2_a_shipping_platform_books_transport_and_writes_label_and_tracking_back(
    site: Site, partner: Callable[..., Partner]
):
    platform = partner(
        "order.status-changed", owners=(TEA, FJORD),
        filters={"statuses": [{"to": 400}], "transporters": ["DHL", "Bring"]},
    )  # fmt: skip
    labels = partner("file.attached")
    order_id = site.new_order("S2")
    site.do(site.new_order("S2-PostNord", transporter="PostNord"), "allocate", "pick")
    site.do(order_id, "allocate", "pick", "pack")
    [event] = platform.came()
    order = platform.api.get(event["path"])
    assert (order["consignee"]["city"], order["transporter"]["code"]) == ("Göteborg", "DHL")
    label = base64.b64encode(b"%PDF-1.4 a label").decode()
    file = {"fileName": "label.pdf", "mimeType": "application/pdf", "fileDataBase64": label}
    platform.api.put(f"{event['path']}/files", file)
    platform.api.patch(f"{event['path']}/waybill", {"waybill": "UA65SE"})
    tracking = [{"waybill": "UA65SE", "trackingUrl": "https://carrier.example/UA65SE"}]
    platform.api.put(f"{event['path']}/orderTracking", {"tracking": tracking})
    [told] = labels.came()
    assert told["context"] == {"order": {"orderId": order_id}, "purchaseOrder": None, "shipment": None}
    printed = labels.api.get(f"/api/v1/orders/{order_id}/files/{told['fileId']}")
    assert base64.b64decode(printed["fileDataBase64"]) == b"%PDF-1.4 a label"
    site.do(order_id, "send")
    assert site.api.get(event["path"])["orderInfo"]["wayBill"] == "UA65SE"


def test_3_article_masters_follow_creation_change_and_deletion(site: Site, partner: Callable[..., Partner]):
    feeds = [partner(f"article.{what}") for what in ("created", "updated", "deleted")]
    article = {"goodsOwnerId": TEA, "articleNumber": "TEA-900", "articleName": "Matcha"}
    number = site.api.put("/api/v1/articles", article)["articleSystemId"]
    master: dict[str, Any] = {}
    [event] = feeds[0].came()
    master[event["articleNumber"]] = feeds[0].api.get(event["path"])["articleName"]
    site.api.put("/api/v1/articles", {**article, "articleName": "Matcha, 30 g"})
    [event] = feeds[1].came()
    master[event["articleNumber"]] = feeds[1].api.get(event["path"])["articleName"]
    assert master == {"TEA-900": "Matcha, 30 g"}
    site.api.delete(f"/api/v1/articles/{number}")
    [event] = feeds[2].came()
    with pytest.raises(ApiError) as gone:
        feeds[2].api.get(event["path"])
    assert gone.value.status == 404


def test_4_a_web_shop_keeps_what_it_can_sell(site: Site, partner: Callable[..., Partner]):
    types = ("inventory.performed", "inbound.performed", "article.allocated", "article.deallocated",
             "article.returned", "article-item.status-changed")  # fmt: skip
    shops = {key: partner(key) for key in types}
    [items] = site.api.get(f"/api/v1/articleItems?goodsOwnerId={TEA}&articleNumber=TEA-001")
    item_id = items["items"][0]["articleItemId"]

    def sellable(key: str, count: int = 1) -> int:
        number = shops[key].came(count)[-1]["article"]["articleNumber"]
        [article] = shops[key].api.get(f"/api/v1/articles?goodsOwnerId={TEA}&articleNumber={number}")
        return int(article["inventoryInfo"]["sellableNumberOfItems"])

    adjustment = {"articleItemId": item_id, "numberOfItems": -2}
    step(site, "inventoryAdjustments", goodsOwnerId=TEA, adjustments=[adjustment])
    assert sellable("inventory.performed") == 498
    order_id = site.new_order("S4")
    site.do(order_id, "allocate")
    assert sellable("article.allocated") == 497
    site.do(order_id, "deallocate")
    assert sellable("article.deallocated") == 498
    site.do(order_id, "allocate", "pick", "send")
    step(site, f"orders/{order_id}/return", lines=[{"rowNumber": "1", "numberOfItems": 1}])
    assert sellable("article.returned") == 497, "what came back waits in quarantine"
    back = shops["article.returned"].came()[0]["articleItem"]["articleItemId"]
    step(site, f"articleItems/{back}/move", toLocationId=311)
    step(site, f"articleItems/{back}/status", articleItemStatusCode="OK")
    assert sellable("article-item.status-changed") == 498
    purchase_order_id = a_purchase_order(site, "PO-S4", 10)
    receive(site, purchase_order_id, 10)
    assert sellable("inbound.performed") == 508


def a_purchase_order(site: Site, number: str, items: int, **fields: Any) -> int:
    line = {"rowNumber": "1", "articleNumber": "TEA-001", "numberOfItems": items}
    document = {"goodsOwnerId": TEA, "purchaseOrderNumber": number, "purchaseOrderLines": [line], **fields}
    return int(site.api.put("/api/v1/purchaseOrders", document)["purchaseOrderId"])


def receive(site: Site, purchase_order_id: int, items: int) -> None:
    step(site, f"purchaseOrders/{purchase_order_id}/receive", lines=[{"rowNumber": "1", "numberOfItems": items}])


def test_5_an_erp_books_a_receipt_once_and_finds_by_query_what_it_missed(site: Site, partner: Callable[..., Partner]):
    erp = partner("purchase-order.received")
    began = to_text(site.store.clock.now())
    purchase_order_id = a_purchase_order(site, "PO-S5", 10)
    receive(site, purchase_order_id, 10)
    step(site, f"purchaseOrders/{purchase_order_id}/finish")
    [event] = erp.came()
    booked = 0

    def book(order: Any) -> None:
        nonlocal booked
        for line in order["purchaseOrderLines"]:
            booked += line["receivedNumberOfItems"] - (line["reportedNumberOfItems"] or 0)
            path = f"/api/v1/purchaseOrders/{purchase_order_id}/lines/{line['id']}/reportedNumberOfItems"
            erp.api.patch(path, {"reportedNumberOfItems": line["receivedNumberOfItems"]})

    book(erp.api.get(event["path"]))
    query = f"goodsOwnerId={TEA}&purchaseOrderStatusFrom=400&purchaseOrderStatusChangedTimeFrom={began}"
    [missed] = erp.api.get(f"/api/v1/purchaseOrders?{query}")
    book(missed)
    assert booked == 10


def test_6_a_yard_hears_of_an_incoming_container(site: Site, partner: Callable[..., Partner]):
    yard = partner("inbound-shipment.status-changed", filters={"statuses": [{"to": 300}]})
    number = a_purchase_order(site, "PO-S6", 5)
    fields = {"goodsOwnerId": TEA, "direction": "inbound", "shipmentOrderNumber": "CNT-1", "purchaseOrderIds": [number]}
    shipment_id = step(site, "shipments", **fields)["shipmentId"]
    for status in (200, 300, 400):
        step(site, f"shipments/{shipment_id}/status", shipmentStatusNumber=status)
    [event] = yard.came()
    shipment = yard.api.get(event["path"])
    assert (event["shipmentOrderNumber"], shipment["purchaseOrderIds"]) == ("CNT-1", [number])


def test_7_a_returns_portal_refunds_after_looking_at_the_cause(site: Site, partner: Callable[..., Partner]):
    portal, inbound = partner("article.returned"), partner("inbound.performed")
    order_id = sent_order(site, "S7")
    back = {"rowNumber": "1", "numberOfItems": 1, "returnCauseCode": "DMG"}
    step(site, f"orders/{order_id}/return", lines=[back])
    [event] = portal.came()
    number = event["order"]["orderNumber"]
    [found] = portal.api.get(f"/api/v1/returnOrders?goodsOwnerId={TEA}&customerOrderNumbers={number}")
    [line] = found["returnOrderLines"]
    assert (line["returnCause"]["code"], line["returnedNumberOfItems"]) == ("DMG", 1)
    assert event["articleItem"]["returnCause"]["returnCauseCode"] == "DMG"
    returned = a_purchase_order(site, "RET-1", 1, purchaseOrderIsReturnType=True)
    receive(site, returned, 1)
    [event] = inbound.came()
    order = inbound.api.get(f"/api/v1/purchaseOrders/{event['purchaseOrder']['purchaseOrderId']}")
    assert order["purchaseOrderInfo"]["advanced"]["purchaseOrderIsReturnType"] is True
    assert len(portal.came()) == 1


def test_8_an_exchange_order_is_released_when_the_first_one_is_back(site: Site, partner: Callable[..., Partner]):
    portal = partner("order.status-changed", filters={"statuses": [{"to": 475}]})
    order_id, exchange_id = sent_order(site, "S8"), site.new_order("S8-exchange")
    step(site, f"orders/{order_id}/return", lines=[{"rowNumber": "1", "numberOfItems": 1}])
    [event] = portal.came()
    [exchange] = portal.api.get(f"/api/v1/orders?goodsOwnerId={TEA}&orderNumber={event['orderNumber']}-exchange")
    path = f"/api/v1/orders/{exchange['orderInfo']['orderId']}/orderStatus"
    portal.api.patch(path, {"orderStatusNumber": 300})
    assert site.api.get(f"/api/v1/orders/{exchange_id}")["orderInfo"]["orderStatus"]["number"] == 300


def test_9_pick_to_light_needs_no_call_back(site: Site, partner: Callable[..., Partner]):
    types = ("pick-order.started", "article.picked", "article.packed", "pallet-item.closed", "pick-order.executed")
    lights = {key: partner(key, owners=(TEA, FJORD)) for key in types}
    order_id = site.new_order("S9")
    site.do(order_id, "allocate")
    pick_order_id = step(site, "pickOrders", orderIds=[order_id])["pickOrderId"]
    for name in ("start", "execute"):
        step(site, f"pickOrders/{pick_order_id}/{name}", byComputer={"computerId": 6})
    site.do(order_id, "pack")
    [parcel] = site.api.get(f"/api/v1/orders/{order_id}/parcels")
    step(site, f"palletItems/{parcel['id']}/close")
    [picked] = lights["article.picked"].came()
    assert picked["articleItem"]["location"]["location"] == "A-01"
    assert picked["byComputer"]["computerName"] == "PICK-01"
    assert lights["pick-order.started"].came()[0]["pickOrder"]["isExecuted"] is False
    assert lights["pick-order.executed"].came()[0]["pickOrder"]["pickOrderId"] == pick_order_id
    [packed], [closed] = lights["article.packed"].came(), lights["pallet-item.closed"].came()
    assert packed["articleItem"]["orderPalletItem"]["palletItemLabelId"] == closed["palletItem"]["labelId"]


def test_12_a_shop_locks_changes_when_the_warehouse_begins(site: Site, partner: Callable[..., Partner]):
    shop = partner("order.status-changed", filters={"statuses": [{"from": 200, "to": 300}]})
    order_id = site.new_order("S12")
    site.api.patch(f"/api/v1/orders/{order_id}/orderStatus", {"orderStatusNumber": 300})
    site.do(order_id, "allocate", "pick")
    [event] = shop.came()
    assert (event["orderNumber"], event["orderStatus"]["number"]) == ("S12", 300)


def test_13_the_cost_of_a_finished_set_is_posted(site: Site, partner: Callable[..., Partner]):
    erp = partner("production-order.status-changed", filters={"statuses": [{"to": 400}]})
    parts = [{"articleNumber": "TEA-001", "numberOfItems": 2}]
    fields = {"productionOrderNumber": "MO-1", "articleNumber": "TEA-103", "numberOfItems": 3, "parts": parts}
    number = step(site, "productionOrders", goodsOwnerId=TEA, **fields)["productionOrderId"]
    for status in (300, 400):
        step(site, f"productionOrders/{number}/status", productionOrderStatusNumber=status)
    [event] = erp.came()
    made = erp.api.get(event["path"])
    assert (made["numberOfItems"], made["parts"][0]["numberOfItems"]) == (3, 2)


def test_15_shrinkage_is_reported_by_cause_and_place(site: Site, partner: Callable[..., Partner]):
    report = partner("inventory.performed")
    [items] = site.api.get(f"/api/v1/articleItems?goodsOwnerId={TEA}&articleNumber=TEA-001")
    adjustment = {
        "articleItemId": items["items"][0]["articleItemId"],
        "countedNumberOfItems": 497,
        "inventoryAdjustmentCauseCode": "LOST",
    }
    step(site, "inventoryAdjustments", goodsOwnerId=TEA, isCountInventory=True, adjustments=[adjustment])
    [event] = report.came()
    assert event["transaction"]["transactionNumberOfItems"] == -3
    assert event["location"]["warehouse"]["warehouseCode"] == "GBG"
    inventory = event["inventory"]
    assert inventory["isCountInventory"] is True
    [document] = report.api.get(f"/api/v1/inventoryAdjustments/{inventory['inventoryId']}")
    [line] = document["inventoryAdjustments"]
    assert (line["numberOfItems"], line["inventoryAdjustmentCause"]["code"]) == (-3, "LOST")
    article = event["article"]["articleSystemId"]
    report.api.patch(f"/api/v1/inventoryAdjustments/{inventory['inventoryId']}/articles/{article}/setReported", {})
    assert report.api.get(f"/api/v1/inventoryAdjustments?goodsOwnerId={TEA}&isReported=false") == []


def test_each_of_the_38_types_reaches_a_receiver_with_exactly_the_documented_fields(site: Site):
    first: dict[str, Any] = {}
    site.inspector.on_request = lambda came: first.setdefault(came.path.removeprefix("/types/"), json.loads(came.body))
    for each in CATALOG:
        with_lines = "fireWhenPurchaseOrderIsCreated" in each.settings
        site.make_webhook(
            name=each.name,
            kind="automation",
            eventType=each.key,
            goodsOwnerIds=[TEA, FJORD],
            targetUrl=f"{site.receiver_url}/types/{each.key}",
            filters={"fireWhenPurchaseOrderIsCreated": True} if with_lines else {},
        )
    store = site.store
    day = Day(3, first_number=1_000)
    run_day(
        store.database, store.publisher, store.clock, day, order_count=100, orders_per_minute=0, wait=lambda _: None
    )  # fmt: skip
    until(lambda: len(first) == len(CATALOG), "a request of each type", timeout_s=60)
    for each in CATALOG:
        body = first[each.key]
        header = {name: body.pop(name) for name in each.header_fields}
        assert header["webhookTemplate"] == each.name
        assert header["goodsOwnerId"] in (TEA, FJORD)
        assert problems(each, body) == [], each.key
