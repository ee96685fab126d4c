"""What the API takes about orders: camelCase objects, judged."""

from typing import Annotated

from pydantic import Field

from dockbell.warehouse.inputs.common import Date, Id, Incoming, Name, NumberOfItems, OfWarehouse, Step, Text, Url


class Consignee(Incoming):
    customer_number: Name
    name: Name
    address1: Text
    address2: Text | None = None
    address3: Text | None = None
    post_code: Name
    city: Name
    country_code: Annotated[str, Field(pattern="^[A-Z]{2}$")]
    country_state_code: Name | None = None
    remark: Text | None = None
    door_code: Name | None = None


class ChosenTransporter(Incoming):
    transporter_code: Name
    transporter_service_code: Name | None = None


class ChosenOrderType(Incoming):
    code: Name
    name: Text | None = None
    """Accepted because clients send it; the code decides."""


class Notification(Incoming):
    to_be_notified: bool = True
    value: Text | None = None


class NewLine(Incoming):
    row_number: Name
    article_number: Name
    number_of_items: NumberOfItems
    comment: Text | None = None


class NewOrder(OfWarehouse):
    """The body of `PUT /orders`."""

    goods_owner_id: Id
    order_number: Name
    delivery_date: Date
    consignee: Consignee
    order_lines: Annotated[list[NewLine], Field(min_length=1, max_length=1_000)]
    transporter: ChosenTransporter | None = None
    order_type: ChosenOrderType | None = None
    goods_owner_order_id: Name | None = None
    consignee_order_number: Name | None = None
    reference_number: Text | None = None
    sales_code: Text | None = None
    order_remark: Text | None = None
    delivery_instruction: Text | None = None
    service_point_code: Text | None = None
    free_text1: Text | None = None
    free_text2: Text | None = None
    free_text3: Text | None = None
    warehouse_instruction: Text | None = None
    email_notification: Notification | None = None


ORDER_DETAILS = (
    "referenceNumber", "salesCode", "orderRemark", "deliveryInstruction", "servicePointCode", "freeText1", "freeText2",
    "freeText3", "warehouseInstruction", "emailNotification",
)  # fmt: skip
"""Fields of an order that are kept and shown, and decide nothing."""


class NewOrderStatus(Incoming):
    order_status_number: int


class NewOrderNumber(Incoming):
    order_number: Name


class NewDeliveryDate(Incoming):
    delivery_date: Date


class NewWaybill(Incoming):
    waybill: Name


class NewReturnWaybill(Incoming):
    return_waybill: Name


class NewServicePoint(Incoming):
    service_point_code: Text


class NewOrderRemark(Incoming):
    order_remark: Text


class NewFreeText(Incoming):
    text: Text


class NewWarehouseInstruction(Incoming):
    warehouse_instruction: Text


class NewTracking(Incoming):
    waybill: Name
    tracking_url: Url | None = None
    is_return: bool = False


class NewTrackings(Incoming):
    """The body of `PUT /orders/{orderId}/orderTracking`: these, and no others, are the order's tracking."""

    tracking: Annotated[list[NewTracking], Field(max_length=100)]


class NewParcelTracking(Incoming):
    tracking_url: Url | None


class MovedItems(Incoming):
    row_number: Name
    number_of_items: NumberOfItems


class StepWithItems(Step):
    lines: Annotated[list[MovedItems], Field(min_length=1, max_length=1_000)] | None = None
    """None: everything that is left."""

    def quantities(self) -> dict[str, int] | None:
        if self.lines is None:
            return None
        sums: dict[str, int] = {}
        for line in self.lines:
            sums[line.row_number] = sums.get(line.row_number, 0) + line.number_of_items
        return sums


class PackStep(StepWithItems):
    parcel_number: Name | None = None


class SendStep(Step):
    waybill: Name | None = None


class ReturnedItems(MovedItems):
    return_cause_code: Name | None = None
    article_item_status_code: Name = "QUAR"
    """Nobody has looked at them yet, so they are not for sale unless one says so."""
    location_id: Id | None = None
    """None: the returns of the order's warehouse."""


class ReturnStep(Step):
    lines: Annotated[list[ReturnedItems], Field(min_length=1, max_length=1_000)]
