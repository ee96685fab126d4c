"""Whatever happens to stock in whatever order, events, items and sums agree with a model one can see through.

WALK_EXAMPLES and WALK_STEPS make the walk longer than a test run has time for.
"""

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dockbell.errors import Conflict, NotFound
from dockbell.warehouse.actions import articles, inventories, movements, orders, pick_orders, purchase_orders, stock
from dockbell.warehouse.actions.articles import list_items
from dockbell.warehouse.inputs.articles import NewArticle
from dockbell.warehouse.inputs.common import read
from dockbell.warehouse.inputs.floor import NewInventory, NewMovement
from dockbell.warehouse.inputs.goods_in import NewPurchaseOrder, ReceiveStep
from dockbell.warehouse.inputs.orders import ReturnStep
from tests.warehouse.floor import OF_FJORD, OF_TEA, TEA, Floor

EXAMPLES = int(os.environ.get("WALK_EXAMPLES", "6"))
STEPS = int(os.environ.get("WALK_STEPS", "25"))
NUMBERS = itertools.count(1)
SIGNS = {
    "inbound.performed": (1, 0),
    "article.returned": (1, 0),
    "article.picked": (-1, -1),
    "article.allocated": (0, 1),
    "article.deallocated": (0, -1),
}


@pytest.mark.slow
def test_a_random_walk_through_the_warehouse_agrees_with_the_model(floor: Floor):
    class OnThisFloor(StockWalk):
        def __init__(self) -> None:
            super().__init__(floor)

    run_state_machine_as_test(
        OnThisFloor,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, suppress_health_check=list(HealthCheck), deadline=None
        ),
    )


class StockWalk(RuleBasedStateMachine):
    """One new article of Nordic Tea. The model: items on the shelves, how many are aside or locked, and where each order,
    purchase order and movement stands.
    """

    def __init__(self, floor: Floor) -> None:
        super().__init__()
        self.floor = floor
        self.orders: dict[int, dict[str, int]] = {}
        self.purchases: dict[int, dict[str, int]] = {}
        self.gathered: dict[int, list[int]] = {}
        self.movements: dict[int, bool] = {}
        self.started: set[int] = set()
        self.executed: set[int] = set()
        self.told = Counter[str]()
        self.seen = 0

    @initialize()
    def make_the_article(self) -> None:
        self.article = f"WALK-{next(NUMBERS)}"
        fields = {"goodsOwnerId": TEA, "articleNumber": self.article, "articleName": "Walked"}
        self.floor.do(articles.put_article, read(NewArticle, fields), actor=OF_TEA)
        self.shelf = self.aside = self.locked = 0
        self.summed = 0, 0
        self.seen = max(event["id"] for event in self.floor.events())
        self.sums = Counter[str]()

    def items(self) -> list[dict[str, Any]]:
        found = self.floor.read(lambda tx: list_items(tx, OF_TEA, TEA, number=self.article))
        return list(found[0]["items"]) if found else []

    @property
    def free(self) -> int:
        return int(self.shelf - self.aside - self.locked)

    def attempt(self, possible: bool, step: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """The step's answer, or None when it was refused; it is refused exactly when it is not possible."""
        answer, refusal = None, None
        try:
            answer = self.floor.do(step, *args, actor=OF_TEA, **options)
        except Conflict as conflict:
            refusal = conflict.code
        assert refusal == (None if possible else "impossible_step"), f"{step.__name__} {args}"
        return possible and (answer if answer is not None else True)

    # --- Orders ------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 40))
    def order(self, count: int) -> None:
        line = {"rowNumber": "1", "articleNumber": self.article, "numberOfItems": count}
        number = self.floor.create(OF_TEA, orderNumber=f"stock-walk-{next(NUMBERS)}", orderLines=[line])
        self.orders[number] = {"status": 200, "ordered": count, "allocated": 0, "picked": 0, "packed": 0, "returned": 0}
        self.told["order.created"] += 1

    def some_order(self, data: st.DataObject) -> tuple[int, dict[str, int]]:
        number = data.draw(st.sampled_from(sorted(self.orders)))
        return number, self.orders[number]

    def reach(self, number: int, status: int) -> None:
        order = self.orders[number]
        if order["status"] != status:
            self.told["order.status-changed"] += 1
            if order["status"] < 400 <= status and order["picked"]:
                self.told["order.picked"] += 1
            order["status"] = status
            if status < 320 or status == 1000:
                self.gathered = {key: [o for o in ids if o != number] for key, ids in self.gathered.items()}

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def allocate(self, data: st.DataObject) -> None:
        number, order = self.some_order(data)
        possible = order["status"] in (200, 300) and order["ordered"] <= self.free
        if self.attempt(possible, orders.allocate_order, number):
            order["allocated"] = order["ordered"]
            self.aside += order["ordered"]
            self.reach(number, 320)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), count=st.integers(1, 40))
    def deallocate(self, data: st.DataObject, count: int) -> None:
        number, order = self.some_order(data)
        possible = order["status"] == 320 and count <= order["allocated"] - order["picked"]
        if self.attempt(possible, orders.deallocate_order, number, quantities={"1": count}):
            order["allocated"] -= count
            self.aside -= count
            if order["allocated"] == order["picked"]:
                self.reach(number, 400 if order["picked"] else 300)

    def picked(self, number: int, count: int) -> None:
        order = self.orders[number]
        order["picked"] += count
        self.shelf -= count
        self.aside -= count
        if order["picked"] == order["allocated"]:
            self.reach(number, 400)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), count=st.integers(1, 40))
    def pick(self, data: st.DataObject, count: int) -> None:
        number, order = self.some_order(data)
        possible = order["status"] == 320 and count <= order["allocated"] - order["picked"]
        if self.attempt(possible, orders.pick_order, number, quantities={"1": count}):
            self.picked(number, count)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), count=st.integers(1, 40))
    def pack(self, data: st.DataObject, count: int) -> None:
        number, order = self.some_order(data)
        possible = order["status"] == 400 and count <= order["picked"] - order["packed"]
        if self.attempt(possible, orders.pack_order, number, quantities={"1": count}, parcel_number=f"P-{number}"):
            order["packed"] += count

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        number, order = self.some_order(data)
        if self.attempt(order["status"] == 400 and order["picked"] > 0, orders.send_order, number):
            self.told["pallet-item.closed"] += order["packed"] > 0
            self.reach(number, 450)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def collect(self, data: st.DataObject) -> None:
        number, order = self.some_order(data)
        if self.attempt(order["status"] == 450, orders.collect_order, number):
            self.reach(number, 500)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number, order = self.some_order(data)
        possible = order["status"] in (200, 300, 320, 400) and not order["picked"]
        if self.attempt(possible, orders.cancel_order, number):
            self.aside -= order["allocated"]
            order["allocated"] = 0
            self.reach(number, 1000)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), count=st.integers(1, 40), good=st.booleans())
    def take_back(self, data: st.DataObject, count: int, good: bool) -> None:
        number, order = self.some_order(data)
        line = {"rowNumber": "1", "numberOfItems": count, "locationId": 313}
        line["articleItemStatusCode"] = "OK" if good else "QUAR"
        back = read(ReturnStep, {"lines": [line]}).lines
        possible = order["status"] in (450, 500) and count <= order["picked"] - order["returned"]
        if self.attempt(possible, orders.take_back_order, number, back):
            order["returned"] += count
            self.shelf += count
            self.locked += 0 if good else count
            if order["returned"] == order["picked"]:
                self.reach(number, 475)

    # --- Pick orders -------------------------------------------------------------------------------------

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def gather(self, data: st.DataObject) -> None:
        number, order = self.some_order(data)
        taken = any(number in ids for ids in self.gathered.values())
        if made := self.attempt(order["status"] == 320 and not taken, pick_orders.create_pick_order, [number]):
            self.gathered[made] = [number]
            self.told["pick-order.created"] += 1

    @precondition(lambda self: self.gathered)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.gathered)))
        if self.attempt(number not in self.started, pick_orders.start_pick_order, number):
            self.started.add(number)
            self.told["pick-order.started"] += 1

    @precondition(lambda self: self.gathered)
    @rule(data=st.data())
    def execute(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.gathered)))
        possible = number in self.started and number not in self.executed
        if self.attempt(possible, pick_orders.execute_pick_order, number):
            self.executed.add(number)
            self.told["pick-order.executed"] += 1
            for each in self.gathered[number]:
                order = self.orders[each]
                if order["status"] == 320:
                    self.picked(each, order["allocated"] - order["picked"])

    # --- Goods in ----------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 60))
    def purchase(self, count: int) -> None:
        line = {"rowNumber": "1", "articleNumber": self.article, "numberOfItems": count}
        document = {
            "goodsOwnerId": TEA,
            "purchaseOrderNumber": f"stock-walk-{next(NUMBERS)}",
            "purchaseOrderLines": [line],
        }
        number, _ = self.floor.do(purchase_orders.put_purchase_order, read(NewPurchaseOrder, document), actor=OF_TEA)
        self.purchases[number] = {"status": 100, "advised": count, "received": 0}
        self.told["purchase-order.created"] += 1
        self.told["purchase-order-line.created"] += 1

    def arrive(self, purchase: dict[str, int], status: int) -> None:
        if purchase["status"] != status:
            self.told["purchase-order.status-changed"] += 1
            if purchase["status"] < 400 <= status and purchase["received"]:
                self.told["purchase-order.received"] += 1
            purchase["status"] = status

    @precondition(lambda self: self.purchases)
    @rule(data=st.data(), count=st.integers(1, 60))
    def receive(self, data: st.DataObject, count: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.purchases)))
        purchase = self.purchases[number]
        line = {"rowNumber": "1", "numberOfItems": count, "locationId": 312}
        came = read(ReceiveStep, {"lines": [line]}).lines
        if self.attempt(purchase["status"] <= 300, purchase_orders.receive, number, came):
            self.arrive(purchase, 300)
            purchase["received"] += count
            self.shelf += count

    @precondition(lambda self: self.purchases)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.purchases)))
        purchase = self.purchases[number]
        if self.attempt(purchase["status"] <= 300, purchase_orders.finish, number):
            self.arrive(purchase, 500 if purchase["received"] == purchase["advised"] else 400)

    # --- On the shelves ----------------------------------------------------------------------------------

    def some_item(self, data: st.DataObject) -> dict[str, Any] | None:
        found = self.items()
        return found[data.draw(st.integers(0, len(found) - 1))] if found else None

    @rule(data=st.data(), to=st.sampled_from([311, 312, 313]), count=st.integers(1, 60))
    def move(self, data: st.DataObject, to: int, count: int) -> None:
        if item := self.some_item(data):
            here = {311: "A15", 312: "A16", 313: "A17"}[to] == item["location"]
            possible = not here and count <= item["numberOfItems"]
            if self.attempt(possible, stock.move_item, item["articleItemId"], to, number_of_items=count):
                self.told["move.performed"] += 1

    @rule(data=st.data(), code=st.sampled_from(["OK", "QUAR"]))
    def change_status(self, data: st.DataObject, code: str) -> None:
        if item := self.some_item(data):
            possible = not item["isAllocated"]
            if self.attempt(possible, stock.set_item_status, item["articleItemId"], code):
                changed = item["status"]["code"] != code
                self.told["article-item.status-changed"] += changed
                self.locked += changed * item["numberOfItems"] * (1 if code == "QUAR" else -1)

    @rule(data=st.data(), count=st.integers(-60, 20))
    def adjust(self, data: st.DataObject, count: int) -> None:
        if item := self.some_item(data):
            adjustment = {"articleItemId": item["articleItemId"], "numberOfItems": count}
            new = read(NewInventory, {"goodsOwnerId": TEA, "adjustments": [adjustment]})
            possible = not item["isAllocated"] and item["numberOfItems"] + count >= 0
            if self.attempt(possible, inventories.adjust, new):
                self.shelf += count
                self.locked += count if item["isLocked"] else 0
                self.told["inventory.performed"] += count != 0

    @rule(data=st.data(), to=st.sampled_from([311, 312, 313]))
    def order_move(self, data: st.DataObject, to: int) -> None:
        if item := self.some_item(data):
            here = {311: "A15", 312: "A16", 313: "A17"}[to] == item["location"]
            new = read(NewMovement, {"articleItemId": item["articleItemId"], "toLocationId": to})
            if made := self.attempt(not here, movements.create_movement, "movement order", new):
                self.movements[made] = False
                self.told["movement-order.created"] += 1

    @precondition(lambda self: self.movements)
    @rule(data=st.data())
    def drop_move(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.movements)))
        self.floor.do(movements.delete_movement, "movement order", number, actor=OF_TEA)
        self.told["movement-order.deleted"] += 1
        del self.movements[number]

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def another_goods_owner_tries(self, data: st.DataObject) -> None:
        number, _ = self.some_order(data)
        for step in (orders.allocate_order, orders.deallocate_order, orders.cancel_order):
            with pytest.raises(NotFound):
                self.floor.do(step, number, actor=OF_FJORD)

    # --- What must hold ----------------------------------------------------------------------------------

    @invariant()
    def sums_items_and_model_agree(self) -> None:
        found = self.items()
        of_items = (
            sum(item["numberOfItems"] for item in found),
            sum(item["numberOfItems"] for item in found if item["isAllocated"]),
        )
        assert self.floor.stock(self.article) == of_items == (self.shelf, self.aside)
        assert sum(item["numberOfItems"] for item in found if item["isLocked"]) == self.locked

    @invariant()
    def events_are_what_the_model_did(self) -> None:
        sql = "SELECT id, event_type, data FROM events WHERE id > :seen ORDER BY id"
        for row in self.floor.read(lambda tx: tx.all(sql, seen=self.seen)):
            self.seen = int(row["id"])
            self.sums[row["event_type"]] += 1
            self.book(row["event_type"], row["data"])
        counted = {key: count for key, count in self.sums.items() if key not in SIGNS}
        assert counted == {key: count for key, count in self.told.items() if count}
        assert self.summed == (self.shelf, self.aside), "what events add up to, and the model"

    def book(self, event_type: str, text: str) -> None:
        data = json.loads(text)
        if event_type == "inventory.performed":
            change = int(data["transaction"]["transactionNumberOfItems"]), 0
        elif event_type in SIGNS:
            count = int(data["articleItem"]["numberOfItems"])
            change = SIGNS[event_type][0] * count, SIGNS[event_type][1] * count
        else:
            return
        self.summed = self.summed[0] + change[0], self.summed[1] + change[1]
