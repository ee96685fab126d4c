"""Invoices to goods owners: what the warehouse did for one in a month, each thing at the price it had when the invoice was made.

What is charged is counted from orders and parcels sent and from the ledger of stock; an invoice that was made stays as it is.
"""

from datetime import UTC, datetime
from typing import Any

from dockbell.clock import Moment, to_moment, to_text
from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document, goods_owner_document, need_goods_owner, taken, visible
from dockbell.warehouse.actions.order_views import own_order
from dockbell.warehouse.documents.times import utc
from dockbell.warehouse.inputs.common import LARGEST_ID
from dockbell.warehouse.inputs.invoices import NewInvoice
from dockbell.warehouse.rules.statuses import impossible
from dockbell.warehouse.store import invoices as store
from dockbell.warehouse.store import places, stock_changes

EVERYTHING: dict[str, Any] = {"ids": None, "made_from": 0, "made_to": LARGEST_ID, "id_from": 0, "limit": 1_000}


def make_invoice(act: Act, new: NewInvoice) -> int:
    """For a month that has ended and has none yet: its id."""
    act.need_goods_owner(new.goods_owner_id)
    since, until = month_bounds(new.month)
    if until > act.now:
        text = f"{new.month} has not ended yet; it ends {to_text(until)}."
        raise InvalidInput([Problem("month", "range", text)])
    owner, month = new.goods_owner_id, new.month
    found, invoice_id = act.found_or_new(places.INVOICE_ID, lambda: store.by_month(act.tx, owner, month))
    if found is not None:
        raise taken("invoice of", month)
    prices = store.price_list(act.tx)
    charges = [
        (
            int(prices[done["code"]]["id"]),
            int(done["number_of_items"]),
            int(prices[done["code"]]["price"]),
            done["order_id"],
            done["purchase_order_id"],
            int(done["done_at"]),
        )
        for done in stock_changes.done_in(act.tx, owner, since, until)
    ]
    if not charges:
        raise impossible(f"There is nothing to invoice of {month}: nothing was done.", "Choose another month.")
    store.insert(act.tx, invoice_id, owner, month, charges, now=act.now)
    return invoice_id


def month_bounds(month: str) -> tuple[Moment, Moment]:
    """Its first moment, and the first one after it."""
    year, number = int(month[:4]), int(month[5:])
    after = (year + 1, 1) if number == 12 else (year, number + 1)
    return tuple(to_moment(datetime(*each, 1, tzinfo=UTC)) for each in ((year, number), after))  # type: ignore[return-value]


# --- Looking ---------------------------------------------------------------------------------------------


def get_invoice(tx: Transaction, actor: Actor, invoice_id: int) -> Document:
    actor.need("read")
    return _document(tx, visible(store.invoice(tx, invoice_id), actor, "invoice", invoice_id))


def list_invoices(tx: Transaction, actor: Actor, goods_owner_id: int, **wanted: Any) -> list[Document]:
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    return [_document(tx, row) for row in store.page(tx, goods_owner_id, **{**EVERYTHING, **wanted})]


def list_charges_of_order(tx: Transaction, actor: Actor, order_id: int) -> list[Document]:
    """Those of invoices that were made."""
    own_order(tx, actor, order_id)
    return [{"invoiceId": row["invoice_id"], **_charge(row)} for row in store.charges_of_order(tx, order_id)]


def _document(tx: Transaction, row: Row) -> Document:
    charges = store.charges_of(tx, int(row["id"]))
    since, until = month_bounds(row["month"])
    return {
        "goodsOwner": goods_owner_document(tx, int(row["goods_owner_id"])),
        "invoiceInfo": {
            "invoiceId": row["id"],
            "invoiceNumber": str(row["id"]),
            "title": f"Warehouse services {row['month']}",
            "invoiceDate": utc(row["made_at"]),
            "invoicePeriodStart": utc(since),
            "invoicePeriodEnd": utc(until),
            "invoiceAmount": sum(charge["number_of_items"] * charge["price"] for charge in charges) / 100,
        },
        "invoiceCharges": [
            {
                **_charge(charge),
                "orderContext": charge["order_id"]
                and {"orderId": charge["order_id"], "orderNumber": charge["order_number"]},
                "purchaseOrderContext": charge["purchase_order_id"]
                and {
                    "purchaseOrderId": charge["purchase_order_id"],
                    "purchaseOrderNumber": charge["purchase_order_number"],
                },
            }
            for charge in charges
        ],
    }


def _charge(row: Row) -> Document:
    return {
        "chargeId": row["id"],
        "price": row["price"] / 100,
        "numberOfItems": row["number_of_items"],
        "actionDate": utc(row["done_at"]),
        "invoiceArticle": {"code": row["code"], "title": row["title"], "account": row["account"]},
    }
