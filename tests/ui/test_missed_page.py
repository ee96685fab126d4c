"""The page that sends a webhook what it missed: when it was disabled, how many there are, and then the run."""

import html
import re

from dockbell.clock import to_text
from tests.support.browser_like import a_browser
from tests.support.parts import a_server
from tests.support.rows import FJORD, TEA, rows_of


def hidden_in(browser):
    """What the page's form says without being typed."""
    return dict(re.findall(r'<input type="hidden" name="(run|from|to)" value="([^"]*)">', browser.text))


async def a_webhook_that_was_disabled(server):
    """It missed two events, and is enabled again."""
    webhook = await server.make_webhook(eventType="test.anything")
    page = f"/administration/webhooks/{webhook['id']}"
    browser = a_browser(server.app, server.parts)
    await browser.get(page)
    await browser.submit(f"{page}/switch", {"to": "disabled"})
    assert "can be sent afterwards" in browser.words
    for _ in range(2):
        await server.publish()
    await browser.submit(f"{page}/switch", {"to": "enabled"})
    return browser, page, webhook


async def test_after_enabling_the_page_leads_to_what_was_missed_and_sends_it(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser, page, webhook = await a_webhook_that_was_disabled(server)
        assert "Send what it missed while it was disabled" in browser.words
        assert f'href="{page}/missed"' in browser.text
        await browser.get(f"{page}/missed")
        [row] = rows_of(database, "SELECT since FROM webhook_versions WHERE enabled = 0")
        assert f'value="{to_text(row["since"])[:16]}"' in browser.text, "it begins when the webhook was disabled"
        assert "Missed events: 2." in browser.words
        await browser.submit(f"{page}/missed", hidden_in(browser))
        assert "Sending what was missed" in browser.words
        while "Finished" not in browser.words:
            await browser.get(browser.where)
        assert "2 done, 0 left out" in browser.words
        [count] = rows_of(database, "SELECT count(*) AS n FROM deliveries WHERE webhook_id = :id", id=webhook["id"])
        assert count["n"] == 2
        await browser.get(f"{page}/missed")
        assert "It missed nothing in this time." in browser.words
        assert "Send them" not in browser.words


async def test_an_event_that_a_disabled_webhook_missed_leads_to_sending_it(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(eventType="test.anything", enabled=False)
        await server.make_webhook(
            eventType="test.anything", enabled=False, kind="automation", goodsOwnerIds=[TEA, FJORD]
        )
        event = (await server.publish())["eventId"]
        leads = {}
        for role, owners in (("administrator", None), ("goods-owner", [TEA]), ("warehouse", None)):
            browser = a_browser(server.app, server.parts, role, owners)
            await browser.get(f"/administration/events/{event}")
            leads[role] = [html.unescape(each) for each in re.findall(r'href="(\S+/missed\S*)"', browser.text)]
        assert [len(leads[role]) for role in ("administrator", "goods-owner", "warehouse")] == [2, 1, 0]
        browser = a_browser(server.app, server.parts)
        await browser.get(leads["administrator"][0])
        assert "Missed events: 1." in browser.words


async def test_the_same_form_sent_twice_begins_one_run(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser, page, _ = await a_webhook_that_was_disabled(server)
        await browser.get(f"{page}/missed")
        form = hidden_in(browser)
        for _ in range(2):
            await browser.submit(f"{page}/missed", form)
        assert len(rows_of(database, "SELECT id FROM bulk_runs")) == 1


async def test_a_time_that_is_none_is_refused_beside_its_field(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser, page, _ = await a_webhook_that_was_disabled(server)
        await browser.get(f"{page}/missed?from=yesterday")
        assert browser.last.status == 422
        assert "yesterday" in browser.text
        assert "Send them" not in browser.words
        await browser.get(f"{page}/missed?to=2026-11-28T10:00")
        assert browser.last.status == 422
        assert "Say since when" in browser.words


async def test_a_form_without_a_number_is_refused_in_words(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser, page, _ = await a_webhook_that_was_disabled(server)
        await browser.get(f"{page}/missed")
        await browser.submit(f"{page}/missed", {**hidden_in(browser), "run": ""})
        assert browser.last.status == 422
        assert "Begin from the page that says how many deliveries it would be." in browser.words
        assert rows_of(database, "SELECT id FROM bulk_runs") == []


async def test_a_disabled_webhook_says_that_what_is_sent_now_is_held(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser, page, _ = await a_webhook_that_was_disabled(server)
        await browser.get(page)
        await browser.submit(f"{page}/switch", {"to": "disabled"})
        await browser.get(f"{page}/missed?from=2020-01-01T00:00")
        assert "held until you enable it" in browser.words


async def test_a_webhook_that_never_was_disabled_begins_a_day_ago(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.publish()
        webhook = await server.make_webhook(eventType="test.anything")
        browser = a_browser(server.app, server.parts)
        await browser.get(f"/administration/webhooks/{webhook['id']}/missed")
        assert "Missed events: 1." in browser.words
        assert "When it was disabled last" not in browser.words
