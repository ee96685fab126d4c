"""What the API takes about purchase orders, receiving, shipments and production orders."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from dockbell.warehouse.inputs.common import (
    FREE_TEXTS,
    Date,
    Id,
    Incoming,
    KindCode,
    Name,
    NumberOfItems,
    OfWarehouse,
    Step,
    Text,
    as_tuple,
    one_field,
)


class Supplier(Incoming):
    supplier_number: Name
    supplier_name: Text | None = None


class NewPurchaseOrderLine(Incoming):
    row_number: Name
    article_number: Name
    number_of_items: NumberOfItems
    comment: Text | None = None


class NewPurchaseOrder(OfWarehouse):
    """The body of `PUT /purchaseOrders`."""

    goods_owner_id: Id
    purchase_order_number: Name
    purchase_order_lines: Annotated[list[NewPurchaseOrderLine], Field(min_length=1, max_length=1_000)]
    in_date: Date | None = None
    supplier_info: Supplier | None = None
    purchase_order_type: KindCode | None = None
    purchase_order_is_return_type: bool = False
    purchase_order_classes: Annotated[tuple[KindCode, ...], BeforeValidator(as_tuple), Field(max_length=50)] = ()
    goods_owner_purchase_order_id: Name | None = None
    supplier_order_number: Text | None = None
    goods_owner_reference: Text | None = None
    reference_number: Text | None = None
    purchase_order_remark: Text | None = None
    free_text1: Text | None = None
    free_text2: Text | None = None
    free_text3: Text | None = None
    free_bool1: bool | None = None
    advised_date: Date | None = None
    container: Text | None = None


PURCHASE_ORDER_DETAILS = (
    "supplierOrderNumber", "goodsOwnerReference", "referenceNumber", "purchaseOrderRemark", "freeText1", "freeText2",
    "freeText3", "freeBool1", "advisedDate", "container",
)  # fmt: skip
PATCHES: Mapping[str, type[Incoming]] = {
    **{
        name: one_field(name, kind)
        for name, kind in {
            "purchaseOrderNumber": Name,
            "inDate": Date,
            "advisedDate": Date,
            "freeBool1": bool,
        }.items()
    },
    **FREE_TEXTS,
}
"""What can be changed alone, by the last part of the path."""


class AdvisedItem(Incoming):
    purchase_order_line_id: Id
    number_of_items: NumberOfItems = 1
    serial: Text = ""
    batch: Text = ""
    expiry_date: Date | None = None
    comment: Text = ""
    container: Text = ""


class AdvisedItems(Incoming):
    """The body of `PUT .../articleItems`: each line named has these, whatever it had before."""

    items: Annotated[list[AdvisedItem], Field(min_length=1, max_length=1_000)]


class NewPurchaseOrderStatus(Incoming):
    purchase_order_status_number: int


class ReceivedItems(Incoming):
    row_number: Name
    number_of_items: NumberOfItems
    location_id: Id | None = None
    """None: where the pallet stands, or goods in of the purchase order's warehouse."""
    article_item_status_code: Name = "OK"
    batch: Text = ""
    serial: Text = ""
    expiry_date: Date | None = None
    comment: Text = ""
    container: Text = ""
    pallet_item_id: Id | None = None


class ReceiveStep(Step):
    lines: Annotated[list[ReceivedItems], Field(min_length=1, max_length=1_000)]


class NewShipment(Step, OfWarehouse):
    goods_owner_id: Id
    direction: Annotated[str, Field(pattern="^(inbound|outbound)$")]
    shipment_order_number: Name
    transporter_code: Name | None = None
    country_code: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    order_ids: Annotated[tuple[Id, ...], BeforeValidator(as_tuple), Field(max_length=1_000)] = ()
    purchase_order_ids: Annotated[tuple[Id, ...], BeforeValidator(as_tuple), Field(max_length=1_000)] = ()


class NewShipmentStatus(Step):
    shipment_status_number: int


class NewPart(Incoming):
    article_number: Name
    number_of_items: NumberOfItems


class NewProductionOrder(Step, OfWarehouse):
    goods_owner_id: Id
    production_order_number: Name
    article_number: Name
    number_of_items: NumberOfItems
    parts: Annotated[list[NewPart], Field(min_length=1, max_length=100)]
    """What one made item takes."""
    production_order_type: KindCode | None = None


class NewProductionOrderStatus(Step):
    production_order_status_number: int


class NewReturnLine(Incoming):
    order_line_id: Id
    number_of_items: NumberOfItems
    return_cause_code: Name | None = None


class NewReturnOrder(Incoming):
    """The body of `PUT /returnOrders`: goods that a customer is going to send back."""

    goods_owner_id: Id
    return_order_number: Name
    order_id: Id
    comment: Text | None = None
    in_date: Date | None = None
    return_order_lines: Annotated[list[NewReturnLine], Field(min_length=1, max_length=1_000)]


class NewReturnOrderStatus(Incoming):
    return_order_status_number: int
