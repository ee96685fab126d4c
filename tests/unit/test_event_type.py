"""Event types that operators define: as good as built-in ones, and their schemas can do no harm."""

import copy
import socket
from dataclasses import replace
from typing import Any

import pytest

from dockbell.domain.catalog import Catalog, EventType, Field, event_type_from, load_catalog
from dockbell.errors import InvalidInput

CATALOG = load_catalog()
ORDER_PICKED = next(iter(CATALOG))
OWN: dict[str, Any] = {
    "key": "return-order.arrived",
    "name": "Return order has arrived",
    "schema": {
        "type": "object",
        "required": ["returnOrderId"],
        "properties": {
            "returnOrderId": {"type": "integer", "description": "its id"},
            "returnOrderNumber": {"type": ["string", "null"]},
            "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        },
        "$defs": {
            "line": {"type": "object", "required": ["rowNumber"], "properties": {"rowNumber": {"type": "string"}}},
        },
    },
    "object": {"kind": "return-order", "id": "returnOrderId", "number": "returnOrderNumber"},
    "example": {"returnOrderId": 12, "returnOrderNumber": "RO-12", "lines": [{"rowNumber": "1"}]},
}


def own_type(**changes: Any) -> EventType:
    return event_type_from(copy.deepcopy(OWN) | changes)


def refusals(document: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        event_type_from(document)
    return {each.field: each.code for each in caught.value.problems}


def refusals_of_schema(schema: Any) -> dict[str, str]:
    found = refusals({"key": "own.type", "name": "Own", "schema": schema, "example": {}})
    assert all(field == "schema" or field.startswith("schema.") for field in found), found
    return found


# --- The operator's own types -----------------------------------------------------------------------


def test_an_operators_type_is_like_a_built_in_one() -> None:
    own = own_type()
    assert (own.id_field, own.family, own.built_in, own.fires_when) == ("webhookId", "Own event types", False, "")
    assert own.header_fields == (
        "webhookId", "webhookEventId", "system", "timestamp", "goodsOwnerId", "webhookTemplate", "goodsOwnerName",
    )  # fmt: skip
    assert own.key_of(own.example) == "return-order/12"
    assert own.number_of(own.example) == "RO-12"
    assert own.problems_with(own.example) == []
    bad = {"returnOrderId": "12", "lines": [{"rowNumber": 1}], "system": "other"}
    assert {each.field for each in own.problems_with(bad)} == {
        "data.system", "data.lines[0].rowNumber", "data.returnOrderId",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["goodsOwner\u0131d", "goodsOwner\u0130d", "t\u0131mestamp", "GOODSOWNER\u0130D", "\u017fystem"]
)
def test_names_that_dockbell_writes_itself_are_refused_in_every_case_a_receiver_may_ignore(name: str) -> None:
    """Java's equalsIgnoreCase takes goodsOwner\u0131d and goodsOwner\u0130d for goodsOwnerId."""
    own = own_type()
    for data in ({**own.example, name: 1}, {**own.example, "K\u00e4nnetecken": "x", name: 1}):
        assert [each.field for each in own.problems_with(data)] == [f"data.{name}"]
        assert own.taken_names(data) == [name]
    assert own.problems_with({**own.example, "K\u0131nd": "x"}) == []


def test_the_fields_of_an_operators_type_come_from_its_schema() -> None:
    assert own_type().fields == (
        Field("returnOrderId", "integer", False, "its id"),
        Field("returnOrderNumber", "string", True, ""),
        Field("lines[]", "array", True, ""),
        Field("lines[].rowNumber", "string", False, ""),
    )


def test_what_in_a_schema_cannot_be_a_field_is_left_out_but_still_checked() -> None:
    schema = {
        "properties": {
            "either": {"type": ["string", "integer"]},
            "anything": True,
            "untyped": {"minimum": 3},
            "a.b": {"type": "integer"},
            "c[]": {"type": "integer"},
            "plain": {"type": "array", "items": {"type": "string"}},
            "loose": {"$ref": "#/$defs/any"},
            "named": {"$ref": "#/$defs/of%20a~1b"},
        },
        "$defs": {"any": True, "of a/b": {"type": "boolean"}},
    }
    own = own_type(schema=schema, example={}, object={})
    assert own.fields == (Field("plain[]", "array", True, ""), Field("named", "boolean", True, ""))
    assert {each.field for each in own.problems_with({"a.b": "x", "untyped": 2})} == {"data.untyped", "data.a.b"}


@pytest.mark.parametrize("data", [None, [], "{}", 7, True])
def test_data_of_an_own_type_is_an_object_even_if_its_schema_does_not_say_so(data: object) -> None:
    anything = own_type(schema={}, example={}, object={})
    assert [each.field for each in anything.problems_with(data)] == ["data"]


def test_an_operators_type_may_say_everything_a_built_in_one_says() -> None:
    own = own_type(
        family="Return order",
        firesWhen="Returned goods arrive.",
        idField="webhookReturnOrdersId",
        attributes=[
            {"path": "statusFrom", "type": "integer"},
            {"path": "statusTo", "type": "integer", "nullable": False, "meaning": "status number"},
        ],
        settings=["status"],
    )
    assert (own.family, own.fires_when, own.settings) == ("Return order", "Returned goods arrive.", ("status",))
    assert own.header_fields[0] == own.id_field == "webhookReturnOrdersId"
    assert own.attributes == (
        Field("statusFrom", "integer", True, ""),
        Field("statusTo", "integer", False, "status number"),
    )


def test_a_type_about_no_object_has_no_key() -> None:
    document = {name: value for name, value in OWN.items() if name != "object"}
    own = event_type_from(document)
    assert own.key_of(own.example) is None
    assert own.number_of(own.example) is None


def test_all_problems_of_an_operators_type_are_told_at_once() -> None:
    assert refusals(
        {
            "key": "Return.Arrived",
            "name": "two\nlines",
            "firesWhen": 7,
            "idField": "goodsOwnerId",
            "schema": {"type": "object", "properties": {"id": {"type": "integer"}}},
            "object": {"kind": "x", "id": "ident", "name": "y"},
            "example": {"id": "7"},
            "attributes": [{"path": "size", "type": "huge"}, 7],
            "settings": ["status", "colour"],
            "examples": [],
        }
    ) == {
        "key": "field_value",
        "name": "field_value",
        "firesWhen": "field_type",
        "idField": "field_value",
        "object.name": "field_unknown",
        "object.id": "field_value",
        "example.id": "data_schema",
        "attributes.size": "field_value",
        "attributes[1]": "field_type",
        "settings": "field_value",
        "examples": "field_unknown",
    }
    assert refusals({}) == dict.fromkeys(["key", "name", "schema", "example"], "field_missing")
    assert refusals([]) == {"eventType": "field_type"}
    assert refusals(OWN | {"object": {"kind": 1}, "settings": [[]], "example": None}) == {
        "object.kind": "field_type", "object.id": "field_missing", "settings": "field_type", "example": "field_type",
    }  # fmt: skip


@pytest.mark.parametrize(
    "key",
    ["order", "order.", ".order", "order picked", "order.picked\n", "örder.picked", "*", "order.*", "Order.picked",
     "1order.picked", "order..picked", "a." + "b" * 63, "order.picked'; DROP TABLE events;--"],
)  # fmt: skip
def test_a_key_that_is_not_lower_case_words_with_dots_is_refused(key: str) -> None:
    assert refusals(OWN | {"key": key}) == {"key": "field_value"}


@pytest.mark.parametrize("key", ["a.b", "a." + "b" * 62, "return-order.arrived.late", "x1.y-2"])
def test_a_key_of_lower_case_words_with_dots_is_taken(key: str) -> None:
    assert own_type(key=key).key == key


def test_a_schema_may_not_describe_what_the_header_says() -> None:
    schema = {"properties": {"timestamp": {"type": "string"}, "system": {"type": "array"}}}
    assert refusals({"key": "a.b", "name": "A", "schema": schema, "example": {}}) == {
        "fields.timestamp": "field_value", "fields.system": "field_value",
    }  # fmt: skip


def test_own_types_join_the_built_in_ones_and_do_not_replace_them() -> None:
    families = CATALOG.families()
    both = CATALOG.with_types([own_type()])
    assert (len(CATALOG), len(both)) == (38, 39)
    assert both.get("return-order.arrived") == own_type()
    assert CATALOG.get("return-order.arrived") is None
    assert both.families() == [*families, "Own event types"]
    assert both.did_you_mean("return-order.arived") == "return-order.arrived"


def test_an_own_type_with_the_key_or_name_of_another_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        CATALOG.with_types([own_type(key="order.picked"), own_type(key="own.type", name="Order is created")])
    assert [(each.field, each.code) for each in caught.value.problems] == [
        ("key", "duplicate"), ("name", "duplicate"),
    ]  # fmt: skip
    assert 'the built-in event type "order.picked"' in caught.value.problems[0].message
    with pytest.raises(InvalidInput):
        Catalog([own_type(), own_type(name="Another name")])


def test_a_type_cannot_be_changed_into_one_that_contradicts_itself() -> None:
    assert replace(ORDER_PICKED, name="Order has been picked").problems_with({}) != []
    with pytest.raises(InvalidInput, match=r"object\.id"):
        replace(ORDER_PICKED, object_id="orderNo")


# --- Foreign schemas --------------------------------------------------------------------------------


def test_a_reference_out_of_the_schema_is_refused_and_nothing_is_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/schema.json"
        for schema, field in (
            ({"$ref": url}, "schema.$ref"),
            ({"properties": {"a": {"items": {"$ref": f"{url}#/$defs/x"}}}}, "schema.properties.a.items.$ref"),
            ({"$defs": {"a": {"anyOf": [{"$ref": url}]}}}, "schema.$defs.a.anyOf[0].$ref"),
            ({"$schema": url}, "schema.$schema"),
            ({"$id": url, "$ref": "other.json"}, "schema.$ref"),
            ({"properties": {"a": {"$id": url}}}, "schema.properties.a.$id"),
            ({"dependencies": {"a": {"$ref": url}}}, "schema.dependencies.a.$ref"),
            ({"$dynamicRef": url}, "schema.$dynamicRef"),
        ):
            assert refusals_of_schema(schema) == {field: "schema_reference"}
        with pytest.raises(BlockingIOError):  # nobody has come
            listener.accept()


@pytest.mark.parametrize(
    "reference", ["file:///etc/passwd", "other.json", "#anchor", "#", "", "#/properties/a", "#/$defs/b", "#/$defs/a/x"]
)
def test_only_definitions_of_the_schema_itself_may_be_referred_to(reference: str) -> None:
    schema = {"properties": {"a": {"type": "object"}, "b": {"$ref": reference}}, "$defs": {"a": {}}}
    assert refusals_of_schema(schema) == {"schema.properties.b.$ref": "schema_reference"}


def test_a_property_may_be_called_like_a_keyword() -> None:
    schema = {
        "properties": {
            "$ref": {"type": "string"},
            "$id": {"type": "integer"},
            "type": {"const": {"$ref": "http://a/"}},
        },
        "default": {"$ref": "http://a/"},
    }
    own = own_type(schema=schema, example={"$ref": "x", "$id": 7}, object={})
    assert [each.path for each in own.fields] == ["$ref", "$id"]


def test_a_schema_that_contains_itself_is_refused() -> None:
    person = {"properties": {"parent": {"$ref": "#/$defs/person"}}}
    found = refusals_of_schema({"$ref": "#/$defs/person", "$defs": {"person": person}})
    assert found == {"schema.$defs.person": "schema_reference"}
    found = refusals_of_schema({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}})
    assert found == {"schema.$defs.a": "schema_reference"}


def test_a_short_schema_that_means_billions_of_schemas_is_refused() -> None:
    doubling = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(20)} | {"d20": {}}
    chain = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(1_000)} | {"d1000": {}}
    for definitions in (doubling, chain, dict(reversed(chain.items())), dict(reversed(doubling.items()))):
        found = refusals_of_schema({"$ref": "#/$defs/d0", "$defs": definitions})
        assert list(found.values()) == ["schema_too_large"]


def test_a_schema_that_is_too_long_too_deep_or_full_of_patterns_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(10_000):
        deep = {"not": deep}
    for schema in (
        {"description": "x" * 70_000},
        deep,
        {"properties": {f"p{n}": {"pattern": "^a"} for n in range(51)}},
    ):
        assert list(refusals_of_schema(schema).values()) == ["schema_too_large"]
    level: dict[str, Any] = {"type": "integer"}
    for _ in range(12):
        level = {"type": "object", "properties": {"x": level}}
    assert len(own_type(schema=level, example={}, object={}).fields) == 12


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ({"type": "strng"}, "schema.type"),
        ({"properties": {"a": {"required": "b"}}}, "schema.properties.a.required"),
        ({"pattern": "("}, "schema.pattern"),
        ({"pattern": "^(?=a)"}, "schema.pattern"),
        ({"properties": {"a": {"pattern": r"(a)\1"}}}, "schema.properties.a.pattern"),
        ({"properties": 7}, "schema.properties"),
        ({"default": float("nan")}, "schema"),
    ],
)
def test_a_schema_that_is_none_is_refused_where_it_is_wrong(schema: dict[str, Any], field: str) -> None:
    assert refusals_of_schema(schema) == {field: "schema_invalid"}


def test_no_pattern_of_an_operator_can_keep_the_machine_busy() -> None:
    own = own_type(schema={"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}, example={}, object={})
    assert [each.field for each in own.problems_with({"a": "a" * 50_000 + "b"})] == ["data.a"]
