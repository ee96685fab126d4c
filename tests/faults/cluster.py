"""A PostgreSQL of a fault run's own: it can be stopped, killed, started again, copied to a standby and promoted.

Made and held as the tests' own server is (tests/support/postgres.py), so what a killed run leaves behind, the next test run
clears away. Unlike that one it syncs its files when asked to, and listens on loopback when a fault proxy is to stand before it.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psycopg

from tests.faults.processes import free_port
from tests.support.postgres import PARENT, PREFIX, NoPostgres, _account, _run, _start, _url

DATABASE = "killed"
DURABLE = "fsync = on\nfull_page_writes = on\n"


class Cluster:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"

    @property
    def url(self) -> str:
        """Over its Unix socket."""
        return f"{_url(self.directory, DATABASE)}&port={self.port}"

    @property
    def port(self) -> int:
        """Also on loopback, when it was told to listen there."""
        lines = (self.data / "postgresql.conf").read_text().splitlines()
        return next((int(line.partition("=")[2]) for line in reversed(lines) if line.startswith("port =")), 5432)

    def control(self, *words: str) -> None:
        binaries = Path((self.directory / "bin").read_text())
        _run(
            [
                binaries / "pg_ctl",
                *words,
                "-w",
                "-t",
                "60",
                "-D",
                self.data,
                *(("-l", self.directory / "log") if words[0] in ("start", "restart") else ()),
            ],
            _account(),
        )

    def program(self, name: str, *words: str | Path) -> None:
        """One of PostgreSQL's own, as the account that runs the server."""
        _run([Path((self.directory / "bin").read_text()) / name, *words], _account())

    def kill(self) -> None:
        """SIGKILL to the postmaster; its children see that it is gone and end by themselves."""
        os.kill(self._postmaster(), signal.SIGKILL)

    def backends(self) -> list[int]:
        """Process ids of those that serve the database."""
        with psycopg.connect(self.url, autocommit=True) as asking:
            sql = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
            return [pid for (pid,) in asking.execute(sql, [DATABASE])]

    def execute(self, sql: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql)

    def _postmaster(self) -> int:
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])


@contextlib.contextmanager
def a_cluster(*, settings: str = "", listens: bool = False) -> Iterator[Cluster]:
    """A running server with an empty database."""
    with _held_directory() as directory:
        try:
            _start(directory)
            cluster = Cluster(directory)
            with psycopg.connect(_url(directory, "postgres"), autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE {DATABASE}")
            if listens:
                settings += f"listen_addresses = '127.0.0.1'\nport = {free_port()}\n"
            if settings:
                _configure(cluster, settings)
                cluster.control("restart", "-m", "fast")
            yield cluster
        finally:
            _end(directory)


@contextlib.contextmanager
def a_standby(of: Cluster, *, name: str) -> Iterator[Cluster]:
    """A second server that follows the first, copied from it and started."""
    with _held_directory() as directory:
        binaries = Path((of.directory / "bin").read_text())
        account = _account()
        if account is not None:
            os.chown(directory, account.pw_uid, account.pw_gid)
        try:
            conninfo = f"host={of.directory} port={of.port} user=postgres application_name={name}"
            _run(
                [
                    binaries / "pg_basebackup",
                    "-D",
                    directory / "data",
                    "-R",
                    "-X",
                    "stream",
                    "-c",
                    "fast",
                    "-d",
                    conninfo,
                ],
                account,
            )
            standby = Cluster(directory)
            (directory / "bin").write_text(str(binaries))
            own = f"unix_socket_directories = '{directory}'\nport = {free_port()}\nsynchronous_standby_names = ''\n"
            _configure(standby, own)
            standby.control("start")
            yield standby
        finally:
            _end(directory)


def _configure(cluster: Cluster, settings: str) -> None:
    with (cluster.data / "postgresql.conf").open("a") as file:
        file.write(settings)


def _end(directory: Path) -> None:
    """Whatever state it is in, and whichever port it has."""
    if (directory / "bin").exists():
        with contextlib.suppress(NoPostgres):
            Cluster(directory).control("stop", "-m", "immediate")
    shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _held_directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PARENT))
    lock: IO[bytes]
    with (directory / "taking").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (directory / "taking").rename(directory / "held")
        yield directory
