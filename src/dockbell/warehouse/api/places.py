"""Routes about what everything refers to: warehouses, locations, transporters, people. It is the same for every key."""

from typing import Any

from fastapi import FastAPI

from dockbell.store.database import Transaction
from dockbell.warehouse.act import Document, no_such
from dockbell.warehouse.api.desk import API, FLOOR, Desk, Number
from dockbell.warehouse.store import places


def add_routes(app: FastAPI, desk: Desk) -> None:
    @app.get(f"{API}/warehouses")
    async def list_warehouses() -> list[Document]:
        return [dict(row) for row in (await desk.read(places.warehouses)).values()]

    @app.get(f"{API}/warehouses/locations/types")
    async def location_types() -> list[Document]:
        return places.short(await desk.read(places.kinds, "location type"))

    @app.get(f"{API}/warehouses/{{warehouseId}}/zones")
    async def list_zones(warehouseId: Number) -> list[Document]:
        rows = await desk.read(_locations, warehouseId)
        return [{"zoneName": zone} for zone in dict.fromkeys(row["zone"] for row in rows)]

    @app.get(f"{API}/warehouses/{{warehouseId}}/locations")
    async def list_locations(warehouseId: Number) -> list[Document]:
        return [
            {
                "locationId": row["id"],
                "locationName": row["name"],
                "locationTypeId": row["type_id"],
                "aisleName": row["aisle"],
                "zoneName": row["zone"],
                "isLocked": bool(row["is_locked"]),
                "isLockedForSale": bool(row["is_locked_for_sale"]),
            }
            for row in await desk.read(_locations, warehouseId)
        ]

    @app.get(f"{API}/transporterContracts")
    async def list_transporters() -> list[Document]:
        rows = await desk.read(places.transporters)
        return [{"transporterCode": row["code"], "transporterName": row["name"]} for row in rows.values()]

    @app.get(f"{API}/parcelTypes")
    async def parcel_types() -> list[Document]:
        return places.short(await desk.read(places.kinds, "pallet type"))

    @app.get(f"{FLOOR}/users")
    async def list_users() -> list[Document]:
        return [{"userId": row["id"], "userName": row["name"]} for row in await desk.read(places.users)]

    @app.get(f"{FLOOR}/computers")
    async def list_computers() -> list[Document]:
        return [{"computerId": row["id"], "computerName": row["name"]} for row in await desk.read(places.computers)]


def _locations(tx: Transaction, warehouse_id: int) -> list[Any]:
    if warehouse_id not in {row["id"] for row in places.warehouses(tx).values()}:
        no_such("warehouse", warehouse_id)
    return list(places.locations_of(tx, warehouse_id))
