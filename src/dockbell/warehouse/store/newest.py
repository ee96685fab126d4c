"""The newest of each noun, for lists that people read: ids, newest first, from the one before `before` on."""

from collections.abc import Mapping

from dockbell.store.database import Transaction

FOUND = """ t
 WHERE t.goods_owner_id = :goods_owner_id AND t.id < :before
   AND (CAST(:number AS TEXT) IS NULL OR t.number = :number)
   AND (CAST(:warehouse_id AS BIGINT) IS NULL OR t.warehouse_id = :warehouse_id)
 ORDER BY t.id DESC LIMIT :limit
"""
STATEMENTS: Mapping[str, str] = {
    "order": "SELECT t.id FROM wms_orders",
    "purchase order": "SELECT t.id FROM wms_purchase_orders",
    "shipment": "SELECT t.id FROM wms_shipments",
    "production order": "SELECT t.id FROM wms_production_orders",
    "pick order": """
SELECT t.id FROM (SELECT p.id, p.goods_owner_id, p.warehouse_id, CAST(p.id AS TEXT) AS number FROM wms_pick_orders p)
""",
    "article": """
SELECT t.id FROM (
  SELECT a.id, a.goods_owner_id, a.number, CAST(NULL AS BIGINT) AS warehouse_id FROM wms_articles a
   WHERE a.deleted_at IS NULL)
""",
    "article item": """
SELECT t.id FROM (
  SELECT i.id, a.goods_owner_id, a.number, l.warehouse_id FROM wms_article_items i
    JOIN wms_articles a ON a.id = i.article_id JOIN wms_locations l ON l.id = i.location_id
   WHERE i.state IN ('free', 'allocated'))
""",
    "pallet item": """
SELECT t.id FROM (
  SELECT p.id, p.goods_owner_id, p.label AS number, l.warehouse_id FROM wms_pallet_items p
    LEFT JOIN wms_locations l ON l.id = p.location_id)
""",
    "movement order": """
SELECT t.id FROM (
  SELECT m.id, m.goods_owner_id, CAST(m.id AS TEXT) AS number, l.warehouse_id FROM wms_movements m
    JOIN wms_locations l ON l.id = m.to_location_id WHERE m.noun = 'movement order')
""",
    "movement pallet item": """
SELECT t.id FROM (
  SELECT m.id, m.goods_owner_id, CAST(m.id AS TEXT) AS number, l.warehouse_id FROM wms_movements m
    JOIN wms_locations l ON l.id = m.to_location_id WHERE m.noun = 'movement pallet item')
""",
}  # fmt: skip


def ids(
    tx: Transaction,
    noun: str,
    goods_owner_id: int,
    *,
    number: str | None = None,
    warehouse_id: int | None = None,
    before: int,
    limit: int,
) -> list[int]:
    rows = tx.all(
        STATEMENTS[noun] + FOUND,
        goods_owner_id=goods_owner_id, number=number, warehouse_id=warehouse_id, before=before, limit=limit,
    )  # fmt: skip
    return [int(row["id"]) for row in rows]
