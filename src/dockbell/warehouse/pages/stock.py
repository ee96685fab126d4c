"""Articles and their items on the pages."""

from typing import Any

from dockbell.warehouse.act import Act, Document
from dockbell.warehouse.actions import articles, inventories, movements, production_orders, stock
from dockbell.warehouse.inputs.articles import ARTICLE_DETAILS, NewArticle
from dockbell.warehouse.inputs.common import read
from dockbell.warehouse.inputs.floor import ItemStatusStep, MoveStep, NewInventory, NewMovement
from dockbell.warehouse.inputs.goods_in import NewProductionOrder
from dockbell.warehouse.pages import choices, parts
from dockbell.warehouse.pages.noun import Column, Input, Look, Noun, Step, Table, dig
from dockbell.warehouse.rules.floor import COUNTABLE, FREE, need_on_shelf, need_unused
from dockbell.warehouse.rules.statuses import PRODUCTION_ORDER, allows
from dockbell.warehouse.store import articles as article_store


def _create(act: Act, _: Document, typed: Document) -> int:
    return articles.put_article(act, read(NewArticle, typed))[0]


def _change(act: Act, document: Document, typed: Document) -> None:
    """The whole article as it is, with what was typed."""
    shown = {each.name.partition(".")[0] for each in DETAILS}
    kept = {name: document[name] for name in ARTICLE_DETAILS if document[name] is not None and name not in shown}
    ids = {"goodsOwnerId": document["goodsOwner"]["id"], "articleNumber": document["articleNumber"]}
    articles.put_article(act, read(NewArticle, {**kept, **ids, **typed}))


def _delete(act: Act, document: Document, _: Document) -> None:
    articles.delete_article(act, int(document["articleSystemId"]))


def _may_delete(look: Look, document: Document) -> bool:
    uses = article_store.open_uses(look.tx, int(document["articleSystemId"]))
    items = int(document["inventoryInfo"]["numberOfItems"])
    return allows(need_unused, document["articleNumber"], items=items, uses=uses)


def _value(path: str) -> Any:
    return lambda document: dig(document, path)


DETAILS = (
    Input("articleName", "Name", required=True, value=_value("articleName")),
    Input("barCodeInfo.barCode", "Bar code", value=_value("barCodeInfo.barCode")),
    Input("articleGroup.code", "Article group", value=_value("articleGroup.code")),
    Input("articleCategory.code", "Article category", value=_value("articleCategory.code")),
    Input("description", "Description", "area", value=_value("description")),
)
ARTICLES = Noun(
    name="article",
    path="articles",
    title="Articles",
    one="Article",
    about="What goods owners have in the warehouse, and how much of it.",
    get=articles.get_article_with_items,
    number="articleNumber",
    api="articles",
    columns=(
        Column("Name", "articleName"),
        Column("Goods owner", "goodsOwner.name"),
        Column("In stock", "inventoryInfo.numberOfItems", "number"),
        Column("Allocated", "inventoryInfo.allocatedNumberOfItems", "number"),
        Column("For sale", "inventoryInfo.sellableNumberOfItems", "number"),
    ),
    facts=(
        Column("Name", "articleName"),
        Column("Goods owner", "goodsOwner.name"),
        Column("Bar code", "barCodeInfo.barCode"),
        Column("Article group", "articleGroup.code"),
        Column("In stock", "inventoryInfo.numberOfItems"),
        Column("Allocated", "inventoryInfo.allocatedNumberOfItems"),
        Column("For sale", "inventoryInfo.sellableNumberOfItems"),
        Column("Expected", "inventoryInfo.toReceiveNumberOfItems"),
        Column("Id", "articleSystemId"),
    ),
    tables=(
        Table(
            "Where it lies",
            "items",
            (
                Column("Article item", "articleItemId", "article item"),
                Column("Warehouse", "warehouse.code"),
                Column("Location", "location"),
                Column("Batch", "batch"),
                Column("Item status", "status.code"),
                Column("State", "state", "word"),
                Column("Items", "numberOfItems", "number"),
            ),
        ),
    ),
    new=Step(
        "new",
        "Create an article",
        _create,
        leads_to="article",
        inputs=(parts.OWNER, Input("articleNumber", "Article number", required=True), *DETAILS),
    ),
    steps=(
        Step("delete", "Delete the article", _delete, _may_delete, leads_to="list", kind="danger"),
        Step("change", "Change", _change, inputs=DETAILS),
    ),
)

# --- Article items -----------------------------------------------------------------------------------------


def _id(document: Document) -> int:
    return int(document["articleItemId"])


def _move(act: Act, document: Document, typed: Document) -> None:
    step = read(MoveStep, typed)
    stock.move_item(act, _id(document), step.to_location_id, number_of_items=step.number_of_items)


def _order_move(act: Act, document: Document, typed: Document) -> int:
    new = read(NewMovement, {**typed, "articleItemId": _id(document)})
    return movements.create_movement(act, "movement order", new)


def _set_status(act: Act, document: Document, typed: Document) -> None:
    stock.set_item_status(act, _id(document), read(ItemStatusStep, typed).article_item_status_code)


def _adjust(act: Act, document: Document, typed: Document) -> None:
    _book(act, document, typed, is_count=False)


def _count(act: Act, document: Document, typed: Document) -> None:
    _book(act, document, typed, is_count=True)


def _book(act: Act, document: Document, typed: Document, *, is_count: bool) -> None:
    fields = {
        "goodsOwnerId": document["goodsOwnerId"],
        "isCountInventory": is_count,
        "adjustments": [{**typed, "articleItemId": _id(document)}],
    }
    inventories.adjust(act, read(NewInventory, fields))


def _on_shelf(_: Look, document: Document) -> bool:
    return allows(need_on_shelf, _id(document), "", document["state"])


def _free(_: Look, document: Document) -> bool:
    return allows(need_on_shelf, _id(document), "", document["state"], FREE)


def _countable(_: Look, document: Document) -> bool:
    return allows(need_on_shelf, _id(document), "", document["state"], COUNTABLE)


TO = Input("toLocationId", "To", "ids", choices.all_locations)
CAUSE = Input("inventoryAdjustmentCauseCode", "Cause", "choice", choices.kinds("adjustment cause"))
ITEMS = Noun(
    name="article item",
    path="article-items",
    title="Stock",
    one="Article item",
    about="Article items: which quantity of which article lies where.",
    get=articles.get_item,
    number="articleItemId",
    columns=(
        Column("Article", "article", "article"),
        Column("Goods owner", "goodsOwnerName"),
        Column("Warehouse", "warehouse.code"),
        Column("Location", "location"),
        Column("Batch", "batch"),
        Column("Item status", "status.code"),
        Column("State", "state", "word"),
        Column("Items", "numberOfItems", "number"),
    ),
    facts=(
        Column("Article", "article", "article"),
        Column("Goods owner", "goodsOwnerName"),
        Column("Warehouse", "warehouse.name"),
        Column("Location", "location"),
        Column("Items", "numberOfItems"),
        Column("Item status", "status.name"),
        Column("State", "state", "word"),
        Column("Batch", "batch"),
        Column("Serial number", "serial"),
        Column("Expires", "expiryDate", "date"),
        Column("Came in", "inDate", "time"),
        Column("Split from", "originalArticleItemId", "article item"),
    ),
    steps=(
        Step(
            "move",
            "Move",
            _move,
            _on_shelf,
            (TO, Input("numberOfItems", "Number of items", "number", hint="Left empty, all of it.")),
            kind="main",
        ),
        Step(
            "status",
            "Change the status",
            _set_status,
            _free,
            (
                Input(
                    "articleItemStatusCode",
                    "Item status",
                    "choice",
                    choices.item_statuses,
                    value=lambda document: document["status"]["code"],
                ),
            ),
        ),
        Step(
            "count",
            "Count",
            _count,
            _countable,
            (
                Input(
                    "countedNumberOfItems",
                    "So many were counted",
                    "number",
                    value=lambda document: str(document["numberOfItems"]),
                ),
                CAUSE,
            ),
            below="adjustments[0].",
        ),
        Step(
            "adjust",
            "Adjust",
            _adjust,
            _countable,
            (
                Input("numberOfItems", "So many more, or fewer with a minus", "number"),
                CAUSE,
                Input("comment", "Comment"),
            ),
            below="adjustments[0].",
        ),
        Step(
            "movement",
            "Order a move",
            _order_move,
            _on_shelf,
            (TO, Input("typeCode", "Type", "choice", choices.kinds("movement type"))),
            leads_to="movement order",
        ),
    ),
)

# --- Production --------------------------------------------------------------------------------------------


def _produce(act: Act, _: Document, typed: Document) -> int:
    parts_of_it = [{name: line[name] for name in line if name != "rowNumber"} for line in typed.pop("parts")]
    new = read(NewProductionOrder, {**typed, "parts": parts_of_it})
    return production_orders.create_production_order(act, new)


def _set(number: int) -> Any:
    def take(act: Act, document: Document, _: Document) -> None:
        production_orders.set_production_order_status(act, int(document["productionOrderId"]), number)

    return take


def _may_set(number: int) -> Any:
    def offered(_: Look, document: Document) -> bool:
        return allows(PRODUCTION_ORDER.need_step, "", document["productionOrderStatus"]["number"], number)

    return offered


PRODUCTION_ORDERS = Noun(
    name="production order",
    path="production-orders",
    title="Production orders",
    one="Production order",
    about="Sets put together: finishing one takes its parts from stock and puts what was made there.",
    get=production_orders.get_production_order,
    number="productionOrderNumber",
    api="productionOrders",
    status=Column("Status", "productionOrderStatus", "status"),
    columns=(
        Column("Goods owner", "goodsOwner.name"),
        Column("Warehouse", "warehouse.code"),
        Column("Status", "productionOrderStatus", "status"),
        Column("What is made", "article", "article"),
        Column("Items", "numberOfItems", "number"),
    ),
    facts=(
        Column("Goods owner", "goodsOwner.name"),
        Column("Warehouse", "warehouse.name"),
        Column("What is made", "article", "article"),
        Column("Items", "numberOfItems"),
        Column("Type", "productionOrderTypeCode"),
        Column("Id", "productionOrderId"),
    ),
    tables=(
        Table(
            "Parts",
            "parts",
            (
                Column("Article", "", "article"),
                Column("Items each", "numberOfItems", "number"),
            ),
        ),
    ),
    new=Step(
        "new",
        "Create a production order",
        _produce,
        leads_to="production order",
        inputs=(
            parts.OWNER,
            Input("productionOrderNumber", "Production order number", required=True),
            parts.WAREHOUSE,
            Input("articleNumber", "What is made", "suggest", choices.article_numbers),
            parts.COUNT,
            Input("productionOrderType.code", "Type", "choice", choices.kinds("production order type")),
            Input("parts", "Parts of one", "lines", columns=(parts.ARTICLE, parts.COUNT)),
        ),
    ),
    steps=(
        Step("start", "Start", _set(300), _may_set(300), kind="main"),
        Step("finish", "Finish", _set(400), _may_set(400), kind="main"),
        Step("cancel", "Cancel the production order", _set(900), _may_set(900), kind="danger"),
    ),
)
