"""A webhook's own page: its settings in words, how it does, who changed it; enable, delete, change the secret."""

from typing import Any

from starlette.responses import Response

from dockbell.actions import deliveries, statistics, webhook_list
from dockbell.actions.preview import Looked, last_events
from dockbell.domain.advice import advice_for
from dockbell.domain.webhook import retry_policy_from
from dockbell.errors import InvalidInput, Problem
from dockbell.store.database import Transaction
from dockbell.web.inputs import id_in_path
from dockbell.web.ui.drawings import percent, sparkline
from dockbell.web.ui.visit import Routes, Visit
from dockbell.web.ui.webhook_form import drawing

routes = Routes()
RECENT = 10
WAITED_FOR = 20
"""Portions of the statistics that a page waits for; the rest is counted in the background."""


@routes.get("/administration/webhooks/{id}", need="read")
async def the_webhook(visit: Visit) -> Response:
    return await _page(visit)


@routes.post("/administration/webhooks/{id}/switch", need="manage")
async def switch(visit: Visit) -> Response:
    number = id_in_path(visit.path["id"], "webhook")
    enabled = visit.form.text("to") == "enabled"
    now = visit.parts.clock.now()
    try:
        await visit.parts.database.write(
            lambda tx: visit.parts.webhooks.switch(tx, visit.actor, number, enabled=enabled, now=now)
        )
    except InvalidInput as wrong:
        return await _page(visit, problems=wrong.problems)
    await visit.parts.index.refresh(visit.parts.database)
    return visit.go(f"/administration/webhooks/{number}", notice="enabled" if enabled else "disabled")


@routes.get("/administration/webhooks/{id}/delete", need="manage")
async def ask_to_delete(visit: Visit) -> Response:
    number = id_in_path(visit.path["id"], "webhook")
    await visit.parts.database.read(lambda tx: visit.parts.webhooks.get_to_manage(tx, visit.actor, number))
    return visit.page("webhook_delete.html", webhook=await _read(visit))


@routes.post("/administration/webhooks/{id}/delete", need="manage")
async def delete(visit: Visit) -> Response:
    number = id_in_path(visit.path["id"], "webhook")
    now = visit.parts.clock.now()
    await visit.parts.database.write(lambda tx: visit.parts.webhooks.delete(tx, visit.actor, number, now=now))
    await visit.parts.index.refresh(visit.parts.database)
    return visit.go("/administration/webhooks", notice="deleted")


@routes.post("/administration/webhooks/{id}/rotate", need="manage")
async def rotate(visit: Visit) -> Response:
    """A new signing secret, shown on this answer alone."""
    number = id_in_path(visit.path["id"], "webhook")
    now = visit.parts.clock.now()
    try:
        overlap_h = _hours(visit.form.text("overlapInHours"))
        saved = await visit.parts.database.write(
            lambda tx: visit.parts.webhooks.rotate_secret(
                tx, visit.actor, number, overlap_h=overlap_h, own=None, now=now
            )
        )
    except InvalidInput as wrong:
        return await _page(visit, problems=wrong.problems)
    await visit.parts.index.refresh(visit.parts.database)
    return visit.page("webhook_secret.html", webhook=saved.webhook, secret=saved.signing_secret)


def _hours(text: str) -> float | None:
    if not text:
        return None
    try:
        return float(text.replace(",", "."))
    except ValueError:
        shown = f"{text[:40]!r} is not a number of hours."
        raise InvalidInput([Problem("overlapInHours", "type", shown)]) from None


async def _read(visit: Visit) -> dict[str, Any]:
    number = id_in_path(visit.path["id"], "webhook")
    now = visit.parts.clock.now()
    return await visit.parts.database.read(
        lambda tx: webhook_list.one(tx, visit.actor, visit.parts.webhooks, number, now=now)
    )


async def _page(visit: Visit, *, problems: tuple[Problem, ...] = ()) -> Response:
    number = id_in_path(visit.path["id"], "webhook")
    state = visit.parts.index.state
    await statistics.roll_up(visit.parts.database, now=visit.parts.clock.now(), portions=WAITED_FOR)
    webhook = await _read(visit)

    def rest(tx: Transaction) -> tuple[list[dict[str, Any]], list[Looked] | None, list[dict[str, Any]]]:
        recent = deliveries.page(tx, visit.actor, webhook_id=number, limit=RECENT)
        looked = last_events(
            tx, visit.actor, event_type=webhook["eventType"], goods_owners=webhook["goodsOwnerIds"],
            filters=webhook["filters"], clock=visit.parts.clock,
        )  # fmt: skip
        return recent, looked, webhook_list.history(tx, visit.actor, visit.parts.webhooks, number)

    recent, looked, history = await visit.parts.database.read(rest)
    event_type = state.catalog.get(webhook["eventType"])
    return visit.page(
        "webhook.html",
        status=422 if problems else 200,
        problems=problems,
        webhook={**webhook, "bars": sparkline(webhook["statistics"]), "share": percent(webhook["statistics"])},
        event_type=event_type,
        owner_names=state.goods_owners,
        retries=drawing(retry_policy_from(webhook["retryPolicy"])),
        recent=recent,
        looked=looked,
        warnings=(),
        advice=advice_for,
        history=history,
        may_change=may_change(visit, webhook),
        overlap=visit.form.text("overlapInHours") or "24",
    )


def may_change(visit: Visit, webhook: dict[str, Any]) -> bool:
    """For what is shown; the actions judge by themselves."""
    if webhook["kind"] == "automation":
        return visit.actor.may("admin") and visit.actor.goods_owners is None
    return visit.actor.may("manage")
