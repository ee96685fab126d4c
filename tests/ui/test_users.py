"""Users in an administrator's hands: invited, changed, deactivated; and never nobody left who can."""

import re
import threading
from functools import partial

import pytest

from dockbell.actions import sessions, sign_in
from dockbell.actions import users as actions
from dockbell.domain.event_json import LARGEST_ID
from dockbell.domain.permissions import SYSTEM
from dockbell.errors import NotSignedIn
from dockbell.store import users
from dockbell.store.database import Transaction
from tests.support.browser_like import Browser, a_browser
from tests.support.parts import Server, a_server
from tests.support.rows import FJORD, NOW, TEA

LIST = "/administration/users"


def admin(server: Server) -> Browser:
    return a_browser(server.app, server.parts)


async def invited(browser: Browser, **changes: str | list[str]) -> str:
    """The link that the page tells."""
    fields: dict[str, str | list[str]] = {
        "email": "olle@example.com", "name": "Olle Fjord", "role": "goods-owner", "owner": [str(FJORD)], **changes,
    }  # fmt: skip
    pairs = [(n, v) for n, value in fields.items() for v in (value if isinstance(value, list) else [value])]
    await browser.get(LIST + "/new")
    await browser.submit(LIST + "/new", pairs)
    found = re.search(r"/invitation/[\w-]+", browser.text)
    return found[0] if found else ""


async def test_an_invited_goods_owners_user_sees_their_goods_owner_and_no_other(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(name="Of tea", goodsOwnerIds=[TEA])
        await server.make_webhook(name="Of fjord", goodsOwnerIds=[FJORD])
        link = await invited(admin(server))
        olle = Browser(server.app)
        await olle.submit(link, {"password": "a long enough password"})
        assert "Of fjord" in olle.words
        assert "Of tea" not in olle.words
        assert (await olle.get(LIST)).status == 403


async def test_the_largest_goods_owner_has_users_too(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.admin.put(f"/api/v1/goodsOwners/{LARGEST_ID}", {"name": "Largest"})
        olle = Browser(server.app)
        link = await invited(admin(server), owner=[str(FJORD), str(LARGEST_ID)])
        await olle.submit(link, {"password": "a long enough password"})
        await olle.get("/administration/deliveries")
        assert f'<option value="{LARGEST_ID}">Largest</option>' in olle.text


async def test_everything_wrong_with_an_invitation_is_said_at_once_and_nothing_typed_is_lost(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        assert await invited(browser, email="no address", name=" ", owner=[]) == ""
        assert browser.last.status == 422
        assert set(re.findall(r'id="problem-(\w+)-', browser.text)) == {"email", "name", "goodsOwnerIds"}
        assert 'value="no address"' in browser.text


async def test_an_email_address_names_one_user_however_it_is_written(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        assert await invited(browser)
        assert await invited(browser, email="OLLE@example.com") == ""
        assert "already" in browser.words


async def test_a_deactivated_users_sessions_end_at_once_and_the_password_is_none(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        olle = Browser(server.app)
        await olle.submit(await invited(browser), {"password": "a long enough password"})
        await browser.get(LIST)
        await browser.submit(LIST + "/2/deactivate")
        await olle.get("/account")
        assert olle.where.startswith("/sign-in")
        await olle.submit("/sign-in", {"email": "olle@example.com", "password": "a long enough password"})
        assert olle.last.status == 401
        await browser.submit(LIST + "/2/activate")
        await olle.submit("/sign-in", {"email": "olle@example.com", "password": "a long enough password"})
        assert olle.last.status == 200


@pytest.mark.parametrize("way", ["deactivate", "change"])
async def test_the_last_administrator_stays_one(tmp_path, database, way):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get(LIST)
        if way == "deactivate":
            await browser.submit(LIST + "/1/deactivate")
        else:
            await browser.submit(LIST + "/1", {"name": "Me", "role": "warehouse"})
        assert browser.last.status == 409
        assert (await browser.get(LIST)).status == 200


async def test_what_was_typed_is_there_when_the_last_administrator_is_kept(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get(LIST + "/1")
        await browser.submit(LIST + "/1", {"name": "Typed name", "role": "warehouse"})
        assert browser.last.status == 409
        assert 'value="Typed name"' in browser.text
        assert 'id="problem-role-' in browser.text


async def test_a_changed_role_counts_from_the_next_page_on(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser, other = admin(server), a_browser(server.app, server.parts, "warehouse")
        assert (await other.get(LIST)).status == 403
        await browser.get(LIST)
        await browser.submit(LIST + "/2", {"name": "Two", "role": "administrator"})
        assert (await other.get(LIST)).status == 200


async def test_each_change_of_a_user_is_in_the_audit_trail_without_a_hash(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        olle = Browser(server.app)
        await olle.submit(await invited(browser), {"password": "a long enough password"})
        await browser.submit(LIST + "/2", [("name", "Olle F"), ("role", "goods-owner"), ("owner", str(TEA))])
        await browser.submit(LIST + "/2/end-sessions")
        await browser.submit(LIST + "/2/deactivate")
        rows = await database.read(lambda tx: tx.all("SELECT * FROM audit ORDER BY id"))
        actions = [row["action"] for row in rows if row["action"].startswith("user.")]
        assert actions == [
            "user.invited", "user.password-changed", "user.changed", "user.sessions-ended", "user.deactivated",
        ]  # fmt: skip
        user = await database.read(lambda tx: users.find(tx, 2))
        assert user is not None
        assert all(user["password_hash"] not in str(dict(row)) for row in rows)
        changed = next(row for row in rows if row["action"] == "user.changed")
        assert ("Olle Fjord" in changed["before"], "Olle F" in changed["after"]) == (True, True)


async def test_a_password_link_replaces_a_forgotten_password(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        olle = Browser(server.app)
        await olle.submit(await invited(browser), {"password": "a long enough password"})
        await browser.get(LIST)
        await browser.submit(LIST + "/2/link")
        found = re.search(r"/invitation/[\w-]+", browser.text)
        assert found is not None
        await Browser(server.app).submit(found[0], {"password": "quite another password"})
        await olle.get("/account")
        assert olle.where.startswith("/sign-in")
        await olle.submit("/sign-in", {"email": "olle@example.com", "password": "quite another password"})
        assert olle.last.status == 200


def with_a_user(tx: Transaction) -> sessions.SignedIn:
    """Olle, looking at a page."""
    number = users.insert(
        tx, email="olle@example.com", name="Olle", role="warehouse", goods_owners=None, password_hash="x", now=NOW
    )
    held = sessions.begin(tx, number, address="127.0.0.1", browser="test", now=NOW)
    who = sessions.who_holds(tx, held, address="127.0.0.1", now=NOW)
    assert who is not None
    return who


def test_a_user_who_saves_the_account_in_that_moment_stays_deactivated(database, open_again):
    """U-2: whoever was deactivated can do nothing any more, not even what was begun before."""
    another = open_again()
    who = database.submit_write(with_a_user).result()
    done, go_on = threading.Event(), threading.Event()

    def deactivate(tx: Transaction) -> None:
        actions.deactivate(tx, SYSTEM, who.user_id, now=NOW)
        done.set()
        assert go_on.wait(10)

    deactivating = database.submit_write(deactivate)
    assert done.wait(10)
    saving = another.submit_write(partial(sign_in.change_account, who=who, name="Olle F", language=None, now=NOW))
    with pytest.raises(TimeoutError):
        saving.result(0.3)
    go_on.set()
    deactivating.result(10)
    with pytest.raises(NotSignedIn):
        saving.result(10)
    user = database.submit_read(lambda tx: users.find(tx, who.user_id)).result()
    assert (user["deactivated_at"], user["name"]) == (NOW, "Olle")


def test_two_changes_of_one_user_in_the_same_moment_both_stay(database, open_again):
    another = open_again()
    number = database.submit_write(with_a_user).result().user_id
    done, go_on = threading.Event(), threading.Event()

    def first(tx: Transaction) -> None:
        users.change(tx, number, {"role": "goods-owner", "password_hash": "new"})
        done.set()
        assert go_on.wait(10)

    changing = database.submit_write(first)
    assert done.wait(10)
    second = another.submit_write(lambda tx: users.change(tx, number, {"name": "Olle F"}))
    with pytest.raises(TimeoutError):
        second.result(0.3)
    go_on.set()
    changing.result(10)
    second.result(10)
    user = database.submit_read(lambda tx: users.find(tx, number)).result()
    assert (user["name"], user["role"], user["password_hash"]) == ("Olle F", "goods-owner", "new")


async def test_a_deactivated_user_is_not_deactivated_twice(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser, olle = admin(server), Browser(server.app)
        await olle.submit(await invited(browser), {"password": "a long enough password"})
        await browser.get(LIST)
        await browser.submit(LIST + "/2/deactivate")
        assert (await browser.submit(LIST + "/2/deactivate")).status == 409
        assert "deactivated already" in browser.words


async def password_link(browser: Browser) -> str:
    await browser.get(LIST)
    await browser.submit(LIST + "/2/link")
    found = re.search(r"/invitation/[\w-]+", browser.text)
    assert found is not None
    return found[0]


async def test_a_password_link_is_dead_once_the_user_has_chosen_a_password(tmp_path, database):
    """U-2: a link that lies in a mailbox must not take an account back that its user has just secured."""
    async with a_server(database, tmp_path) as server:
        browser, olle = admin(server), Browser(server.app)
        await olle.submit(await invited(browser), {"password": "a long enough password"})
        link = await password_link(browser)
        await olle.get("/account")
        await olle.submit(
            "/account/password", {"oldPassword": "a long enough password", "newPassword": "another long password"}
        )
        assert olle.last.status == 200
        assert (await Browser(server.app).get(link)).status == 404
        assert (await Browser(server.app).submit(link, {"password": "somebody else's password"})).status == 404


async def test_a_link_dies_with_another_link_that_was_used(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        link = await invited(browser := admin(server))
        await Browser(server.app).submit(link, {"password": "a long enough password"})
        link = await password_link(browser)
        database.submit_write(
            lambda tx: users.insert_link(
                tx, digest=sessions.digest("older"), purpose="invitation", user_id=2, expires_at=NOW * 2
            )
        ).result()
        assert (await Browser(server.app).get("/invitation/older")).status == 200
        await Browser(server.app).submit(link, {"password": "quite another password"})
        assert (await Browser(server.app).get("/invitation/older")).status == 404


async def test_a_deactivated_users_link_stays_dead_when_they_are_activated_again(tmp_path, database):
    """U-2"""
    async with a_server(database, tmp_path) as server:
        link = await invited(browser := admin(server))
        await browser.get(LIST)
        await browser.submit(LIST + "/2/deactivate")
        await browser.submit(LIST + "/2/activate")
        assert (await Browser(server.app).get(link)).status == 404
        assert (await Browser(server.app).submit(link, {"password": "a long enough password"})).status == 404
        assert (await Browser(server.app).get(await password_link(browser))).status == 200
