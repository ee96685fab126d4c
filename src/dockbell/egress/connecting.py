"""Opening a connection: every address is judged with its socket at hand, TLS is spoken with the URL's host alone."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from dockbell.domain.delivery import Outcome
from dockbell.egress import outcomes
from dockbell.egress.connection import Connection, Job
from dockbell.egress.guard import DENIED
from dockbell.errors import ConfigError

NEXT_ADDRESS_AFTER_S = 0.25
"""So long an address is waited for alone, before the next is tried beside it (RFC 8305)."""
GOODBYE_S = 1.0

MayConnect = Callable[[str, int, frozenset[int]], bool]
"""The guard's last word: may this address and port be connected to for these goods owners?"""


class _Denied(Exception):
    """The policy does not let us connect there."""


async def connect(
    job: Job, connection_to: Callable[[str], Connection], tls: ssl.SSLContext, may_connect: MayConnect
) -> Connection | Outcome:
    """A connection that can carry the job, or why there is none."""
    began = time.monotonic()
    try:
        opened, address = await _first_of(job, may_connect)
    except _Denied:
        return DENIED
    except OSError as error:
        return outcomes.not_connected(error, job.addresses[-1], job.timings(time.monotonic()))
    job.address = address
    connected = time.monotonic()
    job.connect_us = int((connected - began) * 1_000_000)
    url, loop = job.request.url, asyncio.get_running_loop()
    connection = connection_to(address)
    try:
        if url.scheme == "https":
            job.is_shaking_hands = True
            await loop.create_connection(
                lambda: connection, sock=opened, ssl=tls, server_hostname=url.host, ssl_shutdown_timeout=GOODBYE_S
            )
            job.is_shaking_hands = False
            job.tls_us = int((time.monotonic() - connected) * 1_000_000)
        else:
            await loop.create_connection(lambda: connection, sock=opened)
    except (OSError, UnicodeError) as error:
        opened.close()
        why = outcomes.not_shaken_hands if job.is_shaking_hands else outcomes.not_connected
        return why(error, address, job.timings(time.monotonic()))
    except BaseException:
        connection.close()
        opened.close()
        raise
    return connection


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """TLS from 1.2 on that believes `ca_file`, or what the operating system trusts. Raises ConfigError."""
    file = ca_file or _system_ca_file()
    try:
        context = ssl.create_default_context(cafile=file)
    except OSError as error:  # also ssl.SSLError
        raise ConfigError(
            f"{file} cannot be read as a list of trusted certificates: {error}.",
            hint="Name a PEM file in DOCKBELL_EGRESS__CA_FILE.",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _system_ca_file() -> str:
    for path in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"):
        if Path(path).is_file():
            return path
    raise ConfigError(
        "No CA bundle was found, so no https receiver could be trusted.",
        hint="Install the package ca-certificates, or name a PEM file in egress.ca_file.",
    )


async def _first_of(job: Job, may_connect: MayConnect) -> tuple[socket.socket, str]:
    """Try the addresses in order, the next as soon as one failed or let us wait; the first that is connected."""
    waiting = list(job.addresses)
    trying: set[asyncio.Task[tuple[socket.socket, str]]] = set()
    failed: BaseException | None = None
    try:
        while waiting or trying:
            if waiting:
                trying.add(asyncio.ensure_future(_to(waiting.pop(0), job, may_connect)))
            done, trying = await asyncio.wait(
                trying, timeout=NEXT_ADDRESS_AFTER_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                failed = task.exception()
                if failed is None:
                    for late in done - {task}:
                        _throw_away(late)
                    return task.result()
                if isinstance(failed, _Denied):
                    raise failed
        assert failed is not None
        raise failed
    finally:
        for task in trying:
            task.add_done_callback(_throw_away)
            task.cancel()


def _throw_away(task: asyncio.Task[tuple[socket.socket, str]]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result()[0].close()


async def _to(address: str, job: Job, may_connect: MayConnect) -> tuple[socket.socket, str]:
    """The last gate: asked with exactly the address that is connected to next."""
    port = job.request.url.port
    if not may_connect(address, port, job.request.goods_owners):
        raise _Denied
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(opened, (address, port))
    except BaseException:
        opened.close()
        raise
    return opened, address
