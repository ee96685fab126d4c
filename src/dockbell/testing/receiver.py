"""A real receiver that misbehaves: the other end of a webhook on its worst day.

with Receiver("reset_mid_headers") as receiver:
    ...  # let a webhook send to receiver.url, then look at receiver.requests

Each way to misbehave is one small function in MISBEHAVIOURS, and more can be given as functions of one's own. It
listens on this machine only, counts connections and requests, and keeps the requests as they came. Threads and plain
sockets, because what is to be shown here is what servers do to sockets: resets, half-closes and silence.
"""

import base64
import gzip
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

PATIENCE_S = 30.0
"""How long a connection is waited on before it is given up, in seconds."""
TRICKLE_S = 0.05
_LARGEST_HEAD = 256 * 1024
# 100 MiB of zeros, compressed at the strongest setting.
_BROTLI_BOMB = base64.b64decode(
    "z///f/gnAOKxQCD3/p/////wTwDEYQGA7v0/////4Z8AiMMiAN37f/7//8M/ARCHBQC69//8//+HfwIgDgsAdO//+f//D/8EQBwWAOje/+f//w/+CYA4LADQvf8B"
)


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as it came, and the number of the connection it came on, counted from 1."""

    connection: int
    head: bytes
    """Request line and header lines as received, with the blank line."""
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header, without the blanks around it; None if it was not sent."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


class Visit:
    """One connection to a receiver, in the hands of a misbehaviour."""

    def __init__(self, receiver: "Receiver", connection: socket.socket, number: int) -> None:
        self.receiver = receiver
        self.socket = connection
        self.number = number
        self._unread = b""

    def request(self) -> ReceivedRequest | None:
        """The next request on this connection, kept in `receiver.requests`; None if there is none any more."""
        while b"\r\n\r\n" not in self._unread:
            if len(self._unread) > _LARGEST_HEAD or not self._read():
                return None
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        received = ReceivedRequest(self.number, head + b"\r\n\r\n", b"")
        length = int(received.header("content-length") or 0)
        while len(self._unread) < length:
            if not self._read():
                return None
        received = ReceivedRequest(self.number, received.head, self._unread[:length])
        self._unread = self._unread[length:]
        self.receiver.keep(received)
        return received

    def send(self, data: bytes) -> None:
        """All of it, or ConnectionError once the other side hung up."""
        self.socket.sendall(data)
        self.receiver.count_sent(len(data))

    def answer(self, status: int | str = 200, *lines: str, body: bytes = b"") -> None:
        """A proper answer with these header lines; a status as text may be any nonsense."""
        self.send(b"\r\n".join([_head(status, *lines), b"Content-Length: %d" % len(body), b"", body]))

    def reset(self) -> None:
        """Close so that the other side gets an RST and not an end of stream."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def wait_for_hang_up(self) -> None:
        """Read and forget until the other side closes, the receiver stops or patience ends."""
        while self._read():
            self._unread = b""

    def pause(self) -> bool:
        """A moment between two bytes; False once the receiver stops."""
        return not self.receiver.stopping.wait(TRICKLE_S)

    def _read(self) -> bool:
        part = self.socket.recv(64 * 1024)
        self._unread += part
        return bool(part)


Misbehaviour = Callable[[Visit], None]


class Receiver:
    """Listens from construction on until `close`. A context manager.

    `misbehaviour` is a name in MISBEHAVIOURS or a function. With `tls` every connection begins with a handshake, but
    for misbehaviours that happen below TLS; failed handshakes are counted in `handshakes_failed`. `address` is
    127.0.0.1 or another loopback address; anything else is a ValueError, since this must never face a network.
    Port 0 takes a free one.
    """

    def __init__(
        self,
        misbehaviour: str | Misbehaviour,
        *,
        tls: ssl.SSLContext | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if not ipaddress.ip_address(address).is_loopback:
            raise ValueError(f"A misbehaving receiver listens on a loopback address only, not on {address}.")
        if isinstance(misbehaviour, str) and misbehaviour not in MISBEHAVIOURS:
            raise ValueError(f"No receiver misbehaves as {misbehaviour!r}; there are {', '.join(MISBEHAVIOURS)}.")
        self._behave = MISBEHAVIOURS[misbehaviour] if isinstance(misbehaviour, str) else misbehaviour
        self._tls = None if self._behave in _BELOW_TLS else tls
        self.stopping = threading.Event()
        self._changed = threading.Condition()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._requests: list[ReceivedRequest] = []
        self._connections = 0
        self.handshakes_failed = 0
        self.bytes_sent = 0
        self.errors: list[Exception] = []
        """What broke in a misbehaviour and is not the other side hanging up: a mistake in the function."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family)
        self.port: int = self._listener.getsockname()[1]
        host = f"[{address}]" if ":" in address else address
        self.url = f"http{'s' if tls else ''}://{host}:{self.port}/"
        self._accepting = threading.Thread(target=self._accept, name=f"receiver-{self.port}", daemon=True)
        self._accepting.start()

    @property
    def connections(self) -> int:
        """How many connections were accepted, whatever became of them."""
        return self._connections

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The whole requests that came, in their order."""
        with self._changed:
            return list(self._requests)

    def wait_for_requests(self, count: int, timeout_s: float = PATIENCE_S) -> bool:
        """Whether that many requests have come within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._requests) >= count, timeout_s)

    def keep(self, request: ReceivedRequest) -> None:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def count_sent(self, count: int) -> None:
        with self._changed:
            self.bytes_sent += count

    def close(self) -> None:
        """Hang up on everybody and wait until all threads have ended."""
        self.stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # accept() does not wake from a close
        self._accepting.join(PATIENCE_S)
        self._listener.close()
        with self._changed:
            under_way = list(self._open.items())
        for connection, _ in under_way:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for _, thread in under_way:
            thread.join(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE_S)
            with self._changed:
                self._connections += 1
                name = f"receiver-{self.port}-{self._connections}"
                thread = threading.Thread(
                    target=self._serve, args=(connection, self._connections), name=name, daemon=True
                )
                self._open[connection] = thread
                self._changed.notify_all()
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        talking = connection
        try:
            if self._tls is not None:
                talking = self._shaken(connection)
            self._behave(Visit(self, talking, number))
        except OSError:  # hung up on, timed out, or no handshake: all in a day's work
            pass
        except Exception as error:  # noqa: BLE001 - kept for whoever wrote the misbehaviour
            self.errors.append(error)
        finally:
            with self._changed:
                self._open.pop(connection, None)
            talking.close()
            connection.close()

    def _shaken(self, connection: socket.socket) -> ssl.SSLSocket:
        assert self._tls is not None
        try:
            # The raw socket stays ours, so that `close` can shut it down and `reset` can be a real one.
            talking = self._tls.wrap_socket(connection.dup(), server_side=True, do_handshake_on_connect=False)
        except OSError:
            self.handshakes_failed += 1
            raise
        try:
            talking.settimeout(PATIENCE_S)
            talking.do_handshake()
        except OSError:
            self.handshakes_failed += 1
            talking.close()
            raise
        return talking


def answering(status: int | str, *lines: str, body: bytes = b"") -> Misbehaviour:
    """Reads every request and always gives this one answer, on connections that stay open."""

    def behave(visit: Visit) -> None:
        while visit.request():
            visit.answer(status, *lines, body=body)

    return behave


def _head(status: int | str, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Said", *lines]).encode("latin-1")


def _sending(*parts: bytes) -> Misbehaviour:
    """Reads one request, sends these bytes and waits for the other side to make something of them."""

    def behave(visit: Visit) -> None:
        visit.request()
        for part in parts:
            visit.send(part)
        visit.wait_for_hang_up()

    return behave


def _reset_on_accept(visit: Visit) -> None:
    visit.reset()


def _reset_mid_headers(visit: Visit) -> None:
    visit.request()
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    visit.pause()  # an RST overtakes bytes that were not read yet
    visit.reset()


def _silent(visit: Visit) -> None:
    visit.request()
    visit.wait_for_hang_up()


def _trickle_body_500(visit: Visit) -> None:
    visit.request()
    visit.send(_head(500, "Content-Length: 100000", "", ""))
    while visit.pause():
        visit.send(b".")


def _trickle_head(visit: Visit) -> None:
    visit.request()
    visit.send(_head(200, "X-Slow: "))
    while visit.pause():
        visit.send(b".")


def _endless_body(visit: Visit) -> None:
    visit.request()
    visit.send(_head(200, "", ""))
    while not visit.receiver.stopping.is_set():
        visit.send(bytes(64 * 1024))


def _trailers(visit: Visit) -> None:
    visit.request()
    visit.send(_head(200, "Transfer-Encoding: chunked", "", "2\r\nok\r\n0\r\n"))
    for start in range(0, 100_000, 1000):
        visit.send(b"".join(b"X-Trailer-%d: a\r\n" % number for number in range(start, start + 1000)))
    visit.send(b"\r\n")
    visit.wait_for_hang_up()


def _pipelined_extra(visit: Visit) -> None:
    """A second answer nobody asked for comes with the first; later connections do the same."""
    while visit.request():
        first = _head(200, "Content-Length: 5", "", "first")
        visit.send(first + _head(500, "Content-Length: 6", "", "second"))


def _flap(visit: Visit) -> None:
    """200, 500, 200, 500 ... over all connections."""
    while visit.request():
        visit.answer(200 if len(visit.receiver.requests) % 2 else 500)


def _close_idle(visit: Visit) -> None:
    """Each connection serves one request; the second finds it closing."""
    if visit.request():
        visit.answer(200)
    visit.request()


def _half_close(visit: Visit) -> None:
    visit.request()
    visit.socket.shutdown(socket.SHUT_WR)
    visit.wait_for_hang_up()


def _tls_hang(visit: Visit) -> None:
    visit.wait_for_hang_up()


def _tls_reset(visit: Visit) -> None:
    visit.socket.recv(1)  # the beginning of a ClientHello
    visit.reset()


MISBEHAVIOURS: dict[str, Misbehaviour] = {
    # Connections
    "reset_on_accept": _reset_on_accept,
    "reset_mid_headers": _reset_mid_headers,
    "half_close": _half_close,
    "close_idle": _close_idle,
    "tls_hang": _tls_hang,
    "tls_reset": _tls_reset,
    # Time
    "silent": _silent,
    "trickle_head": _trickle_head,
    "trickle_body_500": _trickle_body_500,
    # Amount
    "endless_body": _endless_body,
    "br_bomb": answering(200, "Content-Encoding: br", body=_BROTLI_BOMB),
    "gzip_bomb": answering(200, "Content-Encoding: gzip", body=gzip.compress(bytes(10 * 1024 * 1024), mtime=0)),
    "lying_gzip": answering(200, "Content-Encoding: gzip", body=b"this is not gzip"),
    "huge_header": _sending(_head(200, "X-Huge: " + "a" * 1024 * 1024, "Content-Length: 0", "", "")),
    "many_headers": _sending(_head(200, *(f"X-{number}: a" for number in range(10_000)), "Content-Length: 0", "", "")),
    "interim_flood": _sending(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000),
    "trailers": _trailers,
    # HTTP
    "http09": _sending(b"<html>I have no status line</html>\n"),
    "status_0": answering("000"),
    "status_1000": answering("1000"),
    "cl_and_te": answering(200, "Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n"),
    "pipelined_extra": _pipelined_extra,
    "nul_header": answering(200, "X-Nul: a\x00b"),
    # What a browser would act on
    "xss_body": answering(200, "Content-Type: text/html", body=b"<script>alert(1)</script>"),
    "set_cookie": answering(200, "Set-Cookie: a=b; Path=/"),
    "hsts": answering(200, "Strict-Transport-Security: max-age=31536000; includeSubDomains; preload"),
    "www_auth": answering(401, "WWW-Authenticate: NTLM", "WWW-Authenticate: Negotiate"),
    "digest": answering(401, 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'),
    # Plain answers
    **{str(status): answering(status) for status in (200, 299, 400, 401, 404, 409, 410, 429, 500, 502, 503, 504)},
    "flap": _flap,
}
_BELOW_TLS = frozenset({_reset_on_accept, _tls_hang, _tls_reset})
