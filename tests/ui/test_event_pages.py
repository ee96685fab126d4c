"""Events and event types in the browser: what happened to an order, and why a webhook did not fire, in a minute."""

import json
import re
from typing import Any

import pytest

from dockbell.web.ui.event_types import LANGUAGES, snippet
from tests.support.browser_like import Browser, a_browser
from tests.support.parts import CATALOG, Server, a_server
from tests.support.rows import FJORD, TEA

LIST = "/administration/events"
TYPES = "/administration/event-types"
PICKED = next(dict(each.example) for each in CATALOG if each.key == "order.picked")


def admin(server: Server) -> Browser:
    return a_browser(server.app, server.parts)


async def picked(server: Server, number: str, **more: Any) -> int:
    data = {**PICKED, "orderNumber": number, "orderId": int(number)}
    return int((await server.publish(type="order.picked", data=data, **more))["eventId"])


async def test_an_order_is_found_by_its_number_with_what_each_webhook_did_about_it(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(name="ERP")
        await server.make_webhook(name="Only DHL", filters={"transporters": ["DHL"]})
        await picked(server, "12345", attributes={"transporter": "PostNord"})
        await picked(server, "99999")
        browser = admin(server)
        for about in ("order 12345", "order/12345", "12345"):
            await browser.get(f"{LIST}?about={about.replace(' ', '+')}")
            assert browser.last.status == 200
            assert "pending ERP" in browser.words
            assert "did not fire Only DHL" in browser.words
            assert "met PostNord" in browser.words
            assert "99999" not in browser.words


async def test_where_an_event_fired_stands_first_and_many_of_other_goods_owners_are_folded(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(name="Only DHL", filters={"transporters": ["DHL"]})
        for number in range(6):
            await server.make_webhook(name=f"Fjord {number}", goodsOwnerIds=[FJORD])
        await server.make_webhook(name="ERP")
        event = await picked(server, "12345", attributes={"transporter": "PostNord"})
        browser = admin(server)
        await browser.get(f"{LIST}/{event}")
        told, _, folded = browser.text.partition("<details>")
        assert re.findall(r'href="/administration/webhooks/\d+">([^<]+)<', told) == ["ERP", "Only DHL"]
        assert folded.startswith("<summary>For other goods owners: 6</summary>")
        assert re.findall(r'href="/administration/webhooks/\d+">([^<]+)<', folded) == [f"Fjord {n}" for n in range(6)]


async def test_an_events_page_shows_the_data_as_published_and_each_webhooks_reason(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(name="Off", enabled=False)
        event = await picked(server, "12345", attributes={"transporter": "DHL"})
        browser = admin(server)
        await browser.get(f"{LIST}/{event}")
        assert browser.last.status == 200
        assert "it was disabled, since" in browser.words
        assert "transporter DHL" in browser.words


async def test_a_goods_owners_user_finds_only_their_own_events(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        mine = await picked(server, "1")
        other = await picked(server, "2", goodsOwnerId=FJORD)
        browser = a_browser(server.app, server.parts, "goods-owner", [TEA])
        await browser.get(LIST)
        assert f"{LIST}/{mine}" in browser.text
        assert f"{LIST}/{other}" not in browser.text
        assert (await browser.get(f"{LIST}/{other}")).status == 404
        await browser.get(f"{LIST}?about=order+2")
        assert "No event fits" in browser.words
        assert "ask whoever publishes for the answer they got" in browser.words


@pytest.mark.parametrize(("query", "numbers"), [("", range(1, 54)), ("?about=order+7", [7] * 23)])
async def test_the_list_goes_on_where_the_last_page_ended(tmp_path, database, query, numbers):
    async with a_server(database, tmp_path) as server:
        events = [await picked(server, str(number)) for number in numbers]
        browser = admin(server)
        seen: list[str] = []
        await browser.get(LIST + query)
        while True:
            seen += re.findall(rf'href="{LIST}/(\d+)"', browser.text)
            more = re.search(r'rel="next" href="([^"]+)"', browser.text)
            if more is None:
                break
            await browser.get(more[1].replace("&amp;", "&"))
        assert seen == [str(event) for event in reversed(events)]


@pytest.mark.parametrize("wrong", [["from"], ["goodsOwnerId"], ["before"], ["from", "to", "goodsOwnerId", "before"]])
async def test_filters_that_cannot_be_read_are_said_on_the_page(tmp_path, database, wrong):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        assert (await browser.get(f"{LIST}?{'&'.join(f'{name}=x' for name in wrong)}")).status == 422
        assert re.findall(r"<li><code>(\w+)</code>", browser.text) == wrong


@pytest.mark.parametrize("key", [each.key for each in CATALOG])
async def test_each_built_in_type_has_its_page_with_every_field(tmp_path, key):
    from dockbell.store.database import open_database
    from dockbell.store.migrate import migrate

    database = open_database(str(tmp_path / "x.sqlite"))
    migrate(database, now=1)
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        assert (await browser.get(f"{TYPES}/{key}")).status == 200
        event_type = CATALOG.get(key)
        assert event_type is not None
        assert all(f"<code>{each.path}</code>" in browser.text for each in event_type.fields)
    database.close()


async def test_an_own_type_is_made_changed_used_and_deleted_by_hand(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        fields = {
            "key": "warehouse-alarm.raised", "name": "Alarm is raised", "firesWhen": "A detector reports smoke.",
            "schema": '{"type": "object", "properties": {"alarmId": {"type": "integer"}}}', "example": '{"alarmId": 7}',
            "objectKind": "alarm", "objectId": "alarmId", "objectNumber": "",
        }  # fmt: skip
        await browser.get(f"{TYPES}/new")
        wrong = {**fields, "schema": '{"type": 5}', "example": "{", "key": "No Key"}
        await browser.submit(f"{TYPES}/new", wrong)
        assert browser.last.status == 422
        assert "No Key" in browser.text
        await browser.submit(f"{TYPES}/new", {**wrong, "example": '{"alarmId": "x"}'})
        assert {"key", "schema"} <= set(re.findall(r'id="problem-(\w+)-', browser.text))
        await browser.submit(f"{TYPES}/new", fields)
        assert browser.where.startswith(f"{TYPES}/warehouse-alarm.raised")
        await server.publish(type="warehouse-alarm.raised", data={"alarmId": 9})
        await browser.submit(f"{TYPES}/warehouse-alarm.raised/edit", {**fields, "name": "Alarm!"})
        assert "Alarm!" in browser.words
        await browser.submit(f"{TYPES}/warehouse-alarm.raised/delete")
        assert (await browser.get(f"{TYPES}/warehouse-alarm.raised")).status == 404
        assert (await browser.get(f"{TYPES}/order.picked/edit")).status == 409


async def test_an_own_types_form_keeps_what_it_does_not_show(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        own = {
            "key": "alarm.raised", "name": "Alarm", "family": "Alarms", "idField": "hookId", "settings": ["transporter"],
            "firesWhen": "A detector reports smoke.", "schema": {"type": "object"}, "example": {"alarmId": 7},
            "attributes": [{"path": "transporter", "type": "string", "nullable": False, "meaning": "who carries it"}],
        }  # fmt: skip
        before = (await server.admin.post("/api/v1/eventTypes", own)).document
        browser = admin(server)
        await browser.get(f"{TYPES}/alarm.raised/edit")
        form = {"name": "Alarm!", "schema": json.dumps(own["schema"]), "example": json.dumps(own["example"])}
        await browser.submit(f"{TYPES}/alarm.raised/edit", form)
        after = (await server.admin.get("/api/v1/eventTypes/alarm.raised")).document
        assert after == {**before, "name": "Alarm!", "firesWhen": ""}


def test_the_page_shows_the_code_that_the_documentation_shows_and_runs():
    from pathlib import Path

    document = (Path(__file__).parents[2] / "docs/how-to/verify-a-signature.md").read_text("utf-8")
    for name, _ in LANGUAGES:
        assert snippet(name) in document, name
