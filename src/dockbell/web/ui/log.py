"""Logs: deliveries with filters and as files, one delivery with its attempts, resend and cancel of one or many."""

import re
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response, StreamingResponse

from dockbell.actions import bulk, deliveries, webhook_list
from dockbell.domain.advice import advice_for
from dockbell.domain.event import Event, body_of
from dockbell.domain.limits import parse_range
from dockbell.domain.permissions import Actor
from dockbell.errors import InvalidInput, NotFound, Problem, Problems
from dockbell.store.database import Database, Transaction
from dockbell.web.inputs import id_in_path, number_in
from dockbell.web.ui.drawings import timing_bars
from dockbell.web.ui.log_files import as_curl, attachment, csv_lines, json_lines
from dockbell.web.ui.render import PAGE_HEADERS, with_query
from dockbell.web.ui.visit import Fields, Routes, Visit, zoned

routes = Routes()
HOME = "/administration/deliveries"
A_PAGE = 50
A_PORTION = 1_000
MOST_EXPORTED = 100_000
FILTERS = ("status", "code", "eventType", "webhookId", "goodsOwnerId", "about", "from", "to")
_CURSOR = re.compile(r"([0-9]{1,19})-([0-9]{1,16})")


@routes.get("/administration/deliveries", need="read")
async def the_log(visit: Visit) -> Response:
    return await _list(visit)


@routes.get("/administration/webhooks/{id}/logs", need="read")
async def of_webhook(visit: Visit) -> Response:
    return await _list(visit, id_in_path(visit.path["id"], "webhook"))


@routes.get("/administration/deliveries/rows", need="read")
async def newest_rows(visit: Visit) -> Response:
    """The first page's rows alone, for those who follow the log."""
    filters = await _filters(visit, visit.query)
    found = await visit.parts.database.read(
        lambda tx: _for_rows(tx, visit, deliveries.page(tx, visit.actor, **filters, limit=A_PAGE))
    )
    return visit.page("delivery_rows.html", deliveries=found, may_manage=visit.actor.may("manage"), **_names(visit))


@routes.get("/administration/deliveries/export", need="read")
async def export(visit: Visit) -> Response:
    filters = await _filters(visit, visit.query)
    kind = "json" if visit.query.text("as") == "json" else "csv"
    media = "application/json" if kind == "json" else "text/csv; charset=utf-8; header=present"
    headers = {**PAGE_HEADERS, "content-disposition": attachment(f"deliveries.{kind}"), "content-type": media}
    return StreamingResponse(portions(visit.parts.database, visit.actor, filters, kind), 200, headers)


@routes.post("/administration/deliveries/selected", need="manage")
async def confirm_many(visit: Visit) -> Response:
    """Say how many it would be, before anything happens. The run has its number here: the form begins it once."""
    bulk.need_known(visit.form.text("do"))
    ids = visit.form.all("delivery")
    everything = visit.form.text("which") == "all"
    asked = {name: visit.form.text(name) for name in FILTERS}
    if not everything and not ids:
        return await _list(visit, problems=(Problem("", "nothing_selected", "Tick at least one first."),))
    filters = await _filters(visit, visit.form)
    count, do = len(set(ids)), visit.form.text("do")
    if everything:
        count = await visit.parts.database.read(lambda tx: deliveries.count(tx, visit.actor, run=do, **filters))
    return visit.page(
        "bulk_confirm.html", do=do, ids=[] if everything else ids, everything=everything,
        filters=asked, count=count, most=deliveries.MOST_COUNTED, run=bulk.new_number(),
    )  # fmt: skip


@routes.post("/administration/deliveries/bulk", need="manage")
async def begin_many(visit: Visit) -> Response:
    now = visit.parts.clock.now()
    ticked = None if visit.form.text("which") == "all" else visit.form.all("delivery")
    filters = await _filters(visit, visit.form) if ticked is None else {}
    run = await visit.parts.database.write(
        lambda tx: bulk.begin(
            tx, visit.actor, visit.form.text("do"), now=now, number=visit.form.text("run"), ticked=ticked, **filters
        )
    )
    bulk.go_on(visit.parts.database, visit.parts.clock, run["id"])
    return visit.go(f"{HOME}/bulk/{run['id']}")


@routes.get("/administration/deliveries/bulk/{id}", need="read")
async def progress(visit: Visit) -> Response:
    run = await visit.parts.database.read(lambda tx: bulk.get(tx, visit.actor, visit.path["id"]))
    return visit.page("bulk_run.html", run=run)


@routes.get("/administration/deliveries/{id}", need="read")
async def the_delivery(visit: Visit) -> Response:
    return await _delivery(visit)


@routes.get("/administration/deliveries/{id}/payload", need="read")
async def payload(visit: Visit) -> Response:
    delivery = await visit.parts.database.read(lambda tx: deliveries.get(tx, visit.actor, visit.path["id"]))
    name = attachment(f"delivery-{delivery['id']}.json")
    headers = {**PAGE_HEADERS, "content-disposition": name}
    return Response(_body(visit, delivery), 200, headers, media_type="application/octet-stream")


@routes.post("/administration/deliveries/{id}/resend", need="manage")
async def resend(visit: Visit) -> Response:
    now, number = visit.parts.clock.now(), visit.path["id"]
    resent = await visit.parts.database.write(lambda tx: deliveries.resend(tx, visit.actor, number, now=now))
    return visit.go(f"{HOME}/{number}", notice="resent-held" if resent["status"] == "held" else "resent")


@routes.post("/administration/deliveries/{id}/cancel", need="manage")
async def cancel(visit: Visit) -> Response:
    now, number = visit.parts.clock.now(), visit.path["id"]
    await visit.parts.database.write(lambda tx: deliveries.cancel(tx, visit.actor, number, now=now))
    return visit.go(f"{HOME}/{number}", notice="cancelled")


async def _list(visit: Visit, webhook_id: int | None = None, problems: tuple[Problem, ...] = ()) -> Response:
    asked = visit.form if visit.request.method == "POST" else visit.query
    shown = {name: asked.text(name) for name in FILTERS}
    webhook: dict[str, Any] | None = None
    found: list[dict[str, Any]] = []
    if webhook_id is not None:
        number = webhook_id
        webhook = await visit.parts.database.read(lambda tx: visit.parts.webhooks.get(tx, visit.actor, number))
        shown["webhookId"] = str(webhook_id)
    try:
        filters = await _filters(visit, asked, webhook_id)
        at = _CURSOR.fullmatch(visit.query.text("before"))
        before = (min(int(at[1]), deliveries.NEWEST), int(at[2])) if at else None

        def read(tx: Transaction) -> list[dict[str, Any]]:
            rows = deliveries.page(tx, visit.actor, **filters, before=before, limit=A_PAGE + 1)
            return _for_rows(tx, visit, rows)

        found = await visit.parts.database.read(read)
    except InvalidInput as wrong:
        problems = (*problems, *wrong.problems)
    here = HOME if webhook_id is None else f"/administration/webhooks/{webhook_id}/logs"
    more = found[A_PAGE - 1]["id"] if len(found) > A_PAGE else None
    state = visit.parts.index.state
    owners = [(str(o), n) for o, n in sorted(state.goods_owners.items()) if visit.actor.sees(o)]
    return visit.page(
        "deliveries.html", status=422 if problems else 200, problems=problems, deliveries=found[:A_PAGE],
        webhook=webhook, filters=shown, here_path=here, statuses=deliveries.STATUSES, owners=owners,
        types=[(one.key, one.name) for one in state.catalog], is_filtered=any(
            value for name, value in shown.items() if webhook is None or name != "webhookId"
        ),
        next_href=with_query(here, **shown, before=more) if more else None,
        first_href=with_query(here, **shown) if visit.query.text("before") else None,
        rows_href=with_query(f"{HOME}/rows", **shown),
        csv_href=with_query(f"{HOME}/export", **shown),
        json_href=with_query(f"{HOME}/export", **shown, **{"as": "json"}),
        may_manage=visit.actor.may("manage"), **_names(visit),
    )  # fmt: skip


def _for_rows(tx: Transaction, visit: Visit, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return deliveries.with_webhooks(tx, visit.actor, deliveries.with_durations(tx, found))


def _names(visit: Visit) -> dict[str, Any]:
    state = visit.parts.index.state
    return {"type_names": {one.key: one.name for one in state.catalog}}


async def _filters(visit: Visit, asked: Fields, webhook_id: int | None = None) -> dict[str, Any]:
    """What the form says; raises InvalidInput with everything that is wrong. A webhook is found by number or name."""
    problems = Problems()
    if webhook_id is None and asked.text("webhookId"):
        with problems.gather():
            webhook_id = await visit.parts.database.read(lambda tx: _webhook_of(tx, visit, asked.text("webhookId")))

    def number(name: str) -> int | None:
        text, found = asked.text(name), asked.number(name)
        if text and found is None:
            problems.append(Problem(name, "type", f"{text[:40]!r} is not a number."))
        return found

    with problems.gather():
        status, code = deliveries.searched(asked.text("status") or None, asked.text("code") or None)
    with problems.gather():
        since, until = parse_range(zoned(asked.text("from")), zoned(asked.text("to")))
    owner = number("goodsOwnerId")
    problems.refuse()
    return {
        "status": status, "code": code, "event_type": asked.text("eventType") or None,
        "webhook_id": webhook_id, "goods_owner_id": owner, "about": asked.text("about") or None,
        "since": since, "until": until,
    }  # fmt: skip


def _webhook_of(tx: Transaction, visit: Visit, text: str) -> int:
    if (number := number_in(text)) is not None:
        return number
    found = webhook_list.named(tx, visit.actor, text)
    if len(found) == 1:
        return found[0]
    shown = (
        f"There is no webhook “{text[:80]}”." if not found else f"{len(found)} webhooks are named so; write a number."
    )
    raise InvalidInput([Problem("webhookId", "webhook", shown)])


async def portions(
    database: Database,
    actor: Actor,
    filters: dict[str, Any],
    kind: str,
    *,
    portion: int = A_PORTION,
    most: int = MOST_EXPORTED,
) -> AsyncIterator[str]:
    """The file in pieces; after `most` rows it is cut, and its end says so."""
    yield csv_lines([], header=True) if kind == "csv" else "[\n"
    before: tuple[int, int] | None = None
    written, cut = 0, False
    while True:
        at, room = before, min(portion, most - written)
        found = await database.read(
            lambda tx, at=at: deliveries.with_durations(  # type: ignore[misc]
                tx, deliveries.page(tx, actor, **filters, before=at, limit=portion)
            )
        )
        rows = found[:room]
        yield csv_lines(rows) if kind == "csv" else json_lines(rows, first=written == 0)
        written += len(rows)
        cut = len(rows) < len(found)
        if cut or len(found) < portion:
            break
        before = (rows[-1]["eventId"], rows[-1]["webhookId"])
    told = f"Cut after {most:,} deliveries; filter for less."
    if kind == "csv":
        yield f'"{told}"\r\n' if cut else ""
    else:
        yield (f',\n{{"cut": "{told}"}}' if cut else "") + "\n]\n"


async def _delivery(visit: Visit) -> Response:
    def read(tx: Transaction) -> tuple[dict[str, Any], dict[str, Any] | None]:
        [delivery] = deliveries.with_webhooks(tx, visit.actor, [deliveries.get(tx, visit.actor, visit.path["id"])])
        try:
            return delivery, visit.parts.webhooks.get(tx, visit.actor, delivery["webhookId"])
        except NotFound:
            return delivery, None

    delivery, webhook = await visit.parts.database.read(read)
    body = _body(visit, delivery)
    attempts = [
        {
            **attempt,
            "bars": timing_bars(attempt["durationInMs"]),
            "advice": advice_for(attempt["code"], attempt["statusCode"]),
            "curl": ""
            if webhook is None or attempt["requestHeaders"] is None
            else as_curl(webhook["targetUrl"], attempt["requestHeaders"], body),
        }
        if "durationInMs" in attempt
        else attempt
        for attempt in delivery["attemptList"]
    ]
    return visit.page(
        "delivery.html", delivery=delivery, webhook=webhook, attempts=attempts, body=body,
        may_manage=visit.actor.may("manage"), **_names(visit),
    )  # fmt: skip


def _body(visit: Visit, delivery: dict[str, Any]) -> str:
    event_type = visit.parts.index.state.catalog.get(delivery["eventType"])
    event = Event(
        delivery["eventId"], delivery["goodsOwnerId"], delivery["eventType"], 0, delivery["head"], delivery["data"],
        delivery["test"],
    )  # fmt: skip
    id_field = "webhookId" if event_type is None else event_type.id_field
    return body_of(event, id_field=id_field, webhook_id=delivery["webhookId"]).decode()
