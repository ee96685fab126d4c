"""The warehouse's OpenAPI document: what FastAPI cannot see, because keys and errors are handled around the routes."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

ERRORS = {
    "400": "The request cannot be read.",
    "401": "No valid API key came along.",
    "403": "The key may not do this.",
    "404": "There is no such thing, or not for this key.",
    "409": "What is there does not allow this step; nothing was changed.",
    "413": "The body is too large.",
    "422": "Something is wrong with the input; `problems` has all of it.",
}
_TEXT = {"type": "string"}
_PROBLEM = {
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "required": ["type", "title", "status", "detail", "code", "hint", "problems"],
    "properties": {
        **dict.fromkeys(("type", "title", "detail", "code", "hint"), _TEXT),
        "status": {"type": "integer"},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": dict.fromkeys(("field", "code", "message"), _TEXT),
            },
        },
    },
}


def document_for(app: FastAPI) -> dict[str, Any]:
    made: dict[str, Any] = get_openapi(
        title="Reference warehouse",
        version="1",
        summary="What a receiver calls back on, and the steps of the floor.",
        routes=app.routes,
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = _PROBLEM
    made["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: whk_..."},
        "basic": {"type": "http", "scheme": "basic", "description": "Any user name, the API key as password."},
    }
    made["security"] = [{"bearer": []}, {"basic": []}]
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operations in made["paths"].values():
        for operation in operations.values():
            operation["summary"] = operation["summary"].capitalize()
            operation["responses"] |= {
                status: {"description": meaning, "content": content} for status, meaning in ERRORS.items()
            }
    return made
