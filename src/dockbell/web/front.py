"""The door in front of the web server's application: the usual `POST /api/v1/events` does not go through ASGI.

For each request uvicorn makes a scope, a task, an event to wait for and two messages, which costs more than everything
Dockbell does with an event (docs/decisions/0007-front.md). So a publishing request is answered by a function here. It
takes only what is quite usual; whatever is not (an array, a first-seen key, anything that will be refused) goes on to
the application as if it had come there, and answers are the same either way.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from dockbell.domain.event_json import LARGEST_EVENT_BYTES
from dockbell.web.connection import Connection

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


def front_for(path: str, at_once: AtOnce) -> type[Connection]:
    """The protocol of a server whose POST requests to `path` are offered to `at_once` first."""
    url = path.encode()

    class Front(Connection):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._turn: _Turn | None = None
            """The request whose body is coming in, while it may be answered here."""
            self._nobody_waits = asyncio.Event()

        def on_message_begin(self) -> None:
            # The scope is made when it is known that somebody wants it.
            self.url = b""
            self.headers = []
            self.expect_100_continue = False
            self._turn = None
            self._in_head = True

        def on_headers_complete(self) -> None:
            if self.url == url and self._is_usual():
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
            if turn.length > LARGEST_EVENT_BYTES:
                self._go_on_with(b"".join(turn.pieces))

        def on_message_complete(self) -> None:
            turn, self._turn = self._turn, None
            if turn is None:
                super().on_message_complete()
                return
            self._message_is_there()
            body = b"".join(turn.pieces)
            turn.pieces.clear()  # the turn lives on while the connection is idle
            try:
                taken = at_once(self.headers, body, lambda *answer: self._answer(turn, *answer))
            except Exception:  # noqa: BLE001 - a mistake of ours: the application meets it too, logs it, and answers
                taken = False
            if not taken:
                self._go_on_with(body)
                super().on_message_complete()

        def _is_usual(self) -> bool:
            """Not while an earlier request of the connection waits for its answer, and no protocol of its own."""
            return (
                self.parser.get_method() == b"POST"
                and not self._is_answering()
                and self.parser.get_http_version() == "1.1"
                and not self.expect_100_continue
                and not self.parser.should_upgrade()
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
