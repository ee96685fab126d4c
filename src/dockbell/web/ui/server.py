"""The pages: routes, sessions, and errors as a page that says what is wrong, where, and what to do."""

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NoReturn
from urllib.parse import quote

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route as StarletteRoute

from dockbell.actions import sessions
from dockbell.errors import DockbellError, InvalidInput, NotFound, NotSignedIn, Problem, TooMuch, Unavailable
from dockbell.store import users
from dockbell.web.answers import try_again_s
from dockbell.web.body import HungUp
from dockbell.web.parts import Parts
from dockbell.web.ui import render
from dockbell.web.ui.texts import language_for
from dockbell.web.ui.visit import Fields, Route, Routes, Visit, judge, read_form

log = structlog.get_logger()
HOME = "/administration/webhooks"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""All but the tab, which comes along when a number is copied out of a table."""
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
        visit = _visit(parts, request)
        try:
            await _recognise(visit)
            _need_plain(visit)
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


def _visit(parts: Parts, request: Request) -> Visit:
    """Of nobody as yet: a page that says what is wrong can be made of it also when the store cannot say who visits."""
    return Visit(parts, request, None, _language(request), Fields(request.query_params.multi_items()))


def _language(request: Request, chosen: str | None = None) -> str:
    return language_for(chosen, request.headers.get("accept-language", ""))


async def _recognise(visit: Visit) -> None:
    """See who visits, and note that their session is in use."""
    parts, now = visit.parts, visit.parts.clock.now()
    held = visit.request.cookies.get(cookie_name(secure=parts.secure), "")
    if not 20 <= len(held) <= 100:
        return
    signed_in = await parts.database.read(lambda tx: sessions.who_holds(tx, held, address=visit.address, now=now))
    if signed_in is None:
        return
    visit.signed_in, visit.language = signed_in, _language(visit.request, signed_in.language)
    if signed_in.is_due:
        with suppress(DockbellError):  # a store that takes no writes is what somebody wants to look at the pages for
            await parts.database.write(lambda tx: users.use_session(tx, signed_in.digest, now=now))


def _need_plain(visit: Visit) -> None:
    """Refuse control characters in path and query: no page has a use for them, and PostgreSQL keeps no NUL."""
    if any(_CONTROL.search(str(value)) for value in visit.path.values()):
        raise _nothing_here()
    problems = [
        Problem(ascii(name[:80])[1:-1], "control_character", "Control characters are not allowed in a parameter.")
        for name, value in visit.query.pairs
        if _CONTROL.search(name) or _CONTROL.search(value)
    ]
    if problems:
        raise InvalidInput(problems)


def _error_page(visit: Visit, error: DockbellError) -> Response:
    problems = error.problems if isinstance(error, InvalidInput) else ()
    answer = visit.page("error.html", status=error.status, problems=problems, error=error)
    if isinstance(error, TooMuch | Unavailable):
        answer.headers["retry-after"] = str(try_again_s(error))
    return answer


def _not_routed(parts: Parts) -> Any:
    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        visit = _visit(parts, request)
        with suppress(DockbellError):  # there is no such page, whoever asks
            await _recognise(visit)
        return visit.page("error.html", status=error.status_code, error=_no_such_page(error.status_code))

    return answer


def _no_such_page(status: int) -> DockbellError:
    if status == 405:
        return DockbellError("This page cannot be asked for in that way.", code="method")
    return _nothing_here()


def _nothing_here() -> NotFound:
    return NotFound("There is no such page.", hint="Begin with the list of webhooks.")


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
