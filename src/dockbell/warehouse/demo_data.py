"""Two warehouses, two goods owners with articles, stock that came on purchase orders, and a few open orders: enough to
try everything."""

from typing import Any

from dockbell.actions.publish import Publisher
from dockbell.clock import DAY, Moment, to_text
from dockbell.domain.permissions import SYSTEM
from dockbell.store import people
from dockbell.store.database import Transaction
from dockbell.warehouse.act import Act
from dockbell.warehouse.actions import articles, orders, purchase_orders
from dockbell.warehouse.inputs.articles import NewArticle
from dockbell.warehouse.inputs.common import Step, read
from dockbell.warehouse.inputs.goods_in import NewPurchaseOrder, ReceiveStep
from dockbell.warehouse.inputs.orders import NewOrder
from dockbell.warehouse.store import articles as article_store
from dockbell.warehouse.store import orders as order_store
from dockbell.warehouse.store import places
from dockbell.warehouse.store import purchase_orders as purchase_order_store

TEA, FJORD = 114, 207
OWNERS = {TEA: "Nordic Tea AB", FJORD: "Fjord Outdoor AS"}
CLASSES = ((3, TEA, "B2C", "Web shops"), (4, FJORD, "B2B", "Retail chains"))
TRANSPORTERS = (
    ("DHL", "DHL Freight", "https://tracking.example/dhl/{number}"),
    ("PostNord", "PostNord", "https://tracking.example/postnord/{number}"),
    ("Bring", "Bring", "https://tracking.example/bring/{number}"),
)
ORDER_TYPES = (("B2B", "To a company"), ("B2C", "To a consumer"))
USERS = ((161, "Maja, goods in"), (162, "Omar, picking"), (163, "Lena, packing"), (164, "Karim, forklift"))
COMPUTERS = ((5, "GOODS-IN"), (6, "PICK-01"), (7, "PACK-03"), (8, "FORKLIFT-2"))
AT_GOODS_IN = {"byUser": {"userId": 161}, "byComputer": {"computerId": 5}}
SUPPLIERS = {TEA: ("S-20", "Ceylon Leaf Trading"), FJORD: ("S-71", "Outdoor Textiles Gdansk")}
GBG, STO = "GBG", "STO"
STOCK_ORDERS = {GBG: "PO-STOCK", STO: "PO-STOCK-STO"}
PICKING_PLACES = ("A", "B", "C", "D")
STOCKHOLM = 2
STOCKHOLM_PLACES = (
    (1100, "IN-01", 3, "IN", "Goods in"), (1900, "BUF-01", 2, "BUF", "Buffer"), (1901, "BUF-02", 2, "BUF", "Buffer"),
    (1940, "RET-01", 5, "RET", "Returns"), (1950, "PACK-OUT", 4, "OUT", "Goods out"),
    *((1399 + shelf, f"S-{shelf:02}", 1, "S", "Picking") for shelf in range(1, 21)),
)  # fmt: skip
"""Gothenburg is there without the demo."""
STOCK = 500
ARTICLES = {
    TEA: (
        ("TEA-001", "Earl Grey, loose, 100 g"),
        ("TEA-002", "Lapsang Souchong, loose, 100 g"),
        ("TEA-003", "Sencha, loose, 100 g"),
        ("TEA-004", "Rooibos vanilla, loose, 100 g"),
        ("TEA-005", "Peppermint, 20 bags"),
        ("TEA-006", "Camomile, 20 bags"),
        ("TEA-007", "Darjeeling first flush, 50 g"),
        ("TEA-101", "Teapot, cast iron, 0.8 l"),
        ("TEA-102", "Tea strainer, steel"),
        ("TEA-103", "Tea tin, 250 g"),
    ),
    FJORD: (
        ("FO-1000", "Tent, two persons"),
        ("FO-1001", "Tent, four persons"),
        ("FO-2000", "Sleeping bag, -5 °C"),
        ("FO-2001", "Sleeping mat"),
        ("FO-3000", "Rucksack, 65 l"),
        ("FO-3001", "Dry bag, 20 l"),
        ("FO-4000", "Gas stove"),
        ("FO-4001", "Gas cartridge, 230 g"),
        ("FO-5000", "Head torch"),
        ("FO-5001", "Water bottle, 1 l"),
    ),
}
STOCKED: dict[str, dict[int, tuple[str, ...]]] = {
    GBG: {owner: tuple(number for number, _ in articles) for owner, articles in ARTICLES.items()},
    STO: {
        TEA: ("TEA-003", "TEA-004", "TEA-005", "TEA-006", "TEA-007"),
        FJORD: ("FO-3000", "FO-3001", "FO-4000", "FO-4001", "FO-5000"),
    },
}
"""Which articles lie in which warehouse: not every warehouse has everything."""
ANNA = ("2001", "Anna Lind", "Storgatan 5", "411 38", "Göteborg", "SE")
SHOP = ("880", "Tehuset i Uppsala", "Svartbäcksgatan 11", "753 20", "Uppsala", "SE")
OLA = ("31", "Ola Nordmann", "Strandgaten 18", "5013", "Bergen", "NO")
CHAIN = ("902", "Fjellsport Tromsø", "Storgata 70", "9008", "Tromsø", "NO")
ORDERS = (
    (TEA, "12345", "DHL", "B2C", ANNA, (("TEA-001", 2), ("TEA-102", 1))),
    (TEA, "12346", "PostNord", "B2B", SHOP, (("TEA-003", 24), ("TEA-005", 40), ("TEA-103", 12))),
    (TEA, "12347", "PostNord", "B2C", ANNA, (("TEA-101", 1),)),
    (FJORD, "3001", "Bring", "B2C", OLA, (("FO-1000", 1), ("FO-2001", 2))),
    (FJORD, "3002", "DHL", "B2B", CHAIN, (("FO-5000", 30), ("FO-5001", 30))),
    (TEA, "12348", "DHL", "B2C", ANNA, (("TEA-002", 1), ("TEA-103", 1))),
    (TEA, "12349", "DHL", "B2B", SHOP, (("TEA-006", 60), ("TEA-007", 10))),
    (TEA, "12350", "Bring", "B2C", OLA, (("TEA-004", 3),)),
    (TEA, "12351", "DHL", "B2C", ANNA, (("TEA-001", 1), ("TEA-101", 1))),
    (FJORD, "3003", "PostNord", "B2C", ANNA, (("FO-3001", 2),)),
    (FJORD, "3004", "DHL", "B2C", OLA, (("FO-1001", 1), ("FO-4000", 1), ("FO-4001", 4))),
    (FJORD, "3005", "Bring", "B2B", CHAIN, (("FO-2000", 20), ("FO-2001", 20))),
)
ORDERS_OF_STOCKHOLM = (
    (TEA, "12352", "PostNord", "B2C", ANNA, (("TEA-005", 2), ("TEA-007", 1))),
    (FJORD, "3006", "Bring", "B2B", CHAIN, (("FO-3001", 12), ("FO-5000", 6))),
)
# How far some of them have come when one first looks.
DONE = {
    "12349": (orders.allocate_order,),
    "12350": (orders.allocate_order, orders.pick_order),
    "3003": (orders.allocate_order, orders.pick_order, orders.pack_order, orders.send_order),
    "3005": (orders.cancel_order,),
}


def load_demo(tx: Transaction, publisher: Publisher, now: Moment) -> None:
    """Bring in what is missing; what is there already stays as it is, stock and orders too."""
    known = {int(row["id"]) for row in people.goods_owners(tx)}
    for owner, name in OWNERS.items():
        if owner not in known:
            people.put_goods_owner(tx, owner, name, now=now)
    for class_id, owner, code, name in CLASSES:
        places.put_class(tx, class_id, owner, code, name)
    for code, name, tracking_url in TRANSPORTERS:
        places.put_transporter(tx, code, name, tracking_url)
    for code, name in ORDER_TYPES:
        places.put_order_type(tx, code, name)
    for user_id, name in USERS:
        places.put_user(tx, user_id, name)
    for computer_id, name in COMPUTERS:
        places.put_computer(tx, computer_id, name)
    places.put_warehouse(tx, STOCKHOLM, STO, "Stockholm")
    for location_id, name, type_id, aisle, zone in STOCKHOLM_PLACES:
        locked = zone == "Returns"
        places.put_location(tx, location_id, STOCKHOLM, name, type_id, aisle, zone, is_locked_for_sale=locked)
    for place, aisle in enumerate(PICKING_PLACES):
        for shelf in range(1, 11):
            places.put_location(tx, 400 + 10 * place + shelf - 1, 1, f"{aisle}-{shelf:02}", 1, aisle, "Picking")
    act = Act(tx, publisher, SYSTEM, now, read(Step, AT_GOODS_IN))
    for owner in OWNERS:
        _name_articles(act, owner)
    for code, number in STOCK_ORDERS.items():
        for owner in OWNERS:
            if purchase_order_store.lock_by_number(tx, owner, number) is None:
                _stock_up(act, owner, code)
    for code, wanted in ((GBG, ORDERS), (STO, ORDERS_OF_STOCKHOLM)):
        for order in wanted:
            if order_store.lock_order_by_number(tx, order[0], order[1]) is None:
                document = read(NewOrder, order_document(*order, now=now, warehouse=code))
                order_id, _ = orders.create_order(act, document)
                for step in DONE.get(order[1], ()):
                    step(act, order_id)


def _name_articles(act: Act, owner: int) -> None:
    there = article_store.hold_by_number(act.tx, owner, (number for number, _ in ARTICLES[owner]))
    for place, (number, name) in enumerate(ARTICLES[owner]):
        if number not in there:
            articles.put_article(act, read(NewArticle, _article(owner, place, number, name)))


def _stock_up(act: Act, owner: int, code: str) -> None:
    """One purchase order that has brought all this warehouse has of the goods owner."""
    number, name = SUPPLIERS[owner]
    lines = [
        {"rowNumber": str(row), "articleNumber": article, "numberOfItems": STOCK}
        for row, article in enumerate(STOCKED[code][owner], 1)
    ]
    order = {
        "goodsOwnerId": owner,
        "purchaseOrderNumber": STOCK_ORDERS[code],
        "warehouseCode": code,
        "purchaseOrderType": {"code": "STD"},
        "supplierInfo": {"supplierNumber": number, "supplierName": name},
        "purchaseOrderClasses": [{"code": "SEA" if owner == TEA else "ROAD"}],
        "inDate": to_text(act.now)[:10],
        "purchaseOrderLines": lines,
    }
    order_id, _ = purchase_orders.put_purchase_order(act, read(NewPurchaseOrder, order))
    came = [_received(owner, code, row, article, act.now) for row, article in enumerate(STOCKED[code][owner], 1)]
    purchase_orders.receive(act, order_id, read(ReceiveStep, {"lines": came}).lines)
    purchase_orders.finish(act, order_id)


def _received(owner: int, code: str, row: int, article: str, now: Moment) -> dict[str, Any]:
    """Tea has batches that expire; tents have neither."""
    place = 399 + row + (0 if owner == TEA else 20) if code == GBG else 1399 + row + (0 if owner == TEA else 10)
    line = {"rowNumber": str(row), "numberOfItems": STOCK, "locationId": place}
    if "TEA-001" <= article <= "TEA-007":
        batch = int(article[-2:])
        line |= {"batch": f"B-{to_text(now)[:4]}-{batch:02}", "expiryDate": to_text(now + (365 + batch) * DAY)[:10]}
    return line


def _article(owner: int, place: int, number: str, name: str) -> dict[str, Any]:
    group = ("TEA", "Tea") if owner == TEA and place < 7 else ("GEAR", "Gear")
    return {
        "goodsOwnerId": owner,
        "articleNumber": number,
        "articleName": name,
        "unitCode": "pcs",
        "barCodeInfo": {"barCode": f"73{owner:05}{place:05}"},
        "articleGroup": {"code": group[0], "name": group[1]},
        "weight": round(0.1 + 0.15 * place, 2),
        "stockLimit": 50,
    }


def order_document(
    owner: int,
    number: str,
    transporter: str,
    order_type: str,
    consignee: tuple[str, ...],
    lines: tuple[tuple[str, int], ...],
    *,
    now: Moment,
    warehouse: str = GBG,
) -> dict[str, Any]:
    names = ("customerNumber", "name", "address1", "postCode", "city", "countryCode")
    return {
        "goodsOwnerId": owner,
        "orderNumber": number,
        "warehouseCode": warehouse,
        "goodsOwnerOrderId": f"web-{number}",
        "deliveryDate": to_text(now + 2 * DAY)[:10],
        "consignee": dict(zip(names, consignee, strict=True)),
        "transporter": {"transporterCode": transporter},
        "orderType": {"code": order_type},
        "orderLines": [
            {"rowNumber": str(place), "articleNumber": article, "numberOfItems": items}
            for place, (article, items) in enumerate(lines, 1)
        ],
    }
