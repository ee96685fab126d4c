"""Signing in and out, one-time links, and one's own account."""

from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from dockbell.actions import sign_in as actions
from dockbell.errors import InvalidInput, NotSignedIn, Problem, TooMuch, Unavailable
from dockbell.web.answers import try_again_s
from dockbell.web.ui.server import HOME, set_session
from dockbell.web.ui.texts import LANGUAGES
from dockbell.web.ui.visit import Routes, Visit

routes = Routes()


@routes.get("/sign-in", need="nothing")
async def sign_in_form(visit: Visit) -> Response:
    if visit.signed_in is not None:
        return visit.go(_local(visit.query.text("next")))
    return visit.page("sign_in.html", email="", next=_local(visit.query.text("next")))


@routes.post("/sign-in", need="nothing")
async def sign_in(visit: Visit) -> Response:
    target = _local(visit.form.text("next"))
    try:
        held = await actions.sign_in(
            visit.parts.database,
            visit.form.text("email"),
            visit.form.get("password", ""),
            address=visit.address,
            browser=visit.browser,
            now=visit.parts.clock.now(),
        )
    except (NotSignedIn, TooMuch, Unavailable) as refused:
        text = refused.message
        if isinstance(refused, TooMuch):
            text = visit._("Too many tries. Try again in {n} seconds.", n=refused.retry_after_s)
        answer = visit.page(
            "sign_in.html",
            status=refused.status,
            problems=[Problem("", refused.code, text)],
            email=visit.form.text("email"),
            next=target,
        )
        if isinstance(refused, TooMuch | Unavailable):
            answer.headers["retry-after"] = str(try_again_s(refused))
        return answer
    return _signed_in(visit, held, target)


@routes.post("/sign-out", need="signed-in")
async def sign_out(visit: Visit) -> Response:
    now = visit.parts.clock.now()
    await visit.parts.database.write(lambda tx: actions.sign_out(tx, visit.who, now=now))
    answer = visit.go("/sign-in", notice="signed-out")
    set_session(answer, "", secure=visit.parts.secure)
    return answer


@routes.get("/first/{link}", need="nothing")
@routes.get("/invitation/{link}", need="nothing")
async def link_form(visit: Visit) -> Response:
    now = visit.parts.clock.now()
    link = await visit.parts.database.read(lambda tx: actions.link_of(tx, visit.path["link"], now=now))
    return visit.page("link.html", link=link, name=link.name, email=link.email)


@routes.post("/first/{link}", need="nothing")
@routes.post("/invitation/{link}", need="nothing")
async def use_link(visit: Visit) -> Response:
    now, told = visit.parts.clock.now(), visit.path["link"]
    name, email = visit.form.text("name"), visit.form.text("email")
    try:
        held = await actions.use_link(
            visit.parts.database,
            told,
            name=name,
            email=email,
            password=visit.form.get("password", ""),
            address=visit.address,
            browser=visit.browser,
            now=now,
        )
    except (InvalidInput, Unavailable) as refused:
        link = await visit.parts.database.read(lambda tx: actions.link_of(tx, told, now=now))
        unplaced = [Problem("", refused.code, refused.message)]
        problems = refused.problems if isinstance(refused, InvalidInput) else unplaced
        answer = visit.page(
            "link.html", status=refused.status, problems=problems, link=link, name=name, email=link.email or email
        )
        if isinstance(refused, Unavailable):
            answer.headers["retry-after"] = str(try_again_s(refused))
        return answer
    return _signed_in(visit, held, HOME)


@routes.get("/account", need="signed-in")
async def account(visit: Visit) -> Response:
    return await _account(visit, name=visit.who.name, language=visit.who.language or "")


@routes.post("/account", need="signed-in")
async def change_account(visit: Visit) -> Response:
    name, language = visit.form.text("name"), visit.form.text("language")
    chosen = language if language in LANGUAGES else None
    try:
        now = visit.parts.clock.now()
        await visit.parts.database.write(
            lambda tx: actions.change_account(tx, visit.who, name=name, language=chosen, now=now)
        )
    except InvalidInput as refused:
        return await _account(visit, problems=refused.problems, name=name, language=language)
    return visit.go("/account", notice="saved")


@routes.post("/account/password", need="signed-in")
async def change_password(visit: Visit) -> Response:
    try:
        held = await actions.change_password(
            visit.parts.database,
            visit.who,
            old=visit.form.get("oldPassword", ""),
            new=visit.form.get("newPassword", ""),
            address=visit.address,
            browser=visit.browser,
            now=visit.parts.clock.now(),
        )
    except InvalidInput as refused:
        return await _account(visit, problems=refused.problems, name=visit.who.name, language=visit.who.language or "")
    return _signed_in(visit, held, "/account?notice=password-changed")


@routes.post("/account/sessions/{id}/end", need="signed-in")
async def end_session(visit: Visit) -> Response:
    name, now = visit.path["id"], visit.parts.clock.now()
    await visit.parts.database.write(lambda tx: actions.end_own_session(tx, visit.who, name, now=now))
    return visit.go("/account", notice="ended")


async def _account(visit: Visit, *, name: str, language: str, problems: Any = ()) -> Response:
    now = visit.parts.clock.now()
    found = await visit.parts.database.read(lambda tx: actions.own_sessions(tx, visit.who, now=now))
    return visit.page(
        "account.html",
        status=422 if problems else 200,
        problems=problems,
        name=name,
        chosen=language,
        languages=[("", visit._("As the browser prefers")), *LANGUAGES.items()],
        sessions=found,
    )


def _signed_in(visit: Visit, held: str, target: str) -> Response:
    answer = visit.go(target)
    set_session(answer, held, secure=visit.parts.secure)
    return answer


def _local(target: str) -> str:
    """The path to go on to; anything that could lead to another site is the first page instead (CWE-601)."""
    try:
        parts = urlsplit(target)
    except ValueError:  # such as //[
        return HOME
    plain = target.isascii() and target.isprintable() and "\\" not in target
    if parts.scheme or parts.netloc or not plain or not target.startswith("/") or target.startswith("//"):
        return HOME
    return target
