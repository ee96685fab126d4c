"""Request bodies: JSON by its content type, uncompressed, small, and strict.

The limits are judged while the body comes in; nothing is kept of one that is too large. How long it may take is judged
where it comes in, in `web.connection`: a body that is late ends as if its sender had hung up.
"""

from collections.abc import Mapping
from typing import Any

from starlette.types import Receive, Scope

from dockbell.domain.event_json import LARGEST_EVENT_BYTES, read_json
from dockbell.errors import InvalidInput, Problem, TooLarge, WrongMediaType

LARGEST_BODY_BYTES = LARGEST_EVENT_BYTES
LARGEST_ARRAY_BYTES = 4 * 1024 * 1024
_WHITE = b" \t\r\n"


class HungUp(Exception):
    """The client went away while it was sending; there is nobody to answer."""


def need_json(content_types: list[bytes], content_encodings: list[bytes]) -> None:
    """Raises WrongMediaType unless the body is said to be plain JSON. Unread: a bomb must not be opened."""
    if any(coding.strip().lower() not in (b"", b"identity") for coding in content_encodings):
        shown = b", ".join(content_encodings)[:80].decode("latin-1")
        raise WrongMediaType(
            f"The body is compressed ({shown}); Dockbell reads only plain ones.",
            code="content_encoding",
            hint="Leave Content-Encoding out.",
        )
    if content_types != [b"application/json"] and not (len(content_types) == 1 and _is_json(content_types[0])):
        shown = b", ".join(content_types)[:80].decode("latin-1")
        raise WrongMediaType(
            f"The content type is {shown!r}; it must be application/json, in UTF-8.",
            hint="Send “Content-Type: application/json”.",
        )


def _is_json(content_type: bytes) -> bool:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(b";"))
    return media_type == b"application/json" and all(
        parameter in (b"", b"charset=utf-8", b'charset="utf-8"') for parameter in parameters
    )


async def read_body(receive: Receive, announced: int | None, *, arrays: bool = False) -> bytes:
    """The whole body; raises TooLarge or HungUp. With `arrays` one that begins with [ may be longer."""
    most = LARGEST_ARRAY_BYTES if arrays else LARGEST_BODY_BYTES
    if announced is not None and announced > most:
        raise _too_large(most)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise HungUp
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):  # the usual request: one piece
        if len(body) > LARGEST_BODY_BYTES:
            _judge(body[:64], len(body), arrays=arrays)
        return body
    pieces, length, start = [body], len(body), body.lstrip(_WHITE)[:1]
    while True:
        if length > LARGEST_BODY_BYTES:
            _judge(start, length, arrays=arrays)
        if not message.get("more_body", False):
            return b"".join(pieces)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        body = message.get("body", b"")
        length += len(body)
        start = start or body.lstrip(_WHITE)[:1]
        pieces.append(body)


def _judge(start: bytes, length: int, *, arrays: bool) -> None:
    most = LARGEST_ARRAY_BYTES if arrays and start.lstrip(_WHITE).startswith(b"[") else LARGEST_BODY_BYTES
    if length > most:
        raise _too_large(most)


def _too_large(most: int) -> TooLarge:
    """Without the length: how much had come when it was refused is chance, and differs from one try to the next."""
    return TooLarge(
        f"The body is too large: at most {most:,} bytes are allowed.",
        hint="Publish several events as arrays of up to 4 MiB; one event has at most 256 KiB.",
    )


def length_of(scope: Scope) -> int | None:
    """What Content-Length announces."""
    found = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(found) if found.isdigit() and len(found) < 16 else None


async def document_of(scope: Scope, receive: Receive, *, may_be_empty: bool = False) -> Mapping[str, Any]:
    """The JSON object in a request's body, read by the rules that events are read by."""
    headers = scope["headers"]
    types = [value for name, value in headers if name == b"content-type"]
    codings = [value for name, value in headers if name == b"content-encoding"]
    announced = length_of(scope)
    if may_be_empty and not types and (announced == 0 or not any(n == b"transfer-encoding" for n, _ in headers)):
        raw = await read_body(receive, announced)
        if not raw:
            return {}
    need_json(types, codings)
    raw = await read_body(receive, announced)
    if may_be_empty and not raw:  # many clients name a content type also where they send nothing
        return {}
    document = read_json(raw)
    if not isinstance(document, dict):
        raise InvalidInput([Problem("", "body_not_object", "The body must be a JSON object.")])
    return document
