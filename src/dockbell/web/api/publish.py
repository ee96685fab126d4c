"""`POST /api/v1/events`, the hot route: no model, one commit shared with whoever else publishes.

`publish_at_once` answers the usual request, without a task; `publish` is bare ASGI and answers every request.
202 is sent only after the commit. Everything that can be refused is refused before the store is asked.
"""

import re
from collections.abc import Callable, Generator
from functools import lru_cache
from typing import Any

from starlette.types import Receive, Scope, Send

from dockbell.actions.access import KeyEnded
from dockbell.actions.commit import Told, Verdict
from dockbell.actions.publish import Accepted, judge
from dockbell.domain.event import NewEvent
from dockbell.domain.event_json import split_events
from dockbell.domain.permissions import Actor
from dockbell.errors import DockbellError, InvalidInput, NotSignedIn, Problem
from dockbell.web.actor import actor_of
from dockbell.web.answers import (
    PROBLEM_JSON,
    encode,
    head,
    headers_of,
    lines,
    problem_of,
    send_bytes,
    send_document,
    send_refusal,
)
from dockbell.web.body import HungUp, need_json, read_body
from dockbell.web.hosts import is_called_by_name
from dockbell.web.parts import Parts

PATH = "/api/v1/events"
READ_AT_ONCE = 50
READ_AT_ONCE_BYTES = 64 * 1024
_KEY = re.compile(rb"[\x21-\x7e]{1,255}")


class _Turns:
    """Awaited after each event of an array, it lets others run now and then: a thousand must not hold up everyone else's."""

    def __init__(self) -> None:
        self._events = self._bytes = 0

    def after(self, item: bytes) -> "_Turns":
        self._events += 1
        self._bytes += len(item)
        return self

    def __await__(self) -> Generator[None, None, None]:
        if self._events >= READ_AT_ONCE or self._bytes >= READ_AT_ONCE_BYTES:
            self._events = self._bytes = 0
            yield


def publish_at_once(
    parts: Parts,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    answer: Callable[[int, bytes, bytes], None],
) -> bool:
    """Publish one event if all is usual; `answer` gets status, header lines and body after the commit.

    False, with nothing done, for anything `publish` must look at: an array, a key not seen lately, whatever it refuses.
    """
    if parts.hosts and not is_called_by_name(headers, parts.hosts):
        return False
    authorization = content_type = None
    for name, value in headers:
        if name == b"authorization" and authorization is None:
            authorization = value
        elif name == b"content-type" and content_type is None:
            content_type = value
        elif name in _LOOKED_AT:
            return False
    if authorization is None or content_type != b"application/json" or body[:1] != b"{":
        return False
    actor = parts.doorkeeper.known(authorization.decode("latin-1"), now=parts.clock.now())
    if actor is None:
        return False
    try:
        new = judge(body, actor, parts.index.state)
        need_room(parts, actor, new)
        parts.journal.submit([new], lambda told: answer(*_in_http(_noted(parts, actor, body, told))))
    except DockbellError:
        return False
    return True


def need_room(parts: Parts, actor: Actor, new: NewEvent) -> None:
    """Raises TooMuch when too much waits for the goods owner, or the key publishes too fast."""
    if parts.ceiling is not None:
        parts.ceiling.need(new.goods_owner_id)
    parts.rates.need(actor.id)


_LOOKED_AT = frozenset(
    {b"authorization", b"content-type", b"content-encoding", b"idempotency-key", b"origin", b"sec-fetch-site"}
)


def _noted(parts: Parts, actor: Actor, body: bytes, told: Told) -> Verdict:
    """The verdict on the one event, which is kept for who looks for it if it was refused."""
    verdict = told if isinstance(told, DockbellError) else told[0]
    if isinstance(verdict, DockbellError):
        parts.refusals.note(actor, verdict, body)
    return verdict


def _in_http(verdict: Verdict) -> tuple[int, bytes, bytes]:
    if isinstance(verdict, Accepted):
        body = _accepted(verdict)
        return 202, _lines_of_202(len(body)), body
    body = encode(problem_of(verdict))
    return verdict.status, lines(head(len(body), PROBLEM_JSON, headers_of(verdict))), body


@lru_cache(maxsize=64)
def _lines_of_202(length: int) -> bytes:
    return lines(head(length))


def _accepted(verdict: Accepted) -> bytes:
    repeated = b"true" if verdict.repeated else b"false"
    return b'{"eventId":%d,"deliveries":%d,"repeated":%b}' % (verdict.event_id, verdict.deliveries, repeated)


async def publish(parts: Parts, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await _answer(parts, scope, receive, send)
    except DockbellError as error:
        await send_refusal(send, error)
    except HungUp:
        pass


async def _answer(parts: Parts, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        actor = await actor_of(parts, scope)
    except KeyEnded as ended:
        parts.refusals.note(ended.actor, NotSignedIn(ended.why), b"")
        raise
    raw = b""
    try:
        actor.need("publish")
        idempotency_key, announced = _read_head(scope)
        raw = await read_body(receive, announced, arrays=True)
        items, is_array = split_events(raw)
        if is_array:
            if idempotency_key is not None:
                text = "Idempotency-Key is for a single event; give each event of an array its own id."
                raise _bad_key(text)
            await _publish_many(parts, actor, items, send)
            return
        new = judge(items[0], actor, parts.index.state, idempotency_key=idempotency_key)
        need_room(parts, actor, new)
        [verdict] = await parts.journal.accept([new])
        if not isinstance(verdict, Accepted):
            raise verdict
    except DockbellError as refused:
        parts.refusals.note(actor, refused, raw)
        raise
    await send_bytes(send, 202, _accepted(verdict))


def _read_head(scope: Scope) -> tuple[str | None, int | None]:
    """The Idempotency-Key and the announced length, where there are."""
    if scope["query_string"]:
        raise InvalidInput([Problem("", "unknown_parameter", "This route has no query parameters.")])
    types, codings, keys, announced = [], [], [], None
    for name, value in scope["headers"]:
        if name == b"content-type":
            types.append(value)
        elif name == b"content-length":
            announced = int(value) if value.isdigit() and len(value) < 16 else None
        elif name == b"idempotency-key":
            keys.append(value)
        elif name == b"content-encoding":
            codings.append(value)
    need_json(types, codings)
    return _idempotency_key(keys) if keys else None, announced


def _idempotency_key(values: list[bytes]) -> str:
    if len(values) != 1 or not _KEY.fullmatch(values[0]):
        raise _bad_key("Idempotency-Key must be sent once, with 1 to 255 visible ASCII characters.")
    return values[0].decode("ascii")


def _bad_key(text: str) -> InvalidInput:
    return InvalidInput([Problem("Idempotency-Key", "idempotency_key", text)])


async def _publish_many(parts: Parts, actor: Actor, items: list[bytes], send: Send) -> None:
    """Each event is judged on its own: one that is wrong keeps no other from being accepted."""
    parts.rates.need(actor.id, len(items))
    judged: list[NewEvent | DockbellError] = []
    state = parts.index.state
    turns = _Turns()
    for item in items:
        try:
            new = judge(item, actor, state)
            if parts.ceiling is not None:
                parts.ceiling.need(new.goods_owner_id)
            judged.append(new)
        except DockbellError as error:
            judged.append(error)
        await turns.after(item)
    sound = [one for one in judged if isinstance(one, NewEvent)]
    verdicts = iter(await parts.journal.accept(sound) if sound else ())
    told = [next(verdicts) if isinstance(one, NewEvent) else one for one in judged]
    for item, verdict in zip(items, told, strict=True):
        if isinstance(verdict, DockbellError):
            parts.refusals.note(actor, verdict, item)
            await turns.after(item)
    results = [_result(verdict) for verdict in told]
    refused = sum(result["status"] != 202 for result in results)
    repeated = sum(result.get("repeated", False) for result in results)
    document = {
        "accepted": len(results) - refused - repeated,
        "repeated": repeated,
        "refused": refused,
        "results": results,
    }
    await send_document(send, 422 if refused == len(results) else 202, document)


def _result(verdict: Verdict) -> dict[str, Any]:
    if isinstance(verdict, Accepted):
        return {
            "status": 202,
            "eventId": verdict.event_id,
            "deliveries": verdict.deliveries,
            "repeated": verdict.repeated,
        }
    told = problem_of(verdict)
    return {name: told[name] for name in ("status", "code", "detail", "hint", "problems")}
