"""What a receiver would get: bodies made the way attempts make them, held against the catalog field by field."""

import json
from collections.abc import Iterator
from typing import Any

from dockbell.domain.event import Event, body_of
from dockbell.domain.event_type import EventType
from tests.warehouse.floor import CATALOG, Floor

WEBHOOK_ID = 12
TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (float,),
    "string": (str,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}
"""The documented quantities are decimals: 2 would be an integer to a receiver with strict types."""
HEADER = {
    "webhookEventId": int,
    "system": str,
    "timestamp": str,
    "goodsOwnerId": int,
    "webhookTemplate": str,
    "goodsOwnerName": str,
}


class Told:
    """The events since this was made; `floor.told()` makes one."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._seen = {event["id"] for event in floor.events()}

    def all(self) -> list[dict[str, Any]]:
        return [event for event in self._floor.events() if event["id"] not in self._seen]

    def types(self) -> list[str]:
        return [event["event_type"] for event in self.all()]

    def attributes(self, key: str) -> dict[str, Any]:
        [event] = [event for event in self.all() if event["event_type"] == key]
        return dict(event["attributes"])

    def one(self, key: str) -> dict[str, Any]:
        """The body of the only event of that type, checked; header fields are taken off."""
        [body] = self.each(key)
        return body

    def each(self, key: str) -> list[dict[str, Any]]:
        return [self._body(event) for event in self.all() if event["event_type"] == key]

    def _body(self, row: dict[str, Any]) -> dict[str, Any]:
        event_type = CATALOG.get(row["event_type"])
        assert event_type is not None
        [raw] = self._floor.rows(f"SELECT * FROM events WHERE id = {row['id']}")
        event = Event(raw["id"], raw["goods_owner_id"], raw["event_type"], raw["accepted_at"], raw["head"], raw["data"])
        body: dict[str, Any] = json.loads(body_of(event, id_field=event_type.id_field, webhook_id=WEBHOOK_ID))
        assert list(body)[: len(event_type.header_fields)] == list(event_type.header_fields)
        assert body.pop(event_type.id_field) == WEBHOOK_ID
        for name in event_type.header_fields[1:]:
            value = body.pop(name)
            assert isinstance(value, HEADER[name]), name
            if name == "webhookTemplate":
                assert value == event_type.name
        assert not problems(event_type, body)
        declared = {field.path for field in event_type.attributes}
        assert set(row["attributes"]) == declared, (event_type.key, set(row["attributes"]) ^ declared)
        return body


def problems(event_type: EventType, data: dict[str, Any]) -> list[str]:
    """Each documented field that is missing or of another type, and each that is not documented."""
    found = [f"{problem.field}: {problem.message}" for problem in event_type.problems_with(data)]
    known = {field.path: field for field in event_type.fields}
    for path, value in walked(data):
        if path not in known:
            found.append(f"{path} is not documented")
        elif value is None:
            if not known[path].nullable:
                found.append(f"{path} is null")
        elif not isinstance(value, TYPES[known[path].type]) or (
            known[path].type == "integer" and isinstance(value, bool)
        ):
            found.append(f"{path} is {value!r}, not {known[path].type}")
    there = {path for path, _ in walked(data)}
    for path, field in known.items():
        parent = path.rpartition(".")[0]
        if path not in there and (parent == "" or any(_is_filled(data, parent))):
            found.append(f"{path} ({field.type}) is missing")
    return found


def _is_filled(data: Any, path: str) -> Iterator[bool]:
    """Whether the objects at that path are there, and so must have all their fields."""
    for where, value in walked(data):
        if where == path:
            yield bool(value)


def walked(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in the data with its path, spelled as fields are."""
    for name, below in value.items():
        path = f"{prefix}{name}[]" if isinstance(below, list) else f"{prefix}{name}"
        yield path, below
        for element in below if isinstance(below, list) else [below]:
            if isinstance(element, dict):
                yield from walked(element, path + ".")
