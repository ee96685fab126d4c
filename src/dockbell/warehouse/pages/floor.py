"""Pallet items on the pages, and orders to move: an article item, or a whole pallet item."""

from collections.abc import Callable

from dockbell.warehouse.act import Act, Document
from dockbell.warehouse.actions import movements, pallets
from dockbell.warehouse.actions.movements import Noun as MovementNoun
from dockbell.warehouse.inputs.common import read
from dockbell.warehouse.inputs.floor import MovementChange, NewMovement, NewPalletItem
from dockbell.warehouse.pages import choices, parts
from dockbell.warehouse.pages.noun import Column, Input, Look, Noun, Step
from dockbell.warehouse.rules.floor import need_open_movement, need_open_pallet
from dockbell.warehouse.rules.statuses import allows

TO = Input("toLocationId", "To", "ids", choices.all_locations)
CLOSED = "CLOSED"


def _make_pallet(act: Act, _: Document, typed: Document) -> int:
    return pallets.create_pallet_item(act, read(NewPalletItem, typed))


def _id(document: Document) -> int:
    return int(document["palletItem"]["palletItemId"])


def _close(act: Act, document: Document, _: Document) -> None:
    pallets.close_pallet_item(act, _id(document))


def _may_close(_: Look, document: Document) -> bool:
    is_closed = document["palletItem"]["palletItemStatus"]["palletItemStatusCode"] == CLOSED
    return allows(need_open_pallet, "", is_closed=is_closed)


def _order_move(act: Act, document: Document, typed: Document) -> int:
    new = read(NewMovement, {**typed, "palletItemId": _id(document)})
    return movements.create_movement(act, "movement pallet item", new)


PALLET_ITEMS = Noun(
    name="pallet item",
    path="pallet-items",
    title="Pallets",
    one="Pallet item",
    about="Pallets and parcels. Goods come onto a pallet when they are received, into a parcel when they are packed.",
    get=pallets.get_pallet_item,
    number="palletItem.labelId",
    api="warehouse/palletItems",
    columns=(
        Column("Goods owner", "goodsOwnerName"),
        Column("Warehouse", "warehouseCode"),
        Column("Location", "palletItem.location.locationName"),
        Column("Type", "palletItem.palletType.palletTypeCode"),
        Column("Status", "palletItem.palletItemStatus.palletItemStatusCode", "word"),
        Column("Order", "palletItemConnections.order.orderId", "order"),
    ),
    facts=(
        Column("Goods owner", "goodsOwnerName"),
        Column("Warehouse", "warehouseCode"),
        Column("Location", "palletItem.location.locationName"),
        Column("Type", "palletItem.palletType.palletTypeCode"),
        Column("Status", "palletItem.palletItemStatus.palletItemStatusCode", "word"),
        Column("Order", "palletItemConnections.order.orderId", "order"),
        Column("Purchase order", "palletItemConnections.purchaseOrder.purchaseOrderId", "purchase order"),
        Column("Came in", "palletItem.inDate", "time"),
        Column("Left", "palletItem.outDate", "time"),
        Column("Id", "palletItem.palletItemId"),
    ),
    new=Step(
        "new",
        "Create a pallet",
        _make_pallet,
        leads_to="pallet item",
        inputs=(
            parts.OWNER,
            Input("labelId", "Label", required=True),
            parts.WAREHOUSE,
            Input("palletTypeCode", "Type", "choice", choices.kinds("pallet type", may_be_none=False)),
        ),
    ),
    steps=(
        Step("close", "Close", _close, _may_close, kind="main"),
        Step(
            "movement",
            "Order a move",
            _order_move,
            inputs=(TO, Input("typeCode", "Type", "choice", choices.kinds("pallet movement type"))),
            leads_to="movement pallet item",
        ),
    ),
)


def _movements(noun: MovementNoun, path: str, title: str, one: str, about: str, thing: Column, api: str) -> Noun:
    def number(document: Document) -> int:
        return int(document["id"])

    def get(*asked: object) -> Document:
        return movements.get_movement(asked[0], asked[1], noun, asked[2])  # type: ignore[arg-type]

    def start(act: Act, document: Document, _: Document) -> None:
        movements.change_movement(act, noun, number(document), read(MovementChange, {"isStarted": True}))

    def change(act: Act, document: Document, typed: Document) -> None:
        movements.change_movement(act, noun, number(document), read(MovementChange, typed))

    def execute(act: Act, document: Document, _: Document) -> None:
        movements.execute_movement(act, noun, number(document))

    def delete(act: Act, document: Document, _: Document) -> None:
        movements.delete_movement(act, noun, number(document))

    def is_open(_: Look, document: Document) -> bool:
        return allows(need_open_movement, noun, number(document), "", is_executed=document["isExecuted"])

    def not_started(look: Look, document: Document) -> bool:
        return is_open(look, document) and not document["isStarted"]

    return Noun(
        name=noun,
        path=path,
        title=title,
        one=one,
        about=about,
        get=get,
        number="id",
        api=api,
        columns=(
            Column("Goods owner", "goodsOwnerName"),
            thing,
            Column("Warehouse", "warehouseCode"),
            Column("To", "toLocation"),
            Column("Type", "typeCode"),
            Column("Started", "isStarted", "word"),
            Column("Executed", "isExecuted", "word"),
        ),
        facts=(
            Column("Goods owner", "goodsOwnerName"),
            thing,
            Column("Warehouse", "warehouseCode"),
            Column("To", "toLocation"),
            Column("Type", "typeCode"),
            Column("Started", "isStarted", "word"),
            Column("Executed", "isExecuted", "word"),
            Column("Order", "orderId", "order"),
            Column("Id", "id"),
        ),
        steps=(
            Step("start", "Start", start, not_started, kind="main"),
            Step("execute", "Execute", execute, is_open, kind="main"),
            Step("delete", "Delete", delete, is_open, leads_to="list", kind="danger"),
            Step("change", "Change", change, is_open, (_at_its_goal(), _done_by())),
        ),
    )


def _at_its_goal() -> Input:
    return Input("toLocationId", "To", "ids", choices.all_locations, value=_text("toLocationId"))


def _done_by() -> Input:
    return Input("assignedUserId", "Given to", "ids", choices.users, value=_text("assignedUserId"))


def _text(name: str) -> Callable[[Document], str]:
    return lambda document: "" if document[name] is None else str(document[name])


MOVEMENT_ORDERS = _movements(
    "movement order",
    "movement-orders",
    "Movement orders",
    "Movement order",
    "Orders to move an article item. A new one is made on the page of what is to be moved, under Stock.",
    Column("Article item", "articleItemId", "article item"),
    "warehouse/movementOrders",
)
PALLET_MOVEMENTS = _movements(
    "movement pallet item",
    "movement-pallet-items",
    "Pallet movements",
    "Pallet movement",
    "Orders to move a pallet with all that stands on it. A new one is made on the page of the pallet.",
    Column("Pallet item", "palletItemId", "pallet item"),
    "warehouse/movementPalletItems",
)
