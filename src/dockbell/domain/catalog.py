"""All event types: the 38 built-in ones, and those the operator adds.

The built-in types are data, one file per family in `event_types/`. A file that contradicts itself stops
the start, with file and field named.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dockbell.domain.data_schema import Field, field_problems, schema_of
from dockbell.domain.event_type import EventType, event_type_from, shape_problems
from dockbell.errors import ConfigError, InvalidInput, Problem

__all__ = ["Catalog", "EventType", "Field", "event_type_from", "load_catalog"]


class Catalog:
    """All event types there are, in the documented order. Two with one key or one name: InvalidInput."""

    def __init__(self, types: Iterable[EventType]) -> None:
        self._types: dict[str, EventType] = {}
        problems: list[Problem] = []
        names: dict[str, EventType] = {}
        for each in types:
            for place, value, known in (("key", each.key, self._types), ("name", each.name, names)):
                if other := known.get(value):
                    whose = "the built-in event type" if other.built_in else "the event type"
                    message = f'"{value}" is already taken by {whose} "{other.key}"; choose another {place}'
                    problems.append(Problem(place, "duplicate", message))
            self._types.setdefault(each.key, each)
            names.setdefault(each.name, each)
        if problems:
            raise InvalidInput(problems)

    def get(self, key: str) -> EventType | None:
        return self._types.get(key)

    def __iter__(self) -> Iterator[EventType]:
        return iter(self._types.values())

    def __len__(self) -> int:
        return len(self._types)

    def families(self) -> list[str]:
        return list(dict.fromkeys(each.family for each in self))

    def did_you_mean(self, key: str) -> str | None:
        """The key somebody probably meant who wrote this one, or wrote the type's name."""
        meant = {each.name.lower(): each.key for each in self} | {known: known for known in self._types}
        wanted = key[:100].strip().lower()
        for attempt in (wanted, wanted.replace("_", "-").replace(" ", "-")):
            if near := get_close_matches(attempt, meant, n=1, cutoff=0.6):
                return meant[near[0]]
        return None

    def with_types(self, types: Iterable[EventType]) -> "Catalog":
        """This catalog and the operator's own types; a key or name that is taken raises InvalidInput."""
        return Catalog([*self, *types])


# --- The built-in types -----------------------------------------------------------------------------

_FILE = {"family": str, "header": list[str], "object": dict, "fields": list, "example": str, "types": list}
_FILE_MAY = {"attributes": list}
_TYPE = {"key": str, "name": str, "firesWhen": str}
_TYPE_MAY = {"settings": list[str], "attributes": list, "example": dict}
_OBJECT = {"kind": str, "id": str}
_OBJECT_MAY = {"number": str}
# What a problem of one event type is about; the rest belongs to the whole family.
_OF_ONE_TYPE = ("key", "name", "firesWhen", "settings", "example")


def load_catalog(folder: Path | None = None) -> Catalog:
    """The built-in types. ConfigError names file and field of everything that does not fit together."""
    folder = folder or Path(__file__).parent / "event_types"
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise ConfigError(f"{folder} holds no event types (*.toml). Install Dockbell again.")
    types: list[EventType] = []
    wrong: list[str] = []
    for file in files:
        try:
            found = _family_from(tomllib.loads(file.read_text(encoding="utf-8")))
            Catalog([*types, *found])
            types += found
        except InvalidInput as error:
            wrong += dict.fromkeys(f"{file}: {each.field}: {each.message}" for each in error.problems)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            wrong.append(f"{file}: is not TOML: {error}")
        except OSError as error:
            wrong.append(f"{file}: cannot be read: {error.strerror}")
    if wrong:
        raise ConfigError("The event types cannot be loaded.\n" + "\n".join(wrong), hint="Install Dockbell again.")
    return Catalog(types)


def _family_from(table: dict[str, Any]) -> list[EventType]:
    problems = shape_problems(table, _FILE, _FILE_MAY)
    if problems:
        raise InvalidInput(problems)
    problems += shape_problems(table["object"], _OBJECT, _OBJECT_MAY, "object.")
    fields = _rows(table["fields"], "fields", problems)
    attributes = _rows(table.get("attributes", []), "attributes", problems)
    problems += field_problems(fields)
    example: Any = None
    try:
        example = json.loads(table["example"])
    except ValueError as error:
        problems.append(Problem("example", "field_value", f"is not JSON: {error}"))
    if problems:
        raise InvalidInput(problems)
    if not table["types"]:
        problems.append(Problem("types", "field_missing", "is empty; a family has at least one type"))
    types: list[EventType] = []
    for index, entry in enumerate(table["types"]):
        place = f"types[{index}]."
        if shape := shape_problems(entry, _TYPE, _TYPE_MAY, place):
            problems += shape
            continue
        own = _rows(entry.get("attributes", []), f"{place}attributes", problems)
        data = _overridden(example, entry.get("example", {}))
        problems += _strays(data, fields, place)
        try:
            types.append(_type_from(table, entry, fields, (*attributes, *own), data))
        except InvalidInput as error:
            for each in error.problems:
                of_type = each.field.partition(".")[0] in _OF_ONE_TYPE
                problems.append(Problem(place + each.field if of_type else each.field, each.code, each.message))
    if problems:
        raise InvalidInput(problems)
    return types


def _type_from(
    family: dict[str, Any], entry: dict[str, Any], fields: tuple[Field, ...], attributes: tuple[Field, ...], data: Any
) -> EventType:
    return EventType(
        key=entry["key"],
        name=entry["name"],
        family=family["family"],
        id_field=next(iter(family["header"]), ""),
        header_fields=tuple(family["header"]),
        fires_when=entry["firesWhen"],
        settings=tuple(entry.get("settings", ())),
        attributes=attributes,
        fields=fields,
        schema=schema_of(fields),
        object_kind=family["object"]["kind"],
        object_id=family["object"]["id"],
        object_number=family["object"].get("number"),
        example=data,
        built_in=True,
    )


def _strays(example: Any, fields: Iterable[Field], place: str) -> list[Problem]:
    """What an example holds beyond the fields: payloads may grow, our own examples must not."""
    listed = {each.path for each in fields}
    message = "is not among the fields"
    return [Problem(f"{place}example.{path}", "field_value", message) for path in _paths(example) if path not in listed]


def _rows(rows: list[Any], place: str, problems: list[Problem]) -> tuple[Field, ...]:
    """Fields from lines of the table: path, type with a `?` where null is allowed, meaning."""
    fields: list[Field] = []
    for index, row in enumerate(rows):
        if not (isinstance(row, list) and len(row) == 3 and all(isinstance(cell, str) for cell in row)):
            problems.append(Problem(f"{place}[{index}]", "field_type", 'must be ["path", "type", "meaning"]'))
        else:
            path, kind, meaning = row
            fields.append(Field(path, kind.removesuffix("?"), kind.endswith("?"), meaning))
    return tuple(fields)


def _overridden(base: Any, override: Any) -> Any:
    """The family's example with one type's differences; lists are replaced whole."""
    if not (isinstance(base, dict) and isinstance(override, dict)):
        return override
    return base | {name: _overridden(base.get(name), value) for name, value in override.items()}


def _paths(value: Any, prefix: str = "") -> Iterator[str]:
    """The path of everything in an example, spelled as fields are."""
    if isinstance(value, list):
        for element in value:
            yield from _paths(element, prefix)
    elif isinstance(value, dict):
        for name, below in value.items():
            path = f"{prefix}{name}[]" if isinstance(below, list) else f"{prefix}{name}"
            yield path
            yield from _paths(below, path + ".")
