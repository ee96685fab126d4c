"""uvicorn as Dockbell runs it: the fast parser, limits for those who connect, and an end that waits for attempts."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

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


async def tell_when_started(server: uvicorn.Server, ready: Callable[[], None]) -> None:
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # noqa: TID251 - uvicorn offers no event to wait for
    ready()
