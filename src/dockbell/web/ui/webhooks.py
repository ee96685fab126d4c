"""The list of webhooks: how each one does, several at once enabled or disabled, out to a file and in again."""

import json
from typing import Any

from starlette.responses import Response

from dockbell.actions import statistics, webhook_file, webhook_list
from dockbell.domain.event_json import read_json
from dockbell.errors import Conflict, DockbellError, InvalidInput, Problem
from dockbell.store.database import Transaction
from dockbell.web.inputs import id_in_path
from dockbell.web.ui import webhook_missed, webhook_page, webhook_test
from dockbell.web.ui.drawings import percent, sparkline
from dockbell.web.ui.render import PAGE_HEADERS, with_query
from dockbell.web.ui.visit import Routes, Visit

routes = Routes()
A_PAGE = 50
WAITED_FOR = 20
"""Portions of the statistics that a page waits for; the rest is counted in the background."""
FILTERS = ("search", "eventType", "goodsOwner", "kind", "state")
MOST_SELECTED = 1_000


@routes.get("/administration/webhooks", need="read")
async def the_list(visit: Visit) -> Response:
    return await _list(visit)


@routes.post("/administration/webhooks/selected", need="read")
async def with_selected(visit: Visit) -> Response:
    """Enable, disable or export the ticked webhooks."""
    wanted = visit.form.text("do")
    if wanted not in ("enable", "disable", "export"):
        text = f"There is no action {wanted[:40]!r}. Actions: enable, disable, export."
        return await _list(visit, problems=[Problem("do", "do", text)])
    numbers = [id_in_path(text, "webhook") for text in dict.fromkeys(visit.form.all("webhook"))][:MOST_SELECTED]
    if not numbers:
        return await _list(visit, problems=[Problem("", "nothing_selected", "Tick at least one webhook first.")])
    if wanted == "export":
        return await _file(visit, numbers)
    now = visit.parts.clock.now()

    def switch(tx: Transaction) -> tuple[int, list[Problem]]:
        count, problems = 0, []
        for number in numbers:
            try:
                count += visit.parts.webhooks.switch(tx, visit.actor, number, enabled=wanted == "enable", now=now)
            except InvalidInput as wrong:
                problems += [
                    Problem(f"webhook {number}: {each.field}", each.code, each.message) for each in wrong.problems
                ]
        return count, problems

    count, problems = await visit.parts.database.write(switch)
    await visit.parts.index.refresh(visit.parts.database)
    if problems:
        return await _list(visit, problems=problems)
    return visit.go("/administration/webhooks", **{"enabled" if wanted == "enable" else "disabled": count})


@routes.get("/administration/webhooks/export", need="read")
async def export(visit: Visit) -> Response:
    return await _file(visit, None)


@routes.get("/administration/webhooks/import", need="manage")
async def import_form(visit: Visit) -> Response:
    return visit.page("webhook_import.html", document="", some_are_right=False)


@routes.post("/administration/webhooks/import", need="manage")
async def import_them(visit: Visit) -> Response:
    text = visit.form.get("document", "")
    now = visit.parts.clock.now()
    some = "only" in visit.form
    try:
        document = _read(text)
        made, left_out = await visit.parts.database.write(
            lambda tx: webhook_file.import_all(
                tx, visit.actor, visit.parts.webhooks, document, only_right_ones=some, now=now
            )
        )
    except (InvalidInput, Conflict) as wrong:
        problems = wrong.problems if isinstance(wrong, InvalidInput) else [Problem("", wrong.code, wrong.message)]
        some_are_right = any(problem.field.startswith("webhook ") for problem in problems)
        return visit.page(
            "webhook_import.html", status=422, problems=problems, document=text, some_are_right=some_are_right
        )
    await visit.parts.index.refresh(visit.parts.database)
    return visit.go(
        "/administration/webhooks", imported=len(made), leftOut=len({each.field.split(":")[0] for each in left_out})
    )


def _read(text: str) -> Any:
    if not text.strip():
        raise InvalidInput([Problem("document", "required", "Choose a file, or paste what an export gave.")])
    try:
        return read_json(text.encode("utf-8", "surrogatepass"))
    except DockbellError as error:
        raise InvalidInput([Problem("document", error.code, error.message)]) from error


async def _file(visit: Visit, numbers: list[int] | None) -> Response:
    document = await visit.parts.database.read(
        lambda tx: webhook_file.export(tx, visit.actor, visit.parts.webhooks, numbers)
    )
    headers = {**PAGE_HEADERS, "content-disposition": 'attachment; filename="webhooks.json"'}
    return Response(json.dumps(document, indent=2, ensure_ascii=False), 200, headers, media_type="application/json")


async def _list(visit: Visit, *, problems: list[Problem] | None = None) -> Response:
    asked = visit.query
    state = visit.parts.index.state
    now = visit.parts.clock.now()
    order = asked.text("sort").lstrip("-")
    descending = asked.text("sort").startswith("-")
    await statistics.roll_up(visit.parts.database, now=now, portions=WAITED_FOR)
    found, start, total, too_many = await visit.parts.database.read(
        lambda tx: webhook_list.page(
            tx,
            visit.actor,
            type_names={each.key: each.name for each in state.catalog},
            now=now,
            event_type=asked.text("eventType") or None,
            goods_owner_id=asked.number("goodsOwner"),
            kind=asked.text("kind") or None,
            state=asked.text("state") or None,
            search=asked.text("search"),
            order=order if order in webhook_list.ORDERS else "name",
            descending=descending,
            start=asked.number("start") or 0,
            limit=A_PAGE,
        )
    )
    filters = {name: asked.text(name) for name in FILTERS}
    return visit.page(
        "webhooks.html",
        status=422 if problems else 200,
        problems=problems or (),
        webhooks=[{**one, "bars": sparkline(one["statistics"]), "share": percent(one["statistics"])} for one in found],
        total=total,
        looked_through=webhook_list.MOST_WEBHOOKS if too_many else None,
        filters=filters,
        is_filtered=any(filters.values()),
        sorted_by=asked.text("sort"),
        ticked=set(visit.form.all("webhook")),
        types=[(each.key, each.name) for each in state.catalog],
        owners=sorted((number, name) for number, name in state.goods_owners.items() if visit.actor.sees(number)),
        owner_names=state.goods_owners,
        may_manage=visit.actor.may("manage"),
        may_automate=visit.actor.may("admin") and visit.actor.goods_owners is None,
        first=start + 1,
        next_href=_page_at(visit, start + A_PAGE) if start + A_PAGE < total else None,
        previous_href=_page_at(visit, max(0, start - A_PAGE)) if start else None,
        said={name: asked.number(name) for name in ("enabled", "disabled", "imported", "leftOut")},
    )


def _page_at(visit: Visit, start: int) -> str:
    same = {name: visit.query.text(name) for name in (*FILTERS, "sort")}
    return with_query("/administration/webhooks", **same, start=start or None)


# Last, so that a word such as `export` is not taken for a webhook's number.
routes.extend(webhook_page.routes)
routes.extend(webhook_test.routes)
routes.extend(webhook_missed.routes)
