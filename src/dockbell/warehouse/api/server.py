"""The warehouse's REST API: the documented paths to fetch back what an event was about, and the steps of the floor.

Keys, errors and goods owners are those of Dockbell itself. The application answers full paths wherever it is mounted.
"""

from collections.abc import Awaitable, Callable
from functools import cache, partial
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dockbell.errors import DockbellError, InvalidInput, Malformed, NotFound, NotSignedIn, TooLarge
from dockbell.warehouse.api import articles, files, floor, goods_in, invoices, orders, places, returns
from dockbell.warehouse.api.desk import Desk, Parts
from dockbell.warehouse.api.openapi import document_for
from dockbell.warehouse.inputs.common import problems_from
from dockbell.web.actor import need_no_other_site
from dockbell.web.answers import SECURITY_HEADERS
from dockbell.web.methods import methods_at

log = structlog.get_logger()
LARGEST_BODY_BYTES = 1_048_576
CHALLENGE = 'Basic realm="Dockbell", charset="UTF-8"'
PREFIXES = (
    "orders", "articles", "articleItems", "purchaseOrders", "returnOrders", "inventoryAdjustments", "shipments",
    "productionOrders", "transporterContracts", "warehouses", "parcelTypes", "invoices", "warehouse",
)  # fmt: skip
"""What follows /api/v1/ in the paths that are answered here."""
Document = dict[str, Any]


def build_warehouse_api(parts: Parts) -> ASGIApp:
    """The application. Each change is one transaction, and its events are in it."""
    app = routes(Desk(parts))
    document = cache(partial(document_for, app))  # it takes longer to make than all the rest: only if it is asked for

    @app.get("/api/v1/warehouse/openapi.json", include_in_schema=False)
    def openapi() -> Document:
        return document()

    app.add_exception_handler(DockbellError, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_bug)
    return Gate(app, parts)


def routes(desk: Desk) -> FastAPI:
    """All routes, without what is around them."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    for part in (orders, articles, goods_in, returns, invoices, floor, files, places):
        part.add_routes(app, desk)
    return app


# --- Around every route ------------------------------------------------------------------------------------


class Gate:
    """Nobody gets past without a key, and no body past its limit; the body is not read before the key is known."""

    def __init__(self, app: ASGIApp, parts: Parts) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        try:
            need_no_other_site(scope)
            actor = await self._parts.doorkeeper.actor_of(given, now=self._parts.clock.now())
        except DockbellError as error:
            await problem_response(error)(scope, receive, _guarded(send))
            return
        # Routes are full paths: what a mount has consumed of the path is counted again.
        inner = {**scope, "root_path": "", "state": {**scope.get("state", {}), "actor": actor}}
        await self._app(inner, _limited(receive), _guarded(send))


def _limited(receive: Receive) -> Callable[[], Awaitable[Message]]:
    left = LARGEST_BODY_BYTES

    async def receive_some() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413)
        return message

    return receive_some


def _guarded(send: Send) -> Send:
    """With the headers that each answer of Dockbell's has."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *SECURITY_HEADERS]}
        await send(message)

    return sending


def problem_response(error: DockbellError) -> Response:
    """The error as RFC 9457 problem details, in the shape all of Dockbell's API has."""
    document: Document = {
        "type": "about:blank",
        "title": type(error).__name__,
        "status": error.status,
        "code": error.code,
        "detail": error.message,
        "hint": error.hint,
        "problems": [
            {"field": problem.field, "code": problem.code, "message": problem.message}
            for problem in (error.problems if isinstance(error, InvalidInput) else ())
        ],
    }
    challenge = {"WWW-Authenticate": CHALLENGE} if isinstance(error, NotSignedIn) else None
    return JSONResponse(document, error.status, media_type="application/problem+json", headers=challenge)


async def _on_refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, DockbellError)
    return problem_response(error)


async def _on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    if any(each["type"] == "json_invalid" for each in errors):
        return problem_response(
            Malformed("The body is not JSON.", code="body_json", hint="Check quotes, commas and brackets.")
        )
    return problem_response(InvalidInput(problems_from(errors, below=1)))


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refusal: DockbellError
    match error.status_code:
        case 404:
            refusal = NotFound(f"There is no page {request.url.path[:200]!r}.", hint="Look at the path.")
        case 413:
            refusal = TooLarge(f"The body is larger than {LARGEST_BODY_BYTES} bytes.")
        case 405:
            allowed = ", ".join(methods_at(request.app.routes, request.scope))
            refusal = DockbellError(
                f"{request.method} is not possible here.", code="method", hint=f"Possible: {allowed}."
            )
            refusal.status = 405
            response = problem_response(refusal)
            response.headers["Allow"] = allowed
            return response
        case _:
            refusal = Malformed("The request cannot be read.", hint="Send a JSON object in UTF-8.")
    return problem_response(refusal)


async def _on_bug(request: Request, error: Exception) -> Response:
    log.error("request.failed", method=request.method, path=request.url.path, exc_info=error)
    return problem_response(DockbellError("Something went wrong in Dockbell itself; the log says what."))
