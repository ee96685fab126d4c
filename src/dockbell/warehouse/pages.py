"""Pages of the reference warehouse: orders with buttons, so that a newcomer can cause events by hand."""

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from dockbell.actions import events
from dockbell.clock import DAY, Moment, to_text
from dockbell.errors import Conflict, InvalidInput, Problem
from dockbell.store.database import Transaction
from dockbell.warehouse.act import Act
from dockbell.warehouse.actions import order_views
from dockbell.warehouse.actions import orders as actions
from dockbell.warehouse.inputs.common import read
from dockbell.warehouse.inputs.orders import NewOrder
from dockbell.warehouse.rules.order import Status
from dockbell.warehouse.store import places
from dockbell.web.inputs import id_in_path, id_in_query
from dockbell.web.ui.events import told_of
from dockbell.web.ui.visit import Page, Routes, Visit
from dockbell.web.ui.webhook_form import visible_owners

routes = Routes()
LIST = "/warehouse/orders"
SHOWN = 100
ROWS = 4
CONSIGNEE = {
    "customerNumber": "2001",
    "name": "Anna Lind",
    "address1": "Storgatan 5",
    "postCode": "411 38",
    "city": "Göteborg",
    "countryCode": "SE",
}
"""Whom an order made by hand is for."""
TEXTS = ("goodsOwnerId", "orderNumber", "transporter", "orderType")
EVENTS_SHOWN = 20
STEPS: dict[str, tuple[Callable[..., Any], tuple[Status, ...]]] = {
    "allocate": (actions.allocate_order, (Status.OPEN, Status.RELEASED)),
    "pick": (actions.pick_order, (Status.ALLOCATED,)),
    "pack": (actions.pack_order, (Status.PICKED,)),
    "send": (actions.send_order, (Status.PICKED,)),
    "collect": (actions.collect_order, (Status.SENT,)),
    "cancel": (actions.cancel_order, (Status.OPEN, Status.RELEASED, Status.ALLOCATED)),
}
"""Each step with the statuses it usually follows; the model has the last word."""


@routes.get(LIST, need="publish")
async def the_list(visit: Visit) -> Response:
    owner, number = visit.query.text("goodsOwnerId"), visit.query.text("number")
    owners = [(each, name) for each, name in visible_owners(visit) if owner in ("", str(each))]

    def orders(tx: Transaction) -> list[dict[str, Any]]:
        found = [
            order
            for each, _ in owners
            for order in order_views.list_orders(tx, visit.actor, each, number=number or None)
        ]
        return sorted(found, key=lambda order: -order["orderInfo"]["orderId"])

    found = await visit.parts.database.read(orders)
    return visit.page(
        "warehouse/orders.html",
        orders=found[:SHOWN],
        more=len(found) > SHOWN,
        owners=visible_owners(visit),
        filters={"goodsOwnerId": owner, "number": number},
    )


@routes.get(LIST + "/new", need="publish")
async def new(visit: Visit) -> Response:
    return await _form(visit, {**dict.fromkeys(TEXTS, ""), "rows": []})


@routes.post(LIST + "/new", need="publish")
async def create(visit: Visit) -> Response:
    rows = [
        {"articleNumber": article.strip(), "numberOfItems": count.strip()}
        for article, count in zip(visit.form.all("article"), visit.form.all("count"), strict=False)
        if article.strip() or count.strip()
    ]
    typed: dict[str, Any] = {**{name: visit.form.text(name) for name in TEXTS}, "rows": rows}
    now = visit.parts.clock.now()
    try:
        order = read(NewOrder, _document(typed, now))
        order_id, is_new = await visit.parts.database.write(
            lambda tx: actions.create_order(Act(tx, visit.parts.publisher, visit.actor, now), order)
        )
    except InvalidInput as refused:
        return await _form(visit, typed, refused.problems)
    except Conflict as refused:
        return await _form(visit, typed, [Problem("orderNumber", refused.code, refused.message)])
    return visit.go(f"{LIST}/{order_id}", notice="saved" if is_new else "done")


@routes.get(LIST + "/{id}", need="publish")
async def one(visit: Visit) -> Response:
    return await _order(visit)


def _step_page(name: str) -> Page:
    step, _ = STEPS[name]

    async def take_step(visit: Visit) -> Response:
        """The step and its events in one transaction; one that is impossible changes nothing."""
        number, now = _number(visit), visit.parts.clock.now()
        try:
            await visit.parts.database.write(lambda tx: step(Act(tx, visit.parts.publisher, visit.actor, now), number))
        except Conflict as refused:
            return await _order(visit, refused)
        return visit.go(f"{LIST}/{number}", notice="done")

    return take_step


for _name in STEPS:
    routes.post(f"{LIST}/{{id}}/{_name}", need="publish")(_step_page(_name))


def _number(visit: Visit) -> int:
    return id_in_path(visit.path["id"], "order")


async def _order(visit: Visit, refused: Conflict | None = None) -> Response:
    number = _number(visit)

    def look(tx: Transaction) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        order = order_views.get_order(tx, visit.actor, number)
        told = [
            {**event, "webhooks": told_of(tx, visit, event["id"])}
            for event in events.page(tx, visit.actor, about=f"order/{number}", limit=EVENTS_SHOWN)
        ]
        return order, told

    order, told = await visit.parts.database.read(look)
    status = order["orderInfo"]["orderStatus"]["number"]
    return visit.page(
        "warehouse/order.html",
        status=200 if refused is None else refused.status,
        refused=refused,
        order=order,
        steps=[(name, status in usual) for name, (_, usual) in STEPS.items()],
        events=told,
        type_names={each.key: each.name for each in visit.parts.index.state.catalog},
    )


async def _form(visit: Visit, typed: dict[str, Any], problems: Any = ()) -> Response:
    def known(tx: Transaction) -> tuple[list[str], list[str]]:
        return list(places.transporters(tx)), list(places.order_types(tx))

    transporters, order_types = await visit.parts.database.read(known)
    return visit.page(
        "warehouse/order_form.html",
        status=422 if problems else 200,
        problems=problems,
        typed=typed,
        rows=[*typed["rows"], *({"articleNumber": "", "numberOfItems": ""} for _ in range(ROWS))],
        owners=visible_owners(visit),
        transporters=[("", "–"), *((code, code) for code in transporters)],
        order_types=[("", "–"), *((code, code) for code in order_types)],
    )


def _document(typed: dict[str, Any], now: Moment) -> dict[str, Any]:
    """The API's document for what was typed; a count that is no number is handed on for the rules to name."""
    lines = [
        {
            "rowNumber": str(place),
            "articleNumber": row["articleNumber"],
            "numberOfItems": int(row["numberOfItems"]) if row["numberOfItems"].isdecimal() else row["numberOfItems"],
        }
        for place, row in enumerate(typed["rows"], 1)
    ]
    document: dict[str, Any] = {
        "goodsOwnerId": id_in_query(typed["goodsOwnerId"], "goodsOwnerId"),
        "orderNumber": typed["orderNumber"],
        "orderLines": lines,
        "deliveryDate": to_text(now + 2 * DAY)[:10],
        "consignee": CONSIGNEE,
    }
    if typed["transporter"]:
        document["transporter"] = {"transporterCode": typed["transporter"]}
    if typed["orderType"]:
        document["orderType"] = {"code": typed["orderType"]}
    return document
