"""The warehouse's REST API: the documented paths to fetch back what an event was about, and the steps of the floor.

Keys, errors and goods owners are those of Dockbell itself. The application answers full paths wherever it is mounted.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol

import structlog
from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dockbell.actions.access import Doorkeeper
from dockbell.actions.publish import Publisher
from dockbell.clock import Clock
from dockbell.domain.limits import parse_moment
from dockbell.domain.permissions import Actor
from dockbell.errors import DockbellError, InvalidInput, Malformed, NotFound, NotSignedIn, TooLarge
from dockbell.store.database import Database
from dockbell.warehouse import actions, articles
from dockbell.warehouse.inputs import (
    LARGEST_ID,
    Incoming,
    Name,
    NewArticle,
    NewOrder,
    NewOrderStatus,
    PackStep,
    SendStep,
    Step,
    StepWithItems,
    problems_from,
)
from dockbell.warehouse.model import Status

log = structlog.get_logger()
LARGEST_BODY_BYTES = 1_048_576
CHALLENGE = 'Basic realm="Dockbell", charset="UTF-8"'
Document = dict[str, Any]


class Parts(Protocol):
    """What the warehouse needs of the program it runs in."""

    @property
    def database(self) -> Database: ...
    @property
    def publisher(self) -> Publisher: ...
    @property
    def doorkeeper(self) -> Doorkeeper: ...
    @property
    def clock(self) -> Clock: ...


def _digits(value: object) -> object:
    # int() would take blanks, signs, underscores and the digits of every script.
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]{1,16}", value):
            raise PydanticCustomError("number", "write a whole number in plain digits")
        return int(value)
    return value


def _acting(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


Acting = Annotated[Actor, Depends(_acting)]
Number = Annotated[int, BeforeValidator(_digits), Field(ge=0, le=LARGEST_ID)]
Rows = Annotated[int, BeforeValidator(_digits), Field(ge=1, le=actions.MOST_ROWS)]


class WantedOrders(Incoming):
    goods_owner_id: Number
    order_number: Name | None = None
    order_status_from: Number = 0
    order_status_to: Number = LARGEST_ID
    order_status_changed_time_from: str | None = None
    order_id_from: Number = 0
    max_orders_to_get: Rows = 100


class WantedArticles(Incoming):
    goods_owner_id: Number
    article_number: Name | None = None
    article_system_id_from: Number = 0
    max_articles_to_get: Rows = 100


def build_warehouse_api(parts: Parts) -> ASGIApp:
    """The application. Each change is one transaction, and its events are in it."""
    app = FastAPI(
        title="Reference warehouse", docs_url=None, redoc_url=None, openapi_url="/api/v1/warehouse/openapi.json"
    )
    _add_orders(app, parts)
    _add_steps(app, parts)
    _add_articles(app, parts)
    app.add_exception_handler(DockbellError, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_bug)
    return Gate(app, parts)


def _add_orders(app: FastAPI, parts: Parts) -> None:
    read, write, publisher, clock = parts.database.read, parts.database.write, parts.publisher, parts.clock

    @app.get("/api/v1/orders/statuses")
    async def order_statuses() -> list[Document]:
        return [{"number": int(status), "text": status.text} for status in Status]

    @app.get("/api/v1/orders")
    async def list_orders(actor: Acting, wanted: Annotated[WantedOrders, Query()]) -> list[Document]:
        text = wanted.order_status_changed_time_from
        since = 0 if text is None else parse_moment(text, "orderStatusChangedTimeFrom")
        return await read(
            lambda tx: actions.list_orders(
                tx,
                actor,
                wanted.goods_owner_id,
                number=wanted.order_number,
                status_from=wanted.order_status_from,
                status_to=wanted.order_status_to,
                status_changed_from=since,
                id_from=wanted.order_id_from,
                limit=wanted.max_orders_to_get,
            ),
        )

    @app.get("/api/v1/orders/{orderId}")
    async def get_order(actor: Acting, orderId: Number) -> Document:  # noqa: N803 - the documented spelling
        return await read(lambda tx: actions.get_order(tx, actor, orderId))

    @app.put("/api/v1/orders")
    async def put_order(actor: Acting, new: NewOrder) -> Document:
        now = clock.now()
        order_id, created = await write(lambda tx: actions.create_order(tx, publisher, actor, new, now=now))
        return {"orderId": order_id, "message": f"The order was {'created' if created else 'changed'}."}

    @app.patch("/api/v1/orders/{orderId}/orderStatus")
    async def set_order_status(actor: Acting, orderId: Number, wanted: NewOrderStatus) -> Document:  # noqa: N803
        now, number = clock.now(), wanted.order_status_number
        order = await write(lambda tx: actions.set_order_status(tx, publisher, actor, orderId, number, now=now))
        status = order["orderInfo"]["orderStatus"]
        return {"orderId": orderId, "message": f"The order's status is {status['number']} {status['text']}."}


def _add_steps(app: FastAPI, parts: Parts) -> None:
    """What people on the floor do; not part of the documented API. Each answers with the order after it."""
    write, publisher, clock = parts.database.write, parts.publisher, parts.clock
    base = "/api/v1/warehouse/orders/{orderId}"

    @app.post(f"{base}/allocate")
    async def allocate(actor: Acting, orderId: Number, step: Step | None = None) -> Document:  # noqa: N803
        by, now = step or Step(), clock.now()
        return await write(lambda tx: actions.allocate_order(tx, publisher, actor, orderId, by=by, now=now))

    @app.post(f"{base}/pick")
    async def pick(actor: Acting, orderId: Number, step: StepWithItems | None = None) -> Document:  # noqa: N803
        by, now = step or StepWithItems(), clock.now()
        items = by.quantities()
        return await write(
            lambda tx: actions.pick_order(tx, publisher, actor, orderId, quantities=items, by=by, now=now),
        )

    @app.post(f"{base}/pack")
    async def pack(actor: Acting, orderId: Number, step: PackStep | None = None) -> Document:  # noqa: N803
        by, now = step or PackStep(), clock.now()
        items, parcel = by.quantities(), by.parcel_number
        return await write(
            lambda tx: actions.pack_order(
                tx, publisher, actor, orderId, quantities=items, parcel_number=parcel, by=by, now=now
            ),
        )

    @app.post(f"{base}/send")
    async def send(actor: Acting, orderId: Number, step: SendStep | None = None) -> Document:  # noqa: N803
        by, now = step or SendStep(), clock.now()
        return await write(
            lambda tx: actions.send_order(tx, publisher, actor, orderId, waybill=by.waybill, by=by, now=now),
        )

    @app.post(f"{base}/collect")
    async def collect(actor: Acting, orderId: Number, step: Step | None = None) -> Document:  # noqa: N803
        by, now = step or Step(), clock.now()
        return await write(lambda tx: actions.collect_order(tx, publisher, actor, orderId, by=by, now=now))

    @app.post(f"{base}/cancel")
    async def cancel(actor: Acting, orderId: Number, step: Step | None = None) -> Document:  # noqa: N803
        by, now = step or Step(), clock.now()
        return await write(lambda tx: actions.cancel_order(tx, publisher, actor, orderId, by=by, now=now))


def _add_articles(app: FastAPI, parts: Parts) -> None:
    read, write, clock = parts.database.read, parts.database.write, parts.clock

    @app.get("/api/v1/articles")
    async def list_articles(actor: Acting, wanted: Annotated[WantedArticles, Query()]) -> list[Document]:
        return await read(
            lambda tx: articles.list_articles(
                tx,
                actor,
                wanted.goods_owner_id,
                number=wanted.article_number,
                id_from=wanted.article_system_id_from,
                limit=wanted.max_articles_to_get,
            ),
        )

    @app.get("/api/v1/articles/{articleSystemId}")
    async def get_article(actor: Acting, articleSystemId: Number) -> Document:  # noqa: N803
        return await read(lambda tx: articles.get_article(tx, actor, articleSystemId))

    @app.put("/api/v1/articles")
    async def put_article(actor: Acting, new: NewArticle) -> Document:
        now = clock.now()
        article_id, created = await write(lambda tx: articles.put_article(tx, actor, new, now=now))
        return {"articleSystemId": article_id, "message": f"The article was {'created' if created else 'changed'}."}


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
            actor = await self._parts.doorkeeper.actor_of(given, now=self._parts.clock.now())
        except DockbellError as error:
            await problem_response(error)(scope, receive, send)
            return
        # Routes are full paths: what a mount has consumed of the path is counted again.
        inner = {**scope, "root_path": "", "state": {**scope.get("state", {}), "actor": actor}}
        await self._app(inner, _limited(receive), send)


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
            refusal = DockbellError(f"{request.method} is not possible here.", code="method", hint="GET reads.")
            refusal.status = 405
        case _:
            refusal = Malformed("The request cannot be read.", hint="Send a JSON object in UTF-8.")
    return problem_response(refusal)


async def _on_bug(request: Request, error: Exception) -> Response:
    log.error("request.failed", method=request.method, path=request.url.path, exc_info=error)
    return problem_response(DockbellError("Something went wrong in Dockbell itself; the log says what."))
