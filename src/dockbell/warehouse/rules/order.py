"""What may follow what in the warehouse, and what of it is worth an event.

Pure: an order goes in, the order after the step comes out.

    200 Open <-> 300 Released
         |               |
         +-- allocate ---+--> 320 Allocated -- pick --> 400 Picked -- send --> 450 Sent -- collect --> 500 Collected
    cancel, as long as nothing was picked: 1000 Cancelled
    deallocate before all is picked: back to 300, or on to 400 with what was picked
    take back what was sent or collected: 475 Returned, once everything is back

Of each line, always: 0 <= packed <= picked <= allocated <= ordered, and 0 <= returned <= picked. A step that does not fit raises Conflict
(`impossible_step`) with the reason; quantities for rows that are not there raise InvalidInput, all at once.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal

from dockbell.errors import InvalidInput, Problem
from dockbell.warehouse.rules.statuses import allows, impossible

Quantities = Mapping[str, int]
"""Items by row number."""


class Status(IntEnum):
    """The numbers are the interface; texts may differ between installations."""

    OPEN = 200
    RELEASED = 300
    ALLOCATED = 320
    PICKED = 400
    SENT = 450
    RETURNED = 475
    COLLECTED = 500
    CANCELLED = 1000

    @property
    def text(self) -> str:
        return self.name.capitalize()


@dataclass(frozen=True, slots=True)
class Line:
    id: int
    row_number: str
    article_id: int
    ordered: int
    allocated: int = 0
    """Set aside for the line, what was picked of it included."""
    picked: int = 0
    packed: int = 0
    returned: int = 0
    """Came back after it was sent."""


@dataclass(frozen=True, slots=True)
class Order:
    """As much of an order as decides what may happen to it."""

    number: str
    status: Status
    lines: tuple[Line, ...]

    @property
    def picked(self) -> int:
        return sum(line.picked for line in self.lines)


# --- Steps -------------------------------------------------------------------------------------------

NOT_STARTED = (Status.OPEN, Status.RELEASED)


def need_changeable(order: Order) -> None:
    """What was ordered can be changed only before the warehouse has started on it."""
    _need(order, "changed", NOT_STARTED)


def release(order: Order) -> Order:
    _need(order, "released", (Status.OPEN,))
    return replace(order, status=Status.RELEASED)


def reopen(order: Order) -> Order:
    _need(order, "opened again", (Status.RELEASED,))
    return replace(order, status=Status.OPEN)


def allocate(order: Order, free: Mapping[int, int]) -> Order:
    """Set everything ordered aside, or nothing. `free` is what nobody else has, by article id."""
    _need(order, "allocated", NOT_STARTED)
    wanted: dict[int, int] = {}
    short = []
    for line in order.lines:
        before = wanted.get(line.article_id, 0)
        wanted[line.article_id] = before + line.ordered
        left = max(0, free.get(line.article_id, 0) - before)
        if line.ordered > left:
            short.append(f"row {line.row_number} needs {line.ordered} items and {left} are free")
    if short:
        raise impossible(
            f"Order {order.number} cannot be allocated: {'; '.join(short)}.", "Wait for goods, or order fewer items."
        )
    lines = tuple(replace(line, allocated=line.ordered) for line in order.lines)
    return replace(order, status=Status.ALLOCATED, lines=lines)


def pick(order: Order, quantities: Quantities | None = None) -> Order:
    """Take items for the order, all that are left without `quantities`; it is Picked when nothing is left to pick."""
    _need(order, "picked", (Status.ALLOCATED,))
    taken = _chosen(order, quantities, "pick", lambda line: line.allocated - line.picked)
    lines = tuple(replace(line, picked=line.picked + taken.get(line.row_number, 0)) for line in order.lines)
    done = all(line.picked == line.allocated for line in lines)
    return replace(order, status=Status.PICKED if done else order.status, lines=lines)


def end_picking(order: Order) -> Order:
    """Picked with what there is, possibly nothing: what was set aside and not taken is given back."""
    _need(order, "declared picked", (Status.ALLOCATED,))
    lines = tuple(replace(line, allocated=line.picked) for line in order.lines)
    return replace(order, status=Status.PICKED, lines=lines)


def deallocate(order: Order, quantities: Quantities | None = None) -> Order:
    """Set items free that were set aside and not picked, all of them without `quantities`."""
    _need(order, "deallocated", (Status.ALLOCATED,))
    freed = _chosen(order, quantities, "deallocate", lambda line: line.allocated - line.picked)
    lines = tuple(replace(line, allocated=line.allocated - freed.get(line.row_number, 0)) for line in order.lines)
    if any(line.allocated > line.picked for line in lines):
        return replace(order, lines=lines)
    return replace(order, status=Status.PICKED if order.picked else Status.RELEASED, lines=lines)


def pack(order: Order, quantities: Quantities | None = None) -> Order:
    """Put picked items into a parcel, all that are left without `quantities`. The status stays."""
    _need(order, "packed", (Status.PICKED,))
    put = _chosen(order, quantities, "pack", lambda line: line.picked - line.packed)
    lines = tuple(replace(line, packed=line.packed + put.get(line.row_number, 0)) for line in order.lines)
    return replace(order, lines=lines)


def need_picked(order: Order) -> None:
    """Transport documents tell of what was picked."""
    _need(order, "given transport documents", (Status.PICKED, Status.SENT))


def missing(order: Order) -> tuple[Line, ...]:
    """The lines of which fewer were picked than ordered, once picking has ended."""
    _need(order, "ordered again", (Status.PICKED, Status.SENT, Status.COLLECTED))
    short = tuple(line for line in order.lines if line.picked < line.ordered)
    if not short:
        raise impossible(f"Order {order.number} is short of nothing.", "GET the order to see its quantities.")
    return short


def send(order: Order) -> Order:
    _need(order, "sent", (Status.PICKED,))
    if not order.picked:
        raise impossible(f"Order {order.number} cannot be sent: nothing was picked.", "Cancel it, or order anew.")
    return replace(order, status=Status.SENT)


def collect(order: Order) -> Order:
    _need(order, "collected", (Status.SENT,))
    return replace(order, status=Status.COLLECTED)


def take_back(order: Order, quantities: Quantities | None = None) -> Order:
    """Goods that were sent come back, all of them without `quantities`."""
    _need(order, "returned", (Status.SENT, Status.COLLECTED))
    back = _chosen(order, quantities, "return", lambda line: line.picked - line.returned)
    lines = tuple(replace(line, returned=line.returned + back.get(line.row_number, 0)) for line in order.lines)
    done = all(line.returned == line.picked for line in lines)
    return replace(order, status=Status.RETURNED if done else order.status, lines=lines)


def cancel(order: Order) -> Order:
    _need(order, "cancelled", (*NOT_STARTED, Status.ALLOCATED, Status.PICKED))
    if order.picked:
        raise impossible(
            f"Order {order.number} cannot be cancelled: {order.picked} items were picked.", "Send what was picked."
        )
    lines = tuple(replace(line, allocated=0) for line in order.lines)
    return replace(order, status=Status.CANCELLED, lines=lines)


def _need(order: Order, done: str, at: Collection[Status]) -> None:
    if order.status not in at:
        where = " or ".join(f"{status:d} {status.text}" for status in at)
        raise impossible(
            f"Order {order.number} cannot be {done}: its status is {order.status:d} {order.status.text}.",
            f"That is possible at status {where}.",
        )


def _chosen(order: Order, quantities: Quantities | None, verb: str, left: Callable[[Line], int]) -> Quantities:
    """How many items of which row, checked against what is left of each."""
    there = {line.row_number: left(line) for line in order.lines}
    if quantities is None:
        quantities = {row: count for row, count in there.items() if count}
    problems = [
        Problem("lines", "row_number", f"There is no row {row[:40]!r}; there are {', '.join(list(there)[:20])}.")
        for row in quantities
        if row not in there
    ]
    problems += [
        Problem("lines", "quantity", f"Row {row[:40]!r}: {count} items cannot be moved; send 1 or more.")
        for row, count in quantities.items()
        if count < 1
    ]
    if problems:
        raise InvalidInput(problems)
    if not quantities:
        raise impossible(f"Order {order.number} has nothing left to {verb}.", "GET the order to see its quantities.")
    over = [f"row {row} has {there[row]} left, not {count}" for row, count in quantities.items() if count > there[row]]
    if over:
        raise impossible(
            f"There are not so many items left to {verb} on order {order.number}: {'; '.join(over)}.",
            "GET the order to see its quantities.",
        )
    return quantities


def possible_steps(order: Order) -> list[str]:
    """The steps that these rules would take now; whether there is stock enough to allocate shows when it is tried."""
    plenty = {line.article_id: sum(each.ordered for each in order.lines) for line in order.lines}
    steps: Mapping[str, Callable[[Order], object]] = {
        "release": release,
        "reopen": reopen,
        "allocate": lambda each: allocate(each, plenty),
        "deallocate": deallocate,
        "pick": pick,
        "end-picking": end_picking,
        "pack": pack,
        "send": send,
        "collect": collect,
        "return": take_back,
        "cancel": cancel,
    }
    return [name for name, step in steps.items() if allows(step, order)]


# --- What a step means for others ---------------------------------------------------------------------

Happening = Literal["order.created", "order.status-changed", "order.picked"]


def happened(before: Order | None, after: Order) -> list[Happening]:
    """The event types that the step from `before` (None: there was no order) to `after` fires, each once.

    `order.picked` tells that Picked or a higher status is reached with something picked; sending and collecting the
    order later do not tell it again.
    """
    if before is None:
        return ["order.created"]
    if before.status == after.status:
        return []
    if before.status < Status.PICKED <= after.status and after.picked:
        return ["order.status-changed", "order.picked"]
    return ["order.status-changed"]


@dataclass(frozen=True, slots=True)
class StockChange:
    """What a step does to an article: items on the shelves, and how many of them are set aside."""

    items: int
    allocated: int


def stock_changes(before: Order, after: Order) -> dict[int, StockChange]:
    """By article id. Picking takes items off the shelf, and off what is set aside there; what comes back lies there again."""
    changes: dict[int, StockChange] = {}
    for old, new in zip(before.lines, after.lines, strict=True):
        items = (old.picked - new.picked) + (new.returned - old.returned)
        allocated = (new.allocated - new.picked) - (old.allocated - old.picked)
        if items or allocated:
            sum_ = changes.get(new.article_id, StockChange(0, 0))
            changes[new.article_id] = StockChange(sum_.items + items, sum_.allocated + allocated)
    return changes
