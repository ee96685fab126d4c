"""Reading events, and for each of them why a webhook fired or did not."""

import json
from typing import Any

import msgspec

from dockbell.actions.deliveries import NEWEST, sought
from dockbell.actions.webhook_access import may_see
from dockbell.clock import Moment, to_text
from dockbell.domain.filters import Facts
from dockbell.domain.ids import first_id_at
from dockbell.domain.permissions import Actor
from dockbell.domain.webhook import filter_from
from dockbell.errors import NotFound
from dockbell.store import delivery_log, events, webhooks
from dockbell.store.database import Row, Transaction

IN_WORDS = {
    "pending": "waiting for its next attempt",
    "sending": "being sent right now",
    "delivered": "delivered",
    "failed": "failed",
    "held": "held, because the webhook is disabled",
    "cancelled": "cancelled",
}


def page(
    tx: Transaction,
    actor: Actor,
    *,
    goods_owner_id: int | None = None,
    event_type: str | None = None,
    about: str | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Events, newest first; `about` finds an object as in the log of deliveries."""
    actor.need("read")
    last = NEWEST if until is None else first_id_at(until + 1000)
    owners = actor.goods_owners
    if goods_owner_id is not None:
        owners = frozenset({goods_owner_id} if actor.sees(goods_owner_id) else ())
    rows = events.page(
        tx,
        goods_owners=owners,
        event_type=event_type,
        about=sought(about),
        from_id=0 if since is None else first_id_at(since),
        before=last if before is None else min(last, before),
        limit=limit,
    )
    return [view(row) for row in rows]


def get(tx: Transaction, actor: Actor, event_id: int) -> dict[str, Any]:
    actor.need("read")
    return view(visible(tx, actor, event_id))


def why(tx: Transaction, actor: Actor, event_id: int) -> list[dict[str, Any]]:
    """Every webhook the event could have been meant for, and why it fired or did not: a code, and the reason in words.

    Judged by the settings that were in force when the event was accepted. Webhooks that were of another event type then
    and still are could not have been meant; those of other goods owners, and how they were set, are told only to who may
    see them. A test event was meant for the webhook under test alone.
    """
    actor.need("read")
    event = visible(tx, actor, event_id)
    made = {row["webhook_id"]: row for row in delivery_log.of_event(tx, event_id)}
    answers = []
    facts = Facts(json.loads(event["data"]), json.loads(event["attributes"]))
    found = webhooks.versions_at(tx, event_id=event_id, event_type=event["event_type"], moment=event["accepted_at"])
    for row in found:
        delivery = made.get(row["id"])
        if delivery is None and (event["test_of"] is not None or not may_see(actor, json.loads(row["settings_now"]))):
            continue
        if delivery is not None:
            status = delivery["status"]
            answer = {"fired": True, "status": status, "code": "fired", "reason": IN_WORDS[status]}
        else:
            code, reason = _objection(actor, row, event, facts)
            answer = {"fired": False, "status": None, "code": code, "reason": reason}
        answers.append({"webhookId": row["id"], "webhookName": row["name"], "kind": row["kind"], **answer})
    return answers


def _objection(actor: Actor, row: Row, event: Row, facts: Facts) -> tuple[str, str]:
    """Why no delivery was made for this webhook: code and words."""
    if row["version"] is None:
        return "created_later", f"it was created after the event, at {_to_the_second(row['created_at'])}"
    if row["deleted"]:
        return "deleted", f"it was deleted before the event, at {_to_the_second(row['since'])}"
    settings = json.loads(row["settings"])
    if not may_see(actor, settings):  # it was moved to the actor's since; whose it was and how it was set is not theirs
        return "goods_owner", "it was for another goods owner at that time"
    if settings["eventType"] != event["event_type"]:
        return "event_type", f"it was for the event type {settings['eventType']} at that time"
    if not row["enabled"]:
        return "disabled", f"it was disabled, since {_to_the_second(row['since'])}"
    owners = settings["goodsOwnerIds"]
    if owners is not None and event["goods_owner_id"] not in owners:
        mine = ", ".join(map(str, owners))
        words = f"it is for another goods owner: it serves {mine}, the event is of {event['goods_owner_id']}"
        return "goods_owner", words
    if event["erased_at"] is not None:
        return "erased", "the event's payload was erased, so its filter cannot be asked any more"
    try:
        found = filter_from(settings["filters"]).objection(facts)
    except Exception:  # noqa: BLE001 - said here as it was counted when the event came
        found = "its filter cannot judge this event; save the filter again"
    return ("filter", found) if found else ("changed", "it was changed in the moment the event was accepted")


def _to_the_second(moment: Moment) -> str:
    return to_text(moment)[:19] + "Z"


def visible(tx: Transaction, actor: Actor, event_id: int) -> Row:
    row = events.find(tx, event_id)
    if row is None or not actor.sees(row["goods_owner_id"]):
        raise NotFound(f"There is no event {event_id}.")
    return row


def view(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "type": row["event_type"],
        "goodsOwnerId": row["goods_owner_id"],
        "publisherId": row["publisher_id"],
        "occurredAt": to_text(row["occurred_at"]),
        "acceptedAt": to_text(row["accepted_at"]),
        "key": row["object_key"],
        "number": row["object_number"],
        "attributes": json.loads(row["attributes"]),
        "data": msgspec.Raw(row["data"].encode()),  # as it came: no number changed
        "test": row["test_of"] is not None,
        "erasedAt": None if row["erased_at"] is None else to_text(row["erased_at"]),
    }
