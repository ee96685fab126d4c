"""A catalog that contradicts itself stops the start, and the message names file and field."""

import shutil
from pathlib import Path

import pytest

from dockbell.domain import catalog as catalog_module
from dockbell.domain.catalog import load_catalog
from dockbell.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = Path(catalog_module.__file__).parent / "event_types"
    return Path(shutil.copytree(source, tmp_path / "event_types"))


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('family = "Order"', 'family = "Order"\ncolour = "red"', "colour"),
        ('family = "Order"\n', "", "family"),
        ('family = "Order"', "family = 7", "family"),
        ('key = "order.picked"', 'key = "order.picked"\nfilters = []', "types[0].filters"),
        ('key = "order.picked"', 'key = "Order.Picked"', "types[0].key"),
        ('key = "order.picked"', 'key = "order"', "types[0].key"),
        ('key = "order.picked"\n', "", "types[0].key"),
        ('key = "order.created"', 'key = "order.picked"', "key"),
        ('name = "Order is created"', 'name = "Order is picked"', "name"),
        ('name = "Order is created"', 'name = ""', "types[2].name"),
        ('firesWhen = "A new order is registered."', 'firesWhen = ""', "types[2].firesWhen"),
        ('"webhookOrdersId", ', "", "header"),
        ('"webhookOrdersId", ', '"webhook id", ', "idField"),
        ('"webhookEventId", ', "", "header"),
        ('"goodsOwnerName"]', '"goodsOwner"]', "header"),
        ('"goodsOwnerName"]', "[]]", "header"),
        ('kind = "order"', 'kind = "Order"', "object.kind"),
        ('id = "orderId"', 'id = "orderNo"', "object.id"),
        ('id = "orderId"', 'id = "byUser"', "object.id"),
        ('id = "orderId"', 'id = "parcels[].id"', "object.id"),
        (', number = "orderNumber"', ', number = "orderNo"', "object.number"),
        (', number = "orderNumber"', ', label = "orderNumber"', "object.label"),
        ('"string",   "the number', '"text",     "the number', "fields.orderNumber"),
        ('["orderNumber", ', '["orderId",     ', "fields.orderId"),
        ('["orderStatus.number", ', '["status.number",      ', "fields.status.number"),
        ('["tracking[]", ', '["tracking",   ', "fields.tracking"),
        ('["orderNumber", ', '["timestamp",   ', "fields.timestamp"),
        ('  ["orderNumber", ', '  ["order..Number", ', "fields.order..Number"),
        (', "shipment the order lies on, if any"', "", "fields[12]"),
        ('["transporter", "string?"', '["transporter", "object?"', "attributes.transporter"),
        ('["transporter", ', '["the transporter", ', "attributes.the transporter"),
        ('["warehouse", ', '["orderType", ', "attributes.orderType"),
        ('["transporter", "string?"', '["carrier",     "string?"', "types[0].settings"),
        ('  ["statusFrom", "integer?", "status number before the change"],\n', "", "types[1].settings"),
        ('"orderType", "status"]', '"orderType", "colour"]', "types[1].settings"),
        ('"orderType", "status"]', '"orderType", "orderType"]', "types[1].settings"),
        ('"orderId": 50163', '"orderId": "50163"', "types[0].example.orderId"),
        ('  "orderId": 50163,\n', "", "types[0].example.orderId"),
        ('"consigneeOrderNumber": ', '"consigneOrderNumber": ', "types[0].example.consigneOrderNumber"),
        ('"trackingUrl": "https://carrier.example/t/UA', '"url": "https://carrier.example/t/UA',
         "types[0].example.tracking[].url"),
        ('"orderId": 50163', '"system": "demo", "orderId": 50163', "types[0].example.system"),
        ('"orderId": 50163', '"orderId" 50163', "example"),
        ("number = 450", 'number = "450"', "types[1].example.orderStatus.number"),
        ("number = 450", "numbr = 450", "types[1].example.orderStatus.numbr"),
    ],
)  # fmt: skip
def test_a_contradiction_stops_the_start_and_names_file_and_field(folder: Path, old: str, new: str, field: str) -> None:
    file = folder / "01_order.toml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_catalog(folder)
    assert f"{file}: {field}: " in caught.value.message


def test_all_files_that_are_wrong_are_named_at_once(folder: Path) -> None:
    (folder / "02_pick_order.toml").write_text("family = [", encoding="utf-8")
    (folder / "08_article.toml").write_bytes(b"\xff\xfe")
    (folder / "15_file.toml").write_text('family = "File"', encoding="utf-8")
    (folder / "16_directory.toml").mkdir()
    with pytest.raises(ConfigError) as caught:
        load_catalog(folder)
    lines = caught.value.message.splitlines()
    assert [line.partition(": ")[0].rpartition("/")[2] for line in lines[1:]] == [
        "02_pick_order.toml", "08_article.toml", *["15_file.toml"] * 5, "16_directory.toml",
    ]  # fmt: skip


def test_two_files_with_the_same_key_stop_the_start(folder: Path) -> None:
    shutil.copy(folder / "15_file.toml", folder / "16_more_files.toml")
    with pytest.raises(ConfigError) as caught:
        load_catalog(folder)
    assert f'{folder / "16_more_files.toml"}: key: "file.attached" is already taken' in caught.value.message


def test_a_family_without_types_stops_the_start(folder: Path) -> None:
    file = folder / "15_file.toml"
    file.write_text(file.read_text(encoding="utf-8").partition("[[types]]")[0] + "\ntypes = []\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="types: is empty"):
        load_catalog(folder)
    file.write_text(file.read_text(encoding="utf-8").replace("types = []", "types = [7]"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"types\[0\]: must be an object"):
        load_catalog(folder)


def test_a_folder_without_event_types_stops_the_start(tmp_path: Path) -> None:
    for empty in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match="holds no event types"):
            load_catalog(empty)
