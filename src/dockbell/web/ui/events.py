"""Events by object, and why each webhook fired for them or did not."""

from typing import Any

from starlette.responses import Response

from dockbell.actions import deliveries, events, refusals
from dockbell.clock import MINUTE, to_text
from dockbell.domain.ids import moment_of
from dockbell.domain.limits import parse_range
from dockbell.errors import Problems
from dockbell.store.database import Transaction
from dockbell.web.inputs import id_in_path, id_in_query
from dockbell.web.ui.render import with_query
from dockbell.web.ui.visit import Routes, Visit, zoned
from dockbell.web.ui.webhook_form import visible_owners
from dockbell.web.ui.webhook_page import may_change

routes = Routes()
LIST = "/administration/events"
A_PAGE = 50
TOLD_AT_ONCE = 20
"""Events of an object, each with what became of it at every webhook of its type."""
FILTERS = ("about", "eventType", "goodsOwnerId", "from", "to")


@routes.get(LIST, need="read")
async def the_list(visit: Visit) -> Response:
    """Newest first; when one object is searched, each event with what became of it."""
    shown = {name: visit.query.text(name) for name in FILTERS}
    size = TOLD_AT_ONCE if shown["about"] else A_PAGE
    problems = Problems()
    with problems.gather():
        filters = _filters(shown)
    with problems.gather():
        before = id_in_query(visit.query.text("before") or None, "before")

    def read(tx: Transaction) -> list[dict[str, Any]]:
        some = events.page(tx, visit.actor, **filters, before=before, limit=size + 1)
        if not shown["about"]:
            return some
        return [{**event, "webhooks": told_of(tx, visit, event["id"])} for event in some[:size]] + some[size:]

    found = [] if problems else await visit.parts.database.read(read)
    about = filters["about"] if not problems else None
    refused = await _refused(visit, about, limit=A_PAGE) if about is not None else []
    more = found[size - 1]["id"] if len(found) > size else None
    return visit.page(
        "events.html",
        status=422 if problems else 200,
        problems=problems,
        events=found[:size],
        refused=refused,
        filters=shown,
        is_filtered=any(shown.values()),
        types=[(each.key, each.name) for each in visit.parts.index.state.catalog],
        type_names={each.key: each.name for each in visit.parts.index.state.catalog},
        owners=visible_owners(visit),
        older=more,
        first=bool(visit.query.text("before")),
    )


@routes.get(LIST + "/refused", need="read")
async def refused_events(visit: Visit) -> Response:
    about = visit.query.text("about")
    problems = Problems()
    before = None
    with problems.gather():
        before = id_in_query(visit.query.text("before") or None, "before")
    found = [] if problems else await _refused(visit, about or None, before=before, limit=A_PAGE + 1)
    return visit.page(
        "refusals.html",
        status=422 if problems else 200,
        problems=problems,
        refused=found[:A_PAGE],
        about=about,
        older=found[A_PAGE - 1]["id"] if len(found) > A_PAGE else None,
        first=bool(visit.query.text("before")),
    )


@routes.get(LIST + "/{id}", need="read")
async def one(visit: Visit) -> Response:
    number = id_in_path(visit.path["id"], "event")

    def read(tx: Transaction) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        return events.get(tx, visit.actor, number), told_of(tx, visit, number)

    event, told = await visit.parts.database.read(read)
    state = visit.parts.index.state
    event_type = state.catalog.get(event["type"])
    return visit.page(
        "event.html",
        event=event,
        webhooks=told,
        raw=bytes(event["data"]).decode(),
        type_name=event["type"] if event_type is None else event_type.name,
        owner_name=state.goods_owners.get(event["goodsOwnerId"], ""),
    )


async def _refused(visit: Visit, about: str | None, *, before: int | None = None, limit: int) -> list[dict[str, Any]]:
    now = visit.parts.clock.now()
    return await visit.parts.database.read(
        lambda tx: refusals.page(tx, visit.actor, about=about, before=before, limit=limit, now=now)
    )


def told_of(tx: Transaction, visit: Visit, event_id: int) -> list[dict[str, Any]]:
    """What became of the event at each webhook, with the delivery where there is one, or the page that sends it what it missed."""
    told = []
    for answer in events.why(tx, visit.actor, event_id):
        delivery = None
        if answer["fired"]:
            delivery = deliveries.get(tx, visit.actor, f"{event_id}-{answer['webhookId']}")
        sends = answer["code"] == "disabled" and may_change(visit, answer)
        told.append(
            {**answer, "delivery": delivery, "missed": _missed_at(answer["webhookId"], event_id) if sends else None}
        )
    return told


def _missed_at(webhook_id: int, event_id: int) -> str:
    """The page of what the webhook missed, with the minute of the event."""
    accepted = moment_of(event_id)
    minute = {"from": to_text(accepted)[:16], "to": to_text(accepted + MINUTE)[:16]}
    return with_query(f"/administration/webhooks/{webhook_id}/missed", **minute)


def _filters(shown: dict[str, str]) -> dict[str, Any]:
    """What the action takes for what was typed; raises InvalidInput with everything that is wrong."""
    problems = Problems()
    with problems.gather():
        since, until = parse_range(zoned(shown["from"]), zoned(shown["to"]))
    with problems.gather():
        owner = id_in_query(shown["goodsOwnerId"] or None, "goodsOwnerId")
    problems.refuse()
    return {
        "about": shown["about"] or None,
        "event_type": shown["eventType"] or None,
        "goods_owner_id": owner,
        "since": since,
        "until": until,
    }
