"""uvicorn as Dockbell runs it: the fast parser, limits for those who connect, and an end that waits for attempts."""

import asyncio
import errno
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from dockbell.errors import ConfigError
from dockbell.web.connection import Connection, Limits, protocol_with

REQUESTS_END_S = 5


class HttpServer(uvicorn.Server):
    """uvicorn that only ends when a signal comes: its own way is to send itself the signal again, and then nobody
    would wait for attempts under way.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for each in signals:
            loop.add_signal_handler(each, self.handle_exit, each, None)
        try:
            yield
        finally:
            for each in signals:
                loop.remove_signal_handler(each)


def a_server(
    asgi: Any, host: str, port: int, limits: Limits | None = None, *, protocol: type[Connection] = Connection
) -> HttpServer:
    """Uvicorn with the fast parser, with limits for those who connect, and without a log line per request."""
    return HttpServer(
        uvicorn.Config(
            asgi,
            host=host,
            port=port,
            http=protocol_with(protocol, limits or Limits()),  # type: ignore[arg-type]
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=2048,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=REQUESTS_END_S,
        ),
    )


def taken_addresses(host: str, port: int) -> list[socket.socket]:
    """Sockets with every address that `host` means, to listen on later. Raises ConfigError."""
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            if family == socket.AF_INET6 and not _has_ipv6():
                continue  # `localhost` is both, also on a machine that has but one
            sockets.append(taken := socket.socket(family, kind, protocol))
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            taken.bind(address)
    except (OSError, UnicodeError) as error:  # the name is not known, or can be none
        for each in sockets:
            each.close()
        number, why = (error.errno, error.strerror) if isinstance(error, OSError) else (None, "it is no name")
        raise ConfigError(
            f"Dockbell cannot listen on {host} (server.host), port {port} (server.port): {why}.",
            hint=_WAY_OUT.get(number or 0, "Name an address of this machine in server.host, such as 127.0.0.1."),
        ) from error
    return sockets


def _has_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


_WAY_OUT = {
    errno.EADDRINUSE: "Another program has that port: end it, or name another in server.port (DOCKBELL_SERVER__PORT).",
    errno.EACCES: "Ports below 1024 need privileges: name a higher one in server.port, and let the proxy have that one.",
}


async def tell_when_started(server: uvicorn.Server, ready: Callable[[], None]) -> None:
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # noqa: TID251 - uvicorn offers no event to wait for
    ready()
