"""libcurl behind one door: many POSTs at once on one epoll, each ending in exactly one outcome.

One libcurl multi handle carries all connections, so that the CA bundle is parsed once (it costs 1 MB and 7 ms in
each multi handle) and idle connections are counted once. What keeps one pool's connections from another's is the
name they are connected under: every pool has a name of its own below `.invalid`, given with CONNECT_TO and made to
mean the judged addresses with RESOLVE. libcurl reuses a connection only under the same name, and a name it has not
been told about leads nowhere (RFC 6761, section 6.4), so it never looks up a host by itself.

Not thread-safe: everything here happens in the sender's thread.
"""

import errno
import logging
import os
import resource
import select
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
TICK_S = 0.25
_EASIES_KEPT = 4
# Blank values are libcurl's way to leave out a header it would add by itself.
_NOTHING_ADDED = ("Accept:", "Content-Type:", "Expect:", "User-Agent:")
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_log = logging.getLogger("dockbell.egress")


@dataclass(slots=True, eq=False)
class Job:
    """One request on its way: what to send, where to, and for whom."""

    token: object
    request: OutgoingRequest
    submitted: float
    addresses: tuple[str, ...] = ()
    dns_us: int = 0


@dataclass(slots=True, eq=False)
class _Pool:
    """The connections of one webhook and goods owner to one host and port."""

    name: str
    base: str
    connect_to: list[str]
    addresses: tuple[str, ...] = ()
    in_flight: int = 0
    last_used: float = 0.0
    closed: bool = False
    easies: list["_Transfer"] = field(default_factory=list)


class _Transfer:
    """One easy handle and what the exchange it carries has brought so far."""

    __slots__ = (
        "allowed", "body", "body_bytes", "body_limit", "complete_at", "denied", "easy", "fault", "head", "head_bytes",
        "interim", "job", "judge", "pool", "sent",
    )  # fmt: skip

    def __init__(self, pool: _Pool, judge: Callable[[str, int, frozenset[int]], bool], body_limit: int) -> None:
        self.easy = pycurl.Curl()
        self.pool = pool
        self.judge = judge
        self.body_limit = body_limit

    def reset(self, job: Job) -> None:
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

    def on_header(self, line: bytes) -> int | None:
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
        if self.head[:1] and self.head[0][9:10] == b"1" and self.head[0][9:12] != b"101":
            self.interim += 1
            self.head = []
            return self._refuse(f"More than {INTERIM_HEADS} interim heads.") if self.interim > INTERIM_HEADS else None
        self.complete_at = time.monotonic()
        names = b"".join(self.head).lower()
        if b"\ntransfer-encoding:" in names and b"\ncontent-length:" in names:
            # RFC 9112, section 6.3: two lengths are an attempt at smuggling; nobody may use this connection again.
            return -1
        return None

    def on_body(self, part: bytes) -> int | None:
        room = self.body_limit - self.body_bytes
        if len(part) > room:
            self.body.append(part[:room])
            self.body_bytes = self.body_limit
            return -1
        self.body.append(part)
        self.body_bytes += len(part)
        return None

    def on_open(self, purpose: int, address: tuple[int, int, int, object]) -> "socket.socket | int":
        """The last gate: libcurl is about to connect to exactly this address."""
        family, kind, protocol, where = address
        try:
            if (
                self.denied
                or family not in (socket.AF_INET, socket.AF_INET6)
                or not isinstance(where, tuple)
                or not self.judge(where[0], where[1], self.job.request.goods_owners)
            ):
                self.denied = True
            if self.denied:
                return int(pycurl.SOCKET_BAD)
            return socket.socket(family, kind, protocol)
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

    def on_request(self, address: str, _local: str, port: int, _local_port: int) -> int:
        """Asked before the request goes out on a connection, new or kept alive."""
        self.sent += 1
        if self.sent > 2:
            self.fault = ("connection_reset", "The receiver closed one kept-alive connection after the other.")
            return int(pycurl.PREREQFUNC_ABORT)
        try:
            if address in self.allowed or self.judge(address, port, self.job.request.goods_owners):
                return int(pycurl.PREREQFUNC_OK)
            self.denied = True
        except Exception:
            _log.exception("egress.judging_failed")
            self.fault = ("internal_error", "Judging an address failed; see the log.")
        return int(pycurl.PREREQFUNC_ABORT)

    def _refuse(self, why: str) -> int:
        self.fault = self.fault or ("protocol_error", why)
        return -1


class Transfers:
    """All exchanges under way. `judge` is the guard's last word on an address."""

    def __init__(
        self,
        judge: Callable[[str, int, frozenset[int]], bool],
        *,
        ca_file: str,
        connect_timeout_s: float,
        body_timeout_s: float,
        response_body_limit: int,
    ) -> None:
        self._judge = judge
        self._ca_file = ca_file
        self._connect_timeout_ms = max(1, int(connect_timeout_s * 1000))
        self._body_timeout_s = body_timeout_s
        self._body_limit = response_body_limit
        self._epoll = select.epoll()
        self._wake_fd = -1
        self._pools: dict[tuple[tuple[int, int], str, str, int], _Pool] = {}
        self._pools_made = 0
        self._forgotten: list[str] = []
        self._under_way: dict[pycurl.Curl, _Transfer] = {}
        self._ended: list[tuple[Job, Outcome]] = []
        self._next_tick = 0.0
        self.retried_at_once = 0
        """Requests that went out a second time because a kept-alive connection had died without one byte."""
        self._open()

    def __len__(self) -> int:
        return len(self._under_way)

    def watch(self, fd: int) -> None:
        """Make `turn` return when this eventfd is written to."""
        self._wake_fd = fd
        self._epoll.register(fd, _IN)

    def begin(self, job: Job) -> None:
        """Start one exchange; whatever is wrong with it becomes its outcome."""
        try:
            self._begin(job)
        except Exception as error:
            _log.exception("egress.begin_failed")
            self._ended.append((job, outcomes.without_answer("internal_error", f"{type(error).__name__}: {error}")))

    def turn(self, timeout_s: float | None) -> list[tuple[Job, Outcome]]:
        """Wait until something happens, at most `timeout_s` (None: for ever); the exchanges that ended."""
        now = time.monotonic()
        if self._timer is not None:
            timeout_s = min(timeout_s, self._timer - now) if timeout_s is not None else self._timer - now
        if self._under_way:
            timeout_s = TICK_S if timeout_s is None else min(timeout_s, TICK_S)
        if self._ended:
            timeout_s = 0
        events = self._epoll.poll(-1 if timeout_s is None else max(0.0, timeout_s))
        act = self._multi.socket_action
        for fd, event in events:
            if fd in self._watched:
                act(fd, (pycurl.CSELECT_IN if event & ~_OUT else 0) | (pycurl.CSELECT_OUT if event & _OUT else 0))
            elif fd == self._wake_fd:
                os.eventfd_read(fd)
            else:
                self._unregister(fd)
        now = time.monotonic()
        if self._timer is not None and self._timer <= now:
            self._timer = None
            act(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()
        if now >= self._next_tick:
            self._next_tick = now + TICK_S
            self._tick(now)
        ended, self._ended = self._ended, []
        return ended

    def close_pool(self, pool: tuple[int, int]) -> None:
        """No later request of this pool uses a connection that is open now."""
        for key in [key for key in self._pools if key[0] == pool]:
            self._drop(key)

    def abort_all(self, reason: str, detail: str) -> list[tuple[Job, Outcome]]:
        """End everything under way and start afresh with a new multi handle."""
        for transfer in list(self._under_way.values()):
            self._end(transfer, outcomes.without_answer(reason, detail), keep=False)
        self._reopen()
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        for key in list(self._pools):
            self._drop(key)
        self._multi.close()
        self._epoll.close()

    def _open(self) -> None:
        self._multi = pycurl.CurlMulti()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._multi.setopt(pycurl.M_MAXCONNECTS, max(16, min(2048, limit // 4)))
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._timer: float | None = None
        self._watched: set[int] = set()
        self._masks: dict[int, tuple[int, int]] = {}
        self._sockets_opened = 0
        self._used_at = time.monotonic()
        self._fresh = True

    def _reopen(self) -> None:
        for key in list(self._pools):
            self._drop(key)
        self._forgotten.clear()
        for fd in list(self._masks):
            self._unregister(fd)
        self._multi.close()
        self._open()

    def _begin(self, job: Job) -> None:
        pool = self._pool_of(job)
        transfer = pool.easies.pop() if pool.easies else self._new_transfer(pool)
        transfer.reset(job)
        easy, request = transfer.easy, job.request
        if pool.addresses != job.addresses:
            spelled = ",".join(f"[{address}]" if ":" in address else address for address in job.addresses)
            easy.setopt(pycurl.RESOLVE, [*self._forgotten, f"{pool.name}:{request.url.port}:{spelled}"])
            pool.addresses = job.addresses
            self._forgotten.clear()
        easy.setopt(pycurl.REQUEST_TARGET, request.url.target)
        easy.setopt(pycurl.HTTPHEADER, header_list(request.headers))
        easy.setopt(pycurl.POSTFIELDS, request.body)
        easy.setopt(pycurl.TIMEOUT_MS, max(1, int(request.timeout_s * 1000) - job.dns_us // 1000))
        self._multi.add_handle(easy)
        self._under_way[easy] = transfer
        pool.in_flight += 1
        pool.last_used = self._used_at = job.submitted
        self._fresh = False

    def _pool_of(self, job: Job) -> _Pool:
        url = job.request.url
        key = (job.request.pool, url.scheme, url.host, url.port)
        pool = self._pools.get(key)
        if pool is None:
            self._pools_made += 1
            name = f"pool-{self._pools_made}.invalid"
            host = f"[{url.host}]" if ":" in url.host else url.host
            pool = _Pool(name, f"{url.scheme}://{host}:{url.port}/", [f"::{name}:"])
            self._pools[key] = pool
        return pool

    def _new_transfer(self, pool: _Pool) -> _Transfer:
        transfer = _Transfer(pool, self._judge, self._body_limit)
        easy = transfer.easy
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
            (pycurl.CAINFO, self._ca_file),
            (pycurl.CONNECTTIMEOUT_MS, self._connect_timeout_ms),
            (pycurl.MAXAGE_CONN, IDLE_S),
            (pycurl.MAXLIFETIME_CONN, LIFETIME_S),
            (pycurl.OPENSOCKETFUNCTION, self._opener(transfer)),
            (pycurl.PREREQFUNCTION, transfer.on_request),
            (pycurl.HEADERFUNCTION, transfer.on_header),
            (pycurl.WRITEFUNCTION, transfer.on_body),
        ):
            easy.setopt(option, value)
        return transfer

    def _opener(self, transfer: _Transfer) -> Callable[..., object]:
        def open_socket(purpose: int, address: tuple[int, int, int, object]) -> object:
            self._sockets_opened += 1
            return transfer.on_open(purpose, address)

        return open_socket

    def _on_socket(self, what: int, fd: int, _multi: object, _data: object) -> None:
        """libcurl tells which sockets it waits for.

        A kept-alive socket stays registered while it is idle; taking it out and in again is two system calls per
        request. A number may have come to mean another socket only if one was opened since.
        """
        if what == pycurl.POLL_REMOVE:
            self._watched.discard(fd)
            return
        mask = (_IN if what & pycurl.POLL_IN else 0) | (_OUT if what & pycurl.POLL_OUT else 0)
        self._watched.add(fd)
        wanted = (mask, self._sockets_opened)
        if self._masks.get(fd) == wanted:
            return
        try:
            self._epoll.modify(fd, mask)
        except FileNotFoundError:
            self._epoll.register(fd, mask)
        self._masks[fd] = wanted

    def _on_timer(self, after_ms: int) -> None:
        self._timer = None if after_ms < 0 else time.monotonic() + after_ms / 1000

    def _unregister(self, fd: int) -> None:
        self._masks.pop(fd, None)
        try:
            self._epoll.unregister(fd)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBADF):
                raise

    def _collect(self) -> None:
        more = 1
        while more:
            more, succeeded, failed = self._multi.info_read(256)
            for easy in succeeded:
                self._finish(easy, 0, "")
            for easy, code, message in failed:
                self._finish(easy, code, message)

    def _finish(self, easy: pycurl.Curl, code: int, message: str) -> None:
        transfer = self._under_way[easy]
        job = transfer.job
        outcome: Outcome
        try:
            if transfer.sent == 2:
                self.retried_at_once += 1
                _log.info("egress.retried_at_once pool=%s", job.request.pool)
            if transfer.denied:
                outcome = DENIED
            elif transfer.complete_at:
                body = b"".join(transfer.body)
                outcome = outcomes.answered(easy, transfer.head, body, cut=code != 0, dns_us=job.dns_us)
            elif transfer.fault is not None:
                timings = outcomes.timings_of(easy, job.dns_us)
                outcome = Unanswered(*transfer.fault, easy.getinfo(pycurl.PRIMARY_IP) or "", timings)
            else:
                outcome = outcomes.unanswered(easy, code, message or easy.errstr(), dns_us=job.dns_us)
        except Exception as error:
            _log.exception("egress.finish_failed")
            outcome = outcomes.without_answer("internal_error", f"{type(error).__name__}: {error}")
        self._end(transfer, outcome, keep=True)

    def _end(self, transfer: _Transfer, outcome: Outcome, *, keep: bool) -> None:
        """Hand the outcome over. Taking the handle out in the middle of an exchange closes its connection."""
        pool = transfer.pool
        del self._under_way[transfer.easy]
        self._ended.append((transfer.job, outcome))
        pool.in_flight -= 1
        self._multi.remove_handle(transfer.easy)
        if keep and not pool.closed and len(pool.easies) < _EASIES_KEPT:
            pool.easies.append(transfer)
        else:
            transfer.easy.close()

    def _tick(self, now: float) -> None:
        late = now - self._body_timeout_s
        for transfer in [t for t in self._under_way.values() if 0 < t.complete_at < late]:
            body = b"".join(transfer.body)
            outcome = outcomes.answered(transfer.easy, transfer.head, body, cut=True, dns_us=transfer.job.dns_us)
            self._end(transfer, outcome, keep=False)
        for key in [key for key, pool in self._pools.items() if now - pool.last_used > IDLE_S and not pool.in_flight]:
            self._drop(key)
        if not self._under_way and not self._fresh and now - self._used_at > IDLE_S:
            # libcurl looks at idle connections only when it opens another; this closes the last ones.
            self._reopen()

    def _drop(self, key: tuple[tuple[int, int], str, str, int]) -> None:
        """Forget a pool. Its name is never used again, so its idle connections only wait for their age to end."""
        pool = self._pools.pop(key)
        pool.closed = True
        self._forgotten.append(f"-{pool.name}:{key[3]}")
        for transfer in pool.easies:
            transfer.easy.close()
        pool.easies.clear()


def header_list(lines: tuple[bytes | str, ...]) -> list[bytes | str]:
    """The lines as libcurl wants them: `Name;` for a blank value, and blank lines for what it must not add."""
    given: list[bytes | str] = []
    for line in lines:
        if isinstance(line, bytes):
            bare_bytes = line.rstrip(b" \t")
            given.append(bare_bytes[:-1] + b";" if bare_bytes.endswith(b":") else line)
        else:
            bare = line.rstrip(" \t")
            given.append(bare[:-1] + ";" if bare.endswith(":") else line)
    given.extend(_NOTHING_ADDED)
    return given
