"""What an order's waybill lists: packages of one kind a row. Transport systems write them, also after the order was sent."""

import json
from collections.abc import Sequence

from dockbell.domain.permissions import Actor
from dockbell.errors import Problem
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document, chosen, no_such, raise_all
from dockbell.warehouse.actions.order_reports import own_living
from dockbell.warehouse.actions.order_views import own_order
from dockbell.warehouse.inputs.orders import NewWayBillRow
from dockbell.warehouse.store import places
from dockbell.warehouse.store import waybill_rows as store

MEASURES = ("weight", "volume", "length", "width", "height", "loadMeters")


def put_rows(act: Act, order_id: int, rows: Sequence[NewWayBillRow]) -> None:
    """These are the order's rows, whatever it had before."""
    own_living(act, order_id)
    type_ids = _type_ids(act.tx, rows, [f"wayBillRows[{place}].parcelType.code" for place in range(len(rows))])
    store.delete_all(act.tx, order_id)
    for row, type_id in zip(rows, type_ids, strict=True):
        _insert(act, order_id, row, type_id)


def add_row(act: Act, order_id: int, row: NewWayBillRow) -> int:
    """Its id."""
    own_living(act, order_id)
    [type_id] = _type_ids(act.tx, [row], ["parcelType.code"])
    return _insert(act, order_id, row, type_id)


def change_row(act: Act, order_id: int, row_id: int, row: NewWayBillRow) -> None:
    own_living(act, order_id)
    _need(act.tx, order_id, row_id)
    [type_id] = _type_ids(act.tx, [row], ["parcelType.code"])
    store.delete(act.tx, row_id)
    store.insert(act.tx, row_id, order_id, type_id, _values(row))


def delete_row(act: Act, order_id: int, row_id: int) -> None:
    own_living(act, order_id)
    _need(act.tx, order_id, row_id)
    store.delete(act.tx, row_id)


def _need(tx: Transaction, order_id: int, row_id: int) -> None:
    if row_id not in {row["id"] for row in store.rows_of(tx, order_id)}:
        no_such("waybill row", row_id)


def _type_ids(tx: Transaction, rows: Sequence[NewWayBillRow], fields: Sequence[str]) -> list[int]:
    problems: list[Problem] = []
    types = places.kinds(tx, "pallet type")
    ids = [
        chosen(types, row.parcel_type.code, field, "parcel type", problems)
        for row, field in zip(rows, fields, strict=True)
    ]
    raise_all(problems)
    return [each for each in ids if each is not None]


def _insert(act: Act, order_id: int, row: NewWayBillRow, type_id: int) -> int:
    (row_id,) = places.next_ids(act.tx, places.WAYBILL_ROW_ID)
    store.insert(act.tx, row_id, order_id, type_id, _values(row))
    return row_id


def _values(row: NewWayBillRow) -> Document:
    plain = row.model_dump(by_alias=True)
    return {
        "number_of_packages": row.number_of_packages,
        "approved": row.approved_number_of_packages,
        "measures": json.dumps({name: plain[name] for name in MEASURES}),
        "comment": row.comment,
        "category": row.category,
    }


def list_rows(tx: Transaction, actor: Actor, order_id: int) -> list[Document]:
    own_order(tx, actor, order_id)
    return [_document(row) for row in store.rows_of(tx, order_id)]


def _document(row: Row) -> Document:
    return {
        "wayBillRowId": row["id"],
        "numberOfPackages": row["number_of_packages"],
        "approvedNumberOfPackages": row["approved"],
        **json.loads(row["measures"]),
        "comment": row["comment"],
        "category": row["category"],
        "parcelType": {"code": row["type_code"], "name": row["type_name"]},
    }
