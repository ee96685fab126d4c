"""Two goods owners with articles, stock and a few open orders: enough to try everything with."""

from typing import Any

from dockbell.actions.publish import Publisher
from dockbell.clock import DAY, Moment, to_text
from dockbell.domain.permissions import SYSTEM
from dockbell.store import people
from dockbell.store.database import Transaction
from dockbell.warehouse import actions, articles, store
from dockbell.warehouse.inputs import NewArticle, NewOrder, read

TEA, FJORD = 114, 207
OWNERS = {TEA: "Nordic Tea AB", FJORD: "Fjord Outdoor AS"}
CLASSES = ((3, TEA, "B2C", "Web shops"), (4, FJORD, "B2B", "Retail chains"))
TRANSPORTERS = (
    ("DHL", "DHL Freight", "https://tracking.example/dhl/{number}"),
    ("PostNord", "PostNord", "https://tracking.example/postnord/{number}"),
    ("Bring", "Bring", "https://tracking.example/bring/{number}"),
)
ORDER_TYPES = (("B2B", "To a company"), ("B2C", "To a consumer"))
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
# How far some of them have come when one first looks.
DONE = {
    "12349": (actions.allocate_order,),
    "12350": (actions.allocate_order, actions.pick_order),
    "3003": (actions.allocate_order, actions.pick_order, actions.pack_order, actions.send_order),
    "3005": (actions.cancel_order,),
}


def load_demo(tx: Transaction, publisher: Publisher, now: Moment) -> None:
    """Bring in what is missing; what is there already stays as it is, stock and orders too."""
    known = {int(row["id"]) for row in people.goods_owners(tx)}
    for owner, name in OWNERS.items():
        if owner not in known:
            people.put_goods_owner(tx, owner, name, now=now)
    for class_id, owner, code, name in CLASSES:
        store.put_class(tx, class_id, owner, code, name)
    for code, name, tracking_url in TRANSPORTERS:
        store.put_transporter(tx, code, name, tracking_url)
    for code, name in ORDER_TYPES:
        store.put_order_type(tx, code, name)
    for owner, of_owner in ARTICLES.items():
        there = store.articles_by_number(tx, owner, (number for number, _ in of_owner))
        for number, name in of_owner:
            if number not in there:
                fields = {"goodsOwnerId": owner, "articleNumber": number, "articleName": name, "unitCode": "pcs"}
                article_id, _ = articles.put_article(tx, SYSTEM, read(NewArticle, fields), now=now)
                articles.count_stock(tx, SYSTEM, article_id, STOCK, now=now)
    for order in ORDERS:
        if store.lock_order_by_number(tx, order[0], order[1]) is None:
            document = read(NewOrder, _document(*order, now=now))
            order_id, _ = actions.create_order(tx, publisher, SYSTEM, document, now=now)
            for step in DONE.get(order[1], ()):
                step(tx, publisher, SYSTEM, order_id, now=now)


def _document(
    owner: int,
    number: str,
    transporter: str,
    order_type: str,
    consignee: tuple[str, ...],
    lines: tuple[tuple[str, int], ...],
    *,
    now: Moment,
) -> dict[str, Any]:
    names = ("customerNumber", "name", "address1", "postCode", "city", "countryCode")
    return {
        "goodsOwnerId": owner,
        "orderNumber": number,
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
