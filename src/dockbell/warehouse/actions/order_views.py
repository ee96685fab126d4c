"""Looking at orders."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dockbell.domain.permissions import Actor
from dockbell.store import people
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Document, need_goods_owner, no_such, visible
from dockbell.warehouse.documents.orders import order_document, parcel_document
from dockbell.warehouse.inputs.common import LARGEST_ID
from dockbell.warehouse.store import items, orders, pallets, places

MOST_ROWS = 1_000
EVERYTHING: Mapping[str, Any] = {
    "number": None, "status_from": 0, "status_to": LARGEST_ID, "status_changed_from": 0, "created_from": 0,
    "created_to": LARGEST_ID, "changed_from": 0, "shipped_from": 0, "shipped_to": LARGEST_ID, "returned_from": 0,
    "shipment_id": None, "parcel_number": None, "article_number": None, "unreported": 0, "serial": None,
    "market_place": None, "printed": 0, "back_order_for": None, "ids": None, "id_from": 0, "limit": MOST_ROWS,
}  # fmt: skip
"""What a list of orders is asked for when nothing is said."""


def get_order(tx: Transaction, actor: Actor, order_id: int) -> Document:
    return documents_of(tx, [own_order(tx, actor, order_id)])[0]


def own_order(tx: Transaction, actor: Actor, order_id: int) -> Row:
    actor.need("read")
    return visible(orders.order(tx, order_id), actor, "order", order_id)


def list_orders(tx: Transaction, actor: Actor, goods_owner_id: int, **wanted: Any) -> list[Document]:
    """Orders by id, from `id_from` on: the next page begins at the last id plus one."""
    return documents_of(tx, page_of(tx, actor, goods_owner_id, **wanted))


def page_of(tx: Transaction, actor: Actor, goods_owner_id: int, **wanted: Any) -> list[Row]:
    actor.need("read")
    need_goods_owner(tx, actor, goods_owner_id)
    flags: dict[str, Any] = {name: int(wanted[name]) for name in ("unreported", "printed") if name in wanted}
    return orders.order_page(tx, goods_owner_id, **{**EVERYTHING, **wanted, **flags})


def list_parcels(tx: Transaction, actor: Actor, order_id: int) -> list[Document]:
    own_order(tx, actor, order_id)
    return [parcel_document(row) for row in pallets.parcels_of(tx, [order_id])]


def get_parcel(tx: Transaction, actor: Actor, order_id: int, parcel_id: int) -> Document:
    found = [parcel for parcel in list_parcels(tx, actor, order_id) if parcel["id"] == parcel_id]
    if not found:
        no_such("parcel", parcel_id)
    return found[0]


def documents_of(tx: Transaction, rows: Sequence[Row]) -> list[Document]:
    ids = [int(row["id"]) for row in rows]
    names = {int(owner["id"]): str(owner["name"]) for owner in people.goods_owners(tx)}
    all_lines = orders.lines_of(tx, ids)
    lines, parcels = _by_order(all_lines), _by_order(pallets.parcels_of(tx, ids))
    trackings = _by_order(orders.trackings_of(tx, ids))
    order_of_line = {line["id"]: int(line["order_id"]) for line in all_lines}
    picked = defaultdict[int, list[Row]](list)
    for item in items.views(tx, items.ids_of_lines(tx, order_of_line)):
        for line_id in {item["order_line_id"], item["returned_line_id"]} & order_of_line.keys():
            picked[order_of_line[line_id]].append(item)
    transporters, order_types = places.transporters(tx), places.order_types(tx)
    ways: dict[str, Any] = {
        code: {"code": code, "name": row["name"]} for code, row in places.kinds(tx, "way of delivery").items()
    }
    classes = places.short(places.kinds(tx, "order class"))
    warehouses = {row["id"]: row for row in places.warehouses(tx).values()}
    return [
        order_document(
            row,
            owner=names[int(row["goods_owner_id"])],
            lines=lines[int(row["id"])],
            parcels=parcels[int(row["id"])],
            trackings=trackings[int(row["id"])],
            picked=picked[int(row["id"])],
            transporters=transporters,
            order_types=order_types,
            warehouse=warehouses[row["warehouse_id"]],
            ways=ways,
            classes=classes,
        )
        for row in rows
    ]


def _by_order(rows: Iterable[Row]) -> Mapping[int, list[Row]]:
    groups = defaultdict[int, list[Row]](list)
    for row in rows:
        groups[int(row["order_id"])].append(row)
    return groups
