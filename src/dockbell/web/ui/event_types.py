"""The catalog as documentation, and the operator's own event types."""

import json
from importlib import resources
from typing import Any

from starlette.responses import Response

from dockbell.actions import event_types as actions
from dockbell.domain.event_json import read_json
from dockbell.domain.event_type import EventType, example_body
from dockbell.errors import Conflict, DockbellError, InvalidInput, NotFound, Problem
from dockbell.web.ui.visit import Fields, Routes, Visit

routes = Routes()
LIST = "/administration/event-types"
LANGUAGES = (
    ("python", "Python"),
    ("javascript", "JavaScript"),
    ("csharp", "C#"),
    ("php", "PHP"),
    ("shell", "shell"),
)
TEXTS = ("key", "name", "firesWhen", "schema", "example", "objectKind", "objectId", "objectNumber")
A_SCHEMA = '{\n  "type": "object",\n  "required": ["alarmId"],\n  "properties": {"alarmId": {"type": "integer"}}\n}'
AN_EXAMPLE = '{\n  "alarmId": 7\n}'


@routes.get(LIST, need="signed-in")
async def the_list(visit: Visit) -> Response:
    searched = visit.query.text("search").lower()
    families: dict[str, list[EventType]] = {}
    for each in visit.parts.index.state.catalog:
        if searched in f"{each.name} {each.key} {each.fires_when} {each.family}".lower():
            families.setdefault(each.family, []).append(each)
    return visit.page("event_types.html", families=families, searched=searched)


@routes.get(LIST + "/new", need="everyone")
async def new(visit: Visit) -> Response:
    typed = {**dict.fromkeys(TEXTS, ""), "schema": A_SCHEMA, "example": AN_EXAMPLE}
    return visit.page("event_type_form.html", typed=typed, stored=None)


@routes.post(LIST + "/new", need="everyone")
async def create(visit: Visit) -> Response:
    return await _save(visit, None)


@routes.get(LIST + "/{key}", need="signed-in")
async def one(visit: Visit) -> Response:
    event_type = _event_type(visit)
    return visit.page(
        "event_type.html",
        event_type=event_type,
        body=example_body(event_type),
        verify=[(name, title, snippet(name)) for name, title in LANGUAGES],
    )


@routes.get(LIST + "/{key}/edit", need="everyone")
async def edit(visit: Visit) -> Response:
    event_type = _event_type(visit)
    if event_type.built_in:
        raise Conflict(
            "This event type is built in; it can be neither changed nor deleted.", code="event_type_built_in"
        )
    typed = {
        "key": event_type.key,
        "name": event_type.name,
        "firesWhen": event_type.fires_when,
        "schema": json.dumps(event_type.schema, indent=2, ensure_ascii=False),
        "example": json.dumps(event_type.example, indent=2, ensure_ascii=False),
        "objectKind": event_type.object_kind,
        "objectId": event_type.object_id,
        "objectNumber": event_type.object_number or "",
    }
    return visit.page("event_type_form.html", typed=typed, stored=event_type)


@routes.post(LIST + "/{key}/edit", need="everyone")
async def change(visit: Visit) -> Response:
    return await _save(visit, _event_type(visit))


@routes.post(LIST + "/{key}/delete", need="everyone")
async def delete(visit: Visit) -> Response:
    event_type, now = _event_type(visit), visit.parts.clock.now()
    await visit.parts.database.write(
        lambda tx: actions.delete(tx, visit.actor, visit.parts.index, event_type.key, now=now)
    )
    await visit.parts.index.refresh(visit.parts.database)
    return visit.go(LIST, notice="done")


def snippet(name: str) -> str:
    """Code that verifies a signature; the documentation shows the same and its tests run it."""
    return (resources.files("dockbell.web.ui") / "verify" / f"{name}.txt").read_text("utf-8")


def _event_type(visit: Visit) -> EventType:
    found = visit.parts.index.state.catalog.get(visit.path["key"])
    if found is None:
        raise NotFound(f"There is no event type {visit.path['key'][:80]!r}.", code="event_type")
    return found


async def _save(visit: Visit, stored: EventType | None) -> Response:
    typed = {name: visit.form.get(name, "") for name in TEXTS}
    if stored is not None:
        typed["key"] = stored.key
    now, index = visit.parts.clock.now(), visit.parts.index
    try:
        document = {**_not_in_the_form(stored), **_document(visit.form, typed)}
        if stored is None:
            made = await visit.parts.database.write(
                lambda tx: actions.create(tx, visit.actor, index, document, now=now)
            )
        else:
            made = await visit.parts.database.write(
                lambda tx: actions.put(tx, visit.actor, index, stored.key, document, now=now)
            )
    except InvalidInput as refused:
        return visit.page("event_type_form.html", status=422, problems=_placed(refused), typed=typed, stored=stored)
    except Conflict as refused:
        problem = Problem("key", refused.code, refused.message)
        return visit.page("event_type_form.html", status=409, problems=[problem], typed=typed, stored=stored)
    await index.refresh(visit.parts.database)
    return visit.go(f"{LIST}/{made['key']}", notice="saved")


def _not_in_the_form(stored: EventType | None) -> dict[str, Any]:
    """What only the API sets: saving the form replaces the whole type, so it goes along as it was."""
    if stored is None:
        return {}
    shown = actions.view(stored)
    return {**{name: shown[name] for name in ("family", "idField", "attributes")}, "settings": list(shown["settings"])}


def _document(form: Fields, typed: dict[str, str]) -> dict[str, Any]:
    problems, document = [], {"key": typed["key"].strip(), "name": typed["name"].strip()}
    read: dict[str, Any] = {}
    for name in ("schema", "example"):
        try:
            read[name] = read_json(typed[name].encode())
        except DockbellError as refused:
            problems.append(Problem(name, refused.code, f"This is no JSON: {refused.message}"))
    if problems:
        raise InvalidInput(problems)
    if typed["firesWhen"].strip():
        document["firesWhen"] = typed["firesWhen"].strip()
    about = {"kind": form.text("objectKind"), "id": form.text("objectId"), "number": form.text("objectNumber")}
    given = {name: value for name, value in about.items() if value}
    return {**document, **read, **({"object": given} if given else {})}


def _placed(refused: InvalidInput) -> list[Problem]:
    """A problem within the schema, the example or the object stands at that field."""
    names = {
        "object": "objectKind",
        "object.kind": "objectKind",
        "object.id": "objectId",
        "object.number": "objectNumber",
    }
    placed = []
    for problem in refused.problems:
        root = problem.field.partition(".")[0].partition("[")[0]
        field = names.get(problem.field, root if root in TEXTS else problem.field)
        text = problem.message if field == problem.field else f"{problem.field}: {problem.message}"
        placed.append(Problem(field, problem.code, text))
    return placed
