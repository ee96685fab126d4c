"""Users: invite, change, deactivate, their sessions."""

from typing import Any

from starlette.responses import Response

from dockbell.actions import users as actions
from dockbell.domain.permissions import SCOPES_OF_ROLE
from dockbell.errors import Conflict, InvalidInput, Problem
from dockbell.web.inputs import id_in_path
from dockbell.web.ui.visit import Routes, Visit
from dockbell.web.ui.webhook_form import visible_owners

routes = Routes()
LIST = "/administration/users"


@routes.get(LIST, need="everyone")
async def the_list(visit: Visit) -> Response:
    now = visit.parts.clock.now()
    found = await visit.parts.database.read(lambda tx: actions.everyone(tx, visit.actor, now=now))
    return visit.page("users.html", users=found, roles=_roles(visit), names=visit.parts.index.state.goods_owners)


@routes.get(LIST + "/new", need="everyone")
async def new(visit: Visit) -> Response:
    return _form(visit, typed={"email": "", "name": "", "role": "goods-owner", "owners": []})


@routes.post(LIST + "/new", need="everyone")
async def invite(visit: Visit) -> Response:
    typed = _typed(visit)
    now = visit.parts.clock.now()
    try:
        _, link = await visit.parts.database.write(
            lambda tx: actions.invite(
                tx, visit.actor, email=typed["email"], name=typed["name"], role=typed["role"],
                goods_owners=typed["owners"], now=now,
            )
        )  # fmt: skip
    except InvalidInput as refused:
        return _form(visit, typed=typed, problems=refused.problems)
    return _link_page(visit, typed["email"], link)


@routes.get(LIST + "/{id}", need="everyone")
async def one(visit: Visit) -> Response:
    user = await _user(visit)
    return _form(visit, user=user, typed={**user, "owners": user["goodsOwnerIds"] or []})


@routes.post(LIST + "/{id}", need="everyone")
async def change(visit: Visit) -> Response:
    user, typed, now = await _user(visit), _typed(visit), visit.parts.clock.now()
    try:
        await visit.parts.database.write(
            lambda tx: actions.change_user(
                tx,
                visit.actor,
                user["id"],
                name=typed["name"],
                role=typed["role"],
                goods_owners=typed["owners"],
                now=now,
            )
        )
    except InvalidInput as refused:
        return _form(visit, user=user, typed=typed, problems=refused.problems)
    except Conflict as refused:  # the last administrator stays one
        problem = Problem("role", refused.code, refused.message)
        return _form(visit, user=user, typed=typed, problems=[problem], status=409)
    return visit.go(LIST, notice="saved")


@routes.post(LIST + "/{id}/deactivate", need="everyone")
async def deactivate(visit: Visit) -> Response:
    number, now = _number(visit), visit.parts.clock.now()
    await visit.parts.database.write(lambda tx: actions.deactivate(tx, visit.actor, number, now=now))
    return visit.go(LIST, notice="done")


@routes.post(LIST + "/{id}/activate", need="everyone")
async def activate(visit: Visit) -> Response:
    number, now = _number(visit), visit.parts.clock.now()
    await visit.parts.database.write(lambda tx: actions.activate(tx, visit.actor, number, now=now))
    return visit.go(LIST, notice="done")


@routes.post(LIST + "/{id}/link", need="everyone")
async def password_link(visit: Visit) -> Response:
    user, now = await _user(visit), visit.parts.clock.now()
    link = await visit.parts.database.write(lambda tx: actions.password_link(tx, visit.actor, user["id"], now=now))
    return _link_page(visit, user["email"], link)


@routes.post(LIST + "/{id}/end-sessions", need="everyone")
async def end_sessions(visit: Visit) -> Response:
    number, now = _number(visit), visit.parts.clock.now()
    await visit.parts.database.write(lambda tx: actions.end_sessions(tx, visit.actor, number, now=now))
    return visit.go(LIST, notice="ended")


def _number(visit: Visit) -> int:
    return id_in_path(visit.path["id"], "user")


async def _user(visit: Visit) -> dict[str, Any]:
    number, now = _number(visit), visit.parts.clock.now()
    return await visit.parts.database.read(lambda tx: actions.get(tx, visit.actor, number, now=now))


def _typed(visit: Visit) -> dict[str, Any]:
    return {
        "email": visit.form.text("email"),
        "name": visit.form.text("name"),
        "role": visit.form.text("role"),
        "owners": visit.form.numbers("owner"),
    }


def _roles(visit: Visit) -> list[tuple[str, str]]:
    words = {
        "administrator": visit._("Administrator: everything"),
        "warehouse": visit._("Warehouse: publishes and reads"),
        "goods-owner": visit._("Goods owner's user: the regular webhooks and logs of their goods owners"),
    }
    return [(role, words[role]) for role in SCOPES_OF_ROLE]


def _form(visit: Visit, *, typed: dict[str, Any], user: Any = None, problems: Any = (), status: int = 422) -> Response:
    return visit.page(
        "user.html",
        status=status if problems else 200,
        problems=problems,
        user=user,
        typed=typed,
        roles=_roles(visit),
        owners=visible_owners(visit),
    )


def _link_page(visit: Visit, email: str, link: str) -> Response:
    """The link is told this once; Dockbell sends no mail to users."""
    return visit.page("user_link.html", email=email, link=f"{visit.origin}/invitation/{link}")
