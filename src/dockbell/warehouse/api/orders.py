"""Routes about orders: the documented ones, and the steps of the floor."""

from typing import Annotated, Literal

from fastapi import FastAPI, Query

from dockbell.warehouse.act import Document
from dockbell.warehouse.actions import (
    invoices,
    order_reports,
    order_views,
    orders,
    pallets,
    pickability,
    waybill_rows,
)
from dockbell.warehouse.api.desk import (
    API,
    FLOOR,
    Acting,
    Desk,
    Names,
    Number,
    Numbers,
    Rows,
    Wanted,
    When,
    YesOrNo,
    add_numbered,
    add_patches,
    asks,
    said,
)
from dockbell.warehouse.inputs import orders as inputs
from dockbell.warehouse.inputs.common import Name, Step
from dockbell.warehouse.inputs.floor import ReportedNumberOfItems
from dockbell.warehouse.rules.order import Status
from dockbell.warehouse.store import places

ONE = f"{API}/orders/{{orderId}}"


class WantedOrders(Wanted):
    one_number: Name | None = asks("orderNumber")
    number: Names = asks("orderNumbers")
    status_from: Number | None = asks("orderStatusFrom")
    status_to: Number | None = asks("orderStatusTo")
    status_changed_from: When | None = asks("orderStatusChangedTimeFrom")
    created_from: When | None = asks("orderCreatedTimeFrom")
    created_to: When | None = asks("orderCreatedTimeTo")
    changed_from: When | None = asks("orderUpdatedTimeFrom")
    shipped_from: When | None = asks("shippedTimeFrom")
    shipped_to: When | None = asks("shippedTimeTo")
    returned_from: When | None = asks("lastReturnedFrom")
    shipment_id: Number | None = None
    parcel_number: Name | None = None
    article_number: Names = asks("articleNumbers")
    serial: Name | None = None
    market_place: Name | None = None
    printed: YesOrNo = asks("onlyIfTransportPrinted", default=False)
    unreported: YesOrNo = asks("onlyOrdersWithOrderLinesToReport", default=False)
    back_order_for: Number | None = asks("backOrderForOrderId")
    pickable: Literal["All", "NotPickable", "NotOk"] | None = None
    id_from: Number = asks("orderIdFrom", default=0)
    limit: Rows = asks("maxOrdersToGet", default=100)


class WantedPickability(Wanted):
    ids: Numbers = asks("orderIds")
    number: Names = asks("orderNumbers")
    only_booked: YesOrNo = asks("onlyBookedOrders", default=False)
    id_from: Number = asks("orderIdFrom", default=0)
    limit: Rows = asks("maxOrdersToGet", default=100)


def add_routes(app: FastAPI, desk: Desk) -> None:
    _add_lists(app, desk)
    _add_one(app, desk)
    _add_changes(app, desk)
    _add_parcels(app, desk)
    _add_way_bill_rows(app, desk)
    _add_reports(app, desk)
    _add_steps(app, desk)


def _add_lists(app: FastAPI, desk: Desk) -> None:
    @app.get(f"{API}/orders/statuses")
    async def order_statuses() -> list[Document]:
        return [{"number": int(status), "text": status.text} for status in Status]

    @app.get(f"{API}/orders/types")
    async def order_types() -> list[Document]:
        return [dict(row) for row in (await desk.read(places.order_types)).values()]

    @app.get(f"{API}/orders/classes")
    async def order_classes() -> Document:
        return {"orderClasses": places.short(await desk.read(places.kinds, "order class"))}

    @app.get(f"{API}/orders/wayOfDeliveryTypes")
    async def way_of_delivery_types() -> Document:
        return {"wayOfDeliveryTypes": places.short(await desk.read(places.kinds, "way of delivery"))}

    @app.get(f"{API}/orders/pickability")
    async def list_pickability(actor: Acting, wanted: Annotated[WantedPickability, Query()]) -> Document:
        return await desk.look(actor, pickability.list_pickability, wanted.goods_owner_id, **wanted.asked())

    @app.get(f"{API}/orders")
    async def list_orders(actor: Acting, wanted: Annotated[WantedOrders, Query()]) -> list[Document]:
        return await desk.list(actor, pickability.list_orders, wanted)


def _add_one(app: FastAPI, desk: Desk) -> None:
    add_numbered(
        app, desk, f"{API}/orders", "orderId", "order", inputs.NewOrder,
        get=order_views.get_order, put=orders.create_order, anew=orders.order_anew, change=orders.change_order,
    )  # fmt: skip

    @app.get(f"{ONE}/invoiceCharges")
    async def list_invoice_charges(actor: Acting, orderId: Number) -> list[Document]:
        return await desk.look(actor, invoices.list_charges_of_order, orderId)

    @app.delete(ONE)
    async def cancel_order(actor: Acting, orderId: Number) -> Document:
        await desk.change(actor, orders.cancel_order, orderId)
        return {"orderId": orderId, "message": "The order was cancelled."}


def _add_changes(app: FastAPI, desk: Desk) -> None:
    add_patches(app, desk, ONE, "order", inputs.PATCHES, order_reports.change_field)

    @app.patch(f"{ONE}/orderStatus")
    async def set_order_status(actor: Acting, orderId: Number, wanted: inputs.NewOrderStatus) -> Document:
        order = await desk.change(actor, orders.set_order_status, orderId, wanted.order_status_number)
        status = order["orderInfo"]["orderStatus"]
        return {"orderId": orderId, "message": f"The order's status is {status['number']} {status['text']}."}

    @app.patch(f"{ONE}/transporter")
    async def set_transporter(actor: Acting, orderId: Number, wanted: inputs.ChosenTransporter) -> Document:
        code, service = wanted.transporter_code, wanted.transporter_service_code
        await desk.change(actor, order_reports.set_transporter, orderId, code, service)
        return {"orderId": orderId, "message": "The order was changed."}

    @app.put(f"{ONE}/orderTracking")
    async def put_tracking(actor: Acting, orderId: Number, new: inputs.NewTrackings) -> Document:
        await desk.change(actor, order_reports.put_trackings, orderId, new.tracking)
        return {"orderId": orderId, "message": "The order's tracking was changed."}


def _add_parcels(app: FastAPI, desk: Desk) -> None:
    one = f"{ONE}/parcels/{{parcelId}}"

    @app.get(f"{ONE}/parcels")
    async def list_parcels(actor: Acting, orderId: Number) -> list[Document]:
        return await desk.look(actor, order_views.list_parcels, orderId)

    @app.put(f"{one}/parcelTracking")
    async def set_parcel_tracking(
        actor: Acting, orderId: Number, parcelId: Number, new: inputs.NewParcelTracking
    ) -> Document:
        await desk.change(actor, pallets.set_parcel_tracking, orderId, parcelId, new.tracking_url)
        return {"orderId": orderId, "parcelId": parcelId, "message": "The parcel's tracking was changed."}

    @app.get(one)
    async def get_parcel(actor: Acting, orderId: Number, parcelId: Number) -> Document:
        return await desk.look(actor, order_views.get_parcel, orderId, parcelId)

    @app.put(f"{ONE}/parcels")
    async def put_parcel(actor: Acting, orderId: Number, new: inputs.NewParcel) -> Document:
        parcel_id, is_new = await desk.change(actor, pallets.put_parcel, orderId, new)
        return {"parcelId": parcel_id, "message": said("parcel", is_new=is_new)}

    @app.put(one)
    async def change_parcel(actor: Acting, orderId: Number, parcelId: Number, change: inputs.ParcelChange) -> Document:
        await desk.change(actor, pallets.change_parcel, orderId, parcelId, change)
        return {"parcelId": parcelId, "message": said("parcel", is_new=False)}

    @app.delete(one)
    async def delete_parcel(actor: Acting, orderId: Number, parcelId: Number) -> Document:
        await desk.change(actor, pallets.delete_parcel, orderId, parcelId)
        return {"parcelId": parcelId, "message": "The parcel was deleted."}


def _add_way_bill_rows(app: FastAPI, desk: Desk) -> None:
    one = f"{ONE}/wayBillRows/{{wayBillRowId}}"

    @app.get(f"{ONE}/wayBillRows")
    async def list_way_bill_rows(actor: Acting, orderId: Number) -> list[Document]:
        return await desk.look(actor, waybill_rows.list_rows, orderId)

    @app.put(f"{ONE}/wayBillRows")
    async def put_way_bill_rows(actor: Acting, orderId: Number, new: inputs.NewWayBillRows) -> Document:
        await desk.change(actor, waybill_rows.put_rows, orderId, new.way_bill_rows)
        return {"orderId": orderId, "message": "The order's waybill rows were changed."}

    @app.post(f"{ONE}/wayBillRows")
    async def add_way_bill_row(actor: Acting, orderId: Number, new: inputs.NewWayBillRow) -> Document:
        row_id = await desk.change(actor, waybill_rows.add_row, orderId, new)
        return {"wayBillRowId": row_id, "message": said("waybill row", is_new=True)}

    @app.patch(one)
    async def change_way_bill_row(
        actor: Acting, orderId: Number, wayBillRowId: Number, new: inputs.NewWayBillRow
    ) -> Document:
        await desk.change(actor, waybill_rows.change_row, orderId, wayBillRowId, new)
        return {"wayBillRowId": wayBillRowId, "message": said("waybill row", is_new=False)}

    @app.delete(one)
    async def delete_way_bill_row(actor: Acting, orderId: Number, wayBillRowId: Number) -> Document:
        await desk.change(actor, waybill_rows.delete_row, orderId, wayBillRowId)
        return {"wayBillRowId": wayBillRowId, "message": "The waybill row was deleted."}


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

    @app.post(f"{base}/print")
    async def print_documents(actor: Acting, orderId: Number, step: Step | None = None) -> Document:
        return await desk.change(actor, orders.print_transport_documents, orderId, by=step or Step())

    @app.post(f"{base}/backOrder")
    async def back_order(actor: Acting, orderId: Number, step: Step | None = None) -> Document:
        return {"orderId": await desk.change(actor, orders.back_order, orderId, by=step or Step())}
