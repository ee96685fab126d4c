"""Making and changing a webhook: choose a type, fill in the form, see what would have matched.

Works without JavaScript: choosing another type and the preview are buttons of the same form. With it, the preview
follows while one types.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from dockbell.actions.preview import Looked, last_events
from dockbell.clock import DAY, HOUR, MINUTE, SECOND
from dockbell.domain.catalog import Catalog
from dockbell.domain.event_type import EventType, example_body
from dockbell.domain.filters import IN_WORDS
from dockbell.domain.limits import problems_with_steps
from dockbell.domain.retry_policy import NAMED, RetryPolicy, own_steps
from dockbell.errors import Conflict, DockbellError, InvalidInput, Problem
from dockbell.store.database import Transaction
from dockbell.web.inputs import id_in_path, number_in
from dockbell.web.ui.visit import Routes, Visit
from dockbell.web.ui.webhook_fields import SPARE_ROWS, Typed, at_fields, document_from, typed_from, typed_in

routes = Routes()
KINDS = ("regular", "automation")
LINE = 600
"""Width of the drawing of retry times."""
MOST_SEEN = 12


@routes.get("/administration/webhooks/new", need="manage")
async def new(visit: Visit) -> Response:
    kind = _kind(visit.query.text("kind"))
    if kind == "automation":
        visit.actor.need_everyone()
    copied = visit.query.text("from")
    if copied:
        webhook = await _stored(visit, copied)
        typed = _typed_from(visit, webhook)
        typed.texts["name"] = visit._("Copy of {name}", name=webhook["name"])[:200]
        for header in typed.headers:
            header["kept"] = False
        return await _form(visit, typed, webhook["kind"])
    event_type = visit.parts.index.state.catalog.get(visit.query.text("eventType"))
    if event_type is None:
        return _choose_type(visit, kind)
    return await _form(visit, _empty(visit, kind, event_type), kind)


@routes.post("/administration/webhooks/new", need="manage")
async def create(visit: Visit) -> Response:
    kind = _kind(visit.form.text("kind"))
    typed = typed_in(visit.form)
    if "look" in visit.form:
        return await _form(visit, typed, kind)
    document = document_from(typed, kind, visit.parts.index.state.catalog.get(typed.text("eventType")))
    now = visit.parts.clock.now()
    try:
        saved = await visit.parts.database.write(
            lambda tx: visit.parts.webhooks.create(tx, visit.actor, document, now=now)
        )
    except InvalidInput as refused:
        return await _form(visit, typed, kind, problems=refused.problems)
    except Conflict as refused:
        return await _form(visit, typed, kind, problems=[Problem("", refused.code, refused.message)])
    await visit.parts.index.refresh(visit.parts.database)
    return visit.page("webhook_made.html", webhook=saved.webhook, secret=saved.signing_secret)


@routes.get("/administration/webhooks/{id}/edit", need="manage")
async def edit(visit: Visit) -> Response:
    webhook = await _stored(visit, visit.path["id"])
    return await _form(visit, _typed_from(visit, webhook), webhook["kind"], webhook=webhook)


@routes.post("/administration/webhooks/{id}/edit", need="manage")
async def change(visit: Visit) -> Response:
    webhook = await _stored(visit, visit.path["id"])
    kind, typed = webhook["kind"], typed_in(visit.form)
    if "look" in visit.form:
        return await _form(visit, typed, kind, webhook=webhook)
    patch = document_from(typed, kind, visit.parts.index.state.catalog.get(typed.text("eventType")))
    now, version = visit.parts.clock.now(), number_in(typed.text("version")) or 0

    def save(tx: Transaction) -> Mapping[str, Any]:
        return visit.parts.webhooks.change(
            tx, visit.actor, webhook["id"], patch, now=now, expected_version=version
        ).webhook

    try:
        saved = await visit.parts.database.write(save)
    except InvalidInput as refused:
        return await _form(visit, typed, kind, webhook=webhook, problems=refused.problems)
    except Conflict as refused:
        webhook = await _stored(visit, visit.path["id"])
        typed.texts["version"] = str(webhook["version"])
        problem = Problem("", refused.code, refused.message)
        return await _form(visit, typed, kind, webhook=webhook, problems=[problem])
    await visit.parts.index.refresh(visit.parts.database)
    was_moved = patch["enabled"] and not saved["enabled"]
    return visit.go(f"/administration/webhooks/{webhook['id']}", notice="moved" if was_moved else "saved")


@routes.post("/administration/webhooks/preview", need="manage")
async def preview(visit: Visit) -> Response:
    """The part of the form that answers while one types: what would have matched, the policy's times, warnings."""
    kind = _kind(visit.form.text("kind"))
    typed = typed_in(visit.form)
    return visit.page("webhook_preview.html", **await _looked(visit, typed, kind))


def _kind(text: str) -> str:
    return text if text in KINDS else "regular"


async def _stored(visit: Visit, webhook_id: str) -> Mapping[str, Any]:
    number = id_in_path(webhook_id, "webhook")
    return await visit.parts.database.read(lambda tx: visit.parts.webhooks.get_to_manage(tx, visit.actor, number))


def _typed_from(visit: Visit, webhook: Mapping[str, Any]) -> Typed:
    return typed_from(webhook, visit.parts.index.state.catalog.get(webhook["eventType"]))


def _choose_type(visit: Visit, kind: str) -> Response:
    searched = visit.query.text("search").lower()
    families: dict[str, list[EventType]] = {}
    for each in visit.parts.index.state.catalog:
        if searched in f"{each.name} {each.key} {each.fires_when} {each.family}".lower():
            families.setdefault(each.family, []).append(each)
    return visit.page("webhook_types.html", kind=kind, families=families, searched=searched)


def _empty(visit: Visit, kind: str, event_type: EventType) -> Typed:
    owners = visible_owners(visit)
    return Typed(
        texts={
            "eventType": event_type.key,
            "authentication": "none",
            "retryPolicy": "one-day",
            "timeoutInSeconds": "15",
            "maxConcurrency": "4",
        },
        ticks=frozenset({"enabled"}),
        owners=frozenset({str(owners[0][0])} if kind == "regular" and len(owners) == 1 else ()),
    )


def visible_owners(visit: Visit) -> list[tuple[int, str]]:
    """Goods owners this visitor may choose, by id."""
    return [(owner, name) for owner, name in visit.parts.index.state.goods_owners.items() if visit.actor.sees(owner)]


async def _form(
    visit: Visit,
    typed: Typed,
    kind: str,
    *,
    webhook: Mapping[str, Any] | None = None,
    problems: Sequence[Problem] = (),
) -> Response:
    catalog = visit.parts.index.state.catalog
    event_type = catalog.get(typed.text("eventType")) or next(iter(catalog))
    return visit.page(
        "webhook_form.html",
        status=422 if problems else 200,
        problems=at_fields(problems),
        webhook=webhook,
        kind=kind,
        typed=typed,
        event_type=event_type,
        families=_families(catalog),
        owners=visible_owners(visit),
        operators=[(name, visit._(words)) for name, words in IN_WORDS.items()],
        spare=range(SPARE_ROWS),
        body=example_body(event_type),
        **await _looked(visit, typed, kind),
    )


def _families(catalog: Catalog) -> dict[str, list[EventType]]:
    families: dict[str, list[EventType]] = {}
    for each in catalog:
        families.setdefault(each.family, []).append(each)
    return families


async def _looked(visit: Visit, typed: Typed, kind: str) -> dict[str, Any]:
    """What the form shows beside the fields: past events judged, retry times, warnings."""
    event_type = visit.parts.index.state.catalog.get(typed.text("eventType"))
    document = document_from(typed, kind, event_type)
    owners = document["goodsOwnerIds"]
    chosen = None if owners is None else [owner for owner in owners if isinstance(owner, int)]
    looked = await visit.parts.database.read(
        lambda tx: last_events(
            tx,
            visit.actor,
            event_type=document["eventType"],
            goods_owners=chosen or None,
            filters=document["filters"],
            clock=visit.parts.clock,
        )
    )
    policies = {name: drawing(policy) for name, policy in NAMED.items()}
    policies["own"] = drawing(_own(document["retryPolicy"]))
    return {"looked": looked, "seen": _seen(looked or ()), "drawings": policies, "warnings": _warnings(visit, document)}


def _seen(looked: Iterable[Looked]) -> dict[str, list[str]]:
    """The values of each attribute in those events: what one may filter by is no guess then."""
    seen: dict[str, set[str]] = {}
    for each in looked:
        for name, value in each.event["attributes"].items():
            seen.setdefault(name, set()).add(str(value))
    return {name: sorted(values)[:MOST_SEEN] for name, values in seen.items()}


def _own(policy: Mapping[str, Any]) -> RetryPolicy:
    steps = policy.get("stepsInSeconds")
    if not steps or problems_with_steps(steps):
        return NAMED["none"]
    return own_steps(tuple(steps))


def drawing(policy: RetryPolicy) -> list[tuple[int, str]]:
    """Each attempt as a place on a line 0 to 600 and the time since the first one.

    The line is bent (by the fourth root), else the first hour of a day would be one dot.
    """
    offsets = policy.offsets()
    longest = max(offsets[-1], MINUTE)
    return [(round(LINE * (offset / longest) ** 0.25), _in_words(offset)) for offset in offsets]


def _in_words(offset: int) -> str:
    parts = []
    for unit, length in (("d", DAY), ("h", HOUR), ("min", MINUTE), ("s", SECOND)):
        count, offset = divmod(offset, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0"


def _warnings(visit: Visit, document: Mapping[str, Any]) -> list[str]:
    if not document["targetUrl"]:
        return []
    # Which private networks are open for others is nobody's to find out.
    owners = document["goodsOwnerIds"]
    if visit.actor.goods_owners is not None:
        owners = [owner for owner in owners or () if visit.actor.sees(owner)]
    try:
        return visit.parts.webhooks.warnings_of({**document, "goodsOwnerIds": owners})
    except DockbellError as error:
        return [error.message]
