"""One event type: what happened, what its data looks like, and which object it is about.

Built-in types and those an operator defines over the API are the same thing and pass the same checks:
an `EventType` that contradicts itself cannot be made.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from jsonschema_rs import Validator

from dockbell.domain.data_schema import (
    SCALARS,
    Field,
    compiled,
    data_problems,
    field_problems,
    fields_of,
    schema_problems,
)
from dockbell.errors import InvalidInput, Problem

COMMON_HEADER = ("webhookEventId", "system", "timestamp", "goodsOwnerId", "webhookTemplate", "goodsOwnerName")
"""What Dockbell itself writes into a body after the id of the webhook, in this order."""
SETTINGS = {
    "transporter": ("transporter",),
    "orderType": ("orderType",),
    "status": ("statusFrom", "statusTo"),
    "fireWhenPurchaseOrderIsCreated": ("createdWithPurchaseOrder",),
}
"""What a webhook's form can offer, and the attributes each of them is decided by."""
OWN_FAMILY = "Own event types"
LONGEST_NUMBER = 200
LONGEST_KEY = len("/") + 64 + LONGEST_NUMBER
"""The kind of an object has up to 64 characters."""

_KEY = re.compile(r"(?=.{1,64}\Z)[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)+")
_KIND = re.compile(r"[a-z][a-z0-9-]{0,63}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")


@dataclass(frozen=True, slots=True)
class EventType:
    """One kind of thing that can happen. Making one that contradicts itself raises InvalidInput."""

    key: str
    name: str
    """As the WMS calls it; `webhookTemplate` in the body."""
    family: str
    id_field: str
    """Name under which the body carries the webhook's id."""
    header_fields: tuple[str, ...]
    """What Dockbell writes before the data, `id_field` first; the data must not hold any of it."""
    fires_when: str
    settings: tuple[str, ...]
    attributes: tuple[Field, ...]
    """Facts for filters which the event brings beside its data."""
    fields: tuple[Field, ...]
    schema: Mapping[str, Any] = field(repr=False, hash=False)
    """JSON Schema 2020-12 of the data."""
    object_kind: str
    object_id: str
    """Path of the object's id in the data; empty when the type is about no object."""
    object_number: str | None
    """Path of what people search for."""
    example: Mapping[str, Any] = field(repr=False, hash=False)
    built_in: bool
    _validator: Validator = field(init=False, repr=False, compare=False)
    _header: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        problems = [*_own_problems(self), *schema_problems(self.schema)]
        object.__setattr__(self, "_header", frozenset(map(_folded, self.header_fields)))
        if not any(each.field.startswith("schema") for each in problems):
            object.__setattr__(self, "_validator", compiled(dict(self.schema)))
            problems += (
                Problem("example" + each.field.removeprefix("data"), each.code, each.message)
                for each in self.problems_with(self.example)
            )
        if problems:
            raise InvalidInput(problems)

    def problems_with(self, data: object) -> list[Problem]:
        """What keeps the data from being this type's: all of it, by path (`data.orderStatus.number`).

        The header is written before the data, unread; a second `goodsOwnerId` from the data would win in
        most receivers, and `GoodsOwnerId` in those that do not tell them apart: names of the header are refused there.
        """
        if not isinstance(data, dict):
            return [Problem("data", "data_schema", "must be a JSON object")]
        fold = str.casefold if "".join(data).isascii() else _folded  # the same for ASCII, and far quicker
        if self._header.isdisjoint(map(fold, data)):
            try:
                if self._validator.is_valid(data):
                    return []
            except ValueError:
                pass  # said in words below
        taken = self.taken_names(data)
        message = "is written by Dockbell itself; leave it out of the data"
        return [
            *(Problem(f"data.{name}", "data_schema", message) for name in taken),
            *data_problems(self._validator, data),
        ]

    def taken_names(self, data: Iterable[str]) -> list[str]:
        """Those that Dockbell writes itself, in any case of their letters."""
        return [name for name in data if _folded(name) in self._header]

    def problems_with_names(self, data: Mapping[str, Any]) -> list[Problem]:
        """An object's id or number that is too long to be found by: an index of PostgreSQL's takes so much and no more."""
        return [
            Problem(f"data.{path}", "too_long", f"The object is found by it: at most {LONGEST_NUMBER} characters.")
            for path in dict.fromkeys((self.object_id, self.object_number))
            if path and len(_text_at(data, path) or "") > LONGEST_NUMBER
        ]

    def key_of(self, data: Mapping[str, Any]) -> str | None:
        """The object the data is about, `order/50163`: what deliveries are searched and ordered by."""
        found = _text_at(data, self.object_id)
        return f"{self.object_kind}/{found}" if found else None

    def number_of(self, data: Mapping[str, Any]) -> str | None:
        """The object's number as people know it, `SO-1001`."""
        return _text_at(data, self.object_number) if self.object_number else None


def example_body(event_type: EventType) -> dict[str, Any]:
    """A whole body as a receiver gets it: what Dockbell writes first, then the example's data."""
    header: dict[str, Any] = {
        event_type.id_field: 12,
        "webhookEventId": 880123,
        "system": "demo3pl",
        "timestamp": "2026-02-03T12:07:31.4412310",
        "goodsOwnerId": 114,
        "webhookTemplate": event_type.name,
        "goodsOwnerName": "Nordic Tea AB",
    }
    return {**{name: header.get(name) for name in event_type.header_fields}, **event_type.example}


def _folded(name: str) -> str:
    """For comparing in any case. Java's equalsIgnoreCase takes ı and İ for i, which case folding keeps apart."""
    return name.casefold().replace("i\u0307", "i").replace("ı", "i")


def _text_at(data: object, path: str) -> str | None:
    for name in path.split("."):
        data = data.get(name) if isinstance(data, dict) else None
    match data:
        case bool() | None:
            return None
        case int():
            return str(data)
        case float() if data.is_integer():  # 50163.0 is an integer in JSON
            return str(int(data))
        case str():
            return data or None
        case _:
            return None


def _own_problems(it: EventType) -> Iterator[Problem]:
    if not _KEY.fullmatch(it.key):
        message = f'is "{it.key}"; lower-case words with dots between, at most 64 characters, such as order.picked'
        yield Problem("key", "field_value", message)
    for place, text, longest in (("name", it.name, 100), ("family", it.family, 100), ("firesWhen", it.fires_when, 500)):
        # Operators may leave out when a type fires; the built-in ones may not.
        empty = not text.strip() and (it.built_in or place != "firesWhen")
        if empty or len(text) > longest or not text.isprintable():
            yield Problem(place, "field_value", f"must be 1 to {longest} printable characters on one line")
    if not _NAME.fullmatch(it.id_field) or it.id_field.casefold() in map(str.casefold, COMMON_HEADER):
        yield Problem("idField", "field_value", f'is "{it.id_field}"; a name such as webhookOrdersId is needed')
    expected = tuple(name for name in COMMON_HEADER if name != "goodsOwnerName" or name in it.header_fields)
    if it.header_fields != (it.id_field, *expected):
        message = f"must be the field for the webhook's id, then {', '.join(COMMON_HEADER)} (the last may be left out)"
        yield Problem("header", "field_value", message)
    yield from _attribute_problems(it)
    yield from field_problems(it.fields)
    paths = {each.path: each for each in it.fields}
    header = set(map(_folded, it.header_fields))
    for name in dict.fromkeys(path.removesuffix("[]") for path in paths):
        if _folded(name) in header:
            yield Problem(f"fields.{name}", "field_value", "belongs to the header, which Dockbell writes; remove it")
    if it.object_id or it.object_number or it.object_kind:
        if not _KIND.fullmatch(it.object_kind):
            yield Problem("object.kind", "field_value", f'is "{it.object_kind}"; lower-case words such as pick-order')
        for place, path in (("object.id", it.object_id), ("object.number", it.object_number)):
            named = paths.get(path) if path is not None else None
            if path is not None and (named is None or "[]" in path or named.type not in ("integer", "string")):
                message = f'is "{path}"; it must be the path of an integer or string among the fields, not in an array'
                yield Problem(place, "field_value", message)


def _attribute_problems(it: EventType) -> Iterator[Problem]:
    names: set[str] = set()
    for each in it.attributes:
        place = f"attributes.{each.path}"
        if not _NAME.fullmatch(each.path):
            yield Problem(place, "field_value", "must be a name of letters and digits, such as transporter")
        if each.type not in SCALARS:
            yield Problem(place, "field_value", f'type "{each.type}" is unknown; allowed: {", ".join(SCALARS)}')
        if each.path in names:
            yield Problem(place, "duplicate", "is listed twice")
        names.add(each.path)
    for index, setting in enumerate(it.settings):
        if setting not in SETTINGS:
            yield Problem("settings", "field_value", f'"{setting}" is unknown; allowed: {", ".join(SETTINGS)}')
        elif setting in it.settings[:index]:
            yield Problem("settings", "duplicate", f'"{setting}" is listed twice')
        elif missing := [name for name in SETTINGS[setting] if name not in names]:
            message = f'"{setting}" is decided by {" and ".join(missing)}; list it under attributes'
            yield Problem("settings", "field_value", message)


# --- The operator's own types -----------------------------------------------------------------------

_DOCUMENT = {"key": str, "name": str, "schema": dict, "example": dict}
_DOCUMENT_MAY = {
    "family": str, "firesWhen": str, "idField": str, "object": dict, "attributes": list, "settings": list[str],
}  # fmt: skip
_OBJECT = {"kind": str, "id": str}
_OBJECT_MAY = {"number": str}
_ATTRIBUTE = {"path": str, "type": str}
_ATTRIBUTE_MAY = {"nullable": bool, "meaning": str}
# Stands in for what is missing or of a wrong type, so that everything else can still be judged.
_STAND_IN: dict[str, Any] = {"key": "stand.in", "name": "-", "schema": {"type": "object"}, "example": {}}


def event_type_from(document: Mapping[str, Any]) -> EventType:
    """The type an operator defines: `{key, name, schema, example}`, and if wanted `family`, `firesWhen`,
    `idField`, `object: {kind, id, number}`, `attributes: [{path, type}]`, `settings`.

    InvalidInput with all problems at once. The schema is JSON Schema 2020-12 that refers to nothing
    outside itself; nothing is ever fetched.
    """
    if not isinstance(document, Mapping):
        raise InvalidInput([Problem("eventType", "field_type", "must be an object with key, name, schema and example")])
    problems = shape_problems(document, _DOCUMENT, _DOCUMENT_MAY)
    unusable = {each.field for each in problems}
    given = _STAND_IN | {name: value for name, value in document.items() if name not in unusable}
    about = given.get("object", {})
    if about:
        problems += shape_problems(about, _OBJECT, _OBJECT_MAY, "object.")
    schema = given["schema"]
    if refused := schema_problems(schema):
        problems += refused
        schema = _STAND_IN["schema"]
    if "schema" in unusable or refused:
        about = {}  # whether its paths are among the fields cannot be said
    id_field = given.get("idField", "webhookId")
    try:
        made = EventType(
            key=given["key"],
            name=given["name"],
            family=given.get("family", OWN_FAMILY),
            id_field=id_field,
            header_fields=(id_field, *COMMON_HEADER),
            fires_when=given.get("firesWhen", ""),
            settings=tuple(given.get("settings", ())),
            attributes=_attributes_from(given.get("attributes", []), problems),
            fields=fields_of(schema),
            schema=schema,
            object_kind=_text(about, "kind"),
            object_id=_text(about, "id"),
            object_number=_text(about, "number") or None,
            example=given["example"],
            built_in=False,
        )
    except InvalidInput as error:
        said = {each.field for each in problems}
        more = [
            each for each in error.problems
            if each.field not in said and each.field.partition(".")[0] not in unusable
        ]  # fmt: skip
        raise InvalidInput([*problems, *more]) from None
    if problems:
        raise InvalidInput(problems)
    return made


def _attributes_from(entries: list[Any], problems: list[Problem]) -> tuple[Field, ...]:
    found: list[Field] = []
    for index, entry in enumerate(entries):
        if wrong := shape_problems(entry, _ATTRIBUTE, _ATTRIBUTE_MAY, f"attributes[{index}]."):
            problems += wrong
        else:
            found.append(Field(entry["path"], entry["type"], entry.get("nullable", True), entry.get("meaning", "")))
    return tuple(found)


def _text(table: Mapping[str, Any], name: str) -> str:
    value = table.get(name, "")
    return value if isinstance(value, str) else ""


def shape_problems(
    table: object, required: Mapping[str, Any], optional: Mapping[str, Any], prefix: str = ""
) -> list[Problem]:
    """What is missing from a table, unknown in it, or not of its type; an unknown name with a suggestion."""
    if not isinstance(table, Mapping):
        return [Problem(prefix.rstrip("."), "field_type", "must be an object")]
    known = {**required, **optional}
    problems = [
        Problem(prefix + name, "field_missing", f"is missing; write {_WORDS[wanted]}")
        for name, wanted in required.items()
        if name not in table
    ]
    for name, value in table.items():
        if name not in known:
            near = get_close_matches(str(name)[:100], known, n=1)
            meant = f'; did you mean "{near[0]}"?' if near else "."
            message = f"is not known here{meant} Allowed: {', '.join(known)}"
            problems.append(Problem(f"{prefix}{name}", "field_unknown", message))
        elif not _is_a(value, known[name]):
            problems.append(Problem(prefix + name, "field_type", f"must be {_WORDS[known[name]]}"))
    return problems


_WORDS: dict[Any, str] = {
    str: "a text", list: "a list", list[str]: "a list of texts", dict: "an object", bool: "true or false",
}  # fmt: skip


def _is_a(value: object, wanted: Any) -> bool:
    if wanted == list[str]:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return type(value) is wanted
