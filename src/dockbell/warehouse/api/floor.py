"""Routes of the floor that the documented API has not: pick orders, movements, pallet items."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import FastAPI, Query

from dockbell.warehouse.act import Document
from dockbell.warehouse.actions import movements, pallets, pick_orders
from dockbell.warehouse.actions.movements import Noun
from dockbell.warehouse.api.desk import FLOOR, Acting, Desk, Number, Rows, Wanted, asks
from dockbell.warehouse.inputs.common import Name, Step
from dockbell.warehouse.inputs.floor import MovementChange, NewMovement, NewPalletItem, NewPickOrder

MOVEMENTS: Mapping[str, Noun] = {
    "movementOrders": "movement order",
    "movementPalletItems": "movement pallet item",
}


class WantedRows(Wanted):
    id_from: Number = 0
    limit: Rows = asks("maxToGet", default=100)


class WantedPalletItems(WantedRows):
    label: Name | None = asks("labelId")


def add_routes(app: FastAPI, desk: Desk) -> None:
    _add_pick_orders(app, desk)
    for resource, noun in MOVEMENTS.items():
        _add_movements(app, desk, f"{FLOOR}/{resource}", noun)
    _add_pallet_items(app, desk)


def _add_pick_orders(app: FastAPI, desk: Desk) -> None:
    one = f"{FLOOR}/pickOrders/{{pickOrderId}}"

    @app.get(f"{FLOOR}/pickOrders")
    async def list_pick_orders(actor: Acting, wanted: Annotated[WantedRows, Query()]) -> list[Document]:
        return await desk.list(actor, pick_orders.list_pick_orders, wanted)

    @app.get(one)
    async def get_pick_order(actor: Acting, pickOrderId: Number) -> Document:
        return await desk.look(actor, pick_orders.get_pick_order, pickOrderId)

    @app.post(f"{FLOOR}/pickOrders")
    async def create_pick_order(actor: Acting, new: NewPickOrder) -> Document:
        return {"pickOrderId": await desk.change(actor, pick_orders.create_pick_order, new.order_ids, by=new)}

    @app.post(f"{one}/start")
    async def start_pick_order(actor: Acting, pickOrderId: Number, step: Step | None = None) -> Document:
        return await desk.change(actor, pick_orders.start_pick_order, pickOrderId, by=step or Step())

    @app.post(f"{one}/execute")
    async def execute_pick_order(actor: Acting, pickOrderId: Number, step: Step | None = None) -> Document:
        return await desk.change(actor, pick_orders.execute_pick_order, pickOrderId, by=step or Step())


def _add_movements(app: FastAPI, desk: Desk, base: str, noun: Noun) -> None:
    """The same routes for both nouns."""
    one = f"{base}/{{movementId}}"

    @app.get(base)
    async def list_movements(actor: Acting, wanted: Annotated[WantedRows, Query()]) -> list[Document]:
        return await desk.look(actor, movements.list_movements, noun, wanted.goods_owner_id, **wanted.asked())

    @app.get(one)
    async def get_movement(actor: Acting, movementId: Number) -> Document:
        return await desk.look(actor, movements.get_movement, noun, movementId)

    @app.post(base)
    async def create_movement(actor: Acting, new: NewMovement) -> Document:
        return {"movementId": await desk.change(actor, movements.create_movement, noun, new, by=new)}

    @app.patch(one)
    async def change_movement(actor: Acting, movementId: Number, change: MovementChange) -> Document:
        return await desk.change(actor, movements.change_movement, noun, movementId, change, by=change)

    @app.post(f"{one}/execute")
    async def execute_movement(actor: Acting, movementId: Number, step: Step | None = None) -> Document:
        return await desk.change(actor, movements.execute_movement, noun, movementId, by=step or Step())

    @app.delete(one)
    async def delete_movement(actor: Acting, movementId: Number, step: Step | None = None) -> Document:
        await desk.change(actor, movements.delete_movement, noun, movementId, by=step or Step())
        return {"movementId": movementId, "message": f"The {noun} was deleted."}


def _add_pallet_items(app: FastAPI, desk: Desk) -> None:
    one = f"{FLOOR}/palletItems/{{palletItemId}}"

    @app.get(f"{FLOOR}/palletItems")
    async def list_pallet_items(actor: Acting, wanted: Annotated[WantedPalletItems, Query()]) -> list[Document]:
        return await desk.list(actor, pallets.list_pallet_items, wanted)

    @app.get(one)
    async def get_pallet_item(actor: Acting, palletItemId: Number) -> Document:
        return await desk.look(actor, pallets.get_pallet_item, palletItemId)

    @app.post(f"{FLOOR}/palletItems")
    async def create_pallet_item(actor: Acting, new: NewPalletItem) -> Document:
        return {"palletItemId": await desk.change(actor, pallets.create_pallet_item, new, by=new)}

    @app.post(f"{one}/close")
    async def close_pallet_item(actor: Acting, palletItemId: Number, step: Step | None = None) -> Document:
        return await desk.change(actor, pallets.close_pallet_item, palletItemId, by=step or Step())
