"""Small doors that were found open from outside: each stays shut."""

import base64
import hashlib
import json
from pathlib import Path

import pytest
from starlette.requests import Request

from dockbell.actions.sign_in import _place
from dockbell.domain.addresses import parse_allow_rules
from dockbell.store.database import Database
from dockbell.web.actor import address_of
from tests.support.asgi import Api
from tests.support.browser_like import a_browser
from tests.support.parts import a_server, an_event
from tests.support.rows import FJORD, TEA

WEBHOOKS = "/api/v1/webhooks"


async def test_a_list_without_end_is_refused_as_one(database: Database, tmp_path: Path):
    async with a_server(database, tmp_path) as server:
        document = {"name": "x", "filters": {"conditions": [{}] * 60_000}, "headers": [{}] * 1_500}
        reply = await server.admin.post(WEBHOOKS, document)
        assert reply.status == 422
        told = {problem["field"]: problem["message"] for problem in reply.document["problems"]}
        assert told["filters.conditions"] == told["headers"] == "This list is too long."
        assert len(told) < 10


FOREIGN = [
    [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
    [("sec-fetch-site", "same-site")],
    [("origin", "https://evil.example")],
    [("origin", "null")],
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_another_site_changes_nothing_with_what_a_browser_sends_along(
    database: Database, tmp_path: Path, method: str, headers: list[tuple[str, str]]
):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook()
        target = WEBHOOKS if method == "POST" else f"{WEBHOOKS}/{made['id']}"
        reply = await server.admin.ask(method, target, {"name": "x"}, headers=headers)
        assert (reply.status, reply.code) == (403, "csrf")
        assert (await server.admin.ask("GET", f"{WEBHOOKS}/{made['id']}", headers=headers)).status == 200


async def test_an_encoded_slash_is_no_way_around_a_proxys_rules(database: Database, tmp_path: Path):
    async with a_server(database, tmp_path) as server:
        for reply in (
            await server.admin.get("/api%2Fv1%2fwebhooks"),
            await server.admin.ask("POST", "/api/v1%2Fevents", an_event()),
        ):
            assert (reply.status, reply.code) == (404, "not_found")


@pytest.mark.parametrize("position", ["5", "5.7.9", "5.-7", "", "5.x"])
async def test_a_made_up_cursor_is_refused(database: Database, tmp_path: Path, position: str):
    """Its checksum has no secret: whoever knows their own key's id can make it."""
    async with a_server(database, tmp_path) as server:
        key = server.make_key(["read"], None)
        bound = hashlib.sha256(json.dumps(["deliveries", key.split("_")[1], None, {}]).encode()).digest()
        statuses = []
        for each in ("5.7", position):
            packed = hashlib.sha256(bound + each.encode()).digest()[:12] + each.encode()
            cursor = base64.urlsafe_b64encode(packed).decode().rstrip("=")
            statuses.append((await Api(server.app, key).get(f"/api/v1/deliveries?cursor={cursor}")).status)
        assert statuses == [200, 422]


@pytest.mark.parametrize("name", ["GoodsOwnerId", "goodsownerid", "WEBHOOKEVENTID", "ſystem", "timeſtamp"])
async def test_data_cannot_hold_what_dockbell_writes_in_other_letters(database: Database, tmp_path: Path, name: str):
    """Readers that do not tell upper from lower case would take the last one for ours."""
    async with a_server(database, tmp_path) as server:
        reply = await server.admin.post("/api/v1/events", an_event(data={**an_event()["data"], name: 207}))
        assert reply.status == 422
        assert [problem["field"] for problem in reply.document["problems"]] == [f"data.{name}"] * 2


async def test_what_a_webhook_was_for_another_goods_owner_is_not_in_its_history(database: Database, tmp_path: Path):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(targetUrl="http://127.0.0.1:8999/?code=S3CR3T")
        change = {"goodsOwnerIds": [FJORD], "targetUrl": "http://127.0.0.1:8999/fjord"}
        assert (await server.admin.patch(f"{WEBHOOKS}/{made['id']}", change)).status == 200
        theirs = a_browser(server.app, server.parts, role="goods-owner", goods_owners=[FJORD])
        await theirs.get(f"/administration/webhooks/{made['id']}")
        assert theirs.last.status == 200
        assert "/fjord" in theirs.text
        assert "S3CR3T" not in theirs.text
        everyone = a_browser(server.app, server.parts)
        await everyone.get(f"/administration/webhooks/{made['id']}")
        assert "S3CR3T" in everyone.text


async def test_the_preview_tells_nothing_of_networks_that_are_open_for_others(database: Database, tmp_path: Path):
    async with a_server(database, tmp_path) as server:
        server.parts.webhooks._addresses.rules = parse_allow_rules([f"{FJORD} 10.1.0.0/16:8443"])
        theirs = a_browser(server.app, server.parts, role="goods-owner", goods_owners=[TEA])
        await theirs.get("/administration/webhooks/new?kind=regular&eventType=order.picked")
        said = []
        for port in (8443, 9443):
            fields = {
                "kind": "regular", "name": "x", "eventType": "order.picked", "owner": str(FJORD),
                "targetUrl": f"https://10.1.0.5:{port}/", "authentication": "none", "retryPolicy": "none",
            }  # fmt: skip
            await theirs.submit("/administration/webhooks/preview", fields)
            said.append(theirs.text.replace(str(port), "PORT"))
        assert said[0] == said[1]


def test_u10_of_several_lines_of_x_forwarded_for_the_last_word_counts():
    lines = [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"9.9.9.9, 198.51.100.7")]
    request = Request({"type": "http", "headers": lines, "client": ("127.0.0.1", 1)})
    assert address_of(request, behind_proxy=True) == "198.51.100.7"
    assert address_of(request, behind_proxy=False) == "127.0.0.1"


def test_u1_the_addresses_of_one_network_count_as_one():
    assert _place("2001:db8:1:2::1") == _place("2001:db8:1:2:ffff::9") != _place("2001:db8:1:3::1")
    assert _place("198.51.100.7") == "198.51.100.7"
    assert _place("::ffff:198.51.100.7") == "::ffff:198.51.100.7"
    assert _place("unknown") == "unknown"
