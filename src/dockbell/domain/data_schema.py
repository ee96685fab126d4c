"""What the data of an event may look like: fields, their JSON Schema, and what is wrong with given data.

Built-in event types list their fields and get their schema from them; operators bring a schema and get
the fields from it. A foreign schema is compiled only after it was judged: it refers to nothing outside
itself, so nothing is ever fetched, and it is small enough to be checked on every event.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import unquote

from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError, ValidationErrorKind, Validator

from dockbell.errors import Problem

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TYPES = ("integer", "number", "string", "boolean", "object", "array")
SCALARS = ("integer", "number", "string", "boolean")
LONGEST_SCHEMA_BYTES = 64 * 1024
DEEPEST_SCHEMA = 32
DEEPEST_UNFOLDED = 64
"""Nesting once every `$ref` is replaced by what it refers to."""
LARGEST_UNFOLDED = 5_000
"""Sub-schemas once every `$ref` is replaced: sixty lines of `allOf` and `$ref` can mean billions."""
MOST_PATTERNS = 50
MOST_PROBLEMS = 100
"""Of one event's data: enough to mend it, not enough to make the answer larger than the question."""

_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = (
    "items", "additionalProperties", "unevaluatedItems", "unevaluatedProperties", "contains", "propertyNames",
    "not", "if", "then", "else", "contentSchema",
)  # fmt: skip
# A name that holds a dot or a bracket could not be told from a path.
_PART = re.compile(r"[^.\[\]\x00-\x1f]+")
_PATH = re.compile(rf"{_PART.pattern}(\[\])?(\.{_PART.pattern}(\[\])?)*")
_REFERENCE = re.compile(r"#/(\$defs|definitions)/[^/]+")
_TOO_DEEP = f"more than {DEEPEST_UNFOLDED} deep, references followed; make it flatter"
_WITH_ARTICLE = {
    word: word if word == "null" else f"an {word}" if word[0] in "aio" else f"a {word}" for word in (*TYPES, "null")
}
_META = Draft202012Validator({"$ref": DIALECT}, offline=True)


@dataclass(frozen=True, slots=True)
class Field:
    """One value in the data, or one fact beside it.

    `path` is dotted; an array is listed as `parcels[]` with type "array", what its objects hold as
    `parcels[].id`. `nullable`: may be null and may be missing.
    """

    path: str
    type: str
    nullable: bool
    meaning: str


def field_problems(fields: Iterable[Field]) -> list[Problem]:
    """Why no schema can be built from these fields; the problem's field is `fields.<path>`."""
    problems: list[Problem] = []
    types: dict[str, str] = {}

    def refuse(path: str, code: str, message: str) -> None:
        problems.append(Problem(f"fields.{path}", code, message))

    for each in fields:
        if not _PATH.fullmatch(each.path):
            refuse(each.path, "field_value", f'"{each.path}" is no path; write orderStatus.number or parcels[].id')
        if each.type not in TYPES:
            refuse(each.path, "field_value", f'type "{each.type}" is unknown; allowed: {", ".join(TYPES)}')
        if each.path.endswith("[]") != (each.type == "array"):
            refuse(each.path, "field_value", f'is "{each.type}"; the path of an array, and no other, ends with []')
        if each.path in types:
            refuse(each.path, "duplicate", "is listed twice")
        parent = each.path.rpartition(".")[0]
        if parent and types.get(parent) not in ("object", "array"):
            refuse(each.path, "field_value", f'"{parent}" must be listed before it, as an object or an array')
        types[each.path] = each.type
    return problems


def schema_of(fields: Iterable[Field]) -> dict[str, Any]:
    """JSON Schema 2020-12 of data with these fields, which must be free of `field_problems`.

    More than these may always come: payloads grow by adding.
    """
    root: dict[str, Any] = {"$schema": DIALECT, "type": "object", "properties": {}, "required": []}
    objects = {"": root}
    for each in fields:
        parent, _, name = each.path.rpartition(".")
        node: dict[str, Any] = {"type": [each.type, "null"] if each.nullable else each.type}
        if each.meaning:
            node["description"] = each.meaning
        holder = objects[parent]
        holder.setdefault("properties", {})[name.removesuffix("[]")] = node
        if not each.nullable:
            holder.setdefault("required", []).append(name.removesuffix("[]"))
        if each.type == "array":
            objects[each.path] = node["items"] = {"type": "object"}
        else:
            objects[each.path] = node
    return root


def fields_of(schema: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields that a judged schema names: its `properties`, through `$ref`, as far as they have one type."""
    return tuple(_fields_below(schema, schema, ""))


def _fields_below(root: Mapping[str, Any], node: Mapping[str, Any], prefix: str) -> Iterator[Field]:
    node = _followed(root, node)
    properties, required = node.get("properties", {}), node.get("required", ())
    for name, value in properties.items():
        kind, null = _one_type(root, value)
        if not kind or not _PART.fullmatch(name):
            continue
        path = f"{prefix}{name}[]" if kind == "array" else f"{prefix}{name}"
        below = _followed(root, value)
        yield Field(path, kind, null or name not in required, str(below.get("description", "")))
        if kind == "array" and isinstance(below.get("items"), Mapping):
            below = below["items"]
        yield from _fields_below(root, below, path + ".")


def _one_type(root: Mapping[str, Any], node: object) -> tuple[str, bool]:
    said = _followed(root, node).get("type", ())
    words = [said] if isinstance(said, str) else list(said)
    others = [word for word in words if word != "null"]
    return (others[0] if len(others) == 1 else ""), "null" in words


def _followed(root: Mapping[str, Any], node: object) -> Mapping[str, Any]:
    while isinstance(node, Mapping) and "$ref" in node:
        target = _target(root, node["$ref"])
        beside = {key: value for key, value in node.items() if key != "$ref"}
        node = {**target, **beside} if isinstance(target, Mapping) else beside
    return node if isinstance(node, Mapping) else {}


def _target(root: Mapping[str, Any], reference: str) -> Any:
    """The definition that `#/$defs/<name>` names; None when there is none."""
    _, section, name = reference.split("/")
    return root.get(section, {}).get(unquote(name).replace("~1", "/").replace("~0", "~"))


def schema_problems(schema: object) -> list[Problem]:
    """Why a foreign schema is refused; the problem's field begins with `schema`. Fetches nothing."""
    if not isinstance(schema, dict):
        return [Problem("schema", "field_type", "must be a JSON Schema, written as an object")]
    if _deeper_than(schema, DEEPEST_SCHEMA):
        return [Problem("schema", "schema_too_large", f"is nested more than {DEEPEST_SCHEMA} deep; make it flatter")]
    try:
        size = len(json.dumps(schema, allow_nan=False))
    except (TypeError, ValueError) as error:
        return [Problem("schema", "schema_invalid", f"is not plain JSON: {error}")]
    if size > LONGEST_SCHEMA_BYTES:
        message = f"has {size} bytes, at most {LONGEST_SCHEMA_BYTES} are allowed; leave out what need not be checked"
        return [Problem("schema", "schema_too_large", message)]
    problems = [
        Problem(_place("schema", error.instance_path), "schema_invalid", _schema_message(error))
        for error in islice(_META.iter_errors(schema), MOST_PROBLEMS)
    ]
    if problems:
        return problems
    judge = _Judge(schema)
    judge.visit(schema, "schema", 0)
    if judge.problems:
        return judge.problems
    try:
        compiled(schema)
    except ValidationError as error:
        where = _place("schema", error.instance_path)
        return [Problem(where, "schema_invalid", _schema_message(error))]
    except ValueError as error:
        return [Problem("schema", "schema_invalid", _cut(str(error)))]
    return []


def _deeper_than(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


class _Judge:
    """Walks a schema as the validator would, following references, and counts instead of validating."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.problems: list[Problem] = []
        self._root = root
        self._known: dict[int, tuple[int, int]] = {}
        self._open: set[int] = set()
        self._patterns = 0

    def visit(self, node: object, place: str, depth: int) -> tuple[int, int]:
        """Number of sub-schemas and their nesting, references replaced by what they refer to."""
        if not isinstance(node, Mapping):
            return 1, 1
        if id(node) in self._known:
            return self._known[id(node)]
        if id(node) in self._open:
            message = "refers to a schema that contains it; write out as many levels as you need"
            self._refuse(place, "schema_reference", message)
            return 1, 1
        if depth > DEEPEST_UNFOLDED:
            self._refuse_size(place, f"is {_TOO_DEEP}")
            return 1, 1
        self._open.add(id(node))
        self._judge_keywords(node, place)
        size, nesting = 1, 0
        for child, where, counts in self._children(node, place):
            below, levels = self.visit(child, where, depth + 1)
            if counts:
                size, nesting = size + below, max(nesting, levels)
        self._open.discard(id(node))
        if size > LARGEST_UNFOLDED:
            self._refuse_size(place, f"means more than {LARGEST_UNFOLDED} schemas, references followed; simplify it")
            size = 1  # or the next schemas around it would take ever longer to add up
        if nesting >= DEEPEST_UNFOLDED:
            self._refuse_size(place, f"is {_TOO_DEEP}")
        self._known[id(node)] = (size, nesting + 1)
        return size, nesting + 1

    def _judge_keywords(self, node: Mapping[str, Any], place: str) -> None:
        if node.get("$schema", DIALECT).removesuffix("#") != DIALECT:
            message = f'is "{_cut(node["$schema"])}"; leave it out or write {DIALECT}'
            self._refuse(f"{place}.$schema", "schema_reference", message)
        if "$id" in node and node is not self._root:
            self._refuse(f"{place}.$id", "schema_reference", "is allowed at the top only; remove it here")
        for keyword in ("$dynamicRef", "$recursiveRef"):
            if keyword in node:
                self._refuse(f"{place}.{keyword}", "schema_reference", 'is not supported; use "$ref": "#/$defs/..."')
        self._patterns += ("pattern" in node) + len(node.get("patternProperties", ()))
        if self._patterns > MOST_PATTERNS:
            self._refuse_size(place, f"is beyond {MOST_PATTERNS} patterns, the most a schema may have; leave out some")

    def _children(self, node: Mapping[str, Any], place: str) -> Iterator[tuple[object, str, bool]]:
        for keyword, value in node.items():
            where = f"{place}.{keyword}"
            if keyword == "$ref":
                yield self._referred(value, where), f"schema{value[1:].replace('/', '.')}", True
            elif keyword in _MAPS and isinstance(value, Mapping):
                counts = keyword not in ("$defs", "definitions")
                yield from ((child, f"{where}.{name}", counts) for name, child in value.items())
            elif keyword in _LISTS and isinstance(value, Sequence):
                yield from ((child, f"{where}[{index}]", True) for index, child in enumerate(value))
            elif keyword in _SINGLE:
                yield value, where, True

    def _referred(self, reference: str, where: str) -> object:
        if not _REFERENCE.fullmatch(reference):
            message = 'nothing is fetched. Copy what is needed into $defs and write "#/$defs/<name>"'
        elif (target := _target(self._root, reference)) is None:
            message = "there is no such definition in this schema"
        else:
            return target
        self._refuse(where, "schema_reference", f'is "{_cut(reference)}"; {message}')
        return None

    def _refuse_size(self, place: str, message: str) -> None:
        # Once: what is too large in one place is so in every place around it.
        if not any(each.code == "schema_too_large" for each in self.problems):
            self._refuse(place, "schema_too_large", message)

    def _refuse(self, place: str, code: str, message: str) -> None:
        self.problems.append(Problem(place, code, message))


def compiled(schema: dict[str, Any]) -> Validator:
    """A validator that never opens a connection and whose patterns take linear time; ValueError if it cannot be."""
    return Draft202012Validator(schema, offline=True, pattern_options=RegexOptions(size_limit=1 << 20))


def data_problems(validator: Validator, data: object, *, root: str = "data") -> list[Problem]:
    """All that is wrong with the data (the first `MOST_PROBLEMS` of it), each with the path of the value."""
    try:
        found = list(islice(validator.iter_errors(data), MOST_PROBLEMS))
    except ValueError as error:  # names that are no text: cannot come from JSON
        return [Problem(root, "data_schema", f"is not plain JSON: {_cut(str(error))}")]
    return [_data_problem(error, root) for error in found]


def _data_problem(error: ValidationError, root: str) -> Problem:
    place = _place(root, error.instance_path)
    match error.kind:
        case ValidationErrorKind.Required(property=name):
            return Problem(f"{place}.{name}", "data_schema", "is missing; it must always be there")
        case ValidationErrorKind.Type(types=types):
            words = " or ".join(_WITH_ARTICLE[word] for word in sorted(types, key=lambda word: word == "null"))
            return Problem(place, "data_schema", f"is {_shown(error.instance)}, must be {words}")
        case _:
            return Problem(place, "data_schema", _cut(error.message))


def _schema_message(error: ValidationError) -> str:
    if error.instance_path[-1:] == ["type"]:
        return f"is {_shown(error.instance)}; JSON Schema knows {', '.join(TYPES)} and null"
    if error.instance_path[-1:] == ["pattern"]:
        return f"is {_shown(error.instance)}, not a pattern that can be used here (no look-around, no back-references)"
    return _cut(error.message)


def _place(root: str, path: Iterable[str | int]) -> str:
    return root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def _shown(value: object) -> str:
    match value:
        case None | bool() | float():
            return json.dumps(value)
        case int():
            return str(value) if abs(value) < 10**20 else "a number of more than 20 digits"
        case str():
            return json.dumps(_cut(value, 60), ensure_ascii=False)
        case list():
            return "an array"
        case _:
            return "an object"


def _cut(text: str, longest: int = 200) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
