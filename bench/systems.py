"""What is put beside what: Dockbell on either database, an nginx that relays the same POST, and the receivers alone.

Each is started for one run and stopped after it, answers POSTs of events, and tells where they go and whose CPU counts.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme

from bench.logs import Log
from bench.machine import Process, Unable, environment, program, python, running
from bench.receiver import FIRST_GOODS_OWNER

STARTS_WITHIN_S = 120.0
PUBLISH = "/api/v1/events"
SERVE = ("dockbell", "serve")


@dataclass(frozen=True, slots=True)
class Shape:
    """Who is there: as many goods owners as receivers, how many webhooks each event meets, and whether over TLS."""

    receivers: int = 50
    fan_out: int = 1
    tls: bool = False
    aside: int = 0
    """So many receivers, the last of all, get no events from the generator: what they get was stored before."""
    unwatched: int = 0
    """So many of those that get events, the last of them, are not looked at."""
    silent: int = 0
    """So many receivers, the last of all, never answer."""
    timeout_s: int = 15

    @property
    def goods_owners(self) -> list[int]:
        return [FIRST_GOODS_OWNER + place for place in range(self.receivers)]

    @property
    def sent_to(self) -> int:
        return self.receivers - self.aside

    @property
    def watched(self) -> int:
        return self.sent_to - self.unwatched


@dataclass(frozen=True, slots=True)
class Target:
    """Where the generator sends, and who works for it."""

    ports: list[int]
    paths: list[str]
    expected_status: int
    processes: dict[str, tuple[int, ...]]
    """Name to process ids; their descendants count with them."""
    key: str | None = None
    log: Log | None = None


AUTHORITY = "authority.pem"

# --- the receivers -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def receivers(shape: Shape, folder: Path) -> Iterator[tuple[Process, list[int]]]:
    order: dict[str, object] = {"goods_owners": shape.goods_owners, "silent": shape.silent}
    if shape.tls:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / AUTHORITY))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "receiver.pem"))
        order["certificate"] = str(folder / "receiver.pem")
    command = python("bench.receiver", json.dumps(order))
    process = Process("receiver", command, folder / "receiver.log", talks=True, env=environment())
    with running(process):
        yield process, json.loads(process.line())


@contextlib.contextmanager
def direct(ports: Sequence[int]) -> Iterator[Target]:
    """Straight to the first receiver: what generator and receiver can do with nothing between them."""
    yield Target([ports[0]], ["/hook"], 200, {})


# --- the relay -----------------------------------------------------------------------------------------------------

RELAY = """
worker_processes {workers};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_body_buffer_size 1m;
  client_max_body_size 8m;
  keepalive_requests 1000000000;
{upstreams}
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
{locations}
  }}
}}
"""
UPSTREAM = "  upstream receiver{place} {{ server 127.0.0.1:{port}; keepalive 64; keepalive_requests 1000000000; }}"
LOCATION = "    location = /relay/{place} {{ proxy_pass http://receiver{place}/hook; }}"


def nginx() -> Path:
    return program("nginx", "nginx-light")


@contextlib.contextmanager
def relay(ports: Sequence[int], folder: Path, *, workers: int = 1) -> Iterator[Target]:
    """nginx passing each POST on over kept-alive connections and answering when the receiver did. It stores nothing."""
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        RELAY.format(
            workers=workers,
            folder=folder,
            port=port,
            upstreams="\n".join(UPSTREAM.format(place=place, port=each) for place, each in enumerate(ports)),
            locations="\n".join(LOCATION.format(place=place) for place in range(len(ports))),
        )
    )
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    process = Process("nginx", [nginx(), "-p", folder, "-c", configuration, *user], folder / "nginx.out")
    with running(process):
        await_port(port, process)
        yield Target([port], [f"/relay/{place}" for place in range(len(ports))], 200, {"nginx": (process.pid,)})


# --- Dockbell ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Site:
    """A database with its receivers, made before a Dockbell is started on it; it may outlive several."""

    shape: Shape
    database: str
    folder: Path
    key: str
    log: Log
    postgres: int | None
    """PostgreSQL's process, if that is the database."""
    receiver: Process
    ports: list[int]

    @property
    def key_file(self) -> Path:
        return self.folder / KEY_FILE


KEY_FILE = "dockbell.key"


@contextlib.contextmanager
def dockbell(site: Site, *, nodes: int = 1, words: Sequence[str] = SERVE) -> Iterator[Target]:
    """Nodes that answer; `words` are the module that runs one, and what it is told."""
    ports = [free_port() for _ in range(nodes)]
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(running(a_node(site, port, words))) for port in ports]
        for port, process in zip(ports, started, strict=True):
            await_port(port, process)
        yield a_target(site, ports, started)


def a_node(site: Site, port: int, words: Sequence[str] = SERVE) -> Process:
    """`dockbell serve` with default settings but these: receivers on loopback, all on one address; and a quick end."""
    settings = {
        "DOCKBELL_DATABASE": site.database,
        "DOCKBELL_KEY_FILE": str(site.key_file),
        "DOCKBELL_SERVER__PORT": str(port),
        "DOCKBELL_EGRESS__ALLOW_LOOPBACK_FOR_TESTS": "true",
        "DOCKBELL_EGRESS__PER_ADDRESS": "1000",
        "DOCKBELL_WORKER__SHUTDOWN_S": "2",
        # One key publishes everything, and backlogs are the point of some scenarios.
        "DOCKBELL_LIMITS__EVENTS_PER_SECOND": "0",
        "DOCKBELL_LIMITS__QUEUED_DELIVERIES": "1000000000",
        "DOCKBELL_LIMITS__QUEUED_MEBIBYTES": "1000000",
    }
    if site.shape.tls:
        settings["DOCKBELL_EGRESS__CA_FILE"] = str(site.folder / AUTHORITY)
    log = site.folder / f"dockbell-{port}.log"
    return Process("dockbell", python(*words), log, cwd=site.folder, env=environment(**settings))


def a_target(site: Site, ports: Sequence[int], nodes: Sequence[Process]) -> Target:
    processes = {"Dockbell": tuple(node.pid for node in nodes)}
    if site.postgres is not None:
        processes["PostgreSQL"] = (site.postgres,)
    return Target(list(ports), [PUBLISH] * site.shape.sent_to, 202, processes, site.key, site.log)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def await_port(port: int, process: Process) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until:
        if process.ended() is not None:
            raise Unable(f"{process.name} ended with code {process.ended()}:\n{process.end_of_log()}")
        with socket.socket() as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Unable(
        f"{process.name} did not listen on port {port} within {STARTS_WITHIN_S:.0f} s:\n{process.end_of_log()}"
    )
