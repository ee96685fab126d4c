"""One client's connection: how much and how long it may bring before it is an honest request, and how many there may be.

uvicorn waits for ever for a head or a body, and reads an endless header until memory ends. Here a head, or a trailer
after a body, ends with 431 when it is too long; a head or a body that does not come in time ends with 408; an answer that
nobody reads is broken off. When there are too many connections, the one that has waited longest for a head makes room, so
that half-open ones keep nobody out. Of requests that are sent ahead a few are read, and the next when those have had their
turn. Who asks for another protocol (curl --http2, Java's HttpClient) is answered in this one. A request that arrives in one
piece costs a comparison and no timer.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from dockbell.web.answers import PROBLEM_JSON, encode, head, problem

LONGEST_HEAD_BYTES = 32 * 1024
READ_AHEAD_BYTES = 2 * 1024
"""Of heads that much is read at a time. A request of 26 bytes takes more than 2 KB while it waits for the one before it."""
Protocol = Callable[..., asyncio.Protocol]


@dataclass
class Limits:
    """What one server lets its clients do; the connections that wait for a head, the longest waiting first."""

    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    connections: int = 1_000
    waiting: "dict[Connection, None]" = field(default_factory=dict)


def protocol_with(protocol: "type[Connection]", limits: Limits) -> Protocol:
    """What uvicorn makes for each connection."""
    return partial(protocol, limits)


class _Flow(FlowControl):
    """Reads on when no request waits for its turn; uvicorn would for each answer, and whenever a body is asked for."""

    def __init__(self, transport: asyncio.Transport, waiting: deque[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class Connection(HttpToolsProtocol):
    def __init__(self, limits: Limits, **given: Any) -> None:
        super().__init__(**given)
        self._limits = limits
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._fruitless = 0
        """Bytes since the last that completed a head, or were of a body."""
        self._bears = False
        self._in_head = False
        self._in_body = False
        self._cycles = deque[Any]()
        """Requests that are being answered or wait for that. uvicorn knows the newest alone."""
        self._ahead = b""
        """What came behind requests that wait."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        if len(self.connections) > self._limits.connections and not self._makes_room():
            return
        self._limits.waiting[self] = None
        self._within(self._limits.head_timeout_s, self._no_head)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limits.waiting.pop(self, None)
        self._in_time()
        self.resume_writing()
        for cycle in self._cycles:  # or the one that is being answered would write on, and fail
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        data, self._ahead = self._ahead + data, b""
        while data:
            if self.pipeline:
                self._ahead = data
                break
            piece = data[: LONGEST_HEAD_BYTES if self._in_body else READ_AHEAD_BYTES]
            self._bears = False
            self._read(piece)
            if self.transport.is_closing():
                return
            self._fruitless = 0 if self._bears else self._fruitless + len(piece)
            if self._fruitless >= LONGEST_HEAD_BYTES:
                self._refuse(431, "head_too_long", f"Path and headers have more than {LONGEST_HEAD_BYTES:,} bytes.")
                return
            data = data[len(piece) :]
        if self._deadline is not None:
            return
        if self._in_body:
            self._within(self._limits.body_timeout_s, self._no_body)
        elif self._in_head or not self._is_answering():
            self._within(self._limits.head_timeout_s, self._no_head)

    def _read(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as stopped:
                data = self._without_upgrade(data[stopped.args[0] :])
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
                return

    def _without_upgrade(self, rest: bytes) -> bytes:
        """What to read on. RFC 9110, 7.8: who does not speak the other protocol answers the request as it is.

        The parser takes what follows such a head for the other protocol, and a body would be read as the next request. So
        the head is read again without the wish. CONNECT (9.3.6) is one by itself, and this is no proxy.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.send_400_response("Invalid HTTP request received.")
            return b""
        line = b"%b %b HTTP/%b\r\n" % (method, self.url, self.parser.get_http_version().encode())
        kept = b"".join([b"%b: %b\r\n" % each for each in self.headers if each[0] != b"upgrade"])
        self.parser = httptools.HttpRequestParser(self)
        return b"%b%b\r\n%b" % (line, kept, rest)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        # RFC 9110, 6.5.1: what comes after the body is no header. The parser tells of both alike, and a proxy that speaks
        # for its clients, as in X-Forwarded-For, only looks at the head.
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._head_is_there()
        self._need_one_host()
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self._cycles.append(self.cycle)

    def on_body(self, body: bytes) -> None:
        self._bears = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._message_is_there()
        super().on_message_complete()

    def _need_one_host(self) -> None:
        """RFC 9112, 3.2 and 6.1: without one, with two, or in a version that has no such head, it is answered 400."""
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if version == "1.1" and hosts == 1:
            return
        if version != "1.0" or hosts > 1 or any(name == b"transfer-encoding" for name, _ in self.headers):
            # which uvicorn answers as it does what it cannot read
            raise ValueError(f"HTTP/{version} with {hosts} Host headers")

    def _head_is_there(self) -> None:
        self._in_head, self._in_body, self._bears = False, True, True
        self._in_time()
        self._limits.waiting.pop(self, None)

    def _message_is_there(self) -> None:
        self._in_body, self._bears = False, True
        self._in_time()

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        if self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        super().on_response_complete()
        if self.transport.is_closing():
            self._leave()
        elif is_last:
            self._limits.waiting[self] = None
        elif not self.pipeline:  # the last of those that were read has its turn
            self.flow.resume_reading()
            self.data_received(b"")

    def timeout_keep_alive_handler(self) -> None:
        self._leave()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self._limits.body_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def _makes_room(self) -> bool:
        """End the connection that has waited longest for a head; if each is being answered, this new one."""
        oldest = next(iter(self._limits.waiting), None)
        if oldest is None:
            self._refuse(503, "too_many_connections", "Too many requests are being answered; this one was not read.")
            return False
        del self._limits.waiting[oldest]
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]

    def _within(self, seconds: float, otherwise: Callable[[], None]) -> None:
        self._deadline = self.loop.call_later(seconds, otherwise)

    def _in_time(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _no_head(self) -> None:
        seconds = self._limits.head_timeout_s
        if self._is_answering():  # meanwhile we do not read
            self._within(seconds, self._no_head)
        elif self._in_head:
            self._refuse(408, "head_timeout", f"Path and headers did not come within {seconds:g} seconds.")
        else:
            self._leave()

    def _no_body(self) -> None:
        seconds = self._limits.body_timeout_s
        if self.pipeline:  # an earlier request is being answered, and meanwhile we do not read
            self._within(seconds, self._no_body)
            return
        self._refuse(408, "body_timeout", f"The body did not come within {seconds:g} seconds.")

    def _refuse(self, status: int, code: str, text: str) -> None:
        """Say so, unless an answer is under way, and end the connection."""
        if self._may_say():
            document = encode(problem(status, code, text, hint="Send it again, shorter or faster."))
            lines = [*head(len(document), PROBLEM_JSON), (b"connection", b"close")]
            said = b"".join(b"%b: %b\r\n" % line for line in lines)
            self.transport.write(STATUS_LINE[status] + said + b"\r\n" + document)
        self._break_off()

    def send_400_response(self, msg: str) -> None:
        if self._may_say():
            super().send_400_response(msg)
        self._break_off()

    def _may_say(self) -> bool:
        """Whether what is said now would not be taken for the answer to another request, or for a part of one."""
        return not self._is_answering() or (self._in_body and not self.pipeline and not self.cycle.response_started)

    def _break_off(self) -> None:
        if self._is_answering():
            self.cycle.disconnected = True  # whoever waits for its body hears that nobody is there
            self.cycle.message_event.set()
        self._leave()

    def _leave(self) -> None:
        """Close; what a client does not read in time is not kept for it."""
        self.transport.close()
        self._in_time()
        self._within(self._limits.head_timeout_s, self.transport.abort)
