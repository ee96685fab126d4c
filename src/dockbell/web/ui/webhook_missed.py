"""What a webhook missed: counted for a time that is chosen, then sent."""

from typing import Any

from starlette.responses import Response

from dockbell.actions import bulk, missed
from dockbell.clock import DAY, to_text
from dockbell.domain.limits import parse_range
from dockbell.errors import InvalidInput, Problem
from dockbell.store.database import Transaction
from dockbell.web.inputs import id_in_path
from dockbell.web.ui.visit import Routes, Visit, zoned

routes = Routes()


@routes.get("/administration/webhooks/{id}/missed", need="manage")
async def count(visit: Visit) -> Response:
    return await _page(visit, {name: visit.query.text(name) for name in ("from", "to")})


@routes.post("/administration/webhooks/{id}/missed", need="manage")
async def send(visit: Visit) -> Response:
    number, parts = id_in_path(visit.path["id"], "webhook"), visit.parts
    typed = {name: visit.form.text(name) for name in ("from", "to")}
    try:
        since, until = parse_range(zoned(typed["from"]), zoned(typed["to"]))
        now, run_number = parts.clock.now(), visit.form.text("run")
        run = await parts.database.write(
            lambda tx: bulk.begin_missed(tx, visit.actor, number, since=since, until=until, now=now, number=run_number)
        )
    except InvalidInput as wrong:
        return await _page(visit, typed, problems=wrong.problems)
    bulk.go_on(parts.database, parts.clock, run["id"])
    return visit.go(f"/administration/deliveries/bulk/{run['id']}")


async def _page(visit: Visit, typed: dict[str, str], *, problems: tuple[Problem, ...] = ()) -> Response:
    number, parts = id_in_path(visit.path["id"], "webhook"), visit.parts
    now = parts.clock.now()

    def read(tx: Transaction) -> tuple[dict[str, Any], int | None]:
        return parts.webhooks.get_to_manage(tx, visit.actor, number), missed.off_since(tx, number, now=now)

    webhook, disabled_at = await parts.database.read(read)
    guessed = None
    if not any(typed.values()):
        guessed = "a day" if disabled_at is None else "disabled"
        typed = {**typed, "from": to_text(now - DAY if disabled_at is None else disabled_at)[:16]}
    counted = None
    if not problems:
        try:
            since, until = parse_range(zoned(typed["from"]), zoned(typed["to"]))
            counted = await parts.database.read(
                lambda tx: missed.count(tx, visit.actor, number, since=since, until=until, clock=parts.clock)
            )
        except InvalidInput as wrong:
            problems = wrong.problems
    return visit.page(
        "webhook_missed.html", status=422 if problems else 200, problems=problems, webhook=webhook, typed=typed,
        guessed=guessed, counted=counted, run=bulk.new_number(),
    )  # fmt: skip
