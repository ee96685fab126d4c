"""One thing that somebody does in the warehouse: the transaction it belongs to, who does it where, and when.

Whatever changes takes an `Act`, and tells what happened through it: what changes and the events that tell of it are
committed together, or neither is. Changing needs the scope `publish`, because each change publishes. What belongs to
another goods owner answers like what does not exist.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from dockbell.actions.publish import Publisher
from dockbell.clock import Moment, to_text
from dockbell.domain.permissions import Actor, no_such_goods_owner
from dockbell.errors import Conflict, InvalidInput, NotFound, Problem
from dockbell.store import people
from dockbell.store.database import Row, Transaction
from dockbell.warehouse.inputs.common import NOBODY, Step
from dockbell.warehouse.store import places

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Act:
    tx: Transaction
    publisher: Publisher
    actor: Actor
    now: Moment
    by: Step = NOBODY
    told: list[int] = field(default_factory=list)
    """The events that were published through it."""

    def tell(self, event_type: str, goods_owner_id: int, data: Document, **attributes: Any) -> None:
        """Publish the event as a part of this transaction."""
        event = {
            "type": event_type,
            "goodsOwnerId": goods_owner_id,
            "occurredAt": to_text(self.now),
            "attributes": attributes,
            "data": data,
        }
        accepted = self.publisher.publish(self.tx, self.actor, event, now=self.now)
        self.told.append(accepted.event_id)

    def by_computer(self) -> Document | None:
        """The workstation as events tell it; one we know by its id alone gets its name."""
        given = self.by.by_computer
        if given is None:
            return None
        name = given.computer_name or places.computer_name(self.tx, given.computer_id)
        return {"computerId": given.computer_id, "computerName": name}

    def doers(self) -> Document:
        """`byUser` and `byComputer`, for the families that have both."""
        user = self.by.by_user
        return {"byUser": user and {"userId": user.user_id}, "byComputer": self.by_computer()}

    def need_goods_owner(self, goods_owner_id: int) -> None:
        self.actor.need("publish")
        need_goods_owner(self.tx, self.actor, goods_owner_id)

    def found_or_new(self, counter: str, find: Callable[[], Row | None]) -> tuple[Row | None, int]:
        """What `find` finds and locks, with its id; if there is none, an id for it to be made with.

        Whoever takes an id waits for the one before to commit, so a second look sees the same thing made meanwhile.
        """
        found = find()
        if found is None:
            (new_id,) = places.next_ids(self.tx, counter)
            found = find()
            if found is None:
                return None, new_id
        return found, int(found["id"])

    def need_free(self, counter: str, find: Callable[[], Row | None], what: str, number: str) -> None:
        """Raise Conflict if `find` finds one of that number, also one that somebody is making or renaming just now: whoever
        does holds the counter until the commit, and is waited for.
        """
        places.next_ids(self.tx, counter, 0)
        if find() is not None:
            raise taken(what, number)

    def own(self, row: Row | None, what: str, number: int) -> Row:
        """The row that is to be changed, if there is one for this actor."""
        self.actor.need("publish")
        return visible(row, self.actor, what, number)


def visible(row: Row | None, actor: Actor, what: str, number: int) -> Row:
    if row is None or not actor.sees(int(row["goods_owner_id"])):
        no_such(what, number)
    return row


def need_goods_owner(tx: Transaction, actor: Actor, goods_owner_id: int) -> None:
    actor.need_goods_owner(goods_owner_id)
    if people.goods_owner(tx, goods_owner_id) is None:
        raise no_such_goods_owner(goods_owner_id)


def goods_owner_document(tx: Transaction, goods_owner_id: int) -> Document:
    row = people.goods_owner(tx, goods_owner_id)
    assert row is not None
    return {"id": goods_owner_id, "name": row["name"]}


def need_same_owner(row: Row, goods_owner_id: int) -> None:
    """What is changed stays with its goods owner."""
    if row["goods_owner_id"] != goods_owner_id:
        text = f"It belongs to goods owner {row['goods_owner_id']} and stays there; write that number."
        raise InvalidInput([Problem("goodsOwnerId", "goods_owner", text)])


def taken(what: str, number: str) -> Conflict:
    return Conflict(
        f"There is {'an' if what[0] in 'aeiou' else 'a'} {what} {number} already.",
        code="number_taken",
        hint="Choose another number.",
    )


LISTED_AT = {
    "invoice": "invoices",
    "order": "orders", "article": "articles", "article item": "articleItems", "purchase order": "purchaseOrders",
    "return order": "returnOrders", "inventory adjustment": "inventoryAdjustments", "shipment": "shipments",
    "production order": "productionOrders", "pick order": "warehouse/pickOrders", "pallet item": "warehouse/palletItems",
    "movement order": "warehouse/movementOrders", "movement pallet item": "warehouse/movementPalletItems",
}  # fmt: skip


def no_such(what: str, number: int) -> NoReturn:
    hint = (
        f"GET /api/v1/{LISTED_AT[what]}?goodsOwnerId=... lists them."
        if what in LISTED_AT
        else "GET what it belongs to."
    )
    raise NotFound(f"There is no {what} {number}.", code=what.replace(" ", "_"), hint=hint)


def known_code(choices: Mapping[str, Row], code: str | None, field: str, what: str, problems: list[Problem]) -> None:
    """A code that is not there becomes a problem that names those that are."""
    if code is not None and code not in choices:
        text = f"There is no {what} {code!r}. There are: {', '.join(choices) or 'none yet'}."
        problems.append(Problem(field, what.replace(" ", "_"), text))


def chosen(choices: Mapping[str, Row], code: str | None, field: str, what: str, problems: list[Problem]) -> int | None:
    """The id behind a code that `known_code` would let pass."""
    known_code(choices, code, field, what, problems)
    return None if code is None or code not in choices else int(choices[code]["id"])


def raise_all(problems: list[Problem]) -> None:
    if problems:
        raise InvalidInput(problems)
