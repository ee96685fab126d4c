"""A proxy that makes a network fail: it stands between two programs on loopback and does to their bytes what it is told.

Everything can be changed while connections are open. Its loop runs in a thread of its own.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dockbell.clock import SystemClock

LOOK_AGAIN_S = 0.02
RESETS_WHEN_CLOSED = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Weather:
    """What happens to bytes on their way. Fine unless said."""

    latency_s: float = 0.0
    bytes_per_s: float = 0.0
    """0 is as fast as it goes."""
    slice_bytes: int = 0
    """Pass on in pieces of so many bytes, with a breath between."""
    limit_bytes: int = 0
    """Reset a connection after so many bytes back to who opened it."""
    is_black_hole: bool = False
    """Bytes stay here, and nobody is told."""
    is_refusing: bool = False
    """New connections are reset."""


class Proxy:
    def __init__(self, port: int) -> None:
        self.to_port = port
        """Where new connections lead."""
        self.weather = Weather()
        self.connections = 0
        self.bytes = 0
        self._clock = SystemClock()
        self._open: set[socket.socket] = set()
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._thread.start()
        self._listening.wait()

    def reset(self) -> None:
        """Every open connection ends with an RST to both sides."""
        self._loop.call_soon_threadsafe(self._reset_all)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024))
        self.port = int(server.sockets[0].getsockname()[1])
        self._listening.set()
        self._loop.run_forever()
        server.close()
        self._reset_all()
        for task in (left := asyncio.all_tasks(self._loop)):
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    def _reset_all(self) -> None:
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS_WHEN_CLOSED)
        for task in asyncio.all_tasks(self._loop):
            if task.get_name() == "pipe":
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.ExitStack() as at_the_end:
            at_the_end.enter_context(self._kept(writer))
            if self.weather.is_refusing:
                _set_to_reset(writer)
                return
            try:
                back, forth = await asyncio.open_connection("127.0.0.1", self.to_port)
            except OSError:
                _set_to_reset(writer)
                return
            at_the_end.enter_context(self._kept(forth))
            pipes = [
                asyncio.create_task(self._pass_on(reader, forth, back_to_opener=False), name="pipe"),
                asyncio.create_task(self._pass_on(back, writer, back_to_opener=True), name="pipe"),
            ]
            await asyncio.wait(pipes, return_when=asyncio.FIRST_EXCEPTION)
            for pipe in pipes:
                pipe.cancel()

    @contextlib.contextmanager
    def _kept(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        mine: Any = writer.get_extra_info("socket")._sock
        self._open.add(mine)
        try:
            yield
        finally:
            self._open.discard(mine)
            writer.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back_to_opener: bool
    ) -> None:
        passed = 0
        while data := await reader.read(64 * 1024):
            while self.weather.is_black_hole:
                await self._clock.sleep(LOOK_AGAIN_S)
            weather = self.weather
            if weather.latency_s:
                await self._clock.sleep(weather.latency_s)
            for piece in _pieces(data, weather.slice_bytes):
                if weather.bytes_per_s:
                    await self._clock.sleep(len(piece) / weather.bytes_per_s)
                elif weather.slice_bytes:
                    await self._clock.sleep(0)
                passed += len(piece)
                self.bytes += len(piece)
                if back_to_opener and weather.limit_bytes and passed > weather.limit_bytes:
                    _set_to_reset(writer)
                    raise ConnectionResetError
                writer.write(piece)
                await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            raise ConnectionResetError


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    step = size or len(data)
    return (data[at : at + step] for at in range(0, len(data), step))


def _set_to_reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS_WHEN_CLOSED)


@contextlib.contextmanager
def a_proxy(port: int) -> Iterator[Proxy]:
    """Before the program that listens on `port`."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
