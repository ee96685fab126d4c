"""The pages: routes, sessions, and errors as a page that says what is wrong, where, and what to do."""

from collections.abc import Iterable
from typing import Any, NoReturn
from urllib.parse import quote

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route as StarletteRoute

from dockbell.actions import sessions
from dockbell.errors import DockbellError, InvalidInput, NotSignedIn, TooMuch, Unavailable
from dockbell.store import users
from dockbell.web.actor import address_of
from dockbell.web.answers import try_again_s
from dockbell.web.body import HungUp
from dockbell.web.parts import Parts
from dockbell.web.ui import render
from dockbell.web.ui.texts import language_for
from dockbell.web.ui.visit import Fields, Route, Routes, Visit, judge, read_form

log = structlog.get_logger()
HOME = "/administration/webhooks"
STATIC_FOR = "public, max-age=31536000, immutable"


def build_pages(parts: Parts, modules: Iterable[Routes]) -> Starlette:
    """All pages of `modules`."""
    routes = [
        StarletteRoute(route.path, _answering(parts, route), methods=[route.method])
        for module in modules
        for route in module
    ]
    return Starlette(
        routes=[
            StarletteRoute("/", lambda _: RedirectResponse(HOME, 303, render.PAGE_HEADERS)),
            StarletteRoute("/static/{version}/{name}", _static),
            *routes,
        ],
        exception_handlers={HTTPException: _not_routed(parts), HungUp: _nobody_there},
    )


def cookie_name(*, secure: bool) -> str:
    """Behind TLS the browser itself holds the cookie to this host and to https (`__Host-`, RFC 6265bis 4.1.3.2)."""
    return "__Host-dockbell" if secure else "dockbell"


def set_session(response: Response, held: str, *, secure: bool) -> None:
    """Let the browser hold a session; an empty one is forgotten."""
    response.set_cookie(
        cookie_name(secure=secure),
        held,
        max_age=None if held else 0,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def _answering(parts: Parts, route: Route) -> Any:
    async def answer(request: Request) -> Response:
        visit = await _visit(parts, request)
        try:
            if route.method == "POST":
                visit.form = await read_form(request)
            judge(visit, route)
            return await route.page(visit)
        except NotSignedIn as error:
            if route.method == "POST":
                return _error_page(visit, error)
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/sign-in?next={quote(target, safe='')}", 303, render.PAGE_HEADERS)
        except DockbellError as error:
            return _error_page(visit, error)
        except HungUp:
            raise
        except Exception:
            log.exception("request.failed", method=request.method, path=request.url.path[:200])
            return visit.page("error.html", status=500, error=None)

    return answer


async def _visit(parts: Parts, request: Request) -> Visit:
    held = request.cookies.get(cookie_name(secure=parts.secure), "")
    address = address_of(request, behind_proxy=parts.secure)
    now = parts.clock.now()
    signed_in = None
    if 20 <= len(held) <= 100:
        signed_in = await parts.database.read(lambda tx: sessions.who_holds(tx, held, address=address, now=now))
    if signed_in is not None and signed_in.is_due:
        digest = signed_in.digest
        await parts.database.write(lambda tx: users.use_session(tx, digest, now=now))
    language = language_for(
        None if signed_in is None else signed_in.language, request.headers.get("accept-language", "")
    )
    return Visit(parts, request, signed_in, language, Fields(request.query_params.multi_items()))


def _error_page(visit: Visit, error: DockbellError) -> Response:
    problems = error.problems if isinstance(error, InvalidInput) else ()
    answer = visit.page("error.html", status=error.status, problems=problems, error=error)
    if isinstance(error, TooMuch | Unavailable):
        answer.headers["retry-after"] = str(try_again_s(error))
    return answer


def _not_routed(parts: Parts) -> Any:
    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        visit = await _visit(parts, request)
        return visit.page("error.html", status=error.status_code, error=_no_such_page(error.status_code))

    return answer


def _no_such_page(status: int) -> DockbellError:
    if status == 405:
        return DockbellError("This page cannot be asked for in that way.", code="method")
    return DockbellError("There is no such page.", code="not_found", hint="Begin with the list of webhooks.")


async def _nobody_there(_: Request, __: Exception) -> Response:
    return Response(status_code=400)


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    try:
        content = render.static_file(name)
    except FileNotFoundError:
        _refuse()
    media_type = render.MEDIA_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    headers = {**render.PAGE_HEADERS, "cache-control": STATIC_FOR}
    return Response(content, 200, headers, media_type=media_type)


def _refuse() -> NoReturn:
    raise HTTPException(404)
