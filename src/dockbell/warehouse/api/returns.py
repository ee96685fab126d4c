"""Routes about return orders."""

from typing import Annotated

from fastapi import FastAPI, Query

from dockbell.warehouse.act import Document
from dockbell.warehouse.actions import returns
from dockbell.warehouse.api.desk import API, Acting, Desk, Names, Number, Rows, Wanted, When, add_numbered, asks
from dockbell.warehouse.inputs.goods_in import NewReturnOrder, NewReturnOrderStatus
from dockbell.warehouse.rules.statuses import RETURN_ORDER
from dockbell.warehouse.store import places


class WantedReturnOrders(Wanted):
    number: Names = asks("returnOrderNumbers")
    order_number: Names = asks("customerOrderNumbers")
    returned_from: When | None = asks("goodsReturnedFromDate")
    status_from: Number | None = asks("returnOrderStatusFrom")
    status_to: Number | None = asks("returnOrderStatusTo")
    id_from: Number = asks("returnOrderIdFrom", default=0)
    limit: Rows = asks("maxReturnOrdersToGet", default=100)


def add_routes(app: FastAPI, desk: Desk) -> None:
    @app.get(f"{API}/returnOrders/statuses")
    async def return_order_statuses() -> list[Document]:
        return RETURN_ORDER.documents()

    @app.get(f"{API}/returnOrders/returnCauses")
    async def return_causes() -> list[Document]:
        return places.short(await desk.read(places.kinds, "return cause"))

    @app.get(f"{API}/returnOrders")
    async def list_return_orders(actor: Acting, wanted: Annotated[WantedReturnOrders, Query()]) -> list[Document]:
        return await desk.list(actor, returns.list_return_orders, wanted)

    add_numbered(
        app, desk, f"{API}/returnOrders", "returnOrderId", "return order", NewReturnOrder,
        get=returns.get_return_order, put=returns.put_return_order,
    )  # fmt: skip

    @app.patch(f"{API}/returnOrders/{{returnOrderId}}/returnOrderStatus")
    async def set_return_order_status(actor: Acting, returnOrderId: Number, wanted: NewReturnOrderStatus) -> Document:
        number = wanted.return_order_status_number
        await desk.change(actor, returns.set_return_order_status, returnOrderId, number)
        return {"returnOrderId": returnOrderId, "message": f"The return order's status is {number}."}
