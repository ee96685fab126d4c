"""Who may come in: links that work once, passwords, and nobody who tries too often."""

import asyncio
import threading
from collections import Counter
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from dockbell.actions import passwords, sign_in, users
from dockbell.clock import DAY, HOUR, SECOND
from dockbell.domain.permissions import SYSTEM
from dockbell.errors import NotSignedIn, TooMuch, Unavailable
from dockbell.store.database import Transaction
from dockbell.testing.clock import ManualClock
from dockbell.web.server import build_app
from tests.support.browser_like import Browser, a_browser
from tests.support.parts import a_server
from tests.support.rows import NOW, TEA
from tests.support.signing_in import ANNA, HOME, PASSWORD, at, sign_in_as, with_anna

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
