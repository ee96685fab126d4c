"""Purchase orders on the pages, and shipments, which bring and take."""

from collections.abc import Callable

from dockbell.warehouse.act import Act, Document
from dockbell.warehouse.actions import purchase_orders, shipments
from dockbell.warehouse.inputs.common import read
from dockbell.warehouse.inputs.goods_in import PURCHASE_ORDER_DETAILS, NewPurchaseOrder, NewShipment, ReceiveStep
from dockbell.warehouse.pages import choices, parts
from dockbell.warehouse.pages.noun import Column, Input, Look, Noun, Step, Table
from dockbell.warehouse.rules.statuses import (
    BEFORE_GOODS,
    CANCELLED,
    OPEN_FOR_GOODS,
    PURCHASE_ORDER,
    SHIPMENT,
    allows,
    impossible,
    need_purchase_order_step,
)

ARRIVAL_SPACE = 200


def _id(document: Document) -> int:
    return int(document["purchaseOrderInfo"]["purchaseOrderId"])


def _status(document: Document) -> int:
    return int(document["purchaseOrderInfo"]["purchaseOrderStatus"]["number"])


def _create(act: Act, _: Document, typed: Document) -> int:
    return purchase_orders.put_purchase_order(act, read(NewPurchaseOrder, typed))[0]


def _change(act: Act, document: Document, typed: Document) -> None:
    """The whole purchase order as it is, with the lines that were typed."""
    info, supplier = document["purchaseOrderInfo"], document["supplierInfo"]
    whole = {
        **{name: info.get(name) for name in PURCHASE_ORDER_DETAILS},
        "container": info["advanced"]["container"],
        "goodsOwnerId": document["goodsOwner"]["id"],
        "purchaseOrderNumber": info["purchaseOrderNumber"],
        "goodsOwnerPurchaseOrderId": info["goodsOwnerPurchaseOrderId"],
        "supplierInfo": supplier,
        "purchaseOrderType": info["purchaseOrderType"],
        "purchaseOrderIsReturnType": info["advanced"]["purchaseOrderIsReturnType"],
        "purchaseOrderClasses": document["classes"],
        "inDate": info["inDate"],
        "warehouseCode": info["warehouse"]["code"],
        **typed,
    }
    purchase_orders.put_purchase_order(act, read(NewPurchaseOrder, whole))


def _receive(act: Act, document: Document, typed: Document) -> None:
    purchase_orders.receive(act, _id(document), read(ReceiveStep, typed).lines)


def _finish(act: Act, document: Document, _: Document) -> None:
    purchase_orders.finish(act, _id(document))


def _set(number: int) -> Callable[[Act, Document, Document], None]:
    def take(act: Act, document: Document, _: Document) -> None:
        purchase_orders.set_purchase_order_status(act, _id(document), number)

    return take


def _may_set(number: int) -> Callable[[Look, Document], bool]:
    def offered(_: Look, document: Document) -> bool:
        received = sum(int(line["receivedNumberOfItems"]) for line in document["purchaseOrderLines"])
        return allows(need_purchase_order_step, "", _status(document), number, received)

    return offered


def _at(statuses: tuple[int, ...]) -> Callable[[Look, Document], bool]:
    return lambda _, document: allows(PURCHASE_ORDER.need, "", _status(document), "", statuses)


def _lines(document: Document) -> list[dict[str, str]]:
    return [
        {
            "rowNumber": line["rowNumber"],
            "articleNumber": line["article"]["articleNumber"],
            "numberOfItems": str(line["advisedNumberOfItems"]),
        }
        for line in document["purchaseOrderLines"]
    ]


def _still_to_come(document: Document) -> list[dict[str, str]]:
    return [
        {
            "rowNumber": line["rowNumber"],
            "": line["article"]["articleNumber"],
            "numberOfItems": str(max(1, line["advisedNumberOfItems"] - line["receivedNumberOfItems"])),
        }
        for line in document["purchaseOrderLines"]
    ]


STATUS = Column("Status", "purchaseOrderInfo.purchaseOrderStatus", "status")
PURCHASE_ORDERS = Noun(
    name="purchase order",
    path="purchase-orders",
    title="Purchase orders",
    one="Purchase order",
    about="Goods on their way in: receive them line by line, and finish when nothing more comes.",
    get=purchase_orders.get_purchase_order,
    number="purchaseOrderInfo.purchaseOrderNumber",
    api="purchaseOrders",
    status=STATUS,
    columns=(
        Column("Goods owner", "goodsOwner.name"),
        Column("Warehouse", "purchaseOrderInfo.warehouse.code"),
        STATUS,
        Column("Supplier", "supplierInfo.supplierName"),
        Column("Expected", "purchaseOrderInfo.inDate"),
    ),
    facts=(
        Column("Goods owner", "goodsOwner.name"),
        Column("Warehouse", "purchaseOrderInfo.warehouse.name"),
        Column("Supplier", "supplierInfo.supplierName"),
        Column("Type", "purchaseOrderInfo.purchaseOrderType.name"),
        Column("Return type", "purchaseOrderInfo.advanced.purchaseOrderIsReturnType", "word"),
        Column("Expected", "purchaseOrderInfo.inDate"),
        Column("Shipment", "shipmentInfo.shipmentId", "shipment"),
        Column("Id", "purchaseOrderInfo.purchaseOrderId"),
    ),
    tables=(
        Table(
            "Lines",
            "purchaseOrderLines",
            (
                Column("Article", "article", "article"),
                Column("Expected", "advisedNumberOfItems", "number"),
                Column("Received", "receivedNumberOfItems", "number"),
            ),
        ),
    ),
    new=Step(
        "new",
        "Create a purchase order",
        _create,
        leads_to="purchase order",
        inputs=(
            parts.OWNER,
            Input("purchaseOrderNumber", "Purchase order number", required=True),
            parts.WAREHOUSE,
            Input("supplierInfo.supplierNumber", "Supplier number"),
            Input("purchaseOrderType.code", "Type", "choice", choices.kinds("purchase order type")),
            Input("purchaseOrderIsReturnType", "Goods that come back (return type)", "tick"),
            Input("inDate", "Expected", "date"),
            Input("purchaseOrderLines", "Lines", "lines", columns=(parts.ARTICLE, parts.COUNT)),
        ),
    ),
    steps=(
        Step("arrival-space", "In the arrival space", _set(ARRIVAL_SPACE), _may_set(ARRIVAL_SPACE)),
        Step("finish", "Finish", _finish, _at(OPEN_FOR_GOODS)),
        Step("cancel", "Cancel the purchase order", _set(CANCELLED), _may_set(CANCELLED), kind="danger"),
        Step(
            "receive",
            "Receive",
            _receive,
            _at(OPEN_FOR_GOODS),
            (
                Input(
                    "lines",
                    "What came",
                    "lines",
                    value=_still_to_come,
                    spare_rows=0,
                    only_with="numberOfItems",
                    hint="Empty a number if nothing came of it.",
                    columns=(
                        parts.COUNT,
                        Input("batch", "Batch"),
                        Input("expiryDate", "Expires", "date"),
                        Input("locationId", "Location", "ids", choices.usual_or_locations),
                        Input("palletItemId", "Pallet item", "number"),
                    ),
                ),
            ),
            kind="main",
        ),
        Step(
            "lines",
            "Change the lines",
            _change,
            _at(BEFORE_GOODS),
            (
                Input(
                    "purchaseOrderLines",
                    "Lines",
                    "lines",
                    value=_lines,
                    hint="Empty a row to delete the line.",
                    columns=(parts.ARTICLE, parts.COUNT),
                ),
            ),
        ),
        parts.file_step("purchase order", "purchaseOrderInfo.purchaseOrderId"),
    ),
)

# --- Shipments -------------------------------------------------------------------------------------------


def _ship(act: Act, _: Document, typed: Document) -> int:
    return shipments.create_shipment(act, read(NewShipment, typed))


def need_direction(document: Document, direction: str) -> None:
    if document["direction"] != direction:
        which = f"Shipment {document['shipmentOrderNumber']}"
        raise impossible(f"{which} is {document['direction']}, not {direction}.", "Take a step of its own direction.")


def _travel(direction: str, number: int) -> Callable[[Act, Document, Document], None]:
    def take(act: Act, document: Document, _: Document) -> None:
        need_direction(document, direction)
        shipments.set_shipment_status(act, int(document["shipmentId"]), number)

    return take


def _may_travel(direction: str, number: int) -> Callable[[Look, Document], bool]:
    def offered(_: Look, document: Document) -> bool:
        status = document["shipmentStatus"]["number"]
        return allows(need_direction, document, direction) and allows(SHIPMENT[direction].need_step, "", status, number)

    return offered


def _directions(_: Look) -> list[tuple[str, str]]:
    return [("outbound", "outbound"), ("inbound", "inbound")]


SHIPMENTS = Noun(
    name="shipment",
    path="shipments",
    title="Shipments",
    one="Shipment",
    about="Orders that leave together, or purchase orders that come together.",
    get=shipments.get_shipment,
    number="shipmentOrderNumber",
    api="shipments",
    status=Column("Status", "shipmentStatus", "status"),
    columns=(
        Column("Goods owner", "goodsOwner.name"),
        Column("Warehouse", "warehouse.code"),
        Column("Direction", "direction", "word"),
        Column("Status", "shipmentStatus", "status"),
        Column("Transporter", "transporterCode"),
    ),
    facts=(
        Column("Goods owner", "goodsOwner.name"),
        Column("Warehouse", "warehouse.name"),
        Column("Direction", "direction", "word"),
        Column("Transporter", "transporterCode"),
        Column("Country", "consignee.countryCode"),
        Column("Orders", "orderIds", "order"),
        Column("Purchase orders", "purchaseOrderIds", "purchase order"),
        Column("Id", "shipmentId"),
    ),
    new=Step(
        "new",
        "Create a shipment",
        _ship,
        leads_to="shipment",
        inputs=(
            parts.OWNER,
            Input("shipmentOrderNumber", "Shipment number", required=True),
            Input("direction", "Direction", "choice", _directions),
            Input("transporterCode", "Transporter", "choice", choices.transporters),
            Input("countryCode", "Country", hint="Two capital letters, such as SE."),
            Input("orderIds", "Orders", "ticks", choices.orders_to_ship),
            Input("purchaseOrderIds", "Purchase orders", "ticks", choices.purchase_orders_to_ship),
        ),
    ),
    steps=(
        *(
            Step(
                f"{direction}-{number}",
                text,
                _travel(direction, number),
                _may_travel(direction, number),
                kind="danger" if number == CANCELLED else "main",
            )
            for direction, statuses in SHIPMENT.items()
            for number, text in statuses.texts.items()
            if any(number in follow for follow in statuses.follow.values())
        ),
        parts.file_step("shipment", "shipmentId"),
    ),
)
