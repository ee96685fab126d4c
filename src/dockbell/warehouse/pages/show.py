"""One list, one page and one form for every noun that is described, and what each step caused."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from dockbell.actions import events
from dockbell.errors import Conflict, InvalidInput, NotFound, Problem
from dockbell.store.database import Transaction
from dockbell.warehouse.act import Act, Document
from dockbell.warehouse.inputs.common import LARGEST_ID
from dockbell.warehouse.pages import floor, goods_in, orders, stock
from dockbell.warehouse.pages.choices import owner_of
from dockbell.warehouse.pages.noun import (
    Column,
    Look,
    Noun,
    Step,
    Typed,
    at_first,
    beside,
    dig,
    document_from,
    typed_in,
)
from dockbell.warehouse.store import newest, places
from dockbell.web.inputs import id_in_path, id_in_query
from dockbell.web.ui.events import told_of
from dockbell.web.ui.visit import Page, Routes, Visit
from dockbell.web.ui.webhook_form import visible_owners

NOUNS = (
    orders.ORDER, orders.PICK_ORDER, goods_in.PURCHASE_ORDERS, stock.ARTICLES, stock.ITEMS, floor.MOVEMENT_ORDERS,
    floor.PALLET_ITEMS, floor.PALLET_MOVEMENTS, goods_in.SHIPMENTS, stock.PRODUCTION_ORDERS,
)  # fmt: skip
BY_NAME = {noun.name: noun for noun in NOUNS}
A_PAGE = 50
EVENTS_SHOWN = 20
CAUSED_SHOWN = 30
routes = Routes()


def _list_page(noun: Noun) -> Page:
    async def the_list(visit: Visit) -> Response:
        filters = {name: visit.query.text(name) for name in ("number", "goodsOwnerId", "warehouse")}
        before = id_in_query(visit.query.text("before") or None, "before")

        def read(tx: Transaction) -> dict[str, Any]:
            warehouses = places.warehouses(tx)
            found = sorted(
                (
                    number
                    for owner in _owners(visit)
                    if filters["goodsOwnerId"] in ("", str(owner))
                    for number in newest.ids(
                        tx,
                        noun.name,
                        owner,
                        number=filters["number"] or None,
                        warehouse_id=_warehouse_id(warehouses, filters["warehouse"]),
                        before=LARGEST_ID if before is None else before,
                        limit=A_PAGE + 1,
                    )
                ),
                reverse=True,
            )
            documents = [(number, _named(visit, noun.get(tx, visit.actor, number))) for number in found[:A_PAGE]]
            return {
                "rows": [
                    {"id": number, "number": dig(each, noun.number), "cells": _cells(noun.columns, each)}
                    for number, each in documents
                ],
                "older": found[A_PAGE - 1] if len(found) > A_PAGE else None,
                "warehouses": [(code, f"{code} {row['name']}") for code, row in warehouses.items()],
                "caused": _caused(tx, visit),
            }

        shown = await visit.parts.database.read(read)
        return _page(visit, noun, "list", **shown, filters=filters, first=before is not None)

    return the_list


def _warehouse_id(warehouses: Mapping[str, Any], code: str) -> int | None:
    """None: all of them; a code that names none finds nothing."""
    if not code:
        return None
    return int(warehouses[code]["id"]) if code in warehouses else 0


def _one_page(noun: Noun) -> Page:
    async def one(visit: Visit) -> Response:
        return await _one(visit, noun)

    return one


def _new_page(noun: Noun, step: Step) -> Page:
    async def new(visit: Visit) -> Response:
        return await _form(visit, noun, step, at_first(step, {}))

    return new


def _create_page(noun: Noun, step: Step) -> Page:
    async def create(visit: Visit) -> Response:
        typed = typed_in(visit.form, step.inputs)
        try:
            made, told = await _take(visit, step, None, None, typed)
        except InvalidInput as refused:
            return await _form(visit, noun, step, typed, beside(refused.problems, step, typed))
        except Conflict as refused:
            return await _form(visit, noun, step, typed, refused=refused)
        return visit.go(f"/warehouse/{noun.path}/{made}", notice="done", caused=_listed(told))

    return create


def _step_page(noun: Noun, step: Step) -> Page:
    async def take_step(visit: Visit) -> Response:
        """The step and its events in one transaction; one that is impossible changes nothing."""
        number, typed = id_in_path(visit.path["id"], noun.name), typed_in(visit.form, step.inputs)
        try:
            made, told = await _take(visit, step, noun, number, typed)
        except InvalidInput as refused:
            return await _one(visit, noun, step=step, typed=typed, problems=beside(refused.problems, step, typed))
        except Conflict as refused:
            return await _one(visit, noun, step=step, typed=typed, refused=refused)
        place = f"/warehouse/{noun.path}/{number}"
        if step.leads_to:
            place = f"/warehouse/{noun.path}"
        if step.leads_to in BY_NAME:
            place = f"/warehouse/{BY_NAME[step.leads_to].path}/{made}"
        return visit.go(place, notice="done", caused=_listed(told))

    return take_step


async def _take(
    visit: Visit, step: Step, noun: Noun | None, number: int | None, typed: Typed
) -> tuple[int | None, list[int]]:
    """What was made, and the events of it."""
    now = visit.parts.clock.now()

    def work(tx: Transaction) -> tuple[int | None, list[int]]:
        act = Act(tx, visit.parts.publisher, visit.actor, now)
        document = {} if noun is None or number is None else noun.get(tx, visit.actor, number)
        return step.take(act, document, document_from(typed, step.inputs)), act.told

    return await visit.parts.database.write(work)


for _noun in NOUNS:
    _list = f"/warehouse/{_noun.path}"
    routes.get(_list, need="publish")(_list_page(_noun))
    if _noun.new is not None:
        routes.get(f"{_list}/new", need="publish")(_new_page(_noun, _noun.new))
        routes.post(f"{_list}/new", need="publish")(_create_page(_noun, _noun.new))
    routes.get(f"{_list}/{{id}}", need="publish")(_one_page(_noun))
    for _each in _noun.steps:
        routes.post(f"{_list}/{{id}}/{_each.name}", need="publish")(_step_page(_noun, _each))


# --- What pages show ---------------------------------------------------------------------------------------


async def _one(
    visit: Visit,
    noun: Noun,
    *,
    step: Step | None = None,
    typed: Typed | None = None,
    problems: Sequence[Problem] = (),
    refused: Conflict | None = None,
) -> Response:
    """The page of one, with the form that was refused as it was typed."""
    number = id_in_path(visit.path["id"], noun.name)

    def read(tx: Transaction) -> dict[str, Any]:
        document = _named(visit, noun.get(tx, visit.actor, number))
        look = Look(tx, visit.actor, _owners(visit), document)
        offered = [each for each in noun.steps if each.offered(look, document)]
        forms = [each for each in offered if each.inputs]
        if step is not None and step.inputs and problems and step not in forms:
            forms.append(step)
        return {
            "number": dig(document, noun.number),
            "state": None if noun.status is None else noun.status.of(document),
            "buttons": [each for each in offered if not each.inputs],
            "forms": [
                _filled(look, each, at_first(each, document) if each is not step or typed is None else typed)
                for each in forms
            ],
            "facts": _cells(noun.facts, document),
            "tables": [
                {
                    "title": table.title,
                    "columns": table.columns,
                    "rows": [_cells(table.columns, each) for each in dig(document, table.path) or ()],
                }
                for table in noun.tables
            ],
            "caused": _caused(tx, visit),
            "events": [
                {**event, "webhooks": told_of(tx, visit, event["id"])}
                for event in events.page(tx, visit.actor, about=f"{noun.event_kind}/{number}", limit=EVENTS_SHOWN)
            ],
        }

    shown = await visit.parts.database.read(read)
    status = 422 if problems else 200 if refused is None else refused.status
    return _page(visit, noun, "one", status, problems, id=number, tried=step and step.name, refused=refused, **shown)


async def _form(
    visit: Visit,
    noun: Noun,
    step: Step,
    typed: Typed,
    problems: Sequence[Problem] = (),
    refused: Conflict | None = None,
) -> Response:
    def read(tx: Transaction) -> dict[str, Any]:
        return _filled(Look(tx, visit.actor, _owners(visit)), step, typed)

    form = await visit.parts.database.read(read)
    status = 422 if problems else 200 if refused is None else refused.status
    return _page(visit, noun, "new", status, problems, form=form, refused=refused, caused=[])


def _page(
    visit: Visit, noun: Noun, template: str, status: int = 200, problems: Sequence[Problem] = (), **values: Any
) -> Response:
    return visit.page(
        f"warehouse/{template}.html",
        status=status,
        problems=problems,
        noun=noun,
        nouns=NOUNS,
        by_name=BY_NAME,
        owners=visible_owners(visit),
        type_names={each.key: each.name for each in visit.parts.index.state.catalog},
        **values,
    )


def _owners(visit: Visit) -> dict[int, str]:
    return dict(visible_owners(visit))


def _named(visit: Visit, document: Document) -> Document:
    """Documents that have only the goods owner's number get its name."""
    owner = owner_of(document)
    return {**document, "goodsOwnerName": visit.parts.index.state.goods_owners.get(owner or 0, "")}


def _cells(columns: Iterable[Column], document: Document) -> list[dict[str, Any]]:
    return [{"label": each.label, "look": each.look, "value": each.of(document)} for each in columns]


def _filled(look: Look, step: Step, typed: Typed) -> dict[str, Any]:
    """The form as the template takes it: each input with its choices, and lines with some empty rows."""

    def offered(options: Callable[[Look], Any] | None) -> Any:
        return None if options is None else options(look)

    inputs = []
    for each in step.inputs:
        columns = [{"input": column, "options": offered(column.options)} for column in each.columns]
        rows = None
        if each.kind == "lines":
            usual = {column.name: "" if column.value is None else column.value({}) for column in each.columns} | {
                "rowNumber": "",
                "": "",
            }
            rows = [{**usual, **row} for row in (*typed[each.name], *({} for _ in range(each.spare_rows)))]
        inputs.append(
            {
                "input": each,
                "options": offered(each.options),
                "value": typed[each.name],
                "columns": columns,
                "rows": rows,
            }
        )
    return {"step": step, "inputs": inputs}


# --- What a step caused ------------------------------------------------------------------------------------


def _listed(event_ids: Sequence[int]) -> str:
    return ".".join(str(number) for number in event_ids[:CAUSED_SHOWN])


def _caused(tx: Transaction, visit: Visit) -> list[dict[str, Any]]:
    """The events that the address names; what is none, or somebody else's, is left out."""
    found = []
    for text in visit.query.text("caused").split(".")[:CAUSED_SHOWN]:
        try:
            event = events.get(tx, visit.actor, id_in_path(text or "0", "event"))
        except NotFound:
            continue
        found.append({**event, "webhooks": told_of(tx, visit, event["id"])})
    return found
