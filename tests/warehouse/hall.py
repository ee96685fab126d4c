"""Short words for what tests do over the warehouse's API, and what it looked like afterwards."""

from typing import Any

from tests.warehouse.caller import Caller
from tests.warehouse.floor import TEA, Floor, an_order
from tests.warehouse.told import Told

OMAR = {"byUser": {"userId": 162}, "byComputer": {"computerId": 7}}
DOERS = {"byUser": {"userId": 162}, "byComputer": {"computerId": 7, "computerName": "PACK-03"}}
"""As Omar's steps are told: the computer's name is the warehouse's own."""
NOBODY = {"byUser": None, "byComputer": None}
FLOOR = "/api/v1/warehouse"


class Hall:
    def __init__(self, floor: Floor, call: Caller) -> None:
        self.floor = floor
        self.call = call

    def listen(self) -> Told:
        return Told(self.floor)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's body; the request must succeed."""
        self.floor.clock.advance(1_000_000)
        answer = await self.call(method, path, body)
        assert answer.status == 200, (method, path, answer.status, answer.body)
        return answer.body

    async def get(self, path: str) -> Any:
        return await self.ask("GET", path)

    async def put(self, path: str, body: Any) -> Any:
        return await self.ask("PUT", path, body)

    async def patch(self, path: str, body: Any) -> Any:
        return await self.ask("PATCH", path, body)

    async def do(self, path: str, **body: Any) -> Any:
        """A step of the floor by Omar."""
        return await self.ask("POST", f"{FLOOR}/{path}", {**OMAR, **body})

    async def order(self, *steps: str, **fields: Any) -> int:
        """A new order of Nordic Tea's, with these steps taken."""
        made = await self.put("/api/v1/orders", an_order(**fields))
        for step in steps:
            await self.do(f"orders/{made['orderId']}/{step}")
        return int(made["orderId"])

    async def purchase_order(self, *rows: tuple[str, int], **fields: Any) -> int:
        lines = [
            {"rowNumber": str(row), "articleNumber": article, "numberOfItems": count}
            for row, (article, count) in enumerate(rows or (("TEA-001", 10),), 1)
        ]
        document = {
            "goodsOwnerId": TEA,
            "purchaseOrderNumber": "PO-1",
            "purchaseOrderLines": lines,
            **fields,
        }
        return int((await self.put("/api/v1/purchaseOrders", document))["purchaseOrderId"])

    async def receive(self, purchase_order_id: int, row: str, count: int, **fields: Any) -> Any:
        line = {"rowNumber": row, "numberOfItems": count, **fields}
        return await self.do(f"purchaseOrders/{purchase_order_id}/receive", lines=[line])

    async def items(self, number: str) -> list[dict[str, Any]]:
        """The article's items on the shelves."""
        found = await self.get(f"/api/v1/articleItems?goodsOwnerId={TEA}&articleNumber={number}")
        return list(found[0]["items"]) if found else []

    async def item(self, number: str) -> dict[str, Any]:
        """The newest of them."""
        return (await self.items(number))[-1]

    async def article_id(self, number: str) -> int:
        [article] = await self.get(f"/api/v1/articles?goodsOwnerId={TEA}&articleNumber={number}")
        return int(article["articleSystemId"])
