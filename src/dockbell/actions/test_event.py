"""The Test button: one event to one webhook, through the very same path, and what came of it."""

from typing import Any

import msgspec

from dockbell.actions import deliveries, events
from dockbell.actions.index import Index
from dockbell.actions.journal import Journal
from dockbell.actions.pace import Pace
from dockbell.actions.publish import Accepted
from dockbell.actions.webhooks import Webhooks
from dockbell.clock import SECOND, Clock
from dockbell.domain.event import NewEvent
from dockbell.domain.permissions import Actor
from dockbell.domain.request import delivery_id
from dockbell.errors import Conflict, InvalidInput, Problem
from dockbell.store.database import Database, Row, Transaction

LOOK_AGAIN_S = 0.02
PATIENCE = 20 * SECOND


async def send_test_event(
    database: Database,
    index: Index,
    journal: Journal,
    webhooks: Webhooks,
    clock: Clock,
    actor: Actor,
    webhook_id: int,
    *,
    pace: Pace,
    past_event_id: int | None = None,
    goods_owner_id: int | None = None,
) -> dict[str, Any]:
    """Send the catalog's example, or a past event again, to one webhook; the delivery with its attempt.

    A disabled webhook can be tested too: that is how one finds out before switching it on.
    """
    shown = await database.read(lambda tx: webhooks.get_to_manage(tx, actor, webhook_id))
    await index.refresh(database)
    webhook = index.state.webhooks[webhook_id]
    owners = shown["goodsOwnerIds"] or sorted(actor.goods_owners or index.state.goods_owners)
    owner = owners[0] if goods_owner_id is None and owners else goods_owner_id
    if owner is None or not webhook.serves(owner) or owner not in index.state.goods_owners:
        text = f"The webhook does not serve goods owner {owner}."
        raise InvalidInput([Problem("goodsOwnerId", "goods_owner", text)])
    past = None if past_event_id is None else await database.read(lambda tx: _past(tx, actor, past_event_id))
    if past is not None and past["event_type"] != webhook.event_type:
        text = f"The event is of type {past['event_type']}, the webhook is for {webhook.event_type}."
        raise InvalidInput([Problem("eventId", "event_type", text)])
    if past is not None and not webhook.serves(past["goods_owner_id"]):
        text = f"The webhook does not serve goods owner {past['goods_owner_id']} of that event."
        raise InvalidInput([Problem("eventId", "goods_owner", text)])
    pace.need(actor.id)
    [verdict] = await journal.accept([_new_event(index, webhook.event_type, owner, past)], test_of=webhook)
    if not isinstance(verdict, Accepted):
        raise verdict
    return await _result(database, clock, actor, delivery_id(verdict.event_id, webhook_id))


def _past(tx: Transaction, actor: Actor, event_id: int) -> Row:
    past = events.visible(tx, actor, event_id)
    if past["erased_at"] is not None:
        raise Conflict("The event's payload was erased, so there is nothing to send.", code="payload_erased")
    return past


def _new_event(index: Index, event_type_key: str, goods_owner_id: int, past: Row | None) -> NewEvent:
    event_type = index.state.catalog.get(event_type_key)
    if event_type is None:
        raise Conflict(f"The event type {event_type_key} is not in the catalog any more.", code="event_type")
    owner = goods_owner_id if past is None else past["goods_owner_id"]
    data = msgspec.json.encode(event_type.example).decode() if past is None else past["data"]
    document = msgspec.json.decode(data)
    return NewEvent(
        event_type=event_type,
        goods_owner_id=owner,
        goods_owner_name=index.state.goods_owners[owner],
        occurred_at=None if past is None else past["occurred_at"],
        publisher_id=None,
        fingerprint="",
        # The example is about no object of the warehouse, so it must not stand in the history of one.
        key=None if past is None else past["object_key"],
        number=None if past is None else past["object_number"],
        attributes={} if past is None else msgspec.json.decode(past["attributes"]),
        data=data,
        document=document,
    )


async def _result(database: Database, clock: Clock, actor: Actor, delivery: str) -> dict[str, Any]:
    """The delivery once its attempt ended, or as it is when patience did."""
    until = clock.now() + PATIENCE + 30 * SECOND
    while True:
        found = await database.read(lambda tx: deliveries.get(tx, actor, delivery))
        if found["status"] not in ("pending", "sending") or clock.now() >= until:
            return found
        await clock.sleep(LOOK_AGAIN_S)
