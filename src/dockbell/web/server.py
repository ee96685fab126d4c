"""The web server's application: the hot route in front, the management API behind it, one error shape for all.

A bug in a request is caught here and nowhere else: logged as `request.failed`, answered as internal_error.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic.alias_generators import to_camel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dockbell.errors import DockbellError, InvalidInput, Problem
from dockbell.web.answers import PROBLEM_JSON, Answer, bug, encode, problem, refusal, send_bytes
from dockbell.web.api import administration, deliveries, event_types, events, health, webhooks
from dockbell.web.api import publish as hot
from dockbell.web.body import HungUp
from dockbell.web.hosts import is_called_by_name
from dockbell.web.inputs import each_once
from dockbell.web.methods import methods_at
from dockbell.web.openapi import document_for
from dockbell.web.parts import Parts
from dockbell.web.ui import administration as administration_pages
from dockbell.web.ui import event_types as event_type_pages
from dockbell.web.ui import events as event_pages
from dockbell.web.ui import log as log_pages
from dockbell.web.ui import sign_in, users, webhook_form
from dockbell.web.ui import webhooks as webhook_pages
from dockbell.web.ui.server import build_pages
from dockbell.web.ui.visit import Routes

__all__ = ["Parts", "build_app"]

log = structlog.get_logger()
LONGEST_TARGET_BYTES = 8 * 1024
API = "/api/v1"
PAGES = [
    module.routes
    for module in (
        sign_in, users, webhook_form, webhook_pages, log_pages, event_pages, event_type_pages, administration_pages,
    )
]  # fmt: skip


def build_app(
    parts: Parts, *, mounts: Sequence[tuple[str, ASGIApp]] = (), more_pages: Sequence[Routes] = ()
) -> ASGIApp:
    """`mounts` are applications that answer for whole path prefixes; the paths they see are the full ones."""
    management = _management(parts)
    pages = build_pages(parts, [*PAGES, *more_pages])
    prefixes = [(prefix, prefix + "/", app) for prefix, app in mounts]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await management(scope, receive, send)
            return
        path = scope["path"]
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            # Health is asked for by balancers that know an address and no name.
            if path != f"{API}/health" and not is_called_by_name(scope["headers"], parts.hosts):
                await _refuse_host(send)
                return
            if b"%2f" in (scope.get("raw_path") or b"").lower():  # a proxy that keeps paths apart reads it otherwise
                await _refuse_slash(send)
                return
            if path == hot.PATH and scope["method"] == "POST":
                await hot.publish(parts, scope, receive, sending)
                return
            if len(scope.get("raw_path") or path) + len(scope["query_string"]) > LONGEST_TARGET_BYTES:
                await _refuse_length(send)
                return
            for exact, below, mounted in prefixes:
                if path == exact or path.startswith(below):
                    await mounted(scope, receive, sending)
                    return
            under_api = path == "/api" or path.startswith("/api/")
            await (management if under_api else pages)(scope, receive, sending)
        except Exception:
            log.exception("request.failed", method=scope["method"], path=path[:200])
            if not started:
                await bug()(scope, receive, send)

    return app


async def _refuse_host(send: Send) -> None:
    document = problem(421, "host", "This server does not go by that name.", hint="The operator sets server.hosts.")
    await send_bytes(send, 421, encode(document), PROBLEM_JSON)


async def _refuse_slash(send: Send) -> None:
    document = problem(404, "not_found", "No path here has an encoded slash (%2F) in it.", hint="Write it as “/”.")
    await send_bytes(send, 404, encode(document), PROBLEM_JSON)


async def _refuse_length(send: Send) -> None:
    text = f"Path and query have more than {LONGEST_TARGET_BYTES:,} bytes."
    document = problem(414, "target_too_long", text, hint="Use fewer or shorter filters.")
    await send_bytes(send, 414, encode(document), PROBLEM_JSON)


def _management(parts: Parts) -> FastAPI:
    # The pages FastAPI has for its documentation load from elsewhere, so they are off; the document is not.
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        default_response_class=Answer,
        generate_unique_id_function=lambda route: to_camel(route.name),
        exception_handlers={
            DockbellError: _refused,
            RequestValidationError: _not_valid,
            HTTPException: _not_routed,
            HungUp: _nobody_there,
            Exception: _bug,
        },
    )
    app.state.parts = parts
    for part in (webhooks, events, deliveries, event_types, administration, health):
        app.include_router(part.router, prefix=API, dependencies=[Depends(each_once)])
    document = cache(lambda: encode(document_for(app)))  # made when it is first asked for: a start need not wait for it

    async def openapi(_: Request) -> Response:
        return Answer.of(await run_in_threadpool(document))

    app.add_route(f"{API}/openapi.json", openapi, methods=["GET"], include_in_schema=False)
    return app


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, DockbellError)
    return refusal(error)


async def _not_valid(_: Request, error: Exception) -> Response:
    """Only query parameters are left to FastAPI, so a field's name is the parameter's."""
    assert isinstance(error, RequestValidationError)
    return refusal(InvalidInput([_query_problem(each) for each in error.errors()]))


def _query_problem(complaint: Any) -> Problem:
    name = ascii(str(complaint["loc"][-1])[:80])[1:-1]
    match complaint["type"]:
        case "extra_forbidden":
            return Problem(
                name, "unknown_parameter", "There is no such parameter here; /api/v1/openapi.json lists them."
            )
        case "missing":
            return Problem(name, "required", "This parameter is missing.")
        case _:
            return Problem(name, "type", f"{complaint['msg']}.")


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    shown = ascii(request.scope["path"][:200])[1:-1]
    if error.status_code == 405:
        methods = methods_at(request.app.routes, request.scope)
        if request.scope["path"] == hot.PATH:  # it is asked before there are routes
            methods = sorted({*methods, "POST"})
        allowed = ", ".join(methods)
        document = problem(405, "method", f"{request.method} is not possible on {shown}.", hint=f"Possible: {allowed}.")
        more = [(b"allow", allowed.encode("ascii"))]
    else:
        hint = "/api/v1/openapi.json lists every route."
        document = problem(error.status_code, "not_found", f"There is nothing at {shown}.", hint=hint)
        more = []
    return Answer(document, error.status_code, more, media_type=PROBLEM_JSON)


async def _nobody_there(_: Request, __: Exception) -> Response:
    return Answer(problem(400, "hung_up", "The request ended before its body did."), 400, media_type=PROBLEM_JSON)


async def _bug(_: Request, __: Exception) -> Response:
    return bug()
