"""Files attached to orders, purchase orders, shipments and articles. Those of articles make no event: none is documented."""

from typing import Literal

from dockbell.domain.permissions import Actor
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.act import Act, Document, no_such, visible
from dockbell.warehouse.inputs.floor import NewFile
from dockbell.warehouse.store import articles, files, orders, places, purchase_orders, shipments

Noun = Literal["order", "purchase order", "shipment", "article"]
ID_FIELDS: dict[Noun, str] = {
    "order": "orderId",
    "purchase order": "purchaseOrderId",
    "shipment": "shipmentId",
    "article": "articleSystemId",
}


def put_file(act: Act, noun: Noun, object_id: int, new: NewFile) -> tuple[int, bool]:
    """Attach it, or replace the one of that name: its id, and whether it is new. The same bytes again are no change."""
    owner = int(act.own(_object(act.tx, noun, object_id), noun, object_id)["goods_owner_id"])
    found, file_id = act.found_or_new(
        places.FILE_ID, lambda: files.lock_by_name(act.tx, noun, object_id, new.file_name)
    )
    if found is None:
        name, kind, content = new.file_name, new.mime_type, new.file_data_base64
        files.insert(act.tx, file_id, owner, noun, object_id, name, kind, content, now=act.now)
        _tell(act, owner, noun, object_id, file_id, new)
        return file_id, True
    if (found["mime_type"], found["content"]) != (new.mime_type, new.file_data_base64):
        files.change(act.tx, file_id, new.mime_type, new.file_data_base64, now=act.now)
        _tell(act, owner, noun, object_id, file_id, new)
    return file_id, False


def _object(tx: Transaction, noun: Noun, object_id: int) -> Row | None:
    find = {
        "order": orders.order,
        "purchase order": purchase_orders.view,
        "shipment": shipments.shipment,
        "article": articles.article,
    }[noun]
    return find(tx, object_id)


def _tell(act: Act, owner: int, noun: Noun, object_id: int, file_id: int, new: NewFile) -> None:
    if noun == "article":
        return
    context: Document = {"order": None, "purchaseOrder": None, "shipment": None}
    context["purchaseOrder" if noun == "purchase order" else noun] = {ID_FIELDS[noun]: object_id}
    data = {"fileId": file_id, "fileName": new.file_name, "mimeType": new.mime_type, "context": context}
    act.tell("file.attached", owner, data)


def delete_file(act: Act, noun: Noun, object_id: int, file_id: int) -> None:
    act.own(_object(act.tx, noun, object_id), noun, object_id)
    _one(act.tx, noun, object_id, file_id)
    files.delete(act.tx, file_id)


# --- Looking ---------------------------------------------------------------------------------------------


def list_files(tx: Transaction, actor: Actor, noun: Noun, object_id: int) -> list[Document]:
    actor.need("read")
    visible(_object(tx, noun, object_id), actor, noun, object_id)
    return [_document(row) for row in files.files_of(tx, noun, object_id)]


def get_file(tx: Transaction, actor: Actor, noun: Noun, object_id: int, file_id: int) -> Document:
    actor.need("read")
    visible(_object(tx, noun, object_id), actor, noun, object_id)
    return _document(_one(tx, noun, object_id, file_id))


def _one(tx: Transaction, noun: Noun, object_id: int, file_id: int) -> Row:
    found = [row for row in files.files_of(tx, noun, object_id) if row["id"] == file_id]
    if not found:
        no_such("file", file_id)
    return found[0]


def _document(row: Row) -> Document:
    noun: Noun = row["noun"]
    return {
        "fileId": row["id"],
        "fileName": row["name"],
        "mimeType": row["mime_type"],
        "fileDataBase64": row["content"],
        ID_FIELDS[noun]: row["object_id"],
    }
