"""One exchange with a receiver: a request, the libcurl handle that carries it, and what came back.

libcurl asks while the exchange goes on: may this address be connected to, may the request go out on this
connection, shall more of the answer be read. The answers are here; `Transfers` only lets libcurl ask.
"""

import errno
import logging
import re
import resource
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pycurl

from dockbell.domain.delivery import Outcome, Unanswered
from dockbell.domain.request import OutgoingRequest
from dockbell.egress import outcomes
from dockbell.egress.guard import DENIED

HEADER_LINES = 128
HEADER_LINE_BYTES = 8 * 1024
HEAD_BYTES = 64 * 1024
INTERIM_HEADS = 16
# A connection that is idle longer, or older, is not used again: names move.
IDLE_S = 60
LIFETIME_S = 300
# Blank values are libcurl's way to leave out a header it would add by itself.
_NOTHING_ADDED = ("Accept:", "Content-Type:", "Expect:", "User-Agent:")
_log = logging.getLogger("dockbell.egress")

# RFC 9112, section 4; other first digits belong to no class of answers (RFC 9110, section 15).
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-5][0-9][0-9][ \r\n]")

MayConnect = Callable[[str, int, frozenset[int]], bool]
"""The guard's last word: may this address and port be connected to for these goods owners?"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What every exchange is held to."""

    ca_file: str
    connect_timeout_ms: int
    body_bytes: int


@dataclass(slots=True, eq=False)
class Job:
    """One request on its way: what to send, where to, and for whom."""

    token: object
    request: OutgoingRequest
    submitted: float
    addresses: tuple[str, ...] = ()
    dns_us: int = 0


@dataclass(slots=True, eq=False)
class Pool:
    """The connections of one webhook and goods owner to one host and port."""

    name: str
    base: str
    connect_to: list[str]
    addresses: tuple[str, ...] = ()
    in_flight: int = 0
    last_used: float = 0.0
    closed: bool = False
    easies: list["Exchange"] = field(default_factory=list)


class Exchange:
    """One easy handle and what the exchange it carries has brought so far. Used again for the same pool."""

    __slots__ = (
        "allowed", "body", "body_bytes", "complete_at", "denied", "easy", "fault", "head", "head_bytes", "interim", "job",
        "limits", "may_connect", "opened", "pool", "sent",
    )  # fmt: skip

    def __init__(self, pool: Pool, may_connect: MayConnect, limits: Limits, on_open: Callable[[], None]) -> None:
        """`on_open` is called before each socket is opened."""
        self.easy = pycurl.Curl()
        self.pool = pool
        self.may_connect = may_connect
        self.limits = limits
        self.opened: socket.socket | None = None
        """The socket opened last. libcurl has a descriptor of its own for it, so ours is closed when the exchange ends."""

        def open_socket(_purpose: int, address: tuple[int, int, int, object]) -> object:
            on_open()
            return self._open_socket(address)

        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.URL, pool.base),
            (pycurl.CONNECT_TO, pool.connect_to),
            (pycurl.POST, 1),
            (pycurl.PATH_AS_IS, 1),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.HTTP09_ALLOWED, 0),
            (pycurl.HTTP_CONTENT_DECODING, 0),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.PROXY, ""),
            (pycurl.NOPROXY, "*"),
            (pycurl.NETRC, pycurl.NETRC_IGNORED),
            (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
            (pycurl.SSL_VERIFYPEER, 1),
            (pycurl.SSL_VERIFYHOST, 2),
            (pycurl.CAINFO, limits.ca_file),
            (pycurl.CONNECTTIMEOUT_MS, limits.connect_timeout_ms),
            (pycurl.MAXAGE_CONN, IDLE_S),
            (pycurl.MAXLIFETIME_CONN, LIFETIME_S),
            (pycurl.OPENSOCKETFUNCTION, open_socket),
            (pycurl.PREREQFUNCTION, self._on_request),
            (pycurl.HEADERFUNCTION, self._on_header),
            (pycurl.WRITEFUNCTION, self._on_body),
        ):
            self.easy.setopt(option, value)

    def prepare(self, job: Job) -> None:
        """Begin anew, with this job's request."""
        self._close_opened()
        self.job = job
        self.allowed = job.addresses
        self.head: list[bytes] = []
        self.head_bytes = 0
        self.interim = 0
        self.complete_at = 0.0
        self.body: list[bytes] = []
        self.body_bytes = 0
        self.sent = 0
        self.denied = False
        self.fault: tuple[str, str] | None = None
        request = job.request
        self.easy.setopt(pycurl.REQUEST_TARGET, request.url.target)
        self.easy.setopt(pycurl.HTTPHEADER, header_list(request.headers))
        self.easy.setopt(pycurl.POSTFIELDS, request.body)
        self.easy.setopt(pycurl.TIMEOUT_MS, max(1, int(request.timeout_s * 1000) - job.dns_us // 1000))

    def outcome(self, code: int, message: str) -> Outcome:
        """What became of the exchange, by libcurl's code (0: it went through) and words."""
        self._close_opened()
        if self.denied:
            return DENIED
        if self.complete_at:
            return self.answered(cut=code != 0)
        if self.fault is not None:
            timings = outcomes.timings_of(self.easy, self.job.dns_us)
            return Unanswered(*self.fault, self.easy.getinfo(pycurl.PRIMARY_IP) or "", timings)
        return outcomes.unanswered(self.easy, code, message or self.easy.errstr(), dns_us=self.job.dns_us)

    def answered(self, *, cut: bool) -> Outcome:
        """The answer as far as it has come; `cut` when its body is not whole."""
        return outcomes.answered(self.easy, self.head, b"".join(self.body), cut=cut, dns_us=self.job.dns_us)

    def _on_header(self, line: bytes) -> int | None:
        """Collect one line. Anything but None ends the transfer and closes its connection."""
        self.head_bytes += len(line)
        if self.head_bytes > HEAD_BYTES or len(line) > HEADER_LINE_BYTES:
            return self._refuse(f"A header line of {len(line)} bytes, {self.head_bytes} in all, is too much.")
        if self.complete_at:
            return None  # trailers are read and forgotten
        if line not in (b"\r\n", b"\n"):
            self.head.append(line)
            if len(self.head) > HEADER_LINES + 1:
                return self._refuse(f"More than {HEADER_LINES} header lines.")
            return None
        if not _STATUS_LINE.match(self.head[0] if self.head else b""):
            return self._refuse("The status line has no status from 100 to 599.")
        if self.head[0][9:10] == b"1" and self.head[0][9:12] != b"101":
            self.interim += 1
            self.head = []
            return self._refuse(f"More than {INTERIM_HEADS} interim heads.") if self.interim > INTERIM_HEADS else None
        self.complete_at = time.monotonic()
        names = b"".join(self.head).lower()
        if b"\ntransfer-encoding:" in names and b"\ncontent-length:" in names:
            # RFC 9112, section 6.3: two lengths are an attempt at smuggling; nobody may use this connection again.
            return -1
        return None

    def _on_body(self, part: bytes) -> int | None:
        room = self.limits.body_bytes - self.body_bytes
        if len(part) > room:
            self.body.append(part[:room])
            self.body_bytes = self.limits.body_bytes
            return -1
        self.body.append(part)
        self.body_bytes += len(part)
        return None

    def _open_socket(self, address: tuple[int, int, int, object]) -> socket.socket | int:
        """The last gate: libcurl is about to connect to exactly this address."""
        family, kind, protocol, where = address
        try:
            if (
                self.denied
                or family not in (socket.AF_INET, socket.AF_INET6)
                or not isinstance(where, tuple)
                or not self.may_connect(where[0], where[1], self.job.request.goods_owners)
            ):
                self.denied = True
            if self.denied:
                return int(pycurl.SOCKET_BAD)
            self._close_opened()
            self.opened = socket.socket(family, kind, protocol)
            return self.opened
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
                self.fault = ("file_descriptors", f"No file descriptor is left (the limit is {limit}); raise it.")
            else:
                self.fault = ("internal_error", f"Opening a socket failed: {error}")
        except Exception:
            _log.exception("egress.judging_failed")
            self.fault = ("internal_error", "Judging an address failed; see the log.")
        return int(pycurl.SOCKET_BAD)

    def _on_request(self, address: str, _local: str, port: int, _local_port: int) -> int:
        """Asked before the request goes out on a connection, new or kept alive."""
        self.sent += 1
        if self.sent > 2:
            self.fault = ("connection_reset", "The receiver closed one kept-alive connection after the other.")
            return int(pycurl.PREREQFUNC_ABORT)
        try:
            if address in self.allowed or self.may_connect(address, port, self.job.request.goods_owners):
                return int(pycurl.PREREQFUNC_OK)
            self.denied = True
        except Exception:
            _log.exception("egress.judging_failed")
            self.fault = ("internal_error", "Judging an address failed; see the log.")
        return int(pycurl.PREREQFUNC_ABORT)

    def close(self) -> None:
        self._close_opened()
        self.easy.close()

    def _close_opened(self) -> None:
        if self.opened is not None:
            self.opened.close()
            self.opened = None

    def _refuse(self, why: str) -> int:
        self.fault = self.fault or ("protocol_error", why)
        return -1


def header_list(lines: tuple[bytes | str, ...]) -> list[bytes | str]:
    """The lines as libcurl wants them: `Name;` for a blank value, and blank lines for what it must not add."""
    given: list[bytes | str] = []
    for line in lines:
        if isinstance(line, bytes):
            bare_bytes = line.rstrip(b" \t")
            given.append(bare_bytes[:-1] + b";" if bare_bytes.endswith(b":") else line)
        elif line[-1] not in ": \t":  # the usual line
            given.append(line)
        else:
            bare = line.rstrip(" \t")
            given.append(bare[:-1] + ";" if bare.endswith(":") else line)
    given.extend(_NOTHING_ADDED)
    return given
