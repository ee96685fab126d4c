"""What is put beside what: Dockbell on either database, an nginx that relays the same POST, and the receivers alone.

Each is started for one run and stopped after it, answers POSTs of events, and tells where they go and whose CPU counts.
"""

import contextlib
import json
import os
import pwd
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import apsw
import psycopg
import trustme

from bench.machine import Process, Unable, environment, program, python, running
from bench.receiver import FIRST_GOODS_OWNER, secret_of
from dockbell.testing.client import ApiError, Client

# The tests know best where a machine keeps its PostgreSQL and who may run it.
from tests.support.postgres import NoPostgres, _account, _find_binaries, _readable_copy, _run, _url

STARTS_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Shape:
    """Who is there: as many goods owners as receivers, how many webhooks each event meets, and whether over TLS."""

    receivers: int = 50
    fan_out: int = 1
    tls: bool = False

    @property
    def goods_owners(self) -> list[int]:
        return [FIRST_GOODS_OWNER + place for place in range(self.receivers)]


@dataclass(frozen=True, slots=True)
class Counts:
    events: int
    deliveries: int
    delivered: int
    attempts: int
    last_ended_at: float
    """Seconds since 1970."""


class Log(Protocol):
    """What a Dockbell has stored."""

    def open_deliveries(self) -> int:
        """How many are not delivered yet; cheap enough to ask while something runs."""

    def counts(self) -> Counts: ...

    def pairs(self) -> set[bytes]:
        """`<event>-<webhook>` of every attempt that was answered 2xx: the ids a receiver must have seen."""

    def stored_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Target:
    """Where the generator sends, and who works for it."""

    port: int
    paths: list[str]
    expected_status: int
    processes: dict[str, int]
    """Name to process id; its descendants count with it."""
    key: str | None = None
    log: Log | None = None


AUTHORITY = "authority.pem"

# --- the receivers -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def receivers(shape: Shape, folder: Path) -> Iterator[tuple[Process, list[int]]]:
    command = python("bench.receiver", json.dumps(shape.goods_owners))
    if shape.tls:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / AUTHORITY))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "receiver.pem"))
        command.append(folder / "receiver.pem")
    process = Process("receiver", command, folder / "receiver.log", talks=True, env=environment())
    with running(process):
        yield process, json.loads(process.line())


@contextlib.contextmanager
def direct(ports: Sequence[int]) -> Iterator[Target]:
    """Straight to the first receiver: what generator and receiver can do with nothing between them."""
    yield Target(ports[0], ["/hook"], 200, {})


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
    port = _free_port()
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
        _await_port(port, process)
        yield Target(port, [f"/relay/{place}" for place in range(len(ports))], 200, {"nginx": process.pid})


# --- Dockbell ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def dockbell(
    database: str, shape: Shape, ports: Sequence[int], folder: Path, *, log: Log, postgres: int | None
) -> Iterator[Target]:
    """`dockbell serve` with default settings but these: receivers on loopback, and all on one address."""
    port = _free_port()
    settings = {
        "DOCKBELL_DATABASE": database,
        "DOCKBELL_KEY_FILE": str(folder / "dockbell.key"),
        "DOCKBELL_SERVER__PORT": str(port),
        "DOCKBELL_EGRESS__ALLOW_LOOPBACK_FOR_TESTS": "true",
        "DOCKBELL_EGRESS__PER_ADDRESS": "1000",
    }
    if shape.tls:
        settings["DOCKBELL_EGRESS__CA_FILE"] = str(folder / AUTHORITY)
    process = Process(
        "dockbell", python("dockbell", "serve"), folder / "dockbell.log", cwd=folder, env=environment(**settings)
    )
    with running(process):
        _await_port(port, process)
        admin = _first_key(folder / "dockbell.log")
        client = Client(f"http://127.0.0.1:{port}", admin)
        _set_up(client, shape, ports)
        client.close()
        processes = {"Dockbell": process.pid} | ({} if postgres is None else {"PostgreSQL": postgres})
        yield Target(port, ["/api/v1/events"] * shape.receivers, 202, processes, admin, log)


def _set_up(client: Client, shape: Shape, ports: Sequence[int]) -> None:
    try:
        for place, owner in enumerate(shape.goods_owners):
            client.put(f"/api/v1/goodsOwners/{owner}", {"name": f"Goods owner {owner}"})
            for copy in range(shape.fan_out):
                client.post(
                    "/api/v1/webhooks",
                    _a_webhook(owner, place, copy, f"{'https' if shape.tls else 'http'}://127.0.0.1:{ports[place]}"),
                )
    except ApiError as error:
        raise Unable(f"Dockbell refused the set-up: {error}") from error


def _a_webhook(owner: int, place: int, copy: int, origin: str) -> dict[str, Any]:
    return {
        "name": f"Receiver {place}.{copy}",
        "kind": "regular",
        "eventType": "order.picked",
        "goodsOwnerIds": [owner],
        "targetUrl": f"{origin}/hook/{copy}",
        "signingSecret": secret_of(place),
    }


def _first_key(log: Path) -> str:
    for word in log.read_text().split():
        if word.startswith("whk_"):
            return word
    raise Unable(f"Dockbell printed no administrator key:\n{log.read_text()}")


OPEN = "SELECT count(*) FROM deliveries WHERE status <> 'delivered'"
COUNTS = """
    SELECT (SELECT count(*) FROM events),
           (SELECT count(*) FROM deliveries),
           (SELECT count(*) FROM deliveries WHERE status = 'delivered'),
           (SELECT count(*) FROM attempts),
           (SELECT max(ended_at) FROM attempts)
"""
PAIRS = "SELECT event_id, webhook_id FROM attempts WHERE status_code BETWEEN 200 AND 299"


class SqlLog:
    """Asks with SQL of its own, not with the product's: the judge is not the judged."""

    def open_deliveries(self) -> int:
        [(count,)] = self.rows(OPEN)
        return int(count)

    def counts(self) -> Counts:
        [(events, deliveries, delivered, attempts, last)] = self.rows(COUNTS)
        return Counts(events, deliveries, delivered, attempts, (last or 0) / 1e6)

    def pairs(self) -> set[bytes]:
        return {b"%d-%d" % pair for pair in self.rows(PAIRS)}

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        raise NotImplementedError


class SqliteLog(SqlLog):
    def __init__(self, file: Path) -> None:
        self._file = file

    def stored_bytes(self) -> int:
        """Pages in use: what the file has once the write-ahead log is copied back."""
        pages, free, size = (
            self.rows(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(apsw.Connection(str(self._file), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            connection.set_busy_timeout(10_000)
            return list(connection.execute(text))


class PostgresLog(SqlLog):
    def __init__(self, url: str) -> None:
        self._url = url

    def stored_bytes(self) -> int:
        [(size,)] = self.rows("SELECT pg_database_size(current_database())")
        return int(size)

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            return connection.execute(text.encode()).fetchall()


# --- PostgreSQL ----------------------------------------------------------------------------------------------------

CLUSTER = """
listen_addresses = ''
unix_socket_directories = '{folder}'
timezone = 'UTC'
"""


@dataclass(slots=True)
class Cluster:
    """A PostgreSQL of our own with the settings it comes with: fsync, full_page_writes and synchronous_commit on."""

    folder: Path
    binaries: Path
    pid: int = 0
    made: int = 0

    def new_database(self) -> str:
        self.made += 1
        name = f"run{self.made}"
        with psycopg.connect(_url(self.folder, "postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}".encode())
            admin.execute("CHECKPOINT")
        return _url(self.folder, name)

    def drop_database(self) -> None:
        with psycopg.connect(_url(self.folder, "postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS run{self.made} WITH (FORCE)".encode())


@contextlib.contextmanager
def cluster(parent: Path) -> Iterator[Cluster]:
    folder = Path(
        tempfile.mkdtemp(prefix="dockbell-bench-", dir=parent)
    )  # not below ours: its account may not enter that
    try:
        binaries, account = _find_binaries(), _account()
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
            binaries = _readable_copy(binaries, folder, account)
        data = folder / "data"
        _run([binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"], account)
        with (data / "postgresql.conf").open("a") as file:
            file.write(CLUSTER.format(folder=folder))
        _run([binaries / "pg_ctl", "start", "-w", "-t", "60", "-D", data, "-l", folder / "log"], account)
    except NoPostgres as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise Unable(str(error)) from error
    try:
        yield Cluster(folder, binaries, int((data / "postmaster.pid").read_text().split()[0]))
    finally:
        _stop_cluster(binaries, data, account)


def _stop_cluster(binaries: Path, data: Path, account: pwd.struct_passwd | None) -> None:
    _run([binaries / "pg_ctl", "stop", "-m", "fast", "-w", "-t", "60", "-D", data], account)
    shutil.rmtree(data.parent, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _await_port(port: int, process: Process) -> None:
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
