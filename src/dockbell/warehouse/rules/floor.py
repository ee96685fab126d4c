"""What may be done with work on the floor and with what lies there; each rule raises Conflict (`impossible_step`) with the reason."""

from dockbell.warehouse.rules.statuses import impossible

ON_SHELF = ("free", "allocated")
FREE = ("free",)
COUNTABLE = ("free", "gone")
"""What is gone may be found again."""


def need_to_start(pick_order_id: int, *, is_started: bool) -> None:
    if is_started:
        raise impossible(f"Pick order {pick_order_id} cannot be started: it has begun already.", "Execute it.")


def need_to_execute(pick_order_id: int, *, is_started: bool, is_executed: bool) -> None:
    if not is_started:
        raise impossible(f"Pick order {pick_order_id} cannot be executed: nobody has started it.", "Start it first.")
    if is_executed:
        raise impossible(f"Pick order {pick_order_id} cannot be executed: that is done already.", "Nothing to do.")


def need_open_movement(noun: str, movement_id: int, done: str, *, is_executed: bool) -> None:
    if is_executed:
        raise impossible(f"The {noun} {movement_id} cannot be {done}: it is executed already.", "Order a new one.")


def need_open_pallet(label: str, *, is_closed: bool) -> None:
    if is_closed:
        raise impossible(f"Pallet item {label} is closed: nothing more goes into it.", "Use another one.")


def need_on_shelf(item_id: int, done: str, state: str, states: tuple[str, ...] = ON_SHELF) -> None:
    if state not in states:
        raise impossible(
            f"Article item {item_id} cannot be {done}: it is {state}.",
            f"That is possible while it is {' or '.join(states)}.",
        )


def need_unused(number: str, *, items: int, uses: int) -> None:
    if items:
        raise impossible(
            f"Article {number} cannot be deleted: {items} items lie in stock.",
            "Take them out with an inventory adjustment first.",
        )
    if uses:
        raise impossible(
            f"Article {number} cannot be deleted: {uses} lines of open orders or purchase orders have it.",
            "Finish or cancel those first.",
        )
