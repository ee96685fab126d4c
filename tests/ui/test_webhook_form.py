"""The webhook's form: what is typed is judged by the API's rules, comes back as typed, and secrets never do."""

import asyncio
import html
import re
import threading
from dataclasses import replace

import pytest

from dockbell.clock import SystemClock
from dockbell.domain.permissions import SYSTEM
from dockbell.errors import Conflict
from dockbell.store.database import Transaction
from dockbell.web.server import build_app
from tests.support.browser_like import Browser, a_browser
from tests.support.parts import CATALOG, Server, a_server
from tests.support.rows import FJORD, TEA, forget_setting

NEW = "/administration/webhooks/new"
PICKED = next(dict(each.example) for each in CATALOG if each.key == "order.picked")
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")


def admin(server: Server) -> Browser:
    return a_browser(server.app, server.parts)


def typed(**changes: object) -> list[tuple[str, str]]:
    """A regular webhook as somebody fills it in; a list stands for rows."""
    fields: dict[str, object] = {
        "kind": "regular",
        "name": "ERP of Nordic Tea",
        "eventType": "order.picked",
        "owner": str(TEA),
        "targetUrl": "https://erp.example.com/hooks",
        "email": "it@example.com",
        "enabled": "yes",
        "authentication": "basic",
        "username": "dockbell",
        "password": "tea-and-biscuits",
        "headerName": ["X-Company-Id", "X-Key", ""],
        "headerValue": ["654", "a-secret-value", ""],
        "headerKind": ["shown", "secret", "shown"],
        "headerLines": "X-Site: North\n\nX-Empty:",
        "transporters": "DHL\nPostNord",
        "orderTypes": "",
        "conditionField": ["data.orderStatus.number", ""],
        "conditionOperator": ["greater", "is"],
        "conditionValue": ["399", ""],
        "retryPolicy": "own",
        "steps": "1 min, 90, 2 h",
        "timeoutInSeconds": "12.5",
        "maxConcurrency": "8",
    }
    fields |= changes
    pairs: list[tuple[str, str]] = []
    for name, value in fields.items():
        pairs += [(name, str(each)) for each in value] if isinstance(value, list) else [(name, str(value))]
    return pairs


async def created(browser: Browser, **changes: object) -> None:
    await browser.get(NEW + "?kind=regular&eventType=order.picked")
    await browser.submit(NEW, typed(**changes))
    assert browser.last.status == 200, browser.words


def value_of(browser: Browser, name: str) -> list[str]:
    found = re.findall(rf'<input(?=[^>]*\bname="{name}")[^>]*\bvalue="([^"]*)"', browser.text)
    return [html.unescape(each) for each in found]


def ticked(browser: Browser, name: str) -> bool:
    [box] = re.findall(rf'<input type="checkbox" name="{name}"[^>]*>', browser.text)
    return " checked" in box


async def test_what_is_typed_becomes_the_webhook(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await created(browser)
        [webhook] = (await server.admin.get("/api/v1/webhooks")).document["items"]
    assert webhook["kind"] == "regular"
    assert webhook["goodsOwnerIds"] == [TEA]
    assert webhook["authentication"]["username"] == "dockbell"
    shown = {header["name"]: header["value"] for header in webhook["headers"] if not header["secret"]}
    assert shown == {"X-Company-Id": "654", "X-Site": "North", "X-Empty": ""}
    assert [header["name"] for header in webhook["headers"] if header["secret"]] == ["X-Key"]
    assert webhook["filters"]["transporters"] == ["DHL", "PostNord"]
    assert webhook["filters"]["conditions"] == [
        {"field": "data.orderStatus.number", "operator": "greater", "value": 399}
    ]
    assert webhook["retryPolicy"] == {"name": "own", "stepsInSeconds": [60, 90, 7200]}
    assert (webhook["timeoutInSeconds"], webhook["maxConcurrency"]) == (12.5, 8)


async def test_the_signing_secret_is_told_once(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await created(browser)
        assert SECRET.search(browser.text)
        for path in ("/administration/webhooks/1", "/administration/webhooks/1/edit"):
            await browser.get(path)
            assert not SECRET.search(browser.text)


async def test_every_problem_is_said_at_its_field_and_nothing_typed_is_lost(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get(NEW + "?kind=regular&eventType=order.picked")
        wrong = typed(
            name="", targetUrl="ftp://erp", owner="", steps="soon", headerName=["Host"], headerValue=["x<y"],
            headerKind=["shown"], email="nobody", conditionValue=["399", ""], timeoutInSeconds="a while",
        )  # fmt: skip
        reply = await browser.submit(NEW, wrong)
        assert reply.status == 422
        problems = set(re.findall(r'id="problem-(.*?)-\d+"', browser.text))
        assert problems == {
            "name", "targetUrl", "goodsOwnerIds", "email", "headers[0].name", "retryPolicy.stepsInSeconds",
            "timeoutInSeconds",
        }  # fmt: skip
        assert value_of(browser, "targetUrl") == ["ftp://erp"]
        assert value_of(browser, "headerName")[:2] == ["Host", "X-Site"]
        assert value_of(browser, "headerValue")[0] == "x<y"
        assert value_of(browser, "steps") == ["soon"]
        assert value_of(browser, "password") == ["tea-and-biscuits"]
        assert value_of(browser, "conditionValue")[0] == "399"
        assert (await server.admin.get("/api/v1/webhooks")).document["items"] == []


async def test_a_pasted_line_without_a_colon_is_named_and_sends_nothing(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get(NEW + "?kind=regular&eventType=order.picked")
        await browser.submit(NEW, typed(headerLines="X-A: 1\nX-B"))
        assert browser.last.status == 422
        assert "The header 'X-B' has no value." in browser.words
        assert "X-B" in value_of(browser, "headerName")
        assert (await server.admin.get("/api/v1/webhooks")).document["items"] == []


async def test_codes_may_stand_in_one_line_with_commas_between(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await created(admin(server), transporters="DHL, PostNord\nUPS")
        stored = (await server.admin.get("/api/v1/webhooks/1")).document
    assert stored["filters"]["transporters"] == ["DHL", "PostNord", "UPS"]


async def test_a_webhook_opened_and_saved_has_the_filters_it_had(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        filters = {
            "transporters": ["DHL, Sweden"],
            "conditions": [{"field": "data.orderNumber", "operator": "isOneOf", "value": ["A, 1", "5"]}],
        }
        made = await server.make_webhook(eventType="order.picked", filters=filters)
        browser = admin(server)
        await browser.get(f"/administration/webhooks/{made['id']}/edit")
        [transporters] = re.findall(r'<textarea[^>]*name="transporters"[^>]*>([^<]*)<', browser.text)
        fields = typed(
            version=value_of(browser, "version")[0], name="Renamed",
            transporters=html.unescape(transporters),
            conditionField=["data.orderNumber"], conditionOperator=["isOneOf"],
            conditionValue=[html.unescape(value_of(browser, "conditionValue")[0])],
        )  # fmt: skip
        await browser.submit(f"/administration/webhooks/{made['id']}/edit", fields)
        after = (await server.admin.get(f"/api/v1/webhooks/{made['id']}")).document
    assert after["name"] == "Renamed"
    assert after["filters"] == made["filters"]


async def test_a_move_to_another_host_says_that_it_disabled_the_webhook(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await created(browser)
        await browser.get("/administration/webhooks/1/edit")
        [version] = value_of(browser, "version")
        moved = typed(
            version=version, targetUrl="https://else.example.com/", password="", headerLines="",
            headerName=["X-Key"], headerValue=[""], headerKind=["kept"],
        )  # fmt: skip
        await browser.submit("/administration/webhooks/1/edit", moved)
        assert "Saved, and disabled" in browser.words
        assert (await server.admin.get("/api/v1/webhooks/1")).document["enabled"] is False


async def test_who_has_no_goods_owner_to_choose_is_told_so(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        for owners, told in (([TEA], False), ([], True)):
            browser = a_browser(server.app, server.parts, "goods-owner", owners)
            await browser.get(NEW + "?kind=regular&eventType=order.picked")
            assert ("No goods owner is known yet" in browser.words) == told


async def test_an_edit_keeps_secrets_that_were_left_empty_and_shows_none(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await created(browser)
        await browser.get("/administration/webhooks/1/edit")
        assert "tea-and-biscuits" not in browser.text
        assert "a-secret-value" not in browser.text
        [version] = value_of(browser, "version")
        before = (await server.admin.get("/api/v1/webhooks/1")).document
        fields = typed(
            version=version, name="Renamed", password="", headerLines="",
            headerName=["X-Key"], headerValue=[""], headerKind=["kept"],
        )  # fmt: skip
        await browser.submit("/administration/webhooks/1/edit", fields)
        after = (await server.admin.get("/api/v1/webhooks/1")).document
    assert after["name"] == "Renamed"
    assert after["authentication"] == before["authentication"]
    assert [h for h in after["headers"] if h["secret"]] == [h for h in before["headers"] if h["secret"]]
    assert len(after["headers"]) == 1


async def test_the_order_is_kept_if_it_is_ticked_and_the_tick_stays_until_it_is_taken_away(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get(NEW + "?kind=regular&eventType=order.picked")
        assert ticked(browser, "keepOrder") is False
        wrong = await browser.submit(NEW, typed(keepOrder="yes", name=""))
        assert wrong.status == 422
        assert ticked(browser, "keepOrder") is True
        await created(browser, keepOrder="yes")
        assert (await server.admin.get("/api/v1/webhooks/1")).document["keepOrder"] is True
        await browser.get(f"{NEW}?from=1")
        assert ticked(browser, "keepOrder") is True
        await browser.get("/administration/webhooks/1/edit")
        assert ticked(browser, "keepOrder") is True
        # As a form that was opened before there was the tick sends it.
        [version] = value_of(browser, "version")
        old = typed(version=version, password="", headerName=[], headerValue=[], headerKind=[], headerLines="")
        await browser.submit("/administration/webhooks/1/edit", old)
        assert (await server.admin.get("/api/v1/webhooks/1")).document["keepOrder"] is False
        await browser.get("/administration/webhooks/1/edit")
        assert ticked(browser, "keepOrder") is False


async def test_a_webhook_saved_before_the_order_could_be_kept_opens_without_the_tick(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook()
        forget_setting(server.parts.database, made["id"], "keepOrder")
        browser = admin(server)
        await browser.get(f"/administration/webhooks/{made['id']}/edit")
        assert ticked(browser, "keepOrder") is False


async def test_a_clone_needs_the_secret_of_a_header_again(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(headers=[{"name": "X-Api-Key", "value": "geheim-geheim", "secret": True}])
        browser = admin(server)
        await browser.get(f"{NEW}?from={made['id']}")
        assert value_of(browser, "headerName")[0] == "X-Api-Key"
        await browser.submit(
            NEW, typed(headerName=["X-Api-Key"], headerValue=[""], headerKind=["secret"], headerLines="")
        )
        assert browser.last.status == 422
        assert "The header 'X-Api-Key' has no value." in browser.words


async def test_a_form_that_says_what_no_page_offers_shows_no_secret_and_forgets_no_password(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get(f"{NEW}?eventType=order.picked")
        reply = await browser.submit(NEW, typed(authentication="basicx"))
        assert reply.status == 422
        assert reply.status == (await browser.submit(NEW, typed(authentication="Basic"))).status
        await browser.submit(NEW, typed(headerKind=["other", "secret", "shown"]))
        assert browser.last.status == 200
        headers = (await server.admin.get("/api/v1/webhooks/1")).document["headers"]
        assert {each["name"]: each["secret"] for each in headers}["X-Company-Id"] is True


async def test_who_edits_an_older_version_is_told_before_anything_is_overwritten(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await created(browser)
        await browser.get("/administration/webhooks/1/edit")
        [version] = value_of(browser, "version")
        await server.admin.patch("/api/v1/webhooks/1", {"name": "The other's name"})
        reply = await browser.submit(
            "/administration/webhooks/1/edit", typed(version=version, name="Mine", password="")
        )
        assert reply.status == 422
        assert "changed this webhook meanwhile" in browser.words
        assert (await server.admin.get("/api/v1/webhooks/1")).document["name"] == "The other's name"
        [version] = value_of(browser, "version")
        await browser.submit("/administration/webhooks/1/edit", typed(version=version, name="Mine", password=""))
        assert (await server.admin.get("/api/v1/webhooks/1")).document["name"] == "Mine"


async def test_of_two_who_save_the_same_version_in_one_moment_one_is_told(tmp_path, database, open_again):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(name="First name")
        webhooks, now, another = server.parts.webhooks, server.parts.clock.now(), open_again()
        saved, go_on = threading.Event(), threading.Event()

        def save(tx: Transaction, name: str) -> None:
            webhooks.change(tx, SYSTEM, 1, {"name": name}, now=now, expected_version=1)

        def slowly(tx: Transaction) -> None:
            save(tx, "The other's name")
            saved.set()
            assert go_on.wait(10)

        first = database.submit_write(slowly)
        assert saved.wait(10)
        second = another.submit_write(lambda tx: save(tx, "Mine"))
        with pytest.raises(TimeoutError):
            second.result(0.3)
        go_on.set()
        first.result(10)
        with pytest.raises(Conflict, match="changed this webhook meanwhile"):
            second.result(10)
        shown = (await server.admin.get("/api/v1/webhooks/1")).document
        assert (shown["name"], shown["version"]) == ("The other's name", 2)


async def test_of_eight_forms_of_the_same_version_one_is_saved(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await created(browser)
        await browser.get("/administration/webhooks/1/edit")
        [version] = value_of(browser, "version")
        held, csrf = browser.cookies["dockbell"], browser.csrf
        forms = [
            Browser(server.app, held).submit(
                "/administration/webhooks/1/edit",
                [*typed(version=version, name=f"Name {n}", password=""), ("csrf", csrf)],
                follow=False,
            )
            for n in range(8)
        ]
        statuses = sorted(reply.status for reply in await asyncio.gather(*forms))
        assert statuses == [303] + [422] * 7


async def test_another_type_can_be_looked_at_without_losing_what_was_typed(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get(NEW + "?kind=regular&eventType=order.picked")
        await browser.submit(NEW, typed(eventType="purchase-order-line.created", look="type"))
        assert browser.last.status == 200
        assert "Fire when purchase order is created" in browser.words
        assert value_of(browser, "name") == ["ERP of Nordic Tea"]
        assert (await server.admin.get("/api/v1/webhooks")).document["items"] == []


async def test_the_preview_says_which_of_the_last_events_would_have_matched_and_why_not(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await server.publish(type="order.picked", data=PICKED, attributes={"transporter": "DHL"})
        await server.publish(type="order.picked", data=PICKED, attributes={"transporter": "Schenker"})
        await browser.get(NEW + "?kind=regular&eventType=order.picked")
        await browser.submit("/administration/webhooks/preview", typed(eventType="order.picked"))
        assert browser.last.status == 200
        text = re.sub(r"<[^>]*>|\s+", " ", html.unescape(browser.text))
    assert "1 of the last 2" in " ".join(text.split())
    assert "met Schenker" in text


async def test_the_preview_judges_by_no_field_that_a_webhook_may_not_have(tmp_path, database):
    """orderNumber for data.orderNumber met all attributes as they are, and read as if the event were wrong."""
    async with a_server(database, tmp_path) as server:
        await server.publish(type="order.picked", data=PICKED, attributes={"transporter": "DHL"})
        browser = admin(server)
        await browser.get("/account")
        one = [("conditionField", "orderNumber"), ("conditionOperator", "contains"), ("conditionValue", "SO-")]
        await browser.submit("/administration/webhooks/preview", [*typed(), *one])
        assert "The filter is not complete yet." in browser.words


async def test_the_preview_judges_no_event_whose_payload_was_erased(tmp_path, database):
    """Nothing is left that its filter could meet, so every condition on it would seem not to fit."""
    async with a_server(database, tmp_path) as server:
        for key in ("order/1", "order/2"):
            await server.publish(type="order.picked", key=key, data=PICKED, attributes={"transporter": "DHL"})
        assert (await server.admin.post("/api/v1/erasures", {"key": "order/1"})).document["events"] == 1
        browser = admin(server)
        await browser.get(NEW + "?kind=regular&eventType=order.picked")
        await browser.submit(
            "/administration/webhooks/preview", typed(eventType="order.picked", conditionValue=["1", ""])
        )
        assert "1 of the last 1" in browser.words


class Sluggish(SystemClock):
    """Each look at it takes a third of a second."""

    spent = 0.0

    def monotonic(self) -> float:
        self.spent += 1 / 3
        return self.spent


async def test_the_preview_judges_for_a_second_and_tells_of_what_it_judged_by_then(tmp_path, database):
    """U-9"""
    async with a_server(database, tmp_path) as server:
        for _ in range(5):
            await server.publish(type="order.picked", data=PICKED, attributes={"transporter": "DHL"})
        server.app = build_app(replace(server.parts, clock=Sluggish()))
        browser = admin(server)
        await browser.get("/account")
        await browser.submit("/administration/webhooks/preview", typed())
        assert "2 of the last 2" in browser.words


async def test_the_preview_judges_no_more_conditions_than_a_webhook_may_have(tmp_path, database):
    """U-9"""
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await server.publish(type="order.picked", data=PICKED, attributes={"transporter": "DHL"})
        await browser.get("/account")
        one = [("conditionField", "attributes.a"), ("conditionOperator", "exists"), ("conditionValue", "no")]
        for count, said in ((19, "1 of the last 1"), (21, "The filter is not complete yet.")):
            await browser.submit("/administration/webhooks/preview", [*typed(), *one * count])
            assert said in browser.words


async def test_the_preview_shows_nothing_of_another_goods_owner(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.publish(type="order.picked", data=PICKED, goodsOwnerId=FJORD, attributes={"transporter": "DHL"})
        browser = a_browser(server.app, server.parts, "goods-owner", [TEA])
        await browser.get(NEW + "?kind=regular&eventType=order.picked")
        await browser.submit("/administration/webhooks/preview", typed(owner=str(FJORD)))
        assert "No event of this type" in browser.text


async def test_a_goods_owners_user_can_neither_make_automation_webhooks_nor_choose_another_owner(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = a_browser(server.app, server.parts, "goods-owner", [TEA])
        assert (await browser.get(NEW + "?kind=automation")).status == 403
        await browser.get(NEW + "?kind=regular&eventType=order.picked")
        assert "Fjord" not in browser.words
        assert (await browser.submit(NEW, typed(owner=str(FJORD)))).status == 422
        assert (await browser.submit(NEW, typed(kind="automation", allOwners="yes"))).status == 403
        assert (await server.admin.get("/api/v1/webhooks")).document["items"] == []


async def test_a_token_over_plain_http_warns_while_one_types(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get(NEW + "?kind=regular&eventType=order.picked")
        await browser.submit(
            "/administration/webhooks/preview", typed(targetUrl="http://erp.example.com/", authentication="token")
        )
        assert "notice waiting" in browser.text


async def test_a_form_without_its_token_changes_nothing(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get(NEW + "?kind=regular&eventType=order.picked")
        assert (await browser.submit(NEW, [*typed(), ("csrf", "0" * 64)])).status == 403
        assert (await server.admin.get("/api/v1/webhooks")).document["items"] == []
