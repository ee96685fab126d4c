"""What there is to choose from in the forms."""

from collections.abc import Callable, Iterable

from dockbell.warehouse.act import Document
from dockbell.warehouse.actions import order_views, purchase_orders
from dockbell.warehouse.inputs.common import LARGEST_ID
from dockbell.warehouse.pages.noun import Look, Options
from dockbell.warehouse.rules.order import Status
from dockbell.warehouse.rules.statuses import OPEN_FOR_GOODS
from dockbell.warehouse.store import articles, newest, places, work

NONE = ("", "–")
NEWEST = 50
ARTICLES_SHOWN = 300


def owners(look: Look) -> Options:
    return [(str(number), name) for number, name in look.owners.items()]


def warehouses(look: Look) -> Options:
    return [(code, f"{code} {row['name']}") for code, row in places.warehouses(look.tx).items()]


def transporters(look: Look) -> Options:
    return [NONE, *((code, str(row["name"])) for code, row in places.transporters(look.tx).items())]


def order_types(look: Look) -> Options:
    return [NONE, *((code, f"{code} · {row['name']}") for code, row in places.order_types(look.tx).items())]


def kinds(noun: str, *, may_be_none: bool = True) -> Callable[[Look], Options]:
    """The list of that noun."""

    def found(look: Look) -> Options:
        rows = [(code, f"{code} · {row['name']}") for code, row in places.kinds(look.tx, noun).items()]
        return [NONE, *rows] if may_be_none else rows

    return found


def item_statuses(look: Look) -> Options:
    return [(code, f"{code} · {row['name']}") for code, row in places.item_statuses(look.tx).items()]


def users(look: Look) -> Options:
    return [NONE, *((str(row["id"]), str(row["name"])) for row in places.users(look.tx))]


def locations(look: Look) -> Options:
    """Of the document's warehouse, if it has one; otherwise of all, each with its warehouse."""
    code = None if look.document is None else warehouse_code(look.document)
    return [
        (str(row["id"]), row["name"] if code else f"{name} · {row['name']}")
        for name, warehouse in places.warehouses(look.tx).items()
        for row in places.locations_of(look.tx, int(warehouse["id"]))
        if code in (None, name)
    ]


def all_locations(look: Look) -> Options:
    """Those of the warehouse where it lies come first."""
    here = None if look.document is None else look.document.get("warehouseCode") or warehouse_code(look.document)
    every = locations(Look(look.tx, look.actor, look.owners))
    return sorted(every, key=lambda each: not each[1].startswith(f"{here} "))


def usual_or_locations(look: Look) -> Options:
    return [NONE, *locations(look)]


def warehouse_code(document: Document) -> str | None:
    """Where the noun's document has it."""
    for inner in (document, document.get("orderInfo"), document.get("purchaseOrderInfo")):
        if inner is not None and inner.get("warehouse"):
            return str(inner["warehouse"]["code"])
    return None


def article_numbers(look: Look) -> Options:
    """Of the document's goods owner, or of all that may be chosen."""
    owner = None if look.document is None else owner_of(look.document)
    return [
        (row["number"], row["name"])
        for each in look.owners
        if owner in (None, each)
        for row in articles.article_page(look.tx, each, limit=ARTICLES_SHOWN)
    ]


def owner_of(document: Document) -> int | None:
    number = document.get("goodsOwnerId")
    return int(document["goodsOwner"]["id"]) if number is None and "goodsOwner" in document else number


def orders_to_gather(look: Look) -> Options:
    found = [order for order in _newest_orders(look) if _status(order) == Status.ALLOCATED]
    taken = work.pick_orders_of(look.tx, [int(order["orderInfo"]["orderId"]) for order in found])
    return _orders(order for order in found if order["orderInfo"]["orderId"] not in taken)


def orders_to_ship(look: Look) -> Options:
    return _orders(
        order for order in _newest_orders(look) if _status(order) < Status.SENT and not order["shipmentInfo"]
    )


def _newest_orders(look: Look) -> list[Document]:
    return [
        order_views.get_order(look.tx, look.actor, number)
        for owner in look.owners
        for number in newest.ids(look.tx, "order", owner, before=LARGEST_ID, limit=NEWEST)
    ]


def _status(order: Document) -> int:
    return int(order["orderInfo"]["orderStatus"]["number"])


def _orders(found: Iterable[Document]) -> Options:
    return [_order(order["orderInfo"], order["goodsOwner"]["name"], _status(order)) for order in found]


def _order(info: Document, owner: str, status: int) -> tuple[str, str]:
    return str(info["orderId"]), f"{info['orderNumber']} · {owner} · {info['warehouse']['code']} · {status}"


def purchase_orders_to_ship(look: Look) -> Options:
    found = [
        purchase_orders.get_purchase_order(look.tx, look.actor, number)
        for owner in look.owners
        for number in newest.ids(look.tx, "purchase order", owner, before=LARGEST_ID, limit=NEWEST)
    ]
    infos = [(each["goodsOwner"]["name"], each["purchaseOrderInfo"]) for each in found if _may_travel(each)]
    return [
        (str(info["purchaseOrderId"]), f"{info['purchaseOrderNumber']} · {owner} · {info['warehouse']['code']}")
        for owner, info in infos
    ]


def _may_travel(purchase_order: Document) -> bool:
    status = purchase_order["purchaseOrderInfo"]["purchaseOrderStatus"]["number"]
    return status in OPEN_FOR_GOODS and not purchase_order["shipmentInfo"]
