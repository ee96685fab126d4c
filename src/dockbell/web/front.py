"""The door in front of the web server's application: the usual `POST /api/v1/events` does not go through ASGI.

For each request uvicorn makes a scope, a task, an event to wait for and two messages, which costs more than everything
Dockbell does with an event (docs/decisions/0007-front.md). So a publishing request is answered by a function here. It
takes only what is quite usual; whatever is not (an array, a first-seen key, anything that will be refused) goes on to
the application as if it had come there, and answers are the same either way. A head that was read and taken before is
known by its bytes and not read again.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from dockbell.domain.event_json import LARGEST_EVENT_BYTES
from dockbell.web.connection import Connection

END_OF_HEAD = b"\r\n\r\n"
MOST_UNJUDGED_BYTES = 32 * 1024
"""More of a body is not kept for somebody whose key nobody has looked at: the application does that first."""
LONGEST_REMEMBERED = 2_048
MOST_REMEMBERED = 1_024
Headers = list[tuple[bytes, bytes]]
Answer = Callable[[int, bytes, bytes], None]
"""Status, header lines as they go out, body."""
AtOnce = Callable[[Headers, bytes, Answer], bool]
"""Takes headers, body and whom to tell the answer; False if it wants nothing of the request, which then goes on."""


class _Turn:
    """A request that is being answered here; to uvicorn it looks like a cycle of its own."""

    __slots__ = (
        "disconnected", "keep_alive", "length", "message_event", "pieces", "response_complete", "response_started",
    )  # fmt: skip

    def __init__(self, message_event: asyncio.Event, *, keep_alive: bool) -> None:
        self.message_event = message_event
        self.keep_alive = keep_alive
        self.pieces: list[bytes] = []
        self.length = 0
        self.response_started = self.response_complete = False
        self.disconnected = False


class _Head(NamedTuple):
    headers: Headers
    length: int
    """Of the body."""


class _Heads:
    """Heads of requests that were taken, as they came: a publisher's next request mostly has the head of the last."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Head] = {}
        self.get = self._known.get

    def remember(self, request: bytes, headers: Headers, length: int) -> None:
        """`request` is kept up to its body if it is one whole request and no more."""
        body_at = request.find(END_OF_HEAD) + len(END_OF_HEAD)
        announced = [value for name, value in headers if name == b"content-length"]
        if body_at <= LONGEST_REMEMBERED and len(request) - body_at == length and announced == [b"%d" % length]:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[request[:body_at]] = _Head(list(headers), length)


def front_for(path: str, at_once: AtOnce) -> type[Connection]:
    """The protocol of a server whose POST requests to `path` are offered to `at_once` first."""
    url = path.encode()
    heads = _Heads()

    class Front(Connection):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._turn: _Turn | None = None
            """The request whose body is coming in, while it may be answered here."""
            self._nobody_waits = asyncio.Event()
            self._whole = b""
            """What came, if it begins with a request."""

        def data_received(self, data: bytes) -> None:
            if self._in_head or self._in_body or self._is_answering():
                super().data_received(data)
            elif not self._taken_by_head(data):
                self._whole = data
                super().data_received(data)
                self._whole = b""

        def _taken_by_head(self, data: bytes) -> bool:
            """Whether these bytes are one request whose head was read before, and it could be taken at once."""
            body_at = data.find(END_OF_HEAD) + len(END_OF_HEAD)
            known = heads.get(data[:body_at])
            if known is None or len(data) - body_at != known.length or self.flow.write_paused:
                return False
            turn = _Turn(self._nobody_waits, keep_alive=True)
            before, self.cycle = self.cycle, turn  # type: ignore[assignment]
            if not self._offered(turn, known.headers, data[body_at:]):
                self.cycle = before
                return False
            self._unset_keepalive_if_required()
            self._head_is_there()
            self._message_is_there()
            self._fruitless = 0
            return True

        def on_message_begin(self) -> None:
            # The scope is made when it is known that somebody wants it.
            self.url = b""
            self.headers = []
            self.expect_100_continue = False
            self._turn = None
            self._in_head = True

        def on_headers_complete(self) -> None:
            if self.parser.should_upgrade():
                return
            if self.url == url and self._is_usual():
                self._need_one_host()
                self._head_is_there()
                self._turn = _Turn(self._nobody_waits, keep_alive=self.parser.should_keep_alive())
                self.cycle = self._turn  # type: ignore[assignment]
            else:
                self._go_on()

        def on_body(self, body: bytes) -> None:
            turn = self._turn
            if turn is None:
                super().on_body(body)
                return
            self._bears = True
            turn.pieces.append(body)
            turn.length += len(body)
            if turn.length > MOST_UNJUDGED_BYTES:
                self._go_on_with(b"".join(turn.pieces))

        def on_message_complete(self) -> None:
            turn, self._turn = self._turn, None
            if turn is None:
                super().on_message_complete()
                return
            self._message_is_there()
            body = b"".join(turn.pieces)
            turn.pieces.clear()  # the turn lives on while the connection is idle
            if self._offered(turn, self.headers, body):
                if turn.keep_alive:
                    heads.remember(self._whole, self.headers, len(body))
            else:
                self._go_on_with(body)
                super().on_message_complete()

        def _offered(self, turn: _Turn, headers: Headers, body: bytes) -> bool:
            try:
                return at_once(headers, body, lambda *answer: self._answer(turn, *answer))
            except Exception:  # noqa: BLE001 - a mistake of ours: the application meets it too, logs it, and answers
                return False

        def _is_usual(self) -> bool:
            """Not while an earlier request of the connection waits for its answer."""
            return (
                self.parser.get_method() == b"POST"
                and not self._is_answering()
                and self.parser.get_http_version() == "1.1"
                and not self.expect_100_continue
                and not self.flow.write_paused
                and self._length_announced() <= LARGEST_EVENT_BYTES  # too long a body is refused before it comes
            )

        def _length_announced(self) -> int:
            for name, value in self.headers:
                if name == b"content-length":
                    return int(value)
            return 0

        def _go_on(self) -> None:
            """To the application, with what was read of the head."""
            read, headers, expects = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = read, expects
            self.headers.extend(headers)
            super().on_headers_complete()

        def _go_on_with(self, body: bytes) -> None:
            self._turn = None
            self.cycle = None  # type: ignore[assignment]  # nothing is being answered, so that it begins at once
            self._go_on()
            super().on_body(body)

        def _answer(self, turn: _Turn, status: int, lines: bytes, body: bytes) -> None:
            turn.response_complete = True
            if turn.disconnected or self.transport.is_closing():
                return
            ours = b"".join([b"%b: %b\r\n" % each for each in self.server_state.default_headers])
            end = b"\r\n" if turn.keep_alive else b"connection: close\r\n\r\n"
            self.transport.write(b"".join((STATUS_LINE[status], ours, lines, end, body)))
            if not turn.keep_alive:
                self.transport.close()
            self.on_response_complete()

    return Front
