"""The catalog: the 38 documented event types, what they say, and what their data may be."""

import copy
import json
from typing import Any

import pytest

from dockbell.domain import catalog as catalog_module
from dockbell.domain.catalog import EventType, load_catalog

CATALOG = load_catalog()
DOCUMENTED = {
    "Order": {
        "order.picked": "Order is picked",
        "order.status-changed": "Order status is changed",
        "order.created": "Order is created",
    },
    "Pick order": {
        "pick-order.created": "Pick order is created",
        "pick-order.started": "Pick order is started",
        "pick-order.executed": "Pick order is executed",
    },
    "Picking, packing and returns": {
        "article.allocated": "Article is allocated",
        "article.picked": "Article is picked",
        "article.packed": "Article is packed",
        "article.returned": "Article is returned",
        "article.deallocated": "Article is deallocated",
    },
    "Purchase order": {
        "purchase-order.received": "Purchase order is received",
        "purchase-order.status-changed": "Purchase order status is changed",
        "purchase-order.created": "Purchase order is created",
    },
    "Purchase order line": {
        "purchase-order-line.created": "Purchase order line is created",
        "purchase-order-line.changed": "Purchase order line is changed",
        "purchase-order-line.deleted": "Purchase order line is deleted",
    },
    "Inbound and move": {
        "inbound.performed": "Inbound transaction has been performed",
        "move.performed": "Move transaction has been performed",
    },
    "Inventory (stock adjustment)": {"inventory.performed": "Inventory transaction has been performed"},
    "Article": {
        "article.created": "Article is created",
        "article.updated": "Article is updated",
        "article.deleted": "Article is deleted",
    },
    "Article item": {"article-item.status-changed": "Article item status is changed"},
    "Movement order": {
        "movement-order.created": "Movement order is created",
        "movement-order.updated": "Movement order is updated",
        "movement-order.executed": "Movement order is executed",
        "movement-order.deleted": "Movement order is deleted",
    },
    "Movement pallet item": {
        "movement-pallet-item.created": "Movement pallet item is created",
        "movement-pallet-item.updated": "Movement pallet item is updated",
        "movement-pallet-item.executed": "Movement pallet item is executed",
        "movement-pallet-item.deleted": "Movement pallet item is deleted",
    },
    "Pallet item": {"pallet-item.closed": "Pallet item is closed"},
    "Shipment": {
        "inbound-shipment.status-changed": "Inbound shipment status is changed",
        "outbound-shipment.status-changed": "Outbound shipment status is changed",
    },
    "Production order": {
        "production-order.status-changed": "Production order status is changed",
        "production-order.created": "Production order is created",
    },
    "File": {"file.attached": "File is attached to an object"},
}
OF_EACH_FAMILY = [next(each for each in CATALOG if each.family == family) for family in DOCUMENTED]
SAMPLE: dict[str, Any] = {"integer": 7, "number": 7.5, "string": "seven", "boolean": True}


def built_in(key: str) -> EventType:
    found = CATALOG.get(key)
    assert found is not None
    return found


def ids(each: EventType) -> str:
    return each.key


# --- What is documented -----------------------------------------------------------------------------


def test_the_38_types_of_the_15_families_are_there_in_the_documented_order() -> None:
    assert len(CATALOG) == 38
    assert CATALOG.families() == list(DOCUMENTED)
    assert [(each.key, each.name, each.family) for each in CATALOG] == [
        (key, name, family) for family, types in DOCUMENTED.items() for key, name in types.items()
    ]
    assert all(each.built_in and each.fires_when for each in CATALOG)


def test_each_family_carries_the_webhooks_id_under_its_own_name() -> None:
    assert [each.id_field for each in OF_EACH_FAMILY] == [
        "webhookOrdersId", "webhookPickOrderId", "webhookPickingId", "webhookPurchaseOrdersId",
        "webhookPurchaseOrderLinesId", "webhookMovesId", "webhookInventoryId", "webhookArticlesId",
        "webhookArticleItemsId", "webhookMovementArticleItemsId", "webhookMovementPalletItemsId",
        "webhookPalletItemsId", "webhookShipmentsId", "webhookProductionOrdersId", "webhookFilesId",
    ]  # fmt: skip


def test_only_articles_and_moves_leave_out_the_goods_owners_name() -> None:
    common = ("webhookEventId", "system", "timestamp", "goodsOwnerId", "webhookTemplate")
    for each in CATALOG:
        without = each.family in ("Article", "Inbound and move")
        assert each.header_fields == (each.id_field, *common, *(() if without else ("goodsOwnerName",))), each.key


def test_the_webhook_form_offers_the_documented_settings() -> None:
    assert {each.key: each.settings for each in CATALOG if each.settings} == {
        "order.picked": ("transporter", "orderType"),
        "order.status-changed": ("transporter", "orderType", "status"),
        "order.created": ("transporter", "orderType"),
        "purchase-order.status-changed": ("status",),
        "purchase-order-line.created": ("fireWhenPurchaseOrderIsCreated",),
        "inbound-shipment.status-changed": ("status",),
        "outbound-shipment.status-changed": ("status",),
        "production-order.status-changed": ("status",),
    }


def test_what_a_setting_is_decided_by_comes_with_the_event() -> None:
    changed = {each.path: each.type for each in built_in("order.status-changed").attributes}
    assert changed.items() >= {
        "transporter": "string", "orderType": "string", "statusFrom": "integer", "statusTo": "integer",
    }.items()  # fmt: skip
    created = {each.path: each.type for each in built_in("purchase-order-line.created").attributes}
    assert created["createdWithPurchaseOrder"] == "boolean"


def test_compound_fields_of_the_documents_are_single_fields_here() -> None:
    fields = {each.path: each for each in built_in("inventory.performed").fields}
    status = "articleItem.articleItemStatus"
    assert fields[status].type == "object" and fields[status].nullable
    assert [(each.path.rpartition(".")[2], each.type, each.nullable) for each in fields.values()
            if each.path.startswith(status + ".")] == [
        ("articleItemStatusId", "integer", False),
        ("articleItemStatusCode", "string", True),
        ("articleItemStatusName", "string", True),
        ("isStatusLocked", "boolean", False),
        ("isStatusLockedForSale", "boolean", False),
    ]  # fmt: skip
    assert not [each.path for type_ in CATALOG for each in type_.fields if "{" in each.path or "," in each.type]


def test_every_field_says_what_it_means() -> None:
    assert not [f"{type_.key}: {each.path}" for type_ in CATALOG for each in type_.fields if not each.meaning]


# --- Examples and objects ---------------------------------------------------------------------------


@pytest.mark.parametrize("event_type", list(CATALOG), ids=ids)
def test_every_example_is_valid_and_survives_being_written_as_json(event_type: EventType) -> None:
    assert event_type.problems_with(event_type.example) == []
    assert event_type.problems_with(json.loads(json.dumps(event_type.example))) == []


@pytest.mark.parametrize("family", DOCUMENTED)
def test_the_examples_of_a_family_show_each_of_its_fields(family: str) -> None:
    below_null = {
        "transaction.returnRemovedByOrder.orderId",
        "context.purchaseOrder.purchaseOrderId",
        "context.shipment.shipmentId",
    }
    types = [each for each in CATALOG if each.family == family]
    shown = {path for each in types for path in catalog_module._paths(each.example)}
    assert {each.path for each in types[0].fields} - shown <= below_null


def test_the_examples_of_a_family_differ_where_the_types_do() -> None:
    assert built_in("order.picked").example["orderStatus"]["number"] == 400
    assert built_in("order.status-changed").example["orderStatus"]["number"] == 450
    assert built_in("order.created").example["parcels"] == []
    for key, flag in (("allocated", "isAllocated"), ("picked", "isPicked"), ("packed", "isPacked"),
                      ("returned", "isReturned"), ("deallocated", "isDeleted")):  # fmt: skip
        example = built_in(f"article.{key}").example
        assert [name for name, value in example.items() if value is True] == [flag]


@pytest.mark.parametrize(
    ("key", "object_key", "number"),
    [
        ("order.picked", "order/50163", "SO-1001"),
        ("pick-order.created", "pick-order/9042", None),
        ("article.picked", "order/50163", "SO-1001"),
        ("purchase-order.created", "purchase-order/247", "PO-1213534"),
        ("purchase-order-line.deleted", "purchase-order/247", "PO-1213534"),
        ("inbound.performed", "article-item/59291", "TEA-1009"),
        ("inventory.performed", "inventory/107", "TEA-1009"),
        ("article.created", "article/18069", "TEA-1009"),
        ("article-item.status-changed", "article-item/59291", "TEA-1009"),
        ("movement-order.executed", "movement-order/33001", "TEA-1009"),
        ("movement-pallet-item.updated", "movement-pallet-item/5501", "PAL-410"),
        ("pallet-item.closed", "pallet-item/207", "00376546546"),
        ("outbound-shipment.status-changed", "shipment/3301", "SHP-3301"),
        ("production-order.created", "production-order/801", "MO-801"),
        ("file.attached", "file/991", "label-SO-1001.pdf"),
    ],
)
def test_the_object_an_event_is_about_is_read_from_its_data(key: str, object_key: str, number: str | None) -> None:
    event_type = built_in(key)
    assert event_type.key_of(event_type.example) == object_key
    assert event_type.number_of(event_type.example) == number


def test_the_id_of_a_built_in_types_object_is_always_there() -> None:
    for each in CATALOG:
        parts = each.object_id.split(".")
        fields = {found.path: found for found in each.fields}
        assert not [n for n in range(1, len(parts) + 1) if fields[".".join(parts[:n])].nullable], each.key


@pytest.mark.parametrize(
    ("found", "key"),
    [(7, "order/7"), (7.0, "order/7"), ("A-7", "order/A-7"), (7.5, None), (True, None), (None, None), ("", None),
     ({}, None), ([7], None)],
)  # fmt: skip
def test_only_whole_numbers_and_text_make_a_key(found: object, key: str | None) -> None:
    assert built_in("order.picked").key_of({"orderId": found}) == key
    assert built_in("order.picked").key_of({}) is None
    assert built_in("article.picked").key_of({"order": [found]}) is None


# --- Data that is refused ---------------------------------------------------------------------------


def full(event_type: EventType) -> dict[str, Any]:
    """Data with every field present and nothing null, so that each can be spoiled by itself."""
    data: dict[str, Any] = {}
    holders: dict[str, dict[str, Any]] = {"": data}
    for each in event_type.fields:
        parent, _, name = each.path.rpartition(".")
        if each.type == "array":
            holders[each.path] = {}
            holders[parent][name.removesuffix("[]")] = [holders[each.path]]
        elif each.type == "object":
            holders[each.path] = holders[parent][name] = {}
        else:
            holders[parent][name] = SAMPLE[each.type]
    return data


def full_around(event_type: EventType, path: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Full data again, with the object that holds the value at `path`, and the value's name there."""
    data = full(event_type)
    holder: Any = data
    *parents, name = path.split(".")
    for part in parents:
        holder = holder[part.removesuffix("[]")]
        holder = holder[0] if part.endswith("[]") else holder
    return data, holder, name.removesuffix("[]")


@pytest.mark.parametrize("event_type", OF_EACH_FAMILY, ids=ids)
def test_a_field_that_is_missing_or_null_is_refused_unless_it_is_nullable(event_type: EventType) -> None:
    assert event_type.problems_with(full(event_type)) == []
    for each in event_type.fields:
        place = "data." + each.path.removesuffix("[]").replace("[]", "[0]")
        expected = [] if each.nullable else [(place, "data_schema")]
        data, holder, name = full_around(event_type, each.path)
        del holder[name]
        assert [(p.field, p.code) for p in event_type.problems_with(data)] == expected, f"{each.path} missing"
        holder[name] = None
        assert [(p.field, p.code) for p in event_type.problems_with(data)] == expected, f"{each.path} null"


@pytest.mark.parametrize("event_type", OF_EACH_FAMILY, ids=ids)
def test_a_field_of_a_wrong_type_is_refused_even_where_null_is_allowed(event_type: EventType) -> None:
    wrong_types: dict[str, tuple[Any, ...]] = {
        "integer": ("7", 7.5, True, {}), "number": ("7", True, []), "string": (7, False, {}),
        "boolean": (1, "true", []), "object": ([], "{}", 7), "array": ({}, "[]", 7),
    }  # fmt: skip
    for each in event_type.fields:
        place = "data." + each.path.removesuffix("[]").replace("[]", "[0]")
        for value in wrong_types[each.type]:
            data, holder, name = full_around(event_type, each.path)
            holder[name] = value
            found = event_type.problems_with(data)
            assert [(p.field, p.code) for p in found] == [(place, "data_schema")], f"{each.path} = {value!r}"


def test_all_problems_of_the_data_are_told_at_once_with_value_and_what_is_allowed() -> None:
    data = copy.deepcopy(dict(built_in("order.picked").example))
    data |= {"orderId": "50163", "orderStatus": {}, "currentShipmentId": "none", "tracking": [{"isReturn": "no"}]}
    del data["orderNumber"]
    assert {each.field: each.message for each in built_in("order.picked").problems_with(data)} == {
        "data.orderId": 'is "50163", must be an integer',
        "data.orderNumber": "is missing; it must always be there",
        "data.orderStatus.number": "is missing; it must always be there",
        "data.currentShipmentId": 'is "none", must be an integer or null',
        "data.tracking[0].isReturn": 'is "no", must be a boolean',
    }


def test_a_long_value_is_not_repeated_in_full_and_thousands_of_problems_are_not_listed() -> None:
    data = dict(built_in("order.picked").example) | {"orderId": "x" * 100_000}
    [problem] = built_in("order.picked").problems_with(data)
    assert len(problem.message) < 200
    data = dict(built_in("order.picked").example) | {"parcels": [{"id": "x", "isReturnParcel": 1}] * 5_000}
    assert len(built_in("order.picked").problems_with(data)) == 100


@pytest.mark.parametrize("data", [None, [], "{}", 7, True])
def test_data_that_is_no_object_is_refused(data: object) -> None:
    assert [each.field for each in built_in("order.picked").problems_with(data)] == ["data"]


def test_fields_nobody_knows_yet_are_welcome_since_payloads_grow() -> None:
    data = copy.deepcopy(dict(built_in("order.picked").example))
    data["newThing"] = {"a": 1}
    data["orderStatus"]["text"] = "Picked"
    data["parcels"][0]["weight"] = 1.5
    assert built_in("order.picked").problems_with(data) == []


@pytest.mark.parametrize("event_type", OF_EACH_FAMILY, ids=ids)
def test_data_may_not_bring_what_the_header_says(event_type: EventType) -> None:
    data = dict(event_type.example)
    for name in event_type.header_fields:
        assert [each.field for each in event_type.problems_with(data | {name: 115})] == [f"data.{name}"]


# --- Looking up -------------------------------------------------------------------------------------


def test_an_unknown_key_is_not_found() -> None:
    assert CATALOG.get("order.pickd") is None
    assert CATALOG.get("") is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("order.pickd", "order.picked"),
        ("Order.Picked", "order.picked"),
        ("order_status_changed", "order.status-changed"),
        ("purchaseorder.created", "purchase-order.created"),
        ("Order is picked", "order.picked"),
        ("inbound transaction performed", "inbound.performed"),
        ("qqqq", None),
        ("", None),
        ("x" * 1_000_000, None),
    ],
)
def test_a_misspelt_key_is_answered_with_the_one_probably_meant(written: str, meant: str | None) -> None:
    assert CATALOG.did_you_mean(written) == meant
