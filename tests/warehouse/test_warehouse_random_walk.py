"""Whatever people do in whatever order: the warehouse agrees with a model small enough to be seen through at a glance."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from dockbell.errors import Conflict, NotFound
from dockbell.warehouse.actions import orders
from tests.warehouse.floor import OF_FJORD, OF_TEA, Floor

ORDERED = {"1": 2, "2": 1}
NUMBERS = itertools.count(1)


@pytest.mark.slow
def test_a_random_walk_agrees_with_the_tiny_model(floor: Floor):
    class OnThisFloor(Walk):
        def __init__(self) -> None:
            super().__init__(floor)

    run_state_machine_as_test(OnThisFloor, settings=settings(max_examples=12, stateful_step_count=20))


class Walk(RuleBasedStateMachine):
    """One order of Nordic Tea. The model: its status, what was picked of each row, and the events it must have made."""

    def __init__(self, floor: Floor) -> None:
        super().__init__()
        self.floor = floor

    @initialize()
    def create(self) -> None:
        lines = [
            {"rowNumber": row, "articleNumber": f"TEA-00{row}", "numberOfItems": items}
            for row, items in ORDERED.items()
        ]
        self.order_id = self.floor.create(orderNumber=f"walk-{next(NUMBERS)}", orderLines=lines)
        self.status = 200
        self.picked = {"1": 0, "2": 0}
        self.packed = 0
        self.events = ["order.created"]
        self.shelves = {row: self.floor.stock(f"TEA-00{row}") for row in ORDERED}

    def attempt(self, possible: bool, step: Callable[..., Any], *args: Any, **options: Any) -> bool:
        try:
            self.floor.do(step, self.order_id, *args, actor=OF_TEA, **options)
        except Conflict as conflict:
            refusal: str | None = conflict.code
        else:
            refusal = None
        assert refusal == (None if possible else "impossible_step")
        return possible

    def reach(self, status: int) -> None:
        if status != self.status:
            left, self.status = self.status, status
            self.events.append("order.status-changed")
            if left < 400 <= status and any(self.picked.values()):
                self.events.append("order.picked")

    @rule()
    def allocate(self) -> None:
        if self.attempt(self.status in (200, 300), orders.allocate_order):
            self.reach(320)

    @rule(one=st.integers(0, 3), two=st.integers(0, 2))
    def pick(self, one: int, two: int) -> None:
        wanted = {row: count for row, count in (("1", one), ("2", two)) if count}
        left = {row: ORDERED[row] - self.picked[row] for row in ORDERED}
        possible = self.status == 320 and bool(wanted) and all(count <= left[row] for row, count in wanted.items())
        if self.attempt(possible, orders.pick_order, quantities=wanted):
            for row, count in wanted.items():
                self.picked[row] += count
            if self.picked == ORDERED:
                self.reach(400)

    @rule()
    def pack(self) -> None:
        picked = sum(self.picked.values())
        if self.attempt(self.status == 400 and self.packed < picked, orders.pack_order):
            self.packed = picked

    @rule()
    def send(self) -> None:
        if self.attempt(self.status == 400 and any(self.picked.values()), orders.send_order):
            self.reach(450)

    @rule()
    def collect(self) -> None:
        if self.attempt(self.status == 450, orders.collect_order):
            self.reach(500)

    @rule()
    def cancel(self) -> None:
        possible = self.status in (200, 300, 320, 400) and not any(self.picked.values())
        if self.attempt(possible, orders.cancel_order):
            self.reach(1000)

    @rule(number=st.sampled_from([200, 300, 320, 400]))
    def patch(self, number: int) -> None:
        possible = number == self.status or (self.status, number) in {(200, 300), (300, 200), (320, 400)}
        if self.attempt(possible, orders.set_order_status, number):
            self.reach(number)

    @rule(name=st.sampled_from(["allocate", "pick", "pack", "send", "collect", "cancel"]))
    def another_goods_owner_tries(self, name: str) -> None:
        with pytest.raises(NotFound):
            self.floor.do(getattr(orders, f"{name}_order"), self.order_id, actor=OF_FJORD)

    @invariant()
    def both_agree(self) -> None:
        order = self.floor.order(self.order_id, OF_TEA)
        assert order["orderInfo"]["orderStatus"]["number"] == self.status
        assert {line["rowNumber"]: line["pickedNumberOfItems"] for line in order["orderLines"]} == self.picked
        assert sum(line["packedNumberOfItems"] for line in order["orderLines"]) == self.packed
        assert self.floor.types(self.order_id) == self.events
        for row, ordered in ORDERED.items():
            items, aside = self.shelves[row]
            waits = ordered - self.picked[row] if self.status == 320 else 0
            assert self.floor.stock(f"TEA-00{row}") == (items - self.picked[row], aside + waits)
