"""The list of webhooks and a webhook's page: what is read there is true, and what is pressed happens."""

import json
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from dockbell.actions import webhook_file, webhook_list
from dockbell.clock import HOUR
from dockbell.domain.event_json import LARGEST_ID
from dockbell.store import breakers, deliveries
from dockbell.store.database import Transaction
from tests.support.browser_like import Browser, a_browser
from tests.support.parts import Server, a_server
from tests.support.rows import FJORD, TEA, a_closing, a_failure, forget_setting

LIST = "/administration/webhooks"
SECRET = "whsec_c2VhbGVkLXNpZ25pbmctc2VjcmV0LTMyLWJ5dGVzISE="


def admin(server: Server) -> Browser:
    return a_browser(server.app, server.parts)


def of_tea(server: Server) -> Browser:
    return a_browser(server.app, server.parts, "goods-owner", [TEA])


async def attempted(server: Server, webhook: int, *, failed: bool) -> int:
    """An event with an attempt that just ended."""
    event = int((await server.publish())["eventId"])
    now = server.parts.clock.now()

    def attempt(tx: Transaction) -> None:
        leases = deliveries.claim_due(tx, webhook_id=webhook, now=now, lease_until=now + HOUR, node=0, limit=1)
        [lease] = leases
        made = partial(a_failure, again_at=now + HOUR) if failed else a_closing
        deliveries.close(tx, [made(lease, ended_at=now, total_us=90_000)])

    await server.parts.database.write(attempt)
    return event


async def test_a_page_about_no_webhook_says_so_in_a_persons_words(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        assert (await browser.get(f"{LIST}/3")).status == 404
        assert "There is no webhook 3." in browser.words
        assert "/api/" not in browser.words


# The list.


async def test_an_empty_list_says_what_to_do(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        assert (await browser.get(LIST)).status == 200
        assert "No webhooks yet" in browser.words
        assert "/administration/webhooks/new?kind=regular" in browser.text
        assert "/administration/webhooks/new?kind=automation" in browser.text


async def test_only_administrators_are_offered_automation_webhooks(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = of_tea(server)
        await browser.get(LIST)
        assert "new?kind=regular" in browser.text
        assert "kind=automation" not in browser.text
        reader = a_browser(server.app, server.parts, "warehouse")
        await reader.get(LIST)
        assert "webhooks/new" not in reader.text


async def test_a_goods_owners_user_is_led_to_no_form_of_the_operators_webhook(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        own = await server.make_webhook()
        operators = await server.make_webhook(kind="automation", goodsOwnerIds=[TEA])
        browser = of_tea(server)
        await browser.get(LIST)
        for made, offered in ((own, True), (operators, False)):
            assert (f"{LIST}/{made['id']}/test" in browser.text) == offered
            assert (f"from={made['id']}" in browser.text) == offered
        for form in (f"{operators['id']}/test", f"{operators['id']}/edit", f"new?from={operators['id']}"):
            assert (await browser.get(f"{LIST}/{form}")).status == 403, form


async def test_the_list_tells_how_each_webhook_does(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        new = await server.make_webhook(name="Newcomer", targetUrl="http://127.0.0.1:8999/hook")
        good = await server.make_webhook(name="Good one", eventType="test.anything")
        bad = await server.make_webhook(name="Bad one", eventType="test.anything")
        off = await server.make_webhook(name="Off", enabled=False)
        await attempted(server, good["id"], failed=False)
        await attempted(server, bad["id"], failed=False)
        await attempted(server, bad["id"], failed=True)
        browser = admin(server)
        for state, name in (("new", new), ("healthy", good), ("failing", bad), ("disabled", off)):
            await browser.get(f"{LIST}?state={state}")
            shown = [one for one in ("Newcomer", "Good one", "Bad one", "Off") if f">{one}</a>" in browser.text]
            assert shown == [name["name"]], state
        await browser.get(f"{LIST}?state=failing")
        assert "failing" in browser.words
        assert "50.0 %" in browser.words
        assert "1 delivered, 1 failed attempts" in browser.text
        assert "127.0.0.1:8999" in browser.words


async def test_the_list_is_searched_filtered_and_sorted(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        await server.make_webhook(name="Åkes ERP", targetUrl="http://127.0.0.1:8001/a")
        await server.make_webhook(name="Billing", targetUrl="http://127.0.0.1:8002/b", goodsOwnerIds=[FJORD])
        await server.make_webhook(name="Copy", kind="automation", goodsOwnerIds=None, eventType="test.anything")
        browser = admin(server)

        async def names(query: str) -> list[str]:
            await browser.get(f"{LIST}?{query}")
            at = {one: browser.text.find(f">{one}</a>") for one in ("Åkes ERP", "Billing", "Copy")}
            return sorted((one for one in at if at[one] >= 0), key=at.__getitem__)

        assert await names("search=%C3%A5KES") == ["Åkes ERP"]
        assert await names("search=8002/b") == ["Billing"]
        assert await names("kind=automation") == ["Copy"]
        assert await names("eventType=test.anything") == ["Copy"]
        assert await names(f"goodsOwner={FJORD}") == ["Billing", "Copy"]
        assert await names(f"goodsOwner={LARGEST_ID}") == ["Copy"]
        assert await names("sort=-name") == ["Åkes ERP", "Copy", "Billing"]
        assert await names("sort=host&state=&search=127") == ["Åkes ERP", "Billing", "Copy"]
        assert await names("sort=no-such&start=x&goodsOwner=x") == ["Billing", "Copy", "Åkes ERP"]
        assert await names("sort=name&start=50") == ["Billing", "Copy", "Åkes ERP"]
        assert await names("search=nothing+like+it") == []
        assert "No webhook fits" in browser.words


async def test_what_people_typed_is_text_on_every_page(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        odd = "<img src=x onerror=alert(1)>'\"{{7*7}}"
        made = await server.make_webhook(name=odd, headers=[{"name": "X-A", "value": odd}])
        await server.admin.patch(f"/api/v1/webhooks/{made['id']}", {"headers": [{"name": "X-A", "value": odd + "2"}]})
        browser = admin(server)
        page = f"{LIST}/{made['id']}"
        for target in (LIST, page, f"{page}/test", f"{page}/delete", f"{LIST}?search={quote(odd)}"):
            assert (await browser.get(target)).status == 200
            assert "<img src=x" not in browser.text, target
            assert odd in browser.words, target
        reply = await browser.submit(f"{LIST}/import", {"document": odd})
        assert reply.status == 422
        assert "<img src=x" not in browser.text


async def test_a_list_of_many_is_parted_into_pages(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        for n in range(51):
            await server.make_webhook(name=f"W{n:02}")
        browser = admin(server)
        await browser.get(LIST)
        assert "1 to 50 of 51" in browser.words
        assert "start=50" in browser.text
        for start in (50, 51, 100, 2**53 - 1):  # beyond the last page it is the last one
            await browser.get(f"{LIST}?start={start}")
            assert "W50" in browser.words
            assert "W49" not in browser.words
            assert "51 to 51 of 51" in browser.words
            assert 'rel="prev"' in browser.text
            assert 'rel="next"' not in browser.text


async def test_a_list_that_does_not_look_through_all_says_so(tmp_path, database, monkeypatch):
    monkeypatch.setattr(webhook_list, "MOST_WEBHOOKS", 2)
    left_out = (
        "Only the oldest 2 webhooks are looked through. Choose event type, goods owner and kind to see the others."
    )
    async with a_server(database, tmp_path) as server:
        for n, owner in enumerate((TEA, TEA, FJORD)):
            await server.make_webhook(name=f"W{n}", goodsOwnerIds=[owner])
        browser = admin(server)
        for query, is_told in (("", True), ("?search=W2", True), (f"?goodsOwner={FJORD}", False)):
            await browser.get(LIST + query)
            assert (left_out in browser.words) is is_told, query
        assert "W2" in browser.words


async def test_nobody_reads_of_another_goods_owners_webhooks(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        other = await server.make_webhook(name="Fjords own", goodsOwnerIds=[FJORD])
        browser = of_tea(server)
        await browser.get(LIST)
        assert "Fjord" not in browser.text
        for target in ("", "/test", "/delete"):
            assert (await browser.get(f"{LIST}/{other['id']}{target}")).status == 404, target
        await browser.get(f"{LIST}/import")
        for target in ("/switch", "/delete", "/rotate", "/test"):
            assert (await browser.submit(f"{LIST}/{other['id']}{target}", {"to": "disabled"})).status == 404, target
        for do in ("export", "disable"):
            fields = [("webhook", str(other["id"])), ("do", do)]
            assert (await browser.submit(f"{LIST}/selected", fields)).status == 404
        assert json.loads((await browser.get(f"{LIST}/export")).body)["webhooks"] == []


# Several at once.


async def test_many_are_disabled_and_enabled_with_their_number_told(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = [await server.make_webhook(name=f"W{n}") for n in range(3)]
        browser = admin(server)
        await browser.get(LIST)
        some = [("webhook", str(one["id"])) for one in made[:2]]
        await browser.submit(f"{LIST}/selected", [*some, ("do", "disable")])
        assert "2 webhooks were disabled" in browser.words
        await browser.submit(f"{LIST}/selected", [*some, ("webhook", str(made[2]["id"])), ("do", "enable")])
        assert "2 webhooks were enabled" in browser.words  # the third was enabled already
        assert (await browser.submit(f"{LIST}/selected", {"do": "enable"})).status == 422
        assert "Tick at least one" in browser.words


async def test_an_action_that_there_is_not_changes_no_webhook(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook()
        browser = admin(server)
        await browser.get(LIST)
        for do in ("", "delete", "Enable", "disabled"):
            fields = {"webhook": str(made["id"]), "do": do}
            assert (await browser.submit(f"{LIST}/selected", fields)).status == 422, do
            assert "Actions: enable, disable, export." in browser.words
        assert (await server.admin.get(f"/api/v1/webhooks/{made['id']}")).document["enabled"]


async def test_who_may_only_read_cannot_switch(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook()
        browser = a_browser(server.app, server.parts, "warehouse")
        await browser.get(LIST)
        fields = {"webhook": str(made["id"]), "do": "disable"}
        assert (await browser.submit(f"{LIST}/selected", fields)).status == 403
        assert (await server.admin.get(f"/api/v1/webhooks/{made['id']}")).document["enabled"]


# Out to a file, and in.


async def export_of(server: Server, browser: Browser, *fields: Any) -> Any:
    await browser.get(LIST)
    reply = await browser.submit(f"{LIST}/selected", [*fields, ("do", "export")])
    assert reply.headers["content-disposition"] == 'attachment; filename="webhooks.json"'
    return json.loads(reply.body)


async def test_an_export_holds_no_secret_and_can_be_imported_again(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(
            name="ERP",
            signingSecret=SECRET,
            authentication={"type": "basic", "username": "u", "password": "Walnut-77"},
            headers=[{"name": "X-Secret", "value": "Kettle-5", "secret": True}, {"name": "X-Plain", "value": "654"}],
        )
        browser = admin(server)
        document = await export_of(server, browser, ("webhook", str(made["id"])))
        for secret in ("Walnut-77", "Kettle-5", SECRET, "fingerprint"):
            assert secret not in json.dumps(document)
        [entry] = document["webhooks"]
        await browser.get(f"{LIST}/import")
        reply = await browser.submit(f"{LIST}/import", {"document": json.dumps(document)})
        assert reply.status == 422  # the secrets are missing, and it says where
        assert "webhook 1: authentication.password" in browser.words
        entry["authentication"]["password"] = "Walnut-78"
        entry["headers"][0]["value"] = "Kettle-6"
        await browser.submit(f"{LIST}/import", {"document": json.dumps(document)})
        assert "1 webhooks were imported" in browser.words
        assert "Their signing secrets are new" in browser.words
        copy = (await server.admin.get("/api/v1/webhooks")).document["items"][-1]
        assert copy["id"] != made["id"]
        entry["signingSecret"] = SECRET  # one's own may be brought along
        await browser.get(f"{LIST}/import")
        await browser.submit(f"{LIST}/import", {"document": json.dumps(document)})
        again = (await server.admin.get("/api/v1/webhooks")).document["items"][-1]
        assert again["id"] != copy["id"]
        fingerprints = [each["signingSecrets"][0]["fingerprint"] for each in (made, copy, again)]
        assert fingerprints[0] == fingerprints[2] != fingerprints[1]
        assert not copy["enabled"]
        assert {**copy["filters"]} == made["filters"]
        assert copy["headers"][1] == made["headers"][1]


async def test_an_export_says_whether_the_order_is_kept_and_a_file_that_does_not_keeps_none(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = [await server.make_webhook(keepOrder=kept) for kept in (True, False)]
        forget_setting(server.parts.database, made[1]["id"], "keepOrder")
        browser = admin(server)
        document = await export_of(server, browser, *(("webhook", str(each["id"])) for each in made))
        assert [entry["keepOrder"] for entry in document["webhooks"]] == [True, False]
        del document["webhooks"][1]["keepOrder"]
        await browser.get(f"{LIST}/import")
        await browser.submit(f"{LIST}/import", {"document": json.dumps(document)})
        imported = (await server.admin.get("/api/v1/webhooks")).document["items"][2:]
        assert [each["keepOrder"] for each in imported] == [True, False]


async def test_an_export_of_all_has_all_that_the_visitor_may_see(tmp_path, database, monkeypatch):
    monkeypatch.setattr(webhook_file, "A_PAGE", 2)
    async with a_server(database, tmp_path) as server:
        for name in "abcde":
            await server.make_webhook(name=name, goodsOwnerIds=[FJORD if name == "c" else TEA])
        for browser, names in ((admin(server), "abcde"), (of_tea(server), "abde")):
            document = json.loads((await browser.get(f"{LIST}/export")).body)
            assert "".join(entry["name"] for entry in document["webhooks"]) == names


async def test_more_ticked_webhooks_than_one_import_takes_are_exported(tmp_path, database, monkeypatch):
    monkeypatch.setattr(webhook_file, "MOST_ENTRIES", 2)
    async with a_server(database, tmp_path) as server:
        made = [await server.make_webhook(name=name) for name in "abc"]
        browser = admin(server)
        document = await export_of(server, browser, *(("webhook", str(each["id"])) for each in made))
        assert [entry["name"] for entry in document["webhooks"]] == ["a", "b", "c"]
        await browser.get(f"{LIST}/import")
        assert (await browser.submit(f"{LIST}/import", {"document": json.dumps(document)})).status == 422
        assert "3 entries are too many at once" in browser.words
        assert "Import them in parts." in browser.words
        for part in (document["webhooks"][:2], document["webhooks"][2:]):
            await browser.get(f"{LIST}/import")
            await browser.submit(f"{LIST}/import", {"document": json.dumps(part)})
            assert f"{len(part)} webhooks were imported" in browser.words


async def test_a_file_too_large_for_one_import_is_refused_with_what_to_do(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get(f"{LIST}/import")
        assert (await browser.submit(f"{LIST}/import", {"document": "x" * 262_144})).status == 413
        assert "import it in parts" in browser.words


async def test_one_wrong_entry_keeps_all_out_unless_the_right_ones_are_wished(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        right = {
            "name": "Right",
            "eventType": "order.picked",
            "goodsOwnerIds": [TEA],
            "targetUrl": "http://127.0.0.1:1/",
        }
        right["targetUrl"] = "http://127.0.0.1:8999/x"
        wrong = {**right, "name": "", "targetUrl": "ftp://x"}
        text = json.dumps({"webhooks": [right, wrong, 5, {**right, "name": "Also right"}]})
        browser = admin(server)
        await browser.get(f"{LIST}/import")
        assert (await browser.submit(f"{LIST}/import", {"document": text})).status == 422
        for told in ("webhook 2: name", "webhook 2: targetUrl", "webhook 3", "Also right"):
            assert told in browser.words, told
        assert (await server.admin.get("/api/v1/webhooks")).document["items"] == []
        await browser.submit(f"{LIST}/import", {"document": text, "only": "right"})
        assert "2 webhooks were imported" in browser.words
        assert "2 entries were left out" in browser.words
        names = [one["name"] for one in (await server.admin.get("/api/v1/webhooks")).document["items"]]
        assert names == ["Right", "Also right"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"x"', "5", '{"webhooks": {}}', '["\\ud800"]', "[" * 3000])
async def test_what_is_no_list_of_webhooks_is_refused_and_kept_in_the_field(tmp_path, database, text):
    async with a_server(database, tmp_path) as server:
        browser = admin(server)
        await browser.get(f"{LIST}/import")
        assert (await browser.submit(f"{LIST}/import", {"document": text})).status == 422
        assert "Nothing was saved yet" in browser.words


async def test_a_goods_owners_user_imports_nothing_of_others(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        entry = {"name": "x", "eventType": "order.picked", "targetUrl": "http://127.0.0.1:8999/x"}
        entries = [{**entry, "goodsOwnerIds": [FJORD]}, {**entry, "kind": "automation", "goodsOwnerIds": [TEA]}]
        browser = of_tea(server)
        await browser.get(f"{LIST}/import")
        reply = await browser.submit(f"{LIST}/import", {"document": json.dumps(entries), "only": "right"})
        assert reply.status == 422
        assert "webhook 1: goodsOwnerIds" in browser.words
        assert "webhook 2 :" in browser.words


# A webhook's page.


async def test_the_page_says_settings_state_and_changes(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(
            name="<b>ERP</b>",
            eventType="test.anything",
            authentication={"type": "token", "token": "tok-3n-Zebra"},
            headers=[{"name": "X-Company-Id", "value": "654"}],
        )
        event = await attempted(server, made["id"], failed=True)
        browser = admin(server)
        await browser.get(f"{LIST}/{made['id']}")
        assert browser.last.status == 200
        assert "<b>" not in browser.text
        for told in ("Nordic Tea AB", "X-Company-Id: 654", "failing", f"{event}-{made['id']}", "version 1", "http_500"):
            assert told in browser.words, told
        assert "tok-3n-Zebra" not in browser.text
        assert "Its log has the reason" in browser.words


async def test_the_page_says_whether_the_order_is_kept_and_who_changed_it(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook()
        page = f"{LIST}/{made['id']}"
        browser = admin(server)
        await browser.get(page)
        assert "Order of each object not kept" in browser.words
        await server.admin.patch(f"/api/v1/webhooks/{made['id']}", {"keepOrder": True})
        await browser.get(page)
        assert "Order of each object kept" in browser.words
        assert "keepOrder false → true" in browser.words


async def test_that_a_setting_is_new_is_no_change_of_a_webhook(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook()
        forget_setting(server.parts.database, made["id"], "keepOrder")
        await server.admin.patch(f"/api/v1/webhooks/{made['id']}", {"name": "Renamed"})
        browser = admin(server)
        await browser.get(f"{LIST}/{made['id']}")
        assert "Order of each object not kept" in browser.words
        assert "1 settings changed" in browser.words
        assert "keepOrder" not in browser.words


async def test_it_is_disabled_and_enabled_and_the_page_says_who_did_it(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook()
        page = f"{LIST}/{made['id']}"
        browser = of_tea(server)
        await browser.get(page)
        await browser.submit(f"{page}/switch", {"to": "disabled"})
        assert "Somebody disabled it." in browser.words
        await browser.submit(f"{page}/switch", {"to": "enabled"})
        assert "no deliveries yet" in browser.words
        assert browser.words.count("user1@example.com") == 2
        assert "webhook.disabled" in browser.words


async def test_the_new_signing_secret_is_shown_once(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook()
        page = f"{LIST}/{made['id']}"
        browser = admin(server)
        await browser.get(page)
        assert (await browser.submit(f"{page}/rotate", {"overlapInHours": "forty"})).status == 422
        assert (await browser.submit(f"{page}/rotate", {"overlapInHours": "500"})).status == 422
        assert 'value="500"' in browser.text
        await browser.submit(f"{page}/rotate", {"overlapInHours": "2,5"})
        assert "whsec_" in browser.text
        await browser.get(page)
        assert "whsec_" not in browser.text
        assert "signs along until" in browser.words


async def test_deleting_asks_and_says_how_many_deliveries_end(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(eventType="test.anything")
        await server.publish()
        await server.publish()
        page = f"{LIST}/{made['id']}"
        browser = admin(server)
        await browser.get(f"{page}/delete")
        assert "2 deliveries wait for it" in browser.words
        await browser.submit(f"{page}/delete")
        assert browser.where.startswith(LIST)
        assert (await browser.get(page)).status == 404


# The test.


async def test_a_test_shows_request_response_and_times(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(eventType="test.anything")
        event = (await server.publish())["eventId"]
        browser = admin(server)
        for what in ("example", str(event)):
            await browser.get(f"{LIST}/{made['id']}/test")
            assert f'value="{event}"' in browser.text
            await browser.submit(f"{LIST}/{made['id']}/test", {"event": what})
            for told in ("Delivered: the receiver answered 200", "webhook-id: 1-1", "HTTP/1.1 200 OK", "POST http://"):
                assert told in browser.words, told
            assert "first byte" in browser.text
        assert (await browser.submit(f"{LIST}/{made['id']}/test", {"event": "12x"})).status == 422
        of_2032 = "1023108710400000"
        assert (await browser.submit(f"{LIST}/{made['id']}/test", {"event": of_2032})).status == 404


async def test_an_event_whose_payload_was_erased_is_not_offered_for_a_test(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(eventType="test.anything")
        erased, whole = [(await server.publish(key=f"thing/{n}"))["eventId"] for n in (1, 2)]
        assert (await server.admin.post("/api/v1/erasures", {"key": "thing/1"})).document["events"] == 1
        browser = admin(server)
        await browser.get(f"{LIST}/{made['id']}/test")
        assert f'value="{whole}"' in browser.text
        assert f'value="{erased}"' not in browser.text


async def test_a_tests_page_shows_no_other_webhooks_delivery(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        one, two = [await server.make_webhook(eventType="test.anything") for _ in range(2)]
        browser = admin(server)
        await browser.get(f"{LIST}/{one['id']}/test")
        await browser.submit(f"{LIST}/{one['id']}/test", {"event": "example"})
        delivery = browser.where.partition("delivery=")[2]
        assert (await browser.get(f"{LIST}/{one['id']}/test?delivery={delivery}")).status == 200
        assert (await browser.get(f"{LIST}/{two['id']}/test?delivery={delivery}")).status == 404
        real = f"{(await server.publish())['eventId']}-{one['id']}"
        assert (await browser.get(f"{LIST}/{one['id']}/test?delivery={real}")).status == 404


# The audit trail.


async def test_every_change_leaves_a_row_without_secrets_for_those_it_concerns(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(
            authentication={"type": "token", "token": "tok-3n-Zebra"}, signingSecret=SECRET
        )
        automation = await server.make_webhook(kind="automation", goodsOwnerIds=[TEA])
        one = f"/api/v1/webhooks/{made['id']}"
        await server.admin.patch(one, {"name": "New"})
        await server.admin.patch(one, {"enabled": False})
        await server.admin.patch(one, {"enabled": True})
        await server.admin.post(f"{one}/rotateSecret", {})
        await server.admin.delete(one)
        rows = await server.parts.database.read(lambda tx: tx.all("SELECT * FROM audit ORDER BY id"))
        mine = [row for row in rows if row["object"] == f"webhook/{made['id']}"]
        actions = ["created", "changed", "disabled", "enabled", "secret-rotated", "deleted"]
        assert [row["action"] for row in mine] == [f"webhook.{action}" for action in actions]
        assert {row["goods_owners"] for row in mine} == {f",{TEA},"}
        assert [(row["before"] is None, row["after"] is None) for row in mine] == [
            (True, False), *[(False, False)] * 4, (False, True),
        ]  # fmt: skip
        assert (json.loads(mine[1]["before"])["name"], json.loads(mine[1]["after"])["name"]) == ("ERP", "New")
        for row in rows:
            assert "Zebra" not in f"{row['before']}{row['after']}"
            assert SECRET not in f"{row['before']}{row['after']}"
        [other] = [row for row in rows if row["object"] == f"webhook/{automation['id']}"]
        assert other["goods_owners"] is None


async def test_r5_the_page_says_that_deliveries_are_held_back_why_and_until_when(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(eventType="test.anything")
        event = int((await server.publish(type="test.anything"))["eventId"])
        now = server.parts.clock.now()
        held = (made["id"], 0, "open", now, "in a row", "http_503", now + HOUR)
        await server.parts.database.write(lambda tx: breakers.put(tx, [held], []))
        browser = admin(server)
        for page in (f"{LIST}/{made['id']}", f"/administration/deliveries/{event}-{made['id']}"):
            await browser.get(page)
            assert "Held back: the receiver ails. The receiver failed ten times in a row." in browser.words
            assert "http_503" in browser.words and "next probe" in browser.words
        asked = await server.admin.get(f"/api/v1/webhooks/{made['id']}")
        assert asked.document["heldBack"]["nextProbeAt"] > asked.document["heldBack"]["since"]
        await server.parts.database.write(lambda tx: breakers.put(tx, [], [(made["id"], 0)]))
        await browser.get(f"{LIST}/{made['id']}")
        assert "Held back" not in browser.words
