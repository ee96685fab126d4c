"""Articles and the sums of their stock."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.rules.order import StockChange
from dockbell.warehouse.store import places

Values = Mapping[str, Any]
Texts = str | Iterable[str] | None


def insert_article(
    tx: Transaction, article_id: int, goods_owner_id: int, number: str, name: str, details: Values, *, now: Moment
) -> None:
    tx.run(
        """
        INSERT INTO wms_articles (id, goods_owner_id, number, name, details, created_at, changed_at, stock_changed_at)
        VALUES (:id, :goods_owner_id, :number, :name, :details, :now, :now, :now)
        """,
        id=article_id, goods_owner_id=goods_owner_id, number=number, name=name, details=json.dumps(details), now=now,
    )  # fmt: skip


def change_article(tx: Transaction, article_id: int, number: str, name: str, details: Values, *, now: Moment) -> None:
    """What was deleted is there again."""
    tx.run(
        """
        UPDATE wms_articles
           SET number = :number, name = :name, details = :details, changed_at = :now, deleted_at = NULL WHERE id = :id
        """,
        id=article_id, number=number, name=name, details=json.dumps(details), now=now,
    )  # fmt: skip


def set_dangerous_goods(tx: Transaction, article_id: int, dangerous_goods: Values, *, now: Moment) -> None:
    tx.run(
        "UPDATE wms_articles SET dangerous_goods = :goods, changed_at = :now WHERE id = :id",
        id=article_id, goods=json.dumps(dangerous_goods), now=now,
    )  # fmt: skip


def put_classes(tx: Transaction, article_id: int, class_ids: Iterable[int]) -> None:
    """These and no others."""
    tx.run("DELETE FROM wms_article_classes WHERE article_id = :id", id=article_id)
    tx.run(
        """
        INSERT INTO wms_article_classes (article_id, class_id)
        SELECT r.article_id, r.class_id FROM :rows(article_id BIGINT, class_id BIGINT) r
        """,
        rows=[(article_id, class_id) for class_id in sorted(set(class_ids))],
    )


def classes_of(tx: Transaction, article_ids: Iterable[int]) -> list[Row]:
    return tx.all(
        """
        SELECT c.article_id, k.id, k.code, k.name FROM :rows(id BIGINT) r
          JOIN wms_article_classes c ON c.article_id = r.id
          JOIN wms_kinds k ON k.noun = 'article class' AND k.id = c.class_id ORDER BY c.article_id, k.id
        """,
        rows=[(article_id,) for article_id in article_ids],
    )


def ids_by_number(tx: Transaction, goods_owner_id: int, numbers: Iterable[str]) -> dict[str, int]:
    rows = tx.all(
        """
        SELECT a.id, a.number FROM :rows(goods_owner_id BIGINT, number TEXT) r
          JOIN wms_articles a ON a.goods_owner_id = r.goods_owner_id AND a.number = r.number
        """,
        rows=[(goods_owner_id, number) for number in sorted(set(numbers))],
    )
    return {row["number"]: int(row["id"]) for row in rows}


def delete_article(tx: Transaction, article_id: int, *, now: Moment) -> None:
    tx.run("UPDATE wms_articles SET deleted_at = :now, changed_at = :now WHERE id = :id", id=article_id, now=now)


def article(tx: Transaction, article_id: int) -> Row | None:
    return tx.one(
        """
        SELECT a.*, g.name AS goods_owner_name FROM wms_articles a JOIN goods_owners g ON g.id = a.goods_owner_id
         WHERE a.id = :id AND a.deleted_at IS NULL
        """,
        id=article_id,
    )


def lock_article(tx: Transaction, article_id: int) -> Row | None:
    return tx.one(
        "SELECT a.* FROM wms_articles a WHERE a.id = :id AND a.deleted_at IS NULL /*pg FOR UPDATE */", id=article_id
    )


def lock_article_by_number(tx: Transaction, goods_owner_id: int, number: str) -> Row | None:
    """Also one that was deleted."""
    return tx.one(
        """
        SELECT a.* FROM wms_articles a WHERE a.goods_owner_id = :goods_owner_id AND a.number = :number
        /*pg FOR UPDATE */
        """,
        goods_owner_id=goods_owner_id, number=number,
    )  # fmt: skip


def lock_articles(tx: Transaction, article_ids: Iterable[int]) -> None:
    """Nobody else changes the stock of these before the commit."""
    tx.all(
        """
        SELECT a.id FROM wms_articles a WHERE a.id IN (SELECT r.id FROM :rows(id BIGINT) r) ORDER BY a.id /*pg FOR UPDATE */
        """,
        rows=[(article_id,) for article_id in sorted(set(article_ids))],
    )


def article_page(
    tx: Transaction,
    goods_owner_id: int,
    *,
    number: Texts = None,
    product_code: Texts = None,
    bar_code: Texts = None,
    class_id: Iterable[int] | None = None,
    id_from: int = 0,
    limit: int,
    stock_changed_from: Moment = 0,
    data_changed_from: Moment = 0,
    only_in_stock: bool = False,
    only_below_limit: bool = False,
    kind: str | None = None,
    only_dangerous: bool = False,
    name_contains: str | None = None,
) -> list[Row]:
    return tx.all(
        """
        SELECT a.*, g.name AS goods_owner_name FROM wms_articles a JOIN goods_owners g ON g.id = a.goods_owner_id
         WHERE a.goods_owner_id = :goods_owner_id AND a.id >= :id_from AND a.deleted_at IS NULL
           AND a.stock_changed_at >= :stock_changed_from AND a.changed_at >= :data_changed_from
           AND a.number_of_items >= :least_stock
           AND (CAST(:number AS TEXT) IS NULL OR replace(:number, '\x1f' || a.number || '\x1f', '') <> :number)
           AND (CAST(:part AS TEXT) IS NULL OR lower(a.name) LIKE :part ESCAPE '!')
           AND (CAST(:product_code AS TEXT) IS NULL
                OR replace(:product_code, '\x1f' || (a.details /*pg ::json */ ->> 'productCode') || '\x1f', '') <> :product_code)
           AND (CAST(:bar_code AS TEXT) IS NULL
                OR replace(:bar_code, '\x1f' || (a.details /*pg ::json */ -> 'barCodeInfo' ->> 'barCode') || '\x1f', '') <> :bar_code)
           AND (CAST(:class_id AS TEXT) IS NULL
                OR a.id IN (SELECT c.article_id FROM wms_article_classes c
                             WHERE replace(:class_id, '\x1f' || CAST(c.class_id AS TEXT) || '\x1f', '') <> :class_id))
           AND (:only_below = 0 OR a.number_of_items < CAST(a.details /*pg ::json */ ->> 'stockLimit' AS BIGINT))
           AND (CAST(:kind AS TEXT) IS NULL
                OR (a.details /*pg ::json */ -> 'structureDefinition' ->> 'articleKind') = :kind)
           AND (:only_dangerous = 0 OR a.dangerous_goods IS NOT NULL)
         ORDER BY a.id LIMIT :limit
        """,
        goods_owner_id=goods_owner_id,
        number=places.listed(number),
        product_code=places.listed(product_code),
        bar_code=places.listed(bar_code),
        class_id=places.listed(class_id),
        only_below=int(only_below_limit),
        kind=kind,
        only_dangerous=int(only_dangerous),
        id_from=id_from,
        limit=limit,
        stock_changed_from=stock_changed_from,
        data_changed_from=data_changed_from,
        least_stock=int(only_in_stock),
        part=None if name_contains is None else f"%{_literal(name_contains.lower())}%",
    )


def _literal(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def hold_by_number(tx: Transaction, goods_owner_id: int, numbers: Iterable[str]) -> dict[str, int]:
    """The ids of those that exist: nobody deletes them before the commit."""
    rows = tx.all(
        """
        SELECT a.id, a.number FROM :rows(goods_owner_id BIGINT, number TEXT) r
          JOIN wms_articles a ON a.goods_owner_id = r.goods_owner_id AND a.number = r.number
         WHERE a.deleted_at IS NULL ORDER BY a.id /*pg FOR SHARE OF a */
        """,
        rows=[(goods_owner_id, number) for number in sorted(set(numbers))],
    )
    return {row["number"]: int(row["id"]) for row in rows}


def numbers_of_deleted(tx: Transaction, article_ids: Iterable[int]) -> list[str]:
    rows = tx.all(
        """
        SELECT a.number FROM :rows(id BIGINT) r JOIN wms_articles a ON a.id = r.id AND a.deleted_at IS NOT NULL ORDER BY a.id
        """,
        rows=[(article_id,) for article_id in sorted(set(article_ids))],
    )
    return [str(row["number"]) for row in rows]


def change_stock(tx: Transaction, changes: Mapping[int, StockChange], *, now: Moment) -> None:
    """Only the sums; the items themselves are changed by `store.items`."""
    tx.run(
        """
        UPDATE wms_articles
           SET number_of_items = number_of_items + r.items, allocated = allocated + r.aside, stock_changed_at = r.now
          FROM :rows(article_id BIGINT, items BIGINT, aside BIGINT, now BIGINT) r WHERE wms_articles.id = r.article_id
        """,
        rows=[(article_id, change.items, change.allocated, now) for article_id, change in sorted(changes.items())],
    )


def open_uses(tx: Transaction, article_id: int) -> int:
    """Lines of orders and purchase orders that still wait for this article, production orders that take or make it."""
    row = tx.one(
        """
        SELECT (SELECT count(*) FROM wms_order_lines l JOIN wms_orders o ON o.id = l.order_id
                 WHERE l.article_id = :id AND o.status < 450)
             + (SELECT count(*) FROM wms_purchase_order_lines l JOIN wms_purchase_orders p ON p.id = l.purchase_order_id
                 WHERE l.article_id = :id AND p.status < 400)
             + (SELECT count(*) FROM wms_production_orders p WHERE p.status < 400 AND (p.article_id = :id OR EXISTS (
                  SELECT 1 FROM wms_production_order_parts q
                   WHERE q.production_order_id = p.id AND q.article_id = :id))) AS uses
        """,
        id=article_id,
    )
    assert row is not None
    return int(row["uses"])


def stock_sums(tx: Transaction, article_ids: Iterable[int]) -> dict[int, Row]:
    """By article: what lies there but is not for sale, what is on its way in, what was picked and is still here."""
    ids = [(article_id,) for article_id in article_ids]
    rows = tx.all(
        """
        SELECT r.id,
               (SELECT CAST(coalesce(sum(i.number_of_items), 0) AS BIGINT) FROM wms_article_items i
                  JOIN wms_item_statuses s ON s.id = i.status_id LEFT JOIN wms_locations l ON l.id = i.location_id
                 WHERE i.article_id = r.id AND i.state = 'free' AND (s.is_locked = 1 OR coalesce(l.is_locked, 0) = 1))
                 AS locked,
               (SELECT CAST(coalesce(sum(i.number_of_items), 0) AS BIGINT) FROM wms_article_items i
                  JOIN wms_item_statuses s ON s.id = i.status_id LEFT JOIN wms_locations l ON l.id = i.location_id
                 WHERE i.article_id = r.id AND i.state = 'free'
                   AND (s.is_locked_for_sale = 1 OR coalesce(l.is_locked_for_sale, 0) = 1
                        OR s.is_locked = 1 OR coalesce(l.is_locked, 0) = 1)) AS locked_for_sale,
               (SELECT CAST(coalesce(sum(l.advised - l.received), 0) AS BIGINT) FROM wms_purchase_order_lines l
                  JOIN wms_purchase_orders p ON p.id = l.purchase_order_id
                 WHERE l.article_id = r.id AND p.status < 400 AND l.advised > l.received) AS to_receive,
               (SELECT CAST(coalesce(sum(l.picked), 0) AS BIGINT) FROM wms_order_lines l JOIN wms_orders o ON o.id = l.order_id
                 WHERE l.article_id = r.id AND o.status < 450) AS picked,
               (SELECT CAST(coalesce(sum(l.ordered), 0) AS BIGINT) FROM wms_order_lines l JOIN wms_orders o ON o.id = l.order_id
                 WHERE l.article_id = r.id AND o.status < 320) AS booked,
               (SELECT max(i.in_at) FROM wms_article_items i
                 WHERE i.article_id = r.id AND i.state IN ('free', 'allocated')) AS last_in
          FROM :rows(id BIGINT) r
        """,
        rows=ids,
    )
    return {int(row["id"]): row for row in rows}


def stock_per_warehouse(tx: Transaction, goods_owner_id: int, number: Texts) -> list[Row]:
    return tx.all(
        """
        SELECT a.id, a.number, a.name, w.id AS warehouse_id, w.code AS warehouse_code, w.name AS warehouse_name,
               sum(i.number_of_items) AS number_of_items,
               sum(CASE WHEN i.state = 'allocated' THEN i.number_of_items ELSE 0 END) AS allocated
          FROM wms_articles a JOIN wms_article_items i ON i.article_id = a.id AND i.state IN ('free', 'allocated')
          JOIN wms_locations l ON l.id = i.location_id JOIN wms_warehouses w ON w.id = l.warehouse_id
         WHERE a.goods_owner_id = :goods_owner_id AND (CAST(:number AS TEXT) IS NULL OR replace(:number, '\x1f' || a.number || '\x1f', '') <> :number)
         GROUP BY a.id, a.number, a.name, w.id, w.code, w.name ORDER BY a.id, w.id
        """,
        goods_owner_id=goods_owner_id, number=places.listed(number),
    )  # fmt: skip
