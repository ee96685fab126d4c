"""What the tables say happened, for comparing it with the events."""

from dockbell.store.database import Row, Transaction


def events_after(tx: Transaction, event_id: int, limit: int) -> list[Row]:
    return tx.all(
        """
        SELECT e.id, e.event_type, e.data FROM events e WHERE e.id > :id AND e.test_of IS NULL ORDER BY e.id LIMIT :limit
        """,
        id=event_id, limit=limit,
    )  # fmt: skip


def changes(tx: Transaction) -> dict[str, int]:
    """How often each kind of change was made, where a row stays behind for each."""
    row = tx.one(
        """
        SELECT (SELECT count(*) FROM wms_orders) AS "order.created",
               (SELECT count(*) FROM wms_orders o WHERE o.status >= 400 AND EXISTS (
                  SELECT 1 FROM wms_order_lines l WHERE l.order_id = o.id AND l.picked > 0)) AS "order.picked",
               (SELECT count(*) FROM wms_pick_orders) AS "pick-order.created",
               (SELECT count(*) FROM wms_pick_orders WHERE pick_started_at IS NOT NULL) AS "pick-order.started",
               (SELECT count(*) FROM wms_pick_orders WHERE executed_at IS NOT NULL) AS "pick-order.executed",
               (SELECT count(*) FROM wms_purchase_orders) AS "purchase-order.created",
               (SELECT count(*) FROM wms_purchase_orders p WHERE p.status >= 400 AND EXISTS (
                  SELECT 1 FROM wms_purchase_order_lines l WHERE l.purchase_order_id = p.id AND l.received > 0))
                 AS "purchase-order.received",
               (SELECT count(*) FROM wms_article_items WHERE purchase_order_line_id IS NOT NULL AND received IS NOT NULL)
                 AS "inbound.performed",
               (SELECT count(*) FROM wms_inventory_lines) AS "inventory.performed",
               (SELECT count(*) FROM wms_movements WHERE noun = 'movement order' AND is_executed = 1)
                 AS "movement-order.executed",
               (SELECT count(*) FROM wms_movements WHERE noun = 'movement pallet item' AND is_executed = 1)
                 AS "movement-pallet-item.executed",
               (SELECT count(*) FROM wms_pallet_items WHERE is_closed = 1) AS "pallet-item.closed",
               (SELECT count(*) FROM wms_production_orders) AS "production-order.created"
        """
    )
    assert row is not None
    return {name: int(count) for name, count in row.items()}


def stock(tx: Transaction) -> list[Row]:
    """By article: its sums, those of its items, and that of the ledger."""
    return tx.all(
        """
        SELECT a.id, a.number, a.number_of_items, a.allocated,
               CAST(coalesce(sum(i.number_of_items), 0) AS BIGINT) AS items,
               CAST(coalesce(sum(CASE WHEN i.state = 'allocated' THEN i.number_of_items ELSE 0 END), 0) AS BIGINT)
                 AS items_allocated,
               (SELECT CAST(coalesce(sum(c.number_of_items), 0) AS BIGINT) FROM wms_stock_changes c
                 WHERE c.article_id = a.id) AS booked
          FROM wms_articles a
          LEFT JOIN wms_article_items i ON i.article_id = a.id AND i.state IN ('free', 'allocated')
         GROUP BY a.id, a.number, a.number_of_items, a.allocated ORDER BY a.id
        """
    )
