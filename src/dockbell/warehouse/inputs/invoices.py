"""What the API takes about invoices."""

from typing import Annotated

from pydantic import Field

from dockbell.warehouse.inputs.common import Id, Incoming


class NewInvoice(Incoming):
    goods_owner_id: Id
    month: Annotated[str, Field(pattern="^20[0-9]{2}-(0[1-9]|1[0-2])$")]
