"""What may follow what for things whose status alone decides: purchase orders, shipments, production orders.

The numbers are the interface; texts may differ between installations. A status that does not follow raises Conflict
(`impossible_step`) with the reason, one that does not exist InvalidInput.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dockbell.errors import Conflict, InvalidInput, Problem


def impossible(message: str, hint: str) -> Conflict:
    return Conflict(message, code="impossible_step", hint=hint)


def allows(rule: Callable[..., object], *args: Any, **facts: Any) -> bool:
    """Whether this rule, which raises Conflict for what cannot be, has no objection: what is offered is what is taken."""
    try:
        rule(*args, **facts)
    except Conflict:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Statuses:
    """The statuses of one noun with their texts, and which may follow which."""

    noun: str
    field: str
    texts: Mapping[int, str]
    follow: Mapping[int, tuple[int, ...]]

    def document(self, number: int) -> dict[str, Any]:
        return {"number": int(number), "text": self.texts[number]}

    def documents(self) -> list[dict[str, Any]]:
        return [self.document(number) for number in self.texts]

    def need(self, which: str, status: int, done: str, at: tuple[int, ...]) -> None:
        """Raise unless the status is one of `at`: `which` cannot be `done` now."""
        if status not in at:
            where = " or ".join(f"{each} {self.texts[each]}" for each in at)
            raise impossible(
                f"{which} cannot be {done}: its status is {status} {self.texts[status]}.",
                f"That is possible at status {where}.",
            )

    def need_step(self, which: str, before: int, after: int) -> None:
        if after not in self.texts:
            known = ", ".join(f"{number} {text}" for number, text in self.texts.items())
            message = f"There is no {self.noun} status {after}. Statuses: {known}."
            raise InvalidInput([Problem(self.field, f"{self.noun.replace(' ', '_')}_status", message)])
        follow = self.follow.get(before, ())
        if after not in follow:
            where = " or ".join(f"{each} {self.texts[each]}" for each in follow) or "nothing"
            raise impossible(
                f"{which} cannot be set to {after} {self.texts[after]}: its status is {before} {self.texts[before]}.",
                f"After {before} comes {where}.",
            )


RECEIVED_FROM = 400
"""From this number on a purchase order counts as received, by the documented rule; 400 itself says: not as advised."""
PURCHASE_ORDER = Statuses(
    "purchase order",
    "purchaseOrderStatusNumber",
    {100: "Notified", 200: "Arrival space", 300: "Inbound", 400: "Deviation", 500: "Received", 900: "Cancelled"},
    {100: (200, 300, 400, 500, 900), 200: (300, 400, 500, 900), 300: (400, 500, 900), 400: (500,)},
)
SHIPMENT: Mapping[str, Statuses] = {
    "inbound": Statuses(
        "inbound shipment",
        "shipmentStatusNumber",
        {100: "Notified", 200: "On its way", 300: "Arrived", 400: "Unloaded", 900: "Cancelled"},
        {100: (200, 300, 900), 200: (300, 900), 300: (400,)},
    ),
    "outbound": Statuses(
        "outbound shipment",
        "shipmentStatusNumber",
        {100: "Planned", 200: "Loading", 300: "Loaded", 400: "Departed", 900: "Cancelled"},
        {100: (200, 900), 200: (300, 900), 300: (400,)},
    ),
}
DEPARTED = 400
PRODUCTION_ORDER = Statuses(
    "production order",
    "productionOrderStatusNumber",
    {200: "Open", 300: "Started", 400: "Finished", 900: "Cancelled"},
    {200: (300, 900), 300: (400, 900)},
)
FINISHED = 400
RETURN_ORDER = Statuses(
    "return order", "returnOrderStatusNumber", {100: "Notified", 500: "Returned", 900: "Cancelled"}, {100: (500, 900)}
)


BEFORE_GOODS = (100, 200)
"""A purchase order can be changed as long as nothing has come in."""
OPEN_FOR_GOODS = (100, 200, 300)
CANCELLED = 900


def need_purchase_order_step(which: str, before: int, after: int, received: int) -> None:
    PURCHASE_ORDER.need_step(which, before, after)
    if after == CANCELLED and received:
        raise impossible(f"{which} cannot be cancelled: {received} items came in.", "Finish it instead.")


def is_received(before: int, after: int, received: int) -> bool:
    """Whether the step is the one that makes a purchase order received; cancelling has nothing received."""
    return before < RECEIVED_FROM <= after and received > 0
