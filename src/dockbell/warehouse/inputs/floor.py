"""What the API takes about stock, movements, pallets, pick orders and files."""

import base64
import binascii
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from dockbell.warehouse.inputs.common import (
    CountedItems,
    Id,
    Incoming,
    Measure,
    Name,
    NumberOfItems,
    OfWarehouse,
    SignedItems,
    Step,
    Text,
)


class MoveStep(Step):
    to_location_id: Id
    number_of_items: NumberOfItems | None = None
    """None: all of it."""


class ItemStatusStep(Step):
    article_item_status_code: Name


class Adjustment(Incoming):
    """Either how many came or went, or how many were counted."""

    article_item_id: Id
    number_of_items: SignedItems | None = None
    counted_number_of_items: CountedItems | None = None
    inventory_adjustment_cause_code: Name | None = None
    comment: Text = ""


class NewInventory(Step):
    goods_owner_id: Id
    is_count_inventory: bool = False
    comment: Text = ""
    adjustments: Annotated[list[Adjustment], Field(min_length=1, max_length=1_000)]


class Reported(Incoming):
    is_reported: bool = True


class ReportedNumberOfItems(Incoming):
    reported_number_of_items: CountedItems


class NewMovement(Step):
    """Of one article item, or of one pallet item."""

    article_item_id: Id | None = None
    pallet_item_id: Id | None = None
    to_location_id: Id
    type_code: Name | None = None
    order_id: Id | None = None
    assigned_user_id: Id | None = None


class MovementChange(Step):
    to_location_id: Id | None = None
    assigned_user_id: Id | None = None
    is_started: bool | None = None


class Measures(Incoming):
    weight: Measure | None = None
    volume: Measure | None = None
    length: Measure | None = None
    width: Measure | None = None
    height: Measure | None = None
    loadmeters: Measure | None = None


class NewPalletItem(Step, OfWarehouse):
    goods_owner_id: Id
    label_id: Name
    pallet_type_code: Name = "EUR"
    location_id: Id | None = None
    """None: goods in of the warehouse; that of the purchase order, when none is said."""
    parent_pallet_item_id: Id | None = None
    purchase_order_id: Id | None = None
    serial: Text = ""
    comment: Text = ""
    measures: Measures = Measures()


class NewPickOrder(Step):
    order_ids: Annotated[list[Id], Field(min_length=1, max_length=200)]


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise PydanticCustomError("base64", "write the file's bytes in Base64") from None
    return text


class NewFile(Incoming):
    """The body of `PUT .../files`: the file of that name."""

    file_name: Name
    mime_type: Annotated[str, Field(max_length=100, pattern=r"^[a-z0-9.+-]+/[a-z0-9.+-]+$")]
    file_data_base64: Annotated[str, Field(max_length=1_000_000), AfterValidator(_base64)]
