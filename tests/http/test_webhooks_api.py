"""Webhooks over the API: nothing secret comes back, nobody reaches beyond their goods owner, and no input is a crash."""

import base64
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from dockbell.actions.pace import Pace
from dockbell.clock import SECOND
from dockbell.testing.clock import ManualClock
from dockbell.web.server import build_app
from tests.support.bad_inputs import cases
from tests.support.parts import Server, a_server, a_webhook
from tests.support.rows import FJORD, TEA, forget_setting

WEBHOOKS = "/api/v1/webhooks"
TOKEN, PASSWORD, HEADER = "tok-3n-Zebra/Quartz+91", "Pässwörd-Walnut?77", "hdr:Violet=Kettle&5"
SIGNING = "whsec_" + base64.b64encode(b"sealed-signing-secret-32-bytes!!").decode()


def forms_of(secret: str) -> set[bytes]:
    """Every six characters in a row of the secret, as they are, in base64, in hex and in URL escapes."""
    written = [secret, base64.b64encode(secret.encode()).decode(), secret.encode().hex(), quote(secret, safe="")]
    written += [
        json.dumps(secret)[1:-1],
        quote(secret, safe="").lower(),
        base64.b64encode(f"u:{secret}".encode()).decode(),
    ]
    return {text[at : at + 6].encode() for text in written for at in range(len(text) - 5)}


async def make_with_secrets(server: Server) -> list[Any]:
    secret_header = {"name": "X-Secret", "value": HEADER, "secret": True}
    return [
        await server.make_webhook(
            eventType="test.anything",
            authentication={"type": "token", "token": TOKEN},
            headers=[secret_header, {"name": "X-Plain", "value": "seen"}],
            signingSecret=SIGNING,
        ),
        await server.make_webhook(
            eventType="test.anything",
            authentication={"type": "basic", "username": "u", "password": PASSWORD},
        ),
    ]


async def test_no_answer_ever_holds_a_secret(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await make_with_secrets(server)
        told = made[1].pop("signingSecret")
        assert "signingSecret" not in made[0]
        event = (await server.publish())["eventId"]
        tested = await server.admin.post(f"{WEBHOOKS}/{made[0]['id']}/testEvent", {})
        assert tested.status == 200
        deliveries = [f"{event}-{webhook['id']}" for webhook in made]
        answers = [json.dumps(one).encode() for one in made] + [tested.body]
        targets = [
            *(f"{WEBHOOKS}/{webhook['id']}" for webhook in made),
            *(f"/api/v1/deliveries/{each}{tail}" for each in deliveries for tail in ("", "/attempts")),
            *(f"/api/v1/attempts?deliveryId={each}" for each in [*deliveries, tested.document["id"]]),
            *(
                "/api/v1/" + each
                for each in ("webhooks", "events", "deliveries", "eventTypes", "goodsOwners", "apiKeys")
            ),
            *(f"/api/v1/events/{event}{tail}" for tail in ("", "/why")),
        ]
        for target in targets:
            reply = await server.admin.get(target)
            assert reply.status == 200, target
            answers.append(reply.body)
        bad = ({"eventType": "no.such"}, {"headers": 5}, {"targetUrl": "x"}, {"nonsense": 1})
        for change in (*bad, {"name": "Renamed"}):
            reply = await server.admin.patch(f"{WEBHOOKS}/{made[0]['id']}", change)
            answers.append(reply.body)
        answers.append(
            (await server.admin.post(f"{WEBHOOKS}/{made[0]['id']}/rotateSecret", {"signingSecret": SIGNING})).body
        )
        for secret in (TOKEN, PASSWORD, HEADER, SIGNING.removeprefix("whsec_"), told.removeprefix("whsec_")):
            for form in forms_of(secret):
                leaking = [body for body in answers if form in body]
                assert not leaking, (secret, form, leaking[0][:300])


async def test_refused_secrets_are_not_repeated_in_the_refusal(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        for fields in (
            {"authentication": {"type": "token", "token": "line\nZebraQuartz"}},
            {"authentication": {"type": "basic", "username": "u", "password": "line\nZebraQuartz"}},
            {"authentication": {"type": "basic", "username": "u", "password": ["ZebraQuartz"]}},
            {"headers": [{"name": "X", "value": "line\nZebraQuartz", "secret": True}]},
            {"headers": [{"name": "X", "value": {"a": "ZebraQuartz"}, "secret": True}]},
            {"signingSecret": "ZebraQuartz"},
        ):
            reply = await server.admin.post(WEBHOOKS, a_webhook(**fields))
            assert reply.status == 422
            assert b"Zebra" not in reply.body, reply.body


async def test_a_made_signing_secret_is_told_once(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook()
        assert made["signingSecret"].startswith("whsec_")
        assert "signingSecret" not in (await server.admin.get(f"{WEBHOOKS}/{made['id']}")).document


async def test_moving_the_url_to_another_host_clears_the_credentials_and_disables(tmp_path, database):
    for patch, moved in (
        ({"targetUrl": "http://127.0.0.1:8998/hook"}, True),
        ({"targetUrl": "https://127.0.0.1:8999/hook"}, True),
        ({"targetUrl": "http://127.0.0.2:8999/hook"}, True),
        ({"targetUrl": "http://127.0.0.1:8999/other"}, False),
    ):
        async with a_server(database, tmp_path) as server:
            await check_move(server, patch, moved=moved)
            database.submit_write(lambda tx: tx.run("DELETE FROM event_types")).result()


async def check_move(server: Server, patch: dict[str, Any], *, moved: bool) -> None:
    for webhook in await make_with_secrets(server):
        after = (await server.admin.patch(f"{WEBHOOKS}/{webhook['id']}", patch)).document
        assert after["enabled"] is not moved, patch
        assert (after["authentication"] == {"type": "none"}) is moved
        assert any(header["secret"] for header in after["headers"]) is (webhook["headers"] != [] and not moved)
        assert bool(after["disabledReason"]) is moved
        if moved:
            back = await server.admin.patch(f"{WEBHOOKS}/{webhook['id']}", {"targetUrl": webhook["targetUrl"]})
            assert back.document["authentication"] == {"type": "none"}, "moving back must not bring them back"


async def test_a_webhook_may_move_with_its_credentials_entered_again(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(authentication={"type": "token", "token": TOKEN})
        patch = {"targetUrl": "http://127.0.0.1:8998/", "authentication": {"type": "token", "token": "another-token"}}
        after = (await server.admin.patch(f"{WEBHOOKS}/{made['id']}", patch)).document
        assert after["enabled"]
        assert after["authentication"]["token"]["set"]


async def test_rotation_keeps_the_old_secret_for_the_overlap(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook()
        target = f"{WEBHOOKS}/{made['id']}/rotateSecret"
        first = (await server.admin.post(target)).document
        assert first["signingSecret"] != made["signingSecret"]
        assert [entry["until"] is None for entry in first["signingSecrets"]] == [True, False]
        assert (await server.admin.post(target, b"")).status == 200  # nothing, named application/json
        own = (await server.admin.post(target, {"overlapInHours": 0, "signingSecret": SIGNING})).document
        assert "signingSecret" not in own
        assert len(own["signingSecrets"]) == 1
        for bad in (
            {"overlapInHours": -1},
            {"overlapInHours": 169},
            {"overlapInHours": "1"},
            {"overlapInHours": True},
            {"overlapInHours": 10**17},
            {"signingSecret": "whsec_x"},
            {"signingSecret": ""},
            {"more": 1},
        ):
            reply = await server.admin.post(target, bad)
            assert reply.status == 422, bad


async def test_a_goods_owners_key_has_nothing_to_do_with_automation_webhooks(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        api = server.as_key(["publish", "read", "manage", "admin"], [TEA])
        reply = await api.post(WEBHOOKS, a_webhook(kind="automation", goodsOwnerIds=[TEA]))
        assert reply.status == 403
        assert (await api.post(WEBHOOKS, a_webhook(kind="automation", goodsOwnerIds=None))).status == 403
        own = await server.make_webhook(api)
        assert (await api.patch(f"{WEBHOOKS}/{own['id']}", {"kind": "automation"})).status == 403
        others = [
            await server.make_webhook(kind="automation", goodsOwnerIds=owners, eventType="test.anything")
            for owners in (None, [TEA, FJORD])
        ]
        for made in others:
            for reply in await everything_done_to(api, f"{WEBHOOKS}/{made['id']}"):
                assert reply.status == 404
            mine = (await api.get(WEBHOOKS)).document["items"]
            assert [webhook["id"] for webhook in mine] == [own["id"]]
        event = await server.publish(api)
        for made in others:
            test = await api.post(f"{WEBHOOKS}/{made['id']}/testEvent", {"eventId": event["eventId"]})
            assert test.status == 404
        delivery = f"/api/v1/deliveries/{event['eventId']}-{others[-1]['id']}"
        for verb in ("resend", "cancel"):
            assert (await api.post(f"{delivery}/{verb}")).status in (403, 404), verb
        assert (await server.admin.get(delivery)).document["status"] == "pending"


async def test_an_automation_webhook_that_serves_one_goods_owner_is_read_by_it_and_managed_by_the_operator(
    tmp_path, database
):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(kind="automation", goodsOwnerIds=[TEA], eventType="test.anything")
        key = server.as_key(["read", "manage"], [TEA])
        answered = await everything_done_to(key, f"{WEBHOOKS}/{made['id']}")
        assert [reply.status for reply in answered] == [200, 403, 403, 403, 403]
        assert (await server.admin.get("/api/v1/deliveries")).document["items"] == []


async def everything_done_to(api: Any, target: str) -> list[Any]:
    return [
        await api.get(target),
        await api.patch(target, {"name": "Mine now"}),
        await api.post(f"{target}/rotateSecret", {}),
        await api.post(f"{target}/testEvent", {}),
        await api.delete(target),
    ]


async def test_another_goods_owners_webhook_answers_like_an_unknown_one(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        foreign = await server.make_webhook(goodsOwnerIds=[FJORD])
        api = server.as_key(["publish", "read", "manage", "admin"], [TEA])
        own = await server.make_webhook(api)
        real = await everything_done_to(api, f"{WEBHOOKS}/{foreign['id']}")
        unknown = await everything_done_to(api, f"{WEBHOOKS}/987654")
        for one, other in zip(real, unknown, strict=True):
            assert one.status == other.status == 404
            assert one.body.replace(b"webhook %d" % foreign["id"], b"webhook 987654") == other.body
        given = await api.patch(f"{WEBHOOKS}/{own['id']}", {"goodsOwnerIds": [FJORD]})
        nobody = await api.patch(f"{WEBHOOKS}/{own['id']}", {"goodsOwnerIds": [4711]})
        assert given.status == nobody.status == 422
        assert given.body.replace(b"207", b"4711") == nobody.body
        filtered = await api.get(f"{WEBHOOKS}?goodsOwnerId={FJORD}")
        assert filtered.document["items"] == []


async def test_a_deleted_webhook_is_gone_and_what_waited_is_cancelled(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(eventType="test.anything")
        await server.publish()
        target = f"{WEBHOOKS}/{made['id']}"
        assert (await server.admin.delete(target)).document == {"id": made["id"], "cancelledDeliveries": 1}
        assert (await server.admin.get(target)).status == 404
        assert (await server.publish())["deliveries"] == 0
        [delivery] = (await server.admin.get(f"/api/v1/deliveries?webhookId={made['id']}")).document["items"]
        assert delivery["status"] == "cancelled"
        again = await server.admin.post(f"/api/v1/deliveries/{delivery['id']}/resend")
        assert (again.status, again.code) == (409, "webhook_deleted")


async def test_a_test_event_is_sent_at_once_also_by_a_disabled_webhook(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(eventType="test.anything", enabled=False)
        target = f"{WEBHOOKS}/{made['id']}/testEvent"
        shown = (await server.admin.post(target)).document
        assert (shown["test"], shown["status"], shown["data"]) == (True, "delivered", {"a": 1})
        assert shown["header"]["goodsOwnerId"] == TEA
        past = await server.publish(data={"past": 1.50})
        shown = (await server.admin.post(target, {"eventId": past["eventId"]})).document
        assert shown["data"] == {"past": 1.5}
        for bad, status in (
            ({"eventId": 5}, 404),
            ({"eventId": 2**53}, 422),
            ({"eventId": 2**70}, 422),
            ({"eventId": 1.0}, 422),
            ({"goodsOwnerId": FJORD}, 422),
            ({"goodsOwnerId": 0}, 422),
        ):
            assert (await server.admin.post(target, bad)).status == status, bad


async def test_every_bad_number_gets_its_verdict(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        wrong = []
        for case in cases("number"):
            value, field = case.input, case.more["field"]
            if field == "timeout":
                reply = await server.admin.post(WEBHOOKS, a_webhook(timeoutInSeconds=value))
            elif field == "steps":
                policy = {"name": "own", "stepsInSeconds": value}
                reply = await server.admin.post(WEBHOOKS, a_webhook(retryPolicy=policy))
            elif field == "limit" and isinstance(value, str):
                text = value if value.startswith("5&") else quote(value)
                reply = await server.admin.get(f"{WEBHOOKS}?limit={text}")
            else:
                continue  # settings of the server, and values that no query string can hold
            if (reply.status in (200, 201)) != case.is_accepted or reply.status not in (200, 201, 422):
                wrong.append((case.id, reply.status, reply.body[:200]))
        assert not wrong


ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    2**63,
    10**300,
    "",
    "x",
    "\u202e",
    [],
    [None],
    {},
    {"type": "basic"},
    [{}],
    [[]],
]
ODD += [
    {"name": "own"},
    [{"name": "X"}],
    [{"name": "X", "secret": True}],
    {"statuses": [{"to": 1}]},
    "http://[",
    "http://a b",
]
ODD += [
    {"conditions": [{"field": "data.a", "operator": "is", "value": {"a": 1}}]},
    {"conditions": [{}]},
    {"headers": {}},
]


@pytest.mark.parametrize("moving", [False, True])
async def test_no_odd_value_in_any_field_is_a_crash(tmp_path, database, moving):
    async with a_server(database, tmp_path) as server:
        webhook = (await make_with_secrets(server))[0]
        wrong = []
        for field in (await server.nobody.get("/api/v1/openapi.json")).document["components"]["schemas"][
            "WebhookInput"
        ]["properties"]:
            for value in ODD:
                patch = {"targetUrl": "http://127.0.0.9:1/", field: value} if moving else {field: value}
                replies = [await server.admin.post(WEBHOOKS, a_webhook(**patch))]
                replies.append(await server.admin.patch(f"{WEBHOOKS}/{webhook['id']}", patch))
                wrong += [(field, value, reply.body[:200]) for reply in replies if reply.status not in (200, 201, 422)]
                if replies[1].status == 200:  # something took: begin from a webhook with secrets again
                    webhook = (await make_with_secrets(server))[0]
        assert not wrong


async def test_at_most_20_conditions_are_taken_and_every_one_is_judged(tmp_path, database):
    """U-9"""
    fine = {"field": "attributes.nothing", "operator": "exists", "value": False}
    poison = {"field": "data.orderId", "operator": "isOneOf", "value": 5}
    async with a_server(database, tmp_path) as server:
        for count, status in ((20, 201), (21, 422)):
            reply = await server.admin.post(WEBHOOKS, a_webhook(filters={"conditions": [fine] * count}))
            assert reply.status == status, reply.document
        for before in (19, 200, 201):
            reply = await server.admin.post(WEBHOOKS, a_webhook(filters={"conditions": [fine] * before + [poison]}))
            found = {(each["field"], each["code"]) for each in reply.document["problems"]}
            assert (f"filters.conditions[{before}].value", "filter_value") in found, reply.document
            assert (("filters.conditions", "filter_length") in found) == (before > 20)


async def test_a_goods_owner_has_a_limited_number_of_webhooks(tmp_path, database):
    """E10"""
    async with a_server(database, tmp_path) as server:
        server.parts.webhooks._most_of_an_owner = 2
        tea = server.as_key(["manage", "read"], [TEA])
        first, second = [await server.make_webhook(tea) for _ in range(2)]
        reply = await tea.post(WEBHOOKS, a_webhook())
        assert (reply.status, reply.code) == (409, "webhook_limit")
        others = [await server.make_webhook(goodsOwnerIds=[FJORD]), await server.make_webhook(kind="automation")]
        moved = await server.admin.patch(f"{WEBHOOKS}/{others[0]['id']}", {"goodsOwnerIds": [TEA]})
        assert (moved.status, moved.code) == (409, "webhook_limit")
        assert (await tea.patch(f"{WEBHOOKS}/{first['id']}", {"name": "Renamed"})).status == 200
        assert (await tea.delete(f"{WEBHOOKS}/{second['id']}")).status == 200
        await server.make_webhook(tea)


async def test_tests_are_limited_to_ten_a_minute_for_each_who_sends_them(tmp_path, database):
    """E9"""
    async with a_server(database, tmp_path) as server:
        clock = ManualClock()
        server.app = build_app(replace(server.parts, tests=Pace(clock)))
        one, another = (server.as_key(["manage", "read"], [TEA]) for _ in range(2))
        webhook = (await server.make_webhook(one))["id"]
        target = f"{WEBHOOKS}/{webhook}/testEvent"
        for _ in range(10):
            assert (await one.post(target, {})).status == 200
            clock.advance(SECOND)
        reply = await one.post(target, {})
        assert (reply.status, reply.code, reply.headers["retry-after"]) == (429, "too_many_tests", "50")
        assert (await another.post(target, {})).status == 200
        clock.advance(50 * SECOND)
        assert (await one.post(target, {})).status == 200
        assert (await one.post(target, {})).status == 429


async def test_a_webhook_keeps_no_order_unless_it_is_said(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        plain = await server.make_webhook()
        kept = await server.make_webhook(keepOrder=True)
        assert (plain["keepOrder"], kept["keepOrder"]) == (False, True)
        one = f"{WEBHOOKS}/{kept['id']}"
        assert (await server.admin.patch(one, {"name": "Renamed"})).document["keepOrder"] is True
        assert server.parts.index.state.webhooks[kept["id"]].keeps_order
        assert (await server.admin.patch(one, {"keepOrder": False})).document["keepOrder"] is False
        assert not server.parts.index.state.webhooks[kept["id"]].keeps_order
        assert (await server.admin.get(one)).document["keepOrder"] is False


@pytest.mark.parametrize("wrong", ["yes", "true", 1, 0, None, []])
async def test_whether_the_order_is_kept_is_true_or_false_and_nothing_else(tmp_path, database, wrong):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook(keepOrder=True)
        replies = [
            await server.admin.post(WEBHOOKS, a_webhook(keepOrder=wrong)),
            await server.admin.patch(f"{WEBHOOKS}/{made['id']}", {"keepOrder": wrong}),
        ]
        for reply in replies:
            assert reply.status == 422
            [problem] = reply.document["problems"]
            said = (problem["field"], problem["code"], problem["message"])
            assert said == ("keepOrder", "type", "This must be true or false.")
        assert (await server.admin.get(f"{WEBHOOKS}/{made['id']}")).document["keepOrder"] is True


async def test_a_webhook_saved_before_the_order_could_be_kept_says_that_it_keeps_none(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        made = await server.make_webhook()
        one = f"{WEBHOOKS}/{made['id']}"
        forget_setting(server.parts.database, made["id"], "keepOrder")
        assert (await server.admin.get(one)).document["keepOrder"] is False
        assert [each["keepOrder"] for each in (await server.admin.get(WEBHOOKS)).document["items"]] == [False]
        for enabled in (False, True):
            assert (await server.admin.patch(one, {"enabled": enabled})).document["keepOrder"] is False
        forget_setting(server.parts.database, made["id"], "keepOrder")
        assert (await server.admin.patch(one, {"enabled": False})).document["keepOrder"] is False
        trail = await server.parts.database.read(lambda tx: tx.all("SELECT * FROM audit ORDER BY id"))
        of_it = [row for row in trail if row["object"] == f"webhook/{made['id']}"]
        # What it lacks is no change of anybody's: the trail names what was done.
        assert [row["action"] for row in of_it] == [
            "webhook.created", "webhook.disabled", "webhook.enabled", "webhook.disabled",
        ]  # fmt: skip
        for row in of_it[1:]:
            before, after = json.loads(row["before"]), json.loads(row["after"])
            assert {name for name in after if after[name] != before.get(name)} == {"version", "enabled", "changedAt"}
