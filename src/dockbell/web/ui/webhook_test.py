"""The Test button: the example or a real event to one webhook, and everything about what came of it."""

from typing import Any

from starlette.responses import Response

from dockbell.actions import deliveries, events
from dockbell.actions.test_event import send_test_event
from dockbell.domain.advice import advice_for
from dockbell.domain.event import Event, body_of
from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, NotFound, Problem
from dockbell.store.database import Transaction
from dockbell.web.inputs import id_in_path, number_in
from dockbell.web.ui.drawings import timing_bars
from dockbell.web.ui.visit import Routes, Visit

routes = Routes()
LOOKED_AT = 200
OFFERED = 10


@routes.get("/administration/webhooks/{id}/test", need="manage")
async def choose(visit: Visit) -> Response:
    """What to send; with `?delivery=` what came of a test."""
    if visit.query.text("delivery"):
        return await _result(visit, visit.query.text("delivery"))
    return await _choice(visit)


@routes.post("/administration/webhooks/{id}/test", need="manage")
async def send(visit: Visit) -> Response:
    number = id_in_path(visit.path["id"], "webhook")
    parts = visit.parts
    try:
        found = await send_test_event(
            parts.database, parts.index, parts.journal, parts.webhooks, parts.clock, visit.actor, number,
            pace=parts.tests,
            past_event_id=_number(visit.form.text("event"), "event"),
            goods_owner_id=_number(visit.form.text("goodsOwner"), "goodsOwner"),
        )  # fmt: skip
    except InvalidInput as wrong:
        return await _choice(visit, problems=wrong.problems)
    return visit.go(f"/administration/webhooks/{number}/test", delivery=found["id"])


def _number(text: str, field: str) -> int | None:
    if text in ("", "example"):
        return None
    number = number_in(text)
    if number is None:
        raise InvalidInput([Problem(field, "type", f"{text[:40]!r} is not a number.")])
    return number


async def _choice(visit: Visit, *, problems: tuple[Problem, ...] = ()) -> Response:
    number = id_in_path(visit.path["id"], "webhook")
    state = visit.parts.index.state

    def read(tx: Transaction) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        webhook = visit.parts.webhooks.get_to_manage(tx, visit.actor, number)
        return webhook, _last_events(tx, visit.actor, webhook)

    webhook, offered = await visit.parts.database.read(read)
    owners = webhook["goodsOwnerIds"] or [owner for owner in sorted(state.goods_owners) if visit.actor.sees(owner)]
    event_type = state.catalog.get(webhook["eventType"])
    return visit.page(
        "webhook_test.html",
        status=422 if problems else 200,
        problems=problems,
        webhook=webhook,
        offered=offered,
        owners=[(owner, state.goods_owners.get(owner, str(owner))) for owner in owners],
        example=None if event_type is None else event_type.example,
        chosen=visit.form.text("event") or visit.query.text("event") or "example",
        chosen_owner=visit.form.text("goodsOwner"),
    )


def _last_events(tx: Transaction, actor: Actor, webhook: dict[str, Any]) -> list[dict[str, Any]]:
    owners = webhook["goodsOwnerIds"]
    only_owner = owners[0] if owners is not None and len(owners) == 1 else None
    found = events.page(tx, actor, event_type=webhook["eventType"], goods_owner_id=only_owner, limit=LOOKED_AT)
    whole = [one for one in found if not one["test"] and one["erasedAt"] is None]
    return [one for one in whole if owners is None or one["goodsOwnerId"] in owners][:OFFERED]


async def _result(visit: Visit, delivery_id: str) -> Response:
    number = id_in_path(visit.path["id"], "webhook")

    def read(tx: Transaction) -> tuple[dict[str, Any], dict[str, Any]]:
        delivery = deliveries.get(tx, visit.actor, delivery_id)
        if delivery["webhookId"] != number or not delivery["test"]:
            raise NotFound(f"There is no test {delivery_id[:80]!r} of this webhook.")
        return visit.parts.webhooks.get_to_manage(tx, visit.actor, number), delivery

    webhook, delivery = await visit.parts.database.read(read)
    event_type = visit.parts.index.state.catalog.get(delivery["eventType"])
    event = Event(
        delivery["eventId"],
        delivery["goodsOwnerId"],
        delivery["eventType"],
        0,
        delivery["head"],
        delivery["data"],
        True,
    )
    id_field = event_type.id_field if event_type is not None else "webhookId"
    attempt = next((each for each in reversed(delivery["attemptList"]) if "durationInMs" in each), None)
    return visit.page(
        "webhook_test_result.html",
        webhook=webhook,
        delivery=delivery,
        attempt=attempt,
        body=body_of(event, id_field=id_field, webhook_id=number).decode(),
        advice="" if attempt is None else advice_for(attempt["code"], attempt["statusCode"]),
        bars=[] if attempt is None else timing_bars(attempt["durationInMs"]),
    )
