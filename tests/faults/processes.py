"""The processes of a fault run: a Dockbell that is killed, receivers and a PostgreSQL that live on."""

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg

from tests.support.postgres import PARENT, PREFIX, _start, _stop, _url

ROOT = Path(__file__).parents[2]
STARTS_WITHIN_S = 30.0
_never = threading.Event()


class Unable(Exception):
    """The run could not be made; the message says why."""


def pause(seconds: float) -> None:
    """Let time pass where there is no event to wait for: a process outside is due to be killed, or to answer."""
    _never.wait(seconds)


def _environment(**variables: str) -> dict[str, str]:
    """Ours without what would configure a Dockbell, and with this repository's code first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKBELL_", "PG"))}
    return {**kept, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", **variables}


class Server:
    """`dockbell serve` on one database and one port: started, killed, started again."""

    def __init__(self, database: str, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.log = folder / "dockbell.log"
        self.port = _free_port()
        usual = {
            "DOCKBELL_DATABASE": database,
            "DOCKBELL_KEY_FILE": str(folder / "dockbell.key"),
            "DOCKBELL_SERVER__PORT": str(self.port),
            "DOCKBELL_EGRESS__ALLOW_LOOPBACK_FOR_TESTS": "true",
            "DOCKBELL_EGRESS__PER_ADDRESS": "1000",  # all receivers are at one
        }
        self._environment = _environment(**{**usual, **variables})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Returns when it listens; the seconds that took."""
        began = time.monotonic()
        self.launch()
        self.wait_until_it_listens()
        return time.monotonic() - began

    def launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dockbell", "serve"],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_until_it_listens(self) -> None:
        assert self._process is not None
        until = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise Unable(f"Dockbell ended with code {self._process.returncode}:\n{self._end_of_log()}")
            with socket.socket() as trying:
                if trying.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            pause(0.01)
        raise Unable(f"Dockbell did not listen within {STARTS_WITHIN_S:.0f} s:\n{self._end_of_log()}")

    def kill(self) -> None:
        """SIGKILL to this very process."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def first_key(self) -> str:
        for word in self.log.read_text().split():
            if word.startswith("whk_"):
                return word
        raise Unable(f"Dockbell printed no administrator key:\n{self._end_of_log()}")

    def _end_of_log(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


@contextlib.contextmanager
def receivers(file: Path, seed: int, signing: Sequence[str]) -> Iterator[list[int]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.receiver", str(file), str(seed), *signing],
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A server as the tests have it, and held as theirs are: what a killed run leaves behind, the next test run clears."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PARENT))
    with (directory / "taking").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (directory / "taking").rename(directory / "held")
        try:
            _start(directory)
            with psycopg.connect(_url(directory, "postgres"), autocommit=True) as admin:
                admin.execute("CREATE DATABASE killed")
            yield _url(directory, "killed")
        finally:
            _stop(directory)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
