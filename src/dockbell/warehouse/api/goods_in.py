"""Routes about purchase orders, shipments and production orders."""

from typing import Annotated

from fastapi import FastAPI, Query

from dockbell.warehouse.act import Document
from dockbell.warehouse.actions import production_orders, purchase_orders, shipments
from dockbell.warehouse.api.desk import (
    API,
    FLOOR,
    Acting,
    Desk,
    Names,
    Number,
    Rows,
    Wanted,
    When,
    add_numbered,
    add_patches,
    asks,
)
from dockbell.warehouse.inputs import goods_in as inputs
from dockbell.warehouse.inputs.common import Date, Name, Step
from dockbell.warehouse.inputs.floor import ReportedNumberOfItems
from dockbell.warehouse.rules.statuses import CANCELLED, PRODUCTION_ORDER, PURCHASE_ORDER, SHIPMENT
from dockbell.warehouse.store import places

ONE = f"{API}/purchaseOrders/{{purchaseOrderId}}"


class WantedPurchaseOrders(Wanted):
    one_number: Name | None = asks("purchaseOrderNumber")
    number: Names = asks("purchaseOrderNumbers")
    article_number: Names = asks("articleNumbers")
    in_date_from: Date | None = None
    in_date_to: Date | None = None
    status_from: Number | None = asks("purchaseOrderStatusFrom")
    status_to: Number | None = asks("purchaseOrderStatusTo")
    status_changed_from: When | None = asks("purchaseOrderStatusChangedTimeFrom")
    received_from: When | None = asks("lastReceiveTimeFrom")
    received_to: When | None = asks("lastReceiveTimeTo")
    id_from: Number = asks("purchaseOrderIdFrom", default=0)
    limit: Rows = asks("maxPurchaseOrdersToGet", default=100)


class WantedShipments(Wanted):
    id_from: Number = asks("shipmentIdFrom", default=0)
    limit: Rows = asks("maxShipmentsToGet", default=100)


class WantedProductionOrders(Wanted):
    id_from: Number = asks("productionOrderIdFrom", default=0)
    limit: Rows = asks("maxProductionOrdersToGet", default=100)


def add_routes(app: FastAPI, desk: Desk) -> None:
    _add_purchase_orders(app, desk)
    _add_purchase_order_changes(app, desk)
    _add_shipments(app, desk)
    _add_production_orders(app, desk)


def _add_purchase_orders(app: FastAPI, desk: Desk) -> None:
    @app.get(f"{API}/purchaseOrders/statuses")
    async def purchase_order_statuses() -> list[Document]:
        return PURCHASE_ORDER.documents()

    @app.get(f"{API}/purchaseOrders/types")
    async def purchase_order_types() -> list[Document]:
        return places.short(await desk.read(places.kinds, "purchase order type"))

    @app.get(f"{API}/purchaseOrders")
    async def list_purchase_orders(actor: Acting, wanted: Annotated[WantedPurchaseOrders, Query()]) -> list[Document]:
        return await desk.list(actor, purchase_orders.list_purchase_orders, wanted)

    add_numbered(
        app, desk, f"{API}/purchaseOrders", "purchaseOrderId", "purchase order", inputs.NewPurchaseOrder,
        get=purchase_orders.get_purchase_order, put=purchase_orders.put_purchase_order,
        anew=purchase_orders.order_anew, change=purchase_orders.change_purchase_order,
    )  # fmt: skip

    @app.put(f"{ONE}/articleItems")
    async def put_advised_items(actor: Acting, purchaseOrderId: Number, advised: inputs.AdvisedItems) -> Document:
        await desk.change(actor, purchase_orders.advise_items, purchaseOrderId, advised.items)
        return {"purchaseOrderId": purchaseOrderId, "message": "The advised items were changed."}

    @app.delete(ONE)
    async def cancel_purchase_order(actor: Acting, purchaseOrderId: Number) -> Document:
        await desk.change(actor, purchase_orders.set_purchase_order_status, purchaseOrderId, CANCELLED)
        return {"purchaseOrderId": purchaseOrderId, "message": "The purchase order was cancelled."}


def _add_purchase_order_changes(app: FastAPI, desk: Desk) -> None:
    add_patches(app, desk, ONE, "purchase order", inputs.PATCHES, purchase_orders.change_field)

    @app.patch(f"{ONE}/purchaseOrderStatus")
    async def set_purchase_order_status(
        actor: Acting, purchaseOrderId: Number, wanted: inputs.NewPurchaseOrderStatus
    ) -> Document:
        number = wanted.purchase_order_status_number
        order = await desk.change(actor, purchase_orders.set_purchase_order_status, purchaseOrderId, number)
        status = order["purchaseOrderInfo"]["purchaseOrderStatus"]
        message = f"The purchase order's status is {status['number']} {status['text']}."
        return {"purchaseOrderId": purchaseOrderId, "message": message}

    @app.patch(f"{ONE}/lines/{{purchaseOrderLineId}}/reportedNumberOfItems")
    async def set_reported_received(
        actor: Acting, purchaseOrderId: Number, purchaseOrderLineId: Number, wanted: ReportedNumberOfItems
    ) -> Document:
        count = wanted.reported_number_of_items
        await desk.change(actor, purchase_orders.set_reported, purchaseOrderId, purchaseOrderLineId, count)
        message = "The reported number was changed."
        return {"purchaseOrderId": purchaseOrderId, "purchaseOrderLineId": purchaseOrderLineId, "message": message}

    @app.post(f"{FLOOR}/purchaseOrders/{{purchaseOrderId}}/receive")
    async def receive(actor: Acting, purchaseOrderId: Number, step: inputs.ReceiveStep) -> Document:
        return await desk.change(actor, purchase_orders.receive, purchaseOrderId, step.lines, by=step)

    @app.post(f"{FLOOR}/purchaseOrders/{{purchaseOrderId}}/finish")
    async def finish(actor: Acting, purchaseOrderId: Number, step: Step | None = None) -> Document:
        return await desk.change(actor, purchase_orders.finish, purchaseOrderId, by=step or Step())


def _add_shipments(app: FastAPI, desk: Desk) -> None:
    @app.get(f"{API}/shipments/statuses")
    async def shipment_statuses() -> dict[str, list[Document]]:
        return {direction: statuses.documents() for direction, statuses in SHIPMENT.items()}

    @app.get(f"{API}/shipments")
    async def list_shipments(actor: Acting, wanted: Annotated[WantedShipments, Query()]) -> list[Document]:
        return await desk.list(actor, shipments.list_shipments, wanted)

    @app.get(f"{API}/shipments/{{shipmentId}}")
    async def get_shipment(actor: Acting, shipmentId: Number) -> Document:
        return await desk.look(actor, shipments.get_shipment, shipmentId)

    @app.post(f"{FLOOR}/shipments")
    async def create_shipment(actor: Acting, new: inputs.NewShipment) -> Document:
        return {"shipmentId": await desk.change(actor, shipments.create_shipment, new, by=new)}

    @app.post(f"{FLOOR}/shipments/{{shipmentId}}/status")
    async def set_shipment_status(actor: Acting, shipmentId: Number, step: inputs.NewShipmentStatus) -> Document:
        number = step.shipment_status_number
        return await desk.change(actor, shipments.set_shipment_status, shipmentId, number, by=step)


def _add_production_orders(app: FastAPI, desk: Desk) -> None:
    @app.get(f"{API}/productionOrders/statuses")
    async def production_order_statuses() -> list[Document]:
        return PRODUCTION_ORDER.documents()

    @app.get(f"{API}/productionOrders")
    async def list_production_orders(
        actor: Acting, wanted: Annotated[WantedProductionOrders, Query()]
    ) -> list[Document]:
        return await desk.list(actor, production_orders.list_production_orders, wanted)

    @app.get(f"{API}/productionOrders/{{productionOrderId}}")
    async def get_production_order(actor: Acting, productionOrderId: Number) -> Document:
        return await desk.look(actor, production_orders.get_production_order, productionOrderId)

    @app.post(f"{FLOOR}/productionOrders")
    async def create_production_order(actor: Acting, new: inputs.NewProductionOrder) -> Document:
        return {"productionOrderId": await desk.change(actor, production_orders.create_production_order, new, by=new)}

    @app.post(f"{FLOOR}/productionOrders/{{productionOrderId}}/status")
    async def set_production_order_status(
        actor: Acting, productionOrderId: Number, step: inputs.NewProductionOrderStatus
    ) -> Document:
        number = step.production_order_status_number
        action = production_orders.set_production_order_status
        return await desk.change(actor, action, productionOrderId, number, by=step)
