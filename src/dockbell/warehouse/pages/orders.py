"""Orders on the pages: from their creation to their return, and pick orders."""

from collections.abc import Callable

from dockbell.clock import DAY, to_text
from dockbell.warehouse.act import Act, Document
from dockbell.warehouse.actions import order_views, orders, pick_orders
from dockbell.warehouse.inputs.common import read
from dockbell.warehouse.inputs.floor import NewPickOrder
from dockbell.warehouse.inputs.orders import NewOrder, PackStep, ReturnStep, SendStep
from dockbell.warehouse.pages import choices, parts
from dockbell.warehouse.pages.noun import Column, Input, Look, Noun, Step, Table
from dockbell.warehouse.rules.floor import need_to_execute, need_to_start
from dockbell.warehouse.rules.order import Line, Order, Status, possible_steps
from dockbell.warehouse.rules.statuses import allows

CONSIGNEE = {
    "customerNumber": "2001",
    "name": "Anna Lind",
    "address1": "Storgatan 5",
    "postCode": "411 38",
    "city": "Göteborg",
    "countryCode": "SE",
}
"""Whom an order made by hand is for."""


def _offered(name: str) -> Callable[[Look, Document], bool]:
    return lambda _, document: name in possible_steps(as_the_rules_see_it(document))


def as_the_rules_see_it(document: Document) -> Order:
    names = ("ordered", "allocated", "picked", "packed", "returned")
    lines = [
        Line(
            int(line["id"]),
            line["rowNumber"],
            int(line["article"]["articleSystemId"]),
            *(int(line[f"{name}NumberOfItems"]) for name in names),
        )
        for line in document["orderLines"]
    ]
    info = document["orderInfo"]
    return Order(info["orderNumber"], Status(info["orderStatus"]["number"]), tuple(lines))


def _create(act: Act, _: Document, typed: Document) -> int:
    fixed = {"deliveryDate": to_text(act.now + 2 * DAY)[:10], "consignee": CONSIGNEE}
    return orders.create_order(act, read(NewOrder, {**fixed, **typed}))[0]


def _id(document: Document) -> int:
    return int(document["orderInfo"]["orderId"])


def _step(action: Callable[[Act, int], object]) -> Callable[[Act, Document, Document], None]:
    def take(act: Act, document: Document, _: Document) -> None:
        action(act, _id(document))

    return take


def _status(number: int) -> Callable[[Act, Document, Document], None]:
    return _step(lambda act, order_id: orders.set_order_status(act, order_id, number))


def _pack(act: Act, document: Document, typed: Document) -> None:
    orders.pack_order(act, _id(document), parcel_number=read(PackStep, typed).parcel_number)


def _send(act: Act, document: Document, typed: Document) -> None:
    orders.send_order(act, _id(document), waybill=read(SendStep, typed).waybill)


def _take_back(act: Act, document: Document, typed: Document) -> None:
    orders.take_back_order(act, _id(document), read(ReturnStep, typed).lines)


def _rows_that_left(document: Document) -> list[dict[str, str]]:
    return [
        {"rowNumber": line["rowNumber"], "numberOfItems": f"{left:.0f}", "": line["article"]["articleNumber"]}
        for line in document["orderLines"]
        if (left := line["pickedNumberOfItems"] - line["returnedNumberOfItems"]) > 0
    ]


STATUS = Column("Status", "orderInfo.orderStatus", "status")
ORDER = Noun(
    name="order",
    path="orders",
    title="Orders",
    one="Order",
    about="The reference warehouse: what you do here publishes events, as a warehouse system does.",
    get=order_views.get_order,
    number="orderInfo.orderNumber",
    api="orders",
    status=STATUS,
    columns=(
        Column("Goods owner", "goodsOwner.name"),
        Column("Warehouse", "orderInfo.warehouse.code"),
        STATUS,
        Column("Transporter", "transporter.transporterName"),
        Column("Order type", "orderInfo.orderType.code"),
        Column("Ordered", "orderInfo.orderedNumberOfItems", "number"),
        Column("Picked", "orderInfo.pickedNumberOfItems", "number"),
    ),
    facts=(
        Column("Goods owner", "goodsOwner.name"),
        Column("Warehouse", "orderInfo.warehouse.name"),
        Column("Transporter", "transporter.transporterName"),
        Column("Waybill", "orderInfo.wayBill"),
        Column("Order type", "orderInfo.orderType.code"),
        Column("Shipment", "shipmentInfo.shipmentId", "shipment"),
        Column("Id", "orderInfo.orderId"),
    ),
    tables=(
        Table(
            "Lines",
            "orderLines",
            (
                Column("Article", "article", "article"),
                Column("Ordered", "orderedNumberOfItems", "number"),
                Column("Allocated", "allocatedNumberOfItems", "number"),
                Column("Picked", "pickedNumberOfItems", "number"),
                Column("Packed", "packedNumberOfItems", "number"),
                Column("Returned", "returnedNumberOfItems", "number"),
            ),
        ),
        Table("Parcels", "parcels", (Column("Parcel", "id", "pallet item"), Column("Label", "parcelNumber"))),
    ),
    new=Step(
        "new",
        "Create an order",
        _create,
        leads_to="order",
        inputs=(
            parts.OWNER,
            Input("orderNumber", "Order number", required=True),
            parts.WAREHOUSE,
            Input("transporter.transporterCode", "Transporter", "choice", choices.transporters),
            Input("orderType.code", "Order type", "choice", choices.order_types),
            Input("orderLines", "Lines", "lines", columns=(parts.ARTICLE, parts.COUNT)),
        ),
    ),
    steps=(
        Step("release", "Release", _status(Status.RELEASED), _offered("release")),
        Step("reopen", "Reopen", _status(Status.OPEN), _offered("reopen")),
        Step("allocate", "Allocate", _step(orders.allocate_order), _offered("allocate"), kind="main"),
        Step("pick", "Pick", _step(orders.pick_order), _offered("pick"), kind="main"),
        Step("end-picking", "End picking", _status(Status.PICKED), _offered("end-picking")),
        Step("deallocate", "Deallocate", _step(orders.deallocate_order), _offered("deallocate")),
        Step("collect", "Collect", _step(orders.collect_order), _offered("collect"), kind="main"),
        Step("cancel", "Cancel the order", _step(orders.cancel_order), _offered("cancel"), kind="danger"),
        Step(
            "pack",
            "Pack",
            _pack,
            _offered("pack"),
            (Input("parcelNumber", "Parcel number", hint="Left empty, it gets one."),),
            kind="main",
        ),
        Step(
            "send",
            "Send",
            _send,
            _offered("send"),
            (Input("waybill", "Waybill", hint="Left empty, it gets one."),),
            kind="main",
        ),
        Step(
            "return",
            "Return",
            _take_back,
            _offered("return"),
            (
                Input(
                    "lines",
                    "What came back",
                    "lines",
                    value=_rows_that_left,
                    spare_rows=0,
                    only_with="numberOfItems",
                    columns=(
                        parts.COUNT,
                        Input("returnCauseCode", "Return cause", "choice", choices.kinds("return cause")),
                        Input(
                            "articleItemStatusCode",
                            "Item status",
                            "choice",
                            choices.item_statuses,
                            value=lambda _: "QUAR",
                        ),
                    ),
                ),
            ),
        ),
        parts.file_step("order", "orderInfo.orderId"),
    ),
)


def _gather(act: Act, _: Document, typed: Document) -> int:
    return pick_orders.create_pick_order(act, read(NewPickOrder, typed).order_ids)


def _start(act: Act, document: Document, _: Document) -> None:
    pick_orders.start_pick_order(act, int(document["pickOrderId"]))


def _execute(act: Act, document: Document, _: Document) -> None:
    pick_orders.execute_pick_order(act, int(document["pickOrderId"]))


def _may_start(_: Look, document: Document) -> bool:
    return allows(need_to_start, document["pickOrderId"], is_started=document["isStarted"])


def _may_execute(_: Look, document: Document) -> bool:
    facts = {"is_started": document["isStarted"], "is_executed": document["isExecuted"]}
    return allows(need_to_execute, document["pickOrderId"], **facts)


PICK_ORDER = Noun(
    name="pick order",
    path="pick-orders",
    title="Pick orders",
    one="Pick order",
    about="Allocated orders gathered to be picked in one round.",
    get=pick_orders.get_pick_order,
    number="pickOrderId",
    api="warehouse/pickOrders",
    columns=(
        Column("Goods owner", "goodsOwnerName"),
        Column("Warehouse", "warehouse.code"),
        Column("Started", "pickStarted", "time"),
        Column("Finished", "pickFinished", "time"),
        Column("Orders", "orderIds", "order"),
    ),
    facts=(
        Column("Goods owner", "goodsOwnerName"),
        Column("Warehouse", "warehouse.name"),
        Column("Orders", "orderIds", "order"),
        Column("Started", "isStarted", "word"),
        Column("Executed", "isExecuted", "word"),
        Column("Picking began", "pickStarted", "time"),
        Column("Picking ended", "pickFinished", "time"),
        Column("Packing began", "packStarted", "time"),
        Column("Packing ended", "packFinished", "time"),
        Column("Id", "pickOrderId"),
    ),
    new=Step(
        "new",
        "Gather orders",
        _gather,
        leads_to="pick order",
        inputs=(
            Input(
                "orderIds",
                "Orders",
                "ticks",
                choices.orders_to_gather,
                hint="Allocated orders that are on no pick order yet; those of one goods owner and one warehouse go together.",
            ),
        ),
    ),
    steps=(
        Step("start", "Start", _start, _may_start, kind="main"),
        Step("execute", "Execute", _execute, _may_execute, kind="main"),
    ),
)
