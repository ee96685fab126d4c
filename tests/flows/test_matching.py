"""Which webhooks an event reaches, and what is said about those it does not reach."""

from pathlib import Path
from typing import Any

import pytest

from dockbell.clock import HOUR, SECOND
from dockbell.domain.permissions import SYSTEM, Actor
from dockbell.errors import Conflict, Unavailable
from dockbell.store import counters
from dockbell.store.database import Database, Transaction
from tests.support.node import FJORD, TEA, Node, a_node, an_event

TEA_ONLY = Actor("k1", "Nordic Tea", frozenset({"read"}), frozenset({TEA}))


async def reached(node: Node, **event: Any) -> set[int]:
    """The webhooks that get the event."""
    accepted = await node.publish(**event)
    await node.rest()
    sent = node.rows("SELECT webhook_id FROM deliveries WHERE event_id = :id", id=accepted.event_id)
    assert accepted.deliveries == len(sent)
    return {row["webhook_id"] for row in sent}


# Regular and automation webhooks.


async def test_a_regular_webhook_gets_its_goods_owners_events_only(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        tea = node.make_webhook().webhook["id"]
        fjord = node.make_webhook(goodsOwnerIds=[FJORD]).webhook["id"]
        assert await reached(node) == {tea}
        assert await reached(node, goodsOwnerId=FJORD) == {fjord}
        assert await reached(node, type="order.created") == set()


async def test_an_automation_webhook_gets_those_of_its_goods_owners_or_of_all(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        both = node.make_webhook(kind="automation", goodsOwnerIds=[TEA, FJORD]).webhook["id"]
        one = node.make_webhook(kind="automation", goodsOwnerIds=[FJORD]).webhook["id"]
        everyone = node.make_webhook(kind="automation", goodsOwnerIds=None).webhook["id"]
        assert await reached(node) == {both, everyone}
        assert await reached(node, goodsOwnerId=FJORD) == {both, one, everyone}


async def test_a_connection_is_shared_by_neither_webhooks_nor_goods_owners(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(kind="automation", goodsOwnerIds=None).webhook["id"]
        await reached(node)
        await reached(node, goodsOwnerId=FJORD)
        assert [request.pool for request in node.sender.requests] == [(webhook, TEA), (webhook, FJORD)]
        assert [set(request.goods_owners) for request in node.sender.requests] == [{TEA}, {FJORD}]


async def test_a_webhook_that_changes_its_goods_owners_or_type_is_matched_by_the_new_ones(
    database: Database, tmp_path: Path
):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook().webhook["id"]
        assert await reached(node) == {webhook}
        await node.change_webhook(webhook, goodsOwnerIds=[FJORD])
        assert await reached(node) == set()
        assert await reached(node, goodsOwnerId=FJORD) == {webhook}
        await node.change_webhook(webhook, eventType="order.created")
        assert await reached(node, goodsOwnerId=FJORD) == set()
        assert await reached(node, goodsOwnerId=FJORD, type="order.created") == {webhook}


# Filters, each through the whole pipeline; tests/unit/test_filters.py has the corners.


@pytest.mark.parametrize(
    ("filters", "wanted", "unwanted"),
    [
        ({"transporters": ["DHL", "UPS"]}, {"transporter": "UPS"}, {"transporter": "ups"}),
        ({"transporters": ["DHL"]}, {"transporter": "DHL"}, {}),
        ({"orderTypes": ["B2C"]}, {"orderType": "B2C"}, {"orderType": "B2B"}),
        ({"transporters": ["DHL"], "orderTypes": ["B2C"]}, {"transporter": "DHL", "orderType": "B2C"},
         {"transporter": "DHL", "orderType": "B2B"}),
        ({"statuses": [{"to": 450}]}, {"statusTo": 450, "statusFrom": 400}, {"statusTo": 400}),
        ({"statuses": [{"to": 450, "from": 400}]}, {"statusTo": 450, "statusFrom": 400}, {"statusTo": 450, "statusFrom": 300}),
        ({"statuses": [{"to": 450, "from": 400}]}, {"statusTo": 450, "statusFrom": 400}, {"statusTo": 450}),
        ({"statuses": [{"to": 200}, {"to": 450}]}, {"statusTo": 200}, {"statusTo": 300}),
        ({"conditions": [{"field": "attributes.zone", "operator": "is", "value": 7}]}, {"zone": 7.0}, {"zone": "7"}),
        ({"conditions": [{"field": "attributes.zone", "operator": "isNot", "value": 7}]}, {"zone": 8}, {"zone": 7}),
        ({"conditions": [{"field": "attributes.zone", "operator": "isOneOf", "value": [7, "A"]}]}, {"zone": "A"}, {"zone": "B"}),
        ({"conditions": [{"field": "attributes.zone", "operator": "greater", "value": 7}]}, {"zone": 7.5}, {"zone": 7}),
        ({"conditions": [{"field": "attributes.zone", "operator": "less", "value": 7}]}, {"zone": 6}, {"zone": "6"}),
        ({"conditions": [{"field": "attributes.zone", "operator": "contains", "value": "or"}]}, {"zone": "north"}, {"zone": "east"}),
        ({"conditions": [{"field": "attributes.zone", "operator": "contains", "value": 3}]}, {"zone": [1, 3]}, {"zone": [1, 33]}),
        ({"conditions": [{"field": "attributes.zone", "operator": "exists", "value": True}]}, {"zone": 0}, {"zone": None}),
        ({"conditions": [{"field": "attributes.zone", "operator": "exists", "value": False}]}, {}, {"zone": 0}),
        ({"conditions": [{"field": "attributes.a", "operator": "is", "value": 1},
                         {"field": "attributes.b", "operator": "is", "value": 2}]}, {"a": 1, "b": 2}, {"a": 1, "b": 3}),
    ],
)  # fmt: skip
async def test_a_filter_lets_through_what_it_names_and_says_what_it_met(
    database: Database, tmp_path: Path, filters: dict[str, Any], wanted: dict[str, Any], unwanted: dict[str, Any]
):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(eventType="order.status-changed", filters=filters).webhook["id"]
        assert await reached(node, type="order.status-changed", attributes=wanted) == {webhook}
        refused = await node.publish(type="order.status-changed", attributes=unwanted)
        assert refused.deliveries == 0
        assert (await node.why(refused.event_id))[webhook].startswith("filter “")


async def test_a_filter_looks_into_the_data_too(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        condition = {"field": "data.goodsOwnerClasses[].code", "operator": "is", "value": "B2C"}
        webhook = node.make_webhook(filters={"conditions": [condition]}).webhook["id"]
        assert await reached(node) == {webhook}
        data = {**an_event()["data"], "goodsOwnerClasses": [{"id": 1, "code": "B2B", "name": "x"}, {"id": 2}]}
        assert await reached(node, data=data) == set()


async def test_the_status_reached_is_read_from_the_payload_where_the_publisher_does_not_say_it(
    database: Database, tmp_path: Path
):
    async with a_node(database, tmp_path) as node:
        filters = {"statuses": [{"to": 450}]}
        webhook = node.make_webhook(eventType="order.status-changed", filters=filters).webhook["id"]
        data = an_event(type="order.status-changed")["data"]
        assert await reached(node, type="order.status-changed", data={**data, "orderStatus": {"number": 450}}) == {
            webhook
        }
        assert await reached(node, type="order.status-changed", data={**data, "orderStatus": {"number": 400}}) == set()


async def test_lines_that_came_with_their_purchase_order_fire_only_where_asked_for(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        kind = "purchase-order-line.created"
        plain = node.make_webhook(eventType=kind).webhook["id"]
        asked = node.make_webhook(eventType=kind, filters={"fireWhenPurchaseOrderIsCreated": True}).webhook["id"]
        assert await reached(node, type=kind) == {plain, asked}
        event = await node.publish(type=kind, attributes={"createdWithPurchaseOrder": True})
        why = await node.why(event.event_id)
        assert event.deliveries == 1
        assert why[plain].endswith("“Fire when purchase order is created” is off")


# Why, and why not.


async def test_each_reason_for_not_firing_is_told(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        fired = node.make_webhook(name="fired").webhook["id"]
        disabled = node.make_webhook(enabled=False).webhook["id"]
        others = node.make_webhook(goodsOwnerIds=[FJORD]).webhook["id"]
        filtered = node.make_webhook(filters={"transporters": ["DHL", "UPS"]}).webhook["id"]
        unmet = node.make_webhook(filters={"orderTypes": ["B2C"]}).webhook["id"]
        deleted = node.make_webhook().webhook["id"]
        other_type = node.make_webhook(eventType="order.created").webhook["id"]
        unrelated = node.make_webhook(eventType="order.created").webhook["id"]
        node.clock.advance(SECOND)  # type: ignore[attr-defined]
        await node.delete_webhook(deleted)
        node.clock.advance(SECOND)  # type: ignore[attr-defined]
        event = (await node.publish(attributes={"transporter": "PostNord"})).event_id
        await node.rest()
        node.clock.advance(SECOND)  # type: ignore[attr-defined]
        late = node.make_webhook().webhook["id"]
        await node.change_webhook(other_type, eventType="order.picked")
        await node.change_webhook(filtered, filters={"transporters": []})
        why = await node.why(event)
        assert why == {
            fired: "delivered",
            disabled: "it was disabled, since 2026-11-24T06:00:00Z",
            others: "it is for another goods owner: it serves 207, the event is of 114",
            filtered: "filter “transporter is one of DHL, UPS” met PostNord",
            unmet: "filter “order type is one of B2C” met nothing: the event has no such value",
            deleted: "it was deleted before the event, at 2026-11-24T06:00:01Z",
            other_type: "it was for the event type order.created at that time",
            late: "it was created after the event, at 2026-11-24T06:00:03Z",
        }
        assert unrelated not in why
        assert others not in await node.why(event, TEA_ONLY)


async def test_a_webhook_is_told_by_the_event_type_that_it_had_then(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook(enabled=False).webhook["id"]
        never = node.make_webhook(eventType="order.created").webhook["id"]
        await node.advance(SECOND)
        event = (await node.publish()).event_id
        await node.advance(SECOND)
        later = node.make_webhook().webhook["id"]
        for each in (webhook, never, later):
            await node.change_webhook(each, eventType="order.status-changed")
        [(told, reason)] = (await node.why(event)).items()
        assert told == webhook
        assert reason.startswith("it was disabled, since ")
        await node.advance(SECOND)
        await node.delete_webhook(webhook)
        assert await node.why(event) == {webhook: reason}


async def test_a_webhook_that_fired_is_told_also_when_it_is_for_another_type_by_now(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook().webhook["id"]
        event = (await node.publish()).event_id
        await node.rest()
        await node.change_webhook(webhook, eventType="order.created")
        assert await node.why(event) == {webhook: "delivered"}


@pytest.mark.parametrize("then", [{}, {"enabled": False}, {"eventType": "order.created"}])
async def test_what_a_webhook_was_under_another_goods_owner_is_not_told_to_the_next(
    database: Database, tmp_path: Path, then: dict[str, Any]
):
    async with a_node(database, tmp_path) as node:
        moved = node.make_webhook(goodsOwnerIds=[FJORD], **then).webhook["id"]
        node.clock.advance(SECOND)  # type: ignore[attr-defined]
        event = (await node.publish()).event_id
        node.clock.advance(SECOND)  # type: ignore[attr-defined]
        await node.change_webhook(moved, goodsOwnerIds=[TEA], enabled=True, eventType="order.picked")
        assert await node.why(event, TEA_ONLY) == {moved: "it was for another goods owner at that time"}


# Publishing inside the caller's own transaction.


async def test_an_event_of_a_transaction_that_is_undone_never_was(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        node.make_webhook()

        def pick_and_fail(tx: Any) -> None:
            accepted = node.publisher.publish(tx, SYSTEM, an_event(), now=node.clock.now())
            assert accepted.deliveries == 1
            raise LookupError("the shelf was empty")

        with pytest.raises(LookupError):
            await database.write(pick_and_fail)
        await node.advance(HOUR)
        assert node.rows("SELECT id FROM events") == node.rows("SELECT event_id FROM deliveries") == []
        assert node.sender.requests == []


async def test_an_event_of_a_transaction_that_commits_is_delivered_without_waiting(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook().webhook["id"]
        await node.napping()
        accepted = await database.write(lambda tx: node.publisher.publish(tx, SYSTEM, an_event(), now=node.clock.now()))
        await node.until(lambda: node.sender.requests, what="the worker to hear of it")
        await node.rest()
        assert await node.status(accepted.event_id, webhook) == "delivered"


async def test_a_refused_event_leaves_the_callers_transaction_usable(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        node.make_webhook()

        def twice(tx: Any) -> int:
            first = node.publisher.publish(tx, SYSTEM, an_event(id="a"), now=node.clock.now())
            again = node.publisher.publish(tx, SYSTEM, an_event(id="a"), now=node.clock.now())
            assert (again.event_id, again.repeated, again.deliveries) == (first.event_id, True, 1)
            with pytest.raises(Conflict):
                node.publisher.publish(
                    tx, SYSTEM, an_event(id="a", occurredAt="2026-02-03T12:07:31Z"), now=node.clock.now()
                )
            return first.event_id

        await database.write(twice)
        await node.rest()
        assert len(node.rows("SELECT id FROM events")) == len(node.sender.requests) == 1


async def test_a_repeated_id_answers_the_first_event_and_adds_nothing(database: Database, tmp_path: Path):
    async with a_node(database, tmp_path) as node:
        node.make_webhook()
        first = await node.publish(id="order-1")
        again = await node.publish(id="order-1")
        await node.rest()
        assert (again.event_id, again.repeated) == (first.event_id, True)
        with pytest.raises(Conflict, match="already used for another event"):
            await node.publish(id="order-1", key="order/2")
        [one, two, three] = await node.publish_many(an_event(id="b"), an_event(id="b"), an_event(id="b", key="order/9"))
        assert (two.event_id, two.repeated) == (one.event_id, True)  # type: ignore[union-attr]
        assert isinstance(three, Conflict)
        await node.rest()
        assert len(node.sender.requests) == 2
        assert all(lane.places == 0 for lane in node.worker._lanes.values())


# What nobody should be able to store, stored all the same.


async def test_a_filter_that_cannot_judge_an_event_costs_its_own_webhook_alone(database: Database, tmp_path: Path):
    """R7"""
    async with a_node(database, tmp_path) as node:
        condition = {"field": "data.orderId", "operator": "isOneOf", "value": [5]}
        broken = node.make_webhook(name="broken", filters={"conditions": [condition]}).webhook["id"]
        sound = node.make_webhook(name="sound").webhook["id"]

        def spoil(tx: Transaction) -> None:
            number = counters.grow(tx, counters.WEBHOOKS_CHANGED)
            tables = ("UPDATE webhooks SET changed_no = :number, settings = replace(settings, '[5]', '5') WHERE id = :id",
                      "UPDATE webhook_versions SET settings = replace(settings, '[5]', '5') WHERE webhook_id = :id")  # fmt: skip
            assert tx.run(tables[0], id=broken, number=number) == tx.run(tables[1], id=broken) == 1

        database.submit_write(spoil).result()
        assert await reached(node) == {sound}
        assert await reached(node, goodsOwnerId=FJORD) == set()
        accepted = await node.publish()
        assert (await node.why(accepted.event_id))[
            broken
        ] == "its filter cannot judge this event; save the filter again"


async def test_a_mistake_while_matching_refuses_those_events_and_the_journal_goes_on(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """R7"""
    async with a_node(database, tmp_path) as node:
        webhook = node.make_webhook().webhook["id"]

        def mistaken(*_: Any, **__: Any) -> Any:
            raise RuntimeError("on purpose")

        with monkeypatch.context() as broken:
            broken.setattr(node.publisher, "row", mistaken)
            with pytest.raises(Unavailable):
                await node.publish()
        assert await reached(node) == {webhook}
        assert all(lane.places == 0 for lane in node.worker._lanes.values())
