"""Sessions: they end, they are ended, and no form of another site is taken for one of theirs."""

import re
from dataclasses import replace

import pytest

from dockbell.actions import users
from dockbell.clock import DAY, HOUR, MINUTE
from dockbell.domain.permissions import SYSTEM
from dockbell.errors import Unavailable
from dockbell.store import users as store
from dockbell.store.database import Transaction
from dockbell.testing.clock import ManualClock
from dockbell.web.server import build_app
from tests.support.browser_like import Browser, a_browser
from tests.support.parts import a_server
from tests.support.signing_in import HOME, PASSWORD, at, sign_in_as, with_anna


async def test_a_session_ends_after_half_an_hour_without_a_page_and_after_twelve_hours(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        clock = ManualClock(server.parts.clock.now())
        parts = replace(server.parts, clock=clock)
        browser = a_browser(build_app(parts), parts)
        for _ in range(24):
            clock.advance(29 * MINUTE)
            assert (await browser.get(HOME)).status == 200
        clock.advance(29 * MINUTE)
        await browser.get(HOME)
        assert browser.where.startswith("/sign-in")
        browser = a_browser(build_app(parts), parts)
        clock.advance(31 * MINUTE)
        await browser.get(HOME)
        assert browser.where.startswith("/sign-in")
        assert clock.now() - server.parts.clock.now() > 12 * HOUR


async def test_a_session_of_a_clock_that_was_ahead_ends_when_it_comes_back(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        now = server.parts.clock.now()

        async def begun_at(moment: int) -> Browser:
            browser = Browser(at(server, ManualClock(moment)))
            assert await sign_in_as(browser) == 200
            return browser

        async def is_in(browser: Browser, moment: int) -> bool:
            later = Browser(at(server, ManualClock(moment)), browser.cookies["dockbell"])
            await later.get(HOME)
            return later.where == HOME

        ahead = await begun_at(now + 30 * DAY)
        assert not await is_in(ahead, now + 20 * DAY)
        another_node = await begun_at(now + MINUTE // 2)  # forgets what lies ahead
        assert await is_in(another_node, now)
        assert not await is_in(ahead, now + 30 * DAY)


async def test_a_session_that_has_ended_is_not_shown_as_one(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = a_browser(server.app, server.parts)
        now = server.parts.clock.now()

        def add(tx: Transaction) -> None:
            [user] = store.everyone(tx)
            for digest, name, begun, used in (("d", "Live", 11, 0), ("e", "Idle", 5, 4), ("f", "Long", 13, 0)):
                store.insert_session(
                    tx, digest=digest * 64, user_id=user["id"], address="::1", browser=name, now=now - begun * HOUR
                )
                store.use_session(tx, digest * 64, now=now - used * HOUR)

        database.submit_write(add).result()
        await browser.get("/account")
        assert [name for name in ("Live", "Idle", "Long") if f">{name}<" in browser.text] == ["Live"]
        [user] = await database.read(lambda tx: users.everyone(tx, SYSTEM, now=now))
        assert user["sessions"] == 2


async def test_pages_are_shown_by_a_store_that_takes_no_writes_and_say_503_when_it_is_away(
    tmp_path, database, monkeypatch
):
    async def refuse(*_):
        raise Unavailable("The store is away.")

    async with a_server(database, tmp_path) as server:
        clock = ManualClock(server.parts.clock.now())
        parts = replace(server.parts, clock=clock)
        browser = a_browser(build_app(parts), parts)
        clock.advance(2 * MINUTE)  # the session's use is to be noted
        monkeypatch.setattr(type(database), "write", refuse)
        assert (await browser.get("/account")).status == 200
        monkeypatch.setattr(type(database), "read", refuse)
        for target, status in (("/account", 503), ("/administration/system", 503), ("/no/such/page", 404)):
            reply = await browser.get(target)
            assert (reply.status, reply.headers["content-type"]) == (status, "text/html; charset=utf-8")
            assert reply.headers["content-security-policy"].startswith("default-src 'none'")
            assert reply.headers.get("retry-after") == ("5" if status == 503 else None)
            assert "Sign out" not in browser.text
        assert (await browser.submit("/sign-out")).status == 503


async def test_signing_out_ends_the_session_for_whoever_kept_the_cookie(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = a_browser(server.app, server.parts)
        held = browser.cookies["dockbell"]
        await browser.get(HOME)
        await browser.submit("/sign-out")
        await (again := Browser(server.app, held)).get(HOME)
        assert again.where.startswith("/sign-in")


async def test_a_new_password_ends_all_other_sessions(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        one, other = Browser(server.app), Browser(server.app)
        await sign_in_as(one)
        await sign_in_as(other)
        before = one.cookies["dockbell"]
        await one.get("/account")
        fields = {"oldPassword": "wrong", "newPassword": "short"}
        await one.submit("/account/password", fields)
        assert one.last.status == 422
        assert 'id="problem-oldPassword-1"' in one.text
        assert 'id="problem-newPassword-1"' in one.text
        await one.submit("/account/password", {"oldPassword": PASSWORD, "newPassword": "another long password"})
        assert (await one.get("/account")).status == 200
        assert one.cookies["dockbell"] != before
        await other.get("/account")
        assert other.where.startswith("/sign-in")


async def test_a_session_can_be_ended_from_another(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        one, other = Browser(server.app), Browser(server.app)
        await sign_in_as(one)
        await sign_in_as(other)
        await one.get("/account")
        for path in re.findall(r'action="(/account/sessions/[^"]*)"', one.text):
            await one.submit(path)
        await other.get("/account")
        assert other.where.startswith("/sign-in")


# Forms of other sites.


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": ""},
    ],
)
async def test_a_form_of_another_site_is_refused(tmp_path, database, headers):
    """U-3"""
    async with a_server(database, tmp_path) as server:
        browser = a_browser(server.app, server.parts)
        await browser.get(HOME)
        body = f"csrf={browser.csrf}".encode()
        reply = await server.nobody.ask(
            "POST", "/sign-out", body, content_type="application/x-www-form-urlencoded", authorization=[],
            headers=[("host", "dockbell.test"), ("cookie", f"dockbell={browser.cookies['dockbell']}"), *headers.items()],
        )  # fmt: skip
        assert reply.status == 403
        assert (await browser.get(HOME)).status == 200


async def test_a_cookie_is_no_credential_for_the_api(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        held = a_browser(server.app, server.parts).cookies["dockbell"]
        reply = await server.nobody.get("/api/v1/webhooks", headers=[("cookie", f"dockbell={held}")])
        assert reply.status == 401
