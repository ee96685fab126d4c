"""Work on the floor: pick orders, and orders to move an article item or a whole pallet item."""

from collections.abc import Iterable
from typing import Any

from dockbell.clock import Moment
from dockbell.store.database import Row, Transaction

# --- Pick orders -----------------------------------------------------------------------------------------

PICK_ORDER = """
SELECT p.*, w.code AS warehouse_code, w.name AS warehouse_name, k.code AS type_code FROM wms_pick_orders p
  JOIN wms_warehouses w ON w.id = p.warehouse_id
  LEFT JOIN wms_kinds k ON k.noun = 'pick order type' AND k.id = p.type_id WHERE p.id = :id
"""


def insert_pick_order(
    tx: Transaction,
    pick_order_id: int,
    goods_owner_id: int,
    warehouse_id: int,
    type_id: int,
    order_ids: Iterable[int],
    *,
    now: Moment,
) -> None:
    tx.run(
        """
        INSERT INTO wms_pick_orders (id, goods_owner_id, type_id, warehouse_id, created_at)
        VALUES (:id, :goods_owner_id, :type_id, :warehouse_id, :now)
        """,
        id=pick_order_id, goods_owner_id=goods_owner_id, warehouse_id=warehouse_id, type_id=type_id, now=now,
    )  # fmt: skip
    tx.run(
        """
        INSERT INTO wms_pick_order_orders (order_id, pick_order_id)
        SELECT r.order_id, r.pick_order_id FROM :rows(order_id BIGINT, pick_order_id BIGINT) r
        """,
        rows=[(order_id, pick_order_id) for order_id in order_ids],
    )


def lock_pick_order(tx: Transaction, pick_order_id: int) -> Row | None:
    return tx.one(PICK_ORDER + "/*pg FOR UPDATE OF p */", id=pick_order_id)


def pick_order(tx: Transaction, pick_order_id: int) -> Row | None:
    return tx.one(PICK_ORDER, id=pick_order_id)


def orders_of_pick_order(tx: Transaction, pick_order_id: int) -> list[int]:
    rows = tx.all(
        "SELECT order_id FROM wms_pick_order_orders WHERE pick_order_id = :id ORDER BY order_id", id=pick_order_id
    )
    return [int(row["order_id"]) for row in rows]


def pick_orders_of(tx: Transaction, order_ids: Iterable[int]) -> dict[int, int]:
    """The pick order of those orders that are on one."""
    rows = tx.all(
        """
        SELECT p.order_id, p.pick_order_id FROM :rows(id BIGINT) r JOIN wms_pick_order_orders p ON p.order_id = r.id
        """,
        rows=[(order_id,) for order_id in sorted(set(order_ids))],
    )
    return {int(row["order_id"]): int(row["pick_order_id"]) for row in rows}


def start_pick_order(tx: Transaction, pick_order_id: int, *, now: Moment) -> None:
    tx.run("UPDATE wms_pick_orders SET pick_started_at = :now WHERE id = :id", id=pick_order_id, now=now)


def execute_pick_order(tx: Transaction, pick_order_id: int, *, now: Moment) -> None:
    tx.run(
        "UPDATE wms_pick_orders SET pick_finished_at = coalesce(pick_finished_at, :now), executed_at = :now WHERE id = :id",
        id=pick_order_id, now=now,
    )  # fmt: skip


def pick_order_picked(tx: Transaction, order_id: int, *, now: Moment) -> None:
    """Picking of the order's pick order has ended if none of its orders still waits to be picked."""
    tx.run(
        """
        UPDATE wms_pick_orders SET pick_finished_at = coalesce(pick_finished_at, :now)
         WHERE id = (SELECT p.pick_order_id FROM wms_pick_order_orders p WHERE p.order_id = :order_id)
           AND NOT EXISTS (SELECT 1 FROM wms_pick_order_orders p JOIN wms_orders o ON o.id = p.order_id
                            WHERE p.pick_order_id = wms_pick_orders.id AND o.status < 400)
        """,
        order_id=order_id, now=now,
    )  # fmt: skip


def pick_order_packed(tx: Transaction, order_id: int, *, now: Moment) -> None:
    """Packing of the order's pick order has begun, and ended if nothing picked waits to be packed."""
    tx.run(
        """
        UPDATE wms_pick_orders
           SET pack_started_at = coalesce(pack_started_at, :now),
               pack_finished_at = CASE WHEN EXISTS (
                 SELECT 1 FROM wms_pick_order_orders p JOIN wms_orders o ON o.id = p.order_id
                   JOIN wms_order_lines l ON l.order_id = o.id
                  WHERE p.pick_order_id = wms_pick_orders.id AND (o.status < 400 OR l.picked > l.packed))
                 THEN NULL ELSE :now END
         WHERE id = (SELECT p.pick_order_id FROM wms_pick_order_orders p WHERE p.order_id = :order_id)
        """,
        order_id=order_id, now=now,
    )  # fmt: skip


def leave_pick_order(tx: Transaction, order_id: int) -> None:
    tx.run("DELETE FROM wms_pick_order_orders WHERE order_id = :order_id", order_id=order_id)


def pick_order_page(tx: Transaction, goods_owner_id: int, *, id_from: int, limit: int) -> list[int]:
    rows = tx.all(
        """
        SELECT p.id FROM wms_pick_orders p WHERE p.goods_owner_id = :goods_owner_id AND p.id >= :id_from
         ORDER BY p.id LIMIT :limit
        """,
        goods_owner_id=goods_owner_id, id_from=id_from, limit=limit,
    )  # fmt: skip
    return [int(row["id"]) for row in rows]


# --- Movements -------------------------------------------------------------------------------------------

MOVEMENT = """
SELECT m.*, l.name AS to_location, l.type_id AS to_location_type_id, w.code AS warehouse_code,
       k.code AS type_code, k.rank AS type_rank FROM wms_movements m
  JOIN wms_locations l ON l.id = m.to_location_id JOIN wms_warehouses w ON w.id = l.warehouse_id
  LEFT JOIN wms_kinds k ON k.id = m.type_id
   AND k.noun = CASE WHEN m.noun = 'movement order' THEN 'movement type' ELSE 'pallet movement type' END
 WHERE m.noun = :noun AND m.id = :id
"""


def insert_movement(tx: Transaction, noun: str, movement_id: int, *, now: Moment, **values: Any) -> None:
    tx.run(
        """
        INSERT INTO wms_movements (noun, id, work_order_id, goods_owner_id, article_item_id, pallet_item_id,
                                   to_location_id, type_id, assigned_user_id, order_id, created_at)
        VALUES (:noun, :id, :work_order_id, :goods_owner_id, :article_item_id, :pallet_item_id,
                :to_location_id, :type_id, :assigned_user_id, :order_id, :now)
        """,
        noun=noun, id=movement_id, now=now, **values,
    )  # fmt: skip


def lock_movement(tx: Transaction, noun: str, movement_id: int) -> Row | None:
    return tx.one(MOVEMENT + "/*pg FOR UPDATE OF m */", noun=noun, id=movement_id)


def movement(tx: Transaction, noun: str, movement_id: int) -> Row | None:
    return tx.one(MOVEMENT, noun=noun, id=movement_id)


def change_movement(
    tx: Transaction, noun: str, movement_id: int, *, to_location_id: int, assigned_user_id: int | None, is_started: bool
) -> None:
    tx.run(
        """
        UPDATE wms_movements
           SET to_location_id = :to_location_id, assigned_user_id = :assigned_user_id, is_started = :is_started
         WHERE noun = :noun AND id = :id
        """,
        noun=noun, id=movement_id, to_location_id=to_location_id, assigned_user_id=assigned_user_id,
        is_started=int(is_started),
    )  # fmt: skip


def execute_movement(tx: Transaction, noun: str, movement_id: int) -> None:
    tx.run(
        "UPDATE wms_movements SET is_started = 1, is_executed = 1 WHERE noun = :noun AND id = :id",
        noun=noun, id=movement_id,
    )  # fmt: skip


def delete_movement(tx: Transaction, noun: str, movement_id: int) -> None:
    tx.run("DELETE FROM wms_movements WHERE noun = :noun AND id = :id", noun=noun, id=movement_id)


def movement_page(tx: Transaction, noun: str, goods_owner_id: int, *, id_from: int, limit: int) -> list[Row]:
    return tx.all(
        """
        SELECT m.* FROM wms_movements m
         WHERE m.noun = :noun AND m.goods_owner_id = :goods_owner_id AND m.id >= :id_from ORDER BY m.id LIMIT :limit
        """,
        noun=noun, goods_owner_id=goods_owner_id, id_from=id_from, limit=limit,
    )  # fmt: skip
