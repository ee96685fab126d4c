"""Routes about purchase orders, shipments and production orders."""

from typing import Annotated

from fastapi import FastAPI, Query

from dockbell.warehouse.act import Document
from dockbell.warehouse.actions import production_orders, purchase_orders, shipments
from dockbell.warehouse.api.desk import API, FLOOR, Acting, Desk, Names, Number, Rows, asked, either, moments, said
from dockbell.warehouse.inputs import goods_in as inputs
from dockbell.warehouse.inputs.common import LARGEST_ID, Date, Incoming, Name, Step
from dockbell.warehouse.inputs.floor import ReportedNumberOfItems
from dockbell.warehouse.rules.statuses import CANCELLED, PRODUCTION_ORDER, PURCHASE_ORDER, SHIPMENT
from dockbell.warehouse.store import places

ONE = f"{API}/purchaseOrders/{{purchaseOrderId}}"


class WantedPurchaseOrders(Incoming):
    goods_owner_id: Number
    purchase_order_number: Name | None = None
    purchase_order_numbers: Names = None
    article_numbers: Names = None
    in_date_from: Date | None = None
    in_date_to: Date | None = None
    purchase_order_status_from: Number = 0
    purchase_order_status_to: Number = LARGEST_ID
    purchase_order_status_changed_time_from: str | None = None
    last_receive_time_from: str | None = None
    last_receive_time_to: str | None = None
    purchase_order_id_from: Number = 0
    max_purchase_orders_to_get: Rows = 100


class WantedShipments(Incoming):
    goods_owner_id: Number
    shipment_id_from: Number = 0
    max_shipments_to_get: Rows = 100


class WantedProductionOrders(Incoming):
    goods_owner_id: Number
    production_order_id_from: Number = 0
    max_production_orders_to_get: Rows = 100


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
        rows = await desk.read(places.kinds, "purchase order type")
        return [{"id": row["id"], "code": row["code"], "name": row["name"]} for row in rows.values()]

    @app.get(f"{API}/purchaseOrders")
    async def list_purchase_orders(actor: Acting, wanted: Annotated[WantedPurchaseOrders, Query()]) -> list[Document]:
        times = moments(
            purchaseOrderStatusChangedTimeFrom=wanted.purchase_order_status_changed_time_from,
            lastReceiveTimeFrom=wanted.last_receive_time_from,
            lastReceiveTimeTo=wanted.last_receive_time_to,
        )
        return await desk.look(
            actor,
            purchase_orders.list_purchase_orders,
            wanted.goods_owner_id,
            number=either(wanted.purchase_order_number, wanted.purchase_order_numbers),
            article_number=wanted.article_numbers,
            status_from=wanted.purchase_order_status_from,
            status_to=wanted.purchase_order_status_to,
            id_from=wanted.purchase_order_id_from,
            limit=wanted.max_purchase_orders_to_get,
            **asked(
                status_changed_from=times.get("purchaseOrderStatusChangedTimeFrom"),
                received_from=times.get("lastReceiveTimeFrom"),
                received_to=times.get("lastReceiveTimeTo"),
                in_date_from=wanted.in_date_from,
                in_date_to=wanted.in_date_to,
            ),
        )

    @app.get(ONE)
    async def get_purchase_order(actor: Acting, purchaseOrderId: Number) -> Document:
        return await desk.look(actor, purchase_orders.get_purchase_order, purchaseOrderId)

    @app.put(f"{API}/purchaseOrders")
    async def put_purchase_order(actor: Acting, new: inputs.NewPurchaseOrder) -> Document:
        purchase_order_id, is_new = await desk.change(actor, purchase_orders.put_purchase_order, new)
        return {"purchaseOrderId": purchase_order_id, "message": said("purchase order", is_new=is_new)}

    @app.delete(ONE)
    async def cancel_purchase_order(actor: Acting, purchaseOrderId: Number) -> Document:
        await desk.change(actor, purchase_orders.set_purchase_order_status, purchaseOrderId, CANCELLED)
        return {"purchaseOrderId": purchaseOrderId, "message": "The purchase order was cancelled."}


def _add_purchase_order_changes(app: FastAPI, desk: Desk) -> None:
    @app.patch(f"{ONE}/purchaseOrderStatus")
    async def set_purchase_order_status(
        actor: Acting, purchaseOrderId: Number, wanted: inputs.NewPurchaseOrderStatus
    ) -> Document:
        number = wanted.purchase_order_status_number
        order = await desk.change(actor, purchase_orders.set_purchase_order_status, purchaseOrderId, number)
        status = order["purchaseOrderInfo"]["purchaseOrderStatus"]
        message = f"The purchase order's status is {status['number']} {status['text']}."
        return {"purchaseOrderId": purchaseOrderId, "message": message}

    @app.patch(f"{ONE}/purchaseOrderNumber")
    async def set_purchase_order_number(
        actor: Acting, purchaseOrderId: Number, wanted: inputs.NewPurchaseOrderNumber
    ) -> Document:
        await desk.change(actor, purchase_orders.set_number, purchaseOrderId, wanted.purchase_order_number)
        return {"purchaseOrderId": purchaseOrderId, "message": "The purchase order was changed."}

    @app.patch(f"{ONE}/inDate")
    async def set_in_date(actor: Acting, purchaseOrderId: Number, wanted: inputs.NewInDate) -> Document:
        await desk.change(actor, purchase_orders.set_in_date, purchaseOrderId, wanted.in_date)
        return {"purchaseOrderId": purchaseOrderId, "message": "The purchase order was changed."}

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
        first, limit = wanted.shipment_id_from, wanted.max_shipments_to_get
        return await desk.look(actor, shipments.list_shipments, wanted.goods_owner_id, id_from=first, limit=limit)

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
        first, limit = wanted.production_order_id_from, wanted.max_production_orders_to_get
        return await desk.look(
            actor, production_orders.list_production_orders, wanted.goods_owner_id, id_from=first, limit=limit
        )

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
