"""Article items: which quantity of which article lies where, in which state, and for whom.

Whoever changes them holds the article's row first (`store.articles.lock_articles`), and changes its sums too.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from dockbell.store.database import Row, Transaction
from dockbell.warehouse.store import places

Texts = str | Iterable[str] | None


def insert(tx: Transaction, **values: Any) -> int:
    """A new item that came in from outside: it is its own original. Its id."""
    (item_id,) = places.next_ids(tx, places.ARTICLE_ITEM_ID)
    tx.run(
        """
        INSERT INTO wms_article_items (id, original_id, article_id, location_id, status_id, serial, batch, expiry_date,
                                       comment, container, number_of_items, received, state,
                                       purchase_order_line_id, pallet_item_id, in_at)
        VALUES (:id, :id, :article_id, :location_id, :status_id, :serial, :batch, :expiry_date, :comment, :container,
                :number_of_items, :number_of_items, 'free', :purchase_order_line_id, :pallet_item_id, :in_at)
        """,
        id=item_id,
        **{
            "serial": "", "batch": "", "expiry_date": None, "comment": "", "container": "",
            "purchase_order_line_id": None, "pallet_item_id": None, **values,
        },
    )  # fmt: skip
    return item_id


def split(tx: Transaction, item_id: int, number_of_items: int) -> int:
    """So many of it become an item of their own, alike in everything else: its id."""
    (part_id,) = places.next_ids(tx, places.ARTICLE_ITEM_ID)
    tx.run(
        """
        INSERT INTO wms_article_items (id, original_id, article_id, location_id, status_id, serial, batch, expiry_date,
                                       comment, container, number_of_items, state, order_line_id, pallet_item_id,
                                       purchase_order_line_id, returned_line_id, return_cause_id, returned_at, in_at,
                                       picked_at, packed_at)
        SELECT :part_id, i.original_id, i.article_id, i.location_id, i.status_id, i.serial, i.batch, i.expiry_date,
               i.comment, i.container, :count, i.state, i.order_line_id, i.pallet_item_id,
               i.purchase_order_line_id, i.returned_line_id, i.return_cause_id, i.returned_at, i.in_at,
               i.picked_at, i.packed_at
          FROM wms_article_items i WHERE i.id = :id
        """,
        part_id=part_id, id=item_id, count=number_of_items,
    )  # fmt: skip
    tx.run(
        "UPDATE wms_article_items SET number_of_items = number_of_items - :count WHERE id = :id",
        id=item_id, count=number_of_items,
    )  # fmt: skip
    return part_id


def for_sale(tx: Transaction, article_ids: Iterable[int], warehouse_id: int) -> list[Row]:
    """Free items of this warehouse that may be allocated: what expires first, then what came first."""
    return tx.all(
        """
        SELECT i.id, i.article_id, i.number_of_items FROM :rows(article_id BIGINT, warehouse_id BIGINT) r
          JOIN wms_article_items i ON i.article_id = r.article_id AND i.state = 'free'
          JOIN wms_item_statuses s ON s.id = i.status_id AND s.is_locked = 0 AND s.is_locked_for_sale = 0
          JOIN wms_locations l ON l.id = i.location_id AND l.warehouse_id = r.warehouse_id
         WHERE l.is_locked = 0 AND l.is_locked_for_sale = 0
         ORDER BY i.article_id, CASE WHEN i.expiry_date IS NULL THEN 1 ELSE 0 END, i.expiry_date, i.in_at, i.id
        """,
        rows=[(article_id, warehouse_id) for article_id in sorted(set(article_ids))],
    )


def of_line(tx: Transaction, order_line_id: int, states: Sequence[str]) -> list[Row]:
    """By id, the earliest allocated first."""
    return tx.all(
        """
        SELECT i.id, i.article_id, i.number_of_items FROM :rows(line BIGINT, state TEXT) r
          JOIN wms_article_items i ON i.order_line_id = r.line AND i.state = r.state ORDER BY i.id
        """,
        rows=[(order_line_id, state) for state in states],
    )


def allocate(tx: Transaction, item_id: int, order_line_id: int) -> None:
    tx.run(
        "UPDATE wms_article_items SET state = 'allocated', order_line_id = :line WHERE id = :id",
        id=item_id, line=order_line_id,
    )  # fmt: skip


def deallocate(tx: Transaction, item_id: int) -> None:
    tx.run("UPDATE wms_article_items SET state = 'free', order_line_id = NULL WHERE id = :id", id=item_id)


def pick(tx: Transaction, item_id: int, *, now: int) -> None:
    """It keeps the place it was picked from; the pallet it stood on it leaves."""
    tx.run(
        "UPDATE wms_article_items SET state = 'picked', picked_at = :now, pallet_item_id = NULL WHERE id = :id",
        id=item_id, now=now,
    )  # fmt: skip


def pack(tx: Transaction, item_id: int, pallet_item_id: int, *, now: int) -> None:
    tx.run(
        """
        UPDATE wms_article_items SET state = 'packed', packed_at = :now, pallet_item_id = :pallet_item_id WHERE id = :id
        """,
        id=item_id, pallet_item_id=pallet_item_id, now=now,
    )  # fmt: skip


def take_back(
    tx: Transaction, item_id: int, *, cause_id: int | None, status_id: int, location_id: int, now: int
) -> None:
    """Free again, in another place; it remembers the line it came back from."""
    tx.run(
        """
        UPDATE wms_article_items
           SET state = 'free', returned_line_id = order_line_id, order_line_id = NULL, return_cause_id = :cause_id,
               status_id = :status_id, location_id = :location_id, returned_at = :now, pallet_item_id = NULL
         WHERE id = :id
        """,
        id=item_id, cause_id=cause_id, status_id=status_id, location_id=location_id, now=now,
    )  # fmt: skip


def move(tx: Transaction, item_id: int, location_id: int, *, pallet_item_id: int | None) -> None:
    tx.run(
        "UPDATE wms_article_items SET location_id = :location_id, pallet_item_id = :pallet_item_id WHERE id = :id",
        id=item_id, location_id=location_id, pallet_item_id=pallet_item_id,
    )  # fmt: skip


def set_status(tx: Transaction, item_id: int, status_id: int) -> None:
    tx.run("UPDATE wms_article_items SET status_id = :status_id WHERE id = :id", id=item_id, status_id=status_id)


def set_number(tx: Transaction, item_id: int, number_of_items: int) -> None:
    """None left: it is gone. Some found again: it is back."""
    tx.run(
        """
        UPDATE wms_article_items
           SET number_of_items = :count, state = CASE WHEN :count = 0 THEN 'gone' ELSE 'free' END WHERE id = :id
        """,
        id=item_id, count=number_of_items,
    )  # fmt: skip


def standing_on(tx: Transaction, pallet_item_id: int) -> list[int]:
    rows = tx.all(
        """
        SELECT i.id FROM wms_article_items i
         WHERE i.pallet_item_id = :id AND i.state IN ('free', 'allocated') ORDER BY i.id
        """,
        id=pallet_item_id,
    )
    return [int(row["id"]) for row in rows]


def ids_on_shelf(
    tx: Transaction, goods_owner_id: int, *, number: Texts, article_id_from: int, location: Texts, limit: int
) -> list[int]:
    """The items of the first `limit` articles that have any."""
    rows = tx.all(
        """
        SELECT i.id FROM wms_article_items i
         WHERE i.state IN ('free', 'allocated') AND i.article_id IN (
           SELECT a.id FROM wms_articles a
            WHERE a.goods_owner_id = :goods_owner_id AND a.id >= :id_from AND a.number_of_items > 0
              AND (CAST(:number AS TEXT) IS NULL OR replace(:number, '\x1f' || a.number || '\x1f', '') <> :number) ORDER BY a.id LIMIT :limit)
           AND (CAST(:location AS TEXT) IS NULL
                OR i.location_id IN (SELECT l.id FROM wms_locations l
                                     WHERE replace(:location, '\x1f' || l.name || '\x1f', '') <> :location))
         ORDER BY i.article_id, i.id
        """,
        goods_owner_id=goods_owner_id, number=places.listed(number), id_from=article_id_from,
        location=places.listed(location), limit=limit,
    )  # fmt: skip
    return [int(row["id"]) for row in rows]


def ids_of_lines(tx: Transaction, order_line_ids: Iterable[int]) -> list[int]:
    """What was picked for these order lines, also what came back."""
    rows = tx.all(
        """
        SELECT i.id FROM :rows(line BIGINT) r
          JOIN wms_article_items i ON i.returned_line_id = r.line
            OR (i.order_line_id = r.line AND i.state IN ('picked', 'packed'))
        """,
        rows=[(line,) for line in order_line_ids],
    )
    return [int(row["id"]) for row in rows]


def ids_received(tx: Transaction, purchase_order_line_ids: Iterable[int]) -> list[int]:
    """The items that receipts made, not what was split off them later."""
    rows = tx.all(
        """
        SELECT i.id FROM :rows(line BIGINT) r
          JOIN wms_article_items i ON i.purchase_order_line_id = r.line AND i.received IS NOT NULL
        """,
        rows=[(line,) for line in purchase_order_line_ids],
    )
    return [int(row["id"]) for row in rows]


def views(tx: Transaction, item_ids: Iterable[int]) -> list[Row]:
    """Everything that payloads and documents tell of an item, by id."""
    return tx.all(
        """
        SELECT i.*, a.number AS article_number, a.name AS article_name, a.details AS article_details, a.goods_owner_id,
               l.name AS location, l.type_id AS location_type_id, t.code AS location_type_code, l.aisle, l.zone,
               l.is_locked AS location_locked, l.is_locked_for_sale AS location_locked_for_sale, l.warehouse_id,
               w.code AS warehouse_code, w.name AS warehouse_name,
               s.code AS status_code, s.name AS status_name, s.is_locked AS status_locked,
               s.is_locked_for_sale AS status_locked_for_sale,
               c.code AS return_cause_code, c.name AS return_cause_name,
               p.label AS pallet_label,
               pl.row_number AS purchase_order_row, pl.reported AS purchase_order_reported,
               po.id AS purchase_order_id, po.number AS purchase_order_number, po.status AS purchase_order_status,
               po.type_id AS purchase_order_type_id, pt.code AS purchase_order_type_code
          FROM :rows(id BIGINT) r JOIN wms_article_items i ON i.id = r.id
          JOIN wms_articles a ON a.id = i.article_id JOIN wms_item_statuses s ON s.id = i.status_id
          LEFT JOIN wms_locations l ON l.id = i.location_id
          LEFT JOIN wms_kinds t ON t.noun = 'location type' AND t.id = l.type_id
          LEFT JOIN wms_warehouses w ON w.id = l.warehouse_id
          LEFT JOIN wms_kinds c ON c.noun = 'return cause' AND c.id = i.return_cause_id
          LEFT JOIN wms_pallet_items p ON p.id = i.pallet_item_id
          LEFT JOIN wms_purchase_order_lines pl ON pl.id = i.purchase_order_line_id
          LEFT JOIN wms_purchase_orders po ON po.id = pl.purchase_order_id
          LEFT JOIN wms_kinds pt ON pt.noun = 'purchase order type' AND pt.id = po.type_id
         ORDER BY i.id
        """,
        rows=[(item_id,) for item_id in sorted(set(item_ids))],
    )


def view(tx: Transaction, item_id: int) -> Row:
    (row,) = views(tx, [item_id])
    return row
