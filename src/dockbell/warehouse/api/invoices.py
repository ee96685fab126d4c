"""Routes about invoices, and the step that makes one."""

from typing import Annotated

from fastapi import FastAPI, Query

from dockbell.warehouse.act import Document
from dockbell.warehouse.actions import invoices
from dockbell.warehouse.api.desk import API, FLOOR, Acting, Desk, Number, Numbers, Rows, Wanted, When, asks
from dockbell.warehouse.inputs.invoices import NewInvoice


class WantedInvoices(Wanted):
    ids: Numbers = asks("invoiceIds")
    made_from: When | None = asks("invoiceDateFrom")
    made_to: When | None = asks("invoiceDateTo")
    id_from: Number = asks("invoiceIdFrom", default=0)
    limit: Rows = asks("maxInvoicesToGet", default=100)


def add_routes(app: FastAPI, desk: Desk) -> None:
    @app.get(f"{API}/invoices")
    async def list_invoices(actor: Acting, wanted: Annotated[WantedInvoices, Query()]) -> list[Document]:
        return await desk.list(actor, invoices.list_invoices, wanted)

    @app.get(f"{API}/invoices/{{invoiceId}}")
    async def get_invoice(actor: Acting, invoiceId: Number) -> Document:
        return await desk.look(actor, invoices.get_invoice, invoiceId)

    @app.post(f"{FLOOR}/invoices")
    async def make_invoice(actor: Acting, new: NewInvoice) -> Document:
        return {"invoiceId": await desk.change(actor, invoices.make_invoice, new)}
