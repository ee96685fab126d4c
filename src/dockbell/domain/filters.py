"""Which events a webhook wants, and in words why it did not want one.

All parts of a filter must agree. A part that was left empty agrees with everything.

An event is judged for each webhook of its type, on the thread that answers everyone else. So it is walked through once, however
many conditions there are, and a condition over an array costs what one over a single value does (`Found`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, Literal

Operator = Literal["is", "isNot", "isOneOf", "greater", "less", "contains", "exists"]
OPERATORS: tuple[Operator, ...] = ("is", "isNot", "isOneOf", "greater", "less", "contains", "exists")
IN_WORDS: Mapping[Operator, str] = {
    "is": "is",
    "isNot": "is not",
    "isOneOf": "is one of",
    "greater": "is greater than",
    "less": "is less than",
    "contains": "contains",
    "exists": "exists",
}
MET_SHOWN = 10
STATUSES = ("orderStatus", "purchaseOrderStatus", "productionOrderStatus")
"""Where the built-in types have their object's status: before any other that a publisher added to the data."""


class Found:
    """All values at one place of a payload: prepared for comparing, and the way to what lies below them.

    Each part is made when the first condition asks for it, and serves all that follow.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values
        self._asked: dict[str, Found] = {}

    def below(self, name: str) -> "Found":
        """The values of the members of this name."""
        found = self._asked.get(name)
        if found is None:
            found = self._asked[name] = Found(self._members.get(name, ()))
        return found

    @cached_property
    def _members(self) -> Mapping[str, Sequence[Any]]:
        members: dict[str, list[Any]] = {}
        for value in self.values:
            if isinstance(value, Mapping):
                for name, member in value.items():
                    members.setdefault(name, []).append(member)
        return members

    @cached_property
    def elements(self) -> "Found":
        """The elements of those that are lists."""
        return Found([element for value in self.values if isinstance(value, list) for element in value])

    @cached_property
    def has_any(self) -> bool:
        return any(value is not None for value in self.values)

    @cached_property
    def scalars(self) -> frozenset[tuple[bool, Any]]:
        return frozenset(
            _keyed(value) for value in self.values if value is None or isinstance(value, str | int | float)
        )

    @cached_property
    def numbers(self) -> tuple[float, float] | None:
        """The smallest and the largest."""
        return _range(
            [value for value in self.values if isinstance(value, int | float) and not isinstance(value, bool)]
        )

    @cached_property
    def texts(self) -> tuple[str, str] | None:
        """The first and the last, in the order of their code points."""
        return _range([value for value in self.values if isinstance(value, str)])

    @cached_property
    def text(self) -> str | None:
        """All texts, apart by NUL, which is in none of them."""
        texts = [value for value in self.values if isinstance(value, str)]
        return "\0".join(texts) if texts else None


def _range(values: Sequence[Any]) -> tuple[Any, Any] | None:
    return (min(values), max(values)) if values else None


@dataclass(frozen=True, slots=True)
class Facts:
    """What filters may look at: the payload, and the attributes that thin payloads do not carry."""

    data: Mapping[str, Any]
    attributes: Mapping[str, Any]

    _roots: dict[str, Found] = field(default_factory=dict, init=False, repr=False, compare=False)

    def found(self, place: str) -> Found:
        """What is at `data.parcels[].parcelNumber` or `attributes.transporter`; nothing where it is absent."""
        root, *parts = place.split(".")
        if root not in self._roots:
            self._roots[root] = Found([self.data if root == "data" else self.attributes])
        found = self._roots[root]
        for part in parts:
            found = found.below(part[:-2]).elements if part.endswith("[]") else found.below(part)
        return found

    def status_to(self) -> int | None:
        """The status reached: the publisher's `statusTo`, else the status number that the payload carries."""
        given = _whole(self.attributes.get("statusTo"))
        if given is not None:
            return given
        for name in (*STATUSES, *self.data):
            value = self.data.get(name)
            if name.endswith("Status") and isinstance(value, Mapping):
                number = _whole(value.get("number"))
                if number is not None:
                    return number
        return None

    def status_from(self) -> int | None:
        return _whole(self.attributes.get("statusFrom"))


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a field with a value; over an array it agrees when any element does."""

    field: str
    operator: Operator
    value: Any = None

    def agrees(self, facts: Facts) -> bool:
        found, wanted = facts.found(self.field), self.value
        match self.operator:
            case "exists":
                return found.has_any == (wanted is not False)
            case "is":
                return _keyed(wanted) in found.scalars
            case "isNot":
                return _keyed(wanted) not in found.scalars
            case "isOneOf":
                return any(_keyed(value) in found.scalars for value in wanted)
            case "greater":
                met = _comparable(found, wanted)
                return met is not None and met[1] > wanted
            case "less":
                met = _comparable(found, wanted)
                return met is not None and met[0] < wanted
            case "contains":
                is_in_text = isinstance(wanted, str) and found.text is not None and wanted in found.text
                return is_in_text or _keyed(wanted) in found.elements.scalars

    def in_words(self) -> str:
        if self.operator == "exists":
            return f"{self.field} {'does not exist' if self.value is False else 'exists'}"
        value = ", ".join(map(_shown, self.value)) if self.operator == "isOneOf" else _shown(self.value)
        return f"{self.field} {IN_WORDS[self.operator]} {value}"


@dataclass(frozen=True, slots=True)
class StatusChange:
    """`to` is the status reached; with `came_from` only that step counts."""

    to: int
    came_from: int | None = None

    def in_words(self) -> str:
        return f"status {self.to} reached" if self.came_from is None else f"status {self.came_from} to {self.to}"


@dataclass(frozen=True, slots=True)
class Filter:
    transporters: tuple[str, ...] = ()
    order_types: tuple[str, ...] = ()
    statuses: tuple[StatusChange, ...] = ()
    with_purchase_order: bool = False
    """Also fire for lines that came into being together with their purchase order."""
    conditions: tuple[Condition, ...] = ()

    def objection(self, facts: Facts) -> str | None:
        """Why this filter does not want the event, in words with the value met; None if it wants it."""
        if self.transporters:
            met = facts.attributes.get("transporter")
            if met not in self.transporters:
                return _objection(f"transporter is one of {', '.join(self.transporters)}", [met])
        if self.order_types:
            met = facts.attributes.get("orderType")
            if met not in self.order_types:
                return _objection(f"order type is one of {', '.join(self.order_types)}", [met])
        if self.statuses and not self._wants_status(facts):
            wanted = _one_of(self.statuses)
            left, reached = (
                "unknown" if status is None else status for status in (facts.status_from(), facts.status_to())
            )
            return _objection(wanted, [f"status {left} to {reached}"])
        if not self.with_purchase_order and facts.attributes.get("createdWithPurchaseOrder") is True:
            return (
                "the line was created together with its purchase order, "
                "and “Fire when purchase order is created” is off"
            )
        for condition in self.conditions:
            if not condition.agrees(facts):
                return _objection(condition.in_words(), facts.found(condition.field).values)
        return None

    def _wants_status(self, facts: Facts) -> bool:
        reached, left = facts.status_to(), facts.status_from()
        return any(change.to == reached and change.came_from in (None, left) for change in self.statuses)


def _one_of(changes: Sequence[StatusChange]) -> str:
    """Written out, so that other languages know each form by its words."""
    first, *others = changes
    if not others:
        return first.in_words()
    more = _one_of(others)
    if first.came_from is None:
        return f"status {first.to} reached or {more}"
    return f"status {first.came_from} to {first.to} or {more}"


def _objection(wanted: str, met: Iterable[Any]) -> str:
    some = list(islice((_shown(value) for value in met if value is not None), MET_SHOWN + 1))
    seen = ", ".join(some[:MET_SHOWN]) + (" and more" if len(some) > MET_SHOWN else "")
    return f"filter “{wanted}” met {seen or 'nothing: the event has no such value'}"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"


def _keyed(value: Any) -> tuple[bool, Any]:
    """What is the same to JSON has the same key: true is not 1, "1" is not 1, but 1.0 is 1."""
    return isinstance(value, bool), value


def _whole(value: Any) -> int | None:
    """A whole number, also one written 450.0, which is an integer in JSON: schemas take it for one."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if is_whole or (isinstance(value, float) and value.is_integer()) else None


def _comparable(found: Found, wanted: Any) -> tuple[Any, Any] | None:
    """The range of what is of the same kind."""
    return found.texts if isinstance(wanted, str) else found.numbers
