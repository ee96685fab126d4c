"""Routes about files: the same four for each noun that can have any."""

from collections.abc import Mapping

from fastapi import FastAPI

from dockbell.warehouse.act import Document
from dockbell.warehouse.actions import files
from dockbell.warehouse.actions.files import Noun
from dockbell.warehouse.api.desk import API, Acting, Desk, Number, said
from dockbell.warehouse.inputs.floor import NewFile

NOUNS: Mapping[str, Noun] = {
    "orders": "order",
    "purchaseOrders": "purchase order",
    "shipments": "shipment",
    "articles": "article",
}


def add_routes(app: FastAPI, desk: Desk) -> None:
    for resource, noun in NOUNS.items():
        _add_files(app, desk, f"{API}/{resource}/{{objectId}}/files", noun)


def _add_files(app: FastAPI, desk: Desk, base: str, noun: Noun) -> None:
    @app.get(base)
    async def list_files(actor: Acting, objectId: Number) -> list[Document]:
        return await desk.look(actor, files.list_files, noun, objectId)

    @app.get(f"{base}/{{fileId}}")
    async def get_file(actor: Acting, objectId: Number, fileId: Number) -> Document:
        return await desk.look(actor, files.get_file, noun, objectId, fileId)

    @app.put(base)
    async def put_file(actor: Acting, objectId: Number, new: NewFile) -> Document:
        file_id, is_new = await desk.change(actor, files.put_file, noun, objectId, new)
        return {"fileId": file_id, "message": said("file", is_new=is_new)}

    @app.delete(f"{base}/{{fileId}}")
    async def delete_file(actor: Acting, objectId: Number, fileId: Number) -> Document:
        await desk.change(actor, files.delete_file, noun, objectId, fileId)
        return {"fileId": fileId, "message": "The file was deleted."}
