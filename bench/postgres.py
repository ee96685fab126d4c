"""A PostgreSQL of the bench's own, started from the machine's binaries and deleted at the end."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.machine import Unable

# The tests know best where a machine keeps its PostgreSQL and who may run it.
from tests.support.postgres import NoPostgres, _account, _find_binaries, _readable_copy, _run, _url

CLUSTER = """
listen_addresses = ''
unix_socket_directories = '{folder}'
timezone = 'UTC'
"""
COUNTING = """
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.track = 'none'
"""


@dataclass(slots=True)
class Cluster:
    """A PostgreSQL of our own with the settings it comes with: fsync, full_page_writes and synchronous_commit on."""

    folder: Path
    binaries: Path
    pid: int = 0
    made: int = 0
    counts_statements: bool = False
    """Whether it can; it does so only in databases that ask for it."""

    @contextlib.contextmanager
    def database(self, *, counted: bool = False) -> Iterator[str]:
        """The address of an empty one, dropped at the end."""
        self.made += 1
        name = f"run{self.made}"
        with psycopg.connect(_url(self.folder, "postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}".encode())
            if counted and self.counts_statements:
                admin.execute(f"ALTER DATABASE {name} SET pg_stat_statements.track = 'top'".encode())
            admin.execute("CHECKPOINT")
        if counted and self.counts_statements:
            with psycopg.connect(_url(self.folder, name), autocommit=True) as inside:
                inside.execute("CREATE EXTENSION pg_stat_statements")
        try:
            yield _url(self.folder, name)
        finally:
            with psycopg.connect(_url(self.folder, "postgres"), autocommit=True) as admin:
                admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


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
        counting = _counts_statements(binaries)
        with (data / "postgresql.conf").open("a") as file:
            file.write(CLUSTER.format(folder=folder) + (COUNTING if counting else ""))
        _run([binaries / "pg_ctl", "start", "-w", "-t", "60", "-D", data, "-l", folder / "log"], account)
    except NoPostgres as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise Unable(str(error)) from error
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
        yield Cluster(folder, binaries, pid, counts_statements=counting)
    finally:
        _stop_cluster(binaries, data, account)


def _counts_statements(binaries: Path) -> bool:
    found = subprocess.run([binaries / "pg_config", "--pkglibdir"], capture_output=True, text=True, check=False)
    folders = [Path(found.stdout.strip())] if found.returncode == 0 else []
    folders += [binaries.parent / "lib", binaries.parent / "lib" / "postgresql"]
    return any((folder / "pg_stat_statements.so").exists() for folder in folders)


def _stop_cluster(binaries: Path, data: Path, account: pwd.struct_passwd | None) -> None:
    _run([binaries / "pg_ctl", "stop", "-m", "fast", "-w", "-t", "60", "-D", data], account)
    shutil.rmtree(data.parent, ignore_errors=True)
