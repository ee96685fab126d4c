"""What everything in the warehouse refers to: places, statuses, short lists to choose from, people, and new ids."""

from collections.abc import Iterable, Mapping
from typing import Any

from dockbell.store.database import Row, Transaction

ARTICLE_ID = "wms article"
CHARGE_ID = "wms charge"
INVOICE_ID = "wms invoice"
WAYBILL_ROW_ID = "wms waybill row"
ARTICLE_ITEM_ID = "wms article item"
FILE_ID = "wms file"
INVENTORY_ID = "wms inventory"
ORDER_ID = "wms order"
ORDER_LINE_ID = "wms order line"
PALLET_ITEM_ID = "wms parcel"
PICK_ORDER_ID = "wms pick order"
PRODUCTION_ORDER_ID = "wms production order"
PURCHASE_ORDER_ID = "wms purchase order"
PURCHASE_ORDER_LINE_ID = "wms purchase order line"
RETURN_ORDER_ID = "wms return order"
SHIPMENT_ID = "wms shipment"
WORK_ORDER_ID = "wms work order"
MOVEMENT_ID = {"movement order": "wms movement", "movement pallet item": "wms pallet movement"}


def next_ids(tx: Transaction, name: str, count: int = 1) -> list[int]:
    """New ids of one noun. Its counter stays locked until the commit: whoever makes another waits."""
    sql = "UPDATE counters SET value = value + :count WHERE name = :name RETURNING value"
    row = tx.one(sql, name=name, count=count)
    assert row is not None
    return list(range(int(row["value"]) - count + 1, int(row["value"]) + 1))


def listed(wanted: str | Iterable[str | int] | None) -> str | None:
    """One or several texts or ids as one parameter, each between marks that no name can hold; None: all are wanted.

    `replace(:wanted, '\\x1f' || column || '\\x1f', '') <> :wanted` is true for those in the list, on both databases.
    """
    if wanted is None:
        return None
    return "".join(f"\x1f{each}\x1f" for each in ([wanted] if isinstance(wanted, str) else wanted)) or None


# --- Lists -----------------------------------------------------------------------------------------------


def warehouses(tx: Transaction) -> dict[str, Row]:
    """By code."""
    return {row["code"]: row for row in tx.all("SELECT id, code, name FROM wms_warehouses ORDER BY id")}


def warehouse(tx: Transaction, warehouse_id: int) -> Row:
    row = tx.one("SELECT id, code, name FROM wms_warehouses WHERE id = :id", id=warehouse_id)
    assert row is not None
    return row


def put_warehouse(tx: Transaction, warehouse_id: int, code: str, name: str) -> None:
    tx.run(
        """
        INSERT INTO wms_warehouses (id, code, name) VALUES (:id, :code, :name)
        ON CONFLICT (id) DO UPDATE SET code = excluded.code, name = excluded.name
        """,
        id=warehouse_id, code=code, name=name,
    )  # fmt: skip


def kinds(tx: Transaction, noun: str) -> dict[str, Row]:
    """The list of that noun, by code."""
    rows = tx.all("SELECT id, code, name, rank FROM wms_kinds WHERE noun = :noun ORDER BY id", noun=noun)
    return {row["code"]: row for row in rows}


def short(kinds: Mapping[str, Row]) -> list[dict[str, Any]]:
    """A list to choose from, as it is told."""
    return [{"id": row["id"], "code": row["code"], "name": row["name"]} for row in kinds.values()]


def kind(tx: Transaction, noun: str, kind_id: int | None) -> Row | None:
    return tx.one("SELECT id, code, name, rank FROM wms_kinds WHERE noun = :noun AND id = :id", noun=noun, id=kind_id)


def item_statuses(tx: Transaction) -> dict[str, Row]:
    """By code."""
    return {row["code"]: row for row in tx.all("SELECT * FROM wms_item_statuses ORDER BY id")}


def locations(tx: Transaction, location_ids: Iterable[int]) -> dict[int, Row]:
    """Those that exist, with warehouse and type, by id."""
    rows = tx.all(
        """
        SELECT l.*, w.code AS warehouse_code, w.name AS warehouse_name
          FROM :rows(id BIGINT) r JOIN wms_locations l ON l.id = r.id JOIN wms_warehouses w ON w.id = l.warehouse_id
        """,
        rows=[(location_id,) for location_id in sorted(set(location_ids))],
    )
    return {int(row["id"]): row for row in rows}


def locations_of(tx: Transaction, warehouse_id: int) -> list[Row]:
    return tx.all("SELECT * FROM wms_locations WHERE warehouse_id = :id ORDER BY id", id=warehouse_id)


def first_location(tx: Transaction, warehouse_id: int, type_code: str) -> int | None:
    """Where things of this kind lie when nobody says where."""
    row = tx.one(
        """
        SELECT min(l.id) AS id FROM wms_locations l
          JOIN wms_kinds k ON k.noun = 'location type' AND k.id = l.type_id
         WHERE l.warehouse_id = :id AND k.code = :code
        """,
        id=warehouse_id, code=type_code,
    )  # fmt: skip
    return None if row is None or row["id"] is None else int(row["id"])


def put_location(
    tx: Transaction, location_id: int, warehouse_id: int, name: str, type_id: int, aisle: str, zone: str,
    *, is_locked_for_sale: bool = False,
) -> None:  # fmt: skip
    tx.run(
        """
        INSERT INTO wms_locations (id, warehouse_id, name, type_id, aisle, zone, is_locked_for_sale)
        VALUES (:id, :warehouse_id, :name, :type_id, :aisle, :zone, :locked) ON CONFLICT (id) DO NOTHING
        """,
        id=location_id, warehouse_id=warehouse_id, name=name, type_id=type_id, aisle=aisle, zone=zone,
        locked=int(is_locked_for_sale),
    )  # fmt: skip


def put_computer(tx: Transaction, computer_id: int, name: str) -> None:
    tx.run(
        "INSERT INTO wms_computers (id, name) VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        id=computer_id, name=name,
    )  # fmt: skip


def put_user(tx: Transaction, user_id: int, name: str) -> None:
    tx.run(
        "INSERT INTO wms_users (id, name) VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        id=user_id, name=name,
    )  # fmt: skip


def computers(tx: Transaction) -> list[Row]:
    return tx.all("SELECT id, name FROM wms_computers ORDER BY id")


def users(tx: Transaction) -> list[Row]:
    return tx.all("SELECT id, name FROM wms_users ORDER BY id")


def computer_name(tx: Transaction, computer_id: int) -> str | None:
    row = tx.one("SELECT name FROM wms_computers WHERE id = :id", id=computer_id)
    return None if row is None else str(row["name"])


def put_class(tx: Transaction, class_id: int, goods_owner_id: int, code: str, name: str) -> None:
    tx.run(
        """
        INSERT INTO wms_goods_owner_classes (id, goods_owner_id, code, name) VALUES (:id, :goods_owner_id, :code, :name)
        ON CONFLICT (id) DO UPDATE SET code = excluded.code, name = excluded.name
        """,
        id=class_id, goods_owner_id=goods_owner_id, code=code, name=name,
    )  # fmt: skip


def classes_of(tx: Transaction, goods_owner_id: int) -> list[Row]:
    return tx.all(
        "SELECT id, code, name FROM wms_goods_owner_classes WHERE goods_owner_id = :goods_owner_id ORDER BY id",
        goods_owner_id=goods_owner_id,
    )


def put_transporter(tx: Transaction, code: str, name: str, tracking_url: str) -> None:
    tx.run(
        """
        INSERT INTO wms_transporters (code, name, tracking_url) VALUES (:code, :name, :tracking_url)
        ON CONFLICT (code) DO UPDATE SET name = excluded.name, tracking_url = excluded.tracking_url
        """,
        code=code, name=name, tracking_url=tracking_url,
    )  # fmt: skip


def transporters(tx: Transaction) -> dict[str, Row]:
    return {row["code"]: row for row in tx.all("SELECT code, name, tracking_url FROM wms_transporters ORDER BY code")}


def tracking_url(tx: Transaction, transporter: str | None, number: str | None) -> str | None:
    """Where the transporter shows the way of this waybill or parcel."""
    if transporter is None or number is None:
        return None
    return str(transporters(tx)[transporter]["tracking_url"]).replace("{number}", number)


def put_order_type(tx: Transaction, code: str, name: str) -> None:
    tx.run(
        """
        INSERT INTO wms_order_types (code, name) VALUES (:code, :name)
        ON CONFLICT (code) DO UPDATE SET name = excluded.name
        """,
        code=code, name=name,
    )  # fmt: skip


def order_types(tx: Transaction) -> dict[str, Row]:
    return {row["code"]: row for row in tx.all("SELECT code, name FROM wms_order_types ORDER BY code")}
