"""Routes about orders: the documented ones, and the steps of the floor."""

from typing import Annotated

from fastapi import FastAPI, Query

from dockbell.warehouse.act import Document
from dockbell.warehouse.actions import order_reports, order_views, orders, pallets
from dockbell.warehouse.api.desk import (
    API,
    FLOOR,
    Acting,
    Desk,
    Names,
    Number,
    Rows,
    YesOrNo,
    asked,
    either,
    moments,
    said,
)
from dockbell.warehouse.inputs import orders as inputs
from dockbell.warehouse.inputs.common import LARGEST_ID, Incoming, Name, Step
from dockbell.warehouse.inputs.floor import ReportedNumberOfItems
from dockbell.warehouse.rules.order import Status
from dockbell.warehouse.store import places

ONE = f"{API}/orders/{{orderId}}"


class WantedOrders(Incoming):
    goods_owner_id: Number
    order_number: Name | None = None
    order_numbers: Names = None
    order_status_from: Number = 0
    order_status_to: Number = LARGEST_ID
    order_status_changed_time_from: str | None = None
    order_created_time_from: str | None = None
    order_created_time_to: str | None = None
    order_updated_time_from: str | None = None
    shipped_time_from: str | None = None
    shipped_time_to: str | None = None
    last_returned_from: str | None = None
    shipment_id: Number | None = None
    parcel_number: Name | None = None
    article_numbers: Names = None
    only_orders_with_order_lines_to_report: YesOrNo = False
    order_id_from: Number = 0
    max_orders_to_get: Rows = 100


def add_routes(app: FastAPI, desk: Desk) -> None:
    _add_lists(app, desk)
    _add_one(app, desk)
    _add_patches(app, desk)
    _add_reports(app, desk)
    _add_steps(app, desk)


def _add_lists(app: FastAPI, desk: Desk) -> None:
    @app.get(f"{API}/orders/statuses")
    async def order_statuses() -> list[Document]:
        return [{"number": int(status), "text": status.text} for status in Status]

    @app.get(f"{API}/orders/types")
    async def order_types() -> list[Document]:
        return [dict(row) for row in (await desk.read(places.order_types)).values()]

    @app.get(f"{API}/orders")
    async def list_orders(actor: Acting, wanted: Annotated[WantedOrders, Query()]) -> list[Document]:
        times = moments(
            orderStatusChangedTimeFrom=wanted.order_status_changed_time_from,
            orderCreatedTimeFrom=wanted.order_created_time_from,
            orderCreatedTimeTo=wanted.order_created_time_to,
            orderUpdatedTimeFrom=wanted.order_updated_time_from,
            shippedTimeFrom=wanted.shipped_time_from,
            shippedTimeTo=wanted.shipped_time_to,
            lastReturnedFrom=wanted.last_returned_from,
        )
        return await desk.look(
            actor,
            order_views.list_orders,
            wanted.goods_owner_id,
            number=either(wanted.order_number, wanted.order_numbers),
            status_from=wanted.order_status_from,
            status_to=wanted.order_status_to,
            shipment_id=wanted.shipment_id,
            parcel_number=wanted.parcel_number,
            article_number=wanted.article_numbers,
            unreported=int(wanted.only_orders_with_order_lines_to_report),
            id_from=wanted.order_id_from,
            limit=wanted.max_orders_to_get,
            **asked(
                status_changed_from=times.get("orderStatusChangedTimeFrom"),
                created_from=times.get("orderCreatedTimeFrom"),
                created_to=times.get("orderCreatedTimeTo"),
                changed_from=times.get("orderUpdatedTimeFrom"),
                shipped_from=times.get("shippedTimeFrom"),
                shipped_to=times.get("shippedTimeTo"),
                returned_from=times.get("lastReturnedFrom"),
            ),
        )


def _add_one(app: FastAPI, desk: Desk) -> None:
    @app.get(ONE)
    async def get_order(actor: Acting, orderId: Number) -> Document:
        return await desk.look(actor, order_views.get_order, orderId)

    @app.put(f"{API}/orders")
    async def put_order(actor: Acting, new: inputs.NewOrder) -> Document:
        order_id, is_new = await desk.change(actor, orders.create_order, new)
        return {"orderId": order_id, "message": said("order", is_new=is_new)}

    @app.delete(ONE)
    async def cancel_order(actor: Acting, orderId: Number) -> Document:
        await desk.change(actor, orders.cancel_order, orderId)
        return {"orderId": orderId, "message": "The order was cancelled."}

    @app.get(f"{ONE}/parcels")
    async def list_parcels(actor: Acting, orderId: Number) -> list[Document]:
        return await desk.look(actor, order_views.list_parcels, orderId)

    @app.put(f"{ONE}/parcels/{{parcelId}}/parcelTracking")
    async def set_parcel_tracking(
        actor: Acting, orderId: Number, parcelId: Number, new: inputs.NewParcelTracking
    ) -> Document:
        await desk.change(actor, pallets.set_parcel_tracking, orderId, parcelId, new.tracking_url)
        return {"orderId": orderId, "parcelId": parcelId, "message": "The parcel's tracking was changed."}

    @app.put(f"{ONE}/orderTracking")
    async def put_tracking(actor: Acting, orderId: Number, new: inputs.NewTrackings) -> Document:
        await desk.change(actor, order_reports.put_trackings, orderId, new.tracking)
        return {"orderId": orderId, "message": "The order's tracking was changed."}


def _add_patches(app: FastAPI, desk: Desk) -> None:
    @app.patch(f"{ONE}/orderStatus")
    async def set_order_status(actor: Acting, orderId: Number, wanted: inputs.NewOrderStatus) -> Document:
        order = await desk.change(actor, orders.set_order_status, orderId, wanted.order_status_number)
        status = order["orderInfo"]["orderStatus"]
        return {"orderId": orderId, "message": f"The order's status is {status['number']} {status['text']}."}

    @app.patch(f"{ONE}/orderNumber")
    async def set_order_number(actor: Acting, orderId: Number, wanted: inputs.NewOrderNumber) -> Document:
        return await column(actor, orderId, number=wanted.order_number)

    @app.patch(f"{ONE}/deliveryDate")
    async def set_delivery_date(actor: Acting, orderId: Number, wanted: inputs.NewDeliveryDate) -> Document:
        return await column(actor, orderId, delivery_date=wanted.delivery_date)

    @app.patch(f"{ONE}/servicePointCode")
    async def set_service_point(actor: Acting, orderId: Number, wanted: inputs.NewServicePoint) -> Document:
        return await column(actor, orderId, servicePointCode=wanted.service_point_code)

    @app.patch(f"{ONE}/orderRemark")
    async def set_order_remark(actor: Acting, orderId: Number, wanted: inputs.NewOrderRemark) -> Document:
        return await column(actor, orderId, orderRemark=wanted.order_remark)

    @app.patch(f"{ONE}/warehouseInstruction")
    async def set_instruction(actor: Acting, orderId: Number, wanted: inputs.NewWarehouseInstruction) -> Document:
        return await column(actor, orderId, warehouseInstruction=wanted.warehouse_instruction)

    @app.patch(f"{ONE}/freeText1")
    async def set_free_text1(actor: Acting, orderId: Number, wanted: inputs.NewFreeText) -> Document:
        return await column(actor, orderId, freeText1=wanted.text)

    @app.patch(f"{ONE}/freeText2")
    async def set_free_text2(actor: Acting, orderId: Number, wanted: inputs.NewFreeText) -> Document:
        return await column(actor, orderId, freeText2=wanted.text)

    @app.patch(f"{ONE}/freeText3")
    async def set_free_text3(actor: Acting, orderId: Number, wanted: inputs.NewFreeText) -> Document:
        return await column(actor, orderId, freeText3=wanted.text)

    @app.patch(f"{ONE}/transporter")
    async def set_transporter(actor: Acting, orderId: Number, wanted: inputs.ChosenTransporter) -> Document:
        code, service = wanted.transporter_code, wanted.transporter_service_code
        await desk.change(actor, order_reports.set_transporter, orderId, code, service)
        return {"orderId": orderId, "message": "The order was changed."}

    @app.patch(f"{ONE}/waybill")
    async def set_waybill(actor: Acting, orderId: Number, wanted: inputs.NewWaybill) -> Document:
        await desk.change(actor, order_reports.set_waybill, orderId, wanted.waybill)
        return {"orderId": orderId, "message": "The order was changed."}

    @app.patch(f"{ONE}/returnWaybill")
    async def set_return_waybill(actor: Acting, orderId: Number, wanted: inputs.NewReturnWaybill) -> Document:
        await desk.change(actor, order_reports.set_return_waybill, orderId, wanted.return_waybill)
        return {"orderId": orderId, "message": "The order was changed."}

    async def column(actor: Acting, order_id: int, **values: str) -> Document:
        await desk.change(actor, orders.change_columns, order_id, values)
        return {"orderId": order_id, "message": "The order was changed."}


def _add_reports(app: FastAPI, desk: Desk) -> None:
    @app.patch(f"{ONE}/lines/{{orderLineId}}/reportedNumberOfItems")
    async def set_reported(
        actor: Acting, orderId: Number, orderLineId: Number, wanted: ReportedNumberOfItems
    ) -> Document:
        count = wanted.reported_number_of_items
        await desk.change(actor, order_reports.set_reported, orderId, {orderLineId: count})
        return {"orderId": orderId, "orderLineId": orderLineId, "message": "The reported number was changed."}

    @app.patch(f"{ONE}/setReportedNumberOfItemsToPickedNumberOfItems")
    async def set_all_reported(actor: Acting, orderId: Number) -> Document:
        await desk.change(actor, order_reports.set_reported, orderId, None)
        return {"orderId": orderId, "message": "What was picked is reported."}


def _add_steps(app: FastAPI, desk: Desk) -> None:
    """What people on the floor do. Each answers with the order after it."""
    base = f"{FLOOR}/orders/{{orderId}}"

    @app.post(f"{base}/allocate")
    async def allocate(actor: Acting, orderId: Number, step: Step | None = None) -> Document:
        return await desk.change(actor, orders.allocate_order, orderId, by=step or Step())

    @app.post(f"{base}/deallocate")
    async def deallocate(actor: Acting, orderId: Number, step: inputs.StepWithItems | None = None) -> Document:
        by = step or inputs.StepWithItems()
        return await desk.change(actor, orders.deallocate_order, orderId, quantities=by.quantities(), by=by)

    @app.post(f"{base}/pick")
    async def pick(actor: Acting, orderId: Number, step: inputs.StepWithItems | None = None) -> Document:
        by = step or inputs.StepWithItems()
        return await desk.change(actor, orders.pick_order, orderId, quantities=by.quantities(), by=by)

    @app.post(f"{base}/pack")
    async def pack(actor: Acting, orderId: Number, step: inputs.PackStep | None = None) -> Document:
        by = step or inputs.PackStep()
        return await desk.change(
            actor, orders.pack_order, orderId, quantities=by.quantities(), parcel_number=by.parcel_number, by=by
        )

    @app.post(f"{base}/send")
    async def send(actor: Acting, orderId: Number, step: inputs.SendStep | None = None) -> Document:
        by = step or inputs.SendStep()
        return await desk.change(actor, orders.send_order, orderId, waybill=by.waybill, by=by)

    @app.post(f"{base}/collect")
    async def collect(actor: Acting, orderId: Number, step: Step | None = None) -> Document:
        return await desk.change(actor, orders.collect_order, orderId, by=step or Step())

    @app.post(f"{base}/return")
    async def take_back(actor: Acting, orderId: Number, step: inputs.ReturnStep) -> Document:
        return await desk.change(actor, orders.take_back_order, orderId, step.lines, by=step)

    @app.post(f"{base}/cancel")
    async def cancel(actor: Acting, orderId: Number, step: Step | None = None) -> Document:
        return await desk.change(actor, orders.cancel_order, orderId, by=step or Step())
