"""Addresses of the pages: each route's path with the numbers of real things in it.

A route nobody thought of here is an error: the walks over all pages cannot forget one.
"""

import contextlib
import secrets
from collections.abc import Mapping
from typing import Any

from dockbell.actions import sessions
from dockbell.clock import HOUR
from dockbell.store import users
from dockbell.testing.client import ApiError
from dockbell.warehouse import pages as warehouse_pages
from dockbell.web.server import PAGES
from dockbell.web.ui.visit import Route
from tests.support.site import FJORD, TEA, Site
from tests.support.warehouse_things import warehouse_things

VARIABLE_BY_PREFIX = {
    "/administration/webhooks/": "webhook",
    "/administration/deliveries/": "delivery",
    "/administration/deliveries/bulk/": "bulk_run",
    "/administration/event-types/": "event_type",
    "/administration/events/": "event",
    "/administration/goods-owners/": "goods_owner",
    "/administration/keys/": "key",
    "/administration/users/": "user",
    "/administration/audit/": "audit",
    "/invitation/": "link",
    "/first/": "first_link",
    "/account/sessions/": "session",
    **{f"/warehouse/{noun.path}/": noun.name for noun in warehouse_pages.NOUNS},
}
"""What a path's only variable, or its first, stands for."""
OWN_TYPE = {
    "key": "gate.opened",
    "name": "Gate is opened",
    "firesWhen": "A lorry is let into the yard.",
    "schema": {"type": "object", "required": ["gate"], "properties": {"gate": {"type": "string"}}},
    "example": {"gate": "North"},
}
"""Built-in types cannot be edited; this one can."""


def all_routes() -> list[Route]:
    return [route for module in (*PAGES, warehouse_pages.routes) for route in module]


def address(route: Route, things: Mapping[str, Any]) -> str:
    """The route's path with the numbers of `things` (webhook, delivery, ...) in it."""
    if "{" not in route.path:
        return route.path
    if route.path in things:
        return str(things[route.path])
    before, _, rest = route.path.partition("{")
    _, _, after = rest.partition("}")
    name = VARIABLE_BY_PREFIX.get(before)
    if name is None or name not in things or "{" in after:
        raise LookupError(
            f"Nobody has said what the variable of {route.path} stands for. Tell VARIABLE_BY_PREFIX in "
            f"tests/support/page_addresses.py, and let the tests make such a thing."
        )
    return f"{before}{things[name]}{after}"


def variable(route: Route) -> str | None:
    """The name of what the path's variable stands for."""
    before, found, _ = route.path.partition("{")
    return VARIABLE_BY_PREFIX.get(before) if found else None


def one_of_everything(site: Site) -> dict[str, Any]:
    """One of everything a path may name: a webhook with good and bad deliveries, an event, an order, a key ..."""
    webhook = site.make_webhook(
        headers=[{"name": "X-Company-Id", "value": "654"}],
        filters={"transporters": ["DHL"]},
        authentication={"type": "basic", "username": "dockbell", "password": "tea-and-biscuits"},
        retryPolicy={"name": "own", "stepsInSeconds": [1800, 7200, 7200]},
    )
    site.make_webhook(
        name="Shipping platform", kind="automation", goodsOwnerIds=[TEA, FJORD], eventType="order.status-changed"
    )
    order = site.order("12345")
    site.do(order, "allocate", "pick")
    site.attempted(webhook["id"])
    site.inspector.answer = 500
    site.do(site.new_order("12400"), "allocate", "pick")
    delivery = site.attempted(webhook["id"], 2)
    site.inspector.answer = 200
    site.api.put("/api/v1/eventTypes/gate.opened", OWN_TYPE)
    with contextlib.suppress(ApiError):
        site.api.post("/api/v1/events", {"type": "order.pickt", "goodsOwnerId": TEA, "number": "12345", "data": {}})
    [key, *_] = site.api.get("/api/v1/apiKeys")["items"]
    run = "0123456789abcdef"
    site.write(
        lambda tx: tx.run(
            """
            INSERT INTO bulk_runs
                   (id, action, actor, actor_label, chosen, position_event, position_webhook, started_at, ended_at)
            VALUES (:id, 'resend', 'user-1', 'Astrid Admin', '{"keys": []}', 1, 1, :now, :now)
            """,
            id=run,
            now=site.store.clock.now(),
        )
    )
    store = site.store
    return {
        **site.write(lambda tx: warehouse_things(tx, store.publisher, TEA, store.clock.now())),
        "link": _a_link(site, "invitation"), "first_link": _a_link(site, "first"), "session": "0" * 64,
        "webhook": webhook["id"], "delivery": delivery["id"], "event": delivery["eventId"], "order": order,
        "goods_owner": TEA, "key": key["id"], "user": site.people["tea"].id, "event_type": "order.picked", "bulk_run": run,
        "/administration/event-types/{key}/edit": "/administration/event-types/gate.opened/edit",
    }  # fmt: skip


def _a_link(site: Site, purpose: str) -> str:
    held = secrets.token_urlsafe(32)
    number, until = site.people["fjord"].id if purpose == "invitation" else None, site.store.clock.now() + HOUR
    site.write(
        lambda tx: users.insert_link(
            tx, digest=sessions.digest(held), purpose=purpose, user_id=number, expires_at=until
        )
    )
    return held
