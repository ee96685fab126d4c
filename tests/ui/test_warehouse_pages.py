"""The reference warehouse by hand: a step is taken with its events, or refused with the reason and nothing changes."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from dockbell.store.database import Database
from dockbell.warehouse import pages
from dockbell.warehouse.demo_data import load_demo
from dockbell.web.server import build_app
from tests.support.browser_like import Browser, a_browser
from tests.support.parts import Server, a_server
from tests.support.rows import TEA

LIST = "/warehouse/orders"


@asynccontextmanager
async def a_warehouse(database: Database, folder) -> AsyncIterator[Server]:
    async with a_server(database, folder) as server:
        now = server.parts.clock.now()
        await database.write(lambda tx: load_demo(tx, server.parts.publisher, now))
        server.parts = replace(server.parts, warehouse=True)
        server.app = build_app(server.parts, more_pages=[pages.routes])
        yield server


async def order_12345(browser: Browser) -> str:
    """Its page's path."""
    await browser.get(f"{LIST}?number=12345")
    found = re.search(rf"{LIST}/\d+", browser.text)
    assert found is not None
    return found[0]


async def test_an_order_is_picked_by_hand_and_its_page_shows_what_dockbell_told(tmp_path, database):
    async with a_warehouse(database, tmp_path) as server:
        await server.make_webhook(name="ERP", filters={"transporters": ["DHL"]})
        await server.make_webhook(name="Only Bring", filters={"transporters": ["Bring"]})
        browser = a_browser(server.app, server.parts, "warehouse")
        path = await order_12345(browser)
        await browser.get(path)
        await browser.submit(f"{path}/allocate")
        await browser.submit(f"{path}/pick")
        assert "400 Picked" in browser.words
        assert "pending ERP" in browser.words
        assert "did not fire Only Bring" in browser.words
        assert "met DHL" in browser.words


async def test_an_impossible_step_is_refused_with_the_reason_and_changes_nothing(tmp_path, database):
    async with a_warehouse(database, tmp_path) as server:
        browser = a_browser(server.app, server.parts)
        path = await order_12345(browser)
        await browser.get(path)
        for step, status in (("send", 409), ("fly", 404), ("pick", 409)):
            await browser.submit(f"{path}/{step}")
            assert browser.last.status == status
        assert "its status is 200 Open" in browser.words
        await browser.get(path)
        assert "200 Open" in browser.words


async def test_an_order_is_made_by_hand_and_everything_wrong_is_said_at_once(tmp_path, database):
    async with a_warehouse(database, tmp_path) as server:
        browser = a_browser(server.app, server.parts)
        await browser.get(LIST + "/new")
        fields = [
            ("goodsOwnerId", str(TEA)), ("orderNumber", "77001"), ("transporter.transporterCode", "DHL"),
            ("orderLines.rowNumber", ""), ("orderLines.articleNumber", "TEA-999"), ("orderLines.numberOfItems", "2"),
            ("orderLines.rowNumber", ""), ("orderLines.articleNumber", "TEA-001"), ("orderLines.numberOfItems", "a few"),
        ]  # fmt: skip
        await browser.submit(LIST + "/new", fields)
        assert browser.last.status == 422
        assert 'value="a few"' in browser.text
        assert 'href="#new-orderLines[1].numberOfItems"' in browser.text
        assert "Number of items 2 : 'a few' does not fit" in browser.words
        fields[-1] = ("orderLines.numberOfItems", "3")
        await browser.submit(LIST + "/new", fields)
        assert 'href="#new-orderLines[0].articleNumber"' in browser.text
        fields[4] = ("orderLines.articleNumber", "TEA-002")
        await browser.submit(LIST + "/new", fields)
        assert browser.last.status == 200
        assert "Order 77001" in browser.words


async def test_the_warehouse_is_not_for_goods_owners_users(tmp_path, database):
    async with a_warehouse(database, tmp_path) as server:
        browser = a_browser(server.app, server.parts, "goods-owner", [TEA])
        assert (await browser.get(LIST)).status == 403
        await browser.get("/administration/webhooks")
        assert LIST not in browser.text
