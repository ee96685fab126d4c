"""Routes about return orders."""

from typing import Annotated

from fastapi import FastAPI, Query

from dockbell.warehouse.act import Document
from dockbell.warehouse.actions import returns
from dockbell.warehouse.api.desk import API, Acting, Desk, Names, Number, Rows, asked, moments, said
from dockbell.warehouse.inputs.common import LARGEST_ID, Incoming
from dockbell.warehouse.inputs.goods_in import NewReturnOrder, NewReturnOrderStatus
from dockbell.warehouse.rules.statuses import RETURN_ORDER
from dockbell.warehouse.store import places


class WantedReturnOrders(Incoming):
    goods_owner_id: Number
    return_order_numbers: Names = None
    customer_order_numbers: Names = None
    goods_returned_from_date: str | None = None
    return_order_status_from: Number = 0
    return_order_status_to: Number = LARGEST_ID
    return_order_id_from: Number = 0
    max_return_orders_to_get: Rows = 100


def add_routes(app: FastAPI, desk: Desk) -> None:
    @app.get(f"{API}/returnOrders/statuses")
    async def return_order_statuses() -> list[Document]:
        return RETURN_ORDER.documents()

    @app.get(f"{API}/returnOrders/returnCauses")
    async def return_causes() -> list[Document]:
        rows = await desk.read(places.kinds, "return cause")
        return [{"id": row["id"], "code": row["code"], "name": row["name"]} for row in rows.values()]

    @app.get(f"{API}/returnOrders")
    async def list_return_orders(actor: Acting, wanted: Annotated[WantedReturnOrders, Query()]) -> list[Document]:
        times = moments(goodsReturnedFromDate=wanted.goods_returned_from_date)
        return await desk.look(
            actor,
            returns.list_return_orders,
            wanted.goods_owner_id,
            number=wanted.return_order_numbers,
            order_number=wanted.customer_order_numbers,
            status_from=wanted.return_order_status_from,
            status_to=wanted.return_order_status_to,
            id_from=wanted.return_order_id_from,
            limit=wanted.max_return_orders_to_get,
            **asked(returned_from=times.get("goodsReturnedFromDate")),
        )

    @app.get(f"{API}/returnOrders/{{returnOrderId}}")
    async def get_return_order(actor: Acting, returnOrderId: Number) -> Document:
        return await desk.look(actor, returns.get_return_order, returnOrderId)

    @app.put(f"{API}/returnOrders")
    async def put_return_order(actor: Acting, new: NewReturnOrder) -> Document:
        return_order_id, is_new = await desk.change(actor, returns.put_return_order, new)
        return {"returnOrderId": return_order_id, "message": said("return order", is_new=is_new)}

    @app.patch(f"{API}/returnOrders/{{returnOrderId}}/returnOrderStatus")
    async def set_return_order_status(actor: Acting, returnOrderId: Number, wanted: NewReturnOrderStatus) -> Document:
        number = wanted.return_order_status_number
        await desk.change(actor, returns.set_return_order_status, returnOrderId, number)
        return {"returnOrderId": returnOrderId, "message": f"The return order's status is {number}."}
