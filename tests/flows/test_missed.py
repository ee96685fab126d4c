"""What a webhook missed, over the API: counted, sent once, judged as the webhook is now, and never another's."""

from typing import Any

import pytest

from dockbell.actions import bulk
from tests.support.parts import Server, a_server
from tests.support.rows import (
    FJORD,
    TEA,
    rows_of,
)

BEGINNING = "2020-01-01T00:00:00Z"


async def missed_by(server: Server, webhook: Any, **more: Any) -> Any:
    return (await server.admin.get(f"/api/v1/webhooks/{webhook['id']}/missed?from={BEGINNING}", **more)).document


async def send_missed(server: Server, webhook: Any, **fields: Any) -> Any:
    """Begin a run over the API and do it here."""
    reply = await server.admin.post(f"/api/v1/webhooks/{webhook['id']}/sendMissed", {"from": BEGINNING, **fields})
    assert reply.status == 202, reply.document
    parts = server.parts
    while await parts.database.write(lambda tx: bulk.next_batch(tx, reply.document["id"], now=parts.clock.now())):
        pass
    return (await server.admin.get(f"/api/v1/bulkRuns/{reply.document['id']}")).document


async def deliveries_of(server: Server, webhook: Any) -> Any:
    return (await server.admin.get(f"/api/v1/deliveries?webhookId={webhook['id']}")).document["items"]


async def test_what_came_while_it_was_disabled_is_sent_and_nothing_twice(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        webhook = await server.make_webhook(eventType="test.anything")
        one = f"/api/v1/webhooks/{webhook['id']}"
        told = await server.publish()
        await server.admin.patch(one, {"enabled": False})
        lost = [await server.publish() for _ in range(3)]
        assert [each["deliveries"] for each in lost] == [0, 0, 0]
        assert await missed_by(server, webhook) == {"events": 3, "complete": True}
        await server.admin.patch(one, {"enabled": True})
        run = await send_missed(server, webhook)
        assert (run["action"], run["state"], run["changed"], run["leftOut"]) == ("send-missed", "done", 3, 0)
        found = await deliveries_of(server, webhook)
        assert [each["eventId"] for each in found] == [each["eventId"] for each in [*lost[::-1], told]]
        assert {each["status"] for each in found} == {"pending"}
        assert await missed_by(server, webhook) == {"events": 0, "complete": True}
        again = await send_missed(server, webhook)
        assert (again["changed"], again["leftOut"]) == (0, 0)
        assert len(await deliveries_of(server, webhook)) == 4


async def test_it_is_judged_by_the_webhook_as_it_is_now(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        condition = {"field": "data.a", "operator": "is", "value": 2}
        webhook = await server.make_webhook(eventType="test.anything", filters={"conditions": [condition]})
        for number in (1, 2, 3):
            await server.publish(data={"a": number})
        mended = {"conditions": [{**condition, "operator": "greater", "value": 1}]}
        await server.admin.patch(f"/api/v1/webhooks/{webhook['id']}", {"filters": mended})
        assert await missed_by(server, webhook) == {"events": 1, "complete": True}
        run = await send_missed(server, webhook)
        assert (run["changed"], run["leftOut"]) == (1, 1)
        newest, _ = await deliveries_of(server, webhook)
        event = (await server.admin.get(f"/api/v1/events/{newest['eventId']}")).document
        assert event["data"] == {"a": 3}


async def test_a_webhook_made_later_can_be_sent_what_was_before_it(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        event = await server.publish()
        webhook = await server.make_webhook(eventType="test.anything")
        assert (await send_missed(server, webhook))["changed"] == 1
        [delivery] = await deliveries_of(server, webhook)
        assert delivery["eventId"] == event["eventId"]


async def test_tests_and_other_types_and_other_goods_owners_were_not_missed(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        other = await server.make_webhook(eventType="test.anything", name="Other")
        await server.admin.post(f"/api/v1/webhooks/{other['id']}/testEvent")
        await server.publish(goodsOwnerId=FJORD)
        webhook = await server.make_webhook(eventType="test.anything")
        assert await missed_by(server, webhook) == {"events": 0, "complete": True}
        assert (await send_missed(server, webhook))["changed"] == 0
        assert await deliveries_of(server, webhook) == []


async def test_of_a_disabled_webhook_it_is_held_until_it_is_enabled(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        webhook = await server.make_webhook(eventType="test.anything", enabled=False)
        await server.publish()
        assert (await send_missed(server, webhook))["changed"] == 1
        [held] = await deliveries_of(server, webhook)
        assert held["status"] == "held"
        await server.admin.patch(f"/api/v1/webhooks/{webhook['id']}", {"enabled": True})
        [released] = await deliveries_of(server, webhook)
        assert released["status"] == "pending"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "required", "from"),
        ({"from": "yesterday"}, "moment", "from"),
        ({"from": BEGINNING, "to": "2019-01-01T00:00:00Z"}, "moment_order", "from"),
        ({"from": BEGINNING, "status": "failed"}, "unknown_field", "status"),
    ],
)
async def test_a_range_that_is_none_is_refused(tmp_path, database, body, code, field):
    async with a_server(database, tmp_path) as server:
        webhook = await server.make_webhook()
        reply = await server.admin.post(f"/api/v1/webhooks/{webhook['id']}/sendMissed", body)
        assert reply.status == 422
        [problem] = reply.document["problems"]
        assert (problem["field"], problem["code"]) == (field, code), problem
        assert rows_of(database, "SELECT id FROM bulk_runs") == []


async def test_a_goods_owners_key_sends_its_own_webhooks_what_they_missed_and_no_others(tmp_path, database):
    async with a_server(database, tmp_path) as server:
        own = await server.make_webhook(eventType="test.anything")
        operators = await server.make_webhook(eventType="test.anything", kind="automation", goodsOwnerIds=[TEA])
        shared = await server.make_webhook(eventType="test.anything", kind="automation", goodsOwnerIds=[TEA, FJORD])
        theirs = await server.make_webhook(eventType="test.anything", goodsOwnerIds=[FJORD])
        key = server.as_key(["manage"], [TEA])
        statuses = [
            (await key.post(f"/api/v1/webhooks/{each['id']}/sendMissed", {"from": BEGINNING})).status
            for each in (own, operators, shared, theirs)
        ]
        assert statuses == [202, 403, 404, 404]
        counted = [
            (await key.get(f"/api/v1/webhooks/{each['id']}/missed?from={BEGINNING}")).status
            for each in (own, operators, shared, theirs)
        ]
        assert counted == [200, 403, 404, 404]
