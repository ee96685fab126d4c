"""The log's pages: filters find what they say, files are harmless, and nobody meets another's deliveries."""

import csv
import io
import json
import re
import subprocess
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from dockbell.actions import webhook_list
from dockbell.clock import HOUR
from dockbell.domain.event_json import LARGEST_ID
from dockbell.domain.permissions import SYSTEM
from dockbell.store import deliveries, log_search
from dockbell.store.database import Transaction, open_database
from dockbell.store.migrate import migrate
from dockbell.store.objects import Sought
from dockbell.warehouse.demo_data import load_demo
from dockbell.web.server import PAGES
from dockbell.web.ui import log
from dockbell.web.ui.log_files import as_curl, attachment, csv_lines, guarded
from tests.support.bad_inputs import cases
from tests.support.browser_like import a_browser
from tests.support.page_addresses import address
from tests.support.parts import Server, a_server
from tests.support.rows import FJORD, TEA, a_closing, a_failure
from tests.support.things import Things

LOG = "/administration/deliveries"


async def attempted(server: Server, webhook: int, *, failed: bool = False, **fields: Any) -> str:
    """A delivery whose first attempt has ended; its id."""
    event = int((await server.publish(**fields))["eventId"])
    now = server.parts.clock.now()

    def attempt(tx: Transaction) -> None:
        [lease] = deliveries.claim_due(tx, webhook_id=webhook, now=now, lease_until=now + HOUR, node=0, limit=1)
        made = partial(a_failure, again_at=now + HOUR) if failed else a_closing
        deliveries.close(tx, [made(lease, ended_at=now, total_us=90_000)])

    await server.parts.database.write(attempt)
    return f"{event}-{webhook}"


async def test_each_filter_finds_its_deliveries_alone_and_together(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        tea = await server.make_webhook(name="Tea", eventType="test.anything")
        fjord = await server.make_webhook(name="Fjord", eventType="test.anything", goodsOwnerIds=[FJORD])
        good = await attempted(server, tea["id"])
        bad = await attempted(server, tea["id"], failed=True)
        other = await attempted(server, fjord["id"], goodsOwnerId=FJORD)
        browser = a_browser(server.app, server.parts)
        expected = {
            "": {good, bad, other},
            "status=delivered": {good, other},
            "status=pending": {bad},
            "status=failed": set(),
            "code=2xx": {good, other},
            "code=3xx": set(),
            "code=4xx": set(),
            "code=5xx": {bad},
            "code=none": set(),
            "code=http_500": {bad},
            "code=delivered": {good, other},
            "code=500": {bad},
            "code=200": {good, other},
            "code=404": set(),
            "webhookId=fjord": {other},
            f"webhookId={fjord['id']}": {other},
            f"goodsOwnerId={TEA}": {good, bad},
            "eventType=test.anything": {good, bad, other},
            "eventType=order.picked": set(),
            "about=order+12345": set(),
            "from=2000-01-01T00:00&to=2000-01-02T00:00": set(),
            "from=2020-01-01T00:00": {good, bad, other},
            f"goodsOwnerId={TEA}&code=5xx&status=pending&webhookId={tea['id']}&eventType=test.anything": {bad},
            f"goodsOwnerId={FJORD}&code=5xx": set(),
        }
        for query, ids in expected.items():
            assert (await browser.get(f"{LOG}?{query}")).status == 200, query
            assert {one for one in (good, bad, other) if f'data-id="{one}"' in browser.text} == ids, query
        await browser.get(f"/administration/webhooks/{fjord['id']}/logs")
        assert f'data-id="{other}"' in browser.text
        assert f'data-id="{good}"' not in browser.text
        for query in ("status=x", "webhookId=x", "from=yesterday"):
            assert (await browser.get(f"{LOG}?{query}")).status == 422, query


async def test_a_filter_that_means_nothing_is_refused_in_words(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        for _ in range(2):
            await server.make_webhook(name="Twin")
        browser = a_browser(server.app, server.parts)
        for query, words in {
            "code=foo": "is no outcome of an attempt",
            "code=600x": "is no outcome of an attempt",
            "webhookId=Nobody": "There is no webhook “Nobody”.",
            "webhookId=twin": "2 webhooks are named so; write a number.",
        }.items():
            assert (await browser.get(f"{LOG}?{query}")).status == 422, query
            assert words in browser.text, query
        assert (await server.admin.get("/api/v1/deliveries?code=foo")).code == "outcome"


async def test_a_webhook_is_found_by_its_name_however_many_there_are(tmp_path, database, monkeypatch):
    monkeypatch.setattr(webhook_list, "MOST_WEBHOOKS", 2)
    async with a_server(database, tmp_path) as server:
        for name in ("One", "Two", "Three"):
            await server.make_webhook(name=name)
        browser = a_browser(server.app, server.parts)
        assert (await browser.get(f"{LOG}?webhookId=three")).status == 200


async def test_the_largest_number_is_one_and_the_next_is_none(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = a_browser(server.app, server.parts)
        for name in ("goodsOwnerId", "webhookId"):
            assert (await browser.get(f"{LOG}?{name}={LARGEST_ID}")).status == 200, name
            assert (await browser.get(f"{LOG}?{name}={LARGEST_ID + 1}")).status == 422, name


async def test_a_log_without_the_order_leads_to_what_happened_to_it(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = a_browser(server.app, server.parts)
        await browser.get(f"{LOG}?about=12349")
        assert "/administration/events?about=12349" in browser.last.body.decode()
        await browser.get(f"{LOG}?status=failed")
        assert "/administration/events?about" not in browser.last.body.decode()


async def test_an_empty_log_says_what_to_do(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = a_browser(server.app, server.parts)
        await browser.get(LOG)
        assert "No deliveries yet" in browser.words
        await browser.get(f"{LOG}?status=failed")
        assert "No delivery fits" in browser.words


async def test_nobody_meets_another_goods_owners_deliveries(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        tea = await server.make_webhook(eventType="test.anything")
        fjord = await server.make_webhook(eventType="test.anything", goodsOwnerIds=[FJORD])
        own = await attempted(server, tea["id"])
        other = await attempted(server, fjord["id"], failed=True, goodsOwnerId=FJORD)
        browser = a_browser(server.app, server.parts, "goods-owner", [TEA])
        for page in (LOG, f"{LOG}/rows", f"{LOG}/export", f"{LOG}/export?as=json"):
            await browser.get(page)
            assert own in browser.text, page
            assert other not in browser.text, page
        await browser.get(f"{LOG}?goodsOwnerId={FJORD}")
        assert other not in browser.text
        assert (await browser.get(f"{LOG}/{other}")).status == 404
        assert (await browser.get(f"{LOG}/{other}/payload")).status == 404
        await browser.get(LOG)
        for do in ("resend", "cancel"):
            assert (await browser.submit(f"{LOG}/{other}/{do}")).status == 404


async def test_a_delivery_tells_its_attempts_and_is_resent_and_cancelled(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        webhook = await server.make_webhook(eventType="test.anything")
        one = await attempted(server, webhook["id"], failed=True)
        browser = a_browser(server.app, server.parts)
        assert (await browser.get(f"{LOG}/{one}")).status == 200
        for text in ("The receiver answered 500", "What to do", "curl --request POST", "Next attempt"):
            assert text in browser.words, text
        reply = await browser.get(f"{LOG}/{one}/payload")
        assert reply.headers["content-type"] == "application/octet-stream"
        assert json.loads(reply.body)["a"] == 1
        await browser.get(f"{LOG}/{one}")
        assert (await browser.submit(f"{LOG}/{one}/cancel")).status == 200
        assert "cancelled" in browser.words
        assert (await browser.submit(f"{LOG}/{one}/resend")).status == 200
        assert "Sent again" in browser.words
        await server.admin.patch(f"/api/v1/webhooks/{webhook['id']}", {"enabled": False})
        await browser.get(f"{LOG}/{one}")
        await browser.submit(f"{LOG}/{one}/resend")
        assert "this is sent again once you enable it" in browser.words
        told = {row["action"] for row in await database.read(lambda tx: tx.all("SELECT action FROM audit"))}
        assert {"delivery.cancelled", "delivery.resent"} <= told


async def test_a_delivery_that_was_taken_says_what_to_look_for_at_the_receiver(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        webhook = await server.make_webhook(eventType="test.anything")
        one = await attempted(server, webhook["id"])
        browser = a_browser(server.app, server.parts)
        await browser.get(f"{LOG}/{one}")
        assert f"should have the header webhook-id: {one}" in browser.words


async def test_the_files_say_what_the_log_says(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        webhook = await server.make_webhook(eventType="test.anything")
        made = [await attempted(server, webhook["id"]) for _ in range(3)]
        browser = a_browser(server.app, server.parts)
        reply = await browser.get(f"{LOG}/export")
        assert reply.headers["content-type"] == "text/csv; charset=utf-8; header=present"
        assert reply.headers["content-disposition"].startswith("attachment; filename=")
        assert [row["id"] for row in csv.DictReader(io.StringIO(browser.text))] == made[::-1]
        reply = await browser.get(f"{LOG}/export?as=json")
        assert [row["id"] for row in reply.document] == made[::-1]


@pytest.mark.parametrize("case", cases("csv"), ids=str)
def test_no_cell_is_a_formula_and_each_comes_back(case):
    assert guarded(case.input) == ("'" if case.verdict == "guard" else "") + case.input
    row = dict.fromkeys(("id", "acceptedAt", "webhookId", "goodsOwnerId", "eventType", "object", "status", "lastCode",
                         "attempts", "lastDurationInMs", "nextAttemptAt", "endedAt"), "")  # fmt: skip
    text = csv_lines([{**row, "number": case.input}])
    [cells] = csv.reader(io.StringIO(text, newline=""))
    assert cells[6] == guarded(case.input)


def test_a_file_name_is_told_in_both_ways():
    assert attachment("åäö.csv") == "attachment; filename=\"___.csv\"; filename*=UTF-8''%C3%A5%C3%A4%C3%B6.csv"


def test_a_curl_line_holds_no_secret_and_the_shell_reads_it_as_meant():
    headers = "Authorization: Basic *** (ab12)\nX-Company: it's $HOME `id`\nX-Own: *** (cd)\nwebhook-signature: v1,abc="
    line = as_curl("http://127.0.0.1/a?b=c&d", headers, '{"a":"it\'s $(id)"}')
    for secret in ("ab12", "(cd)", "v1,abc"):
        assert secret not in line
    assert "${AUTHORIZATION}" in line
    assert subprocess.run(["/bin/bash", "-n", "-c", line], check=False).returncode == 0
    shown = subprocess.run(
        ["/bin/bash", "-c", f'curl() {{ printf "%s\\0" "$@"; }}; {line}'],
        check=True, capture_output=True, text=True, env={"AUTHORIZATION": "Basic x", "X_OWN": "y", "HOME": "/nowhere"},
    ).stdout.split("\0")  # fmt: skip
    assert "http://127.0.0.1/a?b=&" in shown
    assert "X-Company: it's $HOME `id`" in shown
    assert '{"a":"it\'s $(id)"}' in shown
    assert "Authorization: Basic x" in shown


def test_a_curl_line_asks_for_the_values_of_the_query():
    line = as_curl("https://x.example/in?api-key=s3cret&to=l'ager&bare#part", "", "{}")
    for value in ("s3cret", "ager", "bare", "part"):
        assert value not in line
    shown = subprocess.run(
        ["/bin/bash", "-c", f'curl() {{ printf "%s\\0" "$@"; }}; {line}'],
        check=True, capture_output=True, text=True, env={"QUERY_API_KEY": "a b", "QUERY_TO": "c", "QUERY": "d"},
    ).stdout.split("\0")  # fmt: skip
    assert "https://x.example/in?api-key=a b&to=c&d" in shown


SAID = ("x-from-operator", "operator body", "10.9.8.7", "operator detail", "x-to-operator")


async def said_to(server: Server, webhook: int, **fields: Any) -> str:
    """A failed delivery whose attempt holds what SAID lists; its id."""
    event = int((await server.publish(**fields))["eventId"])
    now = server.parts.clock.now()

    def attempt(tx: Transaction) -> None:
        [lease] = deliveries.claim_due(tx, webhook_id=webhook, now=now, lease_until=now + HOUR, node=0, limit=1)
        closing = a_failure(
            lease, again_at=now + HOUR, request_headers="x-to-operator: 1", response_headers="x-from-operator: 1",
            response_body="operator body", address="10.9.8.7", detail="operator detail",
        )  # fmt: skip
        deliveries.close(tx, [closing])

    await server.parts.database.write(attempt)
    return f"{event}-{webhook}"


@pytest.mark.parametrize("owners", [None, [TEA, FJORD]], ids=["everyone", "two"])
async def test_a_goods_owner_learns_of_the_operators_webhook_only_what_came_of_it(tmp_path, database, owners):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(
            kind="automation",
            goodsOwnerIds=owners,
            eventType="test.anything",
            targetUrl="http://127.0.0.1:8999/operators",
        )
        one = await said_to(server, made["id"])
        for key, told in ((server.as_key(["read"], [TEA]), False), (server.admin, True)):
            for path in (
                f"/api/v1/deliveries/{one}",
                f"/api/v1/deliveries/{one}/attempts",
                f"/api/v1/attempts?deliveryId={one}",
            ):
                reply = await key.get(path)
                [attempt] = reply.document.get("attemptList") or reply.document["items"]
                assert (attempt["code"], attempt["statusCode"]) == ("http_500", 500)
                text = reply.body.decode()
                assert [each in text for each in SAID] == [told] * len(SAID), path
                assert told or {attempt[name] for name in ("address", "detail", "requestHeaders", "responseBody")} == {
                    None
                }
        for role, goods_owners, told in (("goods-owner", [TEA], False), ("administrator", None, True)):
            browser = a_browser(server.app, server.parts, role, goods_owners)
            await browser.get(f"{LOG}/{one}")
            # The detail is shown when no response came; here one did.
            shown = [each in browser.text for each in (*SAID[:3], SAID[4], "8999/operators", "curl", 'class="main"')]
            assert shown == [told] * 7, role
            assert ("not shown" in browser.words) is not told
            assert (f'href="/administration/webhooks/{made["id"]}"' in browser.text) is told
            await browser.get(LOG)
            assert (f'value="{one}"' in browser.text) is told, "the tick box"
            assert f'data-id="{one}"' in browser.text


async def test_a_goods_owners_own_webhook_hides_nothing_from_them(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(eventType="test.anything")
        one = await said_to(server, made["id"])
        text = (await server.as_key(["read"], [TEA]).get(f"/api/v1/deliveries/{one}")).body.decode()
        assert all(each in text for each in SAID)
        browser = a_browser(server.app, server.parts, "goods-owner", [TEA])
        await browser.get(f"{LOG}/{one}")
        assert "8999/hook" in browser.text
        assert (await browser.submit(f"{LOG}/{one}/resend")).status == 200


async def test_the_log_names_the_webhook(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(name="Stock to <ERP>", eventType="test.anything")
        await server.publish()
        browser = a_browser(server.app, server.parts)
        await browser.get(LOG)
        assert f'<a href="/administration/webhooks/{made["id"]}">Stock to &lt;ERP&gt;</a>' in browser.text


@pytest.mark.parametrize(("most", "written", "is_cut"), [(4, 4, True), (5, 5, False), (6, 5, False), (3, 3, True)])
async def test_a_long_file_is_cut_and_says_so(tmp_path, database, most, written, is_cut):
    async with a_server(database, tmp_path) as server:
        webhook = await server.make_webhook(eventType="test.anything")
        made = [await attempted(server, webhook["id"]) for _ in range(5)][::-1]

        async def file(kind: str) -> str:
            pieces = log.portions(server.parts.database, SYSTEM, {}, kind, portion=2, most=most)
            return "".join([piece async for piece in pieces])

        rows = list(csv.DictReader(io.StringIO(await file("csv"))))
        assert [row["id"] for row in rows[:written]] == made[:written]
        assert [row["id"] for row in rows[written:]] == ([f"Cut after {most} deliveries; filter for less."] * is_cut)
        rows = json.loads(await file("json"))
        assert [row.get("id") for row in rows[:written]] == made[:written]
        assert rows[written:] == ([{"cut": f"Cut after {most} deliveries; filter for less."}] * is_cut)


async def test_a_webhook_that_changed_its_event_type_is_found_by_both(tmp_path, database):
    other = {"key": "test.other", "name": "Other", "schema": {"type": "object"}, "example": {"a": 1}}
    async with a_server(database, tmp_path) as server:
        assert (await server.admin.post("/api/v1/eventTypes", other)).status == 201
        webhook = await server.make_webhook(eventType="test.anything")
        before = (await server.publish())["eventId"]
        reply = await server.admin.patch(f"/api/v1/webhooks/{webhook['id']}", {"eventType": "test.other"})
        assert reply.status == 200, reply.body
        after = (await server.publish(type="test.other"))["eventId"]
        for event_type, event in (("test.anything", [before]), ("test.other", [after]), ("test.%", []), ('a"\\', [])):
            reply = await server.admin.get("/api/v1/deliveries?eventType=" + quote(event_type))
            assert [one["eventId"] for one in reply.document["items"]] == event, event_type


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "deliveries_1"),
        ({"status": "failed"}, "deliveries_at_rest"),
        ({"status": "held", "webhook_id": 1}, "deliveries_at_rest"),
        ({"status": "pending", "goods_owners": [TEA]}, "deliveries_at_rest"),
        ({"status": "sending"}, "deliveries_sending"),
        ({"status": "failed", "code": "http_500"}, "deliveries_of_code"),
        ({"status": "failed", "event_type": "order.picked", "webhook_ids": [1, 2]}, "deliveries_at_rest"),
        ({"code": "http_500"}, "deliveries_of_code"),
        ({"code": "http_500", "webhook_id": 1}, "deliveries_of_code"),
        ({"webhook_id": 1}, "deliveries_of_webhook"),
        ({"webhook_id": 1, "event_type": "order.picked"}, "deliveries_of_webhook"),
        ({"webhook_id": 1, "goods_owner_id": TEA, "along": "goods owner"}, "events_of_goods_owner"),
        ({"goods_owner_id": TEA}, "events_of_goods_owner"),
        ({"goods_owner_id": TEA, "event_type": "order.picked"}, "events_of_goods_owner"),
        ({"goods_owner_id": TEA, "event_type": "order.picked", "along": "type"}, "events_of_type"),
        ({"event_type": "order.picked"}, "events_of_type"),
        ({"event_type": "order.picked", "goods_owners": [TEA, FJORD]}, "events_of_type"),
        ({"event_type": "order.picked", "status": "delivered"}, "events_of_type"),
        ({"event_type": "order.picked", "status": "failed"}, "deliveries_at_rest"),
        ({"about": Sought("order/1", "order", "1")}, "events_of_object"),
    ],
    ids=str,
)
def test_the_log_walks_the_index_that_its_filters_lead_to(tmp_path, filters, index):
    """SQLite's plans are the same however much is stored, as it has no statistics; a sort would read all there is."""
    opened = open_database(f"sqlite:///{tmp_path / 'data.sqlite'}")
    migrate(opened, now=1)
    where, order, params = log_search.conditions(log_search.Search(**filters), (1 << 62, 0))
    text = (
        "EXPLAIN QUERY PLAN SELECT d.due_at, e.head FROM deliveries d JOIN events e ON e.id = d.event_id "
        f"WHERE {where} ORDER BY {order} LIMIT 51"
    )
    plan = opened.submit_read(lambda tx: [str(row["detail"]) for row in tx.all(text, **params)]).result()
    opened.close()
    assert any(re.search(rf"USING (COVERING )?INDEX \w*{index} ?", step) for step in plan), plan
    assert index == "events_of_object" or not any("FOR ORDER BY" in step for step in plan), plan
    assert not any(step.startswith("SCAN") and "sending" not in step for step in plan), plan


# What cannot stand in an address.


async def test_a_control_character_in_an_address_is_refused_on_every_page(tmp_path, database):
    """PostgreSQL keeps no NUL: without the refusal a page fails, and a file breaks off in its middle."""
    async with a_server(database, tmp_path) as server:
        now = server.parts.clock.now()
        await database.write(lambda tx: load_demo(tx, server.parts.publisher, now))
        things = await Things(server).of(TEA, fresh=False)
        browser = a_browser(server.app, server.parts)
        walked = 0
        for route in [each for module in PAGES for each in module if each.method == "GET"]:
            place = address(route, things).partition("?")[0]
            for query in ("about=%00", "x%00=1", "eventType=a%0Ab", "before=%7F"):
                reply = await browser.get(f"{place}?{query}", follow=False)
                assert (reply.status, "control_character" in browser.text) == (422, True), (place, query)
            if "{" in route.path:
                before, _, after = route.path.partition("{")
                walked += 1
                for part in ("%00", "1%00", "%0A"):
                    reply = await browser.get(f"{before}{part}{after.partition('}')[2]}", follow=False)
                    assert reply.status == 404, (route.path, part)
        assert walked > 8


async def test_a_run_has_a_number_of_one_form_over_the_api_too(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        for number in ("%00", "0123456789abcde%00", "0123456789ABCDEF", "x" * 300):
            reply = await server.admin.get(f"/api/v1/bulkRuns/{number}")
            assert (reply.status, reply.code) == (404, "not_found"), number


async def test_a_tab_that_came_along_with_a_copied_number_is_no_mistake(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        assert (await a_browser(server.app, server.parts).get(f"{LOG}?about=SO-1%09")).status == 200


async def test_a_delivery_that_waits_for_its_turn_says_for_which(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        webhook = await server.make_webhook(eventType="test.anything", keepOrder=True)
        first, second = [(await server.publish(key="order/7", data={"n": n}))["eventId"] for n in range(2)]
        browser = a_browser(server.app, server.parts)
        await browser.get(f"{LOG}/{second}-{webhook['id']}")
        assert "It waits for its turn." in browser.words
        assert f'href="{LOG}/{first}-{webhook["id"]}"' in browser.text
        await browser.get(LOG)
        assert browser.words.count("waits for its turn") == 1
