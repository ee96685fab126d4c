"""Goods owners, API keys, the audit trail and the system page."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from dockbell import __version__
from dockbell.actions import access, audit, doctor, goods_owners, system
from dockbell.domain.limits import parse_moment
from dockbell.domain.permissions import IN_WORDS
from dockbell.errors import InvalidInput, Problems
from dockbell.web.inputs import id_in_query
from dockbell.web.ui.visit import Routes, Visit, zoned
from dockbell.web.ui.webhook_form import visible_owners

routes = Routes()
A_PAGE = 50
LINKS = {
    "webhook": "/administration/webhooks/",
    "user": "/administration/users/",
    "event-type": "/administration/event-types/",
}


@routes.get("/administration/goods-owners", need="everyone")
async def the_goods_owners(visit: Visit) -> Response:
    return await _goods_owners(visit)


@routes.post("/administration/goods-owners", need="everyone")
async def put_goods_owner(visit: Visit) -> Response:
    typed = {"id": visit.form.text("id"), "name": visit.form.text("name")}
    now, problems = visit.parts.clock.now(), Problems()
    with problems.gather():
        number = id_in_query(typed["id"], "id")
    with problems.gather():
        goods_owners.need_name(typed["name"])
    if problems:
        return await _goods_owners(visit, typed=typed, problems=problems)
    assert number is not None
    await visit.parts.database.write(lambda tx: goods_owners.put(tx, visit.actor, number, typed["name"], now=now))
    await visit.parts.index.refresh(visit.parts.database)
    return visit.go("/administration/goods-owners", notice="saved")


async def _goods_owners(visit: Visit, *, typed: Mapping[str, str] | None = None, problems: Any = ()) -> Response:
    found = await visit.parts.database.read(lambda tx: goods_owners.page(tx, visit.actor, after=0, limit=10_000))
    return visit.page(
        "goods_owners.html",
        status=422 if problems else 200,
        problems=problems,
        owners=found,
        typed=typed or {"id": "", "name": ""},
    )


@routes.get("/administration/keys", need="everyone")
async def the_keys(visit: Visit) -> Response:
    return await _keys(visit)


@routes.post("/administration/keys", need="everyone")
async def make_key(visit: Visit) -> Response:
    owners = visit.form.numbers("owner")
    typed: dict[str, Any] = {
        "label": visit.form.text("label"),
        "scopes": visit.form.all("scope"),
        "all": visit.form.text("all") == "yes",
        "owners": owners,
        "expiresAt": visit.form.text("expiresAt"),
    }
    now = visit.parts.clock.now()
    problems, expires_at = Problems(), None
    with problems.gather():
        expires_at = parse_moment(zoned(typed["expiresAt"]), "expiresAt") if typed["expiresAt"] else None
    try:
        made = await visit.parts.database.write(
            lambda tx: access.create_key(
                tx, visit.actor, label=typed["label"], scopes=typed["scopes"],
                goods_owners=None if typed["all"] else owners, expires_at=expires_at, now=now,
                also=problems,
            )
        )  # fmt: skip
    except InvalidInput as refused:
        return await _keys(visit, typed=typed, problems=refused.problems)
    return await _keys(visit, made=made.key)


@routes.post("/administration/keys/{id}/revoke", need="everyone")
async def revoke_key(visit: Visit) -> Response:
    key_id, now = visit.path["id"], visit.parts.clock.now()
    await visit.parts.database.write(lambda tx: access.revoke_key(tx, visit.actor, key_id, now=now))
    return visit.go("/administration/keys", notice="revoked")


async def _keys(visit: Visit, *, typed: Any = None, problems: Any = (), made: str = "") -> Response:
    found = await visit.parts.database.read(lambda tx: access.list_keys(tx, visit.actor))
    return visit.page(
        "keys.html",
        status=422 if problems else 200,
        problems=problems,
        keys=found[::-1],
        made=made,
        scopes={name: visit._(words) for name, words in IN_WORDS.items()},
        owners=visible_owners(visit),
        typed=typed or {"label": "", "scopes": ["publish"], "all": True, "owners": [], "expiresAt": ""},
    )


@routes.get("/administration/audit", need="read")
async def the_audit_trail(visit: Visit) -> Response:
    about, action = visit.query.text("about"), visit.query.text("action")
    before = id_in_query(visit.query.text("before") or None, "before")
    rows = await visit.parts.database.read(
        lambda tx: audit.page(
            tx, visit.actor, about=about or None, action=action or None, before=before, limit=A_PAGE + 1
        )
    )
    shown = [
        {**row, "changes": changes(row["before"], row["after"]), "link": _link(row["object"])} for row in rows[:A_PAGE]
    ]
    return visit.page(
        "audit.html",
        rows=shown,
        about=about,
        action=action,
        older=rows[A_PAGE - 1]["id"] if len(rows) > A_PAGE else None,
        first=before is not None,
    )


def changes(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> list[tuple[str, str | None, str | None]]:
    """The fields that differ, by path, with both values as JSON; None where there was or is none."""
    old, new = dict(_flat(before or {})), dict(_flat(after or {}))
    return [
        (path, old.get(path), new.get(path)) for path in dict.fromkeys([*old, *new]) if old.get(path) != new.get(path)
    ]


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, below in value.items():
        if isinstance(below, Mapping):
            found += _flat(below, f"{prefix}{name}.")
        else:
            found.append((prefix + name, json.dumps(below, ensure_ascii=False)))
    return found


def _link(about: str) -> str | None:
    kind, _, name = about.partition("/")
    return LINKS[kind] + name if kind in LINKS else None


@routes.get("/administration/system", need="everyone")
async def the_system(visit: Visit) -> Response:
    now = visit.parts.clock.now()
    facts = await visit.parts.database.read(
        lambda tx: system.facts(tx, visit.actor, now=now, dialect=visit.parts.database.dialect)
    )
    found = await doctor.findings(visit.parts.database, visit.parts.installation, visit.parts.clock)
    return visit.page("system.html", version=__version__, findings=found, **facts)
