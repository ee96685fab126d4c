"""The price list, and what was charged of it by month."""

from collections.abc import Iterable, Mapping
from typing import Any

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.store import places

Charges = Iterable[tuple[int, int, int, int | None, int | None, Moment]]


def price_list(tx: Transaction) -> Mapping[str, Row]:
    """By code."""
    return {row["code"]: row for row in tx.all("SELECT * FROM wms_invoice_articles ORDER BY id")}


def by_month(tx: Transaction, goods_owner_id: int, month: str) -> Row | None:
    return tx.one(
        "SELECT i.* FROM wms_invoices i WHERE i.goods_owner_id = :goods_owner_id AND i.month = :month",
        goods_owner_id=goods_owner_id, month=month,
    )  # fmt: skip


def insert(tx: Transaction, invoice_id: int, goods_owner_id: int, month: str, charges: Charges, *, now: Moment) -> None:
    """(invoice article, items, price, order, purchase order, when) each."""
    tx.run(
        "INSERT INTO wms_invoices (id, goods_owner_id, month, made_at) VALUES (:id, :goods_owner_id, :month, :now)",
        id=invoice_id, goods_owner_id=goods_owner_id, month=month, now=now,
    )  # fmt: skip
    rows = list(charges)
    ids = places.next_ids(tx, places.CHARGE_ID, len(rows))
    tx.run(
        """
        INSERT INTO wms_charges (id, invoice_id, invoice_article_id, number_of_items, price, order_id,
                                 purchase_order_id, done_at)
        SELECT r.id, r.invoice, r.article, r.items, r.price, r.order_id, r.purchase_order_id, r.done_at
          FROM :rows(id BIGINT, invoice BIGINT, article BIGINT, items BIGINT, price BIGINT, order_id BIGINT,
                     purchase_order_id BIGINT, done_at BIGINT) r
        """,
        rows=[(charge_id, invoice_id, *row) for charge_id, row in zip(ids, rows, strict=True)],
    )


def invoice(tx: Transaction, invoice_id: int) -> Row | None:
    return tx.one("SELECT i.* FROM wms_invoices i WHERE i.id = :id", id=invoice_id)


def page(tx: Transaction, goods_owner_id: int, **wanted: Any) -> list[Row]:
    """By id. `wanted` has each of: ids, made_from and _to, id_from, limit."""
    return tx.all(
        """
        SELECT i.* FROM wms_invoices i
         WHERE i.goods_owner_id = :goods_owner_id AND i.id >= :id_from
           AND i.made_at >= :made_from AND i.made_at <= :made_to
           AND (CAST(:ids AS TEXT) IS NULL OR replace(:ids, '\x1f' || CAST(i.id AS TEXT) || '\x1f', '') <> :ids)
         ORDER BY i.id LIMIT :limit
        """,
        goods_owner_id=goods_owner_id,
        **{**wanted, "ids": places.listed(wanted["ids"])},
    )


CHARGES = """
SELECT c.*, a.code, a.title, a.account, o.number AS order_number, p.number AS purchase_order_number
  FROM wms_charges c JOIN wms_invoice_articles a ON a.id = c.invoice_article_id
  LEFT JOIN wms_orders o ON o.id = c.order_id LEFT JOIN wms_purchase_orders p ON p.id = c.purchase_order_id
"""


def charges_of(tx: Transaction, invoice_id: int) -> list[Row]:
    return tx.all(CHARGES + " WHERE c.invoice_id = :id ORDER BY c.id", id=invoice_id)


def charges_of_order(tx: Transaction, order_id: int) -> list[Row]:
    return tx.all(CHARGES + " WHERE c.order_id = :id ORDER BY c.id", id=order_id)
