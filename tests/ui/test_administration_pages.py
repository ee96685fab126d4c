"""Goods owners, keys, audit trail and system page: what an administrator changes is done, shown and written down."""

import re
from dataclasses import replace

import pytest

from dockbell.domain.event_json import LARGEST_ID
from dockbell.domain.findings import Installation
from dockbell.store import people
from dockbell.web.server import build_app
from tests.support.asgi import Api
from tests.support.browser_like import Browser, a_browser
from tests.support.parts import Server, a_server
from tests.support.rows import FJORD, TEA

KEYS = "/administration/keys"
AUDIT = "/administration/audit"
OWNERS = "/administration/goods-owners"


def admin(server: Server) -> Browser:
    return a_browser(server.app, server.parts)


async def test_a_goods_owner_is_added_and_renamed(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get(OWNERS)
        await browser.submit(OWNERS, {"id": "301", "name": "Öland Cycles"})
        assert "Saved" in browser.words
        await browser.submit(OWNERS, {"id": "301", "name": "Öland <Bikes>"})
        assert server.parts.index.state.goods_owners[301] == "Öland <Bikes>"
        await browser.submit(OWNERS, {"id": "no number", "name": ""})
        assert browser.last.status == 422
        assert 'value="no number"' in browser.text


async def test_a_key_is_shown_once_works_and_is_refused_when_revoked(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get(KEYS)
        await browser.submit(KEYS, [("label", "ERP"), ("scope", "read"), ("owner", str(TEA)), ("all", "")])
        found = re.search(r"whk_(\w{8})_[\w-]{43}", browser.text)
        assert found is not None
        assert (await Api(server.app, found[0]).get("/api/v1/webhooks")).status == 200
        await browser.get(KEYS)
        assert found[0] not in browser.text
        await browser.submit(f"{KEYS}/{found[1]}/revoke")
        assert (await Api(server.app, found[0]).get("/api/v1/webhooks")).status == 401


async def test_a_key_is_for_each_ticked_goods_owner_also_the_largest(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.admin.put(f"/api/v1/goodsOwners/{LARGEST_ID}", {"name": "Largest"})
        browser = admin(server)
        await browser.get(KEYS)
        ticked = [("owner", str(TEA)), ("owner", str(LARGEST_ID))]
        await browser.submit(KEYS, [("label", "ERP"), ("scope", "read"), ("all", ""), *ticked])
        made = (await server.admin.get("/api/v1/apiKeys")).document["items"][-1]
        assert made["goodsOwnerIds"] == [TEA, LARGEST_ID]


@pytest.mark.parametrize(
    ("page", "form", "fields"),
    [
        (
            KEYS,
            {"label": "", "all": "", "expiresAt": "2001-01-01T00:00"},
            {"label", "scopes", "goodsOwnerIds", "expiresAt"},
        ),
        (KEYS, {"label": "", "all": "yes", "expiresAt": "tomorrow"}, {"label", "scopes", "expiresAt"}),
        (OWNERS, {"id": "x", "name": ""}, {"id", "name"}),
    ],
)
async def test_everything_wrong_with_a_form_is_said_at_once(tmp_path, database, page, form, fields):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get(page)
        assert (await browser.submit(page, form)).status == 422
        assert set(re.findall(r'id="problem-(\w+)-', browser.text)) == fields


async def test_the_audit_trail_shows_each_change_field_by_field_and_no_secret(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(name="ERP", authentication={"type": "token", "token": "very-secret-token"})
        await server.admin.patch(f"/api/v1/webhooks/{made['id']}", {"name": "ERP of tea"})
        browser = admin(server)
        await browser.get(f"{AUDIT}?about=webhook/{made['id']}")
        assert "webhook.created" in browser.words
        assert '"ERP" "ERP of tea"' in browser.words
        assert "127.0.0.1" in browser.words
        assert "very-secret-token" not in browser.text
        assert made["signingSecret"] not in browser.text
        await browser.get(f"{AUDIT}?action=webhook.changed")
        assert "webhook.created" not in browser.words


async def test_a_goods_owners_user_reads_only_what_concerns_their_goods_owner(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(name="Of tea", goodsOwnerIds=[TEA])
        await server.make_webhook(name="Of fjord", goodsOwnerIds=[FJORD])
        browser = a_browser(server.app, server.parts, "goods-owner", [TEA])
        await browser.get(AUDIT)
        assert "Of tea" in browser.words
        assert "Of fjord" not in browser.words
        assert "key.created" not in browser.words


async def test_the_system_page_says_what_waits_and_who_is_alive(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(eventType="test.anything")
        await server.publish()
        browser = admin(server)
        assert (await browser.get("/administration/system")).status == 200
        assert "Due now 1" in browser.words
        assert ("SQLite" if database.dialect == "sqlite" else "PostgreSQL") in browser.words


async def test_the_system_page_says_what_the_doctor_says(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get("/administration/system")
        assert "No node is running: nothing is delivered. Start" in browser.words
        now = server.parts.clock.now()
        await database.write(lambda tx: people.join_node(tx, name="here", now=now))
        parts = replace(server.parts, installation=Installation(allow=["* 10.1.0.0/16"]))
        browser = a_browser(build_app(parts), parts)
        await browser.get("/administration/system")
        assert "No node is running" not in browser.words
        assert "Webhooks may reach a private network: * 10.1.0.0/16 (egress.allow)." in browser.words


async def test_none_of_these_pages_is_for_others_than_administrators(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        for role, owners in (("warehouse", None), ("goods-owner", [TEA])):
            browser = a_browser(server.app, server.parts, role, owners)
            for path in (OWNERS, KEYS, "/administration/system", "/administration/event-types/new"):
                assert (await browser.get(path)).status == 403
