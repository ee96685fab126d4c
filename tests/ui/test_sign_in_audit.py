"""U-12: the audit trail tells who came in, who tried, and what became of accounts; never what was typed in vain."""

from dataclasses import replace
from pathlib import Path

from dockbell.actions import audit
from dockbell.clock import SECOND
from dockbell.domain.permissions import SYSTEM
from dockbell.store.database import Database
from dockbell.testing.clock import ManualClock
from tests.support.browser_like import Browser
from tests.support.parts import Server, a_server
from tests.support.rows import TEA
from tests.support.signing_in import ANNA, PASSWORD, at, sign_in_as, with_anna


def told(server: Server) -> list[tuple[str, str, str]]:
    """Action, who and about whom, the oldest first, of what is about users."""
    rows = server.parts.database.submit_read(lambda tx: audit.page(tx, SYSTEM, limit=200)).result()
    return [(row["action"], row["actorLabel"], row["object"]) for row in reversed(rows) if row["object"][:4] == "user"]


async def test_the_audit_trail_tells_of_each_sign_in_and_each_that_failed(database: Database, tmp_path: Path):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        app = at(server, ManualClock(server.parts.clock.now() + SECOND))
        before = len(told(server))
        browser = Browser(app)
        assert await sign_in_as(browser) == 200
        assert await sign_in_as(Browser(app), password="wrong password") == 401
        assert await sign_in_as(Browser(app), email="my secret passphrase", password="x") == 401
        assert told(server)[before:] == [
            ("user.signed-in", ANNA, "user/1"),
            ("user.sign-in-failed", "not signed in", "user/1"),
            ("user.sign-in-failed", "not signed in", "user/unknown"),
        ]
        [row, *_] = await database.read(lambda tx: audit.page(tx, SYSTEM, action="user.sign-in-failed"))
        assert row["address"] == "127.0.0.1"
        everything = repr(server.parts.database.submit_read(lambda tx: tx.all("SELECT * FROM audit")).result())
        assert "passphrase" not in everything and PASSWORD not in everything and "wrong password" not in everything


async def test_the_audit_trail_tells_when_an_account_is_locked(database: Database, tmp_path: Path):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        app = at(server, ManualClock(server.parts.clock.now() + SECOND))
        for _ in range(4):
            assert await sign_in_as(Browser(app), password="wrong password") == 401
        assert "user.locked" not in [action for action, _, _ in told(server)]
        assert await sign_in_as(Browser(app), password="wrong password") == 401
        assert told(server)[-1] == ("user.locked", "not signed in", "user/1")
        count = len(told(server))
        for _ in range(3):
            assert await sign_in_as(Browser(app)) == 429
        assert len(told(server)) == count, "who is locked out cannot fill the trail"


async def test_the_audit_trail_tells_what_users_do_with_their_own_account(database: Database, tmp_path: Path):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        browser, other = Browser(server.app), Browser(server.app)
        assert await sign_in_as(browser) == 200
        assert await sign_in_as(other) == 200
        before = len(told(server))
        await browser.get("/account")
        await browser.submit("/account", {"name": "Anna Bergman", "language": ""})
        await browser.submit("/account", {"name": "Anna Bergman", "language": ""})  # changes nothing
        new = "rain, biscuits and tea"
        assert (await browser.submit("/account/password", {"oldPassword": "no", "newPassword": new})).status == 422
        await browser.submit("/account/password", {"oldPassword": PASSWORD, "newPassword": new})
        await browser.submit("/sign-out", {})
        assert [action for action, _, _ in told(server)[before:]] == [
            "user.account-changed",
            "user.sign-in-failed",
            "user.password-changed",
            "user.signed-out",
        ]


async def test_the_audit_trail_of_users_is_for_administrators_alone(database: Database, tmp_path: Path):
    async with a_server(database, tmp_path) as server:
        await with_anna(server)
        assert await sign_in_as(Browser(server.app)) == 200
        of_tea = replace(SYSTEM, goods_owners=frozenset({TEA}))
        seen = await database.read(lambda tx: audit.page(tx, of_tea, limit=200))
        assert not [row for row in seen if row["action"].startswith("user.")]
