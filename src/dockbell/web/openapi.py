"""The OpenAPI document: what FastAPI cannot see by itself, because bodies are read by our own strict rules."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dockbell import __version__
from dockbell.actions.webhook_input import WebhookInput
from dockbell.web.inputs import (
    DeliveriesFilter,
    ErasureInput,
    EventTypeInput,
    GoodsOwnerInput,
    MissedRange,
    NewApiKey,
    Rotation,
    TestOrder,
)

_REF = "#/components/schemas/{model}"
_PARTLY = "WebhookChange"
_MODELS: tuple[type[BaseModel], ...] = (
    WebhookInput, NewApiKey, Rotation, TestOrder, GoodsOwnerInput, EventTypeInput, DeliveriesFilter, MissedRange, ErasureInput,
)  # fmt: skip
_ERRORS = {
    400: "The request cannot be read.",
    401: "No valid API key came along.",
    403: "The key may not do this.",
    404: "There is no such thing, or not for this key.",
    409: "It does not fit what is there.",
    413: "The body is too large.",
    414: "Path and query are too long.",
    415: "The body is not plain JSON by its headers.",
    422: "Something is wrong with the input; `problems` has all of it.",
    429: "Too often; wait as long as `Retry-After` says.",
    500: "A mistake of Dockbell's.",
    503: "The store is away or the server is stopping; nothing was changed.",
    507: "The disk is full; nothing was changed.",
}
_TEXT = {"type": "string"}
_PROBLEM = {
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "required": ["type", "title", "status", "detail", "code", "hint", "problems"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": {**_TEXT, "description": "What is wrong, in words."},
        "code": {**_TEXT, "description": "What is wrong, for programs; stays the same over releases."},
        "hint": {**_TEXT, "description": "What to do next; may be empty."},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {"field": _TEXT, "code": _TEXT, "message": _TEXT},
            },
        },
    },
}
_EVENT = {
    "type": "object",
    "required": ["type", "data"],
    "additionalProperties": False,
    "properties": {
        "type": {**_TEXT, "description": "Key of an event type.", "examples": ["order.picked"]},
        "goodsOwnerId": {"type": "integer", "description": "Whose goods; a key for one goods owner may leave it out."},
        "id": {
            **_TEXT,
            "pattern": "^[A-Za-z0-9_-]{1,64}$",
            "description": "Your own id: the same id with the same bytes is accepted once. Goes before Idempotency-Key.",
        },
        "occurredAt": {**_TEXT, "format": "date-time"},
        "key": {**_TEXT, "description": "The object, order/50163; taken from the data unless said."},
        "number": {**_TEXT, "description": "The number people know it by; taken from the data unless said."},
        "attributes": {"type": "object", "description": "Facts for filters that the data does not carry."},
        "data": {"type": "object", "description": "The payload's own fields; kept and sent byte for byte."},
    },
}
_ACCEPTED = {
    "type": "object",
    "required": ["eventId", "deliveries", "repeated"],
    "properties": {
        "eventId": {"type": "integer"},
        "deliveries": {"type": "integer"},
        "repeated": {"type": "boolean", "description": "It was accepted before; this is that event."},
    },
}
_MANY = {
    "type": "object",
    "required": ["accepted", "repeated", "refused", "results"],
    "properties": {
        "accepted": {"type": "integer"},
        "repeated": {"type": "integer"},
        "refused": {"type": "integer"},
        "results": {
            "type": "array",
            "description": "One for each event, in the order they were sent.",
            "items": {
                "type": "object",
                "required": ["status"],
                "properties": {
                    "status": {"type": "integer"},
                    **_ACCEPTED["properties"],  # type: ignore[dict-item]
                    **{name: _PROBLEM["properties"][name] for name in ("code", "detail", "hint", "problems")},  # type: ignore[index]
                },
            },
        },
    },
}


def answers(status: int, meaning: str, *errors: int) -> dict[int | str, dict[str, Any]]:
    """What an operation answers: one success, the errors named here, and those that any may meet."""
    found: dict[int | str, dict[str, Any]] = {status: {"description": meaning}}
    if status != 204:
        found[status]["content"] = {"application/json": {"schema": {"type": "object"}}}
    for error in sorted({*errors, 422, 500, 503}):
        content = {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}}
        found[error] = {"description": _ERRORS[error], "content": content}
    return found


def takes(model: type[BaseModel], *, partly: bool = False, optional: bool = False) -> dict[str, Any]:
    """A JSON body that the route reads itself."""
    name = _PARTLY if partly else model.__name__
    schema = {"$ref": _REF.format(model=name)}
    return {"requestBody": {"required": not optional, "content": {"application/json": {"schema": schema}}}}


def document_for(app: FastAPI) -> dict[str, Any]:
    made: dict[str, Any] = get_openapi(
        title="Dockbell",
        version=__version__,
        summary="The webhook system of a warehouse management system.",
        routes=app.routes,
    )
    _, models = models_json_schema([(model, "validation") for model in _MODELS], ref_template=_REF)
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(models.get("$defs", {}))
    partly = {name: value for name, value in schemas["WebhookInput"].items() if name != "required"}
    schemas.update({_PARTLY: partly, "Problem": _PROBLEM, "Event": _EVENT, "Accepted": _ACCEPTED, "Results": _MANY})
    made["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: whk_..."},
        "basic": {"type": "http", "scheme": "basic", "description": "Any user name, the API key as password."},
    }
    made["security"] = [{"bearer": []}, {"basic": []}]
    made["paths"].setdefault("/api/v1/events", {})["post"] = _publishing()
    return made


def _publishing() -> dict[str, Any]:
    event, accepted = {"$ref": _REF.format(model="Event")}, {"$ref": _REF.format(model="Accepted")}
    described = answers(
        202, "Kept: event and deliveries are committed.", 400, 401, 403, 404, 409, 413, 415, 422, 429, 507
    )
    results = {"$ref": _REF.format(model="Results")}
    described[202]["content"] = {"application/json": {"schema": {"oneOf": [accepted, results]}}}
    described[422]["content"]["application/json"] = {"schema": results}
    described[422]["description"] = "Something is wrong with the event, or with every event of an array."
    described[429]["description"] = (
        "The key publishes too fast (`rate_limit`), or too much waits for the goods owner (`queue_full`; for an event of an "
        "array this is in `results`). Nothing was accepted; wait as long as `Retry-After` says."
    )
    described[503]["description"] = (
        "The store is away or does not keep up, or the server is stopping. With `store_unknown` it is not known whether "
        "the events were stored. Always send them again with the same `id` or `Idempotency-Key`: what was stored is not "
        "stored twice."
    )
    return {
        "summary": "Publish an event, or an array of them",
        "description": "One event has at most 256 KiB; an array 1,000 events and 4 MiB. Each is judged on its own.",
        "operationId": "publish",
        "tags": ["events"],
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "For a single event without an `id` of its own: does the same.",
                "schema": {**_TEXT, "pattern": "^[\\x21-\\x7e]{1,255}$"},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"oneOf": [event, {"type": "array", "items": event, "minItems": 1, "maxItems": 1_000}]},
                },
            },
        },
        "responses": {str(status): one for status, one in described.items()},
    }
