"""What every answer has in common: one JSON encoder, one error shape (RFC 9457), the same security headers."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Send

from dockbell.errors import DockbellError, InvalidInput, NotSignedIn, Problem, TooMuch, Unavailable

JSON = b"application/json"
PROBLEM_JSON = b"application/problem+json"
CHALLENGE = b'Bearer, Basic realm="Dockbell"'
TRY_AGAIN_S = 5
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]
encode = msgspec.json.Encoder().encode

Headers = Iterable[tuple[bytes, bytes]]


class Answer(Response):
    """A JSON answer of a route. Event data travels in it as `msgspec.Raw`: the bytes that came."""

    def __init__(
        self, document: Any, status_code: int = 200, headers: Headers = (), *, media_type: bytes = JSON
    ) -> None:
        self.status_code = status_code
        self.body = encode(document)
        self.background = None
        self.raw_headers = head(len(self.body), media_type, headers)

    @classmethod
    def of(cls, encoded: bytes) -> Response:
        """An answer that was encoded before."""
        made = cls(None)
        made.body, made.raw_headers = encoded, head(len(encoded))
        return made


class Empty(Response):
    """204: done, and there is nothing to say about it."""

    def __init__(self) -> None:
        self.status_code = 204
        self.body = b""
        self.background = None
        self.raw_headers = list(SECURITY_HEADERS)


def head(length: int, media_type: bytes = JSON, more: Headers = ()) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", media_type), (b"content-length", b"%d" % length), *SECURITY_HEADERS, *more]


def lines(headers: Headers) -> bytes:
    """The headers as they go out."""
    return b"".join([b"%b: %b\r\n" % each for each in headers])


def problem(status: int, code: str, detail: str, *, hint: str = "", problems: Iterable[Problem] = ()) -> dict[str, Any]:
    """The one error shape; members that RFC 9457 does not know are `code`, `hint` and `problems`."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "hint": hint,
        "problems": [
            {"field": each.field, "code": each.code, "message": each.message} for each in problems
        ],
    }  # fmt: skip


def problem_of(error: DockbellError) -> dict[str, Any]:
    problems = error.problems if isinstance(error, InvalidInput) else ()
    return problem(error.status, error.code, error.message, hint=error.hint, problems=problems)


def headers_of(error: DockbellError) -> list[tuple[bytes, bytes]]:
    match error:
        case NotSignedIn():
            return [(b"www-authenticate", CHALLENGE)]
        case TooMuch() | Unavailable():
            return [(b"retry-after", b"%d" % try_again_s(error))]
        case _:
            return []


def try_again_s(error: TooMuch | Unavailable) -> int:
    """When to come again, in seconds."""
    return error.retry_after_s if isinstance(error, TooMuch) else TRY_AGAIN_S


def refusal(error: DockbellError) -> Answer:
    return Answer(problem_of(error), error.status, headers_of(error), media_type=PROBLEM_JSON)


def bug() -> Answer:
    """The answer to a mistake of ours; what it was stands in the log, not here."""
    hint = "Try again; if it stays, tell the operator when it happened. The log has the reason as request.failed."
    document = problem(500, "internal_error", "Dockbell made a mistake.", hint=hint)
    return Answer(document, 500, media_type=PROBLEM_JSON)


async def send_document(send: Send, status: int, document: Mapping[str, Any], media_type: bytes = JSON) -> None:
    await send_bytes(send, status, encode(document), media_type)


async def send_bytes(send: Send, status: int, body: bytes, media_type: bytes = JSON, more: Headers = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": head(len(body), media_type, more)})
    await send({"type": "http.response.body", "body": body})


async def send_refusal(send: Send, error: DockbellError) -> None:
    await send_bytes(send, error.status, encode(problem_of(error)), PROBLEM_JSON, headers_of(error))
