"""Where a person finds an event that was refused: above the timeline of its object, and on a page of all of them."""

import re

from tests.support.browser_like import a_browser
from tests.support.parts import a_server, an_event
from tests.support.rows import FJORD, TEA


async def refused(server, **fields):
    reply = await server.admin.post("/api/v1/events", an_event(type="order.pickt", **fields))
    assert reply.status == 422
    await server.parts.refusals.end()


async def test_who_looks_for_an_order_is_told_that_its_event_was_refused(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await refused(server, number="12345")
        browser = a_browser(server.app, server.parts)
        await browser.get("/administration/events?about=12345")
        assert "Refused: no webhook fired for these" in browser.words
        assert "Did you mean 'order.picked'?" in browser.words
        await browser.get("/administration/events?about=12346")
        assert "no webhook fired for these" not in browser.words


async def test_an_event_that_was_sent_again_and_accepted_is_not_said_to_be_never_accepted(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await refused(server, number="12345")
        await server.publish(number="12345")
        browser = a_browser(server.app, server.parts)
        await browser.get("/administration/events?about=12345")
        assert "what was sent again and accepted stands below" in browser.words
        assert "never accepted" not in browser.words


async def test_the_page_of_refused_events_shows_all_of_them_and_finds_one(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = a_browser(server.app, server.parts)
        await browser.get("/administration/events")
        assert 'href="/administration/events/refused"' in browser.text
        await browser.get("/administration/events/refused")
        assert "Nothing was refused" in browser.words
        await refused(server, number="<b>12345</b>")
        await refused(server, number="777")
        await browser.get("/administration/events/refused")
        assert "&lt;b&gt;12345&lt;/b&gt;" in browser.text
        assert "777" in browser.words
        await browser.get("/administration/events/refused?about=777")
        assert "777" in browser.words
        assert "12345" not in browser.words


async def test_who_looks_for_another_object_is_not_told_that_nothing_was_refused(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await refused(server, number="777")
        browser = a_browser(server.app, server.parts)
        await browser.get("/administration/events/refused?about=12345")
        assert "No refused event fits" in browser.words
        assert "Nothing was refused" not in browser.words


async def test_one_key_that_is_refused_without_end_does_not_hide_what_others_were_refused(tmp_path, database):
    """The page says the newest 50 of each key, so it leads on to those that do not fit on it."""
    async with a_server(database, tmp_path) as server:
        await refused(server, number="12345")
        other = server.as_key(["publish"])
        for round_no in range(3):
            many = [an_event(type="no.such", number=f"777-{round_no}-{each}") for each in range(20)]
            await other.post("/api/v1/events", many)
            await server.parts.refusals.end()
        browser = a_browser(server.app, server.parts)
        await browser.get("/administration/events/refused")
        assert "12345" not in browser.words
        [older] = re.findall(r'rel="next" href="([^"]+)"', browser.text)
        await browser.get(older)
        assert "12345" in browser.words
        assert "777" not in browser.words
        assert 'href="/administration/events/refused"' in browser.text, "back to the newest"
        reply = await browser.get("/administration/events/refused?before=x")
        assert reply.status == 422


async def test_a_goods_owners_user_sees_nothing_of_the_operators_keys(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await refused(server, number="12345")
        for owner in (TEA, FJORD):
            browser = a_browser(server.app, server.parts, "goods-owner", [owner])
            await browser.get("/administration/events/refused")
            assert "Nothing was refused" in browser.words
            await browser.get("/administration/events?about=12345")
            assert "Did you mean" not in browser.words
