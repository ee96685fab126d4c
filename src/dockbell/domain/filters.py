"""Which events a webhook wants, and in words why it did not want one.

All parts of a filter must agree. A part that was left empty agrees with everything.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Facts:
    """What filters may look at: the payload, and the attributes that thin payloads do not carry."""

    data: Mapping[str, Any]
    attributes: Mapping[str, Any]

    def values(self, field: str) -> list[Any]:
        """Everything at `data.parcels[].parcelNumber` or `attributes.transporter`; nothing where it is absent."""
        root, _, rest = field.partition(".")
        start = self.data if root == "data" else self.attributes
        return list(_walk(start, rest.split(".")))

    def status_to(self) -> int | None:
        """The status reached: the publisher's `statusTo`, else the status number that the payload carries."""
        given = self.attributes.get("statusTo")
        if isinstance(given, int):
            return given
        for name, value in self.data.items():
            if name.endswith("Status") and isinstance(value, Mapping) and isinstance(value.get("number"), int):
                return int(value["number"])
        return None

    def status_from(self) -> int | None:
        given = self.attributes.get("statusFrom")
        return given if isinstance(given, int) else None


def _walk(value: Any, parts: Sequence[str]) -> Iterator[Any]:
    if not parts:
        yield value
        return
    name, many = parts[0].removesuffix("[]"), parts[0].endswith("[]")
    if not isinstance(value, Mapping) or name not in value:
        return
    below = value[name]
    if not many:
        yield from _walk(below, parts[1:])
    elif isinstance(below, list):
        for element in below:
            yield from _walk(element, parts[1:])


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a field with a value; over an array it agrees when any element does."""

    field: str
    operator: Operator
    value: Any = None

    def agrees(self, facts: Facts) -> bool:
        found = facts.values(self.field)
        match self.operator:
            case "exists":
                return any(value is not None for value in found) == (self.value is not False)
            case "is":
                return any(_same(value, self.value) for value in found)
            case "isNot":
                return not any(_same(value, self.value) for value in found)
            case "isOneOf":
                wanted = {_keyed(value) for value in self.value}  # not every value found with every one wanted
                return any(_keyed(value) in wanted for value in found if isinstance(value, str | int | float))
            case "greater":
                return any(_comparable(value, self.value) and value > self.value for value in found)
            case "less":
                return any(_comparable(value, self.value) and value < self.value for value in found)
            case "contains":
                return any(_contains(value, self.value) for value in found)

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
            wanted = " or ".join(change.in_words() for change in self.statuses)
            left, reached = (
                "unknown" if status is None else status for status in (facts.status_from(), facts.status_to())
            )
            return _objection(wanted, [f"{left} to {reached}"])
        if not self.with_purchase_order and facts.attributes.get("createdWithPurchaseOrder") is True:
            return (
                "the line was created together with its purchase order, "
                "and “Fire when purchase order is created” is off"
            )
        for condition in self.conditions:
            if not condition.agrees(facts):
                return _objection(condition.in_words(), facts.values(condition.field))
        return None

    def _wants_status(self, facts: Facts) -> bool:
        reached, left = facts.status_to(), facts.status_from()
        return any(change.to == reached and change.came_from in (None, left) for change in self.statuses)


def _objection(wanted: str, met: Iterable[Any]) -> str:
    seen = ", ".join(_shown(value) for value in met if value is not None)
    return f"filter “{wanted}” met {seen or 'nothing: the event has no such value'}"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"


def _same(found: Any, wanted: Any) -> bool:
    """Equality as JSON means it: true is not 1, "1" is not 1, but 1.0 is 1."""
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)


def _keyed(value: Any) -> tuple[bool, Any]:
    """What is the same has the same key."""
    return isinstance(value, bool), value


def _comparable(found: Any, wanted: Any) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return False
    numbers = isinstance(found, int | float) and isinstance(wanted, int | float)
    return numbers or (isinstance(found, str) and isinstance(wanted, str))


def _contains(found: Any, wanted: Any) -> bool:
    if isinstance(found, str):
        return isinstance(wanted, str) and wanted in found
    return isinstance(found, list) and any(_same(element, wanted) for element in found)
