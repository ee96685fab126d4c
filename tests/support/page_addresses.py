"""Addresses of the pages: each route's path with the numbers of real things in it.

A route nobody thought of here is an error: the walks over all pages cannot forget one.
"""

from collections.abc import Mapping
from typing import Any

from dockbell.warehouse import pages as warehouse_pages
from dockbell.web.server import PAGES
from dockbell.web.ui.visit import Route

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
    "/warehouse/orders/": "order",
    "/invitation/": "link",
    "/first/": "first_link",
    "/account/sessions/": "session",
    "/warehouse/articles/": "article",
}
"""What a path's only variable, or its first, stands for."""


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
