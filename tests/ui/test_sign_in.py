"""Who may come in: links that work once, passwords, sessions that end, and nobody who tries too often."""

import asyncio
import re
import threading
from collections import Counter
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from dockbell.actions import passwords, sign_in, users
from dockbell.clock import DAY, HOUR, MINUTE, SECOND
from dockbell.domain.permissions import SYSTEM
from dockbell.errors import NotSignedIn, TooMuch, Unavailable
from dockbell.store import users as store
from dockbell.store.database import Transaction
from dockbell.testing.clock import ManualClock
from dockbell.web.server import build_app
from tests.support.browser_like import Browser, a_browser
from tests.support.parts import Server, a_server
from tests.support.rows import NOW, TEA

HOME = "/administration/webhooks"
PASSWORD = "tea, biscuits and rain"
ANNA = "anna@example.com"


async def with_anna(server: Server) -> None:
    """The first administrator, made through the link."""
    now = server.parts.clock.now()
    link = server.parts.database.submit_write(lambda tx: sign_in.first_link(tx, now=now)).result()
    browser = Browser(server.app)
    await browser.get(f"/first/{link}")
    await browser.submit(f"/first/{link}", {"name": "Anna Berg", "email": ANNA, "password": PASSWORD})
    assert browser.where == HOME, browser.words


async def sign_in_as(browser: Browser, email: str = ANNA, password: str = PASSWORD, **more: str) -> int:
    await browser.get("/sign-in")
    return (await browser.submit("/sign-in", {"email": email, "password": password, **more})).status


def at(server: Server, clock: ManualClock) -> object:
    return build_app(replace(server.parts, clock=clock))


# Links.


async def test_the_first_link_makes_an_administrator_once(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        now = server.parts.clock.now()
        link = database.submit_write(lambda tx: sign_in.first_link(tx, now=now)).result()
        browser = Browser(server.app)
        assert (await browser.get(f"/first/{link}")).status == 200
        await browser.submit(f"/first/{link}", {"name": "Anna", "email": ANNA, "password": PASSWORD})
        assert (await browser.get("/administration/users")).status == 200
        assert (await Browser(server.app).get(f"/first/{link}")).status == 404
        assert database.submit_write(lambda tx: sign_in.first_link(tx, now=now)).result() is None


async def test_a_newer_first_link_ends_the_older_and_all_run_out(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        now = server.parts.clock.now()
        old, new = (database.submit_write(lambda tx: sign_in.first_link(tx, now=now)).result() for _ in range(2))
        assert (await Browser(server.app).get(f"/first/{old}")).status == 404
        assert (await Browser(server.app).get(f"/first/{new}")).status == 200
        late = at(server, ManualClock(now + sign_in.FIRST_LINK_VALID + SECOND))
        assert (await Browser(late).get(f"/first/{new}")).status == 404


async def test_an_invitation_lets_the_person_choose_a_password_once(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        now = server.parts.clock.now()
        _, link = database.submit_write(
            lambda tx: users.invite(
                tx, SYSTEM, email="Olle@Example.com", name="Olle", role="goods-owner", goods_owners=[TEA], now=now
            )
        ).result()
        browser = Browser(server.app)
        await browser.submit(f"/invitation/{link}", {"password": "short"})
        assert browser.last.status == 422
        await browser.submit(f"/invitation/{link}", {"password": PASSWORD})
        assert browser.where == HOME
        assert (await Browser(server.app).get(f"/invitation/{link}")).status == 404
        assert await sign_in_as(Browser(server.app), "olle@example.com") == 200


@pytest.mark.parametrize(
    "password",
    ["eleven-char", "x" * 1_025, "passwordpassword", "aaabbbaaabbb", "olle@example.com", "å" * 513],
)
async def test_a_bad_password_is_refused_with_the_reason_and_the_link_stays(tmp_path, database, password):
    async with a_server(database, tmp_path) as server:
        now = server.parts.clock.now()
        _, link = database.submit_write(
            lambda tx: users.invite(
                tx, SYSTEM, email="olle@example.com", name="Olle", role="warehouse", goods_owners=[], now=now
            )
        ).result()
        browser = Browser(server.app)
        await browser.submit(f"/invitation/{link}", {"password": password})
        assert browser.last.status == 422
        assert 'id="problem-password-1"' in browser.text
        assert (await browser.get(f"/invitation/{link}")).status == 200


# Signing in.


async def test_everything_wrong_is_answered_with_the_same_words(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        seen = set()
        for email, password in ((ANNA, "another password"), ("nobody@example.com", PASSWORD), ("", "")):
            browser = Browser(server.app)
            assert await sign_in_as(browser, email, password) == 401
            seen.add(browser.words.partition("E-mail address or")[2][:20])
            assert "dockbell" not in browser.cookies
        assert len(seen) == 1


async def test_a_session_is_new_at_sign_in_and_the_cookie_is_out_of_scripts_reach(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        planted = "planted-by-somebody-else-0123456789"
        browser = Browser(server.app, planted)
        await browser.get("/sign-in")
        reply = await browser.submit("/sign-in", {"email": ANNA, "password": PASSWORD}, follow=False)
        cookie = reply.headers["set-cookie"].lower()
        assert planted not in cookie
        assert all(part in cookie for part in ("httponly", "samesite=lax", "path=/"))
        assert "domain" not in cookie


async def test_behind_tls_the_cookie_is_held_to_host_and_https(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        browser = Browser(build_app(replace(server.parts, secure=True)))
        reply = await browser.submit("/sign-in", {"email": ANNA, "password": PASSWORD}, follow=False)
        cookie = reply.headers["set-cookie"].lower()
        assert cookie.startswith("__host-dockbell=")
        assert "secure" in cookie


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "evil",
        "/\tx",
        "//[",
        "http://[",
        "",
    ],
)
async def test_signing_in_never_leads_to_another_site(tmp_path, database, target):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        browser = Browser(server.app)
        assert (await browser.get(f"/sign-in?{urlencode({'next': target})}")).status == 200
        await sign_in_as(browser, next=target)
        assert browser.where == HOME


async def test_signing_in_leads_to_the_page_that_was_asked_for(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        browser = Browser(server.app)
        await browser.get("/administration/deliveries?status=failed")
        assert browser.where == "/sign-in?next=%2Fadministration%2Fdeliveries%3Fstatus%3Dfailed"
        assert 'value="/administration/deliveries?status=failed"' in browser.text


async def test_too_many_failures_lock_the_account_for_that_address_and_say_for_how_long(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        clock = ManualClock(server.parts.clock.now())
        app = at(server, clock)
        for _ in range(5):
            assert await sign_in_as(Browser(app), password="wrong password") == 401
        browser = Browser(app)
        assert await sign_in_as(browser) == 429
        assert browser.last.headers["retry-after"] == "30" or "31" in browser.last.headers["retry-after"]
        clock.advance(32 * SECOND)
        assert await sign_in_as(Browser(app)) == 200
        assert await sign_in_as(Browser(app), password="wrong password") == 401


async def test_tries_at_the_same_time_are_counted_like_those_one_after_the_other(tmp_path, database):
    """U-1: a burst is no way around the lock-out."""
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        app = at(server, ManualClock(server.parts.clock.now()))
        burst = [sign_in_as(Browser(app), password=f"wrong password {n}") for n in range(40)]
        answers = Counter(await asyncio.gather(*burst))
        assert answers[401] <= 5
        assert set(answers) <= {401, 429, 503}
        while (status := await sign_in_as(Browser(app), password="wrong password")) == 401:
            answers[401] += 1
        assert (answers[401], status) == (5, 429)
        assert await sign_in_as(Browser(app)) == 429


def test_a_try_waits_until_the_one_before_it_is_counted(database, open_again):
    """U-1: on whichever node the tries arrive."""
    another = open_again()
    booked, go_on = threading.Event(), threading.Event()

    def book(tx: Transaction) -> None:
        sign_in._book(tx, ANNA, "10.0.0.1", NOW)

    def fifth(tx: Transaction) -> None:
        book(tx)
        booked.set()
        assert go_on.wait(10)

    for _ in range(4):
        database.submit_write(book).result()
    running = database.submit_write(fifth)
    assert booked.wait(10)
    sixth = another.submit_write(book)
    with pytest.raises(TimeoutError):
        sixth.result(0.3)
    go_on.set()
    running.result(10)
    with pytest.raises(TooMuch):
        sixth.result(10)


async def test_who_would_make_the_queue_of_passwords_long_is_asked_to_come_again(tmp_path, database):
    """U-1: hashing is slow on purpose; a crowd of strangers must not fill memory, nor keep users out for long."""
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        now = server.parts.clock.now()

        async def strangers(addresses: list[str]) -> Counter[type]:
            tries = [
                sign_in.sign_in(database, "who@example.com", "a wrong password", address=address, browser="", now=now)
                for address in addresses
            ]
            return Counter(type(each) for each in await asyncio.gather(*tries, return_exceptions=True))

        assert await strangers([f"10.0.0.{n}" for n in range(30)]) == {NotSignedIn: 22, Unavailable: 8}
        assert await strangers(["10.0.1.1"] * 5) == {NotSignedIn: 4, Unavailable: 1}
        assert await sign_in_as(Browser(server.app)) == 200


async def test_a_busy_sign_in_says_when_to_come_again_and_counts_no_try(tmp_path, database, monkeypatch):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        monkeypatch.setattr(passwords, "MOST_AT_ONCE", 0)
        browser = Browser(server.app)
        for _ in range(6):
            assert await sign_in_as(browser, password="wrong password") == 503
        assert int(browser.last.headers["retry-after"]) > 0
        assert "Too many passwords are being tried at once." in browser.words
        monkeypatch.undo()
        assert await sign_in_as(browser) == 200


async def test_a_busy_first_link_says_when_to_come_again_and_loses_nothing_typed(tmp_path, database, monkeypatch):
    async with a_server(database, tmp_path) as server:
        now = server.parts.clock.now()
        link = database.submit_write(lambda tx: sign_in.first_link(tx, now=now)).result()
        monkeypatch.setattr(passwords, "MOST_AT_ONCE", 0)
        browser = Browser(server.app)
        await browser.submit(f"/first/{link}", {"name": "Anna Typed", "email": ANNA, "password": PASSWORD})
        assert browser.last.status == 503
        assert int(browser.last.headers["retry-after"]) > 0
        assert 'value="Anna Typed"' in browser.text
        assert f'value="{ANNA}"' in browser.text


async def test_a_right_password_counts_neither_for_the_account_nor_for_the_address(tmp_path, database, monkeypatch):
    monkeypatch.setattr(sign_in, "MOST_FAILURES_OF_ADDRESS", 3)
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        app = at(server, ManualClock(server.parts.clock.now()))
        for _ in range(2):
            assert await sign_in_as(Browser(app), "nobody@example.com", "wrong password") == 401
        for _ in range(6):
            assert await sign_in_as(Browser(app)) == 200
        assert await sign_in_as(Browser(app), "nobody@example.com", "wrong password") == 401
        assert await sign_in_as(Browser(app)) == 429


async def test_who_is_deactivated_while_the_password_is_judged_does_not_come_in(tmp_path, database, monkeypatch):
    """U-2"""
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        a_browser(server.app, server.parts, "administrator")
        await database.write(lambda tx: tx.run("UPDATE users SET password_hash = 'x' WHERE id = 2"))

        async def deactivated_meanwhile(*_: str) -> bool:
            await database.write(lambda tx: users.deactivate(tx, SYSTEM, 1, now=NOW))
            return True

        monkeypatch.setattr(passwords, "fits", deactivated_meanwhile)
        assert await sign_in_as(Browser(server.app)) == 401
        assert await database.read(lambda tx: tx.all("SELECT digest FROM sessions WHERE user_id = 1")) == []


async def test_guesses_of_the_old_password_are_counted_as_those_of_signing_in(tmp_path, database):
    """U-1: who found a browser that was left signed in must not find the password, too."""
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        clock = ManualClock(server.parts.clock.now())
        app = at(server, clock)
        found = Browser(app)
        await sign_in_as(found)
        await found.get("/account")

        async def guess(old: str) -> int:
            return (
                await found.submit("/account/password", {"oldPassword": old, "newPassword": "another long password"})
            ).status

        assert [await guess(f"wrong password {n}") for n in range(5)] == [422] * 5
        assert await guess(PASSWORD) == 429
        assert int(found.last.headers["retry-after"]) > 0
        assert await sign_in_as(Browser(app)) == 429
        clock.advance(32 * SECOND)
        assert await guess(PASSWORD) == 200
        assert await sign_in_as(Browser(app), password="another long password") == 200


async def test_nobody_is_locked_out_for_as_long_as_a_clock_was_ahead(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        now = server.parts.clock.now()
        # Never five in a quarter of an hour.
        for moment in (now + DAY, now, now + HOUR, now + 2 * HOUR, now + 3 * HOUR):
            assert await sign_in_as(Browser(at(server, ManualClock(moment))), password="wrong password") == 401
        assert await sign_in_as(Browser(at(server, ManualClock(now + 5 * HOUR)))) == 200


# Sessions.


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
