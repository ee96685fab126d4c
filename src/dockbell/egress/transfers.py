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
import time

import pycurl

from dockbell.domain.delivery import Outcome
from dockbell.egress import outcomes
from dockbell.egress.exchange import IDLE_S, Exchange, Job, Limits, MayConnect, Pool

TICK_S = 0.25
_EASIES_KEPT = 4
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_log = logging.getLogger("dockbell.egress")


class Transfers:
    """All exchanges under way."""

    def __init__(
        self,
        may_connect: MayConnect,
        *,
        ca_file: str,
        connect_timeout_s: float,
        body_timeout_s: float,
        response_body_limit: int,
    ) -> None:
        self._may_connect = may_connect
        self._limits = Limits(ca_file, max(1, int(connect_timeout_s * 1000)), response_body_limit)
        self._body_timeout_s = body_timeout_s
        self._epoll = select.epoll()
        self._wake_fd = -1
        self._pools: dict[tuple[tuple[int, int], str, str, int], Pool] = {}
        self._pools_made = 0
        self._forgotten: list[str] = []
        self._under_way: dict[pycurl.Curl, Exchange] = {}
        self._ended: list[tuple[Job, Outcome]] = []
        self._next_tick = 0.0
        self._watched: set[int] = set()
        self._masks: dict[int, tuple[int, int]] = {}
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
        # Asked once a turn and not told through libcurl's timer callback, which takes the GIL twice for each request.
        after_ms = self._multi.timeout()
        if after_ms >= 0:
            timeout_s = after_ms / 1000 if timeout_s is None else min(timeout_s, after_ms / 1000)
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
        if self._multi.timeout() == 0:
            act(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()
        now = time.monotonic()
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
        for exchange in list(self._under_way.values()):
            self._end(exchange, outcomes.without_answer(reason, detail), keep=False)
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
        self._watched.clear()
        self._masks.clear()
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
        exchange = (
            pool.easies.pop() if pool.easies else Exchange(pool, self._may_connect, self._limits, self._count_socket)
        )
        exchange.prepare(job)
        easy = exchange.easy
        if pool.addresses != job.addresses:
            spelled = ",".join(f"[{address}]" if ":" in address else address for address in job.addresses)
            easy.setopt(pycurl.RESOLVE, [*self._forgotten, f"{pool.name}:{job.request.url.port}:{spelled}"])
            pool.addresses = job.addresses
            self._forgotten.clear()
        self._multi.add_handle(easy)
        self._under_way[easy] = exchange
        pool.in_flight += 1
        pool.last_used = self._used_at = job.submitted
        self._fresh = False

    def _pool_of(self, job: Job) -> Pool:
        url = job.request.url
        key = (job.request.pool, url.scheme, url.host, url.port)
        pool = self._pools.get(key)
        if pool is None:
            self._pools_made += 1
            name = f"pool-{self._pools_made}.invalid"
            host = f"[{url.host}]" if ":" in url.host else url.host
            pool = Pool(name, f"{url.scheme}://{host}:{url.port}/", [f"::{name}:"])
            self._pools[key] = pool
        return pool

    def _count_socket(self) -> None:
        self._sockets_opened += 1

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
        exchange = self._under_way[easy]
        outcome: Outcome
        try:
            if exchange.sent == 2:
                self.retried_at_once += 1
                _log.info("egress.retried_at_once pool=%s", exchange.job.request.pool)
            outcome = exchange.outcome(code, message)
        except Exception as error:
            _log.exception("egress.finish_failed")
            outcome = outcomes.without_answer("internal_error", f"{type(error).__name__}: {error}")
        self._end(exchange, outcome, keep=True)

    def _end(self, exchange: Exchange, outcome: Outcome, *, keep: bool) -> None:
        """Hand the outcome over. Taking the handle out in the middle of an exchange closes its connection."""
        pool = exchange.pool
        del self._under_way[exchange.easy]
        self._ended.append((exchange.job, outcome))
        pool.in_flight -= 1
        self._multi.remove_handle(exchange.easy)
        if keep and not pool.closed and len(pool.easies) < _EASIES_KEPT:
            pool.easies.append(exchange)
        else:
            exchange.close()

    def _tick(self, now: float) -> None:
        late = now - self._body_timeout_s
        for exchange in [t for t in self._under_way.values() if 0 < t.complete_at < late]:
            self._end(exchange, exchange.answered(cut=True), keep=False)
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
        for exchange in pool.easies:
            exchange.close()
        pool.easies.clear()
