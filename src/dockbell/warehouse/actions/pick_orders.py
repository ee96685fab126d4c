"""Pick orders: several orders gathered, picked in one round."""

from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document, need_goods_owner, visible
from dockbell.warehouse.actions import orders, where
from dockbell.warehouse.documents.times import plain_time
from dockbell.warehouse.rules.floor import need_to_execute, need_to_start
from dockbell.warehouse.rules.order import Status
from dockbell.warehouse.rules.statuses import impossible
from dockbell.warehouse.store import orders as order_store
from dockbell.warehouse.store import places, work

SINGLE, BATCH = 1, 2


def create_pick_order(act: Act, order_ids: list[int]) -> int:
    """Gather allocated orders of one goods owner in one warehouse; an order is on one pick order at most."""
    act.actor.need("publish")
    ids = sorted(set(order_ids))
    rows = [act.own(order_store.lock_order(act.tx, order_id), "order", order_id) for order_id in ids]
    if len({row["goods_owner_id"] for row in rows}) > 1:
        text = "The orders belong to different goods owners; a pick order is one goods owner's."
        raise InvalidInput([Problem("orderIds", "goods_owner", text)])
    taken = work.pick_orders_of(act.tx, ids)
    reasons = [
        f"order {row['number']} is on pick order {taken[int(row['id'])]}" if row["id"] in taken
        else f"order {row['number']} has status {row['status']} {Status(row['status']).text}"
        for row in rows
        if row["id"] in taken or row["status"] != Status.ALLOCATED
    ]  # fmt: skip
    if reasons:
        raise impossible(f"They cannot be gathered: {'; '.join(reasons)}.", "Take orders with status 320 Allocated.")
    warehouse_id = where.need_one_warehouse(act.tx, "gathered", rows)
    (pick_order_id,) = places.next_ids(act.tx, places.PICK_ORDER_ID)
    owner, kind = int(rows[0]["goods_owner_id"]), BATCH if len(ids) > 1 else SINGLE
    work.insert_pick_order(act.tx, pick_order_id, owner, warehouse_id, kind, ids, now=act.now)
    _tell(act, "pick-order.created", pick_order_id)
    return pick_order_id


def start_pick_order(act: Act, pick_order_id: int) -> Document:
    row = act.own(work.lock_pick_order(act.tx, pick_order_id), "pick order", pick_order_id)
    need_to_start(pick_order_id, is_started=row["pick_started_at"] is not None)
    work.start_pick_order(act.tx, pick_order_id, now=act.now)
    return _tell(act, "pick-order.started", pick_order_id)


def execute_pick_order(act: Act, pick_order_id: int) -> Document:
    """Finish it: what is left to pick of its orders is picked."""
    row = act.own(work.lock_pick_order(act.tx, pick_order_id), "pick order", pick_order_id)
    is_started, is_executed = row["pick_started_at"] is not None, row["executed_at"] is not None
    need_to_execute(pick_order_id, is_started=is_started, is_executed=is_executed)
    for order_id in work.orders_of_pick_order(act.tx, pick_order_id):
        order = order_store.order(act.tx, order_id)
        if order is not None and order["status"] == Status.ALLOCATED:
            orders.pick_order(act, order_id)
    work.execute_pick_order(act.tx, pick_order_id, now=act.now)
    return _tell(act, "pick-order.executed", pick_order_id)


def _tell(act: Act, event_type: str, pick_order_id: int) -> Document:
    row = work.pick_order(act.tx, pick_order_id)
    assert row is not None
    data = {"pickOrder": _told(row), **act.doers()}
    act.tell(event_type, int(row["goods_owner_id"]), data, warehouse=row["warehouse_code"])
    return _document(act.tx, row)


def _told(row: Row) -> Document:
    return {
        "pickOrderId": row["id"],
        "isStarted": row["pick_started_at"] is not None,
        "isExecuted": row["executed_at"] is not None,
        "isCreated": True,
        "pickStarted": plain_time(row["pick_started_at"]),
        "pickFinished": plain_time(row["pick_finished_at"]),
        "packStarted": plain_time(row["pack_started_at"]),
        "packFinished": plain_time(row["pack_finished_at"]),
        "pickOrderType": {"pickOrderTypeId": row["type_id"], "pickOrderTypeCode": row["type_code"]},
    }


# --- Looking ---------------------------------------------------------------------------------------------


def _document(tx: Transaction, row: Row) -> Document:
    order_ids = work.orders_of_pick_order(tx, int(row["id"]))
    warehouse = {"id": row["warehouse_id"], "code": row["warehouse_code"], "name": row["warehouse_name"]}
    return {"goodsOwnerId": row["goods_owner_id"], "warehouse": warehouse, **_told(row), "orderIds": order_ids}


def get_pick_order(tx: Transaction, actor: Actor, pick_order_id: int) -> Document:
    actor.need("read")
    return _document(tx, visible(work.pick_order(tx, pick_order_id), actor, "pick order", pick_order_id))


def list_pick_orders(
    tx: Transaction, actor: Actor, goods_owner_id: int, *, id_from: int = 0, limit: int = 1_000
) -> list[Document]:
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    ids = work.pick_order_page(tx, goods_owner_id, id_from=id_from, limit=limit)
    return [get_pick_order(tx, actor, pick_order_id) for pick_order_id in ids]
